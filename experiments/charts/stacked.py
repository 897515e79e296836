"""Bars that are stacked: where latency goes, what became of accesses, prefetches, questions and bytes."""

from collections.abc import Mapping
from typing import Any

import altair as alt

from experiments.charts.chart import PICK, Chart, Numbers
from experiments.charts.style import (
    FATES,
    LIFE,
    OUTCOMES,
    PROPOSALS,
    QUESTIONS,
    STEP,
    TRAFFIC,
    arms_down,
    by_part,
    bytes_axis,
    count_axis,
    over,
    parts_colours,
    picked,
    share_axis,
    time_axis,
)
from experiments.means import mean
from experiments.report import bytes_text, number_text, time_text

Row = dict[str, Any]
Values = dict[str, dict[str, float]]
"""By arm, by part."""


def _bars(values: Values, colours: Mapping[str, str], x: alt.X, text: Any, share: str) -> Any:
    """A bar for each arm; ``text`` says a value, ``share`` what its part of the bar is of."""
    data = []
    for arm, parts in values.items():
        total = sum(parts.values()) or 1
        for i, (part, value) in enumerate(parts.items()):
            data.append(
                {"arm": arm, "part": part, "order": i, "value": value, "text": text(value), "share": value / total}
            )
    pick, opacity = picked("part")
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("part:N", title="part"), alt.Tooltip("text:N", title="value"),
               alt.Tooltip("share:Q", title=share, format=".1%")]  # fmt: skip
    picture = over(data).mark_bar(height={"band": 0.75}).encode(
        x=x, y=arms_down(list(values)), **by_part(list(colours), list(colours.values())), opacity=opacity,
        tooltip=tooltip,
    )  # fmt: skip
    return picture.add_params(pick).properties(height=alt.Step(STEP))


def _numbers(values: Values, parts: list[str], text: Any) -> Numbers:
    return Numbers(["arm", *parts], [[arm, *(text(v[part]) for part in parts)] for arm, v in values.items()])


def _counts(
    rows: list[Row], arms: list[str], named: Mapping[str, tuple[str, str]], prefix: str
) -> tuple[Values, dict[str, str]]:
    """Means over runs of columns of counts, of arms that have any, and the colours of parts that any has."""
    values: Values = {}
    for arm in arms:
        of_arm = [row for row in rows if row["arm"] == arm]
        found = {title: mean(of_arm, f"{prefix}{name}") or 0.0 for name, (title, _) in named.items()}
        if any(found.values()):
            values[arm] = found
    colours = {title: colour for title, colour in named.values() if any(v[title] for v in values.values())}
    return {arm: {part: v[part] for part in colours} for arm, v in values.items()}, colours


def _count_text(value: float) -> str:
    return number_text(value, "count")


def attribution(parts: list[Row], arms: list[str]) -> Chart | None:
    """Where the mean latency of an access goes: service, queueing and transfer link by link, inference."""
    values: Values = {}
    for arm in arms:
        of_arm = [row for row in parts if row["arm"] == arm]
        names = dict.fromkeys(_part(row) for row in of_arm)
        if names:
            values[arm] = {n: mean((r for r in of_arm if _part(r) == n), "mean_ns") or 0.0 for n in names}
    if not values:
        return None
    names = dict.fromkeys(name for found in values.values() for name in found)
    values = {arm: {name: found.get(name, 0.0) for name in names} for arm, found in values.items()}
    # What is nothing everywhere is in the table alone.
    some = [name for name in names if any(found[name] for found in values.values())]
    colours = dict(zip(names, parts_colours(list(names)), strict=True))
    drawn = {arm: {name: found[name] for name in some} for arm, found in values.items()}
    x = alt.X("value:Q", axis=time_axis("mean latency of an access"))
    picture = _bars(drawn, {name: colours[name] for name in some}, x, time_text, "share of the latency")
    largest = {arm: max(found, key=lambda name: found[name]) for arm, found in values.items()}
    says = "What the mean latency of an access is made of. The largest part: " + "; ".join(
        f"{arm} {name}, {time_text(values[arm][name])}" for arm, name in largest.items()
    )
    numbers = _numbers(values, list(names), time_text)
    return Chart("attribution", "Mean latency by its parts", f"{says}.", picture, numbers, PICK)


def _part(row: Row) -> str:
    return f"{row['component']} {row['link']}" if row["link"] else str(row["component"])


def outcomes(rows: list[Row], arms: list[str]) -> Chart:
    """What became of every access."""
    values, colours = _counts(rows, arms, OUTCOMES, "n_")
    x = alt.X("value:Q", stack="normalize", axis=share_axis("share of accesses", ".0%"))
    picture = _bars(values, colours, x, _count_text, "share of accesses")
    says = "What became of every access, means over runs: " + "; ".join(
        f"{arm} {', '.join(f'{_count_text(n)} {part}' for part, n in found.items() if n)}"
        for arm, found in values.items()
    )
    return Chart("outcomes", "What became of every access", f"{says}.", picture,
                 _numbers(values, list(colours), _count_text), PICK)  # fmt: skip


def _of_counts(
    rows: list[Row],
    arms: list[str],
    kind: str,
    title: str,
    axis: str,
    named: Mapping[str, tuple[str, str]],
    prefix: str,
) -> Chart | None:
    values, colours = _counts(rows, arms, named, prefix)
    if not values:
        return None
    x = alt.X("value:Q", axis=count_axis(f"{axis} a run, mean"))
    picture = _bars(values, colours, x, _count_text, "share")
    says = f"{title}, means over runs: " + "; ".join(
        f"{arm} {', '.join(f'{_count_text(n)} {part}' for part, n in found.items() if n)}"
        for arm, found in values.items()
    )
    return Chart(kind, title, f"{says}.", picture, _numbers(values, list(colours), _count_text), PICK)


def fates(rows: list[Row], arms: list[str]) -> Chart | None:
    """What became of every prefetch."""
    return _of_counts(rows, arms, "fates", "What became of every prefetch", "prefetches", FATES, "n_prefetch_")


def proposals(rows: list[Row], arms: list[str]) -> Chart | None:
    """What became of every block that a policy proposed."""
    return _of_counts(rows, arms, "proposals", "What became of every proposal", "proposed blocks", PROPOSALS, "n_")


def questions(rows: list[Row], arms: list[str]) -> Chart | None:
    """What became of every question."""
    return _of_counts(rows, arms, "questions", "What became of every question", "questions", QUESTIONS, "n_questions_")


def first_token(rows: list[Row], arms: list[str]) -> Chart | None:
    """What the time to the first token is made of."""
    values: Values = {}
    for arm in arms:
        of_arm = [row for row in rows if row["arm"] == arm]
        if mean(of_arm, "mean_ttft_ns") is not None:
            values[arm] = {title: mean(of_arm, f"mean_{name}_ns") or 0.0 for name, (title, _) in LIFE.items()}
    if not values:
        return None
    x = alt.X("value:Q", axis=time_axis("mean time to the first token"))
    picture = _bars(values, dict(LIFE.values()), x, time_text, "share of the time")
    says = "What the mean time to the first token of a request is made of: " + "; ".join(
        f"{arm} {time_text(sum(found.values()))}" for arm, found in values.items()
    )
    return Chart("first_token", "Time to the first token", f"{says}.", picture,
                 _numbers(values, list(dict(LIFE.values())), time_text), PICK)  # fmt: skip


def traffic(rows: list[Row], arms: list[str], link: str, baseline: str) -> Chart | None:
    """Bytes over a link, by what they were started as; beside the baseline's."""
    values, colours = _counts(rows, arms, {f"{n}_bytes": of for n, of in TRAFFIC.items()}, f"{link}_")
    if not values:
        return None
    base = sum(values.get(baseline, {}).values())
    totals = {arm: sum(found.values()) for arm, found in values.items()}
    more = {arm: f"{total / base - 1:+.1%}" if base else "-" for arm, total in totals.items()}
    x = alt.X("value:Q", axis=bytes_axis("bytes a run, mean", max(totals.values())))
    picture = _bars(values, colours, x, _bytes_text, "share of the traffic")
    says = f"Bytes over the link {link} a run: " + "; ".join(
        f"{arm} {_bytes_text(total)} ({more[arm]} against {baseline})" for arm, total in totals.items()
    )
    numbers = _numbers(values, list(colours), _bytes_text)
    lines = [[*line, _bytes_text(totals[line[0]]), more[line[0]]] for line in numbers.rows]
    table = Numbers([*numbers.columns, "all", f"against {baseline}"], lines)
    return Chart(f"traffic_{link}", f"Traffic on {link}", f"{says}.", picture, table, PICK)


def _bytes_text(n: float) -> str:
    return bytes_text(round(n))
