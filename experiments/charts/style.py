"""The one home of how charts look: colours, sizes, axes of times and counts, what can be picked and zoomed.

Colours are Okabe and Ito's (2008), which stay apart for the colour-blind, without their yellow and black, which vanish
on white and on dark paper. With more arms than colours the lines are dashed as well.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

GREY, BLUE, RED, GREEN, PINK, ORANGE, SKY = "#7f7f7f", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
_OF_ARMS = (BLUE, RED, GREEN, PINK, ORANGE, SKY)
_DASHES = ([1, 0], [7, 3], [2, 2], [7, 3, 2, 3])
HEIGHT, STEP = 240, 24
WIDTH = 640
"""Of a picture; on a page a chart is as wide as there is room."""
OUTCOMES = {
    "hit": ("hit", GREEN),
    "hit_prefetched": ("hit, prefetched", SKY),
    "late": ("late: its prefetch was in flight", ORANGE),
    "merged": ("merged with a demand in flight", PINK),
    "miss": ("miss", RED),
}
FATES = {
    "timely": ("timely", GREEN),
    "late": ("late", ORANGE),
    "evicted_unused": ("evicted unused", RED),
    "cancelled": ("cancelled", GREY),
    "resident_unused": ("unused, resident at the end", PINK),
    "in_flight": ("in flight at the end", SKY),
}
PROPOSALS = {
    "issued": ("issued", GREEN),
    "rejected_resident": ("already in tier 0", SKY),
    "rejected_in_flight": ("already on its way", BLUE),
    "rejected_unknown": ("not there yet", PINK),
    "rejected_too_large": ("larger than tier 0", GREY),
    "rejected_budget": ("past the budget", RED),
    "dropped_stale": ("answer too old", ORANGE),
}
QUESTIONS = {
    "answered": ("answered", GREEN),
    "stale": ("answered too late (stale)", ORANGE),
    "queue_full": ("queue full", RED),
    "superseded": ("superseded by a newer one", PINK),
    "pending_at_end": ("pending at the end", SKY),
}
TRAFFIC = {"demand": ("demand", BLUE), "prefetch": ("prefetch", ORANGE), "write_back": ("write-back", PINK)}
LIFE = {
    "waiting": ("waiting for a place", GREY),
    "fetching": ("fetching", BLUE),
    "computing": ("computing", ORANGE),
}
_TRANSFERS, _QUEUES = (BLUE, GREEN, SKY), (ORANGE, RED, PINK)


class Arms(NamedTuple):
    """All arms of an experiment: each has its colour, and its dashes, in every chart."""

    names: list[str]
    baseline: str

    def _place(self, arm: str) -> int:
        return [name for name in self.names if name != self.baseline].index(arm)

    def colour_of(self, arm: str) -> str:
        """Grey for the baseline; the others as they come."""
        return GREY if arm == self.baseline else _OF_ARMS[self._place(arm) % len(_OF_ARMS)]

    def dash_of(self, arm: str) -> list[int]:
        """So that two arms of one colour are told apart."""
        return _DASHES[0 if arm == self.baseline else self._place(arm) // len(_OF_ARMS) % len(_DASHES)]

    def color(self, arms: Sequence[str], symbol: str = "stroke") -> alt.Color:
        """Of some of them, with a legend."""
        scale = alt.Scale(domain=list(arms), range=[self.colour_of(arm) for arm in arms])
        return alt.Color("arm:N", scale=scale, legend=alt.Legend(title=None, symbolType=symbol))

    def dashes(self, arms: Sequence[str]) -> alt.StrokeDash:
        """In the legend of their colours."""
        scale = alt.Scale(domain=list(arms), range=[self.dash_of(arm) for arm in arms])
        return alt.StrokeDash("arm:N", scale=scale, legend=alt.Legend(title=None, symbolType="stroke"))

    def shapes(self, arms: Sequence[str]) -> alt.Shape:
        """The same for dots."""
        shape = dict(zip(map(tuple, _DASHES), ("circle", "diamond", "triangle-up", "square"), strict=True))
        scale = alt.Scale(domain=list(arms), range=[shape[tuple(self.dash_of(arm))] for arm in arms])
        return alt.Shape("arm:N", scale=scale, legend=alt.Legend(title=None))


def parts_colours(parts: Sequence[str]) -> list[str]:
    """Of what a latency is made of: ``service``, ``inference``, ``transfer <link>``, ``queue <link>``."""
    links = list(dict.fromkeys(part.partition(" ")[2] for part in parts if " " in part))
    found = []
    for part in parts:
        kind, _, link = part.partition(" ")
        by_link = {"transfer": _TRANSFERS, "queue": _QUEUES}.get(kind)
        alone = "#4d4d4d" if kind == "inference" else GREY
        found.append(by_link[links.index(link) % len(by_link)] if by_link else alone)
    return found


# -- units -------------------------------------------------------------------------------------------------------------
def time_expr(value: str) -> str:
    """What ``report.time_text`` says, for charts: of an expression in ns."""
    parts = "".join(
        f"abs({value}) >= {size} ? format({value} / {size}, abs({value}) < {999.5 * float(size)} ? '.3~g' : '.0f') "
        f"+ ' {unit}' : "
        for unit, size in (("s", "1e9"), ("ms", "1e6"), ("us", "1e3"))
    )
    return f"isValid({value}) ? ({parts}format({value}, '.0f') + ' ns') : '-'"


def time_axis(title: str, values: Sequence[float] = ()) -> alt.Axis:
    """Labels with units; of a logarithmic axis, for which ``values`` are given, at 1, 2 and 5 of each decade."""
    more: dict[str, Any] = {"tickCount": 6}
    if is_wide(values):
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        steps = (1, 2, 5) if high - low < 7 else (1,)
        more = {"values": [step * 10**power for power in range(low, high + 1) for step in steps]}
    return alt.Axis(title=title, labelExpr=time_expr("datum.value"), labelOverlap="greedy", labelSeparation=6, **more)


def bytes_axis(title: str, most: float) -> alt.Axis:
    """From nothing on, in steps that are whole in powers of two."""
    step = 1 << max(0, math.ceil(math.log2(max(most, 1) / 8)))
    values = [step * i for i in range(math.ceil(most / step) + 1)]
    label = "".join(
        f"datum.value >= {1 << power} ? format(datum.value / {1 << power}, ',.4~f') + ' {unit}' : "
        for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10))
    )
    expr = f"{label}format(datum.value, ',.0f') + ' B'"
    return alt.Axis(title=title, labelExpr=expr, labelOverlap="greedy", labelSeparation=6, values=values)


def count_axis(title: str) -> alt.Axis:
    """Whole numbers."""
    return alt.Axis(title=title, format=",.0f", tickCount=6, labelOverlap="greedy", labelSeparation=6)


def share_axis(title: str, form: str = "~%", least: float = 1.0) -> alt.Axis:
    """Shares, in per cent; of a logarithmic axis from far below 1 on the decades alone."""
    more: dict[str, Any] = {"tickCount": 6}
    if least < 0.1:
        more = {"values": [10**-power for power in range(math.ceil(-math.log10(least)) + 1)]}
    return alt.Axis(title=title, format=form, labelOverlap="greedy", labelSeparation=6, **more)


def is_wide(values: Sequence[float]) -> bool:
    """Whether a logarithmic axis serves: far apart, and all above zero, which has no logarithm."""
    return bool(values) and min(values) > 0 and max(values) > 20 * min(values)


def log_scale(values: Sequence[float], **more: Any) -> Any:
    """Logarithmic where values are far apart, from zero on where they are not."""
    return alt.Scale(type="log", nice=False, **more) if is_wide(values) else alt.Scale(zero=True, **more)


def over(data: list[dict[str, Any]]) -> alt.Chart:
    """A chart of rows, which stay where they are used: a page has each once."""
    return alt.Chart(alt.Data(values=data))  # type: ignore[no-untyped-call]


# -- encodings ---------------------------------------------------------------------------------------------------------
def by_part(names: Sequence[str], colours: Sequence[str], order: str = "order") -> dict[str, Any]:
    """Colours and the order of what is stacked."""
    scale = alt.Scale(domain=list(names), range=list(colours))
    # Not as pale as an interval is.
    return {
        "color": alt.Color("part:N", scale=scale, legend=alt.Legend(title=None, symbolOpacity=1)),
        "order": alt.Order(f"{order}:Q"),
    }


def arms_down(arms: Sequence[str], field: str = "arm") -> alt.Y:
    """A line for each arm, as the experiment has them in order."""
    return alt.Y(f"{field}:N", sort=list(arms), title=None, axis=alt.Axis(labelLimit=170))


def picked(field: str = "arm") -> tuple[Any, Any]:
    """A legend whose entries, clicked, leave the others pale: the parameter, and the opacity that follows it."""
    chosen = alt.selection_point(fields=[field], bind="legend", name="picked")
    return chosen, alt.condition(chosen, alt.value(1), alt.value(0.1))


def zoomed() -> Any:
    """Over the horizontal axis; by the wheel with Shift alone, as a page is scrolled with it."""
    return alt.selection_interval(bind="scales", encodings=["x"], zoom="wheel![event.shiftKey]", name="zoomed")


CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif",
    "view": {"stroke": None},
    "aria": False,
    "axis": {
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 8,
        "gridColor": "#dddddd",
        "domainColor": "#888888", "tickColor": "#888888", "labelColor": "#222222", "titleColor": "#222222",
    },
    "legend": {
        "orient": "top", "titleFontSize": 12, "titleFontWeight": "normal", "labelFontSize": 12, "labelLimit": 220,
        "symbolStrokeWidth": 3, "columns": 4,
        "labelColor": "#222222", "rowPadding": 3, "columnPadding": 14,
    },
    "line": {"strokeWidth": 2},
    "text": {"color": "#222222"},
}  # fmt: skip
"""Of every chart. Text alternatives are the page's: a name for the whole, and a table of its numbers."""
