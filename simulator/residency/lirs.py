"""LIRS (Jiang & Zhang, SIGMETRICS 2002): blocks used twice within a short while stay, others pass through a queue.

A stack orders blocks and ghosts by their last use; its last is always one of the low inter-reference recency set (LIR).
The queue holds the other blocks (HIR), a hundredth of the capacity (``hir_ratio``); its last is the victim, which stays
in the stack as a ghost. What lies below the last LIR block is pruned. The paper leaves the length of the stack open;
here blocks and ghosts in it are limited to ``stack_ratio`` times the capacity, and the ghost evicted first goes first.

``aux``: state, and whether it is in the stack. The stack uses the tier's links, queue and list of ghosts (which no
block is in at once) the further fields.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.records import lists
from simulator.records.arena import Arena, Block, block_at, entry_at, links_of, state_of, tier_at
from simulator.records.lists import List, Node, clear_all
from simulator.records.record import Record
from simulator.residency import ghosts
from simulator.residency.settings import EvictionHooks, EvictionSettings, Exact, Made, Share, exact
from simulator.residency.shares import WHOLE, bytes_of, part_of, set_share
from simulator.residency.shares import Share as ShareOf

_NEW, _LIR, _HIR, _GHOST = range(4)
_IN_STACK = 4


class State(Record):
    """The lists, their bytes, and what they may have: ``stack / of`` times the capacity in the stack."""

    stack: List
    queue: List
    ghosts: List
    lir_bytes: int
    stack_bytes: int
    whole: ShareOf
    of_queue: ShareOf
    stack_part: int
    stack_of: int


class Fields(Record):
    """The links of the queue or of the list of ghosts."""

    links: Node


_state_at = state_of(State)


@internal
def _lir_limit(arena: Arena, level: int, size: int) -> int:
    """All but the queue's share, and but a block at least: without a HIR block LIRS would be LRU."""
    tier, state = tier_at(arena, level), _state_at(arena, level)
    return bytes_of(tier, state.whole, size) - max(bytes_of(tier, state.of_queue, size), size)


@internal
def _enqueue(arena: Arena, level: int, list_: List, slot: At[Block]) -> None:
    lists.prepend(arena, list_, slot, tier_at(arena, level).fields)


@internal
def _dequeue(arena: Arena, level: int, list_: List, slot: At[Block]) -> None:
    lists.remove(arena, list_, slot, tier_at(arena, level).fields)


@internal
def _forget(arena: Arena, level: int, slot: At[Block]) -> None:
    """Out of the stack and of the ghosts' list, and no ghost any more."""
    _unstack(arena, level, slot, ghosts.size(arena, level, slot))
    _dequeue(arena, level, _state_at(arena, level).ghosts, slot)
    ghosts.forget(arena, level, slot)


@internal
def _prune(arena: Arena, level: int) -> None:
    """The stack ends with a LIR block."""
    stack = _state_at(arena, level).stack
    slot = stack.last
    while slot != NONE and entry_at(arena, level, slot).aux % 4 != _LIR:
        if entry_at(arena, level, slot).aux % 4 == _GHOST:
            _forget(arena, level, slot)
        else:
            _unstack(arena, level, slot, block_at(arena, slot).size)
        slot = stack.last


@internal
def _shrink(arena: Arena, level: int, size: int) -> None:
    """The LIR blocks used longest ago become HIR until the others fit their share."""
    state, limit = _state_at(arena, level), _lir_limit(arena, level, size)
    while state.lir_bytes > limit:
        slot = state.stack.last
        of_last = block_at(arena, slot).size
        state.lir_bytes -= of_last
        _unstack(arena, level, slot, of_last)
        entry_at(arena, level, slot).aux = _HIR
        _enqueue(arena, level, state.queue, slot)
        _prune(arena, level)


@internal
def _limit(arena: Arena, level: int, size: int) -> None:
    """Forget ghosts, the one evicted first first, while the stack is too large."""
    state = _state_at(arena, level)
    most = part_of(bytes_of(tier_at(arena, level), state.whole, size), state.stack_part, state.stack_of)
    while state.stack_bytes > most and state.ghosts.last != NONE:
        _forget(arena, level, state.ghosts.last)


@internal
def _unstack(arena: Arena, level: int, slot: At[Block], size: int) -> None:
    state = _state_at(arena, level)
    lists.remove(arena, state.stack, slot, links_of(level))
    entry_at(arena, level, slot).aux -= _IN_STACK
    state.stack_bytes -= size


@internal
def _to_top(arena: Arena, level: int, slot: At[Block], kind: int) -> None:
    state, entry, size = _state_at(arena, level), entry_at(arena, level, slot), block_at(arena, slot).size
    if entry.aux >= _IN_STACK:
        _unstack(arena, level, slot, size)
    entry.aux = kind + _IN_STACK
    state.stack_bytes += size
    lists.prepend(arena, state.stack, slot, links_of(level))


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """To the top of the stack; a HIR block that was in it is LIR now."""
    state, was, size = _state_at(arena, level), entry_at(arena, level, slot).aux, block_at(arena, slot).size
    if was % 4 == _LIR:
        _to_top(arena, level, slot, _LIR)
        _prune(arena, level)
        return
    _dequeue(arena, level, state.queue, slot)
    if was < _IN_STACK:
        _to_top(arena, level, slot, _HIR)
        _enqueue(arena, level, state.queue, slot)
        # Where no block is LIR, as a large one can bring about, the stack would end with this one.
        _prune(arena, level)
        _limit(arena, level, size)
        return
    _to_top(arena, level, slot, _LIR)
    state.lir_bytes += size
    _shrink(arena, level, size)
    _prune(arena, level)


@internal
def recall(arena: Arena, level: int, slot: At[Block]) -> None:
    """A ghost's recency was low: it comes back as LIR."""
    _unstack(arena, level, slot, ghosts.size(arena, level, slot))
    _dequeue(arena, level, _state_at(arena, level).ghosts, slot)
    entry_at(arena, level, slot).aux = _GHOST
    ghosts.wake(arena, level, slot)


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """LIR if it was a ghost, or while their share is not filled; else HIR."""
    state, size, entry = _state_at(arena, level), block_at(arena, slot).size, entry_at(arena, level, slot)
    was = entry.aux
    entry.aux = _NEW
    if was == _GHOST or state.lir_bytes + size <= _lir_limit(arena, level, size):
        _to_top(arena, level, slot, _LIR)
        state.lir_bytes += size
        _shrink(arena, level, size)
    else:
        _to_top(arena, level, slot, _HIR)
        _enqueue(arena, level, state.queue, slot)
    _prune(arena, level)
    _limit(arena, level, size)


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """The HIR block that has queued longest; where there is none, the last of the stack."""
    state = _state_at(arena, level)
    return state.queue.last if state.queue.last != NONE else state.stack.last


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """An evicted HIR block stays in the stack if it is there; all others are forgotten."""
    state, entry, size = _state_at(arena, level), entry_at(arena, level, slot), block_at(arena, slot).size
    was = entry.aux
    if was % 4 == _LIR:
        state.lir_bytes -= size
        _unstack(arena, level, slot, size)
        _prune(arena, level)
        return
    _dequeue(arena, level, state.queue, slot)
    if was < _IN_STACK:
        return
    if not evicted:
        _unstack(arena, level, slot, size)
        return
    entry.aux = _GHOST + _IN_STACK
    _enqueue(arena, level, state.ghosts, slot)
    ghosts.keep(arena, level, slot)


class Lirs(EvictionSettings):
    """LIRS (Jiang & Zhang, SIGMETRICS 2002): blocks used twice within a short while stay, others pass through."""

    kind: Literal["lirs"]
    hir_ratio: Share = 0.01
    """Share of the capacity that the queue of HIR blocks has, which are the victims."""
    stack_ratio: Annotated[float, Field(ge=1, le=10), Exact] = 2.0
    """How much the stack may remember, ghosts included, as a multiple of the capacity."""

    state: ClassVar[Any] = State
    fields: ClassVar[Any] = Fields
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit, recall)

    def prepare(self, state: State, made: Made) -> None:
        """Start empty."""
        clear_all(state.stack, state.queue, state.ghosts)
        set_share(state.whole, WHOLE)
        set_share(state.of_queue, exact(self.hir_ratio))
        state.stack_part, state.stack_of = exact(self.stack_ratio).as_integer_ratio()
