"""A validation from what was asked to what is written."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.aside import written_aside
from experiments.calibration.facts import busy, memory_bytes
from experiments.config import Experiment
from experiments.plan import Key
from experiments.prepared import split
from experiments.report import time_text
from experiments.tables import write_rows
from experiments.validation.asked import Asked
from experiments.validation.caches import SPARE
from experiments.validation.compared import Figures, compared, differ_ratio, figures_of, order_of, pairs
from experiments.validation.fitted import overrides
from experiments.validation.folder import CACHE, LIVE, MACHINE, TABLE, TEXT, begun, check_place
from experiments.validation.machine import Machine, machine_of
from experiments.validation.prober import MOST_BYTES, Prober, reads_of_request
from experiments.validation.scaled import Scaled, checked, kept_arms, scaled
from experiments.validation.sides import keys_of, run_live, run_simulated, scratch_folder
from experiments.validation.taken import Costs
from experiments.validation.told import Validated, as_json, rows_of
from live.file_systems import ALIGNMENT
from simulator.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console


class Outcome(NamedTuple):
    """``text`` is all of it as JSON."""

    found: Validated
    text: str
    folder: Path
    arms: list[str]
    baseline: str


def default_out(experiment: Experiment) -> Path:
    """Where both sides go by themselves."""
    return Path("results") / f"{experiment.name}-validated-{experiment.folder_hash()}"


def validated(
    path: Path, experiment: Experiment, preset: Path | None, asked: Asked, *, is_quiet: bool, is_forced: bool
) -> Outcome:
    """Measure, run both sides, and compare them; the results, and what was found, are in the folder asked for.

    Raises:
        InputError: something does not fit, or there are results already.
        RunsFailedError: code from outside has failed in a run.
    """
    from experiments.progress import make_console

    console = make_console()

    def told(text: str) -> None:
        if not is_quiet:
            console.print(text, highlight=False, markup=False, soft_wrap=True)

    check_place(asked.out, is_forced=is_forced)
    warning = busy(os.getloadavg(), os.cpu_count())
    if warning is not None:
        told(f"warning: {warning}; what is measured is that of a busy machine")
    if preset is None:
        # Measuring takes a while: dram over a file.
        kept_arms(path, experiment, 1, asked.arms)
    machine = machine_of(preset, asked.store, told)
    found = scaled(path, experiment, machine.system, asked)
    for text in (machine.said, *found.changes):
        told(text)
    for name, why in found.left_out.items():
        told(f"without arm {name}: {why}")
    return _compare(path, found, machine, asked, console, told, warning, is_quiet=is_quiet)


def _compare(
    path: Path, found: Scaled, machine: Machine, asked: Asked, console: "Console", told: Callable[[str], None],
    warning: str | None, *, is_quiet: bool,
) -> Outcome:  # fmt: skip
    experiment, folder = found.experiment, asked.out
    stores = asked.store or machine.folder or Path()
    _check_memory(experiment, found.block)
    # A record has a page before its block.
    n_bytes = sum(len(keys_of(experiment, seed)) for seed in experiment.seeds) * (found.block + ALIGNMENT)
    n_bytes += MOST_BYTES
    with scratch_folder(stores, n_bytes) as blocks, begun(folder, asked.repeats, machine.text):
        return _both_sides(path, found, machine, asked, blocks, console, told, warning, is_quiet=is_quiet)


def _both_sides(
    path: Path, found: Scaled, machine: Machine, asked: Asked, blocks: Path, console: "Console",
    told: Callable[[str], None], warning: str | None, *, is_quiet: bool,
) -> Outcome:  # fmt: skip
    experiment, folder = found.experiment, asked.out
    costs, began = list[dict[str, Costs]](), time.monotonic()
    prober = Prober(experiment, found.block, blocks, console)
    probing = time.monotonic()
    first = {arm.name: prober.probe(arm) for arm in experiment.arms}
    probing = time.monotonic() - probing
    for name, one in first.items():
        told(
            f"arm {name}: a hit takes {time_text(float(one.hits.mean()))} in the cache, a miss "
            f"{time_text(float(one.misses.mean()))}, of which {time_text(one.rest_ns)} is neither call nor service"
        )
    told(_estimate(experiment, first, asked.repeats, probing))
    # What policies that weigh costs are told.
    believed = _with_costs(path, experiment, first, found.block)
    for repeat in range(asked.repeats):
        at = folder / LIVE / f"r{repeat}"
        costs.append(run_live(believed, at, blocks, found.block, prober, console, told, quiet=is_quiet))
    told("the same in the simulator, with the machine's preset, and with what the cache itself takes")
    for repeat, around in enumerate(costs):
        live_runs = folder / LIVE / f"r{repeat}"
        simulated = {CACHE: _with_costs(path, experiment, around, found.block), MACHINE: experiment}
        for side, one_side in simulated.items():
            run_simulated(path, one_side, live_runs, folder / side / f"r{repeat}", console)
    live, *others = (all_figures(folder / side, asked.repeats) for side in (LIVE, CACHE, MACHINE))
    sides = dict(zip((CACHE, MACHINE), others, strict=True))
    arms = [arm.name for arm in experiment.arms]
    outcome = Validated(
        {name: compared(live, side) for name, side in sides.items()},
        {name: pairs(live, side) for name, side in sides.items()}, order_of(live),
        {name: order_of(side) for name, side in sides.items()},
        {arm: differ_ratio(live, arm, "mean_latency_ns") for arm in arms},
    )  # fmt: skip
    about = _about(path, found, machine, costs, warning, time.monotonic() - began)
    text = as_json(outcome, about)
    write_rows(folder / TABLE, rows_of(outcome), {"about": about})
    with written_aside(folder / TEXT) as aside:
        aside.write_text(text)
    return Outcome(outcome, text, folder, arms, experiment.baseline)


def _check_memory(experiment: Experiment, block: int) -> None:
    """Raises InputError if the tiers take more memory than is good for the machine."""
    there = memory_bytes()
    wanted = max(
        sum(tier.capacity + SPARE * block for tier in experiment.system_of(arm).tiers) for arm in experiment.arms
    )
    if there is not None and wanted > there // 2:
        raise InputError(
            f"--block: with blocks of {block} B the tiers take {wanted} B, more than half of the {there} B of memory "
            "here; expected smaller blocks, or smaller tiers (--set system.tiers.0.capacity=...)"
        )


def _with_costs(path: Path, experiment: Experiment, costs: Mapping[str, Costs], block: int) -> Experiment:
    """Each arm with what the cache takes under it."""
    raw = json.loads(json.dumps(experiment.model_dump(mode="json")))
    for arm in raw["arms"]:
        arm["set"] |= overrides(raw["system"], costs[arm["name"]], block)
    return checked(path, raw)


def all_figures(folder: Path, n_repeats: int) -> dict[Key, Figures]:
    """Those of all repeats, each a folder of results, by the repeat's number."""
    return {
        (arm, seed, repeat): figures
        for repeat in range(n_repeats)
        for (arm, seed, _), figures in figures_of(folder / f"r{repeat}").items()
    }


def _estimate(experiment: Experiment, costs: Mapping[str, Costs], n_repeats: int, probing_s: float) -> str:
    """What is ahead, with as much for the probes before and after each run as the first ones took."""
    arrivals, workload = experiment.workload.arrivals, experiment.workload.source.build(experiment.seeds[0])
    assert arrivals.kind == "closed"
    n_run = workload.length() - split(experiment, workload).first
    per_request_ns = sum(arrivals.think + float(one.misses.mean() + one.hits.mean()) / 2 for one in costs.values())
    n_each = len(experiment.seeds) * n_repeats
    of_runs_ns = n_run / workload.n_streams / reads_of_request(experiment) * per_request_ns
    n_runs, ns = n_each * len(costs), n_each * (of_runs_ns + 2e9 * probing_s)
    runs = "run" if n_runs == 1 else "runs"
    return f"{n_runs} live {runs} of {n_run:,} accesses, with probes around each: about {time_text(ns)} of real time"


def _about(
    path: Path, found: Scaled, machine: Machine, costs: Sequence[Mapping[str, Costs]], warning: str | None,
    took_s: float,
) -> dict[str, Any]:  # fmt: skip
    from experiments.single import versions

    workload = found.experiment.workload
    assert workload.arrivals.kind == "closed"
    return {
        "config": str(path),
        "machine": machine.said.removeprefix("machine: "),
        "seeds": list(found.experiment.seeds),
        "repeats": len(costs),
        "accesses": workload.source.build(found.experiment.seeds[0]).length(),
        "block_bytes": found.block,
        "think_ns": workload.arrivals.think,
        "at": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "took_s": round(took_s, 1),
        "warning": warning,
        "changes": found.changes,
        "left_out": found.left_out,
        "costs_ns": [
            {
                arm: {
                    "hit": round(float(one.hits.mean())),
                    "miss": round(float(one.misses.mean())),
                    "rest": one.rest_ns,
                }
                for arm, one in of_repeat.items()
            }
            for of_repeat in costs
        ],
        "versions": dict(versions()),
    }
