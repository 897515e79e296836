"""The books: every access, every prefetch, every byte; and the identities they must satisfy (R17 to R20)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from simulator.compiled import compiled
from simulator.distribution import Distribution, count
from simulator.fates import NOTHING_SAVED
from simulator.machine import floats
from simulator.policy import Fate, Outcome, Status
from simulator.residency.layout import Ints

ACCESS_COLUMNS = (
    "access",
    "stream",
    "request",
    "key",
    "op",
    "outcome",
    "issued_ns",
    "latency_ns",
    "service_ns",
    "queue_ns",
    "transfer_ns",
    "inference_ns",
    "shadow",
)
(
    A_ACCESS,
    A_STREAM,
    A_REQUEST,
    A_KEY,
    A_OP,
    A_OUTCOME,
    A_ISSUED,
    A_LATENCY,
    A_SERVICE,
    A_QUEUE,
    A_TRANSFER,
    A_INFERENCE,
    A_SHADOW,
) = range(13)
COMPONENTS = ("service_ns", "queue_ns", "transfer_ns", "inference_ns")
# What a tier 0 without prefetching would have found.
SHADOW_HIT, SHADOW_MISS = 0, 1
_MERGED, _N_OUTCOMES = int(Outcome.MERGED), len(Outcome)
PREFETCH_COLUMNS = (
    "prefetch",
    "inference",
    "key",
    "size_bytes",
    "source_level",
    "proposed_ns",
    "filled_ns",
    "first_used_ns",
    "first_used_access",
    "saved_ns",
    "evicted_ns",
    "fate",
    "confidence",
)
RECORD_COLUMNS = (
    "inference", "batch", "access", "stream", "status", "asked_ns", "started_ns", "ended_ns", "charged_ns", "host_ns",
    "device_ns", "has_guess", "predicted_key", "confidence", "has_next", "next_key", "came_true", "n_proposed",
    "n_issued",
)  # fmt: skip
INFERENCE_COLUMNS = tuple(name for name in RECORD_COLUMNS if name not in ("has_guess", "has_next"))
REJECTIONS = (
    "rejected_resident",
    "rejected_in_flight",
    "rejected_unknown",
    "rejected_budget",
    "dropped_stale",
)
WINDOW_SUMS = ("latency_ns", "inference_ns")


class BooksError(AssertionError):
    """An identity of the accounting does not hold: a bug in the engine, never in the user's input."""


class Sink(Protocol):
    """Takes finished rows of a table as a dict of equally long columns."""

    def write(self, table: str, columns: dict[str, Any]) -> None:
        """Append rows."""
        ...


@compiled
def _tally(
    rows: Ints, first: int, table: Ints, n_outcomes: Ints, sums: Ints, shadows: Ints, cells: Ints, first_access: int,
    window: int,
) -> int:  # fmt: skip
    """Count closed accesses from row ``first`` on; where it stopped, at the end or because ``table`` must grow.

    -1 if a latency is not the sum of its components. ``cells`` has the counts of each outcome, and two sums, by window.
    """
    for i in range(first, len(rows)):
        row = rows[i]
        latency, outcome = row[A_LATENCY], row[A_OUTCOME]
        if row[A_SERVICE] + row[A_QUEUE] + row[A_TRANSFER] + row[A_INFERENCE] != latency:
            return -1
        if not count(table, latency, 1):
            return i
        n_outcomes[outcome] += 1
        for column in range(A_LATENCY, A_SHADOW):
            sums[column] += row[column]
        is_demand_miss = outcome >= _MERGED
        if row[A_SHADOW] == SHADOW_MISS:
            shadows[0] += 1
            shadows[1] += not is_demand_miss
        elif row[A_SHADOW] == SHADOW_HIT:
            shadows[2] += is_demand_miss
        sums[A_ISSUED] = max(sums[A_ISSUED], row[A_ISSUED] + latency)
        sums[A_ACCESS] = min(sums[A_ACCESS], row[A_ACCESS])
        cell = cells[(row[A_ACCESS] - first_access) // window]
        cell[outcome] += 1
        cell[_N_OUTCOMES] += latency
        cell[_N_OUTCOMES + 1] += row[A_INFERENCE]
    return len(rows)


@dataclass
class Questions:
    """The counts of what was asked: by status, guesses that could be judged and those that came true, times in ns."""

    n_asked: int = 0
    n_status: list[int] = field(default_factory=lambda: [0] * len(Status))
    n_predicted: int = 0
    n_came_true: int = 0
    charged: Distribution = field(default_factory=Distribution)
    host: Distribution = field(default_factory=Distribution)


@dataclass
class Books:
    """The counts of a run, and its rows on their way to the tables."""

    sink: Sink | None
    window: int
    first_access: int = 0
    n_fates: list[int] = field(default_factory=lambda: [0] * len(Fate))
    n_rejected: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REJECTIONS, 0))
    n_proposed: int = 0
    n_issued: int = 0
    n_pollution: int = 0
    bytes_asked: list[list[int]] = field(default_factory=list)
    latency: Distribution = field(default_factory=Distribution)
    slack: Distribution = field(default_factory=Distribution)
    saved: Distribution = field(default_factory=Distribution)
    questions: Questions = field(default_factory=Questions)
    sums: Ints = field(default_factory=lambda: np.zeros(len(ACCESS_COLUMNS), np.int64))
    has_shadow: bool = False
    link_queue_ns: list[int] = field(default_factory=list)
    link_transfer_ns: list[int] = field(default_factory=list)
    n_accesses: int = 0
    _n_outcomes: Ints = field(default_factory=lambda: np.zeros(len(Outcome), np.int64))
    _shadows: Ints = field(default_factory=lambda: np.zeros(3, np.int64))
    _windows: Ints = field(default_factory=lambda: np.zeros((64, len(Outcome) + len(WINDOW_SUMS)), np.int64))

    def __post_init__(self) -> None:
        self.sums[A_ACCESS] = 2**63 - 1

    @property
    def n_outcomes(self) -> list[int]:
        """Accesses by outcome."""
        return [int(n) for n in self._n_outcomes]

    @property
    def min_access(self) -> int:
        """The first access of the trace that was closed."""
        return int(self.sums[A_ACCESS])

    @property
    def end_ns(self) -> int:
        """When the last access was complete."""
        return int(self.sums[A_ISSUED])

    @property
    def n_shadow_misses(self) -> int:
        """Accesses that a tier 0 without prefetching would have missed."""
        return int(self._shadows[0])

    @property
    def n_saved(self) -> int:
        """Of these, those that were no demand misses."""
        return int(self._shadows[1])

    @property
    def n_caused(self) -> int:
        """Demand misses that it would have hit."""
        return int(self._shadows[2])

    def add_accesses(self, rows: Ints) -> None:
        """Take closed accesses (n, columns of ACCESS_COLUMNS), in any order.

        Raises:
            BooksError: a latency is not the sum of its components.
        """
        if not len(rows):
            return
        n_windows = (int(rows[:, A_ACCESS].max()) - self.first_access) // self.window + 1
        if n_windows > len(self._windows):
            grown = np.zeros((max(n_windows, 2 * len(self._windows)), self._windows.shape[1]), np.int64)
            grown[: len(self._windows)] = self._windows
            self._windows = grown
        at = 0
        while at < len(rows):
            at = _tally(
                rows, at, self.latency.table, self._n_outcomes, self.sums, self._shadows, self._windows,
                self.first_access, self.window,
            )  # fmt: skip
            if at < 0:
                raise BooksError("an access's latency is not the sum of its components (rule R18)")
            if at < len(rows):
                self.latency.grow()
        self.n_accesses += len(rows)
        if self.sink is not None:
            order = np.lexsort((rows[:, A_ACCESS], rows[:, A_ISSUED]))
            self.sink.write("accesses", dict(zip(ACCESS_COLUMNS, rows[order].T, strict=True)))

    def add_prefetches(self, rows: Ints) -> None:
        """Take settled prefetches (n, columns of PREFETCH_COLUMNS; the confidence as its bits)."""
        columns: dict[str, Any] = dict(zip(PREFETCH_COLUMNS, rows.T, strict=True))
        timely = columns["fate"] == Fate.TIMELY
        self.slack.add((columns["first_used_ns"] - columns["filled_ns"])[timely])
        has_saved = columns["saved_ns"] != NOTHING_SAVED
        self.saved.add(columns["saved_ns"][has_saved])
        if self.sink is not None and len(rows):
            columns["saved_ns"] = np.ma.masked_array(columns["saved_ns"], ~has_saved)
            columns["confidence"] = floats(columns["confidence"])
            self.sink.write("prefetches", columns)

    def add_questions(self, rows: Ints) -> None:
        """Take questions that are over (n, RECORD_COLUMNS), in any order."""
        rows = rows[np.argsort(rows[:, 0])]
        columns: dict[str, Any] = dict(zip(RECORD_COLUMNS, rows.T, strict=True))
        counts, started = self.questions, columns["batch"] >= 0
        for status, n in enumerate(np.bincount(columns["status"], minlength=len(Status)).tolist()):
            counts.n_status[status] += n
        has_guess, has_next = (columns.pop(name).astype(bool) for name in ("has_guess", "has_next"))
        counts.n_asked += len(rows)
        counts.n_predicted += int((has_guess & has_next).sum())
        counts.n_came_true += int(columns["came_true"].sum())
        counts.charged.add(columns["charged_ns"][started])
        counts.host.add(columns["host_ns"][started])
        if self.sink is not None and len(rows):
            columns["confidence"] = floats(columns["confidence"])
            for name in ("predicted_key", "confidence"):
                columns[name] = np.ma.masked_array(columns[name], ~has_guess)
            columns["next_key"] = np.ma.masked_array(columns["next_key"], ~has_next)
            columns["came_true"] = np.ma.masked_array(columns["came_true"].astype(bool), ~(has_guess & has_next))
            self.sink.write("inferences", columns)

    def windows(self) -> dict[str, Any]:
        """The time series: a row for each ``window`` accesses of the trace."""
        n = -(-self.n_accesses // self.window)
        rows = self._windows[:n]
        columns: dict[str, Any] = {
            "window": np.arange(n),
            "first_access": self.first_access + np.arange(n) * self.window,
        }
        for outcome in Outcome:
            columns[f"n_{outcome.name.lower()}"] = rows[:, outcome]
        counts = rows[:, : len(Outcome)].sum(axis=1)
        columns["mean_latency_ns"] = rows[:, len(Outcome)] / np.maximum(counts, 1)
        columns["mean_inference_ns"] = rows[:, len(Outcome) + 1] / np.maximum(counts, 1)
        return columns

    def check(
        self,
        *,
        n_issued_accesses: int,
        bytes_started: Sequence[Sequence[int]],
        bytes_queued: Sequence[Sequence[int]],
        tiers: Sequence[tuple[int, int, int, int]],
    ) -> None:
        """Assert the identities of rule R19, and that queueing and transfer by link sum to those of the accesses.

        ``bytes_*`` are per link and priority class; ``tiers`` holds (in, out, resident by the books, found) of each.

        Raises:
            BooksError: one does not hold.
        """
        rejected = sum(self.n_rejected.values())
        n_missed = self.n_outcomes[Outcome.MERGED] + self.n_outcomes[Outcome.MISS]
        checks = {
            f"queueing by link {self.link_queue_ns} = {self.sums[A_QUEUE]}": sum(self.link_queue_ns)
            == self.sums[A_QUEUE],
            f"transfer by link {self.link_transfer_ns} = {self.sums[A_TRANSFER]}": (
                sum(self.link_transfer_ns) == self.sums[A_TRANSFER]
            ),
            f"shadow {self.n_shadow_misses} - saved {self.n_saved} + caused {self.n_caused} = missed {n_missed}": (
                self.n_shadow_misses - self.n_saved + self.n_caused == n_missed or not self.has_shadow
            ),
            f"accesses issued {n_issued_accesses} = outcomes {sum(self.n_outcomes)}": (
                n_issued_accesses == sum(self.n_outcomes) == self.n_accesses == self.latency.n
            ),
            f"proposed {self.n_proposed} = rejected and stale {rejected} + issued {self.n_issued}": (
                self.n_proposed == rejected + self.n_issued
            ),
            f"issued {self.n_issued} = fates {self.n_fates}": self.n_issued == sum(self.n_fates),
            f"first uses {self.n_outcomes[Outcome.HIT_PREFETCHED]} = timely {self.n_fates[Fate.TIMELY]}": (
                self.n_outcomes[Outcome.HIT_PREFETCHED] == self.n_fates[Fate.TIMELY]
            ),
            f"late accesses {self.n_outcomes[Outcome.LATE]} = late prefetches {self.n_fates[Fate.LATE]}": (
                self.n_outcomes[Outcome.LATE] == self.n_fates[Fate.LATE]
            ),
        }
        for i, (asked, started, queued) in enumerate(zip(self.bytes_asked, bytes_started, bytes_queued, strict=True)):
            balanced = all(a == s + q for a, s, q in zip(asked, started, queued, strict=True))
            checks[f"link {i}: bytes asked {asked} = moved {started} + queued {queued}"] = balanced
        for i, (n_in, n_out, n_blocks, n_found) in enumerate(tiers):
            checks[f"tier {i}: in {n_in} = out {n_out} + resident {n_blocks} (found {n_found})"] = (
                n_in == n_out + n_blocks and n_blocks == n_found
            )
        broken = [text for text, holds in checks.items() if not holds]
        if broken:
            raise BooksError("the books do not close (rule R19): " + "; ".join(broken))
