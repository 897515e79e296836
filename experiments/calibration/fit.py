"""From durations to latency, bandwidth and channels: no clock and no file, so that planted figures must be found again.

A line of latency + bytes / bandwidth is fitted to what calls took alone, by least absolute *relative* errors: a
duration that is ten times as long as the others, on a machine that others use as well, moves it no further than one
that is a little too long, and small blocks count as much as large ones. Linear programming finds it exactly.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Literal, NamedTuple

Statistic = Literal["median", "mean"]
Rounds = Sequence[Sequence[int]]
"""Durations in ns of one kind of call, by round."""
Loads = Mapping[tuple[int, int], Rounds]
"""Those of one way by (bytes, calls at once)."""

LEAST_NS_PER_BYTE = 1e-6
"""A petabyte a second: what takes no longer with more bytes has no bandwidth that could be measured."""
NEARLY_MOST = 0.95
"""With so much of the most that is moved at all, more calls at once are said to help no more."""


class Line(NamedTuple):
    """What a call takes alone: latency + bytes / bandwidth."""

    latency_ns: float
    ns_per_byte: float

    def at(self, n_bytes: int) -> float:
        """A call of so many bytes, in ns."""
        return self.latency_ns + self.ns_per_byte * n_bytes

    @property
    def bytes_per_s(self) -> float:
        """Of one channel."""
        return 1e9 / self.ns_per_byte


class Fit(NamedTuple):
    """What was found of one way, and how far the rounds lie apart: (most - least) / the value over all of them."""

    line: Line
    channels: int
    """Calls that go on at once as if each were alone, as a link without a table has it."""
    most_at_once: int
    """With how many it was measured: of a way that was measured alone, channels are not known."""
    useful: int
    """Calls at once with which nearly the most is moved: a link with a table needs no more channels."""
    latency_spread: float | None
    """None: of one round, or of no latency."""
    bandwidth_spread: float | None
    channels_by_round: tuple[int, ...]


def typical(durations: Iterable[float], statistic: Statistic) -> float:
    """The one number that stands for many durations."""
    values = list(durations)
    return median(values) if statistic == "median" else math.fsum(values) / len(values)


def all_of(rounds: Rounds) -> list[int]:
    """The durations of all rounds."""
    return [ns for one in rounds for ns in one]


def line_of(points: Sequence[tuple[int, float]]) -> Line:
    """The line with the least sum of absolute relative errors through (bytes, ns).

    Neither latency nor the time of a byte is below zero.
    """
    import numpy as np
    from scipy.optimize import linprog

    sizes = np.array([n_bytes for n_bytes, _ in points], float)
    times = np.array([ns for _, ns in points], float)
    if len(set(sizes)) < 2:
        raise ValueError(f"a line needs calls of two sizes; got {sorted(set(sizes))}")
    # In units of the largest block, so that both unknowns are of like magnitude.
    unit, n = sizes.max(), len(points)
    of_line = np.column_stack((1 / times, sizes / unit / times)) * times.mean()
    # Each error is at least what the line is too long, and at least what it is too short.
    bounds = np.block([[of_line, -np.eye(n)], [-of_line, -np.eye(n)]])
    right = np.concatenate((np.ones(n), -np.ones(n)))
    found = linprog(np.concatenate(([0, 0], np.ones(n))), A_ub=bounds, b_ub=right, method="highs")
    assert found.x is not None, "every line is a solution"
    latency, of_unit = found.x[:2] * times.mean()
    return Line(float(latency), max(float(of_unit / unit), LEAST_NS_PER_BYTE))


def channels_of(typicals: Mapping[tuple[int, int], float]) -> int:
    """How many calls go on as if each were alone; what comes beyond waits, so that all take longer in proportion.

    Of the whole numbers up to the most that were at once, the one with the least sum of absolute logarithms of errors;
    the smallest, where several are as good.
    """
    most = max(at_once for _, at_once in typicals)
    loaded = [(ns / typicals[n_bytes, 1], k) for (n_bytes, k), ns in typicals.items() if k > 1]

    def error(channels: int) -> float:
        return sum(abs(math.log(longer / max(1.0, k / channels))) for longer, k in loaded)

    return min(range(1, most + 1), key=lambda channels: (round(error(channels), 9), channels))


def useful_of(typicals: Mapping[tuple[int, int], float]) -> int:
    """The least number of calls at once with which nearly as many bytes are moved as with the best number.

    By the median over sizes of what is moved in the time of a call alone.
    """
    sizes = sorted({n_bytes for n_bytes, _ in typicals})
    moved = {
        k: median(k * typicals[n_bytes, 1] / typicals[n_bytes, k] for n_bytes in sizes)
        for k in sorted({k for _, k in typicals})
    }
    return next(k for k in moved if moved[k] >= NEARLY_MOST * max(moved.values()))


def typicals_of(loads: Loads, statistic: Statistic) -> dict[tuple[int, int], float]:
    """One number for each (bytes, calls at once), over all rounds."""
    return {cell: typical(all_of(rounds), statistic) for cell, rounds in loads.items()}


def fit_of(loads: Loads, statistic: Statistic = "median") -> Fit:
    """Latency, bandwidth and channels of one way. Each number of calls at once has all sizes; 1 is among them."""
    n_rounds = min(len(rounds) for rounds in loads.values())
    typicals = typicals_of(loads, statistic)
    of_rounds = [{cell: typical(rounds[i], statistic) for cell, rounds in loads.items()} for i in range(n_rounds)]
    # All rounds at once, so that one that was disturbed is outvoted.
    line = line_of([(n_bytes, ns) for one in of_rounds for (n_bytes, k), ns in one.items() if k == 1])
    lines = [line_of([(n_bytes, ns) for (n_bytes, k), ns in one.items() if k == 1]) for one in of_rounds]
    return Fit(
        line, channels_of(typicals), max(k for _, k in loads), useful_of(typicals),
        differ_ratio([one.latency_ns for one in lines], line.latency_ns),
        differ_ratio([one.bytes_per_s for one in lines], line.bytes_per_s), tuple(map(channels_of, of_rounds)),
    )  # fmt: skip


def differ_ratio(values: Sequence[float], whole: float) -> float | None:
    """How far rounds lie apart, as a share of the value over all of them."""
    return (max(values) - min(values)) / whole if len(values) > 1 and whole > 0 else None


def rows_of(typicals: Mapping[tuple[int, int], float], most: int) -> tuple[list[int], list[int], list[list[int]]]:
    """Sizes, calls at once up to ``most``, and a row of durations for each: a link's table (rule R46).

    More bytes take no less time there. Where they did, all of these get their (geometric) mean, the nearest rows that
    do not fall.
    """
    import numpy as np
    from scipy.optimize import isotonic_regression

    sizes = sorted({n_bytes for n_bytes, _ in typicals})
    loads = sorted({k for _, k in typicals if k <= most})
    rows = []
    for k in loads:
        risen = isotonic_regression(np.log([max(typicals[n_bytes, k], 1.0) for n_bytes in sizes])).x
        rows.append([max(round(float(ns)), 1) for ns in np.exp(risen)])
    return sizes, loads, rows
