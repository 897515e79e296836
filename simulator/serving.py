"""Accesses in tier 0 and outside of it: look up, wait, be served (rules R4, R9, R13, R17, R18, R40, R41)."""

from simulator import attribution, backlog, fates, flight, keyset, tally
from simulator.arrays import NONE
from simulator.compiled import inlined, internal
from simulator.durations import over, slowed, stretched
from simulator.landing import IS_BELOW, IS_THERE, allocate, invalidate_below, push_out, use_source
from simulator.links import DEMAND, PREFETCH
from simulator.movement import WRITTEN, compute, compute_again, demand, fetch, way_ns
from simulator.policy import Outcome
from simulator.prefixes import gives_up
from simulator.records import lists
from simulator.records.arena import Arena, block_at, entry_at, tier_at
from simulator.records.moving import (
    AMONG_WAITERS,
    Access,
    Transfer,
    access_at,
    give_back,
    nth_link,
    prefetch_at,
    take,
    transfer_at,
)
from simulator.records.record import from_place
from simulator.records.run import Run
from simulator.residency import blocks, eviction, moves
from simulator.streams import complete
from simulator.trace import WRITE
from simulator.units import PPM

# Plain integers: Numba takes many times as long to recognise the member of an enumeration.
HIT, HIT_PREFETCHED, LATE, MERGED, MISS = (int(outcome) for outcome in Outcome)


@internal
def service_ns(run: Run, access: int, size: int, op: int) -> int:
    """Service from tier 0: latency and bytes over bandwidth, slower while an inference shares the GPU."""
    slow_ppm, last = run.server.slow_ppm, run.serviced
    # Most are like the one before, and to divide takes long.
    if size != last.size or op != last.op:
        _serviced(run, access, size, op)
    ns = last.ns
    if slow_ppm != PPM:
        ns = slowed(ns, slow_ppm)
    return ns


@internal
def _serviced(run: Run, access: int, size: int, op: int) -> None:
    settings, last = run.settings, run.serviced
    bandwidth = settings.write_rate if op == WRITE else settings.read_rate
    ns = settings.service_latency_ns + over(size, bandwidth)
    if settings.spread == NONE:
        last.size, last.op = size, op
    else:
        # It is for this access alone: the next one's is drawn, too.
        ns = stretched(from_place(run, settings.spread), ns, settings.first_drawn, access)
    last.ns = ns


@internal
def peek(arena: Arena, key: int) -> int:
    """What a look-up would find, without using the block."""
    slot = blocks.find(arena, key)
    if slot == NONE or not block_at(arena, slot).where & 1:
        return MISS
    return HIT if entry_at(arena, 0, slot).prefetch == NONE else HIT_PREFETCHED


@internal
def touch(run: Run, arena: Arena, key: int, op: int) -> int:
    """Use a block if tier 0 holds it: HIT, HIT_PREFETCHED or MISS; what else is found is left in the run."""
    slot = blocks.find(arena, key)
    run.found = slot
    run.found_prefetch = NONE
    run.is_first_write = 0
    if slot == NONE or not block_at(arena, slot).where & 1:
        return MISS
    outcome, entry = HIT, entry_at(arena, 0, slot)
    if entry.prefetch != NONE:
        outcome = HIT_PREFETCHED
        run.found_prefetch = entry.prefetch
        entry.prefetch = NONE
    if op == WRITE and entry.dirty != WRITTEN:
        entry.dirty = WRITTEN
        run.is_first_write = 1
    eviction.on_hit(arena, 0, slot)
    return outcome


@internal
def follow_up(run: Run, arena: Arena, key: int, access: int) -> None:
    """What the use of a block, just now, means elsewhere."""
    if tier_at(arena, 0).overflows:
        push_out(run, arena, 0)
    if run.found_prefetch != NONE:
        fates.use(run, prefetch_at(run, run.found_prefetch), access)
    if run.is_first_write:
        invalidate_below(run, arena, key)


@internal
def _serve(run: Run, x: Access, transfer_ns: int) -> None:
    """The block is in tier 0: the access is served and its row closed."""
    service = service_ns(run, x.index, x.size, x.op)
    tally.close(
        run, x.index, x.stream, x.request, x.key, x.op, x.outcome, x.issued_ns, run.now - x.issued_ns + service,
        service, transfer_ns, x.inference_ns, x.shadow,
    )  # fmt: skip
    run.n_outstanding -= 1
    if run.settings.is_closed or run.settings.running:
        complete(run, x.issuer, run.now + service)
    give_back(run, run.pools.accesses, x)


@internal
def _wait_for(run: Run, t: Transfer, x: Access) -> None:
    lists.append(run, t.waiters, x.at, AMONG_WAITERS)
    t.n_waiters += 1


@internal
def join_or_fetch(run: Run, arena: Arena, x: Access, has_turn: bool) -> int:
    """Tier 0 was found not to hold the block just now: join its transfer, allocate, or fetch it. The access's outcome.

    A write that has no turn waits for one where tier 0 is shut (rule R40).
    """
    x.joined_ns = run.now
    moving = flight.find(run, x.key)
    if moving != NONE:
        t = transfer_at(run, moving)
        if x.is_behind and gives_up(run, t):
            run.n_polluted_told += run.settings.hears_fates != 0 and x.shadow == 0
            _wait_for(run, compute_again(run, x.key, t.size), x)
            return MISS
        if not t.is_down:
            x.outcome = MERGED
            if t.priority == PREFETCH:
                x.outcome = LATE
                fates.meet(run, prefetch_at(run, t.prefetch), x.index)
                t.late, t.prefetch = t.prefetch, NONE
        # A write-back is waited for like any transfer; the block is looked up again when it has landed.
        demand(run, t)
        _wait_for(run, t, x)
        return x.outcome
    x.outcome = MISS
    if x.op == WRITE and run.settings.bounds_backlogs and not has_turn and backlog.is_shut(run, 0):
        backlog.wait_to_write(run, x)
        return MISS
    if run.settings.computes:
        keyset.add(run, run.known, x.key)
    if run.polluted.n != 0 and keyset.discard(run, run.polluted, x.key):
        run.books.n_pollution += tally.is_judged(run, x.index)
    # Of what prefetches evicted much would have been pushed out all the same, and what that misses pushes out more.
    run.n_polluted_told += run.settings.hears_fates != 0 and x.shadow == 0
    where = moves.held_in(arena, run.found)
    size = block_at(arena, run.found).size if where != 0 and x.op != WRITE else x.size
    if size > tier_at(arena, 0).capacity:
        run.books.n_bypassed += tally.is_judged(run, x.index)
    if x.op == WRITE:
        allocate(run, arena, x.key, x.size)
        _serve(run, x, 0)
        return MISS
    if x.is_behind and where != 0 and run.settings.computes:
        _wait_for(run, compute(run, arena, x.key, size, where), x)
    else:
        use_source(run, arena, x.key, where)
        _wait_for(run, fetch(run, x.key, size, DEMAND, where, NONE), x)
    return MISS


@internal
def look_up(run: Run, arena: Arena, x: Access, has_turn: bool) -> None:
    """Look the block up now: the access had a question to wait for, a write-back or its turn."""
    outcome = touch(run, arena, x.key, x.op)
    if outcome == MISS:
        join_or_fetch(run, arena, x, has_turn)
        return
    x.outcome = outcome
    follow_up(run, arena, x.key, x.index)
    if x.is_behind:
        hit_behind(run, arena, x)
    else:
        _serve(run, x, 0)


@internal
def hit_behind(run: Run, arena: Arena, x: Access) -> None:
    """Tier 0 has its block, behind a missing one of its request: where blocks are computed it is again (rule R41)."""
    run.books.n_hits_behind += tally.is_judged(run, x.index)
    if run.settings.computes:
        x.joined_ns = run.now
        _wait_for(run, compute_again(run, x.key, moves.size_of(arena, x.key)), x)
    else:
        _serve(run, x, 0)


@inlined
def _land(run: Run, arena: Arena, t: Transfer) -> None:
    """A block is in tier 0: serve who waits for it, in the order they came."""
    run.has_landed |= not t.is_again
    if t.prefetch != NONE:
        fates.fill(run, prefetch_at(run, t.prefetch))
    elif t.late != NONE:
        fates.land_late(run, prefetch_at(run, t.late), way_ns(run, t.source, t.size))
    place = t.waiters.first
    while place != NONE:
        x = access_at(run, place)
        place = x.waiters.next
        # To come in on behalf of a miss is no use on top of it; every other waiter's is.
        if (x.outcome != MISS or x.op == WRITE) and not t.is_again:
            is_there = touch(run, arena, x.key, x.op) != MISS
            if tier_at(arena, 0).overflows:
                push_out(run, arena, 0)
            if run.is_first_write:
                invalidate_below(run, arena, x.key)
            elif x.op == WRITE and not is_there:
                # It was not admitted: the write allocates as one that finds nothing does.
                allocate(run, arena, x.key, x.size)
        _serve(run, x, attribution.attribute(run, t, x.index, x.joined_ns))


@internal
def _look_again(run: Run, arena: Arena, t: Transfer) -> None:
    """A write-back has landed below: those who waited look again."""
    place = t.waiters.first
    while place != NONE:
        x = access_at(run, place)
        place = x.waiters.next
        attribution.attribute_below(run, t, x.index, run.now - x.joined_ns)
        look_up(run, arena, x, False)


@internal
def take_turn(run: Run, arena: Arena, x: Access) -> None:
    """A write that waited to come into tier 0 looks again (rule R40)."""
    if tally.is_judged(run, x.index):
        nth_link(run, run.links, 0).queue_ns += run.now - x.joined_ns
    look_up(run, arena, x, True)


@inlined
def end_hop(run: Run, arena: Arena, t: Transfer, arrived: int) -> None:
    """What the end of a hop, as ``landing.arrive`` found it, means to accesses."""
    if arrived == IS_THERE:
        _land(run, arena, t)
        give_back(run, run.pools.transfers, t)
    elif arrived == IS_BELOW:
        if not t.is_obsolete:
            _look_again(run, arena, t)
        give_back(run, run.pools.transfers, t)


@internal
def new_access(
    run: Run, index: int, stream: int, request: int, key: int, op: int, size: int, outcome: int, shadow: int,
    is_behind: bool, issuer: int,
) -> Access:  # fmt: skip
    """An access that waits."""
    x = access_at(run, take(run, run.pools.accesses))
    x.index, x.stream, x.request, x.key, x.op, x.size = index, stream, request, key, op, size
    x.outcome, x.shadow, x.issued_ns, x.inference_ns, x.joined_ns = outcome, shadow, run.now, 0, 0
    x.is_behind, x.issuer = is_behind, issuer
    run.n_outstanding += 1
    return x
