"""S3-FIFO: a small queue that filters, a main queue, and ghosts of what the filter let go (Yang et al., SOSP 2023).

A tenth of the capacity is the small queue's (``small_ratio``); ghosts are remembered for nine tenths of it
(``ghost_ratio``). A block that was used ``move_to_main_threshold`` times in the small queue goes on to the main one.
Until the first eviction the small queue takes no more than its share, and further blocks go to the main queue.

``aux``: 4 x the number of uses since (3 at most), and which queue: small, main, ghosts.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, block_at, entry_at, state_of, tier_at
from simulator.records.lists import clear_all
from simulator.records.record import Record
from simulator.residency import ghosts, queues
from simulator.residency.queues import Queue
from simulator.residency.settings import EvictionHooks, EvictionSettings, Exact, Made, Share, exact
from simulator.residency.shares import WHOLE, bytes_of, set_share
from simulator.residency.shares import Share as ShareOf

_NEW, _SMALL, _MAIN, _GHOST = range(4)
_MOST = 3


class State(Record):
    """The queues and what they may have."""

    small: Queue
    main: Queue
    ghosts: Queue
    has_evicted: int
    threshold: int
    whole: ShareOf
    of_small: ShareOf
    of_ghosts: ShareOf


_state_at = state_of(State)


@internal
def _queue(state: State, which: int) -> Queue:
    if which == _SMALL:
        return state.small
    return state.main if which == _MAIN else state.ghosts


@internal
def _enter(arena: Arena, level: int, which: int, uses: int, slot: At[Block], size: int) -> None:
    entry_at(arena, level, slot).aux = uses * 4 + which
    queues.enter(arena, level, _queue(_state_at(arena, level), which), slot, size)


@internal
def _leave(arena: Arena, level: int, slot: At[Block], size: int) -> None:
    which = entry_at(arena, level, slot).aux % 4
    queues.leave(arena, level, _queue(_state_at(arena, level), which), slot, size)


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """Count the use."""
    entry = entry_at(arena, level, slot)
    if entry.aux < _MOST * 4:
        entry.aux += 4


@internal
def recall(arena: Arena, level: int, slot: At[Block]) -> None:
    """A ghost goes to the main queue."""
    _leave(arena, level, slot, ghosts.size(arena, level, slot))
    entry_at(arena, level, slot).aux = _GHOST
    ghosts.wake(arena, level, slot)


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Ghosts to the main queue, others to the small one."""
    state, size = _state_at(arena, level), block_at(arena, slot).size
    is_full = state.has_evicted == 0 and state.small.n_bytes >= bytes_of(tier_at(arena, level), state.of_small, size)
    which = _MAIN if entry_at(arena, level, slot).aux == _GHOST or is_full else _SMALL
    _enter(arena, level, which, 0, slot, size)


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """From the main queue if that has outgrown its share, else from the small one."""
    tier, state = tier_at(arena, level), _state_at(arena, level)
    state.has_evicted = 1
    coming = block_at(arena, tier.coming).size
    of_main = bytes_of(tier, state.whole, coming) - bytes_of(tier, state.of_small, coming)
    while True:
        if state.main.n_bytes <= of_main:
            while state.small.n_bytes > 0:
                slot = state.small.blocks.last
                if entry_at(arena, level, slot).aux // 4 < state.threshold:
                    return slot
                size = block_at(arena, slot).size
                _leave(arena, level, slot, size)
                _enter(arena, level, _MAIN, 0, slot, size)
        while state.main.n_bytes > 0:
            slot = state.main.blocks.last
            uses = entry_at(arena, level, slot).aux // 4
            if uses == 0:
                return slot
            size = block_at(arena, slot).size
            _leave(arena, level, slot, size)
            _enter(arena, level, _MAIN, uses - 1, slot, size)
        return state.small.blocks.last


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """What the small queue lets go is remembered; the oldest ghosts make room."""
    state, size, which = _state_at(arena, level), block_at(arena, slot).size, entry_at(arena, level, slot).aux % 4
    _leave(arena, level, slot, size)
    if not evicted or which != _SMALL:
        return
    limit = bytes_of(tier_at(arena, level), state.of_ghosts, size)
    if size > limit:
        return
    while state.ghosts.n_bytes + size > limit:
        oldest = state.ghosts.blocks.last
        _leave(arena, level, oldest, ghosts.size(arena, level, oldest))
        ghosts.forget(arena, level, oldest)
    _enter(arena, level, _GHOST, 0, slot, size)
    ghosts.keep(arena, level, slot)


class S3Fifo(EvictionSettings):
    """S3-FIFO (Yang et al., SOSP 2023): a small queue filters what a main one keeps; its ghosts come back to that."""

    kind: Literal["s3fifo"]
    small_ratio: Share = 0.1
    """Share of the capacity that the small queue has."""
    ghost_ratio: Annotated[float, Field(ge=0, le=10), Exact] = 0.9
    """How much is remembered of what the small queue let go, as a share of the capacity."""
    move_to_main_threshold: Annotated[int, Field(ge=1, le=_MOST)] = 2
    """Uses in the small queue from which on a block goes on to the main queue."""

    state: ClassVar[Any] = State
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit, recall)

    def prepare(self, state: State, made: Made) -> None:
        """Start empty."""
        clear_all(state.small.blocks, state.main.blocks, state.ghosts.blocks)
        state.threshold = self.move_to_main_threshold
        set_share(state.whole, WHOLE)
        set_share(state.of_small, exact(self.small_ratio))
        set_share(state.of_ghosts, exact(self.ghost_ratio))
