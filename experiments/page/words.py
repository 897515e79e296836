"""The page's sentences: the verdict first, then what was run."""

from typing import Any

from experiments.charts.chart import Numbers, listed
from experiments.compare import are_one_sample
from experiments.compare.verdict import BETTER, WORSE
from experiments.means import mean
from experiments.page.found import Found
from experiments.ranking import difference_of, means_of, ranking
from experiments.report import number_text, ranked_text, time_text

Row = dict[str, Any]
_MOST_COMPARED = 2_000_000
"""Accesses of a run whose requests are compared here: all of a run's are held for that."""
_TONES = {BETTER: "better", WORSE: "worse"}
_SHORT = {"accesses", "phases", "parts", "source", "kind", "rounds", "path", "block", "first_key", "write_ratio"}


def headline(found: Found) -> str:
    """Which arm is best, as the closing table has it."""
    means = means_of(found.rows)
    first = next(iter(means))
    if missing := found.kept.missing():
        n, planned = len(missing), len(found.kept.planned)
        return f"Not run to its end: {n} of {planned} runs are missing, so nothing is compared."
    if len(means) == 1:
        return f"One arm, {first}: its mean latency is {time_text(means[first])}; there is nothing to compare it with."
    n_most = max(row["n_accesses"] for row in found.rows)
    if first != found.baseline and are_one_sample(found.rows) and n_most > _MOST_COMPARED:
        of = difference_of(found.compared, first, "mean_latency_ns")
        verdict = of["verdict"] if of else "not compared"
        return (
            f"Lowest mean latency: {first} ({time_text(means[first])}); against {found.baseline}: {verdict}. With the "
            "other arms it is not compared here, as that takes all requests of a run: tierfetch show does."
        )
    return ranked_text(ranking(found.rows, found.compared, found.baseline, found.folder))


def verdicts(found: Found) -> list[tuple[str, str]]:
    """A sentence for each arm but the baseline, and how it looks: never by colour alone."""
    said = []
    for arm in found.arms:
        of_mean = difference_of(found.compared, arm, "mean_latency_ns")
        if of_mean is None:
            continue
        text = f"{arm}: {_judged(of_mean, found.baseline, 'mean latency')}"
        of_tail = difference_of(found.compared, arm, "p99_latency_ns")
        if of_tail is not None:
            text += f"; {_judged(of_tail, found.baseline, 'p99 latency')}"
        said.append((_TONES.get(of_mean["verdict"], "open"), text + "."))
    return said


def _judged(of: Row, baseline: str, what: str) -> str:
    if not of["difference"]:
        return f"{what} as {baseline}'s"
    size = time_text(abs(of["difference"]))
    relative = of["relative_difference_ratio"]
    share = "" if relative is None else f" ({relative:+.1%})"
    text = f"{what} {size} {'lower' if of['difference'] < 0 else 'higher'} than {baseline}'s{share}"
    if of["low"] is not None:
        low, high = (f"{'-' if end < 0 else '+'}{time_text(abs(end))}" for end in (of["low"], of["high"]))
        text += f", 95 % interval {low} to {high}"
    return f"{text}: {of['verdict']}"


def workload(config: Row, rows: list[Row]) -> str:
    """The workload in a sentence or two."""
    said = config["workload"]
    n = max(row["n_accesses"] for row in rows)
    least = min(row["n_accesses"] for row in rows)
    judged = f"{n:,}" if n == least else f"{least:,} to {n:,}"
    text = f"{_source(said['source'])}; {_arrivals(said['arrivals'])}."
    trained = max(row["n_train_accesses"] for row in rows)
    if trained:
        text += f" Policies may learn from the first {trained:,} accesses."
    warm = max(row["n_warm_up_accesses"] for row in rows)
    text += f" Arms are judged on {judged} accesses a run" + (f", after {warm:,} of warm-up" if warm else "")
    seeds = sorted({row["seed"] for row in rows})
    repeats = max(row["repeat"] for row in rows) + 1
    text += f", with {len(seeds)} seed{'s' * (len(seeds) > 1)} ({', '.join(map(str, seeds))})"
    text += f" and {repeats} repeats of what is measured" if repeats > 1 else ""
    return text + (", from warm tiers." if config["start"] == "warm" else ", from empty tiers.")


def _source(source: Row) -> str:
    kind = source["kind"]
    if kind in ("phases", "interleave"):
        parts = source["phases" if kind == "phases" else "parts"]
        text = "Phases of " if kind == "phases" else "Streams side by side of "
        text += listed([_source(part) for part in parts])
        rounds = source.get("rounds", 1)
        return text + (f", spread over {rounds} rounds" if rounds > 1 else "")
    if kind == "slice":
        return f"Of {_source(source['source'])} {source['accesses']:,} accesses from {source.get('first', 0):,} on"
    details = [f"{source['accesses']:,} accesses"] if isinstance(source.get("accesses"), int) else []
    details += [str(source["path"]).rpartition("/")[2]] if source.get("path") else []
    details += [
        f"{name} {value}" for name, value in source.items()
        if name not in _SHORT and isinstance(value, int | float) and not isinstance(value, bool)
    ]  # fmt: skip
    return f"{kind} ({', '.join(details)})" if details else str(kind)


def _arrivals(arrivals: Row) -> str:
    from simulator.units import parse_ns

    if arrivals["kind"] == "closed":
        think = parse_ns(arrivals.get("think", "0 ns"))
        return (
            "each stream asks again " + (f"{time_text(think)} after" if think else "at once after") + " its last answer"
        )
    return {"open": "requests come at the trace's own times", "poisson": "requests come at random (Poisson)"}.get(
        arrivals["kind"], f"arrivals: {arrivals['kind']}"
    )


def arm_lines(found: Found) -> tuple[Numbers, Numbers]:
    """The tables of arms, means over runs: of the mean latency, and of all else, each beside the baseline."""
    of_means, of_rest = [], []
    for arm in found.arms:
        rows = found.of_arm(arm)
        name = arm + (" (baseline)" if arm == found.baseline else "")

        def text(metric: str, kind: str, rows: list[Row] = rows) -> str:
            return number_text(mean(rows, metric), kind)

        of_means.append([name, text("mean_latency_ns", "time"), *_cells(found, arm, "mean_latency_ns")])
        tail = _cells(found, arm, "p99_latency_ns")
        of_rest.append([
            name, text("p50_latency_ns", "time"), text("p99_latency_ns", "time"), tail[0], tail[3],
            text("p999_latency_ns", "time"), text("hit_ratio", "ratio"), text("n_issued", "count"),
            text("accuracy_ratio", "ratio"), text("coverage_ratio", "ratio"),
        ])  # fmt: skip
    first = Numbers(["arm", "mean latency", "vs baseline", "95 % interval", "effect size", "verdict"], of_means)
    rest = ["arm", "p50", "p99", "p99 vs baseline", "verdict", "p99.9", "hit ratio", "issued", "accuracy", "coverage"]
    return first, Numbers(rest, of_rest)


def _cells(found: Found, arm: str, metric: str) -> list[str]:
    of = difference_of(found.compared, arm, metric)
    if of is None:
        return ["", "", "", ""]
    relative, low, high = of["relative_difference_ratio"], of["low"], of["high"]
    interval = "none"
    if low is not None:
        interval = " to ".join(f"{'-' if end < 0 else '+'}{time_text(abs(end))}" for end in (low, high))
    effect = "-" if of["effect_size"] is None else f"{of['effect_size']:.3g}"
    text = f"{relative:+.1%}" if relative else "0.0%"
    return ["-" if relative is None else text, interval, effect, of["verdict"]]
