"""Live caches of a system's tiers."""

from live import FileStore, MemoryTier, TieredCache
from live.recorder import Recorder
from simulator.config import System

SPARE = 64


def memories_of(system: System) -> list[str]:
    """What tiers lie in: ``hbm`` is a GPU's memory, and what is below it page-locked; all else is plain memory."""
    below = "pinned" if system.tiers[0].name == "hbm" else "dram"
    return ["cuda" if tier.name == "hbm" else below for tier in system.tiers]


def cache_of(system: System, store: FileStore, recorder: Recorder, *, most_bytes: int) -> TieredCache:
    """A cache of a system's tiers, none larger than so much, that evicts by LRU."""
    tiers = [
        MemoryTier.model_validate({
            "name": tier.name, "capacity": f"{min(tier.capacity, most_bytes)} B", "memory": memory,
            "channels": link.channels, "spare": SPARE,
        })
        for tier, link, memory in zip(system.tiers, system.links, memories_of(system), strict=True)
    ]  # fmt: skip
    return TieredCache(
        tiers, store, placement=system.placement, clean_evictions=system.clean_evictions, prefetch=system.prefetch,
        recorder=recorder,
    )  # fmt: skip
