"""The simulator's books of a run of the live cache: from its counters and a Recorder's rows (rules R17 to R20, R38)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from live.core import Core
from live.recorder import Recorder, prefetch_row
from simulator.accounting import COMPONENTS, Books, Questions, Rows, RunResult, Unjudged
from simulator.arrays import Ints
from simulator.distribution import Distribution
from simulator.fates import NOTHING_SAVED
from simulator.ledger.rows import drawn
from simulator.policy import Fate, Outcome, Status
from simulator.records.rows import PrefetchRow, WindowRow

_N_KINDS = 3


@dataclass(frozen=True)
class AtEnd:
    """What a cache has come to when no call is under way, of one moment. Bytes are by link and by kind."""

    n_accesses: int
    rows: dict[str, Rows]
    bytes_asked: list[list[int]]
    bytes_moved: list[list[int]]
    bytes_queued: list[list[int]]
    write_backs: list[tuple[int, int]]
    tiers: list[tuple[int, int, int]]
    recorder: Recorder
    block: int


def at_end(core: Core, recorder: Recorder) -> AtEnd:
    """To be called when no call is under way, under the cache's lock."""
    block, links, tiers = core.block, core.links, core.tiers
    queued = [[0] * _N_KINDS for _ in links]
    for link in links:
        for queue in link.queues:
            for transfer in queue:
                queued[link.index][transfer.kind] += block
    rows = {table: recorder.rows(table) for table in ("accesses", "prefetches", "inferences", "transfers")}
    flight = core.memory.flight.values()
    open_ones = [(block.prefetch, Fate.RESIDENT_UNUSED) for block in tiers[0].blocks.values()]
    open_ones += [(transfer.prefetch, Fate.IN_FLIGHT) for transfer in flight]
    open_ones += [(transfer.late, Fate.LATE) for transfer in flight]
    left = [prefetch_row(prefetch, block, fate) for prefetch, fate in open_ones if prefetch is not None]
    rows["prefetches"] = np.concatenate([rows["prefetches"], np.array(left, PrefetchRow.dtype)])
    return AtEnd(
        core.serving.n_issued, rows, [[n * block for n in link.n_asked] for link in links],
        [list(link.bytes_moved) for link in links], queued,
        [(link.most_down * block, link.n_down * block) for link in links],
        [(tier.n_in, tier.n_out, len(tier.blocks)) for tier in tiers], recorder, block,
    )  # fmt: skip


def fill_books(
    books: Books, end: AtEnd, numbers: Ints, began_ns: int, used: dict[int, tuple[int, list[int]]]
) -> RunResult:
    """Fill the books, hand on the rows, and check the identities of rule R19, all those that ``Books.check`` has.

    ``numbers`` has the trace's number of each access of the cache, ``began_ns`` when judging began, ``used`` when each
    window began and the bytes of each tier then. Counts of accesses, prefetches, questions and transfers are of rows,
    and are held against what the cache has counted: accesses issued; bytes asked for, moved and queued of each link;
    blocks that each tier took in, let go and holds. Blocks proposed are counted by questions, those issued too and once
    more by their fates, those rejected by the cache. There is no shadow.

    Raises:
        BooksError: one does not hold.
    """
    accesses, prefetches, questions, transfers = (
        end.rows[table] for table in ("accesses", "prefetches", "inferences", "transfers")
    )
    for rows, column in (
        (accesses, "access"), (prefetches, "access"), (prefetches, "first_used_access"), (questions, "access"),
        (transfers, "access"),
    ):  # fmt: skip
        rows[column] = _numbered(rows[column], numbers)
    judged = _judged(books, accesses)
    books.has_shadow = False
    _count_accesses(books, judged, accesses[accesses["access"] < books.first_access])
    books.end_ns = int((judged["issued_ns"] + judged["latency_ns"]).max(initial=began_ns)) - began_ns
    books.cells = _cells(books, judged, used)
    _count_waits(books, end, numbers)
    _count_prefetches(books, _judged(books, prefetches))
    books.unjudged.n_fates = _counts(prefetches["fate"][prefetches["access"] < books.first_access], len(Fate))
    _count_questions(books, _judged(books, questions), end, numbers)
    books.bytes_asked, books.write_back_queued = end.bytes_asked, end.write_backs
    books.n_evicted, books.resident_bytes = end.tiers[0][1], end.tiers[0][2] * end.block
    is_before = transfers["started_ns"] < began_ns
    moved = [
        [n - end.block * int((is_before & (transfers["link"] == i) & (transfers["class_"] == kind)).sum())
         for kind, n in enumerate(of_link)]
        for i, of_link in enumerate(end.bytes_moved)
    ]  # fmt: skip
    books.add_accesses(judged[_is_kept(books, judged)])
    books.add_prefetches(_judged(books, prefetches))
    books.add_questions(questions)
    books.add_transfers(transfers[~is_before])
    books.check(
        n_issued_accesses=end.n_accesses, bytes_started=end.bytes_moved, bytes_queued=end.bytes_queued,
        bytes_moved=moved, tiers=[(n_in, n_out, n_in - n_out, n) for n_in, n_out, n in end.tiers],
    )  # fmt: skip
    return RunResult(books.end_ns, moved, books.n_accesses)


def _numbered(accesses: Ints, numbers: Ints) -> Ints:
    """The trace's numbers; NONE stays."""
    return np.where(accesses >= 0, numbers[np.maximum(accesses, 0)], accesses) if len(numbers) else accesses


def _judged(books: Books, rows: Rows) -> Rows:
    return rows[rows["access"] >= books.first_access]


def _counts(values: Ints, n: int) -> list[int]:
    counts: list[int] = np.bincount(values, minlength=n).tolist()
    return counts


def _distribution(values: Ints) -> Distribution:
    return Distribution(np.column_stack(np.unique(values, return_counts=True)), int(values.sum()))


def _count_accesses(books: Books, judged: Rows, others: Rows) -> None:
    books.n_accesses, books.n_outcomes = len(judged), _counts(judged["outcome"], len(Outcome))
    books.unjudged = Unjudged(_counts(others["outcome"], len(Outcome)))
    books.min_access = int(judged["access"].min(initial=books.min_access))
    books.latency = _distribution(judged["latency_ns"])
    books.sums = {name: int(judged[name].sum()) for name in ("latency_ns", *COMPONENTS)}
    books.n_broken = int((judged["service_ns"] < 0).sum() + (judged["queue_ns"] < 0).sum())


def _is_kept(books: Books, judged: Rows) -> Any:
    keeps = books.keeps
    is_kept = (judged["access"] - books.first_access) % keeps.every < keeps.length
    if keeps.share < 1:
        pairs = zip(judged["request"].tolist(), judged["stream"].tolist(), strict=True)
        is_kept &= np.array([drawn(*pair) < keeps.below for pair in pairs], bool)
    return is_kept


def _cells(books: Books, judged: Rows, used: dict[int, tuple[int, list[int]]]) -> Rows:
    window = (judged["access"] - books.first_access) // books.window
    cells = np.zeros(int(window.max(initial=-1)) + 1, WindowRow.dtype)
    np.add.at(cells["n_of_outcome"], (window, judged["outcome"]), 1)
    for name in ("latency_ns", "inference_ns"):
        np.add.at(cells[name], window, judged[name])
    for i, (begun_ns, n_bytes) in used.items():
        if i < len(cells):
            cells[i]["is_begun"], cells[i]["begun_ns"], cells[i]["used_bytes"][: len(n_bytes)] = 1, begun_ns, n_bytes
    return cells


def _count_waits(books: Books, end: AtEnd, numbers: Ints) -> None:
    """What accesses waited on each link. What they queued for on none, a slot or a write-back, counts as link 0's."""
    waits = np.array(end.recorder.waits, np.int64).reshape(-1, 4)
    waits = waits[_numbered(waits[:, 0], numbers) >= books.first_access]
    n_links = len(end.bytes_moved)
    books.link_queue_ns, books.link_transfer_ns = (
        [int(waits[waits[:, 1] == link, column].sum()) for link in range(n_links)] for column in (2, 3)
    )
    books.link_queue_ns[0] += books.sums["queue_ns"] - sum(books.link_queue_ns)
    polluted = np.array(end.recorder.polluted, np.int64)
    books.n_pollution = int((_numbered(polluted, numbers) >= books.first_access).sum())


def _count_prefetches(books: Books, judged: Rows) -> None:
    books.n_fates = _counts(judged["fate"], len(Fate))
    timely, saved = judged[judged["fate"] == Fate.TIMELY], judged[judged["saved_ns"] != NOTHING_SAVED]
    books.slack = _distribution(timely["first_used_ns"] - timely["filled_ns"])
    books.saved = _distribution(saved["saved_ns"])


def _count_questions(books: Books, asked: Rows, end: AtEnd, numbers: Ints) -> None:
    is_timed = (asked["status"] != Status.PENDING_AT_END) & (asked["batch"] >= 0)
    books.questions = Questions(
        len(asked), _counts(asked["status"], len(Status)), int(asked["is_known"].sum()), int(asked["came_true"].sum()),
        _distribution(asked["charged_ns"][is_timed]), _distribution(asked["host_ns"][is_timed]),
    )  # fmt: skip
    books.n_proposed = int((asked["n_proposed"] + asked["n_at_once"]).sum())
    books.n_issued = int(asked["n_issued"].sum())
    books.n_rejected["dropped_stale"] = int(asked["n_proposed"][asked["status"] == Status.STALE].sum())
    for access, reason in end.recorder.rejections:
        books.n_rejected[reason] += int(numbers[access]) >= books.first_access
