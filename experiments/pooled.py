"""Slices of one long trace put together again: ratios and means by their accesses, quantiles from all rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.compare.seeds import over_seeds
from experiments.report import RATIO, TIME, number_text
from experiments.results import Row
from experiments.variants import KeptVariants
from simulator.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

_OF_SLICES = {"workload.source.first", "workload.source.accesses", "warm_up"}
_QUANTILES = {"p50_latency_ns": 0.5, "p99_latency_ns": 0.99}


def are_slices(found: KeptVariants) -> bool:
    """Whether variants are pieces of one trace, beside whatever else they differ in."""
    is_cut = not found.keys.keys().isdisjoint(_OF_SLICES - {"warm_up"})
    return is_cut and all(one.config["workload"]["source"]["kind"] == "slice" for one in found.variants)


def pooled(found: KeptVariants) -> list[Row]:
    """A row for each arm, and for each combination of what slices of one trace have in common.

    ``n_accesses`` are the judged ones of all slices and seeds, by which the ratio of hits and the mean latency (ns) are
    weighted. ``relative_difference_ratio`` is that of the means to the baseline's, ``low`` and ``high`` its 95 %
    interval with slices as batches (Student's t over paired slices; None for fewer than two). Quantiles (ns) are those
    of all judged accesses, None where not all have rows.

    Raises:
        InputError: variants are no slices, or overlap, or one is damaged.
        NotWholeError: runs of a slice are missing.
    """
    if not are_slices(found):
        raise InputError(f"{found.folder}: its variants are no slices of a trace; expected those of run --slices")
    found.check_whole()
    columns = found.columns()
    common = [key for key in columns if key not in _OF_SLICES]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for place in range(len(found.variants)):
        groups.setdefault(tuple(columns[key][place] for key in common), []).append(place)
    rows = []
    for values, places in groups.items():
        places.sort(key=lambda place: _end(found, place))
        _check_apart(found, places)
        rows += [dict(zip(common, values, strict=True)) | row for row in _of_one_trace(found, places)]
    return rows


def _check_apart(found: KeptVariants, places: Sequence[int]) -> None:
    """Judged parts follow each other. Raises InputError if two have accesses in common."""
    ended = 0
    for place in places:
        variant, end = found.variants[place], _end(found, place)
        n_judged = max(int(row["n_accesses"]) for row in _rows(found, place))
        if end - n_judged < ended:
            raise InputError(
                f"{variant.folder}: judges accesses from {end - n_judged:,} on, but the slice before it up to "
                f"{ended:,}; expected slices that do not overlap"
            )
        ended = end


def _rows(found: KeptVariants, place: int) -> list[Row]:
    return found.of[found.names[place]].rows


def _end(found: KeptVariants, place: int) -> int:
    source = found.variants[place].config["workload"]["source"]
    return int(source["first"]) + int(source["accesses"])


def _of_one_trace(found: KeptVariants, places: Sequence[int]) -> list[Row]:
    baseline = found.baseline_of(found.names[places[0]])
    arms = dict.fromkeys(arm for place in places for arm in found.variants[place].arms)
    means = {arm: [_weighted(found, [place], arm) for place in places] for arm in arms}
    rows = []
    for arm in arms:
        whole = _weighted(found, places, arm)
        row = {"arm": arm, "n_slices": len(places), **whole}
        if arm != baseline and baseline in means:
            base = _weighted(found, places, baseline)["mean_latency_ns"]
            pairs = zip(means[arm], means[baseline], strict=True)
            of_slices = over_seeds([ours["mean_latency_ns"] - theirs["mean_latency_ns"] for ours, theirs in pairs])
            shift = whole["mean_latency_ns"] - base - of_slices.mean
            row |= {
                "relative_difference_ratio": (whole["mean_latency_ns"] - base) / base,
                "low": _finite((of_slices.low + shift) / base),
                "high": _finite((of_slices.high + shift) / base),
            }
        else:
            row |= dict.fromkeys(("relative_difference_ratio", "low", "high"))
        rows.append(row | _quantiles(found, places, arm))
    return rows


def _weighted(found: KeptVariants, places: Sequence[int], arm: str) -> dict[str, Any]:
    rows = [row for place in places for row in _rows(found, place) if row["arm"] == arm]
    n = sum(int(row["n_accesses"]) for row in rows)
    mean = {
        name: sum(float(row[name]) * int(row["n_accesses"]) for row in rows) / n
        for name in ("hit_ratio", "mean_latency_ns")
    }
    return {"n_accesses": n, **mean}


def _quantiles(found: KeptVariants, places: Sequence[int], arm: str) -> dict[str, float | None]:
    """Those of the rows, of the smallest value that so many do not exceed, as ``runs`` has them."""
    from experiments.datasets import dataset_of

    none: dict[str, float | None] = dict.fromkeys(_QUANTILES)
    if any(found.variants[place].config["output"]["accesses"] is not True for place in places):
        return none
    names = {found.names[place] for place in places}
    keys = [key for key in found.run_keys if key[0] == arm]
    parts = [part for part in found.parts("accesses", keys) if part.path.parents[1].name in names]
    rows = dataset_of(found.folder, "accesses", parts, found.front).to_table(columns=["latency_ns"])
    latencies = np.sort(rows["latency_ns"].to_numpy())
    n = len(latencies)
    return {name: float(latencies[max(int(np.ceil(q * n)), 1) - 1]) if n else None for name, q in _QUANTILES.items()}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def print_pooled(console: "Console", found: KeptVariants) -> None:
    """The slices of each trace as one, an arm a row."""
    from rich.table import Table

    rows = pooled(found)
    common = [key for key in rows[0] if key in found.keys]
    n = rows[0]["n_slices"]
    console.print(f"{n} slices as one: weighted by accesses, intervals over slices", highlight=False, markup=False)
    table = Table()
    for title in [*common, "arm", "hit ratio", "mean latency", "difference", "95 % interval", "p99"]:
        table.add_column(title, justify="left" if title in ("arm", *common) else "right", overflow="fold")
    for row in rows:
        off, low, high, p99 = (row[name] for name in ("relative_difference_ratio", "low", "high", "p99_latency_ns"))
        table.add_row(
            *(str(row[key]) for key in common), row["arm"], number_text(row["hit_ratio"], RATIO),
            number_text(row["mean_latency_ns"], TIME), "" if off is None else f"{off:+.1%}",
            "" if low is None else f"{low:+.1%} to {high:+.1%}", "" if p99 is None else number_text(p99, TIME),
        )  # fmt: skip
    console.print(table)
