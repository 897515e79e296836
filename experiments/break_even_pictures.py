"""The pictures of ``tierfetch break-even``: the ladder of latencies, and the map over other surroundings."""

from pathlib import Path
from typing import Any

from experiments.drawing import COLOURS, GREY, MARKERS, label_ends, pyplot, save, times_axis
from experiments.report import time_text

Row = dict[str, Any]
_PANELS = (("mean_latency_ns", "mean latency of an access"), ("p99_latency_ns", "its 99th percentile"))
_AXES = {"tier": "latency of the origin and its link", "block": "bytes of a block"}
_NEVER_NS, _ALWAYS_NS = 100.0, 1e8


def draw_break_even(
    name: str, rows: list[Row], references: dict[str, Row], crossings: list[Row], folder: Path,
    backends: list[Row] | None = None,
) -> list[Path]:  # fmt: skip
    """Latency of an access against that of an inference, a column a mode, as ``break_even.png`` and ``.svg``.

    Lines are named where they end. Of the measured ``backends`` a bar reaches from the median to the 99th percentile of
    an inference, another one over the interval of the mean latency.
    """
    plt = pyplot()
    modes = list(dict.fromkeys(row["mode"] for row in rows))
    figure, panels = plt.subplots(
        2, len(modes), figsize=(1 + 6.2 * len(modes), 8.5), sharex=True, sharey="row", squeeze=False
    )
    figure.subplots_adjust(
        left=0.8 / figure.get_figwidth(),
        right=1 - 1 / figure.get_figwidth(),
        bottom=0.08,
        top=0.9,
        wspace=0.25,
        hspace=0.1,
    )
    for column, mode in enumerate(modes):
        of_mode = [row for row in rows if row["mode"] == mode]
        of_backends = {row["backend"]: row for row in backends or [] if row["mode"] == mode}
        for line, (metric, label) in enumerate(_PANELS):
            axes = panels[line][column]
            axes.set_xscale("symlog", linthresh=1000)
            axes.set_yscale("log")
            _draw_ladder(axes, of_mode, metric, of_backends)
            for i, row in enumerate(references.values()):
                axes.axhline(row[metric], color=_of_reference(i), linestyle="--", linewidth=1)
            axes.grid(alpha=0.3)
            axes.tick_params(labelsize=8)
            if column == 0:
                axes.set_ylabel(label)
        panels[0][column].set_title(f"{name}, {mode}", loc="left")
        panels[1][column].set_xlabel("charged for an inference (0, then logarithmic)")
    _finish(panels, rows, references, crossings, modes)
    figure.legend(
        *panels[0][0].get_legend_handles_labels(), loc="upper right", ncols=4, fontsize=8, frameon=False,
        bbox_to_anchor=(0.99, 0.995),
    )  # fmt: skip
    return save(plt, figure, folder, "break_even")


def _of_reference(i: int) -> str:
    # After the policy's own and those of three backends.
    return COLOURS[(4 + i) % len(COLOURS)]


def _draw_ladder(axes: Any, rows: list[Row], metric: str, backends: dict[str, Row]) -> None:
    """The rungs as a line with its interval; of each backend what was measured, and that times 0.1 and 10."""
    for i, arm in enumerate(dict.fromkeys(row["arm"] for row in rows)):
        points = sorted((row for row in rows if row["arm"] == arm), key=lambda row: row["inference_p50_ns"])
        x, y = ([row[name] for row in points] for name in ("inference_p50_ns", metric))
        has_interval = metric == "mean_latency_ns" and all(row["ci_low_ns"] is not None for row in points)
        if i == 0:
            axes.plot(x, y, color=COLOURS[0], marker="o", markersize=2.5, label=f"{arm}, each charged the same")
            if has_interval:
                low, high = ([row[name] for row in points] for name in ("ci_low_ns", "ci_high_ns"))
                axes.fill_between(x, low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
            continue
        colour, backend = COLOURS[1 + (i - 1) % (len(COLOURS) - 1)], arm.rsplit("(", 1)[-1].rstrip(")")
        scaled = [row for row in points if row["latency_scale"] != 1]
        axes.plot(
            [row["inference_p50_ns"] for row in scaled], [row[metric] for row in scaled], color=colour,
            marker=MARKERS[i % len(MARKERS)], markersize=5, linestyle="none", fillstyle="none",
        )  # fmt: skip
        for row in points:
            if row["latency_scale"] == 1:
                _draw_measured(axes, row, metric, backends.get(backend), colour, i, backend, has_interval=has_interval)


def _draw_measured(
    axes: Any, row: Row, metric: str, times: Row | None, colour: str, i: int, backend: str, *, has_interval: bool
) -> None:
    x, y = row["inference_p50_ns"], row[metric]
    across = None if times is None else [[0], [max(times["p99_ns"] - x, 0)]]
    up = [[max(y - row["ci_low_ns"], 0)], [max(row["ci_high_ns"] - y, 0)]] if has_interval else None
    axes.errorbar(
        [x], [y], xerr=across, yerr=up, color=colour, marker=MARKERS[i % len(MARKERS)], markersize=7, capsize=3,
        linestyle="none", linewidth=1, label=f"{backend}, as measured (hollow: x 0.1, x 10)",
    )  # fmt: skip


def _finish(panels: Any, rows: list[Row], references: dict[str, Row], crossings: list[Row], modes: list[str]) -> None:
    """Axes with their units, then what is placed by them: names of lines, and where these cross."""
    most = max(row["inference_p50_ns"] for row in rows)
    for line, (metric, _) in enumerate(_PANELS):
        values = [row[metric] for row in rows] + [row[metric] for row in references.values()]
        if metric == "mean_latency_ns":
            values += [row["ci_low_ns"] for row in rows if row["ci_low_ns"] is not None and row["ci_low_ns"] > 0]
        axes = panels[line][0]
        axes.set_xlim(0, most * 1.2)
        axes.set_ylim(min(values) * 0.7, max(values) * 1.5)
        times_axis(axes.yaxis, min(values) * 0.7, max(values) * 1.5)
        times_axis(axes.xaxis, 0, most)
    for column, mode in enumerate(modes):
        ladder = [row for row in rows if row["mode"] == mode and row["arm"] == rows[0]["arm"]]
        last = max(ladder, key=lambda row: row["inference_p50_ns"])
        for line, (metric, _) in enumerate(_PANELS):
            axes = panels[line][column]
            ends = [(rows[0]["arm"], COLOURS[0], last["inference_p50_ns"], last[metric])]
            right = axes.get_xlim()[1]
            ends += [(arm, _of_reference(i), right, row[metric]) for i, (arm, row) in enumerate(references.items())]
            label_ends(axes, ends)
        _draw_crossings(panels[0][column], [row for row in crossings if row["mode"] == mode and row["break_even_ns"]])


def _draw_crossings(axes: Any, crossings: list[Row]) -> None:
    """Until where it pays, with the interval as a bar above, in the order of the words below, which lie apart."""
    for i, row in enumerate(sorted(crossings, key=lambda row: row["break_even_ns"])):
        at, is_first = row["break_even_ns"], i == 0 and len(crossings) > 1
        axes.axvline(at, color=GREY, linestyle=":", linewidth=1)
        if row["has_interval"]:
            high = axes.get_xlim()[1] if row["high_ns"] is None else row["high_ns"]
            axes.plot(
                [row["low_ns"], high], [0.985 - 0.02 * i] * 2, transform=axes.get_xaxis_transform(), color=GREY,
                linewidth=3, solid_capstyle="butt",
            )  # fmt: skip
        axes.annotate(
            f"pays to {time_text(at)} ({row['against']})", (at, 0.93), xycoords=("data", "axes fraction"),
            xytext=(-3 if is_first else 3, 0), textcoords="offset points", rotation=90, fontsize=7, va="top",
            ha="right" if is_first else "left", color="#444444",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        )  # fmt: skip


def draw_map(name: str, cells: list[Row], folder: Path) -> list[Path]:
    """The break-even latency over time between requests and another axis, as ``map.png`` and ``.svg``; their paths."""
    plt = pyplot()
    axes_of = list(dict.fromkeys(row["axis"] for row in cells))
    against = list(dict.fromkeys(row["against"] for row in cells))
    figure, panels = plt.subplots(
        len(axes_of), len(against), figsize=(1.6 + 4.2 * len(against), 0.8 + 3.2 * len(axes_of)), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    image = None
    for line, axis in enumerate(axes_of):
        for column, other in enumerate(against):
            panel = panels[line][column]
            of_panel = [row for row in cells if (row["axis"], row["against"]) == (axis, other)]
            if not of_panel:
                panel.set_visible(False)
                continue
            image = _draw_cells(panel, of_panel)
            panel.set_title(f"against {other}", fontsize=10)
            panel.set_xlabel("time between requests")
            if column == 0:
                panel.set_ylabel(_AXES[axis])
    figure.suptitle(f"{name}: inference latency up to which it pays", fontsize=11)
    bar = figure.colorbar(image, ax=panels, shrink=0.8, label="pays up to")
    times_axis(bar.ax.yaxis, _NEVER_NS, _ALWAYS_NS)
    return save(plt, figure, folder, "map")


def _draw_cells(panel: Any, cells: list[Row]) -> Any:
    """A cell for each pair of factors, in which its latency is said; those that were left out stay empty."""
    import numpy as np

    gaps = sorted({row["gap_scale"] for row in cells})
    factors = sorted({row["axis_scale"] for row in cells})
    grid = np.full((len(factors), len(gaps)), np.nan)
    for row in cells:
        # What always pays is drawn at the ladder's end, what never does below its beginning.
        grid[factors.index(row["axis_scale"]), gaps.index(row["gap_scale"])] = _capped(row["break_even_ns"])
    image = panel.imshow(
        grid, origin="lower", aspect="auto", norm="log", vmin=_NEVER_NS, vmax=_ALWAYS_NS, cmap="cividis"
    )
    for (y, x), ns in np.ndenumerate(grid):
        if not np.isnan(ns):
            # Dark on bright cells, and bright on dark ones.
            colour = "black" if float(image.norm(ns)) > 0.5 else "white"
            panel.text(x, y, _cell_text(ns), ha="center", va="center", color=colour, fontsize=10)
    panel.set_xticks(range(len(gaps)), [f"x {gap:g}" for gap in gaps])
    panel.set_yticks(range(len(factors)), [f"x {factor:g}" for factor in factors])
    return image


def _capped(ns: float | None) -> float:
    return _ALWAYS_NS if ns is None else min(max(ns, _NEVER_NS), _ALWAYS_NS)


def _cell_text(ns: float) -> str:
    if ns <= _NEVER_NS:
        return "never"
    return "always" if ns >= _ALWAYS_NS else time_text(ns)
