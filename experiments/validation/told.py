"""A validation on the terminal, and as rows for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.compare.seeds import Difference
from experiments.report import number_text
from experiments.validation.compared import OVERALL, Compared, Pair

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = ("hit_ratio", "mean_latency_ns", "p50_latency_ns", "p99_latency_ns")
_PARTS = ("mean_service_ns", "mean_queue_ns", "mean_transfer_ns")
_PREFETCHING = (
    "n_issued", "accuracy_ratio", "coverage_ratio", "lateness_ratio", "p50_slack_ns", "n_questions_answered",
    "p50_inference_charged_ns",
)  # fmt: skip


class Validated(NamedTuple):
    """All that was found: by what the simulator was told, ``machine`` or ``cache``, its figures, pairs and order.

    ``repeats_differ`` is by arm how far the live cache's own repeats lie apart, in the mean latency.
    """

    rows: Mapping[str, Sequence[Compared]]
    pairs: Mapping[str, Sequence[Pair]]
    live_order: Sequence[str]
    orders: Mapping[str, Sequence[str]]
    repeats_differ: Mapping[str, float | None]


def print_validated(console: "Console", found: Validated) -> None:
    """What an arm is, side by side; then where it waited, outcomes, links; and who is in front."""
    rows = found.rows["cache"]
    _print_figures(console, "Simulated against live", rows, _SHOWN)
    _print_figures(console, "Where an access waits, in the mean", rows, _PARTS)
    _print_figures(console, "By outcome, and links", rows, _others(rows))
    _print_figures(console, "Prefetching", [row for row in rows if _asks(rows, row.arm)], _PREFETCHING)
    for text in lines(found):
        console.print(text, highlight=False, markup=False)


def lines(found: Validated) -> list[str]:
    """What it comes to, in words."""
    told = []
    for name, what in (("cache", "with what the cache itself takes"), ("machine", "by the machine's preset alone")):
        of = found.rows[name]
        errors = ", ".join(
            f"{title} {_most(of, metric):.1%}"
            for title, metric in (("mean", "mean_latency_ns"), ("p50", "p50_latency_ns"), ("p99", "p99_latency_ns"))
        )  # fmt: skip
        told.append(f"Largest error of any arm, {what}: {errors}; hit ratio {_most(of, 'hit_ratio'):.4f}.")
    if len(found.live_order) > 1:
        told.append(_order_text(found))
    differ = {arm: ratio for arm, ratio in found.repeats_differ.items() if ratio is not None}
    if differ:
        told.append(
            "Repeats of the live cache differ from each other in their mean latency by up to "
            + ", ".join(f"{ratio:.1%} ({arm})" for arm, ratio in differ.items()) + "."
        )  # fmt: skip
    return told


def _order_text(found: Validated) -> str:
    settled = [pair for pair in found.pairs["cache"] if pair.is_told_apart]
    agree = sum(pair.agrees for pair in settled)
    order = f"live {' < '.join(found.live_order)}; simulated {' < '.join(found.orders['cache'])}"
    of = f"Of {len(found.pairs['cache'])} pairs the live cache tells"
    if not settled:
        return f"Order by mean latency: {order}. {of} none apart; more of --repeats or --seeds may."
    return (
        f"Order by mean latency: {order}. {of} {len(settled)} apart, and the simulator has the same one in front in "
        f"{agree} of these."
    )


def rows_of(found: Validated) -> list[dict[str, Any]]:
    """A row for each figure of each arm and each way of telling the simulator; times in ns."""
    return [
        {
            "told": told, "arm": row.arm, "metric": row.metric, "kind": row.kind, "live": row.live,
            "simulated": row.simulated, **_interval("error", row.error),
        }
        for told, rows in found.rows.items()
        for row in rows
    ]  # fmt: skip


def as_json(found: Validated, about: Mapping[str, Any]) -> str:
    """The same, with the order of arms and pairs."""
    told = {
        **about,
        "figures": rows_of(found),
        "pairs": [
            {"told": name, "first": pair.first, "second": pair.second, "is_told_apart": pair.is_told_apart,
             "agrees": pair.agrees, **_interval("live_ns", pair.live), **_interval("simulated_ns", pair.simulated)}
            for name, pairs in found.pairs.items()
            for pair in pairs
        ],
        "live_order": list(found.live_order),
        "orders": {name: list(order) for name, order in found.orders.items()},
        "repeats_differ_ratio": dict(found.repeats_differ),
    }  # fmt: skip
    return json.dumps(told, indent=1)


def _interval(name: str, found: Difference) -> dict[str, Any]:
    def number(value: float) -> float | None:
        return None if value != value else value

    return {name: found.mean, f"{name}_low": number(found.low), f"{name}_high": number(found.high)}


def _most(rows: Sequence[Compared], metric: str) -> float:
    return max((abs(row.error.mean) for row in rows if row.metric == metric), default=float("nan"))


def _asks(rows: Sequence[Compared], arm: str) -> bool:
    return any(row.arm == arm and row.metric == "n_asked" and row.live > 0 for row in rows)


def _others(rows: Sequence[Compared]) -> list[str]:
    return [name for name in dict.fromkeys(row.metric for row in rows) if name not in OVERALL]


def _print_figures(console: "Console", title: str, rows: Sequence[Compared], metrics: Sequence[str]) -> None:
    from rich.table import Table

    shown = [row for row in rows if row.metric in metrics]
    if not shown:
        return
    table = Table(title=title, title_justify="left")
    table.add_column("arm")
    table.add_column("figure")
    for name in ("live", "simulated", "error", "95 % interval"):
        table.add_column(name, justify="right")
    before = None
    for row in sorted(shown, key=lambda row: (_place(rows, row.arm), metrics.index(row.metric))):
        table.add_row(
            row.arm if row.arm != before else "", _title(row.metric), number_text(row.live, row.kind),
            number_text(row.simulated, row.kind), error_text(row), interval_text(row),
        )  # fmt: skip
        before = row.arm
    console.print(table)


def _place(rows: Sequence[Compared], arm: str) -> int:
    return list(dict.fromkeys(row.arm for row in rows)).index(arm)


def _title(metric: str) -> str:
    bare = metric.removeprefix("n_").removesuffix("_ns").removesuffix("_ratio")
    return bare.replace("_latency", "").replace("_", " ")


def error_text(row: Compared) -> str:
    """Of a ratio the difference, else the relative error."""
    return f"{row.error.mean:+.4f}" if row.kind == "ratio" else f"{row.error.mean:+.1%}"


def interval_text(row: Compared) -> str:
    """A stroke with a single run."""
    low, high = row.error.low, row.error.high
    if low != low:
        return "-"
    return f"{low:+.4f} to {high:+.4f}" if row.kind == "ratio" else f"{low:+.1%} to {high:+.1%}"
