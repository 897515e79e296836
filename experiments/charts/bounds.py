"""What is possible, and until which thinking time a learned policy pays."""

from typing import Any

import altair as alt

from experiments.charts.chart import PICK, Chart, Numbers
from experiments.charts.style import (
    BLUE,
    GREY,
    HEIGHT,
    RED,
    STEP,
    arms_down,
    by_part,
    log_scale,
    over,
    picked,
    share_axis,
    time_axis,
    time_expr,
)
from experiments.report import number_text, time_text

Row = dict[str, Any]


def bounds(rows: list[Row]) -> Chart | None:
    """Every arm by the share of the possible gain that it captures."""
    rows = sorted((row for row in rows if row["captured_ratio"] is not None), key=lambda row: row["mean_latency_ns"])
    if not rows:
        return None
    data = [
        {
            "arm": row["arm"], "value": row["captured_ratio"], "text": f"{row['captured_ratio']:.1%}",
            "latency": time_text(row["mean_latency_ns"]),
        }
        for row in rows
    ]  # fmt: skip
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("text:N", title="captured"),
               alt.Tooltip("latency:N", title="mean latency")]  # fmt: skip
    picture = over(data).mark_bar(color=BLUE, height={"band": 0.7}).encode(
        x=alt.X("value:Q", axis=share_axis("share of the gain that the oracle has")),
        y=arms_down([row["arm"] for row in data]), tooltip=tooltip,
    ).properties(height=alt.Step(STEP))  # fmt: skip
    says = "Of the gain in mean latency that an oracle has, which pays for its transfers, arms capture: "
    lines = [
        [r["arm"], time_text(r["mean_latency_ns"]), time_text(r["p99_latency_ns"]),
         number_text(r["hit_ratio"], "ratio"),
         f"{r['captured_ratio']:.1%}"] for r in rows
    ]  # fmt: skip
    says += "; ".join(f"{row['arm']} {row['text']}" for row in data)
    numbers = Numbers(["arm", "mean latency", "p99 latency", "hit ratio", "of the possible gain"], lines)
    return Chart("bounds", "What is possible", f"{says}.", picture, numbers)


def break_even(rows: list[Row], crossings: list[Row]) -> Chart:
    """Mean latency over what an inference is charged, a line a mode, beside the baseline."""
    first = rows[0]["arm"]
    ladder = sorted((r for r in rows if r["arm"] == first), key=lambda row: (row["mode"], row["inference_p50_ns"]))
    keys = ("inference_p50_ns", "mean_latency_ns", "ci_low_ns", "ci_high_ns")
    data = [
        {"part": row["mode"], **dict(zip(("x", "y", "low", "high"), map(row.get, keys), strict=True))} for row in ladder
    ]
    modes = list(dict.fromkeys(row["part"] for row in data))
    pick, opacity = picked("part")
    known = [row["y"] for row in data]
    scale = alt.Scale(type="symlog", constant=1000, nice=False)
    # The ladder begins at nothing, which a logarithm has no place for.
    ticks = [0, *(10**power for power in range(3, 9))]
    axis = time_axis("latency of an inference (0, then logarithmic)").copy()
    axis.values = ticks
    x = alt.X("x:Q", scale=scale, axis=axis)
    base = over(data).transform_calculate(inference=time_expr("datum.x"), latency=time_expr("datum.y"))
    colour = by_part(modes, [(BLUE, RED)[i % 2] for i in range(len(modes))])["color"]
    tooltip = [alt.Tooltip("part:N", title="mode"), alt.Tooltip("inference:N", title="of an inference"),
               alt.Tooltip("latency:N", title="mean of an access")]  # fmt: skip
    line = base.mark_line(point=True).encode(
        x=x, y=alt.Y("y:Q", axis=time_axis("mean latency of an access", known), scale=log_scale(known)),
        color=colour, opacity=opacity, tooltip=tooltip,
    )  # fmt: skip
    band = base.mark_area(opacity=0.18).encode(x=x, y="low:Q", y2="high:Q", color=colour)
    level = rows[0]["baseline_mean_latency_ns"]
    rule = over([{"y": level}]).mark_rule(color=GREY, strokeDash=[5, 3]).encode(y="y:Q")
    picture = (band + rule + line.add_params(pick)).properties(height=HEIGHT)
    said = [f"{_until(r['break_even_ns'])} ({r['mode']}, against {r['against']})" for r in crossings]
    says = f"{first} pays {'; '.join(said)}. Its mean latency over that of an inference; the baseline is dashed"
    lines = [[r["mode"], *(number_text(r[n], "time") for n in keys)] for r in ladder]
    numbers = Numbers(["mode", "of an inference", "mean of an access", "95 % from", "to"], lines)
    return Chart("break_even", "Until which thinking time it pays", f"{says}.", picture, numbers, PICK)


def _until(ns: float | None) -> str:
    if ns is None:
        return "at every latency that was tried"
    return "at none" if ns == 0 else f"up to {time_text(ns)}"
