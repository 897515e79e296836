"""What a prefetch engine has counted since it was made."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from live.recorder import Recorder
from simulator.ledger.rows import distribution


@dataclass(frozen=True)
class EngineMetrics:
    """What ``PrefetchEngine.metrics`` returns: counts of one moment, under the names of ``runs`` in docs/metrics.md.

    ``n_held_back`` were less sure than ``threshold``; ``n_issued`` were sent for, as far as the cache says;
    ``n_predicted`` best guesses could be judged, of which ``n_came_true`` named the access that came; ``n_unshown``
    accesses were too many to be kept for the policy; ``n_failed_sends`` times the cache refused. Times are of one
    inference, in ns.
    """

    n_accesses: int
    n_asked: int
    n_answered: int
    n_stale: int
    n_superseded: int
    n_queue_full: int
    n_waiting: int
    n_proposed: int
    n_held_back: int
    n_issued: int
    n_predicted: int
    n_came_true: int
    n_unshown: int
    n_errors: int
    n_failed_sends: int
    mean_inference_ns: float
    p50_inference_ns: float
    p99_inference_ns: float


@dataclass
class Tally:
    """Under the engine's lock. It takes the rows of a ``QuestionLog``, for the recorder if there is one."""

    recorder: Recorder | None
    n_accesses: int = 0
    n_answered: int = 0
    n_stale: int = 0
    n_proposed: int = 0
    n_held_back: int = 0
    n_issued: int = 0
    n_predicted: int = 0
    n_came_true: int = 0
    n_errors: int = 0
    n_failed_sends: int = 0
    took_ns: Counter[int] = field(default_factory=Counter)

    def add(self, table: str, row: dict[str, Any]) -> None:
        """All is known of a question."""
        self.n_predicted += row["is_known"]
        self.n_came_true += row["came_true"]
        if self.recorder is not None:
            self.recorder.inference(row)

    def took(self, host_ns: int) -> None:
        """A batch was answered; of more than a microsecond the time is kept to one part in 64."""
        shift = max(host_ns.bit_length() - 10, 0)
        self.took_ns[host_ns >> shift << shift] += 1

    def metrics(self, **others: int) -> EngineMetrics:
        """A copy of what is counted."""
        took = distribution(self.took_ns)
        return EngineMetrics(
            n_accesses=self.n_accesses, n_answered=self.n_answered, n_stale=self.n_stale, n_proposed=self.n_proposed,
            n_held_back=self.n_held_back, n_issued=self.n_issued, n_predicted=self.n_predicted,
            n_came_true=self.n_came_true, n_errors=self.n_errors, n_failed_sends=self.n_failed_sends,
            mean_inference_ns=took.mean(), p50_inference_ns=took.quantile(0.5), p99_inference_ns=took.quantile(0.99),
            **others,
        )  # fmt: skip
