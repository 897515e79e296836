"""Both engines against queueing theory and Che's approximation, each within an interval computed from its own runs.

An interval is Student's over independent seeds at 99.9 %: a correct engine is outside of it once in a thousand tests.
The seeds are fixed, so that it is not outside by chance on some days. Every test is run once more with a planted
error, such as transfers that take 3 % longer, and must fail then.

The model takes some eighty times as long. By itself it is tested where queues are short, in shorter runs: its intervals
are wider, and the error that they must find is larger. Under each load it must leave the tables that the compiled
engine leaves, which finds the least error of either that is not one of both.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from policies.base import CompiledPolicy
from policies.none import NonePolicy
from simulator import state
from simulator.answers import Floats
from simulator.arrays import Ints
from simulator.charge import fixed
from simulator.config import Closed, Poisson, System, WriteBack
from simulator.engine import Engine
from simulator.hops import Hop
from simulator.model import links
from simulator.model.model import Model
from simulator.records.moving import Link
from tests.strategies import ListSink, books, workload

pytestmark = pytest.mark.slow
LEVEL = 0.999
SEEDS = 10
SERVICE_NS = 10_000
UTILISATIONS = (0.3, 0.6, 0.9)
# Waits at 0.9 depend on those long before: more of them are needed.
N_ACCESSES = {0.3: 12_000, 0.6: 15_000, 0.9: 40_000}


@dataclass(frozen=True)
class Under:
    """An engine under test: how much shorter its runs are, and by how much a planted error is off."""

    make: Any
    shorter: int
    factor: float
    missing_percent: int

    def n(self, utilisation: float) -> int:
        return N_ACCESSES[utilisation] // self.shorter


UNDER = {"compiled": Under(Engine, 1, 1.03, 5), "model": Under(Model, 8, 1.25, 20)}


@pytest.fixture(params=["compiled"])
def under(request: pytest.FixtureRequest) -> Under:
    return UNDER[request.param]


def interval(values: list[float]) -> tuple[float, float]:
    """Student's, of the mean of independent values."""
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1)) * error
    return mean - half, mean + half


def settled(values: Any) -> Any:
    """Without the first fifth, in which the queue fills."""
    return values[len(values) // 5 :]


def system(per_byte_ns: int = 0, call_ns: int = SERVICE_NS, **inference: Any) -> System:
    fast = {"read_bandwidth": "1000 TB/s", "write_bandwidth": "1000 TB/s"}
    rate = "1 GB/s" if per_byte_ns == 1 else "1000 TB/s"
    return System.model_validate(
        {
            "tiers": [{"name": "a", "capacity": "64 MiB", **fast}],
            "links": [{"call": f"{call_ns} ns", "read_bandwidth": rate, "write_bandwidth": rate}],
            "origin": {"kind": "store"},
            "prefetch": {"in_flight": 10**6, "queued": 10**6, "bytes": "1 TiB"},
            "inference": {"queue": "fifo", "queue_limit": 10**6, **inference},
        }
    )


def run(
    under: Under, machine: System, gap_ns: float, seed: int, keys: Any, policy: Any = None, charge_ns: int = 0,
    **columns: Any,
) -> ListSink:  # fmt: skip
    sink = ListSink()
    arrivals = Poisson.model_validate({"kind": "poisson", "mean_gap": f"{round(gap_ns)} ns"})
    charge = fixed(charge_ns)
    asked = policy or NonePolicy()
    under.make(machine, arrivals, workload(keys, **columns), asked, charge, books(sink), seed=seed).run()
    return sink


def queueing(sink: ListSink) -> float:
    columns = sink.columns("accesses")
    return float(settled(columns["queue_ns"][np.argsort(columns["access"])]).mean())


def fixed_sizes(under: Under, utilisation: float, seed: int) -> ListSink:
    """Every access fetches another block of the same size."""
    return run(under, system(), SERVICE_NS / utilisation, seed, range(under.n(utilisation)))


def md1(under: Under, utilisation: float) -> tuple[float, tuple[float, float]]:
    """Of fixed sizes: the wait is rho D / (2 (1 - rho))."""
    found = [queueing(fixed_sizes(under, utilisation, seed)) for seed in range(SEEDS)]
    return utilisation * SERVICE_NS / (2 * (1 - utilisation)), interval(found)


def exponential_sizes(under: Under, utilisation: float, seed: int) -> ListSink:
    """Blocks of exponential sizes over a link of one byte a nanosecond."""
    n = 2 * under.n(utilisation)
    sizes = np.ceil(np.random.default_rng(seed).exponential(SERVICE_NS, n)).astype(np.uint32)
    machine = system(per_byte_ns=1, call_ns=0)
    return run(under, machine, SERVICE_NS / utilisation, seed, range(n), size_bytes=sizes)


def mm1(under: Under, utilisation: float) -> tuple[float, tuple[float, float]]:
    """Of exponential sizes: the wait is rho S / (1 - rho)."""
    found = [queueing(exponential_sizes(under, utilisation, seed)) for seed in range(SEEDS)]
    return utilisation * SERVICE_NS / (1 - utilisation), interval(found)


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """Nothing."""


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    if key != 0:
        return 0
    keys[0], confidences[0] = 10**9 + state[0], 1.0
    state[0] += 1
    return 1


class OnKeyZero(CompiledPolicy):
    """Wants a new block at every access to block 0, and nothing else. Compiled: it is asked at every access."""

    def __init__(self) -> None:
        super().__init__("access", np.zeros(1, np.int64), _learn, _want, most_wanted=1)


def demands_and_prefetches(under: Under, utilisation: float, seed: int) -> ListSink:
    """Half of all arrivals are demands for new blocks, half ask for a prefetch."""
    n = 3 * under.n(utilisation) // 2
    is_demand = np.random.default_rng(seed).random(n) < 0.5
    keys = np.where(is_demand, np.arange(1, n + 1), 0)
    return run(under, system(), SERVICE_NS / utilisation, seed, keys, OnKeyZero())


def two_classes(under: Under, utilisation: float) -> tuple[list[float], list[tuple[float, float]]]:
    """Of demands and prefetches: Cobham's formula (1954).

    A demand waits R / (1 - rho1), a prefetch R / ((1 - rho1) (1 - rho)), where R = rho D / 2 is what is left of the
    transfer under way.
    """
    demands, prefetches = [], []
    for seed in range(SEEDS):
        sink = demands_and_prefetches(under, utilisation, seed)
        columns = sink.columns("accesses")
        order = np.argsort(columns["access"])
        waited, key = columns["queue_ns"][order], columns["key"][order]
        demands.append(float(settled(waited[key != 0]).mean()))
        rows = sink.columns("prefetches")
        done = rows["filled_ns"] >= 0
        waits = (rows["filled_ns"] - rows["proposed_ns"])[done][np.argsort(rows["prefetch"][done])] - SERVICE_NS - 1
        prefetches.append(float(settled(waits).mean()))
    left, of_demand = utilisation * SERVICE_NS / 2, utilisation / 2
    expected = [left / (1 - of_demand), left / ((1 - of_demand) * (1 - utilisation))]
    return expected, [interval(demands), interval(prefetches)]


def longer(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a bias: every transfer takes ``factor`` times as long."""
    honest = state.write_link

    def biased(link: Link, hop: Hop, limit: WriteBack) -> None:
        honest(link, hop, limit)
        link.call_ns = round(link.call_ns * factor)
        link.read_rate = round(link.read_rate / factor)

    monkeypatch.setattr(state, "write_link", biased)
    made = links._moving

    def biased_too(machine: System, i: int) -> Callable[[int, bool, int], int]:
        duration = made(machine, i)
        return lambda n_bytes, is_down, at_once: round(duration(n_bytes, is_down, at_once) * factor)

    monkeypatch.setattr(links, "_moving", biased_too)


@pytest.fixture(params=[False, True], ids=["honest", "longer"])
def bias(request: pytest.FixtureRequest, under: Under, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param:
        longer(under.factor, monkeypatch)
    return bool(request.param)


@pytest.mark.parametrize(
    ("model", "utilisation", "under"),
    [*((model, utilisation, "compiled") for model in (md1, mm1) for utilisation in UTILISATIONS), (md1, 0.3, "model")],
    indirect=["under"],
)
def test_waiting_for_a_link(model: Any, utilisation: float, under: Under, bias: bool) -> None:
    expected, (low, high) = model(under, utilisation)
    assert (low <= expected <= high) != bias, (low, expected, high)


@pytest.mark.parametrize("utilisation", UTILISATIONS)
def test_demand_before_prefetch(utilisation: float, under: Under, bias: bool) -> None:
    expected, intervals = two_classes(under, utilisation)
    inside = [low <= value <= high for value, (low, high) in zip(expected, intervals, strict=True)]
    assert all(inside) != bias, (expected, intervals)


def mdc_wait(utilisation: float, servers: int, service: float) -> float:
    """The mean wait in M/D/c, exactly (Crommelin 1932), from the number in the system one service time later.

    Whoever is being served then is gone, and Poisson many have come: a linear system for the probabilities, cut off
    where they vanish.
    """
    n, load = 400, utilisation * servers
    came = stats.poisson.pmf(np.arange(n), load)
    step = np.zeros((n, n))
    for i in range(n):
        left = max(i - servers, 0)
        step[i, left:] = came[: n - left]
    balance = np.vstack([step.T - np.eye(n), np.ones(n)])
    p = np.linalg.lstsq(balance, np.append(np.zeros(n), 1), rcond=None)[0]
    in_queue = float(np.maximum(np.arange(n) - servers, 0) @ p)
    return in_queue / (load / service)


def test_crommelin_for_one_server_is_pollaczek_khinchine() -> None:
    assert mdc_wait(0.6, 1, 10.0) == pytest.approx(0.6 * 10 / (2 * 0.4))


def thinking(under: Under, utilisation: float, servers: int, seed: int, factor: float = 1.0) -> ListSink:
    """All accesses are to one block that is there: only thinking takes time, ``factor`` times as long."""
    # What it comes to want does not pile up on the link, where SimPy would sort it again and again.
    machine = system(call_ns=1, servers=servers)
    gap_ns, keys = SERVICE_NS / utilisation / servers, np.zeros(under.n(utilisation), int)
    return run(under, machine, gap_ns, seed, keys, OnKeyZero(), round(factor * SERVICE_NS))


@pytest.mark.parametrize(
    ("utilisation", "servers", "is_longer"),
    [(0.3, 1, False), (0.6, 2, False), (0.9, 3, False), (0.6, 2, True)],
    ids=["0.3-1", "0.6-2", "0.9-3", "longer-0.6-2"],
)
def test_the_inference_server_is_m_d_c(utilisation: float, servers: int, is_longer: bool, under: Under) -> None:
    found, factor = [], under.factor if is_longer else 1.0
    for seed in range(SEEDS):
        columns = thinking(under, utilisation, servers, seed, factor).columns("inferences")
        answered = columns["started_ns"] >= 0
        waits = (columns["started_ns"] - columns["asked_ns"])[answered][np.argsort(columns["inference"][answered])]
        found.append(float(settled(waits).mean()))
    low, high = interval(found)
    expected = mdc_wait(utilisation, servers, SERVICE_NS)
    assert (low <= expected <= high) != is_longer, (low, expected, high)


def che(p: Any, capacity: int) -> float:
    """The hit ratio of LRU on independent references (Che, Tung & Wang 2002)."""

    def too_many(t: float) -> float:
        return float((1 - np.exp(-p * t)).sum()) - capacity

    t = optimize.brentq(too_many, 1, 1e9)
    return float((p * (1 - np.exp(-p * t))).sum())


def popularity(exponent: float) -> Any:
    p = np.arange(1, 1001) ** -exponent
    return p / p.sum()


def references(under: Under, exponent: float, capacity: int, seed: int) -> ListSink:
    """Independent ones, to an LRU of so many blocks."""
    p, n = popularity(exponent), 40_000 // under.shorter
    fast = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    machine = System.model_validate(
        {
            "tiers": [{"name": "a", "capacity": f"{capacity} B", **fast}],
            "links": [fast],
            "origin": {"kind": "store"},
        }
    )
    keys, sink = np.random.default_rng(seed).choice(len(p), n, p=p), ListSink()
    closed = Closed.model_validate({"kind": "closed"})
    under.make(machine, closed, workload(keys), NonePolicy(), fixed(0), books(sink)).run()
    return sink


@pytest.mark.parametrize(
    ("exponent", "capacity", "under"),
    [(0.8, 100, "compiled"), (1.0, 50, "compiled"), (1.0, 400, "compiled"), (1.0, 400, "model")],
    indirect=["under"],
)
@pytest.mark.parametrize("is_smaller", [False, True], ids=["honest", "too small"])
def test_lru_on_independent_references(exponent: float, capacity: int, is_smaller: bool, under: Under) -> None:
    """Che is an approximation: good to 0.001 of the hit ratio here. A cache that is too small is found out."""
    there = capacity - is_smaller * capacity * under.missing_percent // 100
    found = []
    for seed in range(SEEDS):
        columns = references(under, exponent, there, seed).columns("accesses")
        found.append(float((settled(columns["outcome"][np.argsort(columns["access"])]) == 0).mean()))
    low, high = interval(found)
    expected = che(popularity(exponent), capacity)
    assert (low - 0.001 <= expected <= high + 0.001) != is_smaller, (low, expected, high)


LOADS = {
    **{
        f"{made.__name__}-{utilisation}": partial(made, utilisation=utilisation)
        for made in (fixed_sizes, exponential_sizes, demands_and_prefetches)
        for utilisation in UTILISATIONS
    },
    **{f"thinking-{at}-{servers}": partial(thinking, utilisation=at, servers=servers)
       for at, servers in ((0.3, 1), (0.6, 2), (0.9, 3))},
    **{f"references-{exponent}-{capacity}": partial(references, exponent=exponent, capacity=capacity)
       for exponent, capacity in ((0.8, 100), (1.0, 50))},
}  # fmt: skip
TABLES = ("accesses", "prefetches", "inferences", "transfers")


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_the_model_leaves_the_same_tables(load: Callable[..., ListSink]) -> None:
    """To the nanosecond, at each load that the compiled engine is held against theory with."""
    short = UNDER["model"]
    found, expected = (load(under, seed=SEEDS) for under in (short, replace(short, make=Engine)))
    for table in TABLES:
        columns, others = found.columns(table), expected.columns(table)
        assert columns.keys() == others.keys()
        for name, values in columns.items():
            # Where there is no confidence, it is NaN.
            assert np.array_equal(values, others[name], equal_nan=values.dtype.kind == "f"), (table, name)
    assert len(found.columns("accesses")["access"]) > 1000
