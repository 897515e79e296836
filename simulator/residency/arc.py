"""ARC (Megiddo & Modha, FAST 2003): T1, T2, B1, B2 and p in the paper are once, again, their ghosts and the target.

Bytes stand where the paper counts pages, and the target moves by as many as the block has. ``aux``: which list a
block or a ghost is in; of a block that is coming in, which list of ghosts it was in.
"""

from typing import Any, ClassVar, Literal

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, block_at, entry_at, state_of, tier_at
from simulator.records.lists import clear_all
from simulator.records.record import Record
from simulator.residency import ghosts, queues
from simulator.residency.queues import Queue
from simulator.residency.settings import EvictionHooks, EvictionSettings, Made
from simulator.residency.shares import WHOLE, Share, bytes_of, set_share

_NEW, _ONCE, _AGAIN, _GHOST_ONCE, _GHOST_AGAIN = range(5)


class State(Record):
    """The lists; the target for the bytes of ``once``, in units of 2^-bits; whom to evict without remembering it."""

    once: Queue
    again: Queue
    ghosts_once: Queue
    ghosts_again: Queue
    target: int
    bits: int
    not_remembered: At[Block]
    whole: Share


_state_at = state_of(State)


@internal
def _list(state: State, which: int) -> Queue:
    if which == _ONCE:
        return state.once
    if which == _AGAIN:
        return state.again
    return state.ghosts_once if which == _GHOST_ONCE else state.ghosts_again


@internal
def _enter(arena: Arena, level: int, which: int, slot: At[Block], size: int) -> None:
    entry_at(arena, level, slot).aux = which
    queues.enter(arena, level, _list(_state_at(arena, level), which), slot, size)


@internal
def _leave(arena: Arena, level: int, slot: At[Block], size: int) -> None:
    which = entry_at(arena, level, slot).aux
    queues.leave(arena, level, _list(_state_at(arena, level), which), slot, size)


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """Used again."""
    size = block_at(arena, slot).size
    _leave(arena, level, slot, size)
    _enter(arena, level, _AGAIN, slot, size)


@internal
def recall(arena: Arena, level: int, slot: At[Block]) -> None:
    """A ghost hit: that side should have been larger. The step is so many blocks as the other ghosts outweigh these."""
    state, which, size = _state_at(arena, level), entry_at(arena, level, slot).aux, ghosts.size(arena, level, slot)
    once, again, bits = max(state.ghosts_once.n_bytes, 1), max(state.ghosts_again.n_bytes, 1), state.bits
    if which == _GHOST_ONCE:
        step = max((again << bits) // once, 1 << bits) * size
        most = bytes_of(tier_at(arena, level), state.whole, size) << bits
        # In this order: the sum of both might not fit into 64 bits.
        state.target = min(state.target + min(step, most), most)
    else:
        step = max((once << bits) // again, 1 << bits) * size
        state.target = max(state.target - step, 0)
    _leave(arena, level, slot, size)
    ghosts.wake(arena, level, slot)


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """A block that was a ghost has been used again; others once."""
    which = _ONCE if entry_at(arena, level, slot).aux == _NEW else _AGAIN
    _enter(arena, level, which, slot, block_at(arena, slot).size)


@internal
def _trim(arena: Arena, level: int, queue: Queue, excess: int) -> None:
    """Forget the oldest ghosts of a list until so many bytes are gone or none is left."""
    while excess > 0 and queue.blocks.last != NONE:
        slot = queue.blocks.last
        size = ghosts.size(arena, level, slot)
        _leave(arena, level, slot, size)
        ghosts.forget(arena, level, slot)
        excess -= size


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """The oldest of one of the two lists, by the target; ghosts make room for the one that will be made."""
    tier, state = tier_at(arena, level), _state_at(arena, level)
    size, was = block_at(arena, tier.coming).size, entry_at(arena, level, tier.coming).aux
    capacity = bytes_of(tier, state.whole, size)
    once, again = state.once.n_bytes, state.again.n_bytes
    state.not_remembered = NONE
    if was == _NEW:
        seen_once = once + state.ghosts_once.n_bytes + size
        if seen_once > capacity and state.ghosts_once.n_bytes == 0:
            state.not_remembered = state.once.blocks.last
            return state.not_remembered
        if seen_once > capacity:
            _trim(arena, level, state.ghosts_once, seen_once - capacity)
        else:
            _trim(arena, level, state.ghosts_again, seen_once + again + state.ghosts_again.n_bytes - 2 * capacity)
    fine_once = once << state.bits
    from_once = fine_once > state.target or (was == _GHOST_AGAIN and fine_once == state.target)
    if again == 0 or (once > 0 and from_once):
        return state.once.blocks.last
    return state.again.blocks.last


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """What is evicted is remembered, but where blocks used once fill the whole tier."""
    size, which = block_at(arena, slot).size, entry_at(arena, level, slot).aux
    _leave(arena, level, slot, size)
    if evicted and slot != _state_at(arena, level).not_remembered:
        _enter(arena, level, which + 2, slot, size)
        ghosts.keep(arena, level, slot)


class Arc(EvictionSettings):
    """ARC (Megiddo & Modha, FAST 2003): blocks used once and blocks used again, the balance moved by hits in ghosts."""

    kind: Literal["arc"]

    state: ClassVar[Any] = State
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit, recall)

    def prepare(self, state: State, made: Made) -> None:
        """Start empty, with a target of 0 for what was used once."""
        clear_all(state.once.blocks, state.again.blocks, state.ghosts_once.blocks, state.ghosts_again.blocks)
        state.bits = 20 if made.tier.capacity < 1 << 42 else 6
        state.not_remembered = NONE
        set_share(state.whole, WHOLE)
