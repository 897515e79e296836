"""The closing table in the terminal: what decides, in a column for each of a few arms or a row for each of many.

``full`` has every metric and the differences of three, four arms at a time.
"""

from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

from experiments.bars import OUTCOMES, bar, draws_blocks, legend
from experiments.compare.verdict import TOO_FEW
from experiments.means import mean
from experiments.ranking import Ranking, difference_of
from experiments.report import COUNT, RATIO, ROWS, TIME, brief, number_text, ranked_text, summary, titles_of

Row = dict[str, Any]
OfArm = dict[str, list[Row]]
_MAX_ARM_COLUMNS = 4
_BAR, _SMALL_BAR = 12, 10
_TEXTS = ("arm", "verdict")
_WORDS = (("device", "device"), ("backend", "backend"), ("accesses ahead", "horizon"), ("latencies", "latencies"))
_PARTS = {
    "mean_queue_ns": "queueing", "mean_transfer_ns": "transfer", "mean_inference_ns": "inference",
    "mean_service_ns": "service",
}  # fmt: skip
_BEFORE = (("hit ratio", "hit_ratio", RATIO), ("  as prefixes", "prefix_hit_ratio", RATIO))
_AFTER = (
    ("first token", "mean_ttft_ns", TIME),
    ("  its p99", "p99_ttft_ns", TIME),
    ("issued", "n_issued", COUNT),
    ("accuracy", "accuracy_ratio", RATIO),
    ("coverage", "coverage_ratio", RATIO),
    ("late", "lateness_ratio", RATIO),
    ("per inference", "mean_inference_charged_ns", TIME),
)
_LEAST = ("n_issued", "coverage_ratio", "accuracy_ratio", "p99_latency_ns", "outcomes", "mean_ttft_ns")
"""Columns that a narrow terminal does without, the first ones first."""


class Titled(Protocol):
    """What the table says of its experiment: a config has it, and so do kept results."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def baseline(self) -> str:
        """The arm that the others are compared with."""

    @property
    def warm_up(self) -> str | int | float:
        """What is run and not judged."""

    @property
    def start(self) -> str:
        """``cold`` or ``warm``."""


def print_report(
    console: Console, experiment: Titled, rows: list[Row], compared: list[Row], ranked: Ranking, *, full: bool = False
) -> None:
    """Print means over seeds, the differences to the baseline, and which arm is best."""
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    of_arm = {arm: [row for row in rows if row["arm"] == arm] for arm in arms}
    console.print(_title(experiment, rows), highlight=False, markup=False)
    in_columns = full or len(arms) <= _MAX_ARM_COLUMNS
    if full:
        for first in range(0, len(arms), _MAX_ARM_COLUMNS):
            some = {arm: of_arm[arm] for arm in arms[first : first + _MAX_ARM_COLUMNS]}
            console.print(_full(some, compared, experiment.baseline))
    else:
        console.print((_columns if in_columns else _rows)(console, of_arm, compared, experiment.baseline))
        told = f"Outcomes: {legend(blocks=draws_blocks(console))}"
        console.print(f"{told}. All metrics: --full", highlight=False, markup=False)
    if len(arms) > 1:
        console.print(ranked_text(ranked), highlight=False, markup=False)
        found = [difference_of(compared, arm, "mean_latency_ns") for arm in arms]
        by = "; ".join(dict.fromkeys(row["method"] for row in found if row is not None))
        said = f"Brackets: 95 % interval of the paired difference ({by}); verdicts at 5 %"
        if not in_columns:
            said = f"Verdicts: on the paired difference of mean latencies ({by}), at 5 %"
        console.print(f"{said}, corrected for the number of arms.", highlight=False)


def _title(experiment: Titled, rows: list[Row]) -> str:
    n_seeds, n_repeats = len({row["seed"] for row in rows}), max(row["repeat"] for row in rows) + 1
    cuts = sorted({row["n_warm_up_accesses"] for row in rows})
    text = f"{experiment.name}: mean of {n_seeds} seed{'s' * (n_seeds != 1)}"
    text += f" and {n_repeats} repeats of what is measured" if n_repeats > 1 else ""
    text += f", {mean(rows, 'n_accesses') or 0:,.0f} accesses each"
    if cuts != [0]:
        reach = f"{cuts[0]:,}" if len(cuts) == 1 else f"{cuts[0]:,} to {cuts[-1]:,}"
        by = f" (mser5 of {experiment.baseline})" if experiment.warm_up == "mser5" else ""
        text += f" after {reach} of warm-up{by}"
    return text + (", started warm" if experiment.start == "warm" else "")


def _columns(console: Console, of_arm: OfArm, compared: list[Row], baseline: str) -> Table:
    """A column for each arm, what decides."""
    table = _headed(of_arm, baseline)

    def add(label: str, texts: list[str]) -> None:
        if any(text not in ("", "-") for text in texts):
            table.add_row(label, *texts)

    def means(metric: str) -> list[float | None]:
        return [mean(rows, metric) for rows in of_arm.values()]

    for label, metric, kind in _BEFORE:
        add(label, [number_text(value, kind) for value in means(metric)])
    add("mean latency", [number_text(value, TIME) for value in means("mean_latency_ns")])
    found = [difference_of(compared, arm, "mean_latency_ns") for arm in of_arm]
    add("  vs baseline", [_difference(row, TIME) if row else "" for row in found])
    add("  made of", [_parts(rows) for rows in of_arm.values()])
    add("p99 latency", [number_text(value, TIME) for value in means("p99_latency_ns")])
    add("outcomes", [_bar(rows, _BAR, console) for rows in of_arm.values()])
    for label, metric, kind in _AFTER:
        add(label, [number_text(value, kind) for value in means(metric)])
    return table


def _bar(rows: list[Row], width: int, console: Console) -> str:
    return bar({name: mean(rows, name) for name in OUTCOMES}, width, blocks=draws_blocks(console))


def _parts(rows: list[Row]) -> str:
    """Of what the mean latency is made, the largest part first, without what is no hundredth of it."""
    parts = {name: mean(rows, metric) or 0.0 for metric, name in _PARTS.items()}
    total = sum(parts.values())
    shares = sorted(((ns / total, name) for name, ns in parts.items() if total), reverse=True)
    return ", ".join(f"{share:.0%} {name}" for share, name in shares if share >= 0.005)


def _rows(console: Console, of_arm: OfArm, compared: list[Row], baseline: str) -> Table:
    """A row for each arm; ``comparisons.parquet`` and ``runs.parquet`` have the rest."""
    titles, rows = brief(of_arm, compared, baseline)
    names = list(titles_of(summary(of_arm, compared)))
    columns = {
        name: (title, [row[i] for row in rows]) for i, (name, title) in enumerate(zip(names, titles, strict=True))
    }
    at = names.index("hit_ratio") + 1
    bars = [_bar(runs, _SMALL_BAR, console) for runs in of_arm.values()]
    columns = {name: columns[name] for name in names[:at]} | {"outcomes": ("outcomes", bars)} | columns
    widths = {name: _width(name, *column) for name, column in columns.items()}
    for least in _LEAST:
        if sum(widths.values()) + 3 * len(widths) + 1 > console.width:
            widths.pop(least, None)
    room = max(console.width - sum(widths.values()) - 3 * len(widths) - 1, 0)
    table = Table()
    for name, width in widths.items():
        title, cells = columns[name]
        if name in _TEXTS:
            more = min(room, max(map(len, cells)) - width)
            room -= more
            table.add_column(title, width=width + more, overflow="fold")
        else:
            # A title is broken by hand where its cells may not be.
            table.add_column(title.replace(" ", "\n"), justify="right", width=width, no_wrap=True)
    for row in zip(*(columns[name][1] for name in widths), strict=True):
        table.add_row(*row)
    return table


def _width(name: str, title: str, cells: list[str]) -> int:
    """How wide a column must be: words may go below each other, numbers and their units may not."""
    widths = [_longest_word(text) for text in cells] if name in _TEXTS else map(len, cells)
    return max(_longest_word(title), *widths)


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _headed(of_arm: OfArm, baseline: str) -> Table:
    table = Table()
    table.add_column("")
    for arm in of_arm:
        table.add_column(arm + (" (baseline)" if arm == baseline else ""), justify="right", overflow="fold")
    return table


def _full(of_arm: OfArm, compared: list[Row], baseline: str) -> Table:
    """A column for each arm, and every metric."""
    arms, table = list(of_arm), _headed(of_arm, baseline)
    for label, metric, kind in ROWS:
        means = [mean(of_arm[arm], metric) for arm in arms]
        if any(value is not None for value in means):
            table.add_row(label, *(number_text(value, kind) for value in means))
    for label, key in _WORDS:
        words = {arm: [row[key] for row in of_arm[arm] if row.get(key) is not None] for arm in arms}
        table.add_row(label, *(", ".join(dict.fromkeys(map(str, words[arm]))) or "-" for arm in arms))
    table.add_section()
    for label, metric, kind in (
        ("hit ratio vs baseline", "hit_ratio", RATIO),
        ("mean latency vs baseline", "mean_latency_ns", TIME),
        ("p99 latency vs baseline", "p99_latency_ns", TIME),
    ):
        cells = []
        for arm in arms:
            found = difference_of(compared, arm, metric)
            cells.append(_difference(found, kind) if found else "")
        table.add_row(label, *cells)
    return table


def _difference(found: dict[str, Any], kind: str) -> str:
    sign = "+" if found["difference"] >= 0 else "-"
    text = f"{sign}{number_text(abs(found['difference']), kind)}"
    if kind == TIME and found["relative_difference_ratio"] is not None:
        text += f" ({found['relative_difference_ratio']:+.1%})"
    if found["low"] is None:
        return text + "\none seed: no interval"
    low, high = (("-" if v < 0 else "+") + number_text(abs(v), kind) for v in (found["low"], found["high"]))
    more = f"; {found['n_to_settle']:,} would do" if found["verdict"] == TOO_FEW and found["n_to_settle"] else ""
    return f"{text}\n[{low}, {high}]\n{found['verdict']}{more}"
