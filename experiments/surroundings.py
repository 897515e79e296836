"""An experiment in other surroundings: under more load, before faster or slower tiers, with other blocks."""

from collections.abc import Callable
from typing import Any

from experiments.config import Experiment
from simulator.errors import InputError

FACTORS = (0.25, 1.0, 4.0)


def with_gap(experiment: Experiment, factor: float) -> Experiment:
    """``factor`` times as long between requests (thinking, arrivals)."""
    arrivals: Any = experiment.workload.arrivals
    match arrivals.kind:
        case "closed":
            update = {"think": round(arrivals.think * factor)}
        case "poisson":
            update = {"mean_gap": max(round(arrivals.mean_gap * factor), 1)}
        case _:
            update = {"speedup": arrivals.speedup / factor}
    changed = arrivals.model_copy(update=update)
    return experiment.model_copy(update={"workload": experiment.workload.model_copy(update={"arrivals": changed})})


def with_far_tier(experiment: Experiment, factor: float) -> Experiment:
    """``factor`` times the latency of the origin, and of a call on the link to it."""
    system = experiment.system
    origin: Any = system.origin
    field = "per_mib" if origin.kind == "compute" else "latency"
    last = system.links[-1]
    update = {
        "origin": origin.model_copy(update={field: round(getattr(origin, field) * factor)}),
        "links": (*system.links[:-1], last.model_copy(update={"call": round(last.call * factor)})),
    }
    return experiment.model_copy(update={"system": system.model_copy(update=update)})


def with_blocks(experiment: Experiment, factor: float) -> Experiment:
    """Blocks of ``factor`` times the bytes, in tiers that hold as many of them.

    Raises:
        InputError: the sizes are those of a trace.
    """
    system = experiment.system
    tiers = tuple(tier.model_copy(update={"capacity": round(tier.capacity * factor)}) for tier in system.tiers)
    budget = system.prefetch.model_copy(update={"bytes": round(system.prefetch.bytes * factor)})
    source = _scaled(experiment.workload.source, factor)
    return experiment.model_copy(
        update={
            "system": system.model_copy(update={"tiers": tiers, "prefetch": budget}),
            "workload": experiment.workload.model_copy(update={"source": source}),
        }
    )


def _scaled(source: Any, factor: float) -> Any:
    for field in ("phases", "parts"):
        if hasattr(source, field):
            return source.model_copy(update={field: tuple(_scaled(part, factor) for part in getattr(source, field))})
    if hasattr(source, "source"):
        return source.model_copy(update={"source": _scaled(source.source, factor)})
    if source.block is None:
        raise InputError("workload.source: its blocks have the sizes of the trace; expected a 'block' to make larger")
    return source.model_copy(update={"block": max(round(source.block * factor), 1)})


MAPS: dict[str, Callable[[Experiment, float], Experiment]] = {
    "tier": with_far_tier,
    "block": with_blocks,
}
"""What a map has beside the time between requests."""
