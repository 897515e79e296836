"""2Q, full version (Johnson & Shasha, VLDB 1994): A1in, Am and A1out in the paper.

A quarter of the capacity is the queue's (``ain_ratio``), ghosts are remembered for half of it (``aout_ratio``). A block
is in the LRU list if it was asked for again after it had left the queue. ``aux``: which list.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records import lists
from simulator.records.arena import Arena, Block, block_at, entry_at, links_of, state_of
from simulator.records.lists import clear_all
from simulator.records.record import Record
from simulator.residency import ghosts, queues
from simulator.residency.queues import Queue
from simulator.residency.settings import EvictionHooks, EvictionSettings, Exact, Made, Share, exact

_NEW, _QUEUE, _MAIN, _GHOST = range(4)


class State(Record):
    """The lists, and the bytes that the queue and the ghosts may have."""

    queue: Queue
    main: Queue
    ghosts: Queue
    of_queue: int
    of_ghosts: int


_state_at = state_of(State)


@internal
def _list(state: State, which: int) -> Queue:
    if which == _QUEUE:
        return state.queue
    return state.main if which == _MAIN else state.ghosts


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
    """To the head of the LRU list if it is there; the queue is blind to hits."""
    main = _state_at(arena, level).main.blocks
    if entry_at(arena, level, slot).aux == _MAIN and main.first != slot:
        lists.remove(arena, main, slot, links_of(level))
        lists.prepend(arena, main, slot, links_of(level))


@internal
def recall(arena: Arena, level: int, slot: At[Block]) -> None:
    """A ghost goes to the LRU list."""
    _leave(arena, level, slot, ghosts.size(arena, level, slot))
    ghosts.wake(arena, level, slot)


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Ghosts to the LRU list, others to the queue."""
    which = _MAIN if entry_at(arena, level, slot).aux == _GHOST else _QUEUE
    _enter(arena, level, which, slot, block_at(arena, slot).size)


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """From the queue if that has outgrown its share, else the least recently used of the list."""
    state = _state_at(arena, level)
    if state.main.n_bytes == 0 or state.queue.n_bytes > state.of_queue:
        return state.queue.blocks.last
    return state.main.blocks.last


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """What the queue lets go is remembered; the oldest ghosts make room."""
    state, size, which = _state_at(arena, level), block_at(arena, slot).size, entry_at(arena, level, slot).aux
    _leave(arena, level, slot, size)
    if not evicted or which != _QUEUE or size > state.of_ghosts:
        return
    while state.ghosts.n_bytes + size > state.of_ghosts:
        oldest = state.ghosts.blocks.last
        _leave(arena, level, oldest, ghosts.size(arena, level, oldest))
        ghosts.forget(arena, level, oldest)
    _enter(arena, level, _GHOST, slot, size)
    ghosts.keep(arena, level, slot)


class TwoQ(EvictionSettings):
    """2Q (Johnson & Shasha, VLDB 1994): a first-in-first-out queue, an LRU list, and ghosts of the queue."""

    kind: Literal["2q"]
    ain_ratio: Share = 0.25
    """Share of the capacity that A1in has, the queue of blocks that were used once."""
    aout_ratio: Annotated[float, Field(ge=0, le=10), Exact] = 0.5
    """How much A1out remembers of what left that queue, as a share of the capacity."""

    state: ClassVar[Any] = State
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit, recall)

    def prepare(self, state: State, made: Made) -> None:
        """Start empty."""
        clear_all(state.queue.blocks, state.main.blocks, state.ghosts.blocks)
        state.of_queue = int(made.tier.capacity * exact(self.ain_ratio))
        state.of_ghosts = int(made.tier.capacity * exact(self.aout_ratio))
