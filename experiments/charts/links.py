"""Links: how much of what they could carry they carried, and how long accesses waited for them."""

from typing import Any

import altair as alt

from experiments.charts.chart import Chart, Numbers
from experiments.charts.style import BLUE, GREEN, ORANGE, PINK, RED, SKY, arms_down, by_part, over, share_axis
from experiments.means import mean
from experiments.report import time_text

Row = dict[str, Any]
_COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED)


def use(rows: list[Row], arms: list[str], capacities: dict[str, float]) -> Chart | None:
    """The share of a link's time that its channels moved bytes; ``capacities`` in bytes per s, all channels together.

    Calls, which take time and move nothing, are left out: what is full at 100 % may be so below.
    """
    if not capacities:
        return None
    data: list[Row] = []
    lines = []
    for arm in arms:
        line = [arm]
        for link, bytes_per_s in capacities.items():
            of_arm = [row for row in rows if row["arm"] == arm and row["end_ns"]]
            shares = [
                sum(row[f"{link}_{what}_bytes"] for what in ("demand", "prefetch", "write_back"))
                / (row["end_ns"] / 1e9 * bytes_per_s)
                for row in of_arm
            ]
            share = sum(shares) / len(shares) if shares else 0.0
            queued = mean([r | {"q": r[f"{link}_queue_ns"] / r["n_accesses"]} for r in of_arm], "q") or 0.0
            text = {"text": f"{share:.2%}", "queued": time_text(queued)}
            data.append({"arm": arm, "part": link, "value": share, **text})
            line += list(text.values())
        lines.append(line)
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("part:N", title="link"), alt.Tooltip("text:N", title="used"),
               alt.Tooltip("queued:N", title="queueing of an access, mean")]  # fmt: skip
    picture = over(data).mark_bar().encode(
        x=alt.X("value:Q", axis=share_axis("share of the link's bandwidth in use, over the whole run")),
        y=arms_down(arms), yOffset=alt.YOffset("part:N", sort=list(capacities)),
        color=by_part(list(capacities), [_COLOURS[i % len(_COLOURS)] for i in range(len(capacities))])["color"],
        tooltip=tooltip,
    ).properties(height={"step": 34, "for": "position"})  # fmt: skip
    busiest = max(data, key=lambda row: row["value"])
    says = (
        "How much of each link's bandwidth was used over the whole run, calls not counted. The most: "
        f"{busiest['part']} under {busiest['arm']}, {busiest['text']}."
    )
    columns = ["arm", *(text for link in capacities for text in (f"{link}: used", f"{link}: mean queueing"))]
    return Chart("links", "Use of links", says, picture, Numbers(columns, lines))
