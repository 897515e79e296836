"""The eviction policies by name."""

from simulator.evictions.base import Eviction, Settings
from simulator.evictions.belady import Belady
from simulator.evictions.frequency import Gdsf, Lfu, Lfuda
from simulator.evictions.ghosts import Arc, S3Fifo, TwoQ
from simulator.evictions.lirs import Lirs
from simulator.evictions.recency import Clock, Fifo, Lru, Sieve
from simulator.evictions.sampling import Hyperbolic, Random
from simulator.evictions.segments import Slru, WTinyLfu

EVICTIONS: dict[str, type[Eviction]] = {
    "lru": Lru, "fifo": Fifo, "random": Random, "clock": Clock, "sieve": Sieve, "s3fifo": S3Fifo, "lfu": Lfu,
    "lfuda": Lfuda, "arc": Arc, "2q": TwoQ, "slru": Slru, "lirs": Lirs, "wtinylfu": WTinyLfu, "gdsf": Gdsf,
    "hyperbolic": Hyperbolic, "belady": Belady,
}  # fmt: skip


def make(
    kind: str,
    capacity: int,
    *,
    seed: int = 0,
    n_blocks: int | None = None,
    admission: str = "all",
    admission_value: float = 0,
    enters: str = "front",
    region_ratio: float = 0.0,
) -> Eviction:
    """An empty tier with the eviction policy of this name; the other arguments are those of ``base.Settings``."""
    return EVICTIONS[kind](Settings(capacity, seed, n_blocks, admission, admission_value, enters, region_ratio))
