"""What a run leaves behind, read from its memory at the end."""

import numpy as np

from simulator.accounting import COMPONENTS, SPANS, Books, Questions, Rows, Unjudged
from simulator.arrays import NONE
from simulator.distribution import Distribution
from simulator.records.moving import Link, Transfer
from simulator.records.rows import WindowRow
from simulator.records.run import Counts, Pair, Run


def all_links(run: Run) -> list[Link]:
    """The links, in their order."""
    return [Link(run.ints, run.links + i * Link.words) for i in range(run.n_links)]


def _queued(link: Link) -> list[int]:
    """The bytes that wait for a channel, by what they were started as."""
    n_bytes = [0, 0, 0]
    for queue in link.queues:
        place = queue.list.first
        while place != NONE:
            t = Transfer(link.ints, place)
            n_bytes[t.class_] += t.size
            place = t.queue.next
    return n_bytes


def link_books(run: Run) -> tuple[list[list[int]], list[list[int]], list[list[int]], list[int], list[int]]:
    """Bytes asked for, started and queued of each link by class, and what accesses waited there, in ns."""
    links = all_links(run)
    return (
        [link.bytes_asked.tolist() for link in links],
        [link.bytes_started.tolist() for link in links],
        [_queued(link) for link in links],
        [link.queue_ns for link in links],
        [link.transfer_ns for link in links],
    )


def backlogs(run: Run, n_tiers: int) -> list[tuple[int, int]]:
    """The most bytes that each tier had to write down while judged accesses were issued, and those at the end."""
    return [(link.backlog.most_bytes, link.backlog.n_bytes) for link in all_links(run)[:n_tiers]]


def bytes_moved(run: Run) -> list[list[int]]:
    """Bytes that were started on each link since judging began, by class."""
    return [(link.bytes_started - link.bytes_before).tolist() for link in all_links(run)]


def _distribution(run: Run, name: str, n_zeros: int = 0) -> Distribution:
    """With so many zeros that are not in the run's table."""
    counts: Counts = getattr(run.books, name)
    size = counts.mask + 1
    pairs = run.ints[counts.table : counts.table + size * Pair.words].reshape(-1, Pair.words)
    if n_zeros:
        others = pairs[(pairs[:, 0] != 0) & (pairs[:, 1] != 0)]
        n_zeros += int(pairs[pairs[:, 0] == 0, 1].sum())
        pairs = np.vstack([others, [[0, n_zeros]]])
    return Distribution(pairs, counts.total)


def close_tally(run: Run, books: Books) -> None:
    """Hand over what was counted."""
    counted = run.books
    books.n_outcomes = counted.n_of_outcome.tolist()
    books.sums = {"latency_ns": counted.latency.total, **{name: getattr(counted, name) for name in COMPONENTS}}
    books.n_shadow_misses, books.n_saved, books.n_caused = (
        counted.n_shadow_misses, counted.n_saved, counted.n_caused,
    )  # fmt: skip
    books.end_ns, books.min_access = counted.end_ns - run.judged_since_ns, counted.first_closed
    books.n_accesses, books.n_broken = counted.n_closed, counted.n_broken
    books.latency, books.slack, books.saved = (_distribution(run, name) for name in ("latency", "slack", "saved"))
    books.has_lives, books.n_requests = run.settings.running > 0, counted.n_requests
    books.n_read, books.n_found = counted.n_read, counted.n_found
    books.ttft, books.spans = _distribution(run, "ttft"), {name: getattr(counted, name) for name in SPANS}
    charged, host = (_distribution(run, name, counted.n_at_once) for name in ("charged", "host"))
    books.questions = Questions(
        counted.n_asked, counted.n_of_status.tolist(), counted.n_predicted, counted.n_came_true, charged, host
    )
    books.n_proposed, books.n_issued, books.n_pollution = counted.n_proposed, counted.n_issued, counted.n_pollution
    books.n_fates = counted.n_of_fate.tolist()
    books.n_bypassed, books.n_hits_behind = counted.n_bypassed, counted.n_hits_behind
    unjudged = run.unjudged
    books.unjudged = Unjudged(unjudged.n_of_outcome.tolist(), unjudged.n_of_fate.tolist())
    books.n_rejected = dict(zip(books.n_rejected, counted.n_rejected.tolist(), strict=True))
    books.cells = _cells(run, 0, run.windows.n_rows)


def _cells(run: Run, first: int, end: int) -> Rows:
    rows = run.windows.rows
    return WindowRow.as_rows(run.ints[rows + first * WindowRow.words : rows + end * WindowRow.words]).copy()


def windows_so_far(run: Run, n: int) -> Rows:
    """The last windows that judged accesses have closed in."""
    end = min(run.windows.row + 1, run.windows.n_rows)
    return _cells(run, max(end - n, 0), end)
