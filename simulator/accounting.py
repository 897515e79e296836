"""The books: every access, every prefetch, every byte; and the identities they must satisfy (R17 to R20)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from simulator.attribution import Attribution
from simulator.distribution import Distribution
from simulator.policy import Fate, Outcome

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
SHADOW_NONE, SHADOW_HIT, SHADOW_MISS = -1, 0, 1
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


@dataclass(slots=True)
class Prefetch:
    """An issued prefetch that is not settled; times are in ns, -1 for never."""

    row: int
    inference: int
    key: int
    size: int
    source: int
    proposed_ns: int
    confidence: float
    filled_ns: int = -1
    used_ns: int = -1
    used_access: int = -1
    evicted_ns: int = -1
    saved_ns: int | None = None


@dataclass
class Books:
    """The counts of a run, and its rows on their way to the tables."""

    sink: Sink | None
    window: int
    first_access: int = 0
    min_access: int = 2**63 - 1
    n_outcomes: list[int] = field(default_factory=lambda: [0] * len(Outcome))
    n_fates: list[int] = field(default_factory=lambda: [0] * len(Fate))
    n_rejected: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REJECTIONS, 0))
    n_proposed: int = 0
    n_issued: int = 0
    n_pollution: int = 0
    n_shadow_misses: int = 0
    n_saved: int = 0
    n_caused: int = 0
    bytes_asked: list[list[int]] = field(default_factory=list)
    latency: Distribution = field(default_factory=Distribution)
    slack: Distribution = field(default_factory=Distribution)
    saved: Distribution = field(default_factory=Distribution)
    sums: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(ACCESS_COLUMNS), np.int64))
    end_ns: int = 0
    has_shadow: bool = False
    link_queue_ns: list[int] = field(default_factory=list)
    link_transfer_ns: list[int] = field(default_factory=list)
    n_accesses: int = 0
    _settled: list[tuple[Any, ...]] = field(default_factory=list)
    _windows: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((64, len(Outcome) + len(WINDOW_SUMS)), np.int64)
    )

    def flush(self, hits: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> None:
        """Take the hits and the other accesses closed since (columns of ACCESS_COLUMNS, n wide), by time of issue."""
        table = hits
        if others.shape[1]:
            table = np.concatenate([hits, others], axis=1)
            if self.sink is not None:
                # The order matters to readers of the table alone.
                table = table[:, np.lexsort((table[A_ACCESS], table[A_ISSUED]))]
        if table.shape[1] == 0:
            return
        parts = table[A_SERVICE] + table[A_QUEUE] + table[A_TRANSFER] + table[A_INFERENCE]
        if not np.array_equal(parts, table[A_LATENCY]):
            raise BooksError("an access's latency is not the sum of its components (rule R18)")
        for outcome, n in enumerate(np.bincount(table[A_OUTCOME], minlength=len(Outcome)).tolist()):
            self.n_outcomes[outcome] += n
        self.n_accesses += table.shape[1]
        self.min_access = min(self.min_access, int(table[A_ACCESS].min()))
        self.latency.add(table[A_LATENCY])
        self.sums[A_LATENCY:A_SHADOW] += table[A_LATENCY:A_SHADOW].sum(axis=1)
        self._count_shadow(table[A_OUTCOME], table[A_SHADOW])
        self.end_ns = max(self.end_ns, int((table[A_ISSUED] + table[A_LATENCY]).max()))
        self._add_to_windows(table)
        if self.sink is not None:
            self.sink.write("accesses", dict(zip(ACCESS_COLUMNS, table, strict=True)))

    def _count_shadow(self, outcome: npt.NDArray[np.int64], shadow: npt.NDArray[np.int64]) -> None:
        """Misses that prefetching saved and caused, access by access."""
        is_demand_miss = outcome >= Outcome.MERGED
        would_miss = shadow == SHADOW_MISS
        self.n_shadow_misses += int(would_miss.sum())
        self.n_saved += int((would_miss & ~is_demand_miss).sum())
        self.n_caused += int(((shadow == SHADOW_HIT) & is_demand_miss).sum())

    def _add_to_windows(self, table: npt.NDArray[np.int64]) -> None:
        window = (table[A_ACCESS] - self.first_access) // self.window
        first, n = int(window.min()), int(window.max()) + 1
        if n > len(self._windows):
            grown = np.zeros((max(n, 2 * len(self._windows)), self._windows.shape[1]), np.int64)
            grown[: len(self._windows)] = self._windows
            self._windows = grown
        cells = np.bincount((window - first) * len(Outcome) + table[A_OUTCOME], minlength=(n - first) * len(Outcome))
        self._windows[first:n, : len(Outcome)] += cells.reshape(n - first, len(Outcome))
        np.add.at(self._windows[:, len(Outcome)], window, table[A_LATENCY])
        if table[A_INFERENCE].any():
            np.add.at(self._windows[:, len(Outcome) + 1], window, table[A_INFERENCE])

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

    def settle(self, p: Prefetch, fate: Fate) -> None:
        """All is known of an issued prefetch."""
        self.n_fates[fate] += 1
        if fate == Fate.TIMELY:
            self.slack.add(np.array([p.used_ns - p.filled_ns], np.int64))
        if p.saved_ns is not None:
            self.saved.add(np.array([p.saved_ns], np.int64))
        self._settled.append(
            (p.row, p.inference, p.key, p.size, p.source, p.proposed_ns, p.filled_ns, p.used_ns, p.used_access,
             p.saved_ns, p.evicted_ns, int(fate), p.confidence)
        )  # fmt: skip
        if len(self._settled) >= 1 << 16:
            self.flush_prefetches()

    def flush_prefetches(self) -> None:
        """Hand settled prefetches to the sink."""
        if self._settled and self.sink is not None:
            self.sink.write("prefetches", dict(zip(PREFETCH_COLUMNS, zip(*self._settled, strict=True), strict=True)))
        self._settled.clear()

    def check(
        self,
        *,
        n_issued_accesses: int,
        bytes_started: Sequence[Sequence[int]],
        bytes_queued: Sequence[Sequence[int]],
        tiers: Sequence[tuple[int, int, int, int]],
        attribution: Attribution,
    ) -> None:
        """Assert the identities of rule R19, and that queueing and transfer by link sum to those of the accesses.

        ``bytes_*`` are per link and priority class; ``tiers`` holds (in, out, resident by the books, found) of each.

        Raises:
            BooksError: one does not hold.
        """
        rejected = sum(self.n_rejected.values())
        self.link_queue_ns, self.link_transfer_ns = attribution.queue_ns, attribution.transfer_ns
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
