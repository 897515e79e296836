"""An experiment as a live cache can run it: on this machine's levels, in blocks of one size, by clients in loops.

What is changed is said, and both sides, the live cache and the simulator, have the changed experiment.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from experiments.config import Arm, Experiment
from experiments.loading import explain
from experiments.report import bytes_text, time_text
from experiments.validation.asked import THINK, Asked
from live.driving import MOST_STREAMS
from live.file_systems import ALIGNMENT
from simulator.config import Closed, System, WriteBack
from simulator.errors import InputError
from simulator.needs import features_among
from simulator.places import beside
from simulator.trace import Workload, part
from simulator.units import parse_ns

USUAL_BLOCK, _LARGEST = 64 << 10, 4 << 20
_OF_TIERS = ("eviction", "admission")
_OF_CACHES = ("system.placement", "system.clean_evictions", "system.prefetch.", "system.inference.")


class Scaled(NamedTuple):
    """The changed experiment, what was changed, in words, and the arms that it lacks, with the reason."""

    experiment: Experiment
    block: int
    changes: list[str]
    left_out: dict[str, str]


class _Sizes(NamedTuple):
    """Of the accesses that are taken: how many, how large blocks are, each key once, and all sizes that there are."""

    n_accesses: int
    mean_bytes: float
    sizes: list[int]


def scaled(path: Path, experiment: Experiment, machine: Mapping[str, Any], asked: Asked) -> Scaled:
    """The experiment on a machine, which is a system as configs have it, in full.

    Raises:
        InputError: it has more streams than a live cache has clients here, fewer tiers than the machine, no arm that
            can be run, or an option does not fit.
    """
    workload = experiment.workload.source.build(experiment.seeds[0])
    if workload.n_streams > MOST_STREAMS:
        raise InputError(
            f"{path}: has {workload.n_streams:,} streams, and each would be a thread; expected at most {MOST_STREAMS}"
        )
    kept, left_out = kept_arms(path, experiment, len(machine["tiers"]), asked.arms)
    if experiment.workload.source.has_whole_requests:
        raise InputError(
            f"{path}: workload.source.answers: whole; a live cache computes and decodes nothing, expected a workload "
            "of blocks that are read and written, without system.requests"
        )
    found, changes = _sizes(workload, asked.n_accesses), list[str]()
    block = asked.block or _block_of(found.sizes)
    raw: dict[str, Any] = json.loads(json.dumps(experiment.model_dump(mode="json")))
    _scale_workload(raw["workload"], experiment, workload, found, block, asked, changes)
    _scale_system(raw, experiment.system, machine, found.mean_bytes, block, changes)
    raw["arms"] = [
        {**arm, "charge": {"kind": "measured"}} for arm in raw["arms"] if arm["name"] in kept
    ]  # fmt: skip
    if experiment.baseline not in kept:
        changes.append(f"baseline: {kept[0]} (was {experiment.baseline}, which is not run)")
        raw["baseline"] = kept[0]
    if experiment.repeats > 1:
        changes.append(f"repeats: {asked.repeats} live runs of each arm and seed (were {experiment.repeats})")
    # Each repeat is an experiment of its own.
    raw |= {"repeats": 1, "engine": "auto"}
    raw["output"] |= {"accesses": True, "prefetches": True, "inferences": True, "transfers": True}
    made = checked(path, raw)
    if workload.n_streams > 1:
        _check_none_foresees(path, made)
    return Scaled(made, block, changes, left_out)


def checked(path: Path, raw: Mapping[str, Any]) -> Experiment:
    """The experiment of such keys and values; files that it names lie beside ``path``. Raises InputError."""
    try:
        with beside(path.parent):
            return Experiment.model_validate(raw)
    except ValidationError as error:
        raise InputError(*explain(str(path), error)) from None


def _sizes(workload: Workload, n_accesses: int) -> _Sizes:
    batches = list(part(workload.batches(), 0, n_accesses))
    if not batches:
        raise InputError("workload.source: holds no access")
    keys, sizes = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("key", "size_bytes"))
    _, first = np.unique(keys, return_index=True)
    return _Sizes(len(keys), float(sizes[first].mean()), np.unique(sizes).tolist())


def _block_of(sizes: Sequence[int]) -> int:
    """Theirs, if all have one that goes past the kernel's cache and is none of a whole model."""
    fits = len(sizes) == 1 and sizes[0] % ALIGNMENT == 0 and sizes[0] <= _LARGEST
    return sizes[0] if fits else USUAL_BLOCK


def _scale_workload(
    raw: dict[str, Any], experiment: Experiment, workload: Workload, found: _Sizes, block: int, asked: Asked,
    changes: list[str],
) -> None:  # fmt: skip
    n_all = workload.length()
    if found.n_accesses < n_all:
        raw["source"] = {"kind": "slice", "source": raw["source"], "accesses": found.n_accesses}
        changes.append(f"the first {found.n_accesses:,} of {n_all:,} accesses")
    if found.sizes != [block]:
        raw["source"] = {"kind": "resized", "source": raw["source"], "block": f"{block} B"}
        least, most = bytes_text(found.sizes[0]), bytes_text(found.sizes[-1])
        were = least if least == most else f"{least} to {most}"
        changes.append(f"blocks of {bytes_text(block)} (were {were})")
    arrivals = experiment.workload.arrivals
    if not isinstance(arrivals, Closed) or asked.think is not None:
        think = parse_ns(THINK) if asked.think is None else asked.think
        raw["arrivals"] = {"kind": "closed", "think": f"{think} ns"}
        were = f"think: {time_text(arrivals.think)}" if isinstance(arrivals, Closed) else f"arrivals: {arrivals.kind}"
        changes.append(f"each stream asks {time_text(think)} after it was answered ({were})")
    if experiment.workload.reuses_prefixes:
        changes.append("each block is of use by itself (reuse: prefix)")
    raw["reuse"] = "block"


def _scale_system(
    raw: dict[str, Any], system: System, machine: Mapping[str, Any], mean_bytes: float, block: int, changes: list[str]
) -> None:
    said, tiers = raw["system"], machine["tiers"]
    if len(tiers) > len(system.tiers):
        raise InputError(
            f"--machine: has {len(tiers)} tiers over its last level, and the config {len(system.tiers)}; expected no "
            "more of them"
        )
    scaled_tiers = []
    for of_config, tier, raw_tier in zip(system.tiers, tiers, said["tiers"], strict=False):
        n_blocks = max(round(of_config.capacity / mean_bytes), 1)
        if of_config.write_back != WriteBack():
            changes.append(f"{tier['name']}: spare memory bounds what waits to be written down (was write_back)")
        scaled_tiers.append(
            {**tier, **{name: raw_tier[name] for name in _OF_TIERS}, "capacity": f"{n_blocks * block} B"}
        )
        changes.append(f"{tier['name']}: {n_blocks:,} blocks, {bytes_text(n_blocks * block)}, for {of_config.name}'s")
    below = [tier.name for tier in system.tiers[len(tiers) :]]
    if below or system.origin.kind != "store":
        what = [*below, *(["an origin that computes"] if system.origin.kind == "compute" else [])]
        changes.append(f"all below is the machine's last level (were {', '.join(what)})")
    said["tiers"], said["links"] = scaled_tiers, [{**link, "blocks_per_call": 1} for link in machine["links"]]
    said["origin"] = machine["origin"]
    n_budget = max(round(system.prefetch.bytes / mean_bytes), 1)
    said["prefetch"]["bytes"] = f"{n_budget * block} B"
    for name, usual in (("servers", 1), ("gpu_slowdown", 1.0)):
        if said["inference"][name] != usual:
            changes.append(f"inference.{name}: {usual} (was {said['inference'][name]})")
            said["inference"][name] = usual
    if said.pop("requests", None) is not None:
        changes.append("requests have no life of their own (were system.requests)")


def _why_not(arm: Arm, n_tiers: int) -> str | None:
    """Why a live cache cannot run an arm; None if it can."""
    core = arm.policy.core
    for path in arm.set:
        if not _is_a_caches(path, n_tiers):
            return f"sets {path}, which is the machine's here"
    if core.is_asked_at_arrivals:
        return "is asked when requests arrive, of which nobody tells a cache"
    if features := features_among(arm.policy.asks_for):
        return f"needs {', '.join(features)} of the trace, which a cache is not told"
    if core.untimed:
        return f"its questions are not asked as they come: 'measured' {core.untimed}"
    if arm.charged.kind == "fixed" or (core.is_measured and arm.charged.kind == "free"):
        return f"its charge is {arm.charged.kind}, and a machine takes what it takes"
    return None


def _is_a_caches(path: str, n_tiers: int) -> bool:
    """Whether what an arm sets is the cache's, and not the machine's or what is scaled."""
    parts = path.split(".")
    if parts[1:2] == ["tiers"]:
        return len(parts) > 3 and parts[2].isdecimal() and int(parts[2]) < n_tiers and parts[3] in _OF_TIERS
    return path.startswith(_OF_CACHES) and path != "system.inference.servers"


def _check_none_foresees(path: Path, experiment: Experiment) -> None:
    """Raises InputError if a tier evicts by what is to come, which of several streams nobody knows."""
    for arm in experiment.arms:
        for i, tier in enumerate(experiment.system_of(arm).tiers):
            if tier.eviction.foresees:
                raise InputError(
                    f"{path}: system.tiers.{i}.eviction of arm {arm.name}: {tier.eviction.kind} knows the accesses to "
                    "come, which of several streams nobody does; expected another one, or a workload of one stream"
                )


def kept_arms(
    path: Path, experiment: Experiment, n_tiers: int, wanted: Sequence[str] | None
) -> tuple[list[str], dict[str, str]]:  # fmt: skip
    """Arms that are wanted, and can be run on a machine with so many tiers; and those that cannot, with the reason.

    Raises:
        InputError: one of the wanted is not there, or cannot be run; or none can.
    """
    names = [arm.name for arm in experiment.arms]
    left_out = {arm.name: why for arm in experiment.arms if (why := _why_not(arm, n_tiers)) is not None}
    for name in wanted or ():
        if name not in names:
            raise InputError(f"--arms {name}: {path} has no such arm; expected some of {', '.join(names)}")
        if name in left_out:
            raise InputError(f"--arms {name}: {left_out[name]}; expected another one")
    kept = [name for name in names if name not in left_out and (wanted is None or name in wanted)]
    if not kept:
        raise InputError(f"{path}: no arm can be run on a live cache: " + "; ".join(
            f"{name} {why}" for name, why in left_out.items()
        ))  # fmt: skip
    return kept, left_out
