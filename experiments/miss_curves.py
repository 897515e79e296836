"""The picture of ``tierfetch misses --plot``: miss ratios over capacity."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.drawing import COLOURS, GREY, MARKERS, bytes_axis, counts_axis, label_ends, pyplot, save, short

Row = dict[str, Any]
Points = list[tuple[int, float]]
_A_PANEL, _A_ROW = 8, 3
_WIDTH, _LETTER = 4.2, 0.062
"""Of a panel, and of a letter beside it, in inches."""
_FIRSTS = "first accesses"
_BEND = 0.1
"""How far from a straight line, of its height, a curve has a knee."""


def draw_misses(rows: list[Row], folder: Path, whole: int | None = None, least: float | None = None) -> list[Path]:
    """The miss-ratio curve of each eviction policy, as ``misses.png`` and ``misses.svg``; their paths.

    At most eight to a panel, the others in grey behind them, each named where it ends; rings are knees. ``whole`` are
    the bytes (blocks) of all keys, if known: the axis above has capacities as shares of that. ``least``: the
    share of accesses that are a key's first, which nobody hits.
    """
    plt = pyplot()
    curves = _curves(rows)
    names = list(curves)
    n_panels = math.ceil(len(names) / _A_PANEL)
    each = math.ceil(len(names) / n_panels)
    n_columns = min(n_panels, _A_ROW)
    n_lines = math.ceil(n_panels / n_columns)
    # Names stand at the right of each panel.
    margin = 0.35 + _LETTER * max(len(name) for name in [*names, _FIRSTS])
    width, height = 0.75 + n_columns * (_WIDTH + margin), 0.25 + n_lines * 4.3
    figure, panels = plt.subplots(n_lines, n_columns, figsize=(width, height), sharex=True, sharey=True, squeeze=False)
    figure.subplots_adjust(
        left=0.75 / width, right=1 - margin / width, bottom=0.6 / height, top=1 - 0.85 / height,
        wspace=margin / _WIDTH, hspace=0.4,
    )  # fmt: skip
    flat = [axes for line in panels for axes in line]
    for i, axes in enumerate(flat):
        shown = names[i * each : (i + 1) * each]
        if not shown:
            axes.set_visible(False)
            continue
        for name in names if n_panels > 1 else ():
            axes.plot(*zip(*curves[name], strict=True), color=GREY, alpha=0.25, linewidth=0.8)
        for j, name in enumerate(shown):
            _draw(axes, curves[name], j)
        if least is not None:
            axes.axhline(least, color=GREY, linestyle=":", linewidth=1)
    _finish(flat, rows, whole)
    for i, axes in enumerate(flat):
        shown = names[i * each : (i + 1) * each]
        if not shown:
            continue
        ends = [(name, COLOURS[j], *curves[name][-1]) for j, name in enumerate(shown)]
        if least is not None:
            ends.append((_FIRSTS, GREY, axes.get_xlim()[1], least))
        label_ends(axes, ends)
    figure.suptitle(f"{rows[0]['trace']}: misses by capacity" + ("; rings: knees" if _has_knee(curves) else ""))
    return save(plt, figure, folder, "misses")


def _curves(rows: list[Row]) -> dict[str, Points]:
    """Of each eviction and sample the points, in the order in which they came."""
    found: dict[str, Points] = {}
    for row in rows:
        rate = row["sample_rate"]
        name = short(row["eviction"]) + ("" if rate == 1 else f", sample of {rate:.3g}")
        found.setdefault(name, []).append((row["capacity"], row["miss_ratio"]))
    return {name: sorted(points) for name, points in found.items()}


def _draw(axes: Any, points: Points, i: int) -> None:
    axes.plot(*zip(*points, strict=True), marker=MARKERS[i], markersize=3.5, color=COLOURS[i], linewidth=1.4)
    bend = knee(points)
    if bend is not None:
        axes.plot(*bend, marker="o", markersize=10, color=COLOURS[i], fillstyle="none", linestyle="none")


def _has_knee(curves: dict[str, Points]) -> bool:
    return any(knee(points) is not None for points in curves.values())


def knee(points: Sequence[tuple[int, float]]) -> tuple[int, float] | None:
    """Where a curve bends most: the point farthest from the line between its ends, over the capacity's logarithm.

    As in Kneedle (Satopaa et al. 2011), with the sides of the picture as scales. None where it is next to straight.
    """
    if len(points) < 4 or points[0][1] == points[-1][1]:
        return None
    (x0, y0), (x1, y1) = points[0], points[-1]
    width = math.log(x1 / x0)
    away = [abs((y - y0) / (y1 - y0) - math.log(x / x0) / width) for x, y in points]
    most = max(range(len(points)), key=away.__getitem__)
    return points[most] if away[most] >= _BEND else None


def _finish(flat: list[Any], rows: list[Row], whole: int | None) -> None:
    """Axes with their units. They are shared: what is said of one is said of all."""
    unit = rows[0]["capacity_unit"]
    capacities = [row["capacity"] for row in rows]
    first = flat[0]
    first.set_xscale("log")
    # From the best to the worst: between policies the differences are small against a scale from 0 to 1.
    first.margins(y=0.06)
    if unit == "bytes":
        bytes_axis(first.xaxis, min(capacities), max(capacities))
    else:
        counts_axis(first.xaxis)
    is_first_column = [axes.get_subplotspec().is_first_col() for axes in flat]
    for axes, is_first in zip(flat, is_first_column, strict=True):
        axes.grid(alpha=0.3)
        axes.set_xlabel("capacity" if unit == "bytes" else f"capacity in {unit}")
        axes.tick_params(labelsize=8, labelbottom=True)
        if is_first:
            axes.set_ylabel("miss ratio")
        if whole and axes.get_visible():
            _add_shares(axes, whole, min(capacities) / whole, max(capacities) / whole)


def _add_shares(axes: Any, whole: int, low: float, high: float) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    above = axes.secondary_xaxis("top", functions=(lambda x: x / whole, lambda share: share * whole))
    every = [n * 10.0**i for i in range(-9, 1) for n in (1, 2, 5)]
    ticks = [share for share in every if low * 0.99 <= share <= min(high, 1) * 1.01]
    if len(ticks) > 6:
        ticks = [share for share in ticks if f"{share:.0e}".startswith("1")]
    above.xaxis.set_major_locator(FixedLocator(ticks))
    above.xaxis.set_minor_locator(NullLocator())
    above.xaxis.set_ticklabels([f"{share:.3g}" for share in ticks])
    above.tick_params(labelsize=8)
    above.set_xlabel("share of the working set", fontsize=8)
