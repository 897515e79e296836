"""The eviction policies by name."""

from typing import Any

from simulator.evictions import compiled
from simulator.evictions.base import Eviction, Settings
from simulator.evictions.belady import Belady
from simulator.evictions.frequency import Gdsf, Lfu, Lfuda
from simulator.evictions.ghosts import Arc, S3Fifo, TwoQ
from simulator.evictions.lirs import Lirs
from simulator.evictions.outside import make_plain
from simulator.evictions.recency import Clock, Fifo, LeafLru, Lru, Pinned, Sieve
from simulator.evictions.sampling import Hyperbolic, Random
from simulator.evictions.segments import Slru, WTinyLfu
from simulator.residency import registry

EVICTIONS: dict[str, type[Eviction]] = {
    "lru": Lru, "fifo": Fifo, "random": Random, "clock": Clock, "sieve": Sieve, "s3fifo": S3Fifo, "lfu": Lfu,
    "lfuda": Lfuda, "arc": Arc, "2q": TwoQ, "slru": Slru, "lirs": Lirs, "wtinylfu": WTinyLfu, "gdsf": Gdsf,
    "hyperbolic": Hyperbolic, "leaf_lru": LeafLru, "belady": Belady, "pinned": Pinned,
}  # fmt: skip


def make(
    eviction: Any,
    capacity: int,
    *,
    seed: int = 0,
    n_blocks: int | None = None,
    admission: Any = "all",
    enters: str = "front",
    region_ratio: float = 0.0,
) -> Eviction:
    """An empty tier with this eviction policy: settings, or how a config says them, as the admission's.

    The other arguments are those of ``base.Settings``.
    """
    of_eviction, of_admission = registry.EVICTIONS.validate(eviction), registry.ADMISSIONS.validate(admission)
    settings = Settings(of_eviction, of_admission, capacity, seed, n_blocks, enters, region_ratio)
    if of_eviction.is_plain:
        return make_plain(settings)
    if of_eviction.kind not in EVICTIONS:
        # One from outside that is compiled has no readable twin.
        return compiled.make(
            of_eviction, capacity, seed=seed, n_blocks=n_blocks, admission=of_admission, enters=enters,
            region_ratio=region_ratio,
        )  # fmt: skip
    return EVICTIONS[of_eviction.kind](settings)
