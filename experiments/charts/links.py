"""Links: how much of what they could carry they carried, and how long accesses waited for them."""

from typing import Any

import altair as alt

from experiments.charts.chart import PICK_AND_ZOOM, Chart, Numbers, short
from experiments.charts.style import (
    BLUE,
    GREEN,
    HEIGHT,
    ORANGE,
    PINK,
    RED,
    SKY,
    TRAFFIC,
    Arms,
    arms_down,
    by_part,
    over,
    picked,
    share_axis,
    time_axis,
    time_expr,
    zoomed,
)
from experiments.means import mean
from experiments.report import number_text, time_text

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


def busy(shares: dict[str, Any], edges_ns: Any, of: Arms, link: str) -> Chart:
    """The share of a link's channels that are busy over the simulated time, a line an arm, means over runs."""
    data: list[Row] = []
    for arm, share in shares.items():
        # A step is as wide as its bin, the last one too.
        steps = zip(edges_ns, [*share, share[-1]], strict=True)
        data += [{"arm": arm, "x": round(at), "y": short(value)} for at, value in steps]
    arms = list(shares)
    pick, opacity = picked()
    tooltip = [
        alt.Tooltip("arm:N"),
        alt.Tooltip("text:N", title="from"),
        alt.Tooltip("y:Q", title="busy", format=".2%"),
    ]
    picture = over(data).mark_line(interpolate="step-after", strokeWidth=1.5).encode(
        x=alt.X("x:Q", axis=time_axis("simulated time"), scale=alt.Scale(nice=False, zero=False)),
        y=alt.Y("y:Q", axis=share_axis("channels that are busy"), scale=alt.Scale(zero=True)),
        color=of.color(arms), strokeDash=of.dashes(arms), opacity=opacity, tooltip=tooltip,
    ).transform_calculate(text=time_expr("datum.x")).add_params(pick, zoomed()).properties(height=HEIGHT)  # fmt: skip
    widths = edges_ns[1:] - edges_ns[:-1]
    means = {arm: float((share * widths).sum() / widths.sum()) for arm, share in shares.items()}
    says = f"Share of the channels of {link} that are busy, calls included, over the simulated time. Means: "
    says += "; ".join(f"{arm} {mean:.2%}" for arm, mean in means.items())
    lines = [
        [time_text(float(edges_ns[i])), *(f"{share[i]:.2%}" for share in shares.values())] for i in range(len(widths))
    ]
    numbers = Numbers(["from", *arms], lines)
    return Chart(f"busy_{link}", f"{link} over time", f"{says}.", picture, numbers, PICK_AND_ZOOM)


def waits(found: dict[tuple[str, str, str], Any], arms: list[str]) -> Chart | None:
    """How long blocks waited for a link before their call began, by what they were started as."""
    data: list[Row] = []
    lines = []
    classes = {name: title for name, (title, _) in TRAFFIC.items()}
    for (arm, link, class_), taken in found.items():
        texts = {"mean": number_text(taken.mean, "time"), "p99": number_text(taken.quantile(0.99), "time")}
        data.append({"arm": arm, "link": link, "part": classes[class_], "value": taken.mean, **texts})
        lines.append([f"{arm}, {link}, {classes[class_]}", f"{taken.n:,}", *texts.values(),
                      number_text(taken.quantile(1), "time")])  # fmt: skip
    if not any(row["value"] for row in data):
        return None
    data = [{**row, "place": f"{row['arm']}, {row['link']}"} for row in data if row["value"]]
    there = dict.fromkeys(f"{arm}, {link}" for arm in arms for link in dict.fromkeys(key[1] for key in found))
    places = [place for place in there if any(row["place"] == place for row in data)]
    parts = {title: colour for title, colour in TRAFFIC.values() if any(row["part"] == title for row in data)}
    tooltip = [alt.Tooltip("place:N", title="arm, link"), alt.Tooltip("part:N", title="started as"),
               alt.Tooltip("mean:N"), alt.Tooltip("p99:N")]  # fmt: skip
    picture = over(data).mark_bar().encode(
        x=alt.X("value:Q", axis=time_axis("mean wait of a block for its call")), y=arms_down(places, "place"),
        yOffset=alt.YOffset("part:N", sort=list(parts)), color=by_part(list(parts), list(parts.values()))["color"],
        tooltip=tooltip,
    ).properties(height={"step": 30, "for": "position"})  # fmt: skip
    worst = max(data, key=lambda row: row["value"])
    says = (
        "How long blocks waited for a link, by what they were started as, means over all runs. The longest: "
        f"{worst['part']} on {worst['link']} under {worst['arm']}, {worst['mean']} (p99 {worst['p99']})."
    )
    numbers = Numbers(["arm, link, started as", "blocks", "mean", "p99", "longest"], lines)
    return Chart("waits", "Waiting for links", says, picture, numbers)
