"""Misses of eviction policies by capacity, demand alone: what ``experiments.misses`` and ``tierfetch.misses`` count."""

import time
from typing import Any

from experiments.replayed import Replayed, of_sample
from experiments.trace_input import share_of
from policies.none import NonePolicy
from simulator.accounting import Books
from simulator.charge import fixed
from simulator.config import Closed, System
from simulator.engine import Engine
from simulator.errors import InputError
from simulator.one_line import split
from simulator.plugins import needs_nothing
from simulator.policy import Outcome
from simulator.residency.registry import EVICTIONS
from simulator.residency.settings import EvictionSettings
from workloads.sampling import PARTS, corrected_miss_ratio, parts_of

COLUMNS = (
    "trace", "eviction", "capacity", "capacity_unit", "sample_rate", "n_accesses", "n_simulated", "n_misses",
    "miss_ratio", "miss_ratio_error", "accesses_per_s",
)  # fmt: skip


def evictions_of(text: str) -> list[EvictionSettings]:
    """The eviction policies that ``--eviction`` names. Raises InputError if there is none of a name."""
    try:
        names = split(text)
        found = [one for name in names for one in (_with_defaults() if name == "all" else [name])]
        made = {one.label: one for one in map(EVICTIONS.parse, found)}
    except ValueError as error:
        raise InputError(*(f"--eviction: {problem}" for problem in error.args)) from None
    if counts := [label for label, one in made.items() if one.n_counted]:
        raise InputError(f"--eviction: {counts[0]} counts a training part, and there is none here; expected its keys")
    return list(made.values())


def _with_defaults() -> list[str]:
    """The evictions that a name alone says, and that need no accesses before these."""
    named = [kind for kind, class_ in EVICTIONS.items() if needs_nothing(class_)]
    return [kind for kind in named if not EVICTIONS.parse(kind).n_counted]


def rates_of(text: str) -> list[int]:
    """Sampling rates as parts, from the largest. Raises InputError if one is none."""
    return sorted({parts_of(share_of(item, "--sample", "a rate")) for item in text.split(",")}, reverse=True)


def sampled(whole: Replayed, rates: list[int], capacities: list[int], *, unit_size: bool) -> list[Replayed]:
    """The trace at each rate. Raises InputError if one is empty, or too small for a capacity."""
    samples = [whole.sampled(parts) for parts in rates]
    for sample in samples:
        for capacity in capacities:
            of_sample(sample, capacity, unit_size=unit_size)
    return samples


def error_of(row: dict[str, Any], rows: list[dict[str, Any]]) -> float | None:
    """A sample's miss ratio less that of the whole trace, if that was simulated before."""
    for exact in rows:
        if exact["sample_rate"] == 1 and (exact["eviction"], exact["capacity"]) == (row["eviction"], row["capacity"]):
            return float(row["miss_ratio"] - exact["miss_ratio"])
    return None


def row_of(
    name: str, trace: Replayed, eviction: EvictionSettings, capacity: int, *, unit_size: bool, seed: int
) -> dict[str, Any]:
    """One run through the engine."""
    fast = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    scaled = of_sample(trace, capacity, unit_size=unit_size)
    system = System.model_validate(
        {
            "tiers": [{"name": "tier", "capacity": f"{scaled} B", "eviction": eviction, **fast}],
            "links": [fast],
            "origin": {"kind": "store"},
        }
    )
    books = Books(None, max(trace.length(), 1))
    started = time.perf_counter()
    engine: Any = Engine
    if eviction.is_plain:
        from simulator.model.model import Model

        engine = Model
    engine(system, Closed.model_validate({"kind": "closed"}), trace, NonePolicy(), fixed(0), books, seed=seed).run()
    seconds = time.perf_counter() - started
    miss_ratio = corrected_miss_ratio(books.n_outcomes[Outcome.MISS], trace.n_of_trace, trace.parts)
    row = {
        "trace": name,
        "eviction": eviction.label,
        "capacity": capacity,
        "capacity_unit": "blocks" if unit_size else "bytes",
        "sample_rate": trace.parts / PARTS,
        "n_accesses": trace.n_of_trace,
        "n_simulated": trace.length(),
        "n_misses": round(miss_ratio * trace.n_of_trace),
        "miss_ratio": miss_ratio,
        "miss_ratio_error": None,
        "accesses_per_s": trace.n_of_trace / seconds,
    }
    assert tuple(row) == COLUMNS
    return row
