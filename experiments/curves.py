"""Pictures of results."""

from pathlib import Path
from typing import Any

from experiments.aside import written_aside

Row = dict[str, Any]
_STYLES = ("-", "--", "-.", ":")


def draw_break_even(
    name: str, rows: list[Row], references: dict[str, Row], crossings: list[Row], folder: Path
) -> list[Path]:
    """Mean latency against inference latency, a panel a mode, as ``break_even.png`` and ``.svg``; their paths."""
    plt = _pyplot()
    modes = list(dict.fromkeys(row["mode"] for row in rows))
    figure, panels = plt.subplots(
        2, len(modes), figsize=(6 * len(modes), 8), layout="constrained", sharex=True, sharey="row", squeeze=False
    )
    for column, mode in enumerate(modes):
        of_mode = [row for row in rows if row["mode"] == mode]
        for line, (metric, label) in enumerate((("mean_latency_ns", "mean"), ("p99_latency_ns", "99th percentile"))):
            axes = panels[line][column]
            _draw_ladder(axes, of_mode, metric)
            for i, (arm, row) in enumerate(references.items()):
                axes.axhline(row[metric] / 1e3, color=f"C{4 + i}", linestyle="--", linewidth=1, label=arm)
            axes.set_xscale("symlog", linthresh=1)
            axes.set_xlim(left=0)
            axes.set_yscale("log")
            axes.grid(alpha=0.3)
            if column == 0:
                axes.set_ylabel(f"latency of an access in us, {label}")
        for row in crossings:
            if row["mode"] == mode and row["break_even_ns"]:
                panels[0][column].axvline(row["break_even_ns"] / 1e3, color="grey", linestyle=":", linewidth=1)
        panels[0][column].set_title(f"{name}: {mode}")
        panels[1][column].set_xlabel("latency of an inference in us (0, then logarithmic)")
    panels[0][0].legend(fontsize=8)
    return _save(plt, figure, folder, "break_even")


def _draw_ladder(axes: Any, rows: list[Row], metric: str) -> None:
    """The rungs as a line with its interval, measured distributions as marks."""
    for i, arm in enumerate(dict.fromkeys(row["arm"] for row in rows)):
        points = sorted((row for row in rows if row["arm"] == arm), key=lambda row: row["inference_p50_ns"])
        x, y = ([row[name] / 1e3 for row in points] for name in ("inference_p50_ns", metric))
        if i > 0:
            axes.plot(x, y, color=f"C{i}", marker="^", linestyle="none", label=f"{arm}, as measured x 0.1, 1, 10")
            continue
        axes.plot(x, y, color="C0", marker="o", markersize=3, label=f"{arm}, each inference charged the same")
        if metric == "mean_latency_ns" and points and all(row["ci_low_ns"] is not None for row in points):
            low, high = ([row[name] / 1e3 for row in points] for name in ("ci_low_ns", "ci_high_ns"))
            axes.fill_between(x, low, high, color="C0", alpha=0.2, linewidth=0)


def draw_map(name: str, cells: list[Row], folder: Path) -> list[Path]:
    """The break-even latency over time between requests and another axis, as ``map.png`` and ``.svg``; their paths."""
    plt = _pyplot()
    kinds = list(dict.fromkeys((row["axis"], row["against"]) for row in cells))
    figure, panels = plt.subplots(1, len(kinds), figsize=(4.2 * len(kinds), 4), layout="constrained", squeeze=False)
    for axes, (axis, against) in zip(panels[0], kinds, strict=True):
        of_kind = [row for row in cells if (row["axis"], row["against"]) == (axis, against)]
        gaps = sorted({row["gap_scale"] for row in of_kind})
        factors = sorted({row["axis_scale"] for row in of_kind})
        # What always pays is drawn at the ladder's end, what never does below its beginning.
        values = {(r["gap_scale"], r["axis_scale"]): _capped(r["break_even_ns"]) for r in of_kind}
        grid = [[values[gap, factor] for gap in gaps] for factor in factors]
        axes.imshow(grid, origin="lower", aspect="auto", norm="log", vmin=1e-1, vmax=1e5, cmap="viridis")
        for y, factor in enumerate(factors):
            for x, gap in enumerate(gaps):
                axes.text(x, y, _us(values[gap, factor]), ha="center", va="center", color="white", fontsize=9)
        axes.set_xticks(range(len(gaps)), [f"{gap:g}" for gap in gaps])
        axes.set_yticks(range(len(factors)), [f"{factor:g}" for factor in factors])
        axes.set_xlabel("time between requests, times")
        axes.set_ylabel(f"{_AXES[axis]}, times")
        axes.set_title(f"{name}: pays up to, against {against}", fontsize=9)
    return _save(plt, figure, folder, "map")


_AXES = {"tier": "latency of the origin and its link", "block": "bytes of a block"}
_NEVER_US, _ALWAYS_US = 0.1, 1e5


def _capped(ns: float | None) -> float:
    return _ALWAYS_US if ns is None else max(ns / 1e3, _NEVER_US)


def _us(us: float) -> str:
    if us <= _NEVER_US:
        return "never"
    return "beyond" if us >= _ALWAYS_US else f"{us:,.0f} us" if us >= 10 else f"{us:.1f} us"


def draw_misses(rows: list[dict[str, Any]], folder: Path) -> list[Path]:
    """The miss-ratio curve of each eviction policy, as ``misses.png`` and ``misses.svg``; their paths."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for i, (name, rate) in enumerate(dict.fromkeys((row["eviction"], row["sample_rate"]) for row in rows)):
        points = sorted(
            (row["capacity"], row["miss_ratio"])
            for row in rows
            if (row["eviction"], row["sample_rate"]) == (name, rate)
        )
        # Ten colours; the line's style tells those apart that share one.
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, color=f"C{i % 10}",
                  label=name if rate == 1 else f"{name}, sample of {rate:.3g}",
                  linestyle=_STYLES[i // 10 % len(_STYLES)])  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel(f"capacity in {rows[0]['capacity_unit']}")
    axes.set_ylabel("miss ratio")
    # From the best to the worst: between policies the differences are small against a scale from 0 to 1.
    axes.margins(y=0.08)
    axes.set_title(rows[0]["trace"])
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)
    return _save(plt, figure, folder, "misses")


def draw_trace(name: str, windows: list[Row], reuse: list[Row], folder: Path, *, has_times: bool) -> list[Path]:
    """Working set, reuse distances and arrivals of a trace, as ``trace.png`` and ``trace.svg``; their paths."""
    plt = _pyplot()
    n_panels = 3 if has_times else 2
    figure, panels = plt.subplots(n_panels, 1, figsize=(8, 3 * n_panels), layout="constrained")
    first = [row["first_access"] for row in windows]
    axes = panels[0]
    axes.plot(first, [row["working_set_bytes"] for row in windows], label="in the window")
    axes.set_ylabel("bytes of distinct keys")
    axes.set_xlabel("access")
    axes.set_title(f"{name}: working set")
    axes.set_ylim(bottom=0)
    so_far = axes.twinx()
    so_far.plot(first, [row["n_keys_so_far"] for row in windows], color="C1", label="keys so far")
    so_far.set_ylabel("distinct keys so far", color="C1")
    so_far.set_ylim(bottom=0)
    axes = panels[1]
    again = [row for row in reuse if row["distance_to"] is not None]
    axes.step([row["distance_to"] + 1 for row in again], [row["lru_hit_ratio"] for row in again], where="post")
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, 1)
    axes.set_ylabel("accesses that an LRU cache hits")
    axes.set_xlabel("its capacity in blocks: reuse distance + 1")
    axes.set_title("Reuse distances")
    if has_times:
        _draw_arrivals(panels[2], windows)
    for axes in panels:
        axes.grid(alpha=0.3)
    return _save(plt, figure, folder, "trace")


def _draw_arrivals(axes: Any, windows: list[Row]) -> None:
    """The rate of each window. One whose time stands still has none."""
    start = windows[0]["first_time_ns"]
    spans = [row["last_time_ns"] - row["first_time_ns"] for row in windows]
    points = [
        ((row["first_time_ns"] - start) / 1e9, row["n_accesses"] / span * 1e9)
        for row, span in zip(windows, spans, strict=True)
        if span > 0
    ]
    if points:
        axes.plot(*zip(*points, strict=True), marker=".", linestyle="none")
        axes.set_yscale("log")
    axes.set_xlabel("s since the first access")
    axes.set_ylabel("accesses a second, by window")
    axes.set_title("Arrivals")


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _save(plt: Any, figure: Any, folder: Path, name: str) -> list[Path]:
    """As PNG and SVG, each written aside and then renamed."""
    paths = []
    for kind in ("png", "svg"):
        path = folder / f"{name}.{kind}"
        with written_aside(path) as aside:
            figure.savefig(aside, dpi=150)
        paths.append(path)
    plt.close(figure)
    return paths
