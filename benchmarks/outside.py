"""What asking a policy from outside costs the simulation, beside ours and beside the policy's own work.

All answer the same: the next block, at every access. The policy's own work is its ``decide`` alone, on runs that lie
ready. Times are of this process's CPU: what else runs is not in them, but for what it takes of caches and cores.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.results import Measurement
from policies.given import Given
from policies.registry import POLICIES
from simulator.accounting import Books
from simulator.charge import fixed
from simulator.config import Closed, System
from simulator.engine import Engine
from simulator.outside import find
from simulator.policy import AccessRun
from workloads.registry import SOURCES

N, ROUNDS = 50_000, 5
SOURCE = '''
import numpy as np

from policies.base import CompiledPolicy
from simulator.answers import walk


class Plain:
    def decide(self, run):
        return [(int(run.key[-1]) + 1, 1.0)]


def learn(state, key, stream, outcome):
    """Nothing."""


def want(state, key, stream, keys, confidences):
    return walk(keys, confidences, 0, key, 1, state[0], 1.0)


class Compiled(CompiledPolicy):
    def __init__(self):
        super().__init__("access", np.array([1]), learn, want, most_wanted=1)
'''


def _simulated(settings: dict[str, Any]) -> float:
    """Seconds of CPU time of a run."""
    workload = SOURCES.parse(f"zipf(n_keys=2000, accesses={N}, block=64 KiB)").build(0)
    fast = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    tier = {"name": "tier", "capacity": "64 MiB", **fast}
    system = System.model_validate({"tiers": [tier], "links": [{"call": "5 us", **fast}], "origin": {"kind": "store"}})
    policy = POLICIES.validate(settings).build(Given(lambda per_stream, needs=(): [], seed=0)).policy
    closed = Closed.model_validate({"kind": "closed", "think": "10 us"})
    engine = Engine(system, closed, workload, policy, fixed(0), Books(None, 1000))
    start = time.process_time()
    engine.run()
    return time.process_time() - start


def _own(reference: str) -> float:
    """Seconds of CPU time that the policy's own ``decide`` takes for so many questions."""
    policy = find(reference).object()
    one = np.zeros(1, np.uint32), np.zeros(1, np.uint8)
    runs = [AccessRun(np.array([i], np.uint64), *one) for i in range(N)]
    start = time.process_time()
    for run in runs:
        policy.decide(run)
    return time.process_time() - start


def measure() -> Iterator[Measurement]:
    """The best of some rounds in turn, in which all are measured."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "mine.py"
        file.write_text(SOURCE)
        contenders = {
            "none": {"kind": "none"},
            "compiled, ours": {"kind": "next_n", "trigger": "access"},
            "compiled, from outside": {"kind": "python", "class": f"{file}:Compiled"},
            "plain Python, from outside": {"kind": "python", "class": f"{file}:Plain"},
        }
        best = dict.fromkeys([*contenders, "its own work"], float("inf"))
        for _ in range(ROUNDS + 1):
            for name, settings in contenders.items():
                best[name] = min(best[name], _simulated(settings))
            best["its own work"] = min(best["its own work"], _own(f"{file}:Plain"))
    for name, seconds in best.items():
        yield Measurement("outside", name, N, seconds)
