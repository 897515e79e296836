"""Pictures: their curves, axes and names are looked at as they are drawn; words never lie on each other."""

from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text

from experiments import break_even_pictures, drawing, miss_curves
from experiments.drawing import apart
from experiments.miss_curves import draw_misses, knee
from experiments.replayed import CURVE, FRACTIONS

Row = dict[str, Any]
WHOLE = 2**31


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Those that are saved, as they are then, closed after the test."""
    kept: list[Any] = []

    def save(_: Any, figure: Any, folder: Path, name: str) -> list[Path]:
        figure.canvas.draw()
        kept.append(figure)
        return [folder / f"{name}.png"]

    for module in (miss_curves, break_even_pictures):
        monkeypatch.setattr(module, "save", save)
    yield kept
    for figure in kept:
        drawing.pyplot().close(figure)


def misses(names: list[str], unit: str = "bytes", rate: float = 1.0) -> list[Row]:
    """Curves that are flat up to a tenth of the working set, then fall to nearly one end."""
    shares = [float(share) for share in CURVE.split(",")]
    return [
        {"trace": "t.csv", "eviction": name, "capacity": round(share * WHOLE), "capacity_unit": unit,
         "sample_rate": rate, "miss_ratio": 0.9 - 0.001 * i - max(share - 0.1, 0) * 1.5}
        for i, name in enumerate(names) for share in shares
    ]  # fmt: skip


def words(figure: Any) -> list[Any]:
    """The boxes of all that is written beside and within panels, in pixels."""
    renderer = figure.canvas.get_renderer()
    texts = [text for axes in figure.axes for text in axes.texts if text.get_text()]
    # Of an annotation without its line.
    return [(text.get_text(), Text.get_window_extent(text, renderer)) for text in texts]


def check_apart(figure: Any) -> None:
    for (a, box), (b, other) in combinations(words(figure), 2):
        # Descenders may touch.
        assert not (box.shrunk(1, 0.8).overlaps(other.shrunk(1, 0.8))), (a, b)
    for text, box in words(figure):
        assert figure.bbox.x0 <= box.x0, text
        assert box.x1 <= figure.bbox.x1, text


def test_many_curves_go_into_panels_with_names_at_their_ends(figures: list[Any], tmp_path: Path) -> None:
    names = [*(f"policy{i}" for i in range(16)), "s3fifo(small_ratio=0.2, ghost_ratio=0.9)"]
    draw_misses(misses(names), tmp_path, WHOLE, 0.1)
    [figure] = figures
    panels = [axes for axes in figure.axes if axes.texts]
    assert len(panels) == 3
    for axes in panels:
        coloured = [line for line in axes.lines if line.get_color() != drawing.GREY and len(line.get_xdata()) > 1]
        assert len(coloured) <= 8
        # All others are there in grey, and the least that can be.
        assert len([line for line in axes.lines if line.get_color() == drawing.GREY]) == 17 + 1
        assert len({line.get_color() for line in coloured}) == len({line.get_marker() for line in coloured})
    written = [text for text, _ in words(figure)]
    assert [text for text in written if text != "first accesses"] == [
        *names[:16],
        "s3fifo(small_ratio=0.2, ghost_rat...",
    ]
    check_apart(figure)


def test_axes_say_sizes_and_shares_of_the_working_set(figures: list[Any], tmp_path: Path) -> None:
    draw_misses(misses(["lru", "arc"]), tmp_path, WHOLE)
    draw_misses(misses(["lru", "arc"], unit="blocks"), tmp_path)
    by_bytes, by_blocks = figures
    check_apart(by_bytes)
    axes = by_bytes.axes[0]
    ticks = {label.get_text() for label in axes.get_xticklabels()}
    assert {"8 MiB", "128 MiB", "512 MiB"} <= ticks
    [above] = axes.child_axes
    assert [label.get_text() for label in above.get_xticklabels()] == ["0.001", "0.01", "0.1"]
    # Where a share is written is where that much of the working set is.
    assert above.get_xlabel() == "share of the working set"
    left, right = above.get_xlim()
    assert (left * WHOLE, right * WHOLE) == pytest.approx(axes.get_xlim())
    axes = by_blocks.axes[0]
    assert axes.get_xlabel() == "capacity in blocks"
    assert "100,000,000" in {label.get_text() for label in axes.get_xticklabels()}
    assert axes.child_axes == []


def test_the_knee_is_where_a_curve_bends(figures: list[Any], tmp_path: Path) -> None:
    rows = misses(["lru"])
    points = [(row["capacity"], row["miss_ratio"]) for row in rows]
    bend = knee(points)
    assert bend == (round(0.1 * WHOLE), pytest.approx(0.9))
    straight = [(10**i, 0.9 - 0.1 * i) for i in range(6)]
    assert knee(straight) is None
    assert knee([(1, 0.5), (10, 0.5), (100, 0.5), (1000, 0.5)]) is None
    draw_misses(rows, tmp_path)
    rings = [line for line in figures[0].axes[0].lines if line.get_fillstyle() == "none"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in rings] == [bend]


def test_curves_have_the_capacities_of_the_table_and_more() -> None:
    assert set(FRACTIONS.split(",")) < set(CURVE.split(","))


@given(st.lists(st.floats(-100, 100), max_size=12), st.floats(0.1, 10))
def test_names_are_moved_apart_and_no_further(wanted: list[float], gap: float) -> None:
    found = apart(wanted, gap)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for i, j in pairwise(order):
        assert found[j] - found[i] >= gap - 1e-9
    # What has room stays where it is; all together are where they would be.
    assert sum(found) == pytest.approx(sum(wanted), abs=1e-6)
    if all(wanted[j] - wanted[i] >= gap for i, j in pairwise(order)):
        assert found == pytest.approx(wanted)


def test_the_break_even_names_its_lines_and_has_intervals(figures: list[Any], tmp_path: Path) -> None:
    rows: list[Row] = []
    crossings: list[Row] = []
    for mode in ("async", "sync"):
        rows += [_rung("lstm", mode, 1, ns, 4e5 + ns) for ns in (0, 10**3, 10**5, 10**7)]
        for backend, p50 in (("compiled", 9e3), ("eager", 3e5)):
            rows += [_rung(f"lstm ({backend})", mode, scale, scale * p50, 4e5 + scale * p50) for scale in (0.1, 1, 10)]
        for against, at in (("none", 5.1e5), ("next_n", 4.5e5)):
            crossings.append({"mode": mode, "against": against, "break_even_ns": at, "low_ns": at / 2, "high_ns": None,
                              "has_interval": True})  # fmt: skip
    references = {
        name: {"mean_latency_ns": ns, "p99_latency_ns": ns} for name, ns in (("none", 9.1e5), ("next_n", 8.9e5))
    }
    backends = [{"backend": "compiled", "mode": mode, "p50_ns": 9e3, "p99_ns": 4e4} for mode in ("async", "sync")]
    break_even_pictures.draw_break_even("x", rows, references, crossings, tmp_path, backends)
    [figure] = figures
    check_apart(figure)
    mean, tail = figure.axes[0], figure.axes[2]
    written = [text.get_text() for text in mean.texts]
    assert written == [
        "lstm", "none", "next_n", "pays to 450 us (next_n)", "pays to 510 us (none)",
    ]  # fmt: skip
    assert [text.get_text() for text in tail.texts] == ["lstm", "none", "next_n"]
    assert [label.get_text() for label in tail.get_xticklabels()] == [
        "0", "1 us", "10 us", "100 us", "1 ms", "10 ms",
    ]  # fmt: skip
    # A measured backend: across from its median to its 99th percentile, and up over the interval of the mean.
    compiled, eager = mean.containers
    across, up = compiled.lines[2]
    assert across.get_segments()[0][:, 0].tolist() == pytest.approx([9e3, 4e4])
    assert up.get_segments()[0][:, 1].tolist() == pytest.approx([4.09e5 * 0.9, 4.09e5 * 1.1])
    assert eager.get_label() == "eager, as measured (hollow: x 0.1, x 10)"
    assert len(eager.lines[2]) == 1


def _rung(arm: str, mode: str, scale: float, charged: float, mean: float) -> Row:
    return {"arm": arm, "mode": mode, "latency_scale": scale, "inference_p50_ns": charged, "mean_latency_ns": mean,
            "p99_latency_ns": 2 * mean, "ci_low_ns": 0.9 * mean, "ci_high_ns": 1.1 * mean}  # fmt: skip


def test_the_map_says_each_cell_and_keeps_its_labels_apart(figures: list[Any], tmp_path: Path) -> None:
    values = iter([0, None, 321e3, 5.4e6, 1.2e3, 9.99e6, 21e6, 9.9e7] * 9)
    cells = [
        {"axis": axis, "against": other, "gap_scale": x, "axis_scale": y, "break_even_ns": next(values)}
        for axis in ("tier", "block") for other in ("none", "next_n") for x in (0.25, 1, 4) for y in (0.25, 1, 4)
        # One that was left out.
        if (axis, x, y) != ("block", 4, 4)
    ]  # fmt: skip
    break_even_pictures.draw_map("x", cells, tmp_path)
    [figure] = figures
    check_apart(figure)
    assert [len(axes.texts) for axes in figure.axes] == [9, 9, 8, 8, 0]
    assert [text.get_text() for text in figure.axes[0].texts][:4] == ["never", "5.4 ms", "21 ms", "always"]
    renderer = figure.canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes[:4]]
    for one, other in combinations(boxes, 2):
        assert not one.shrunk(0.99, 0.99).overlaps(other.shrunk(0.99, 0.99))
    assert [axes.get_ylabel() for axes in figure.axes[:4]] == [
        "latency of the origin and its link", "", "bytes of a block", "",
    ]  # fmt: skip
