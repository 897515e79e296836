"""W-TinyLFU: a window in front of a main cache that only frequent blocks enter (Einziger, Friedman & Manes, TOS 2017).

The window is an LRU of a hundredth of the capacity (``window_ratio``). What it lets go challenges the main cache's next
victim; the one asked for less often of late, by a sketch, leaves the tier. The main cache is a segmented LRU of two
lists, of which the upper one has ``protected_ratio``. ``aux``: which of its lists, or the window.
"""

from typing import Any, ClassVar, Literal

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, block_at, entry_at, place_of_policy, state_of, tier_at
from simulator.records.lists import clear_all
from simulator.records.record import Record
from simulator.residency import queues, segments, sketch
from simulator.residency.queues import Queue
from simulator.residency.segments import Segments
from simulator.residency.settings import EvictionHooks, EvictionSettings, Made, Share, exact
from simulator.residency.shares import WHOLE, bytes_of, part_of, set_share
from simulator.residency.shares import Share as ShareOf
from simulator.residency.sketch import Sketch

_WINDOW = 2


class State(Record):
    """The window, the main cache, the sketch's place, what the window may have, and the main cache for which size.

    ``protected / of`` is the part of the main cache's upper list.
    """

    window: Queue
    sketch: At[Sketch]
    whole: ShareOf
    of_window: ShareOf
    protected: int
    of: int
    size: int
    main_limit: int
    window_limit: int
    main: Segments


_state_at = state_of(State)
_MAIN = State.word("main")


@internal
def _main(level: int) -> At[Segments]:
    return place_of_policy(level) + _MAIN


@internal
def _fit(arena: Arena, level: int, size: int) -> None:
    """Set the limits for blocks of this size; the window has room for one at least."""
    state = _state_at(arena, level)
    if size == state.size:
        return
    tier = tier_at(arena, level)
    state.size = size
    state.window_limit = max(bytes_of(tier, state.of_window, size), size)
    main = state.main_limit = bytes_of(tier, state.whole, size) - state.window_limit
    segments.segment(arena, _main(level), 0).limit = part_of(main, state.of - state.protected, state.of)
    segments.segment(arena, _main(level), 1).limit = part_of(main, state.protected, state.of)


@internal
def _count(arena: Arena, level: int, slot: At[Block]) -> None:
    sketch.add(arena, _state_at(arena, level).sketch, block_at(arena, slot).key)


@internal
def _enter(arena: Arena, level: int, slot: At[Block]) -> None:
    entry_at(arena, level, slot).aux = _WINDOW
    queues.enter(arena, level, _state_at(arena, level).window, slot, block_at(arena, slot).size)


@internal
def _leave(arena: Arena, level: int, slot: At[Block]) -> None:
    queues.leave(arena, level, _state_at(arena, level).window, slot, block_at(arena, slot).size)


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """In the window to its head; in the main cache one list up."""
    if entry_at(arena, level, slot).aux == _WINDOW:
        _leave(arena, level, slot)
        _enter(arena, level, slot)
    else:
        _count(arena, level, slot)
        sketch.age(arena, _state_at(arena, level).sketch)
        _fit(arena, level, block_at(arena, slot).size)
        segments.rise(arena, level, _main(level), slot)


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Into the window; what it has too much goes to the main cache while that has room."""
    _count(arena, level, slot)
    _enter(arena, level, slot)
    _pass_on(arena, level, block_at(arena, slot).size, 0)


@internal
def _pass_on(arena: Arena, level: int, size: int, coming: int) -> None:
    """Let the window make room for ``coming`` bytes by passing blocks on to a main cache that has room for them."""
    _fit(arena, level, size)
    state = _state_at(arena, level)
    last = state.window.blocks.last
    while last != NONE and state.window.n_bytes + coming > state.window_limit:
        if segments.n_bytes(arena, _main(level)) + block_at(arena, last).size > state.main_limit:
            return
        _count(arena, level, last)
        _leave(arena, level, last)
        segments.insert(arena, level, _main(level), last)
        last = state.window.blocks.last


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """The loser of the window's last and the main cache's next victim; the latter alone where the window has room."""
    state, size = _state_at(arena, level), block_at(arena, tier_at(arena, level).coming).size
    _pass_on(arena, level, size, size)
    candidate, main = state.window.blocks.last, segments.lowest(arena, _main(level))
    if main == NONE:
        return candidate
    if candidate == NONE or state.window.n_bytes + size <= state.window_limit:
        return main
    of_candidate = sketch.estimate(arena, state.sketch, block_at(arena, candidate).key)
    return main if of_candidate > sketch.estimate(arena, state.sketch, block_at(arena, main).key) else candidate


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """Out of the window or the main cache."""
    if entry_at(arena, level, slot).aux != _WINDOW:
        segments.leave(arena, level, _main(level), slot)
        return
    _leave(arena, level, slot)
    if evicted:
        _count(arena, level, slot)


class WTinyLfu(EvictionSettings):
    """W-TinyLFU (Einziger, Friedman & Manes, TOS 2017): a window before a main cache for frequent blocks alone."""

    kind: Literal["wtinylfu"]
    window_ratio: Share = 0.01
    protected_ratio: Share = 0.8

    state: ClassVar[Any] = State
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit)
    sketches: ClassVar[bool] = True

    def area_words(self, n_blocks: int) -> int:
        """The sketch."""
        return sketch.words_for(n_blocks)

    def prepare(self, state: State, made: Made) -> None:
        """Start empty."""
        clear_all(state.window.blocks)
        sketch.make(made.ints, made.area, made.n_blocks)
        state.sketch = made.area
        set_share(state.whole, WHOLE)
        set_share(state.of_window, exact(self.window_ratio))
        state.protected, state.of = exact(self.protected_ratio).as_integer_ratio()
        segments.make(made.ints, At(state.main.place), [0, 0])
