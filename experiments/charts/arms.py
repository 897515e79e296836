"""Arms side by side: mean and tail latency, and what separates them from the baseline."""

from typing import Any

import altair as alt

from experiments.charts.chart import Chart, Numbers, listed, short
from experiments.charts.style import GREY, STEP, Arms, arms_down, by_part, log_scale, over, share_axis, time_axis
from experiments.means import mean
from experiments.ranking import difference_of
from experiments.report import number_text, time_text

Row = dict[str, Any]
_TAILS = {"p50_latency_ns": "p50", "p99_latency_ns": "p99", "p999_latency_ns": "p99.9"}
_COLOURS = ("#56b4e9", "#0072b2", "#d55e00")


def means(rows: list[Row], compared: list[Row], of: Arms) -> Chart:
    """Bars of the mean latency, with the interval of the difference to the baseline."""
    data: list[Row] = []
    lines, arms = [], of.names
    for arm in arms:
        value = mean((row for row in rows if row["arm"] == arm), "mean_latency_ns")
        if value is None:
            continue
        found = difference_of(compared, arm, "mean_latency_ns") or {}
        low, high = found.get("low"), found.get("high")
        base = found.get("baseline_mean", 0.0)
        text = "the baseline" if arm == of.baseline else found.get("verdict") or "not compared"
        interval = "" if low is None or high is None else f"{time_text(base + low)} to {time_text(base + high)}"
        data.append(
            {
                "arm": arm, "value": value, "text": time_text(value), "low": None if low is None else base + low,
                "high": None if high is None else base + high, "interval": interval or "none", "verdict": text,
            }
        )  # fmt: skip
        lines.append([arm, time_text(value), interval or "-", text])
    tooltip = [
        alt.Tooltip("arm:N"), alt.Tooltip("text:N", title="mean latency"),
        alt.Tooltip("interval:N", title="95 % interval"), alt.Tooltip("verdict:N"),
    ]  # fmt: skip
    base = over(data).encode(y=arms_down(arms), tooltip=tooltip)
    bars = base.mark_bar(height={"band": 0.7}).encode(
        x=alt.X("value:Q", axis=time_axis("mean latency of an access"), scale=alt.Scale(zero=True)),
        color=of.color(arms).legend(None),
    )
    spread = base.mark_rule(strokeWidth=2, color="#888888").encode(x="low:Q", x2="high:Q")
    best = min(data, key=lambda row: row["value"])
    says = f"Mean latency of an access by arm; the lowest is that of {best['arm']}, {best['text']}."
    numbers = Numbers(["arm", "mean latency", "95 % interval, by the difference to the baseline", "verdict"], lines)
    return Chart("means", "Mean latency", says, (bars + spread).properties(height=alt.Step(STEP)), numbers)


def tails(rows: list[Row], arms: list[str]) -> Chart:
    """Quantiles of latency, a dot each, means over runs."""
    data: list[Row] = []
    lines = []
    for arm in arms:
        of_arm = [row for row in rows if row["arm"] == arm]
        values = {label: mean(of_arm, metric) for metric, label in _TAILS.items()}
        data += [
            {"arm": arm, "part": label, "order": i, "value": value, "text": time_text(value)}
            for i, (label, value) in enumerate(values.items()) if value is not None
        ]  # fmt: skip
        lines.append([arm, *(number_text(value, "time") for value in values.values())])
    known = [row["value"] for row in data]
    base = over(data).encode(
        x=alt.X("value:Q", axis=time_axis("latency of an access, mean over runs", known),
                scale=log_scale(known, padding=12)), y=arms_down(arms),
        tooltip=[alt.Tooltip("arm:N"), alt.Tooltip("part:N", title="quantile"), alt.Tooltip("text:N", title="latency")],
    )  # fmt: skip
    part = by_part(list(_TAILS.values()), _COLOURS)["color"]
    # Of several at one place each is to be seen: the higher quantile is the larger ring.
    size = alt.Size("order:Q", scale=alt.Scale(domain=[0, 2], range=[30, 240]), legend=None)
    dots = base.mark_point(strokeWidth=2.5, opacity=1).encode(color=part, size=size)
    line = base.mark_line(color=GREY, strokeWidth=1).encode(detail="arm:N", order="order:Q")
    says = f"Median, 99th and 99.9th percentile of the latency of an access, for {listed(arms)}."
    picture = (line + dots).properties(height=alt.Step(STEP))
    return Chart("tails", "Median and tail latency", says, picture, Numbers(["arm", *_TAILS.values()], lines))


def effects(compared: list[Row], of: Arms) -> Chart | None:
    """Relative differences of mean and tail latency to the baseline, with their intervals."""
    labels = {"mean_latency_ns": "mean", "p99_latency_ns": "p99"}
    data: list[Row] = []
    lines, baseline = [], of.baseline
    for arm in of.names:
        for metric, label in labels.items():
            found = difference_of(compared, arm, metric)
            if found is None or not found["baseline_mean"]:
                continue
            ends = [found[end] for end in ("low", "high")]
            low, high = (None if end is None else end / found["baseline_mean"] for end in ends)
            interval = "none" if low is None or high is None else f"{low:+.1%} to {high:+.1%}"
            value, effect = found["difference"] / found["baseline_mean"], found["effect_size"]
            data.append(
                {
                    "arm": arm, "part": label, "value": short(value), "low": low, "high": high,
                    "text": _signed(value), "interval": interval, "verdict": found["verdict"],
                }
            )  # fmt: skip
            text = "-" if effect is None else f"{effect:.3g}"
            lines.append([arm, label, _signed(value), interval, text, found["verdict"]])
    if not data:
        return None
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("part:N", title="latency"), alt.Tooltip("text:N", title="difference"),
               alt.Tooltip("interval:N", title="95 % interval"), alt.Tooltip("verdict:N")]  # fmt: skip
    base = over(data).encode(
        y=arms_down([arm for arm in of.names if arm != baseline]), tooltip=tooltip,
        yOffset=alt.YOffset("part:N", sort=list(labels.values())),
    )  # fmt: skip
    axis = share_axis(f"latency against {baseline} (left of zero is better)", "+.2~%")
    x = alt.X("value:Q", axis=axis)
    part = by_part(list(labels.values()), ("#0072b2", "#d55e00"))["color"]
    # Two symbols, so that they are apart without colours; both are over the interval.
    shape = alt.Shape(
        "part:N",
        scale=alt.Scale(domain=list(labels.values()), range=["circle", "diamond"]),
        legend=alt.Legend(title=None),
    )
    spread = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", axis=axis), x2="high:Q", color=part)
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(x=x, color=part, shape=shape)
    zero = over([{"zero": 0}]).mark_rule(color=GREY, strokeDash=[4, 3]).encode(x="zero:Q")
    says = "Relative differences of latency to the baseline, with 95 % intervals: " + "; ".join(
        f"{line[0]} {line[1]} {line[2]} ({line[5]})" for line in lines
    )
    columns = ["arm", "latency", "difference", "95 % interval", "effect size", "verdict"]
    picture = (zero + spread + dots).properties(height={"step": 34, "for": "position"})
    return Chart("effects", f"Difference to {baseline}", f"{says}.", picture, Numbers(columns, lines))


def _signed(ratio: float) -> str:
    """Of nothing without a sign."""
    return f"{ratio:+.1%}" if ratio else "0.0%"
