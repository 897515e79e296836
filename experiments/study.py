"""A ladder of latencies and what it shows: the curve, where it crosses others, and that in other surroundings."""

import math
from pathlib import Path
from typing import Any

from experiments.backends import best_classical, of_backends
from experiments.compare import compare
from experiments.compare.table import REQUEST_LATENCY
from experiments.config import Arm, Experiment
from experiments.crossings import bracket, break_even, closed_form
from experiments.ladder import MODES, Rung, climbing, learned_arm, measuring, rung_of, rungs
from experiments.means import mean_of
from experiments.pacing import COLUMNS
from experiments.runner import run_all
from experiments.surroundings import FACTORS, MAPS, with_gap
from simulator.errors import InputError

_FINER = 8
Row = dict[str, Any]
Bounds = tuple[float, float | None, float | None]
"""A difference, and its interval if it has one."""


class Study:
    """What a ladder has shown: rows of ``break_even``, ``crossings``, ``backends``, and means of the references."""

    def __init__(self, arm: str) -> None:
        self.arm = arm
        self.rows: list[Row] = []
        self.references: dict[str, Row] = {}
        self.crossings: list[Row] = []
        self.backends: list[Row] = []


def study(
    experiment: Experiment, name: str | None, per_decade: int, folder: Path, console: Any, *, quiet: bool, jobs: int = 1
) -> Study:
    """Measure each backend, climb the ladder, and compare. Raises InputError if no arm learns, or as a run does."""
    arm = learned_arm(experiment, name)
    backends = arm.policy.backends()
    if not backends:
        raise InputError(f"arm {arm.name}: is wrapped, or has no backends; expected an LSTM or a model by itself")
    measured = run_all(
        measuring(experiment, arm, backends), folder / "measured", console, quiet=quiet, jobs=jobs,
        title=f"break-even of {arm.name}: each backend measured",
    )  # fmt: skip
    p50 = {row["arm"]: row["p50_inference_host_ns"] for row in measured if row["arm"] in backends}
    fastest = min(p50, key=lambda backend: p50[backend])
    recordings = {b: folder / "measured" / "inferences" / f"{b}-{experiment.seeds[0]}.parquet" for b in p50}
    whole = dict.fromkeys(MODES, rungs(per_decade))
    found = _climb(
        experiment, arm, whole, round(p50[fastest]), folder, console, quiet=quiet, jobs=jobs, recordings=recordings
    )
    times = {row["arm"]: row for row in measured}
    for row in found.backends:
        row |= {name: times[row["backend"]][f"{name[:3]}_inference_host_ns"] for name in ("p50_ns", "p99_ns")}
        row |= {name: times[row["backend"]][name] for name in COLUMNS}
    return found


def _climb(
    experiment: Experiment,
    arm: Arm,
    latencies: dict[str, list[int]],
    assumed_ns: int,
    folder: Path,
    console: Any,
    *,
    quiet: bool,
    jobs: int,
    recordings: dict[str, Path] | None = None,
) -> Study:
    """All rungs; then some more between those where the policy stops paying: there the curve may be steep."""
    ladder = climbing(experiment, arm, latencies, assumed_ns, recordings)
    ladder = ladder.model_copy(update={"output": _few_tables(ladder)})
    rows = run_all(
        ladder, folder / "ladder", console, quiet=quiet, jobs=jobs,
        title=f"break-even of {arm.name}: the ladder of latencies",
    )  # fmt: skip
    found = _evaluate(arm.name, experiment, rows, assumed_ns, [folder / "ladder"])
    between = {mode: _between([row["bracket"] for row in found.crossings if row["mode"] == mode]) for mode in latencies}
    if any(between.values()):
        finer = climbing(experiment, arm, between, assumed_ns).model_copy(update={"output": ladder.output})
        more = run_all(
            finer, folder / "finer", console, quiet=quiet, jobs=jobs,
            title=f"break-even of {arm.name}: more latencies where it stops paying",
        )  # fmt: skip
        rows += [row for row in more if rung_of(row["arm"]) is not None]
        found = _evaluate(arm.name, experiment, rows, assumed_ns, [folder / "ladder", folder / "finer"])
    for row in found.crossings:
        del row["bracket"]
    found.backends = of_backends(experiment.baseline, rows, found.references, folder / "ladder")
    return found


def _between(brackets: list[tuple[float, float] | None]) -> list[int]:
    """Rungs within these, ends left out."""
    found = set()
    for low, high in filter(None, brackets):
        found |= {round(low + (high - low) * i / _FINER) for i in range(1, _FINER)} - {round(low), round(high)}
    return sorted(found)


def _few_tables(experiment: Experiment) -> Any:
    """From one seed, an interval needs the accesses."""
    wanted = {"accesses": len(experiment.seeds) == 1, "prefetches": False, "inferences": False, "transfers": False}
    return experiment.output.model_copy(update=wanted)


def _waits_for_its_own_answer_alone(experiment: Experiment) -> bool:
    """Where the closed form holds: a closed loop of one stream."""
    is_closed = experiment.workload.arrivals.kind == "closed"
    return is_closed and experiment.workload.source.build(experiment.seeds[0]).n_streams == 1


def _evaluate(name: str, experiment: Experiment, rows: list[Row], p50_ns: float, folders: list[Path]) -> Study:
    found, baseline = Study(name), experiment.baseline
    is_exact = _waits_for_its_own_answer_alone(experiment)
    means = {arm: mean_of(rows, arm, "mean_latency_ns") for arm in dict.fromkeys(row["arm"] for row in rows)}
    of_ladder = {arm: rung for arm in means if (rung := rung_of(arm)) is not None}
    plain = [arm for arm in means if arm not in of_ladder]
    found.references = {
        arm: {"mean_latency_ns": means[arm], "p99_latency_ns": mean_of(rows, arm, "p99_latency_ns")} for arm in plain
    }
    classical = best_classical(baseline, found.references)
    differences = {against: _differences(rows, against, list(of_ladder), folders) for against in (baseline, *classical)}
    for arm, (backend, mode, value) in of_ladder.items():
        charged = mean_of(rows, arm, "p50_inference_charged_ns")
        low, high = differences[baseline][arm][1:]
        found.rows.append(
            {
                "arm": name if backend == "fixed" else f"{name} ({backend})",
                "mode": mode,
                "latency_scale": value / max(p50_ns, 1) if backend == "fixed" else value,
                "inference_p50_ns": charged,
                "mean_latency_ns": means[arm],
                "ci_low_ns": means[baseline] + low if low is not None else None,
                "ci_high_ns": means[baseline] + high if high is not None else None,
                "baseline_mean_latency_ns": means[baseline],
                "p99_latency_ns": mean_of(rows, arm, "p99_latency_ns"),
            }
        )
    for mode in dict.fromkeys(mode for _, mode, _ in of_ladder.values()):
        for against in differences:
            found.crossings.append(_crossing(mode, against, of_ladder, differences[against], rows, means, is_exact))
    return found


def _crossing(
    mode: str,
    against: str,
    of_ladder: dict[str, Rung],
    differences: dict[str, Bounds],
    rows: list[Row],
    means: dict[str, float],
    is_exact: bool,
) -> Row:
    ladder = sorted((value, arm) for arm, (backend, m, value) in of_ladder.items() if backend == "fixed" and m == mode)
    triples = [differences[arm] for _, arm in ladder]
    latencies = [value for value, _ in ladder]
    middle = [d for d, _, _ in triples]
    lows = [d if low is None else low for d, low, _ in triples]
    highs = [d if high is None else high for d, _, high in triples]
    at = break_even(latencies, middle, lows, highs)
    free = ladder[0][1]
    per_access = mean_of(rows, free, "n_asked") / mean_of(rows, free, "n_accesses")
    exact = closed_form(means[free], means[against], per_access) if mode == "sync" and is_exact else None
    return {
        "mode": mode,
        "against": against,
        "break_even_ns": _finite(at.latency_ns),
        "low_ns": _finite(at.low_ns),
        "high_ns": _finite(at.high_ns),
        "closed_form_ns": exact,
        "has_interval": all(low is not None for _, low, _ in triples),
        "bracket": bracket(latencies, middle),
    }


def _differences(rows: list[Row], against: str, arms: list[str], folders: list[Path]) -> dict[str, Bounds]:
    """Of the mean latency, with its interval: over seeds, or from one seed over requests.

    Several seeds that are one sample have none: their ladder keeps no accesses.
    """
    wanted = [row for row in rows if row["arm"] in {against, *arms}]
    brief = [{key: row[key] for key in ("arm", "seed", "mean_latency_ns")} for row in wanted]
    of_runs = [row for row in compare(brief, against) if row["metric"] == "mean_latency_ns"]
    found: dict[str, Bounds] = {row["arm"]: (row["difference"], row["low"], row["high"]) for row in of_runs}
    if len({row["seed"] for row in rows}) > 1:
        return found
    for folder in folders:
        for row in compare(brief, against, folder):
            if row["metric"] == REQUEST_LATENCY:
                mean = found[row["arm"]][0]
                # The interval of requests after the warm-up, around the difference of all accesses.
                found[row["arm"]] = (mean, *(mean + row[end] - row["difference"] for end in ("low", "high")))
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def explore(
    experiment: Experiment, name: str | None, folder: Path, console: Any, *, quiet: bool, jobs: int = 1
) -> list[Row]:
    """The break-even latency, asynchronous, by time between requests and by tier or block: first seed, few rungs."""
    arm: Arm = learned_arm(experiment, name)
    cells: list[Row] = []
    for axis, change in MAPS.items():
        for gap in FACTORS:
            for factor in FACTORS:
                try:
                    there = change(with_gap(experiment, gap), factor)
                except InputError as error:
                    if not quiet:
                        console.print(f"map over {axis}: left out: {error}", highlight=False, markup=False)
                    break
                first = there.model_copy(update={"seeds": there.seeds[:1]})
                place = folder / "map" / f"{axis}-{gap:g}-{factor:g}"
                found = _climb(first, arm, {"async": rungs(1)}, 0, place, console, quiet=quiet, jobs=jobs)
                cells += [
                    {"axis": axis, "gap_scale": gap, "axis_scale": factor, **crossing} for crossing in found.crossings
                ]
    return cells
