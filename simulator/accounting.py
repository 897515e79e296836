"""The books: every access, every prefetch, every byte; and the identities they must satisfy (R17 to R20)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from simulator.arrays import NONE
from simulator.distribution import Distribution
from simulator.fates import NOTHING_SAVED
from simulator.policy import Fate, Outcome, Status, Update
from simulator.records.rows import InferenceRow, WindowRow
from simulator.tally import SHARE_BITS

Rows = npt.NDArray[Any]
"""A structured array of rows."""
COMPONENTS = ("service_ns", "queue_ns", "transfer_ns", "inference_ns")
SUMMED = ("latency_ns", *COMPONENTS)
_OF_QUESTIONS = ("has_guess", "has_next", "is_known")
SPANS = ("waiting_ns", "fetching_ns", "computing_ns", "decoding_ns")
"""What a request's life is made of (rule R45)."""
INFERENCE_COLUMNS = tuple(name for name in InferenceRow.dtype.names or () if name not in _OF_QUESTIONS)
REJECTIONS = (
    "rejected_resident",
    "rejected_in_flight",
    "rejected_unknown",
    "rejected_budget",
    "dropped_stale",
    "rejected_too_large",
)


def columns_of(rows: Rows) -> dict[str, Any]:
    """The columns of rows by their names: copies, for the rows are the machine's, which goes on."""
    return {name: np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()}


class BooksError(AssertionError):
    """An identity of the accounting does not hold: a bug in the engine, never in the user's input."""


class Sink(Protocol):
    """Takes finished rows of a table as a dict of equally long columns."""

    def takes(self, table: str) -> bool:
        """Whether it wants rows of that table."""
        ...

    def write(self, table: str, columns: dict[str, Any]) -> None:
        """Append rows."""
        ...


@dataclass(frozen=True)
class Keeps:
    """Of which accesses rows are kept: of every ``every`` the first ``length``; of their requests a share of 0 to 1.

    Requests are drawn by their numbers, the same in every run, and with all their accesses.
    """

    length: int = 1
    every: int = 1
    share: float = 1.0

    @property
    def is_all(self) -> bool:
        """Whether there is nothing to choose."""
        return self.length >= self.every and self.share >= 1

    @property
    def below(self) -> int:
        """The share as a bound of what a request draws."""
        return round(self.share * (1 << SHARE_BITS))


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run leaves besides its books; bytes moved by link and by what transfers were started as."""

    end_ns: int
    bytes_moved: list[list[int]]
    n_accesses: int


@dataclass(frozen=True)
class SoFar:
    """What a run has come to while it goes on: of judged accesses their outcomes, and the sum of their latencies.

    ``windows`` are the mean latencies of the last few windows of accesses, that of the one that is going on too.
    """

    n_outcomes: list[int]
    latency_ns: int
    windows: list[float]

    @classmethod
    def of(cls, n_outcomes: Sequence[int], latency_ns: int, cells: Rows) -> "SoFar":
        """``cells``: the last windows' rows (WindowRow)."""
        counts = cells["n_of_outcome"].sum(axis=1)
        return cls(list(n_outcomes), latency_ns, (cells["latency_ns"][counts > 0] / counts[counts > 0]).tolist())


@dataclass
class Questions:
    """The counts of what was asked: by status, guesses that could be judged and those that came true, times in ns."""

    n_asked: int = 0
    n_status: list[int] = field(default_factory=lambda: [0] * len(Status))
    n_predicted: int = 0
    n_came_true: int = 0
    charged: Distribution = field(default_factory=Distribution)
    host: Distribution = field(default_factory=Distribution)


class UpdateDone(NamedTuple):
    """An update of the policy (rule R43), in the table's order; times of what did not come before the end are NONE."""

    update: int
    access: int
    begun_ns: int
    started_ns: int
    ended_ns: int
    charged_ns: int
    n_preempted: int
    host_ns: int
    cpu_ns: int
    n_accesses: int
    loss: float


@dataclass
class Unjudged:
    """The counts of accesses that are not judged, and of the prefetches that they asked for."""

    n_outcomes: list[int] = field(default_factory=lambda: [0] * len(Outcome))
    n_fates: list[int] = field(default_factory=lambda: [0] * len(Fate))


@dataclass
class Books:
    """The counts of a run, and its rows on their way to the tables: of accesses from ``first_access`` on (rule R38)."""

    sink: Sink | None
    window: int
    first_access: int = 0
    keeps: Keeps = Keeps()
    n_fates: list[int] = field(default_factory=lambda: [0] * len(Fate))
    n_rejected: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REJECTIONS, 0))
    n_proposed: int = 0
    n_issued: int = 0
    n_pollution: int = 0
    n_bypassed: int = 0
    has_prefixes: bool = False
    n_hits_behind: int = 0
    n_evicted: int = 0
    resident_bytes: int = 0
    bytes_asked: list[list[int]] = field(default_factory=list)
    write_back_queued: list[tuple[int, int]] = field(default_factory=list)
    """Bytes that each tier had to write down: the most while judged accesses were issued, and at the end (rule R40)."""
    latency: Distribution = field(default_factory=Distribution)
    slack: Distribution = field(default_factory=Distribution)
    saved: Distribution = field(default_factory=Distribution)
    questions: Questions = field(default_factory=Questions)
    updates: list[UpdateDone] = field(default_factory=list)
    link_names: list[str] = field(default_factory=list)
    n_tiers: int = 0
    has_shadow: bool = False
    n_shadow_misses: int = 0
    n_saved: int = 0
    n_caused: int = 0
    n_outcomes: list[int] = field(default_factory=lambda: [0] * len(Outcome))
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SUMMED, 0))
    min_access: int = 2**63 - 1
    end_ns: int = 0
    n_accesses: int = 0
    n_broken: int = 0
    has_lives: bool = False
    n_requests: int = 0
    n_read: int = 0
    n_found: int = 0
    ttft: Distribution = field(default_factory=Distribution)
    spans: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPANS, 0))
    unjudged: Unjudged = field(default_factory=Unjudged)
    transfer_bytes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Bytes of the rows of ``transfers``, by link and by what transfers were started as."""
    link_queue_ns: list[int] = field(default_factory=list)
    link_transfer_ns: list[int] = field(default_factory=list)
    cells: Rows = field(default_factory=lambda: np.zeros(0, WindowRow.dtype))

    def takes(self, table: str) -> bool:
        """Whether rows of that table are wanted."""
        return self.sink is not None and self.sink.takes(table)

    def add_accesses(self, rows: Rows) -> None:
        """Take closed accesses for the table (AccessRow), in any order."""
        if self.sink is not None and len(rows):
            rows = rows[np.lexsort((rows["access"], rows["issued_ns"]))]
            self.sink.write("accesses", columns_of(rows))

    def add_prefetches(self, rows: Rows) -> None:
        """Take settled prefetches for the table (PrefetchRow)."""
        if self.sink is not None and len(rows):
            columns = columns_of(rows)
            columns["saved_ns"] = np.ma.masked_array(columns["saved_ns"], columns["saved_ns"] == NOTHING_SAVED)
            columns["confidence"] = columns["confidence"].view(np.float64)
            columns["expert"] = np.ma.masked_array(columns["expert"], columns["expert"] == NONE)
            self.sink.write("prefetches", columns)

    def add_questions(self, rows: Rows) -> None:
        """Take questions that are over for the table (InferenceRow), in any order."""
        if self.sink is not None and len(rows):
            columns = columns_of(rows[np.argsort(rows["inference"])])
            has_guess, has_next, is_known = (columns.pop(name).astype(bool) for name in _OF_QUESTIONS)
            columns["confidence"] = columns["confidence"].view(np.float64)
            for name in ("predicted_key", "confidence"):
                columns[name] = np.ma.masked_array(columns[name], ~has_guess)
            columns["next_key"] = np.ma.masked_array(columns["next_key"], ~has_next)
            columns["came_true"] = np.ma.masked_array(columns["came_true"].astype(bool), ~is_known)
            self.sink.write("inferences", columns)

    def add_requests(self, rows: Rows) -> None:
        """Take requests that are over for the table (RequestRow)."""
        if self.sink is not None and len(rows):
            self.sink.write("requests", columns_of(rows[np.argsort(rows["access"])]))

    def add_transfers(self, rows: Rows) -> None:
        """Take blocks that have begun their way over a link for the table (TransferRow), in order of their calls."""
        if self.sink is None or not len(rows):
            return
        for link, class_ in {*zip(rows["link"].tolist(), rows["class_"].tolist(), strict=True)}:
            these = rows["size_bytes"][(rows["link"] == link) & (rows["class_"] == class_)]
            self.transfer_bytes[link, class_] += int(these.sum())
        columns = columns_of(rows)
        columns["class"] = columns.pop("class_")
        columns["link"] = np.array(self.link_names)[columns["link"]]
        columns["is_down"] = columns["is_down"].astype(bool)
        for name in ("access", "prefetch"):
            columns[name] = np.ma.masked_array(columns[name], columns[name] == NONE)
        self.sink.write("transfers", columns)

    def add_update(
        self, access: int, update: Update, begun_ns: int, started_ns: int, ended_ns: int, n_preempted: int
    ) -> None:
        """Take one that is over, or open at the end."""
        self.updates.append(
            UpdateDone(
                len(self.updates), access, begun_ns, started_ns, ended_ns, update.charged_ns, n_preempted,
                update.host_ns, update.cpu_ns, update.n_accesses, update.loss,
            )
        )  # fmt: skip

    def windows(self) -> dict[str, Any]:
        """The time series: a row for each ``window`` accesses of the trace."""
        n = -(-self.n_accesses // self.window)
        rows = self.cells[:n]
        columns: dict[str, Any] = {
            "window": np.arange(n),
            "first_access": self.first_access + np.arange(n) * self.window,
        }
        for outcome in Outcome:
            columns[f"n_{outcome.name.lower()}"] = rows["n_of_outcome"][:, outcome]
        counts = rows["n_of_outcome"].sum(axis=1)
        columns["mean_latency_ns"] = rows["latency_ns"] / np.maximum(counts, 1)
        columns["mean_inference_ns"] = rows["inference_ns"] / np.maximum(counts, 1)
        columns["begun_ns"] = rows["begun_ns"]
        columns["used_bytes"] = rows["used_bytes"][:, : self.n_tiers]
        return columns

    def check(
        self,
        *,
        n_issued_accesses: int,
        bytes_started: Sequence[Sequence[int]],
        bytes_queued: Sequence[Sequence[int]],
        bytes_moved: Sequence[Sequence[int]],
        tiers: Sequence[tuple[int, int, int, int]],
    ) -> None:
        """Assert the identities of rule R19, and that queueing and transfer by link sum to those of the accesses.

        ``bytes_*`` are per link and priority class, those moved since judging began; ``tiers`` holds (in, out, resident
        by the books, found) of each.

        Raises:
            BooksError: one does not hold.
        """
        rejected = sum(self.n_rejected.values())
        # A judged access may use what one before it asked for: such are equal with those that are not judged.
        outcomes = [a + b for a, b in zip(self.n_outcomes, self.unjudged.n_outcomes, strict=True)]
        fates = [a + b for a, b in zip(self.n_fates, self.unjudged.n_fates, strict=True)]
        n_missed = self.n_outcomes[Outcome.MERGED] + self.n_outcomes[Outcome.MISS]
        checks = {
            f"queueing by link {self.link_queue_ns} = {self.sums['queue_ns']}": (
                sum(self.link_queue_ns) == self.sums["queue_ns"]
            ),
            f"transfer by link {self.link_transfer_ns} = {self.sums['transfer_ns']}": (
                sum(self.link_transfer_ns) == self.sums["transfer_ns"]
            ),
            f"accesses whose parts are more than the whole (rule R18) {self.n_broken} = 0": self.n_broken == 0,
            f"shadow {self.n_shadow_misses} - saved {self.n_saved} + caused {self.n_caused} = missed {n_missed}": (
                self.n_shadow_misses - self.n_saved + self.n_caused == n_missed or not self.has_shadow
            ),
            f"times to the first token {self.ttft.total} = {self.spans} without decoding": (
                self.ttft.total == sum(self.spans[name] for name in SPANS[:-1])
            ),
            f"accesses issued {n_issued_accesses} = outcomes {sum(outcomes)}": n_issued_accesses == sum(outcomes),
            f"accesses judged {self.n_accesses} = outcomes {sum(self.n_outcomes)} = latencies {self.latency.n}": (
                self.n_accesses == sum(self.n_outcomes) == self.latency.n
            ),
            f"proposed {self.n_proposed} = rejected and stale {rejected} + issued {self.n_issued}": (
                self.n_proposed == rejected + self.n_issued
            ),
            f"issued {self.n_issued} = fates {self.n_fates}": self.n_issued == sum(self.n_fates),
            f"first uses {outcomes[Outcome.HIT_PREFETCHED]} = timely {fates[Fate.TIMELY]}": (
                outcomes[Outcome.HIT_PREFETCHED] == fates[Fate.TIMELY]
            ),
            f"late accesses {outcomes[Outcome.LATE]} = late prefetches {fates[Fate.LATE]}": (
                outcomes[Outcome.LATE] == fates[Fate.LATE]
            ),
        }
        for i, (asked, started, queued) in enumerate(zip(self.bytes_asked, bytes_started, bytes_queued, strict=True)):
            balanced = all(a == s + q for a, s, q in zip(asked, started, queued, strict=True))
            checks[f"link {i}: bytes asked {asked} = moved {started} + queued {queued}"] = balanced
            if self.takes("transfers"):
                rows = [self.transfer_bytes[i, class_] for class_ in range(len(started))]
                checks[f"link {i}: bytes of transfers {rows} = moved {bytes_moved[i]}"] = rows == [*bytes_moved[i]]
        for i, (n_in, n_out, n_blocks, n_found) in enumerate(tiers):
            checks[f"tier {i}: in {n_in} = out {n_out} + resident {n_blocks} (found {n_found})"] = (
                n_in == n_out + n_blocks and n_blocks == n_found
            )
        broken = [text for text, holds in checks.items() if not holds]
        if broken:
            raise BooksError("the books do not close (rule R19): " + "; ".join(broken))
