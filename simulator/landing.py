"""The ends of hops: landings, evictions, write-backs, and what a link takes up next (R5, R6, R9, R40, R42)."""

from simulator import backlog, calls, fates, flight, keyset
from simulator.arrays import NONE, At
from simulator.compiled import inlined, internal, soon
from simulator.fates import CANCELLED
from simulator.links import DEMAND, PREFETCH, WRITE_BACK, dequeue, link_of, start
from simulator.movement import CLEAN, COMPUTED, WRITTEN, hop, lowest_bit, new_transfer, release
from simulator.policy import Trigger
from simulator.records import lists
from simulator.records.arena import Arena, Victim, block_at, entry_at, nth_victim, tier_at
from simulator.records.moving import IN_QUEUE, Link, Prefetch, Transfer, give_back, nth_link, prefetch_at, transfer_at
from simulator.records.record import words_of
from simulator.records.run import Run
from simulator.residency import eviction, moves

VICTIM_ROOM = 64
_NEVER = int(Trigger.NEVER)
# What the end of a hop means.
GOES_ON, IS_THERE, IS_BELOW, WAITS = range(4)


@internal
def _highest_bit(where: int) -> int:
    level = 0
    while where >> (level + 1) != 0:
        level += 1
    return level


@internal
def allocate(run: Run, arena: Arena, key: int, size: int) -> None:
    """A write to a block that is neither in tier 0 nor in flight: it needs no fetch."""
    # First: what is not admitted is written down at once, and that write-back must not count as out of date.
    invalidate_below(run, arena, key)
    _insert(run, arena, 0, key, size, WRITTEN)


@internal
def invalidate_below(run: Run, arena: Arena, key: int) -> None:
    """The block in tier 0 was written: copies below, and any on their way down, are out of date."""
    where = moves.locate(arena, key)
    for level in range(1, run.settings.origin):
        if (where >> level) & 1:
            moves.remove(arena, level, key)
    old = flight.find(run, key)
    if old != NONE:
        t = transfer_at(run, old)
        t.is_obsolete = 1
        flight.leave(run, t)


@inlined
def _insert_here(
    run: Run, arena: Arena, level: int, key: int, size: int, dirty: int, prefetch: At[Prefetch], by_prefetch: bool
) -> None:
    report_all = by_prefetch or run.settings.demotes != 0
    while True:
        n = moves.insert(arena, level, key, size, dirty, prefetch, words_of(run), run.victims, VICTIM_ROOM, report_all)
        for i in range(n if n >= 0 else VICTIM_ROOM):
            _evict(run, arena, level, nth_victim(run, run.victims, i), key, by_prefetch)
        if n != moves.FULL:
            break
    _out_soon(run, arena, level)


@internal
def _insert(run: Run, arena: Arena, level: int, key: int, size: int, dirty: int) -> None:
    _insert_here(run, arena, level, key, size, dirty, NONE, False)


@internal
def push_out(run: Run, arena: Arena, level: int) -> None:
    """The use of a block just now has pushed others out of a tier (rule R42)."""
    n = moves.push_out(arena, level, words_of(run), run.victims, run.settings.demotes != 0)
    for i in range(n):
        _evict(run, arena, level, nth_victim(run, run.victims, i), 0, False)


@internal
def use_source(run: Run, arena: Arena, key: int, where: int) -> None:
    """The nearest of the tiers that hold a block is read from: that is what its eviction policy goes by (rule R25)."""
    if where != 0:
        level = lowest_bit(where)
        moves.use(arena, level, key)
        if tier_at(arena, level).overflows:
            push_out(run, arena, level)


@internal
def _out_soon(run: Run, arena: Arena, level: int) -> None:
    """Have fetched what will be needed when the next block leaves: that takes longer than the rest of it."""
    slot = eviction.out_soon(arena, level)
    if slot != NONE and run.settings.trigger != _NEVER:
        keyset.find_soon(run, run.polluted, block_at(arena, slot).key)
        prefetch = entry_at(arena, level, slot).prefetch
        if prefetch != NONE:
            soon(run, prefetch)


@inlined
def _evict(run: Run, arena: Arena, level: int, victim: Victim, coming: int, by_prefetch: bool) -> None:
    key, dirty, where = victim.key, victim.dirty, victim.where
    if level == 0:
        if victim.prefetch != NONE:
            fates.evict(run, prefetch_at(run, victim.prefetch))
        # A block that is not admitted is its own victim, and no prefetch's.
        if by_prefetch and key != coming:
            keyset.add(run, run.polluted, key)
    moving = flight.find(run, key)
    above = where & ((1 << level) - 1)
    if moving != NONE and above != 0:
        # It is on its way up and has left a copy between: the lowest copy answers for what is nowhere else.
        moves.mark(arena, _highest_bit(above), key, dirty)
    elif moving != NONE:
        # It is on its way up from here: the transfer takes over the only copy.
        t = transfer_at(run, moving)
        t.dirty = max(t.dirty, dirty)
    elif where >> (level + 1) == 0:
        _write_down(run, level, key, victim.size, dirty)


@internal
def _write_down(run: Run, level: int, key: int, size: int, dirty: int) -> None:
    """Save what is nowhere else one level down, at background priority; drop what need not be saved."""
    into_origin = level + 1 == run.settings.origin
    if dirty == WRITTEN or (not into_origin and (dirty == COMPUTED or run.settings.demotes != 0)):
        backlog.add(run, level, size)
        t = new_transfer(run, key, size, WRITE_BACK, level)
        t.is_down, t.dirty = 1, dirty
        hop(run, t)


@internal
def _end_hop(run: Run, t: Transfer) -> bool:
    """The block has left the link; whether the tier that it has come to takes it in."""
    settings = run.settings
    if t.is_down:
        t.level += 1
        return not t.is_obsolete and t.level < settings.origin
    if settings.computes_in_place and t.level == settings.origin:
        t.level, t.dirty = 0, max(t.dirty, COMPUTED)
    else:
        t.level -= 1
    return not t.is_again and (t.level == 0 or not settings.is_exclusive)


@inlined
def arrive(run: Run, arena: Arena, t: Transfer, has_turn: bool) -> int:
    """The end of a hop, or of the wait after it. Where the block is there, and accesses can go on, the caller does."""
    settings = run.settings
    if not has_turn and _end_hop(run, t) and settings.bounds_backlogs and backlog.is_shut(run, t.level):
        backlog.wait(run, t.level, t)
        return WAITS
    if t.is_down:
        return _arrive_below(run, arena, t)
    if t.level > 0:
        return _pass(run, arena, t)
    if t.is_again:
        return IS_THERE
    flight.leave(run, t)
    if settings.is_exclusive and t.source < settings.origin:
        t.dirty = max(t.dirty, moves.remove(arena, t.source, t.key))
    if t.priority == PREFETCH:
        release(run, t)
    if run.polluted.n != 0:
        keyset.discard(run, run.polluted, t.key)
    # The way of most blocks, for which it is compiled apart.
    _insert_here(run, arena, 0, t.key, t.size, t.dirty, t.prefetch, t.class_ == PREFETCH)
    return IS_THERE


@internal
def _pass(run: Run, arena: Arena, t: Transfer) -> int:
    if not run.settings.is_exclusive and not t.is_again:
        # What the transfer has taken over is this copy's from now on, unless the tier does not keep it.
        dirty = t.dirty
        t.dirty = CLEAN
        _insert(run, arena, t.level, t.key, t.size, dirty)
    hop(run, t)
    return GOES_ON


@internal
def _arrive_below(run: Run, arena: Arena, t: Transfer) -> int:
    if not t.is_obsolete:
        flight.leave(run, t)
        if t.level < run.settings.origin:
            _insert(run, arena, t.level, t.key, t.size, t.dirty)
    backlog.leave(run, t.source, t.size)
    return IS_BELOW


@internal
def _is_overdue(run: Run, t: Transfer) -> bool:
    return run.settings.max_wait_ns >= 0 and run.now - t.queued_ns > run.settings.max_wait_ns


@internal
def _cancel(run: Run, t: Transfer) -> None:
    """A prefetch, taken out of its queue, has waited for too long."""
    run.has_landed = 1
    flight.leave(run, t)
    release(run, t)
    link_of(run, t).bytes_asked[t.class_] -= t.size
    fates.close(run, prefetch_at(run, t.prefetch), CANCELLED)
    if t.dirty != CLEAN:
        _write_down(run, t.source, t.key, t.size, t.dirty)
    give_back(run, run.pools.transfers, t)


@internal
def _next_call(run: Run, link: Link) -> At[Transfer]:
    """What a channel takes: the oldest of the most urgent, and as many of its kind as may share a call; or NONE."""
    first, last, n = NONE, NONE, 0
    for priority in range(DEMAND, WRITE_BACK + 1):
        while n < link.blocks_per_call:
            place = link.queues[priority].list.first
            if place == NONE:
                break
            t = transfer_at(run, place)
            if n > 0 and t.is_down != transfer_at(run, first).is_down:
                break
            dequeue(run, t)
            if priority == PREFETCH and _is_overdue(run, t):
                # What it gives back is written down over a link further below, which chooses after this one.
                _cancel(run, t)
                continue
            t.mate = NONE
            if n == 0:
                first = place
            else:
                transfer_at(run, last).mate = place
            last = place
            n += 1
        if n > 0:
            break
    return first


@internal
def _next_alone(run: Run, link: Link) -> At[Transfer]:
    """The same where a call has one block, and nothing is given up: most links are so."""
    for priority in range(DEMAND, WRITE_BACK + 1):
        queue = link.queues[priority]
        place = queue.list.first
        if place != NONE:
            lists.remove_first(run, queue.list, IN_QUEUE)
            queue.n -= 1
            link.n_queued -= 1
            transfer_at(run, place).mate = NONE
            return place
    return NONE


@internal
def choose(run: Run) -> None:
    """All that happens at this instant is applied: free channels choose what they start (rules R2, R8, R11)."""
    gives_up = run.settings.max_wait_ns >= 0
    for i in range(run.n_links):
        link = nth_link(run, run.links, i)
        is_alone = link.blocks_per_call == 1 and not gives_up
        while link.n_free > 0 and link.n_queued > 0:
            first = _next_alone(run, link) if is_alone else _next_call(run, link)
            if first == NONE:
                break
            link.n_free -= 1
            ns = start(run, transfer_at(run, first))
            if run.kept.transfers:
                calls.begin(run, link, transfer_at(run, first), ns)
    run.must_choose = 0
