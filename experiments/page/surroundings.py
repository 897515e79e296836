"""What the experiment was, by the config that a folder keeps: its phases, its links, what is to be noted of it.

A config may name classes in files of somebody's own. To read results runs no such code: what it would take is left out.
"""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from experiments.page.found import Found
from simulator.errors import InputError
from simulator.outside import is_reference
from simulator.units import parse_bytes_per_s

if TYPE_CHECKING:
    from experiments.config import Experiment

_MOST_SIZED = 5_000_000
"""Accesses of a trace that is gone through again for what there is to note of its sizes."""


def experiment_of(found: Found) -> "Experiment | None":
    """The experiment, if it can be had without code from outside and files that are not here."""
    from pydantic import ValidationError

    from experiments.config import Experiment

    if _names_code(found.config):
        return None
    try:
        return Experiment.model_validate(found.config)
    except (ValidationError, InputError, OSError):
        return None


def _names_code(said: Any) -> bool:
    """Whether a config names a class or a function by ``FILE:NAME`` or ``MODULE:NAME``, anywhere, also in a line."""
    if isinstance(said, dict):
        return any(map(_names_code, said.values()))
    if isinstance(said, list):
        return any(map(_names_code, said))
    return isinstance(said, str) and (is_reference(said) or "class=" in said or "model=" in said)


def phases_in(found: Found) -> list[tuple[int, str]]:
    """Where phases begin and what they are called; none where they differ by seed, or cannot be known here."""
    from experiments.phases import phases_of

    experiment = experiment_of(found)
    if experiment is None:
        return []
    try:
        source = experiment.workload.source
        of_seeds = [phases_of(source.build(seed)) for seed in sorted({row["seed"] for row in found.rows})]
    except (InputError, OSError):
        return []
    return of_seeds[0] if all(phases == of_seeds[0] for phases in of_seeds) else []


def notes_of(found: Found) -> list[str] | None:
    """What ``run`` prints below its closing table; None where that cannot be known here."""
    from experiments.notes import notes
    from workloads.sizes import Sizes, sizes_of

    experiment = experiment_of(found)
    if experiment is None or found.kept.missing():
        return None
    try:
        workload = experiment.workload.source.build(experiment.seeds[0])
        is_short = workload.length() <= _MOST_SIZED
        # Of a longer trace a block as large as tier 0 says nothing of sizes, nor of room.
        sizes = sizes_of(workload) if is_short else Sizes(1 << 62)
        return notes(experiment, found.rows, sizes)
    except (InputError, OSError, KeyError):
        return None


def capacities_of(found: Found) -> dict[str, float]:
    """By link: bytes per s towards tier 0, over all its channels; a hop is as fast as the slowest on its way."""
    system = found.config["system"]
    tiers, links = system["tiers"], system["links"]
    rates: dict[str, float] = {}
    below = [*tiers[1:], None]
    for (above, lower), tier, tier_below, link in zip(
        pairwise([*(tier["name"] for tier in tiers), "origin"]), tiers, below, links, strict=True
    ):
        said = [
            link["read_bandwidth"],
            tier["write_bandwidth"],
            *([tier_below["read_bandwidth"]] if tier_below else []),
        ]
        name = f"{above}_{lower}"
        if name in found.links:
            rates[name] = min(float(parse_bytes_per_s(rate)) for rate in said) * link["channels"]
    return rates
