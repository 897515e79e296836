"""Charts of a sweep: a metric over a swept key, a line for each arm; and over two keys as a map."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

from experiments.charts.chart import Chart, Numbers, panel_width, short
from experiments.charts.style import BLUE, HEIGHT, RED, WIDTH, Arms, bytes_axis, is_wide, log_scale, time_axis

Row = dict[str, Any]
_MOST_TICKS, _MOST_TEXTS, _MOST_COLUMNS = 12, 150, 3
_WHITE = "#f7f7f7"


class Axis(NamedTuple):
    """A swept key: its title, its values in order with what they are called, and how they are spaced."""

    key: str
    title: str
    labels: dict[Any, str]
    is_number: bool
    is_log: bool

    @property
    def names(self) -> list[str]:
        """What its values are called, in order."""
        return list(self.labels.values())


class Metric(NamedTuple):
    """A column of ``runs``: its title, what its values are, and whether less is better."""

    name: str
    title: str
    kind: str
    lower_is_better: bool


def curves(data: list[Row], of: Arms, x: Axis, panel: Axis | None, metric: Metric, says: str) -> Chart:
    """Lines over a key, with bands from seeds; ``data`` has ``arm``, ``x``, ``panel``, ``value``, ``low``, ``high``.

    What a key does not apply to is the same at all of its values, and has no dots.
    """
    there = [arm for arm in of.names if any(row["arm"] == arm for row in data)]
    known = [row["value"] for row in data]
    is_log = is_wide(known)
    scale = log_scale(known, padding=6) if is_log else alt.Scale(zero=True)
    floor = min(known)
    rows = [{name: short(value) if isinstance(value, float) else value for name, value in row.items()} for row in data]
    for row in rows if is_log else ():
        # An interval may reach below nothing, where a logarithmic axis ends.
        row["low"] = None if row["low"] is None else max(row["low"], floor / 2)
    y = alt.Y("value:Q", axis=_value_axis(metric, known), scale=scale)
    # Pale bands come first, and a legend takes after what does.
    stroke = alt.Legend(title=None, symbolType="stroke", symbolOpacity=1)
    base = alt.Chart().encode(
        x=_x(x), color=of.color(there).legend(stroke), tooltip=["arm:N", "at:N", "text:N", "interval:N"]
    )
    dots = base.transform_filter("!datum.flat").mark_point(filled=True, size=45, opacity=1).encode(
        y=y, shape=of.shapes(there).legend(None)
    )  # fmt: skip
    parts: list[Any] = [dots]
    if x.is_number:
        band = base.mark_area(opacity=0.16, line=False).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
        parts = [band, base.mark_line().encode(y=y, strokeDash=of.dashes(there).legend(stroke)), dots]
    else:
        rule = base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
        parts = [rule, dots]
    picture = alt.layer(*parts).properties(height=HEIGHT)
    columns = ["arm", x.title, *([panel.title] if panel else []), metric.title, "95 % interval"]
    lines = [
        [r["arm"], r["at"], *([r["panel"]] if panel else []), r["text"], r["interval"]] for r in data if not r["flat"]
    ]
    title = f"{_begun(metric.title)} over {x.title}"
    return Chart("curves", title, says, _faceted(picture, rows, panel), Numbers(columns, lines))


def heat(data: list[Row], panels: Sequence[str], x: Axis, y: Axis, metric: Metric, says: str, baseline: str) -> Chart:
    """A map over two keys; with a ``baseline``, of relative differences to it, blue where the arm is better.

    ``data`` has ``panel``, ``x``, ``y``, ``value``, ``text`` and ``unsettled``.
    """
    values = [row["value"] for row in data]
    most = max(map(abs, values)) or 1.0
    axis_x = alt.X("x:N", sort=x.names, title=x.title, axis=_cell_axis(x, angle=-40))
    axis_y = alt.Y("y:N", sort=y.names[::-1], title=y.title, axis=_cell_axis(y))
    if baseline:
        ends = [BLUE, _WHITE, RED] if metric.lower_is_better else [RED, _WHITE, BLUE]
        scale = alt.Scale(domain=[-most, 0, most], range=ends, interpolate="lab")
        legend = alt.Legend(title=f"{metric.title} against {baseline}", format="+.0%", gradientLength=220)
    else:
        kind: dict[str, Any] = {"type": "log"} if is_wide(values) else {"zero": False}
        scale = alt.Scale(scheme="viridis", domain=[min(values), max(values)], nice=False, **kind)
        legend = alt.Legend(title=metric.title, gradientLength=220, **_legend_form(metric, values))
    rows = [row | {"value": short(row["value"])} for row in data]
    base = alt.Chart().encode(x=axis_x, y=axis_y)
    cells = base.mark_rect(stroke="#ffffff", strokeWidth=1.5).encode(
        color=alt.Color("value:Q", scale=scale, legend=legend), tooltip=["panel:N", "x:N", "y:N", "text:N"]
    )
    parts: list[Any] = [cells]
    # Fewer panels side by side where numbers would run into each other.
    most_columns = min(len(panels), _MOST_COLUMNS)
    longest = max(len(row["text"]) for row in data)
    fitting = [n for n in range(1, most_columns + 1) if panel_width(WIDTH, n) >= len(x.labels) * (7 * longest + 3)]
    n_columns = max(fitting, default=most_columns)
    if fitting and len(x.labels) * len(y.labels) * n_columns <= _MOST_TEXTS:
        dark = f"abs(datum.value) > {0.62 * most}" if baseline else _is_dark(values)
        colour = alt.condition(dark, alt.value("#ffffff"), alt.value("#222222"))
        parts.append(base.mark_text(fontSize=11, yOffset=3).encode(text="text:N", color=colour))
    parts.append(
        base.transform_filter("datum.unsettled").mark_point(
            shape="circle", size=18, stroke="#222222", fill="#ffffff", strokeWidth=1.2, opacity=1, yOffset=-12
        )
    )  # fmt: skip
    picture = alt.layer(*parts).properties(height=min(max(38 * len(y.labels), 90), 420))
    names = {name: name for name in panels}
    faceted = _faceted(picture, rows, Axis("panel", "", names, False, False) if len(panels) > 1 else None, n_columns)
    what = f"{metric.title} against {baseline}" if baseline else metric.title
    title = f"{panels[0]}: {what}" if len(panels) == 1 else _begun(what)
    lines = [[row["panel"], row["x"], row["y"], row["text"], "no" if row["unsettled"] else "yes"] for row in data]
    numbers = Numbers(["arm", x.title, y.title, what, "settled"], lines)
    return Chart("heat", f"{title} over {x.title} and {y.title}", says, faceted, numbers)


def _begun(text: str) -> str:
    """As a title begins."""
    return text[:1].upper() + text[1:]


def _cell_axis(axis: Axis, angle: int = 0) -> alt.Axis:
    return alt.Axis(labelAngle=angle, labelOverlap=len(axis.labels) > 2 * _MOST_TICKS, grid=False)


def _x(axis: Axis) -> alt.X:
    if not axis.is_number:
        return alt.X("at:N", sort=axis.names, title=axis.title, axis=alt.Axis(labelAngle=-30))
    values = list(axis.labels)
    every = -(-len(values) // _MOST_TICKS)
    # Ticks stand where runs are, called as somebody would write them.
    said = json.dumps({str(value): text for value, text in axis.labels.items()})
    ticks = alt.Axis(
        title=axis.title, values=values[::every], labelExpr=f"({said})[datum.value]", labelOverlap="parity",
        labelSeparation=3,
    )  # fmt: skip
    kind = {"type": "log"} if axis.is_log else {"zero": False}
    return alt.X("x:Q", axis=ticks, scale=alt.Scale(**kind, nice=False, padding=12))


def _value_axis(metric: Metric, known: Sequence[float]) -> alt.Axis:
    if metric.kind == "time":
        return time_axis(metric.title, known)
    if metric.kind == "bytes":
        return bytes_axis(metric.title, max(known))
    return alt.Axis(title=metric.title, tickCount=6, format="~s" if metric.kind == "count" else "~g")


def _legend_form(metric: Metric, values: Sequence[float]) -> dict[str, Any]:
    if metric.kind == "time":
        return {"labelExpr": time_axis("", ()).labelExpr}
    return {"format": "~s" if metric.kind == "count" else "~g"}


def _is_dark(values: Sequence[float]) -> str:
    """Viridis begins dark."""
    low, high = min(values), max(values)
    if low > 0 and high > 20 * low:
        return f"log(datum.value / {low}) < 0.55 * log({high} / {low})"
    return f"datum.value < {low + 0.55 * (high - low)}"


def _faceted(picture: Any, rows: list[Row], panel: Axis | None, n_columns: int = _MOST_COLUMNS) -> Any:
    # One home for the rows: what panels are made of, layers with rows of their own would not be parted by.
    data = alt.Data(values=rows)  # type: ignore[no-untyped-call]
    if panel is None:
        return picture.properties(data=data)
    there = [name for name in panel.names if any(row["panel"] == name for row in rows)]
    facet = alt.Facet("panel:N", sort=there, header=alt.Header(title=None, labelFontSize=12))
    return picture.facet(facet, data=data, columns=min(len(there), n_columns)).resolve_axis(x="independent")
