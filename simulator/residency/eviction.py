"""What happens between a tier's blocks and its eviction policy, out of whose sight is what is prefetched aside.

LRU and FIFO, which most simulations are of, become part of the code that calls; all others are behind ``dispatch``.
"""

from typing import Any

from numba import types

from simulator.arrays import NONE, Ints
from simulator.compiled import internal, lower_call, lowered, pointer_to, soon
from simulator.residency import admission, aside, blocks, fifo, ghosts, lru
from simulator.residency.dispatch import ON_REMOVE, ON_SLOT, ON_TIER, VICTIM
from simulator.residency.layout import (
    KEY,
    R_ASIDE_BLOCKS,
    R_ENTERS,
    R_KIND,
    R_ON_HIT,
    R_ON_INSERT,
    R_ON_REMOVE,
    R_RECALL,
    R_SETUP,
    R_VICTIM,
    Tier,
)
from simulator.residency.names import BELADY, FIFO, FRONT, LRU


@lowered
def _on_tier(typing: Any, function: Any, a: Any, level: Any) -> Any:
    return ON_TIER.return_type(types.intp, *ON_TIER.args), lower_call


@lowered
def _on_slot(typing: Any, function: Any, a: Any, level: Any, slot: Any) -> Any:
    return ON_SLOT.return_type(types.intp, *ON_SLOT.args), lower_call


@lowered
def _on_remove(typing: Any, function: Any, a: Any, level: Any, slot: Any, evicted: Any) -> Any:
    return ON_REMOVE.return_type(types.intp, *ON_REMOVE.args), lower_call


@lowered
def _victim(typing: Any, function: Any, a: Any, level: Any) -> Any:
    return VICTIM.return_type(types.intp, *VICTIM.args), lower_call


@internal
def setup(a: Ints, t: Tier) -> None:
    """Start with an empty tier."""
    if _is_list(a, t):
        fifo.setup(a, t)
    else:
        _on_tier(a[t.reg + R_SETUP], pointer_to(a), t.level)


@internal
def _is_list(a: Ints, t: Tier) -> bool:
    kind = a[t.reg + R_KIND]
    return kind in (LRU, FIFO)


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """A resident block was used."""
    admission.count(a, t, slot)
    if a[t.reg + R_ASIDE_BLOCKS] != 0 and aside.has(a, t, slot):
        aside.leave(a, t, slot)
        _take(a, t, slot)
        return
    kind = a[t.reg + R_KIND]
    if kind == LRU:
        lru.on_hit(a, t, slot)
    elif kind != FIFO:
        _on_slot(a[t.reg + R_ON_HIT], pointer_to(a), t.level, slot)


@internal
def recall(a: Ints, t: Tier, slot: int) -> None:
    """A block is about to come in: if it is a ghost, its policy learns from that; ``aux`` is its mark then, else 0."""
    if a[t.reg + R_KIND] == BELADY or ghosts.is_one(a, t, slot):
        _on_slot(a[t.reg + R_RECALL], pointer_to(a), t.level, slot)
    else:
        a[slot + t.aux] = 0


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """A block has come in."""
    if a[t.reg + R_ENTERS] != FRONT and a[slot + t.prefetch] != NONE:
        aside.enter(a, t, slot)
        if a[t.reg + R_KIND] != BELADY:
            # Its policy will see it as a new block, whatever it remembered of it.
            a[slot + t.aux] = 0
    else:
        _take(a, t, slot)


@internal
def _take(a: Ints, t: Tier, slot: int) -> None:
    if _is_list(a, t):
        fifo.on_insert(a, t, slot)
    else:
        _on_slot(a[t.reg + R_ON_INSERT], pointer_to(a), t.level, slot)


@internal
def victim(a: Ints, t: Tier) -> int:
    """The slot to evict next; the same again if it is asked again, but for those drawn at random."""
    slot = aside.victim(a, t)
    if slot != NONE:
        return slot
    return fifo.victim(a, t) if _is_list(a, t) else _victim(a[t.reg + R_VICTIM], pointer_to(a), t.level)


@internal
def out_soon(a: Ints, t: Tier) -> int:
    """Have fetched what the next one to go and the one after it will need; the slot of the next one.

    NONE where it takes more than a look to know who goes next.
    """
    if not _is_list(a, t):
        return NONE
    slot = fifo.victim(a, t)
    if slot != NONE:
        # Its row was fetched when the one before it went.
        blocks.find_soon(a, a[slot + KEY])
        if a[slot + t.prev] != NONE:
            soon(a, a[slot + t.prev])
    return slot


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """A block leaves: ``evicted``, and its policy may remember it, or taken out."""
    if a[t.reg + R_ASIDE_BLOCKS] != 0 and aside.has(a, t, slot):
        aside.leave(a, t, slot)
        if a[t.reg + R_KIND] == BELADY:
            ghosts.keep(a, t, slot)
    elif _is_list(a, t):
        fifo.on_remove(a, t, slot, evicted)
    else:
        _on_remove(a[t.reg + R_ON_REMOVE], pointer_to(a), t.level, slot, evicted)
