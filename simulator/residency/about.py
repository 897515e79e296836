"""What the eviction policies and admissions are, a line each: the first lines of the files that make them."""

from types import ModuleType

from simulator.residency import (
    arc,
    belady,
    clock,
    fifo,
    gdsf,
    hyperbolic,
    lfu,
    lfuda,
    lirs,
    lru,
    rand,
    s3fifo,
    sieve,
    slru,
    two_q,
    wtinylfu,
)

_FILES: dict[str, ModuleType] = {
    "lru": lru, "fifo": fifo, "random": rand, "clock": clock, "sieve": sieve, "s3fifo": s3fifo, "lfu": lfu,
    "lfuda": lfuda, "arc": arc, "2q": two_q, "slru": slru, "lirs": lirs, "wtinylfu": wtinylfu, "gdsf": gdsf,
    "hyperbolic": hyperbolic, "belady": belady,
}  # fmt: skip
EVICTIONS: dict[str, str] = {name: (file.__doc__ or "").splitlines()[0] for name, file in _FILES.items()}
ADMISSIONS: dict[str, str] = {
    "all": "Every block that comes is kept.",
    "size": "Blocks of at most so many bytes are kept.",
    "probabilistic": "Each block that comes is kept with the same chance.",
    "tinylfu": "A full tier keeps only what was asked for more often of late than what would go (Einziger 2017).",
}
