"""The first sentence of a comparison of results: no difference, or which."""

from typing import Any, NamedTuple

from experiments.compare.table import REQUEST_LATENCY
from experiments.differences.arms import NONE, UNPAIRED
from experiments.differences.metrics import Arms, Row, is_certain, is_shown
from experiments.differences.settings import texts_of
from experiments.differences.whole import Differences
from experiments.report import RATIO, ROWS, TIME, number_text

LABELS = {metric: label.strip() for label, metric, _ in ROWS} | {REQUEST_LATENCY: "request latency", "end_ns": "end"}
_KINDS = {metric: kind for _, metric, kind in ROWS}
_MOST_KEYS, _MOST_METRICS = 3, 4


class Moved(NamedTuple):
    """A metric of two arms that came out otherwise."""

    arms: Arms
    row: Row


def label_of(metric: str) -> str:
    """What a metric is called in the closing table, or in the tables."""
    return LABELS.get(metric, metric)


def text_of(metric: str, value: float | None, *, is_signed: bool = False) -> str:
    """A metric's value as the closing table has it; with a sign where it is a difference."""
    kind = _KINDS.get(metric) or (TIME if metric.endswith("_ns") else RATIO if metric.endswith("_ratio") else None)
    if value is None:
        return "-"
    size = abs(value) if is_signed else value
    text = number_text(size, kind) if kind else f"{size:,.6g}"
    return f"{'-' if value < 0 else '+'}{text}" if is_signed else text


def moved_in(found: Differences) -> list[Moved]:
    """What may be said to differ: what is shown first, then what is another one on these very traces."""
    every = [Moved(one, row) for one in found.arms for row in one.rows]
    shown = [one for one in every if is_shown(one.row)]
    return shown + [one for one in every if not is_shown(one.row) and is_certain(one.arms, one.row)]


def first_sentence(found: Differences) -> str:
    """No difference, or which: of the config and what made them, and of what came out."""
    moved, config = moved_in(found), _of_config(found)
    alike = "the configs are the same" + (" but for the seeds" if "seeds" in found.told else "")
    if not found.arms:
        return "Nothing is compared: no arm of the one is one of the other" + (
            f"; in the config differ {config}." if config else "."
        )
    if moved:
        said = _of_metrics(moved)
        if config:
            return f"They differ in the config ({config}), and in what came out: {said}."
        return f"They differ in what came out, though {alike}{_of_made(found)}: {said}."
    if all(one.basis.kind == NONE for one in found.arms):
        why = "; ".join(dict.fromkeys(one.basis.why for one in found.arms))
        return f"Not comparable, and nothing is claimed of what came out: {why}. " + (
            f"In the config differ {config}." if config else f"{alike[0].upper()}{alike[1:]}{_of_made(found)}."
        )
    is_same = all(row["is_same"] for one in found.arms for row in one.rows)
    if is_same:
        n = len(found.arms)
        same = f"all that is compared of {n} arm{'s' * (n != 1)} came out the same"
        return (
            f"They differ in the config alone ({config}): {same}." if config else f"No difference: {alike}, and {same}."
        )
    reasons = []
    if any(one.basis.kind == UNPAIRED for one in found.arms):
        unpaired = [one for one in found.arms if one.basis.kind == UNPAIRED]
        few = any(min(len(one.basis.seeds_a), len(one.basis.seeds_b)) == 1 for one in unpaired)
        reasons.append(unpaired[0].basis.why + (": one seed is too few to tell" if few else ", compared unpaired"))
    if timed := [one for one in found.arms if one.is_timed and any(not row["is_same"] for row in one.rows)]:
        means = [Moved(one, row) for one in timed for row in one.rows if row["metric"] == "mean_latency_ns"]
        reasons.append(
            f"latencies of {_some([one.a for one in timed], _MOST_KEYS)} were timed once in each, so that what moved "
            f"with them is not judged: {_of_metrics(means)}"
        )
    because = f" ({'; '.join(reasons)})" if reasons else ""
    if config:
        return f"They differ in the config ({config}); of what came out no difference is shown{because}."
    return f"No difference shown: {alike}{because}{_of_made(found)}."


def _of_config(found: Differences) -> str:
    """The keys that differ, each with both values; arms that only one has are no key of the other."""
    said = []
    for key, values in found.config.items():
        a, b = texts_of(values)
        said.append(f"{key} {_short(a)} -> {_short(b)}")
    return _some(said, _MOST_KEYS, "keys")


def _of_made(found: Differences) -> str:
    """What else may be the reason."""
    if not found.made:
        return ""
    return f"; made otherwise ({_some(list(found.made), _MOST_KEYS)})"


def _of_metrics(moved: list[Moved]) -> str:
    # The mean latency of each arm first: it is what the closing table ranks by.
    order = sorted(moved, key=lambda one: (not is_shown(one.row), one.row["metric"] != "mean_latency_ns"))
    return _some([_of_metric(one) for one in order], _MOST_METRICS, "metrics")


def _of_metric(one: Moved) -> str:
    metric, row = one.row["metric"], one.row
    text = f"{label_of(metric)} of {one.arms.b} {text_of(metric, row.get('difference'), is_signed=True)}"
    parts: list[Any] = []
    if row.get("relative_difference_ratio") is not None:
        parts.append(f"{row['relative_difference_ratio']:+.2%}")
    if not one.arms.is_timed:
        parts.append(row["verdict"] if is_shown(row) else "on these traces")
    return f"{text} ({', '.join(parts)})" if parts else text


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _some(items: list[str], most: int, what: str = "") -> str:
    more = len(items) - most
    # To leave out one would not be shorter.
    shown = items if more <= 1 else items[:most]
    return ", ".join(shown) + (f" and {more} more{f' {what}' if what else ''}" if more > 1 else "")
