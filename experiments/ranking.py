"""Which arm is best, as far as its results show it."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from experiments.compare import are_one_sample, compare
from experiments.compare.table import REQUEST_LATENCY, SEEDS
from experiments.compare.verdict import BETTER, WORSE
from experiments.means import mean

Row = dict[str, Any]


class Ranking(NamedTuple):
    """All arms with their mean latency in ns, from the lowest; ``level``: those not shown to be behind the first."""

    means: dict[str, float]
    level: list[str]

    @property
    def first(self) -> str:
        """The arm whose mean latency is the lowest."""
        return next(iter(self.means))


def difference_of(compared: list[Row], arm: str, metric: str) -> Row | None:
    """What is known of it: over seeds, but from one seed alone what its requests say of the mean latency."""
    rows = [row for row in compared if row["arm"] == arm]
    found = next((row for row in rows if row["metric"] == metric and row["basis"] == SEEDS), None)
    if metric == "mean_latency_ns" and found is not None and found["n_pairs"] == found["n_repeats"] == 1:
        return next((row for row in rows if row["metric"] == REQUEST_LATENCY), found)
    return found


def means_of(rows: list[Row]) -> dict[str, float]:
    """The arms of rows with their mean latency in ns, from the lowest."""
    of_arm: dict[str, list[Row]] = {}
    for row in rows:
        of_arm.setdefault(str(row["arm"]), []).append(row)
    means = {arm: mean(rows, "mean_latency_ns") or math.inf for arm, rows in of_arm.items()}
    return dict(sorted(means.items(), key=lambda item: item[1]))


def ranking(rows: list[Row], compared: list[Row], baseline: str, folder: Path) -> Ranking:
    """Rank the arms of rows; ``compared``: their comparisons with the baseline; ``folder`` has their requests."""
    means = means_of(rows)
    first = next(iter(means))
    # From one sample it takes the requests to tell.
    of_requests = folder if are_one_sample(rows) else None
    against_first = compared if first == baseline else compare(rows, first, of_requests)

    def is_shown_behind(arm: str) -> bool:
        # With the baseline it is compared in the table, and the verdict there is the one that holds.
        if arm == baseline:
            found = difference_of(compared, first, "mean_latency_ns")
            return found is not None and found["verdict"] == BETTER
        found = difference_of(against_first, arm, "mean_latency_ns")
        return found is not None and found["verdict"] == WORSE

    return Ranking(means, [arm for arm in means if arm != first and not is_shown_behind(arm)])
