"""Small tiers for blocks, and what must be true of a cache when nobody is at work."""

from live import MemoryTier, TieredCache
from tests.live_content import BLOCK


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
