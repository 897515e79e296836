"""What each arm of a config is checked for, beside the rest of the config."""

from typing import TYPE_CHECKING

from policies.base import TableSettings
from simulator.checks import check_requests, check_requests_arrive
from simulator.config import System

if TYPE_CHECKING:
    from experiments.config import Arm, Experiment


def check_arm(experiment: "Experiment", arm: "Arm") -> None:
    """An arm goes with the workload, its system, and what it is charged. Raises ValueError if it does not."""
    system = experiment.system_of(arm)
    _check_system(experiment, system)
    _check_policy(experiment, arm, system)
    _check_charge(arm)


def _check_system(experiment: "Experiment", system: System) -> None:
    workload = experiment.workload
    check_requests(system, workload.arrivals, prefix_reuse=workload.reuses_prefixes)
    plain = [tier.eviction.label for tier in system.tiers if tier.eviction.is_plain]
    if plain and experiment.engine == "compiled":
        raise ValueError(f"engine: 'compiled' cannot ask {plain[0]}, which is in plain Python; expected auto or simpy")
    counts = [tier.eviction for tier in system.tiers if tier.eviction.n_counted]
    if counts and workload.train_ratio == 0 and experiment.warm_up == "none":
        raise ValueError(
            f"workload.train_ratio: is 0, but {counts[0].label} counts what comes before the judged accesses; "
            "expected a share such as 0.5, or keys"
        )


def _check_policy(experiment: "Experiment", arm: "Arm", system: System) -> None:
    core = arm.policy.core
    if core.follows_streams and system.requests is not None:
        raise ValueError(
            f"arms.{arm.name}.policy: {core.kind!r} follows a stream from request to request, but with "
            "system.requests many run at a time; expected another, such as queue_time"
        )
    if core.is_asked_at_arrivals:
        check_requests_arrive(system, f"{core.kind!r} of arm {arm.name!r}")
    if arm.policy.learns and experiment.workload.train_ratio == 0:
        raise ValueError(f"workload.train_ratio: is 0, but arm {arm.name!r} learns; expected a share such as 0.5")
    if core.kind == "expert_gate":
        _check_gate(experiment, arm.name, getattr(core, "experts", None))


def _check_gate(experiment: "Experiment", name: str, experts: int | None) -> None:
    """Its experts of a layer are those of the workload, if that says how many they are."""
    source = experiment.workload.source
    there = source.experts_of_layer
    if experts is None and not there:
        raise ValueError(
            f"arms.{name}.policy.experts: is missing, and {source.kind!r} does not say how many experts a layer has; "
            "expected a number"
        )
    first_key = getattr(source, "first_key", 0)
    if there and first_key % there:
        raise ValueError(
            f"workload.source.first_key: {first_key}; expected a multiple of {there}: layers are told by keys, as arm "
            f"{name!r} does"
        )
    if experts is not None and there and experts != there:
        raise ValueError(
            f"arms.{name}.policy.experts: {experts}; expected {there}, as the workload's model has, or none"
        )


def _check_charge(arm: "Arm") -> None:
    core, charged = arm.policy.core, arm.charged
    if core.untimed and charged.kind == "measured":
        raise ValueError(f"arms.{arm.name}.charge: 'measured' {core.untimed}; expected sampled, replay, fixed or free")
    is_table = isinstance(core, TableSettings) and not (core.is_measured or core.can_be_measured)
    if is_table and charged.kind == "measured" and charged.pace != "back_to_back":
        raise ValueError(
            f"arms.{arm.name}.charge.pace: {charged.pace!r} goes with what is measured call by call, and "
            f"{core.kind!r} is a table that takes nothing; expected no pace"
        )
    if charged.kind == "replay" and charged.source is None and charged.decisions == "recorded":
        raise ValueError(f"arms.{arm.name}.charge.decisions: 'recorded' goes with a source; expected one")
    if charged.kind == "replay" and charged.source is None and not core.brings_latencies:
        raise ValueError(
            f"arms.{arm.name}.charge.source: is missing; expected a folder of results whose latencies are "
            "charged (only kind: file has its own, in a column latency_ns)"
        )
