"""Where a policy stops paying: the latency at which its mean latency crosses that of another arm."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Crossing(NamedTuple):
    """The break-even latency and its interval, in ns: 0 where it never pays, infinite where it always does."""

    latency_ns: float
    low_ns: float
    high_ns: float


def crossing(latencies: Sequence[float], differences: Sequence[float]) -> float:
    """The first latency at which the difference (arm minus other) is no longer negative; linear between rungs."""
    for i, (x, d) in enumerate(zip(latencies, differences, strict=True)):
        if d >= 0:
            if i == 0:
                return 0.0
            x0, d0 = latencies[i - 1], differences[i - 1]
            return x0 + (x - x0) * -d0 / (d - d0)
    return math.inf


def bracket(latencies: Sequence[float], differences: Sequence[float]) -> tuple[float, float] | None:
    """The two rungs between which it stops paying; None if it never or always pays."""
    at = crossing(latencies, differences)
    if not 0 < at < math.inf:
        return None
    i = next(i for i, d in enumerate(differences) if d >= 0)
    return latencies[i - 1], latencies[i]


def break_even(
    latencies: Sequence[float], differences: Sequence[float], low: Sequence[float], high: Sequence[float]
) -> Crossing:
    """With its interval.

    It surely pays until the upper end of the difference's interval crosses zero, and surely
    not beyond where the lower end does.
    """
    return Crossing(crossing(latencies, differences), crossing(latencies, high), crossing(latencies, low))


def closed_form(mean_free_ns: float, mean_other_ns: float, questions_per_access: float) -> float:
    """L* of a synchronous policy: what it saves of a mean access when thinking is free, over its questions an access.

    It holds where every question is answered at once (no queue at the server), and where the time that an access
    waits for its answer moves all that follows by as much: in a closed loop of one stream.
    """
    saved = mean_other_ns - mean_free_ns
    return max(saved, 0.0) / questions_per_access if questions_per_access else math.inf
