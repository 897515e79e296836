"""Which charts there are: by its kind, what makes each of them from what was found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.charts import arms, bounds, lines, links, models, stacked
from experiments.charts.chart import Chart
from experiments.page.found import Found
from experiments.page.surroundings import capacities_of, phases_in
from experiments.page.transfers import moves_of
from experiments.results import table_of

Made = Chart | None


def _distribution(values: str, kind: str, title: str, axis: str, says: str) -> Callable[[Found], Made]:
    def make(found: Found) -> Made:
        histograms = _HISTOGRAMS[values](found)
        some = {arm: histogram for arm, histogram in histograms.items() if histogram.n}
        return lines.distribution(some, found.look, kind, title, axis, says)

    return make


def _windows(metric: str) -> Callable[[Found], Made]:
    def make(found: Found) -> Made:
        return lines.windows(found.windows, phases_in(found), found.look, metric)

    return make


_HISTOGRAMS: dict[str, Callable[[Found], dict[str, Any]]] = {
    "latencies": lambda found: found.latencies,
    "slack": lambda found: {arm: timing.slack for arm, timing in found.timing.items()},
    "saved": lambda found: {arm: timing.saved for arm, timing in found.timing.items()},
    "charged": lambda found: {arm: of.charged for arm, of in found.answers.items() if of.charged.quantile(1.0)},
    "age": lambda found: {arm: of.age for arm, of in found.answers.items() if of.age.quantile(1.0)},
}
KINDS: dict[str, Callable[[Found], Made]] = {
    "means": lambda f: arms.means(f.rows, f.compared, f.look),
    "tails": lambda f: arms.tails(f.rows, f.arms),
    "effects": lambda f: arms.effects(f.compared, f.look),
    "attribution": lambda f: stacked.attribution(f.table("attribution"), f.arms),
    "first_token": lambda f: stacked.first_token(f.rows, f.arms),
    "ecdf": _distribution(
        "latencies", "ecdf", "Distribution of the latency", "latency of an access",
        "The share of accesses that take no longer than a time, of all runs of an arm together."),
    "tail": lambda f: lines.tail(f.latencies, f.look),
    "windows": _windows("mean_latency_ns"),
    "hits": _windows("hit_ratio"),
    "phases": lambda f: lines.by_phase(f.table("by_phase"), f.look),
    "outcomes": lambda f: stacked.outcomes(f.rows, f.arms),
    "fates": lambda f: stacked.fates(f.rows, f.arms),
    "proposals": lambda f: stacked.proposals(f.rows, f.arms),
    "timeliness": _distribution(
        "slack", "timeliness", "How early timely prefetches came", "from the fill to the first use",
        "How long blocks that were prefetched in time lay in tier 0 before their first use."),
    "lateness": _distribution(
        "saved", "lateness", "What late prefetches saved", "earlier than a fetch that began with the access",
        "How much earlier late prefetches brought their blocks than a fetch that began with the access and queued "
        "nowhere; below zero where the prefetch queued for longer than it was ahead."),
    "inference": _distribution(
        "charged", "inference", "What inferences were charged", "charged for an inference",
        "What the simulated clock was charged for an inference."),
    "age": _distribution(
        "age", "age", "How old answers were", "from the question to its answer",
        "The time from a question to its answer, waiting for the server included."),
    "questions": lambda f: stacked.questions(f.rows, f.arms),
    "links": lambda f: links.use(f.rows, f.arms, capacities_of(f)),
    "training": lambda f: models.training(f.training, f.look),
    "calibration": lambda f: models.calibration(f.answers, f.look),
    "controls": lambda f: models.controls(f.rows, f.arms),
    "bounds": lambda f: bounds.bounds(f.table("bounds")),
}  # fmt: skip
"""One chart each; ``traffic`` makes one for each link."""


def traffic(found: Found) -> list[Chart]:
    """A chart for each link, as they lie apart by orders of magnitude."""
    made = [stacked.traffic(found.rows, found.arms, link, found.baseline) for link in found.links]
    return [chart for chart in made if chart is not None]


def moves(found: Found) -> list[Chart]:
    """When links were busy, a chart each, and how long blocks waited for them; none without the table ``transfers``."""
    made = moves_of(found)
    if made is None:
        return []
    of_links = {link: {arm: share for (arm, name), share in made.busy.items() if name == link} for link in found.links}
    charts = [links.busy(shares, made.edges_ns, found.look, link) for link, shares in of_links.items() if shares]
    waits = links.waits(made.waits, found.arms)
    return [*charts, *([waits] if waits else [])]


def ladder(folder: Path) -> Chart:
    """The chart of a folder of ``tierfetch break-even``, which holds no single experiment."""
    rows, crossings = (table_of(folder, name).to_pylist() for name in ("break_even", "crossings"))
    return bounds.break_even(rows, crossings)
