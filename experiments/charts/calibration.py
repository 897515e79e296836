"""What calls took, by size and by calls at once, and what the preset says of them."""

from typing import TYPE_CHECKING, Any

import altair as alt

from experiments.charts.chart import Chart, Numbers, short
from experiments.charts.style import GREY, over, time_axis
from experiments.report import bytes_text, time_text

if TYPE_CHECKING:
    from experiments.calibration.fit import Fit
    from experiments.calibration.outcome import Outcome

_PANEL, _STEPS = 150, 40
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f")
_SIZES = "".join(
    f"datum.value >= {1 << power} ? format(datum.value / {1 << power}, ',.4~f') + ' {unit}' : "
    for unit, power in (("MiB", 20), ("KiB", 10))
)


def calibration(outcome: "Outcome") -> Chart:
    """A panel for each way: medians with their 90th percentiles as points, the preset's durations as lines."""
    from experiments.calibration.outcome import CELLS, cell_rows

    rows = [dict(zip(CELLS, row, strict=True)) for row in cell_rows(outcome)]
    names = list(dict.fromkeys(row["way"] for row in rows))
    loads = sorted({row["at_once"] for row in rows})
    color = alt.Color(
        "load:N",
        scale=alt.Scale(
            domain=[_load(k) for k in loads], range=[_COLOURS[i % len(_COLOURS)] for i in range(len(loads))]
        ),
        legend=alt.Legend(title=None),
    )
    panels = [
        _panel([row for row in rows if row["way"] == name], name, outcome.fits[name], color, is_last=name == names[-1])
        for name in names
    ]
    picture: Any = alt.vconcat(*panels, spacing=12)
    worst = max((abs(one.error_ratio) for one in outcome.said), default=0.0)
    says = (
        "Medians of what calls took, up to the 90th percentile, by size and by calls at once. Solid lines are what the "
        f"preset says, at most {worst:.0%} off the {outcome.statistic}; dashed ones latency + bytes / bandwidth alone."
    )
    columns = ["way", "bytes", "at once", "p50", "p90", "preset"]
    lines = [
        [row["way"], bytes_text(row["bytes"]), str(row["at_once"]), time_text(row["p50_ns"]), time_text(row["p90_ns"]),
         time_text(row["preset_ns"]) if row["preset_ns"] else "-"]
        for row in rows
    ]  # fmt: skip
    return Chart("calibration", "What calls take on this machine", says, picture, Numbers(columns, lines))


def _load(at_once: int) -> str:
    return "alone" if at_once == 1 else f"{at_once} at once"


def _panel(rows: list[dict[str, Any]], name: str, fit: "Fit", color: alt.Color, *, is_last: bool) -> Any:
    data = [
        {"bytes": row["bytes"], "load": _load(row["at_once"]), "p50": short(row["p50_ns"]), "p90": short(row["p90_ns"]),
         "preset": short(row["preset_ns"])}
        for row in rows
    ]  # fmt: skip
    times = [row[kind] for row in data for kind in ("p50", "p90", "preset") if row[kind]]
    sizes = sorted({row["bytes"] for row in rows})
    # A line is none where both axes are logarithmic.
    steps = [sizes[0] * (sizes[-1] / sizes[0]) ** (i / _STEPS) for i in range(_STEPS + 1)]
    fitted = [{"bytes": short(n_bytes), "line": short(fit.line.at(round(n_bytes)))} for n_bytes in steps]
    scale = alt.Scale(type="log", nice=False, padding=8)
    axis = alt.Axis(
        title="bytes of a call" if is_last else None, values=sizes, labelOverlap="greedy",
        labelExpr=f"{_SIZES}datum.value + ' B'",
    )  # fmt: skip
    x = alt.X("bytes:Q", axis=axis, scale=alt.Scale(type="log", base=2, nice=False, padding=8))
    y = alt.Y("p50:Q", axis=time_axis("time of a call", times), scale=scale)
    points = over(data).mark_point(filled=True, size=40, opacity=1).encode(x=x, y=y, color=color)
    tails = over(data).mark_rule(strokeWidth=1).encode(x=x, y=y, y2="p90:Q", color=color)
    lines = over([row for row in data if row["preset"]]).mark_line(strokeWidth=1.5)
    lines = lines.encode(x=x, y=alt.Y("preset:Q"), color=color)
    dashes = over(fitted).mark_line(strokeWidth=1.5, strokeDash=[5, 3], color=GREY)
    dashes = dashes.encode(x=x, y=alt.Y("line:Q"))
    title = alt.TitleParams(name, anchor="start", fontSize=12, fontWeight="normal")
    return alt.layer(tails, dashes, lines, points).properties(height=_PANEL, title=title)
