"""What a question of the LSTM costs the simulation, by how it is asked, beside the network's own step.

The default LSTM (two layers of 64) on a chase of 500 keys, asked at every access, from think times that leave it time
to answer: a question an access. ``network`` is one stateful step with the head, in compiled code, back to back.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from benchmarks.results import Measurement
from policies.given import Accesses
from policies.lstm.backends.compiled import Compiled, run_through, score
from policies.lstm.batched import tables_of
from policies.lstm.config import LstmConfig
from policies.lstm.policy import BatchedLstmPolicy, CompiledLstmPolicy, LstmPolicy
from policies.lstm.predictor import LstmPredictor
from policies.none import NonePolicy
from simulator.accounting import Books
from simulator.charge import Charge, fixed, measured, sampled
from simulator.compiled import compiled
from simulator.config import Closed, System
from simulator.engine import Engine
from simulator.policy import Policy
from workloads.registry import SOURCES

N, ROUNDS, N_STREAMS = 20_000, 5, 16
_CONFIG: dict[str, Any] = {"kind": "lstm", "epochs": 2, "patience": 2, "backend": "compiled", "device": "cpu"}


def _simulated(policy: Policy, charge: Charge) -> float:
    """Seconds of CPU time of a run."""
    fast = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    tier = {"name": "tier", "capacity": "16 MiB", **fast}
    system = System.model_validate({"tiers": [tier], "links": [{"call": "5 us", **fast}], "origin": {"kind": "store"}})
    closed = Closed.model_validate({"kind": "closed", "think": "1 ms"})
    engine = Engine(system, closed, _chase(), policy, charge, Books(None, 1000))
    start = time.process_time()
    engine.run()
    return time.process_time() - start


def _chase() -> Any:
    return SOURCES.parse(f"pointer_chase(n_keys=500, accesses={N}, block=64 KiB, spacing=8)").build(0, "chase")


@compiled
def _steps(classes: Any, h: Any, c: Any, first: Any, starts: Any, inner: Any, biases: Any, head: Any, head_bias: Any,
           scores: Any) -> None:  # fmt: skip
    for i in range(len(classes)):
        run_through(classes[i : i + 1], h, c, first, starts, inner, biases)
        score(h, head, head_bias, scores)


def _network(predictor: LstmPredictor, keys: Any) -> float:
    """Seconds of CPU time of the network's own steps, one by one."""
    it = predictor.backend
    assert isinstance(it, Compiled)
    state, scores = it.new_state(), np.empty(len(it.head_bias), np.float32)
    classes = predictor.codec.encode(keys)
    weights = it.first, it.starts, it.inner, it.biases, it.head, it.head_bias, scores
    _steps(classes[:2], state[0], state[1], *weights)
    start = time.process_time()
    _steps(classes, state[0], state[1], *weights)
    return time.process_time() - start


def _beforehand(predictor: LstmPredictor, sequences: Mapping[int, Any]) -> float:
    start = time.process_time()
    tables_of(sequences, predictor, torch.device("cpu"))
    return time.process_time() - start


def measure() -> Iterator[Measurement]:
    """The best of some rounds in turn, in which all are measured; seconds are of CPU time."""
    keys = np.concatenate([batch.key for batch in _chase().batches()])
    config = LstmConfig.model_validate(_CONFIG)
    predictor = LstmPredictor.trained([Accesses(keys, np.zeros(N, bool))], config)
    alone, beside = {0: keys}, dict.fromkeys(range(N_STREAMS), keys[: N // N_STREAMS])
    tables = tables_of(alone, predictor, torch.device("cpu"))
    took = np.array([8000, 9000])

    def batched() -> Policy:
        return BatchedLstmPolicy(predictor, 0.5, 1, tables, alone)

    contenders: dict[str, Callable[[], float]] = {
        "none": lambda: _simulated(NonePolicy(), fixed(0)),
        "network, one by one": lambda: _network(predictor, keys),
        "measured": lambda: _simulated(CompiledLstmPolicy(predictor, 0.5), measured),
        "measured, through Python": lambda: _simulated(InPython(CompiledLstmPolicy(predictor, 0.5)), measured),
        "measured, all in Python but the network": lambda: _simulated(LstmPolicy(predictor, 0.5), measured),
        "batched, free": lambda: _simulated(batched(), fixed(0)),
        "batched, sampled": lambda: _simulated(batched(), sampled(took, np.random.default_rng(0))),
        "making predictions, one stream": lambda: _beforehand(predictor, alone),
        f"making predictions, {N_STREAMS} streams": lambda: _beforehand(predictor, beside),
    }
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(ROUNDS + 1):
        for name, contender in contenders.items():
            best[name] = min(best[name], contender())
    for name, seconds in best.items():
        yield Measurement("asking", name, N, seconds)


class InPython:
    """A policy whose table the engine does not see: asked by ``decide``."""

    def __init__(self, policy: Any) -> None:
        self.trigger, self.footprint_bytes, self.ahead = policy.trigger, policy.footprint_bytes, policy.ahead
        self.hears, self.recalls, self.decide, self.told = policy.hears, policy.recalls, policy.decide, policy.told
