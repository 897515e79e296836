"""The cost of a question to every prefetch policy that is asked from Python, all on the same accesses.

Every access is shown as a miss and is a question. What a table answers costs nothing on the simulated clock; this is
the time that the simulator itself spends on it, and the LSTM's is what it would be charged.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.results import Measurement
from policies.given import Accesses, Demand, Given
from policies.registry import POLICIES
from simulator.plugins import needs_nothing
from simulator.policy import AccessRun, Outcome
from simulator.trace import Batch, concatenate, part
from workloads.combine import Phases
from workloads.registry import SOURCES

N_TRAIN, N_QUESTIONS = 10_000, 20_000
# What cannot do with its kind alone.
SETTINGS: dict[str, dict[str, Any]] = {
    "fdp": {"policy": {"kind": "next_n", "n": 4}},
    "gate": {"policy": {"kind": "next_n", "n": 4}},
    "lstm": {"device": "cpu", "epochs": 5},
}


def accesses() -> Batch:
    """A stride, a chase, 70 % next key and Zipf's law in turns."""
    n = (N_TRAIN + N_QUESTIONS) // 4
    phases = (
        f"strided(stride=3, accesses={n}, block=1 B, first_key=1000000)",
        f"pointer_chase(n_keys=300, accesses={n}, block=1 B, spacing=8)",
        f"mixed(n_keys=500, accesses={n}, block=1 B, first_key=100000)",
        f"zipf(n_keys=5000, accesses={n}, block=1 B, first_key=10000)",
    )
    built = [SOURCES.parse(phase).build(0, name) for phase, name in zip(phases, "abcd", strict=True)]
    return concatenate(list(Phases(built, rounds=10).batches()))


def times_of(kind: str, trace: Batch) -> tuple[Any, float]:
    """Nanoseconds of each question, and the blocks of a mean answer."""
    train, asked = (concatenate(list(part(iter([trace]), *ends))) for ends in ((0, N_TRAIN), (N_TRAIN, None)))
    n = len(asked)
    future = Demand(asked.key, asked.stream, np.ones(n, bool))
    given = Given(lambda per_stream: [Accesses(train.key, train.op == 1)], seed=0, future=lambda: future)
    policy = POLICIES.validate({"kind": kind, **SETTINGS.get(kind, {})}).build(given).policy
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
    for kind in (kind for kind, class_ in POLICIES.items() if kind in SETTINGS or needs_nothing(class_)):
        times, _ = times_of(kind, trace)
        yield Measurement("prefetchers", kind, N_QUESTIONS, times.sum() / 1e9)
