"""A validation from what was asked to what is written."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.aside import written_aside
from experiments.calibration.facts import busy
from experiments.config import Arm, Experiment
from experiments.plan import Key
from experiments.prepared import prepare, split
from experiments.report import time_text
from experiments.tables import write_rows
from experiments.validation.asked import Asked
from experiments.validation.compared import Figures, compared, differ_ratio, figures_of, order_of, pairs
from experiments.validation.fitted import overrides
from experiments.validation.machine import Machine, machine_of
from experiments.validation.probing import Costs, probed
from experiments.validation.scaled import Scaled, checked, scaled
from experiments.validation.sides import asking, cache_of, keys_of, run_live, run_simulated, scratch_folder
from experiments.validation.told import Validated, as_json, rows_of
from live import FileStore
from live.clients import sleep_to_the_microsecond
from live.contents import fill
from live.driving import switching_often
from simulator.errors import InputError
from simulator.trace import READ, WRITE

if TYPE_CHECKING:
    from rich.console import Console

_PROBES, _MOST_PROBED_BYTES = 1000, 512 << 20
_POOL = 4
"""The probe's keys are so many times what tier 0 has room for."""
LIVE, CACHE, MACHINE = "live", "cache", "machine"


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

    if (asked.out / LIVE).exists() and not is_forced:
        raise InputError(f"--out {asked.out}: has a validation already; expected another folder, or --force")
    warning = busy(_load(), _n_cpus())
    if warning is not None:
        told(f"warning: {warning}; what is measured is that of a busy machine")
    # What it is made of decides which sizes are measured, and a first look needs no machine.
    machine = machine_of(preset, asked.store, [4096, 65536, 1 << 20], told, quick=True)
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
    stores, began = asked.store or machine.folder or Path(), time.monotonic()
    n_bytes = sum(len(keys_of(experiment, seed)) for seed in experiment.seeds) * found.block
    believed, costs = list[Experiment](), list[Mapping[str, Costs]]()
    with scratch_folder(stores, n_bytes + _MOST_PROBED_BYTES) as blocks:
        for repeat in range(asked.repeats):
            # Right before its runs: a machine of this minute is not that of the next.
            costs.append({
                arm.name: _probe(experiment, arm, found.block, blocks, told) for arm in experiment.arms
            })  # fmt: skip
            believed.append(_with_costs(path, experiment, costs[-1], found.block))
            if repeat == 0:
                told(_estimate(experiment, costs[0], asked.repeats))
            run_live(believed[-1], folder / LIVE / f"r{repeat}", blocks, found.block, console, told, quiet=is_quiet)
    told("the same in the simulator, with the machine's preset, and with what the cache itself takes")
    for repeat, one in enumerate(believed):
        live_runs = folder / LIVE / f"r{repeat}"
        for side, simulated in ((CACHE, one), (MACHINE, experiment)):
            run_simulated(path, simulated, live_runs, folder / side / f"r{repeat}", console)
    live, *others = (all_figures(folder / side, asked.repeats) for side in (LIVE, CACHE, MACHINE))
    sides = dict(zip((CACHE, MACHINE), others, strict=True))
    arms = [arm.name for arm in experiment.arms]
    outcome = Validated(
        {name: compared(live, side) for name, side in sides.items()},
        {name: pairs(live, side) for name, side in sides.items()}, order_of(live),
        {name: order_of(side) for name, side in sides.items()},
        {arm: differ_ratio(live, arm, "mean_latency_ns") for arm in arms},
    )  # fmt: skip
    about = _about(path, found, costs, warning, time.monotonic() - began)
    text = as_json(outcome, about)
    write_rows(folder / "validation.parquet", rows_of(outcome), {"about": about})
    for name, content in (("validation.json", text), ("machine.yaml", machine.text)):
        with written_aside(folder / name) as aside:
            aside.write_text(content)
    return Outcome(outcome, text, folder, arms, experiment.baseline)


def _with_costs(path: Path, experiment: Experiment, costs: Mapping[str, Costs], block: int) -> Experiment:
    """Each arm with what the cache takes under it; also for policies that weigh costs, on both sides."""
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


def _probe(experiment: Experiment, arm: Arm, block: int, folder: Path, told: Callable[[str], None]) -> Costs:
    """What the cache itself takes, on a store of its own, while the arm's policy is asked and nothing is sent for."""
    system, arrivals, seed = experiment.system_of(arm), experiment.workload.arrivals, experiment.seeds[0]
    assert arrivals.kind == "closed"
    capacity = max(system.tiers[0].capacity // block, 1)
    keys = range(max(min(_POOL * capacity, _MOST_PROBED_BYTES // block), 64))
    path = folder / "probe"
    store = FileStore(path, block)
    fill(store, keys)
    store.close()
    policy = prepare(experiment, arm, seed).built.policy
    sleep_to_the_microsecond()
    with switching_often():
        found = probed(
            lambda recorder: cache_of(system, FileStore(path, block), recorder),
            lambda cache: asking(policy, cache, system.inference), keys, capacity,
            max(link.channels for link in system.links), _PROBES, seed, partial(time.sleep, arrivals.think / 1e9),
            _reads_of_request(experiment), is_written=_writes(experiment),
        )  # fmt: skip
    told(
        f"arm {arm.name}: a hit takes {time_text(float(found.hits.mean()))} in the cache, a miss "
        f"{time_text(float(found.misses.mean()))}, of which {time_text(found.rest_ns)} is neither call nor service"
    )
    return found


def _writes(experiment: Experiment) -> bool:
    return any((batch.op == WRITE).any() for batch in experiment.workload.source.build(experiment.seeds[0]).batches())


def _reads_of_request(experiment: Experiment) -> int:
    """How many blocks a request reads, in the mean."""
    batches = list(experiment.workload.source.build(experiment.seeds[0]).batches())
    n_reads = sum(int((batch.op == READ).sum()) for batch in batches)
    # Of all streams together a request may come in pieces: its own numbers tell.
    requests = {
        pair for batch in batches for pair in zip(batch.stream.tolist(), batch.request.tolist(), strict=True)
    }  # fmt: skip
    return max(round(n_reads / max(len(requests), 1)), 1)


def _estimate(experiment: Experiment, costs: Mapping[str, Costs], n_repeats: int) -> str:
    arrivals, workload = experiment.workload.arrivals, experiment.workload.source.build(experiment.seeds[0])
    assert arrivals.kind == "closed"
    n_judged = workload.length() - split(experiment, workload).first
    per_request_ns = sum(arrivals.think + float(one.misses.mean() + one.hits.mean()) / 2 for one in costs.values())
    n_each = len(experiment.seeds) * n_repeats
    ns = n_each * n_judged / workload.n_streams / _reads_of_request(experiment) * per_request_ns
    return f"{n_each * len(costs)} live runs of {n_judged:,} accesses, about {time_text(ns)} of real time"


def _about(path: Path, found: Scaled, costs: Mapping[str, Costs], warning: str | None, took_s: float) -> dict[str, Any]:
    from experiments.single import versions

    return {
        "config": str(path),
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


def _load() -> tuple[float, float, float]:
    import os

    return os.getloadavg()


def _n_cpus() -> int:
    import os

    return os.cpu_count() or 1
