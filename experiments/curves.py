"""The picture of a trace."""

from pathlib import Path
from typing import Any

from experiments.drawing import pyplot, save

Row = dict[str, Any]


def draw_trace(name: str, windows: list[Row], reuse: list[Row], folder: Path, *, has_times: bool) -> list[Path]:
    """Working set, reuse distances and arrivals of a trace, as ``trace.png`` and ``trace.svg``; their paths."""
    plt = pyplot()
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
    return save(plt, figure, folder, "trace")


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
