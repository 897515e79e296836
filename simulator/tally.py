"""What is counted of each access as it closes (rules R17, R18): in the run, so that no row need be kept for it."""

from simulator.arrays import home, plus, times
from simulator.compiled import inlined, internal
from simulator.distribution import count
from simulator.policy import Outcome
from simulator.records.arena import Arena, tier_at
from simulator.records.moving import N_CLASSES, nth_link
from simulator.records.rows import nth_access_row, nth_window_row
from simulator.records.run import Run

# What a tier 0 without prefetching would have found.
SHADOW_NONE, SHADOW_HIT, SHADOW_MISS = -1, 0, 1
MERGED = int(Outcome.MERGED)
# Which accesses a row is kept of. Of some: by place in the trace and by request, so that it is the same in every arm.
NO_ROWS, SOME_ROWS, ALL_ROWS = range(3)
SHARE_BITS = 53
_ODD = 0x9E3779B97F4A7C1


@inlined
def is_judged(run: Run, access: int) -> bool:
    """Whether an access, and what it asks for, is judged (rule R38)."""
    return access >= run.judged_from


@internal
def begin_judging(run: Run) -> None:
    """The first access that is judged is issued now."""
    run.judged_since_ns = run.now
    for i in range(run.n_links):
        link = nth_link(run, run.links, i)
        for class_ in range(N_CLASSES):
            link.bytes_before[class_] = link.bytes_started[class_]
        link.backlog.most_bytes = link.backlog.n_bytes


@inlined
def issue(run: Run, arena: Arena, access: int) -> None:
    """A judged access is issued now; the first one of a window sees how full the tiers are."""
    windows = run.windows
    # Issued, too, they are nearly in order.
    behind = access - windows.issued_end
    if behind >= 0 or behind < -windows.length:
        _begin_window(run, arena, access)


@internal
def _begin_window(run: Run, arena: Arena, access: int) -> None:
    windows = run.windows
    number = (access - run.judged_from) // windows.length
    windows.issued_end = run.judged_from + (number + 1) * windows.length
    window = nth_window_row(run, windows.rows, number)
    if not window.is_begun:
        window.is_begun, window.begun_ns = 1, run.now
        for level in range(run.settings.origin):
            window.used_bytes[level] = tier_at(arena, level).used


@internal
def _is_kept(run: Run, access: int, stream: int, request: int) -> bool:
    place = (access - run.judged_from) % run.kept.every
    # Streams may number their requests alike; an odd factor tells them apart. Numbers may be of all 64 bits.
    drawn = home(plus(request, times(stream, _ODD)), (1 << SHARE_BITS) - 1)
    return place < run.kept.length and drawn < run.kept.below


@internal
def close(
    run: Run,
    access: int,
    stream: int,
    request: int,
    key: int,
    op: int,
    outcome: int,
    issued: int,
    latency: int,
    service: int,
    transfer: int,
    inference: int,
    shadow: int,
) -> None:
    """All is known of an access; what is neither service, transfer nor inference was queueing."""
    if not is_judged(run, access):
        run.unjudged.n_closed += 1
        run.unjudged.n_of_outcome[outcome] += 1
        return
    queue = latency - service - inference - transfer
    books, windows = run.books, run.windows
    books.n_broken += queue < 0
    books.n_closed += 1
    books.n_of_outcome[outcome] += 1
    books.service_ns += service
    books.queue_ns += queue
    books.transfer_ns += transfer
    books.inference_ns += inference
    count(run, books.latency, latency)
    books.end_ns = max(books.end_ns, issued + latency)
    books.first_closed = min(books.first_closed, access)
    if shadow != SHADOW_NONE:
        is_demand_miss = outcome >= MERGED
        books.n_shadow_misses += shadow
        books.n_saved += shadow == SHADOW_MISS and not is_demand_miss
        books.n_caused += shadow == SHADOW_HIT and is_demand_miss
    # Accesses close nearly in order: the last one's window is mostly this one's.
    since = access - windows.end
    if since >= 0 or since < -windows.length:
        windows.row = (access - run.judged_from) // windows.length
        windows.end = run.judged_from + (windows.row + 1) * windows.length
    window = nth_window_row(run, windows.rows, windows.row)
    window.n_of_outcome[outcome] += 1
    window.latency_ns += latency
    window.inference_ns += inference
    kept = run.kept.accesses
    if kept == ALL_ROWS or (kept == SOME_ROWS and _is_kept(run, access, stream, request)):
        rows = run.rows.accesses
        row = nth_access_row(run, rows.rows, rows.n)
        rows.n += 1
        row.access, row.stream, row.request, row.key, row.op = access, stream, request, key, op
        row.outcome, row.issued_ns, row.latency_ns, row.service_ns = outcome, issued, latency, service
        row.queue_ns, row.transfer_ns, row.inference_ns, row.shadow = queue, transfer, inference, shadow
