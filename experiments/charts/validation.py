"""What the simulator says of arms against what a live cache had: on the line they are the same."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from experiments.charts.chart import Chart, Numbers, short
from experiments.charts.style import GREY, Arms, over, time_axis
from experiments.report import time_text

if TYPE_CHECKING:
    from experiments.validation.compared import Compared

_SHOWN = {"mean_latency_ns": "mean", "p50_latency_ns": "p50", "p99_latency_ns": "p99"}
_SHAPES = {
    "mean": "circle", "p50": "square", "p99": "triangle-up", "mean by outcome": "diamond",
    "p50 by outcome": "cross", "p99 by outcome": "triangle-down",
}  # fmt: skip
_SIZE, _ROOM = 300, 1.25


def validation(rows: "Sequence[Compared]", of: Arms) -> Chart:
    """A point for each arm and figure: mean, p50 and p99 of an access, live and simulated; and those by outcome."""
    shown = [row for row in rows if row.kind == "time" and _figure(row.metric) and row.live > 0 and row.simulated > 0]
    data: list[dict[str, Any]] = [
        {
            "arm": row.arm, "figure": _figure(row.metric), "outcome": _outcome(row.metric), "live": short(row.live),
            "simulated": short(row.simulated), "error": f"{row.error.mean:+.1%}",
        }
        for row in shown
    ]  # fmt: skip
    values = [value for row in shown for value in (row.live, row.simulated)]
    least, most = min(values) / _ROOM, max(values) * _ROOM
    scale = alt.Scale(type="log", domain=[least, most], nice=False)
    tooltip = [alt.Tooltip(f"{name}:N") for name in ("arm", "figure", "outcome", "error")]
    points = over(data).mark_point(filled=True, size=55, opacity=0.9).encode(
        x=alt.X("live:Q", axis=time_axis("live", values), scale=scale),
        y=alt.Y("simulated:Q", axis=time_axis("simulated", values), scale=scale),
        color=of.color(list(dict.fromkeys(row["arm"] for row in data)), "circle"),
        shape=alt.Shape(
            "figure:N", scale=alt.Scale(domain=[*_SHAPES], range=[*_SHAPES.values()]),
            legend=alt.Legend(title=None, orient="bottom", columns=3),
        ),
        tooltip=tooltip,
    )  # fmt: skip
    ends = [{"live": least, "simulated": least}, {"live": most, "simulated": most}]
    same = over(ends).mark_line(color=GREY, strokeDash=[4, 3]).encode(x="live:Q", y="simulated:Q")
    errors = [abs(row.error.mean) for row in rows if row.metric == "mean_latency_ns"]
    says = (
        "Latencies of an access: what the simulator says against what the live cache had, means over runs. On the "
        f"dashed line they are the same; the mean of an arm is at most {max(errors, default=0):.1%} off."
    )
    lines = [
        [row.arm, _figure(row.metric), _outcome(row.metric), time_text(row.live), time_text(row.simulated),
         f"{row.error.mean:+.1%}"]
        for row in shown
    ]  # fmt: skip
    picture: Any = (same + points).properties(height=_SIZE)
    return Chart(
        "validation", "Simulated against live", says, picture,
        Numbers(["arm", "figure", "outcome", "live", "simulated", "error"], lines),
    )  # fmt: skip


def _outcome(metric: str) -> str:
    return metric.rsplit(" ", 1)[0] if " " in metric else "all"


def _figure(metric: str) -> str:
    """What a point is called; nothing for figures that are not drawn."""
    if metric in _SHOWN:
        return _SHOWN[metric]
    last = metric.rsplit(" ", 1)[-1].removesuffix("_ns")
    return f"{last} by outcome" if " " in metric and last in _SHOWN.values() else ""
