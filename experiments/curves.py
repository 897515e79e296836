"""Pictures of results."""

from pathlib import Path
from typing import Any

from experiments.tables import written_aside

_STYLES = ("-", "--", "-.", ":")


def draw_misses(rows: list[dict[str, Any]], folder: Path) -> list[Path]:
    """The miss-ratio curve of each eviction policy, as ``misses.png`` and ``misses.svg``; their paths."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for i, name in enumerate(dict.fromkeys(row["eviction"] for row in rows)):
        points = sorted((row["capacity"], row["miss_ratio"]) for row in rows if row["eviction"] == name)
        # Ten colours; the line's style tells those apart that share one.
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name, color=f"C{i % 10}",
                  linestyle=_STYLES[i // 10 % len(_STYLES)])  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel(f"capacity in {rows[0]['capacity_unit']}")
    axes.set_ylabel("miss ratio")
    # From the best to the worst: between policies the differences are small against a scale from 0 to 1.
    axes.margins(y=0.08)
    axes.set_title(rows[0]["trace"])
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)
    paths = []
    for kind in ("png", "svg"):
        path = folder / f"misses.{kind}"
        with written_aside(path) as aside:
            figure.savefig(aside, dpi=150)
        paths.append(path)
    plt.close(figure)
    return paths
