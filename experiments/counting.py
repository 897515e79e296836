"""Misses of eviction policies by capacity, demand alone: what ``experiments.misses`` and ``tierfetch.misses`` count."""

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import product
from typing import Any, NamedTuple

from experiments.read_once import streamed
from experiments.replayed import Replayed, all_replayed, of_sample, replayed, sizes_of
from experiments.trace_input import TraceInput, share_of
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
from workloads.stack_distance import ResizedError

COLUMNS = (
    "trace", "eviction", "capacity", "capacity_unit", "sample_rate", "n_draws", "n_accesses", "n_simulated",
    "n_misses", "miss_ratio", "miss_ratio_low", "miss_ratio_high", "miss_ratio_error", "accesses_per_s",
)  # fmt: skip
_MOST_DRAWS = 1_000


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


def draws_of(n: int | None, rates: list[int]) -> int:
    """How many samples of each rate. Raises InputError if there is none to draw, or too many."""
    if n is not None and n > _MOST_DRAWS:
        raise InputError(f"--draws {n}: expected at most {_MOST_DRAWS:,}; a larger --sample does more")
    if n is not None and n > 1 and rates == [PARTS]:
        raise InputError(f"--draws {n}: of the whole trace there is one; expected a rate below 1 (--sample)")
    return n or 1


class Traces(NamedTuple):
    """A trace and its samples: at each rate, from the largest, one or several draws."""

    by_rate: list[list[Any]]

    @property
    def largest(self) -> list[Any]:
        """At the largest rate: what capacities are shares of."""
        return self.by_rate[0]


def traces_of(
    given: TraceInput,
    rates: list[int],
    evictions: list[EvictionSettings],
    capacity: str | None = None,
    *,
    n_draws: int = 1,
    n_jobs: int = 1,
    unit_size: bool = False,
    keeps: bool = False,
) -> Traces:
    """Read a trace: the whole if a rate is 1, and samples. Of the whole nothing is kept where LRU alone is asked for.

    ``keeps``: it is kept all the same.

    Raises:
        InputError: it is bad or empty, or a sample is.
    """
    samples = [parts for parts in rates if parts < PARTS]
    most = [(samples[0], draw) for draw in range(n_draws)] if samples else []
    whole: list[Any] = []
    if PARTS in rates and all(one.kind == "lru" for one in evictions) and not keeps:
        sizes = [size for size in sizes_of(capacity, unit_size=unit_size) if 0 < size < 2**62]
        with suppress(ResizedError):
            streamed_whole, drawn = streamed(given, most, sizes, unit_size=unit_size, n_jobs=n_jobs)
            whole = [streamed_whole]
    if not whole and PARTS in rates:
        whole = [replayed(given, PARTS, unit_size=unit_size)]
        drawn = whole[0].draws(samples[0], n_draws) if samples else []
    elif not whole:
        drawn = all_replayed(given, most, unit_size=unit_size)
    return Traces([*([whole] if whole else []), *([one.sampled(parts) for one in drawn] for parts in samples)])


def check_capacities(traces: Traces, capacities: list[int], *, unit_size: bool) -> None:
    """Raises InputError if a sample is too small for a capacity."""
    for (trace, *_), capacity in product(traces.by_rate, capacities):
        of_sample(trace, capacity, unit_size=unit_size)


def error_of(row: dict[str, Any], rows: list[dict[str, Any]]) -> float | None:
    """A sample's miss ratio less that of the whole trace, if that was simulated before."""
    for exact in rows:
        if exact["sample_rate"] == 1 and (exact["eviction"], exact["capacity"]) == (row["eviction"], row["capacity"]):
            return float(row["miss_ratio"] - exact["miss_ratio"])
    return None


class Count(NamedTuple):
    """Misses of one eviction policy on one trace, or sample of it, and the wall time of what counted them."""

    n_misses: int
    seconds: float


def counts_of(
    trace: Any, eviction: EvictionSettings, capacities: list[int], *, unit_size: bool, seed: int, n_jobs: int = 1
) -> Iterator[Count]:
    """At each capacity: of LRU by stack distances, at all at once; else a run through the engine for each.

    Each count has the seconds of all where they come at once.
    """
    scaled = [of_sample(trace, capacity, unit_size=unit_size) for capacity in capacities]
    if eviction.kind == "lru":
        # Where blocks change their sizes LRU is no stack: what the engine does is what counts.
        with suppress(ResizedError):
            found, seconds = trace.lru_misses(scaled, n_jobs)
            for size in scaled:
                yield Count(found[size], seconds)
            return
    for size in scaled:
        yield count_of(trace, eviction, size, seed)


def count_of(trace: Replayed, eviction: EvictionSettings, capacity: int, seed: int) -> Count:
    """One run through the engine."""
    fast = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    system = System.model_validate(
        {
            "tiers": [{"name": "tier", "capacity": f"{capacity} B", "eviction": eviction, **fast}],
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
    return Count(books.n_outcomes[Outcome.MISS], time.perf_counter() - started)


def row_of(
    name: str, draws: Sequence[Any], eviction: EvictionSettings, capacity: int, counts: list[Count], *, unit_size: bool
) -> dict[str, Any]:
    """The whole trace, or the mean over samples of it with its interval: Student's t over draws."""
    n, parts = draws[0].n_of_trace, draws[0].parts
    ratios = [corrected_miss_ratio(count.n_misses, n, parts) for count in counts]
    miss_ratio, low, high = mean_within(ratios)
    row = {
        "trace": name,
        "eviction": eviction.label,
        "capacity": capacity,
        "capacity_unit": "blocks" if unit_size else "bytes",
        "sample_rate": parts / PARTS,
        "n_draws": len(draws),
        "n_accesses": n,
        "n_simulated": sum(draw.length() for draw in draws),
        "n_misses": round(miss_ratio * n),
        "miss_ratio": miss_ratio,
        "miss_ratio_low": low,
        "miss_ratio_high": high,
        "miss_ratio_error": None,
        "accesses_per_s": n / sum(count.seconds for count in counts),
    }
    assert tuple(row) == COLUMNS
    return row


def mean_within(ratios: list[float]) -> tuple[float, float | None, float | None]:
    """The mean of several ratios and its 95 % interval, by Student's t, within 0 and 1; none of one."""
    mean, n = math.fsum(ratios) / len(ratios), len(ratios)
    if n == 1:
        return mean, None, None
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.975)) * statistics.stdev(ratios) / math.sqrt(n)
    return mean, max(mean - half, 0.0), min(mean + half, 1.0)
