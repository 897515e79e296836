"""Misses by eviction policy and capacity, without prefetching: the miss-ratio curves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.counters import rows_of
from experiments.counting import check_capacities, draws_of, evictions_of, rates_of, traces_of
from experiments.jobs import n_cores
from experiments.replayed import capacities_of
from experiments.trace_input import TraceInput
from simulator.errors import InputError
from simulator.residency.settings import EvictionSettings
from tierfetch.plain import plain
from tierfetch.traces import Trace

if TYPE_CHECKING:
    import pandas as pd

Sizes = str | int | Sequence[str | int] | None
Shares = float | Sequence[float]


def misses(
    trace: Any,
    eviction: str | EvictionSettings | Sequence[str | EvictionSettings] = "lru",
    capacity: Sizes = None,
    fraction: Shares | None = None,
    *,
    unit_size: bool = False,
    sample: Shares = 1.0,
    draws: int = 1,
    jobs: int = 1,
    seed: int = 0,
) -> "pd.DataFrame":
    """Replay a trace without prefetching and count misses, a row for each sample, eviction and capacity.

    Args:
        trace: What ``Trace.of`` takes.
        eviction: Names, with settings where wanted, ``"s3fifo(small_ratio=0.2)"``; ``"all"`` for all.
        capacity: Bytes, or text with a unit, ``"64 MiB"``; with ``unit_size`` blocks.
        fraction: Capacities as shares of all bytes (blocks) of the trace. Without both: 0.001, 0.01, 0.05, 0.1, 0.25.
        unit_size: Count blocks, not bytes.
        sample: Rates of spatial samples (SHARDS) to simulate; with 1 among them their error is in the table.
        draws: Samples of each rate, by as many hashes: their mean, with its interval.
        jobs: So many threads (LRU) or processes (others) at once; 0: one a core.
        seed: Of policies and workloads that draw at random.

    Returns:
        Columns as ``misses.parquet`` has them: docs/metrics.md.

    Raises:
        InputError: the trace, an eviction, a capacity or a rate is wrong.
    """
    import pandas as pd

    from experiments.warm import compile_core

    made = list({one.label: one for said in _listed(eviction) for one in _of_eviction(said)}.values())
    rates = rates_of(",".join(map(str, _listed(plain(sample)))))
    found = Trace.of(trace, seed=seed)
    given = TraceInput(found.name, found.workload, [], found.has_times, found.reuse)
    sizes, shares = (None if said is None else ",".join(map(str, _listed(said))) for said in (capacity, fraction))
    n_jobs, n_draws = jobs or n_cores(), draws_of(draws, rates)
    traces = traces_of(given, rates, made, sizes, n_draws=n_draws, n_jobs=n_jobs, unit_size=unit_size)
    capacities = capacities_of(traces.largest, sizes, shares, unit_size=unit_size)
    check_capacities(traces, capacities, unit_size=unit_size)
    # Beforehand: the first row's rate would have the compiling in it.
    compile_core(one for one in made if one.kind != "lru")
    rows = rows_of(found.name, traces, made, capacities, unit_size=unit_size, seed=seed, n_jobs=n_jobs)
    # Where there is one draw, all is None, which would be no column of numbers.
    return pd.DataFrame(list(rows)).astype({"miss_ratio_low": float, "miss_ratio_high": float})


def _listed(said: Any) -> list[Any]:
    found = plain(said)
    if isinstance(found, list):
        if not found:
            raise InputError("misses: got an empty list; expected at least one eviction, capacity, fraction or sample")
        return found
    return [found]


def _of_eviction(said: str | EvictionSettings) -> list[EvictionSettings]:
    return [said] if isinstance(said, EvictionSettings) else evictions_of(said)
