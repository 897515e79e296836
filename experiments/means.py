"""Means of a metric over rows of ``runs``, which may lack it."""

import math
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]


def mean(rows: Iterable[Row], metric: str) -> float | None:
    """The mean over the rows that have the metric; None where none has."""
    values = [float(row[metric]) for row in rows if row.get(metric) is not None]
    return math.fsum(values) / len(values) if values else None


def mean_of(rows: Iterable[Row], arm: str, metric: str) -> float:
    """The mean over an arm's runs, NaN where none has the metric."""
    found = mean((row for row in rows if row["arm"] == arm), metric)
    return math.nan if found is None else found
