"""Blocks whose bytes say whose they are, and small tiers for them."""

import numpy as np

from live import MemoryTier, TieredCache
from live.slab import Bytes8

BLOCK = 4096


def content(key: int, version: int) -> Bytes8:
    """A block that no other key or version has."""
    block = np.empty(BLOCK, np.uint8)
    block[:16] = np.array([key, version], np.uint64).view(np.uint8)
    block[16:] = (key * 31 + version * 7) % 251
    return block


def tiers(*capacities: int, **settings: object) -> list[MemoryTier]:
    """Of so many blocks each."""
    return [
        MemoryTier.model_validate({"name": f"t{i}", "capacity": f"{n * BLOCK} B", **settings})
        for i, n in enumerate(capacities)
    ]


def check_books(cache: TieredCache) -> None:
    """With nobody at work: every slot is where it is counted, and every prefetch has come to an end."""
    core = cache._core
    cache.flush()
    stats = cache.stats()
    # A prefetch may still be on its way.
    while stats.n_in_flight:
        stats = cache.stats()
    for tier in core.tiers:
        assert set(tier.blocks) == tier.order.keys()
        assert tier.slab.n_free + len(tier.blocks) == tier.slab.n_slots
        assert all(block.slot.refs == 1 for block in tier.blocks.values())
    assert core.memory.n_prefetches == core.traffic.n_putting == core.traffic.n_leased == 0
    assert not core.traffic.writing
    assert all(link.n_down == 0 and link.n_free == len(link.is_busy) for link in core.links)
    unused = sum(block.prefetch is not None for block in core.tiers[0].blocks.values())
    assert stats.n_issued == sum(stats.fates.values()) + unused
