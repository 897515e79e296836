"""A comparison of results in the terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.differences.accesses import Changes
from experiments.differences.arms import NONE
from experiments.differences.first import first_sentence, label_of, text_of
from experiments.differences.metrics import Arms, Row
from experiments.differences.settings import texts_of
from experiments.differences.whole import Differences
from experiments.report import ROWS, time_text
from experiments.results import KeptResults

_MOST_OTHERS, _MOST_PAIRS, _MOST_KEYS = 8, 6, 40
_KNOWN = [metric for _, metric, _ in ROWS]


def print_differences(
    console: Console, found: Differences, names: tuple[str, str] = ("A", "B"), *, is_whole: bool = True
) -> None:
    """The first sentence, if that is not said yet, and all of it, from what was asked for to single accesses."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    if is_whole:
        say(first_sentence(found))
    for name, kept in zip(names, (found.a, found.b), strict=True):
        say(f"{name}: {kept.folder} ({kept.name}, {_seeds(kept)}{_missing(kept)})")
    for title, values in (
        ("Config", found.config), ("Said otherwise, without bearing on a run", found.told), ("Made by", found.made),
    ):  # fmt: skip
        if values:
            say(f"\n{title}: key, {names[0]} -> {names[1]}")
            for key, both in list(values.items())[:_MOST_KEYS]:
                say(f"  {key}: {' -> '.join(texts_of(both))}")
            if len(values) > _MOST_KEYS:
                say(f"  and {len(values) - _MOST_KEYS} more (--json)")
    for one, changes in zip(found.arms, found.accesses, strict=True):
        say(f"\n{_title(one, names[1])}")
        _print_metrics(console, say, one, names)
        _print_accesses(say, changes)
    for name, arms in zip(names, (found.matched.only_a, found.matched.only_b), strict=True):
        if arms:
            say(f"\nOnly in {name}: {', '.join(arms)}")
    if found.matched.only_a and found.matched.only_b:
        say("  (--arm A_ARM=B_ARM compares arms of two names)")


def _seeds(kept: KeptResults) -> str:
    return f"seed{'s' * (len(kept.seeds) != 1)} {', '.join(map(str, kept.seeds))}"


def _missing(kept: KeptResults) -> str:
    n = len(kept.missing())
    return f", {n} of {len(kept.planned)} runs missing" if n else ""


def _title(one: Arms, other: str) -> str:
    why = one.basis.why.replace(" of B", f" of {other}")
    name = one.a if one.a == one.b else f"{one.a} -> {one.b}"
    if one.basis.kind == NONE:
        return f"Arm {name}: not comparable, {why}; side by side, nothing is claimed"
    methods = [method for method in dict.fromkeys(row.get("method") for row in one.rows) if method]
    text = f"Arm {name}: {why} ({'; '.join(methods) or one.basis.kind})"
    if one.is_timed:
        text += "; latencies were timed once: the machine's noise is in no interval"
    return text


def _print_metrics(console: Console, say: Any, one: Arms, names: tuple[str, str]) -> None:
    rows = [row for row in one.rows if not row["is_same"]]
    same = [label_of(row["metric"]) for row in one.rows if row["is_same"]]
    if rows:
        table = Table("", *names, f"{names[1]} - {names[0]}", "95 % interval", "verdict")
        for column in table.columns[1:5]:
            column.justify = "right"
        for row in rows:
            table.add_row(*_cells(row))
        console.print(table)
    if same:
        say(f"  the same: {', '.join(same)}")
    if one.others:
        known = sorted((r for r in one.others if r["metric"] in _KNOWN), key=lambda r: _KNOWN.index(r["metric"]))
        texts = [f"{label_of(r['metric'])} {_ab(r)}" for r in known[:_MOST_OTHERS]]
        more = len(one.others) - len(texts)
        texts += [f"{more} other column{'s' * (more != 1)} of runs (--json)"] if more else []
        say(f"  also: {'; '.join(texts)}")


def _ab(row: Row) -> str:
    return " -> ".join(text_of(row["metric"], row[side]) for side in "ab")


def _cells(row: Row) -> list[str]:
    metric = row["metric"]
    difference = text_of(metric, row.get("difference"), is_signed=True)
    relative = row.get("relative_difference_ratio")
    if relative:
        difference += f" ({relative:+.1%})"
    interval = ""
    if row.get("low") is not None:
        interval = f"[{', '.join(text_of(metric, row[end], is_signed=True) for end in ('low', 'high'))}]"
    # Not corrected for the number of claims: it may be no more than there are.
    is_told = "too few" in row["verdict"] and (row.get("n_to_settle") or 0) > row["n_pairs"]
    more = f"; {row['n_to_settle']:,} would do" if is_told else ""
    return [
        label_of(metric),
        text_of(metric, row["a"]),
        text_of(metric, row["b"]),
        difference,
        interval,
        row["verdict"] + more,
    ]


def _print_accesses(say: Any, changes: Changes | str) -> None:
    if isinstance(changes, str):
        say(f"  accesses: {changes}")
        return
    n_other = changes.n - changes.n_same
    say(
        f"  accesses: {changes.n:,} that both kept, {n_other:,} with another outcome, {changes.n_moved:,} with another "
        "latency"
    )
    for pair in [pair for pair in changes.pairs() if pair["a"] != pair["b"]][:_MOST_PAIRS]:
        each = pair["latency_difference_ns"] / pair["n"]
        say(f"    {pair['a']} -> {pair['b']}: {pair['n']:,}, {text_of('_ns', each, is_signed=True)} each")
    if changes.n_only_a or changes.n_only_b:
        say(f"    rows that one alone kept: {changes.n_only_a:,} and {changes.n_only_b:,}")
    if changes.most:
        say("    latency changed most:")
    for one in changes.most:
        repeat = f", repeat {one.repeat}" if one.repeat else ""
        what = one.outcome_a if one.outcome_a == one.outcome_b else f"{one.outcome_a} -> {one.outcome_b}"
        times = " -> ".join(dict.fromkeys((time_text(one.latency_a_ns), time_text(one.latency_b_ns))))
        times += f" ({text_of('_ns', one.latency_b_ns - one.latency_a_ns, is_signed=True)})"
        say(f"      seed {one.seed}{repeat}, access {one.access:,}, key {one.key}: {what}, {times}")
