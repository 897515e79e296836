"""Lines: distributions, and what happens over the trace."""

from collections.abc import Mapping
from typing import Any

import altair as alt

from experiments.charts.chart import PICK_AND_ZOOM, Chart, Numbers, short
from experiments.charts.histogram import Histogram
from experiments.charts.style import (
    HEIGHT,
    Arms,
    count_axis,
    log_scale,
    over,
    picked,
    share_axis,
    time_axis,
    time_expr,
    zoomed,
)
from experiments.report import number_text, time_text

Row = dict[str, Any]
_QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
_BANDS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f")


def _lines(data: list[Row], there: list[str], of: Arms, x: alt.X, y: alt.Y, tooltip: Any, **mark: Any) -> Any:
    pick, opacity = picked()
    return (
        over(data)
        .mark_line(**mark)
        .encode(x=x, y=y, color=of.color(there), strokeDash=of.dashes(there), opacity=opacity, tooltip=tooltip)
        .add_params(pick)
        .properties(height=HEIGHT)
    )


def _quantiles(found: Mapping[str, Histogram]) -> Numbers:
    lines = [[arm, f"{h.n:,}", *(number_text(h.quantile(q), "time") for q in _QUANTILES)] for arm, h in found.items()]
    return Numbers(["arm", "values", *(f"p{100 * q:g}" for q in _QUANTILES)], lines)


def distribution(found: Mapping[str, Histogram], of: Arms, kind: str, title: str, axis: str, says: str) -> Chart | None:
    """The share of values that do not exceed one, a line an arm; times are logarithmic where they lie far apart."""
    if not found:
        return None
    data: list[Row] = []
    arms = list(found)
    for arm, histogram in found.items():
        points = histogram.points()
        # From nothing on: a distribution of one value is a step, too.
        data += [{"arm": arm, "x": short(v), "share": short(s)} for v, s in [(points[0][0], 0.0), *points]]
    known = [row["x"] for row in data]
    x = alt.X("x:Q", axis=time_axis(axis, known), scale=log_scale(known))
    y = alt.Y("share:Q", axis=share_axis("share that takes no longer", ".0%"))
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("text:N", title="time"),
               alt.Tooltip("share:Q", title="share", format=".3%")]  # fmt: skip
    picture = _lines(data, arms, of, x, y, tooltip, interpolate="step-after")
    picture = picture.transform_calculate(text=time_expr("datum.x")).add_params(zoomed())
    medians = "; ".join(f"{arm} {number_text(h.quantile(0.5), 'time')}" for arm, h in found.items())
    return Chart(kind, title, f"{says} Medians: {medians}.", picture, _quantiles(found), PICK_AND_ZOOM)


def tail(found: Mapping[str, Histogram], of: Arms) -> Chart | None:
    """The share of accesses that take longer, both axes logarithmic."""
    if not found:
        return None
    data: list[Row] = []
    arms = list(found)
    for arm, histogram in found.items():
        points = histogram.points()
        values, above = [v for v, _ in points], [1.0, *(1 - share for _, share in points[:-1])]
        # A logarithm of nothing is none: the last line ends where the last value does.
        data += [{"arm": arm, "x": short(v), "share": short(s)} for v, s in zip(values, above, strict=True)]
    known = [row["x"] for row in data]
    x = alt.X("x:Q", axis=time_axis("latency of an access", known), scale=log_scale(known))
    least = min(row["share"] for row in data)
    scale = alt.Scale(type="log", domain=[least, 1], nice=False)
    y = alt.Y("share:Q", scale=scale,
              axis=share_axis("share that takes as long or longer", "~%", least))  # fmt: skip
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("text:N", title="latency"),
               alt.Tooltip("share:Q", title="as long or longer", format=".3~%")]  # fmt: skip
    picture = _lines(data, arms, of, x, y, tooltip, interpolate="step-before")
    picture = picture.transform_calculate(text=time_expr("datum.x")).add_params(zoomed())
    says = "The share of accesses that take as long as a time or longer, on logarithmic axes: the tail."
    return Chart("tail", "The tail of the latency", says, picture, _quantiles(found), PICK_AND_ZOOM)


def windows(rows: list[Row], phases: list[tuple[int, str]], of: Arms, metric: str) -> Chart | None:
    """A metric over the trace, a line an arm, with the workload's phases behind it."""
    if not rows:
        return None
    is_time = metric == "mean_latency_ns"
    title, kind = ("Latency over time", "windows") if is_time else ("Hit ratio over time", "hits")
    data = [
        {"arm": r["arm"], "x": r["first_access"], "x2": r["last_access"], "y": short(r[metric])}
        for r in rows if r[metric] is not None
    ]  # fmt: skip
    there = [arm for arm in of.names if any(row["arm"] == arm for row in data)]
    drawn = [*data]
    for arm in there:
        # A step is as wide as its window, the last one too.
        end = max((row for row in data if row["arm"] == arm), key=lambda row: row["x"])
        drawn.append({**end, "x": end["x2"]})
    first, last = min(row["x"] for row in data), max(row["x2"] for row in data)
    x = alt.X("x:Q", scale=alt.Scale(domain=[first, last], nice=False),
              axis=count_axis("access of the trace"))  # fmt: skip
    of_time = time_axis("mean latency of an access", [row["y"] for row in data])
    y_axis = of_time if is_time else alt.Axis(title="hit ratio", tickCount=5)
    scale = log_scale([row["y"] for row in data], padding=5) if is_time else alt.Scale(domain=[0, 1])
    y = alt.Y("y:Q", axis=y_axis, scale=scale)
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("x:Q", title="from access", format=","),
               alt.Tooltip("text:N", title="mean latency" if is_time else "hit ratio")]  # fmt: skip
    text = time_expr("datum.y") if is_time else "format(datum.y, '.4f')"
    picture: Any = _lines(drawn, there, of, x, y, tooltip, interpolate="step-after", strokeWidth=1.5)
    picture = picture.transform_calculate(text=text).add_params(zoomed())
    spans = _spans(phases, first, last)
    if spans:
        names = list(dict.fromkeys(row["part"] for row in spans))
        colour = alt.Fill(
            "part:N", scale=alt.Scale(domain=names, range=[_BANDS[i % len(_BANDS)] for i in range(len(names))]),
            legend=alt.Legend(
                title="phase", orient="bottom", symbolOpacity=0.35, symbolStrokeWidth=0, symbolType="square"
            ),
        )  # fmt: skip
        bands = over(spans).mark_rect(opacity=0.13).encode(
            x=x, x2="x2:Q", fill=colour, tooltip=[alt.Tooltip("part:N", title="phase")]
        )  # fmt: skip
        picture = (bands + picture).resolve_legend(fill="independent")
    width = data[0]["x2"] - data[0]["x"]
    says = f"{title}: means over seeds of {width:,} accesses each, from access {first:,} to {last:,}."
    if names_of_phases := list(dict.fromkeys(row["part"] for row in spans)):
        says += f" Phases of the workload, which are shaded: {', '.join(names_of_phases)}."
    by_x: dict[int, dict[str, float | None]] = {}
    for row in data:
        by_x.setdefault(row["x"], {})[row["arm"]] = row["y"]
    kind_of = "time" if is_time else "ratio"
    lines = [
        [f"{at:,}", *(number_text(found.get(arm), kind_of) for arm in there)] for at, found in sorted(by_x.items())
    ]
    return Chart(kind, title, says, picture, Numbers(["from access", *there], lines), PICK_AND_ZOOM)


def _spans(phases: list[tuple[int, str]], first: int, last: int) -> list[Row]:
    """Phases from where they begin to where the next does, as far as they are drawn."""
    ends = [*(start for start, _ in phases[1:]), last][: len(phases)]
    return [
        {"x": max(start, first), "x2": min(end, last), "part": name}
        for (start, name), end in zip(phases, ends, strict=True)
        if start < last and end > first
    ]


def by_phase(rows: list[Row], of: Arms) -> Chart | None:
    """Mean latency by phase, a dot an arm."""
    if not rows:
        return None
    from experiments.means import mean

    data: list[Row] = []
    names = list(dict.fromkeys(row["phase"] for row in rows))
    for name in names:
        for arm in of.names:
            mine = [row for row in rows if (row["phase"], row["arm"]) == (name, arm)]
            if mine:
                value, hits = mean(mine, "mean_latency_ns") or 0.0, mean(mine, "hit_ratio")
                text = {"text": time_text(value), "hits": number_text(hits, "ratio")}
                data.append({"phase": name, "arm": arm, "value": value, **text})
    there = [arm for arm in of.names if any(row["arm"] == arm for row in data)]
    known, (pick, opacity) = [row["value"] for row in data], picked()
    tooltip = [alt.Tooltip("phase:N"), alt.Tooltip("arm:N"), alt.Tooltip("text:N", title="mean latency"),
               alt.Tooltip("hits:N", title="hit ratio")]  # fmt: skip
    picture = over(data).mark_point(filled=True, size=90).encode(
        x=alt.X("value:Q", axis=time_axis("mean latency of an access", known), scale=log_scale(known, padding=12)),
        y=alt.Y("phase:N", sort=names, title=None, axis=alt.Axis(grid=True, tickBand="extent")),
        color=of.color(there, "circle"), shape=of.shapes(there),
        yOffset=alt.YOffset("arm:N", sort=there), opacity=opacity, tooltip=tooltip,
    ).add_params(pick).properties(height={"step": max(34, 9 * len(there)), "for": "position"})  # fmt: skip
    best = {name: min((r for r in data if r["phase"] == name), key=lambda r: r["value"]) for name in names}
    says = "Mean latency of an access by phase of the workload. The lowest: " + "; ".join(
        f"{name} {row['arm']}, {row['text']}" for name, row in best.items()
    )
    cells = {(row["phase"], row["arm"]): f"{row['text']}, hit ratio {row['hits']}" for row in data}
    lines = [[name, *(cells.get((name, arm), "-") for arm in there)] for name in names]
    return Chart("phases", "Latency by phase", f"{says}.", picture, Numbers(["phase", *there], lines))
