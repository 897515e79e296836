"""The cost of a question to every prefetch policy that is asked from Python, all on the same accesses.

Every access is shown as a miss and is a question. What a table answers costs nothing on the simulated clock; this is
the time that the simulator itself spends on it, and the LSTM's is what it would be charged.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from benchmarks.results import Measurement
from policies.given import Accesses, Demand, Given
from policies.registry import PolicyConfig, policies
from simulator.policy import AccessRun, Outcome
from simulator.trace import Batch, concatenate, part
from workloads.combine import Phases
from workloads.mixed import Mixed
from workloads.pointer_chase import PointerChase
from workloads.random import Zipf
from workloads.strided import Strided

N_TRAIN, N_QUESTIONS = 10_000, 20_000
CONFIG: Any = TypeAdapter(PolicyConfig)
# What cannot do with its kind alone.
SETTINGS: dict[str, dict[str, Any]] = {
    "fdp": {"policy": {"kind": "next_n", "n": 4}},
    "gate": {"policy": {"kind": "next_n", "n": 4}},
    "lstm": {"device": "cpu", "epochs": 5},
}


def accesses() -> Batch:
    """A stride, a chase, 70 % next key and Zipf's law in turns."""
    n = (N_TRAIN + N_QUESTIONS) // 4
    phases = [
        Strided(stride=3, accesses=n, block_bytes=1, seed=0, name="a", first_key=10**6),
        PointerChase(n_keys=300, accesses=n, block_bytes=1, seed=0, name="b", spacing=8),
        Mixed(n_keys=500, next_ratio=0.7, accesses=n, block_bytes=1, seed=0, name="c", first_key=10**5),
        Zipf(n_keys=5000, exponent=1.0, accesses=n, block_bytes=1, seed=0, name="d", first_key=10**4),
    ]
    return concatenate(list(Phases(phases, rounds=10).batches()))


def times_of(kind: str, trace: Batch) -> tuple[Any, float]:
    """Nanoseconds of each question, and the blocks of a mean answer."""
    train, asked = (concatenate(list(part(iter([trace]), *ends))) for ends in ((0, N_TRAIN), (N_TRAIN, None)))
    n = len(asked)
    future = Demand(asked.key, asked.stream, np.ones(n, bool))
    given = Given(lambda per_stream: [Accesses(train.key, train.op == 1)], seed=0, future=lambda: future)
    policy = CONFIG.validate_python({"kind": kind, **SETTINGS.get(kind, {})}).build(given).policy
    outcome = np.array([Outcome.MISS], np.uint8)
    runs = [[AccessRun(asked.key[i : i + 1], asked.stream[i : i + 1], outcome)] for i in range(n)]
    times = np.empty(n)
    n_blocks = 0
    for i, run in enumerate(runs):
        start = time.perf_counter_ns()
        decision = policy.decide(run)
        times[i] = time.perf_counter_ns() - start
        n_blocks += len(decision.answers[0].keys)
    return times, n_blocks / n


def measure() -> Iterator[Measurement]:
    """The sum over all questions; ``n_accesses`` counts them."""
    trace = accesses()
    # Once for nothing: what all policies share is loaded with the first.
    times_of("next_n", trace)
    for kind in policies():
        times, _ = times_of(kind, trace)
        yield Measurement("prefetchers", kind, N_QUESTIONS, times.sum() / 1e9)
