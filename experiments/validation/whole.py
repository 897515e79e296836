"""A validation from what was asked to what is written."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.aside import written_aside
from experiments.calibration.facts import busy
from experiments.config import Experiment
from experiments.report import time_text
from experiments.tables import write_rows
from experiments.validation.asked import Asked
from experiments.validation.compared import compared, differ_ratio, figures_of, order_of, pairs
from experiments.validation.fitted import with_costs
from experiments.validation.machine import Machine, machine_of
from experiments.validation.probing import Costs, probed
from experiments.validation.scaled import Scaled, scaled
from experiments.validation.sides import cache_of, keys_of, run_live, run_simulated, scratch_folder
from experiments.validation.told import Validated, as_json, rows_of
from live import FileStore
from live.contents import fill
from simulator.config import System
from simulator.errors import InputError
from simulator.trace import READ

if TYPE_CHECKING:
    from rich.console import Console

_PROBES, _MOST_PROBED_BYTES = 600, 512 << 20
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
        told(f"without arm {name}: it {why}" if why[0].islower() else f"without arm {name}: {why}")
    return _compare(path, found, machine, asked, console, told, warning, is_quiet=is_quiet)


def _compare(
    path: Path, found: Scaled, machine: Machine, asked: Asked, console: "Console", told: Callable[[str], None],
    warning: str | None, *, is_quiet: bool,
) -> Outcome:  # fmt: skip
    experiment, folder = found.experiment, asked.out
    stores, began = asked.store or machine.folder or Path(), time.monotonic()
    n_bytes = sum(len(keys_of(experiment, seed)) for seed in experiment.seeds) * found.block
    with scratch_folder(stores, n_bytes + _MOST_PROBED_BYTES) as blocks:
        costs = _probe(experiment, found.block, blocks, told)
        # Policies that weigh costs are told the same on both sides.
        raw = experiment.model_dump(mode="json")
        system = with_costs(raw["system"], costs, found.block)
        believed = experiment.model_copy(update={"system": System.model_validate({**raw["system"], **system})})
        told(_estimate(believed, costs))
        run_live(believed, folder / LIVE, blocks, found.block, console, told, quiet=is_quiet)
    told("the same in the simulator, with the machine's preset, and with what the cache itself takes")
    live = figures_of(folder / LIVE)
    sides = {
        CACHE: run_simulated(path, believed, system, folder / LIVE, folder / CACHE, console, asked_ns=costs.asked_ns),
        MACHINE: run_simulated(path, believed, raw["system"], folder / LIVE, folder / MACHINE, console),
    }
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


def _probe(experiment: Experiment, block: int, folder: Path, told: Callable[[str], None]) -> Costs:
    """What the cache itself takes, on a store of its own."""
    system, arrivals = experiment.system, experiment.workload.arrivals
    assert arrivals.kind == "closed"
    capacity = max(system.tiers[0].capacity // block, 1)
    keys = range(max(min(_POOL * capacity, _MOST_PROBED_BYTES // block), 64))
    told(f"what hits, misses and writes take in the cache, on {len(keys):,} blocks at random")
    path = folder / "probe"
    store = FileStore(path, block)
    fill(store, keys)
    store.close()
    n_channels = max(link.channels for link in system.links)
    found = probed(
        lambda recorder: cache_of(system, FileStore(path, block), recorder), keys, capacity, n_channels, _PROBES,
        experiment.seeds[0], partial(time.sleep, arrivals.think / 1e9), _reads_of_request(experiment),
    )  # fmt: skip
    path.unlink()
    told(
        f"a hit {time_text(float(found.hits.mean()))}, a miss {time_text(float(found.misses.mean()))}, of which "
        f"{time_text(found.rest_ns)} is neither call nor service; {time_text(found.asked_ns)} "
        "more where a policy is asked"
    )
    return found


def _reads_of_request(experiment: Experiment) -> int:
    """How many blocks a request reads, in the mean."""
    batches = list(experiment.workload.source.build(experiment.seeds[0]).batches())
    n_reads = sum(int((batch.op == READ).sum()) for batch in batches)
    # Of all streams together a request may come in pieces: its own numbers tell.
    requests = {
        pair for batch in batches for pair in zip(batch.stream.tolist(), batch.request.tolist(), strict=True)
    }  # fmt: skip
    return max(round(n_reads / max(len(requests), 1)), 1)


def _estimate(experiment: Experiment, costs: Costs) -> str:
    arrivals, workload = experiment.workload.arrivals, experiment.workload.source.build(experiment.seeds[0])
    assert arrivals.kind == "closed"
    from experiments.prepared import split

    n_judged = workload.length() - split(experiment, workload).first
    each_s = n_judged / workload.n_streams * (arrivals.think + float(costs.misses.mean() + costs.hits.mean()) / 2) / 1e9
    n_runs = len(experiment.arms) * len(experiment.seeds) * experiment.repeats
    return f"{n_runs} live runs of {n_judged:,} accesses, about {time_text(n_runs * each_s * 1e9)} of real time"


def _about(path: Path, found: Scaled, costs: Costs, warning: str | None, took_s: float) -> dict[str, Any]:
    from experiments.single import versions

    return {
        "config": str(path),
        "at": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "took_s": round(took_s, 1),
        "warning": warning,
        "changes": found.changes,
        "left_out": found.left_out,
        "hit_ns": round(float(costs.hits.mean())),
        "miss_ns": round(float(costs.misses.mean())),
        "rest_ns": costs.rest_ns,
        "asked_ns": costs.asked_ns,
        "versions": dict(versions()),
    }


def _load() -> tuple[float, float, float]:
    import os

    return os.getloadavg()


def _n_cpus() -> int:
    import os

    return os.cpu_count() or 1
