"""What pictures made with matplotlib share: colours, axes of quantities, and labels that keep apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.aside import written_aside
from experiments.report import bytes_text, time_text

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#7F7F00")
"""Okabe and Ito's, which those tell apart who see no red or no green; but for the last: yellow is lost on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#888888"
_MOST_TICKS = 9


def pyplot() -> Any:
    """Matplotlib, without a screen."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def save(plt: Any, figure: Any, folder: Path, name: str) -> list[Path]:
    """As PNG and SVG, each written aside and then renamed."""
    paths = []
    for kind in ("png", "svg"):
        path = folder / f"{name}.{kind}"
        with written_aside(path) as aside:
            figure.savefig(aside, dpi=150)
        paths.append(path)
    plt.close(figure)
    return paths


def apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Places next to those that are wanted, in the same order, no two nearer than ``gap``: the least moves in all.

    Neighbours that are too near form a block, which lies where its members would on average.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[list[float]] = []
    for i, at in enumerate(wanted[j] for j in order):
        # As if all were moved together by the gaps before them; then neighbours may coincide.
        blocks.append([at - i * gap, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (a, n), (b, m) = blocks[-2], blocks.pop()
            blocks[-1] = [(a * n + b * m) / (n + m), n + m]
    shifted = [at for at, n in blocks for _ in range(int(n))]
    found = [0.0] * len(wanted)
    for i, j in enumerate(order):
        found[j] = shifted[i] + i * gap
    return found


def short(name: str, most: int = 36) -> str:
    """A name that fits beside a panel."""
    return name if len(name) <= most else f"{name[: most - 3]}..."


def label_ends(axes: Any, ends: Sequence[tuple[str, str, float, float]], size: float = 8) -> None:
    """Names at the right of the axes, with a line from each to where its curve ends: name, colour, x, y in data.

    The limits of the axes, and the size of the figure, are to be final.
    """
    inverse = axes.transAxes.inverted()
    places = [inverse.transform(axes.transData.transform((x, y))) for _, _, x, y in ends]
    points = axes.get_window_extent().height * 72 / axes.figure.dpi
    heights = apart([float(y) for _, y in places], 1.25 * size / points)
    for (name, colour, _, _), (x, y), height in zip(ends, places, heights, strict=True):
        axes.annotate(
            name, (x, y), (1.03, height), "axes fraction", "axes fraction", color=colour, fontsize=size, va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.7, "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip


def bytes_axis(axis: Any, low: float, high: float) -> None:
    """Powers of two as KiB, MiB, GiB; the scale is to be logarithmic."""
    first, last = max(int(low).bit_length() - 1, 0), int(high).bit_length()
    step = -(-(last - first + 1) // _MOST_TICKS)
    _ticks(axis, [2**i for i in range(first, last + 1, step)], bytes_text)


def times_axis(axis: Any, low_ns: float, high_ns: float) -> None:
    """Powers of ten as ns, us, ms, s; the scale is to be logarithmic, or so from 1 us on."""
    ticks = [10**i for i in range(13) if low_ns * 0.99 <= 10**i <= high_ns * 1.01]
    _ticks(axis, ([0] if low_ns == 0 else []) + [t for t in ticks if low_ns or t >= 1000], _time)


def counts_axis(axis: Any) -> None:
    """Powers of ten, with their zeros."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_minor_formatter(NullFormatter())


def _time(ns: float) -> str:
    return "0" if ns == 0 else time_text(ns)


def _ticks(axis: Any, ticks: list[int], text: Any) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_ticklabels([text(tick) for tick in ticks])
