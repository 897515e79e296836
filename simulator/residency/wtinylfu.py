"""W-TinyLFU: a window in front of a main cache that only frequent blocks enter (Einziger, Friedman & Manes, TOS 2017).

The window is an LRU of a hundredth of the capacity (``window_ratio``). What it lets go challenges the main cache's next
victim; the one asked for less often of late, by a sketch, leaves the tier. The main cache is a segmented LRU of two
lists, of which the upper one has ``protected_ratio``. ``aux``: which of its lists, or the window.

``variant: libcachesim`` is that simulator's reading. Its window may fill the whole tier; blocks leave it only when one
must go, for the main cache as long as that has room. Its main cache is ``slru`` in the same variant: a use may push a
block out. What wins against the main cache's victim moves there at once. Uses are counted by a ``bloom``. (Where a
hundredth is no block, libCacheSim's window lets nothing in; here it has room for one.)
"""

from typing import Any, ClassVar, Literal

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, block_at, entry_at, place_of_policy, state_of, tier_at
from simulator.records.lists import clear_all
from simulator.records.record import Record
from simulator.residency import bloom, queues, segments, sketch
from simulator.residency.bloom import Bloom
from simulator.residency.queues import Queue
from simulator.residency.segments import Segments
from simulator.residency.settings import EvictionHooks, EvictionSettings, Made, Share, Variant, exact
from simulator.residency.shares import WHOLE, bytes_of, part_of, set_share
from simulator.residency.shares import Share as ShareOf
from simulator.residency.sketch import Sketch

_WINDOW = 2


class State(Record):
    """The window, the main cache, where uses are counted, what the window may have, and the main cache for which size.

    ``protected / of`` is the part of the main cache's upper list. ``as_libcachesim``: it is that variant, and has a
    ``bloom`` instead of the sketch.
    """

    as_libcachesim: int
    window: Queue
    sketch: At[Sketch]
    bloom: At[Bloom]
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
    state, key = _state_at(arena, level), block_at(arena, slot).key
    if state.as_libcachesim:
        bloom.add(arena, state.bloom, key)
    else:
        sketch.add(arena, state.sketch, key)


@internal
def _is_used_more(arena: Arena, level: int, slot: At[Block], other: At[Block]) -> bool:
    state, key, key_of_other = _state_at(arena, level), block_at(arena, slot).key, block_at(arena, other).key
    if state.as_libcachesim:
        return bloom.estimate(arena, state.bloom, key) > bloom.estimate(arena, state.bloom, key_of_other)
    return sketch.estimate(arena, state.sketch, key) > sketch.estimate(arena, state.sketch, key_of_other)


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
        return
    _count(arena, level, slot)
    _fit(arena, level, block_at(arena, slot).size)
    has_come_down, state = segments.rise(arena, level, _main(level), slot), _state_at(arena, level)
    if state.as_libcachesim:
        bloom.age(arena, state.bloom)
        tier_at(arena, level).overflows = has_come_down
    else:
        sketch.age(arena, state.sketch)


@internal
def overflow(arena: Arena, level: int) -> At[Block]:
    """Out of the main cache, if its lowest list has too much."""
    return segments.overflow(arena, _main(level))


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Into the window; what it has too much goes to the main cache while that has room."""
    _count(arena, level, slot)
    _enter(arena, level, slot)
    if not _state_at(arena, level).as_libcachesim:
        _pass_on(arena, level, block_at(arena, slot).size, 0)


@internal
def _pass_on(arena: Arena, level: int, size: int, coming: int) -> None:
    """Let the window make room for ``coming`` bytes by passing blocks on to a main cache that has room for them.

    As libCacheSim: pass on as many as that has room for.
    """
    _fit(arena, level, size)
    state = _state_at(arena, level)
    last = state.window.blocks.last
    while last != NONE and (state.as_libcachesim or state.window.n_bytes + coming > state.window_limit):
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
    if candidate == NONE or (not state.as_libcachesim and state.window.n_bytes + size <= state.window_limit):
        return main
    return main if _is_used_more(arena, level, candidate, main) else candidate


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """Out of the window or the main cache."""
    if entry_at(arena, level, slot).aux != _WINDOW:
        segments.leave(arena, level, _main(level), slot)
        if _state_at(arena, level).as_libcachesim and evicted and not tier_at(arena, level).overflows:
            # It has lost against the window's last, which takes its place.
            _pass_on(arena, level, block_at(arena, slot).size, 0)
        return
    _leave(arena, level, slot)
    if evicted:
        _count(arena, level, slot)


class WTinyLfu(EvictionSettings):
    """W-TinyLFU (Einziger, Friedman & Manes, TOS 2017): a window before a main cache for frequent blocks alone."""

    kind: Literal["wtinylfu"]
    window_ratio: Share = 0.01
    """Share of the capacity that the window has, an LRU list that new blocks enter."""
    protected_ratio: Share = 0.8
    """Share of the main cache that its upper, protected list has."""
    variant: Variant = "paper"
    """Whose reading: `paper`, or `libcachesim` where that decides otherwise."""

    state: ClassVar[Any] = State
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit, overflow=overflow)
    sketches: ClassVar[bool] = True

    @property
    def pushes_out(self) -> bool:
        """Whether it is libCacheSim's."""
        return self.variant == "libcachesim"

    def main_blocks(self, n_blocks: int) -> int:
        """How many of so many blocks the main cache has."""
        window = exact(self.window_ratio)
        return n_blocks - max(n_blocks * window.numerator // window.denominator, 1)

    def area_words(self, n_blocks: int) -> int:
        """Where uses are counted."""
        if self.variant == "libcachesim":
            return bloom.words_for(self.main_blocks(n_blocks))
        return sketch.words_for(n_blocks)

    def prepare(self, state: State, made: Made) -> None:
        """Start empty."""
        clear_all(state.window.blocks)
        state.as_libcachesim = self.variant == "libcachesim"
        if state.as_libcachesim:
            bloom.make(made.ints, made.area, self.main_blocks(made.n_blocks))
            state.bloom = made.area
        else:
            sketch.make(made.ints, made.area, made.n_blocks)
            state.sketch = made.area
        set_share(state.whole, WHOLE)
        set_share(state.of_window, exact(self.window_ratio))
        state.protected, state.of = exact(self.protected_ratio).as_integer_ratio()
        segments.make(made.ints, At(state.main.place), [0, 0])
