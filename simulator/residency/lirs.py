"""LIRS (Jiang & Zhang, SIGMETRICS 2002): blocks used twice within a short while stay, others pass through a queue.

A stack orders blocks and ghosts by their last use; its last is always one of the low inter-reference recency set (LIR).
The queue holds the other blocks (HIR), a hundredth of the capacity; its last is the victim, which stays in the stack
as a ghost. What lies below the last LIR block is pruned. The paper leaves the length of the stack open; here blocks
and ghosts in it are limited to ``STACK`` times the capacity, and the ghost evicted first goes first.

``aux``: state, and whether it is in the stack. The stack uses the tier's links, queue and list of ghosts (which no
block is in at once) the further fields.
"""

from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.residency import ghosts, lists, shares
from simulator.residency.layout import R_EXTRA, R_POLICY, SIZE, Tier

# Of the further fields: the links of the queue.
EXTRAS = 2
STACK = 2
_NEW, _LIR, _HIR, _GHOST = range(4)
_IN_STACK = 4
_STACK, _QUEUE, _GHOSTS = R_POLICY, R_POLICY + 2, R_POLICY + 4
_LIR_BYTES, _STACK_BYTES = R_POLICY + 6, R_POLICY + 7


@internal
def _queued(a: Ints, t: Tier) -> Tier:
    """The same tier with the links of the queue."""
    extra = a[t.reg + R_EXTRA]
    return Tier(t.level, t.reg, extra, extra + 1, t.aux, t.dirty, t.prefetch)


@internal
def _lir_limit(a: Ints, t: Tier, size: int) -> int:
    """All but a hundredth, and but a block at least: without a HIR block LIRS would be LRU."""
    return shares.whole(a, t, size) - max(shares.share(a, t, size, 1, 100), size)


@internal
def setup(a: Ints, t: Tier) -> None:
    """Start empty."""
    for head in (_STACK, _QUEUE, _GHOSTS):
        lists.clear(a, t, head)
    a[t.reg + _LIR_BYTES] = a[t.reg + _STACK_BYTES] = 0


@internal
def _forget(a: Ints, t: Tier, slot: int) -> None:
    """Out of the ghosts' list, and no ghost any more; the stack is the caller's."""
    lists.unlink(a, _queued(a, t), _GHOSTS, slot)


@internal
def _prune(a: Ints, t: Tier) -> None:
    """The stack ends with a LIR block."""
    slot = lists.last(a, t, _STACK)
    while slot != NONE and a[slot + t.aux] % 4 != _LIR:
        if a[slot + t.aux] % 4 == _GHOST:
            _unstack(a, t, slot, ghosts.size(a, t, slot))
            _forget(a, t, slot)
            ghosts.forget(a, t, slot)
        else:
            _unstack(a, t, slot, a[slot + SIZE])
        slot = lists.last(a, t, _STACK)


@internal
def _shrink(a: Ints, t: Tier, size: int) -> None:
    """The LIR blocks used longest ago become HIR until the others fit their share."""
    while a[t.reg + _LIR_BYTES] > _lir_limit(a, t, size):
        slot = lists.last(a, t, _STACK)
        a[t.reg + _LIR_BYTES] -= a[slot + SIZE]
        _unstack(a, t, slot, a[slot + SIZE])
        a[slot + t.aux] = _HIR
        lists.push_front(a, _queued(a, t), _QUEUE, slot)
        _prune(a, t)


@internal
def _limit(a: Ints, t: Tier, size: int) -> None:
    """Forget ghosts, the one evicted first first, while the stack is larger than ``STACK`` times the capacity."""
    queued = _queued(a, t)
    while a[t.reg + _STACK_BYTES] > STACK * shares.whole(a, t, size):
        oldest = lists.last(a, queued, _GHOSTS)
        if oldest == NONE:
            return
        _unstack(a, t, oldest, ghosts.size(a, t, oldest))
        _forget(a, t, oldest)
        ghosts.forget(a, t, oldest)


@internal
def _unstack(a: Ints, t: Tier, slot: int, size: int) -> None:
    lists.unlink(a, t, _STACK, slot)
    a[slot + t.aux] -= _IN_STACK
    a[t.reg + _STACK_BYTES] -= size


@internal
def _to_top(a: Ints, t: Tier, slot: int, state: int) -> None:
    if a[slot + t.aux] >= _IN_STACK:
        _unstack(a, t, slot, a[slot + SIZE])
    a[slot + t.aux] = state + _IN_STACK
    a[t.reg + _STACK_BYTES] += a[slot + SIZE]
    lists.push_front(a, t, _STACK, slot)


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """To the top of the stack; a HIR block that was in it is LIR now."""
    was = a[slot + t.aux]
    if was % 4 == _LIR:
        _to_top(a, t, slot, _LIR)
        _prune(a, t)
        return
    queued = _queued(a, t)
    lists.unlink(a, queued, _QUEUE, slot)
    if was < _IN_STACK:
        _to_top(a, t, slot, _HIR)
        lists.push_front(a, queued, _QUEUE, slot)
        # Where no block is LIR, as a large one can bring about, the stack would end with this one.
        _prune(a, t)
        _limit(a, t, a[slot + SIZE])
        return
    _to_top(a, t, slot, _LIR)
    a[t.reg + _LIR_BYTES] += a[slot + SIZE]
    _shrink(a, t, a[slot + SIZE])
    _prune(a, t)


@internal
def recall(a: Ints, t: Tier, slot: int) -> None:
    """A ghost's recency was low: it comes back as LIR."""
    _forget(a, t, slot)
    _unstack(a, t, slot, ghosts.size(a, t, slot))
    a[slot + t.aux] = _GHOST
    ghosts.wake(a, t, slot)


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """LIR if it was a ghost, or while their share is not filled; else HIR."""
    size = a[slot + SIZE]
    was = a[slot + t.aux]
    a[slot + t.aux] = _NEW
    if was == _GHOST or a[t.reg + _LIR_BYTES] + size <= _lir_limit(a, t, size):
        _to_top(a, t, slot, _LIR)
        a[t.reg + _LIR_BYTES] += size
        _shrink(a, t, size)
    else:
        _to_top(a, t, slot, _HIR)
        lists.push_front(a, _queued(a, t), _QUEUE, slot)
    _prune(a, t)
    _limit(a, t, size)


@internal
def victim(a: Ints, t: Tier) -> int:
    """The HIR block that has queued longest; where there is none, the last of the stack."""
    slot = lists.last(a, _queued(a, t), _QUEUE)
    return slot if slot != NONE else lists.last(a, t, _STACK)


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """An evicted HIR block stays in the stack if it is there; all others are forgotten."""
    was, size = a[slot + t.aux], a[slot + SIZE]
    queued = _queued(a, t)
    if was % 4 == _LIR:
        a[t.reg + _LIR_BYTES] -= size
        _unstack(a, t, slot, size)
        _prune(a, t)
        return
    lists.unlink(a, queued, _QUEUE, slot)
    if was < _IN_STACK:
        return
    if not evicted:
        _unstack(a, t, slot, size)
        return
    a[slot + t.aux] = _GHOST + _IN_STACK
    lists.push_front(a, queued, _GHOSTS, slot)
    ghosts.keep(a, t, slot)
