"""The policy that has others as experts: by hand, with an LSTM among them, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np

from policies.hybrid import HybridConfig, HybridPolicy
from policies.lstm.policy import CompiledLstmPolicy
from policies.next_n import NextNPolicy
from policies.registry import POLICIES
from simulator.charge import fixed, measured
from simulator.engine import Engine
from simulator.model.model import Model
from simulator.policy import AccessRun, Outcome
from tests.test_asking import N_STREAMS, RUNS_OF, everything, predictor
from tests.test_experiment import call, only_lstm, write


def config(**said: Any) -> HybridConfig:
    made = POLICIES.validate({"kind": "hybrid", "experts": [{"kind": "none"}], **said})
    assert isinstance(made, HybridConfig)
    return made


def asked(policy: HybridPolicy, key: int, outcome: Outcome = Outcome.MISS) -> list[tuple[int, float]]:
    one = AccessRun(np.array([key], np.uint64), np.zeros(1, np.uint32), np.full(1, outcome, np.uint8))
    answer = policy.decide([one]).answers[0]
    return list(zip(answer.keys, answer.confidences, strict=True))


def test_by_hand() -> None:
    """Next-2 and next-1 at stride 10: what comes within two accesses was right, else wrong, whether fetched or not."""
    experts = [NextNPolicy(2, "access"), NextNPolicy(1, "miss", 10)]
    it = HybridPolicy(config(window=2, weight=0.5, prior=0.5, degree=2), experts, 0.4, 1)
    # All are as sure; what was named first comes first, and two are wanted at most.
    assert asked(it, 100) == [(101, 0.5), (102, 0.5)]
    # 101 has come: the first rank is surer.
    assert asked(it, 101) == [(102, 0.75), (103, 0.5)]
    assert it.precisions == [[0.75, 0.5], [0.5]]
    # Of what was named at 100, 102 and 110 have not come in time; the second expert is asked at misses alone.
    assert asked(it, 50, Outcome.HIT) == [(51, 0.75)]
    assert it.precisions == [[0.75, 0.25], [0.25]]
    # Named by both: as sure as the surer, once.
    same = HybridPolicy(
        config(window=2, weight=0.5, prior=0.5), [NextNPolicy(1, "access"), NextNPolicy(2, "access")], 0, 1
    )
    asked(same, 5)
    assert asked(same, 6) == [(7, 0.75), (8, 0.5)]


def hybrid(threshold: float = 0.05) -> HybridPolicy:
    experts = [NextNPolicy(2, "access", 8), CompiledLstmPolicy(predictor("key"), 0.0, N_STREAMS)]
    return HybridPolicy(config(degree=3, weight=0.1), experts, threshold, N_STREAMS)


def test_with_an_lstm_a_run_is_the_same_however_it_asks() -> None:
    """The engine asks all of it without Python; the model asks by ``decide``. A best guess held back is told, too."""
    for charge, inference in RUNS_OF:
        ours = everything(Engine, hybrid(), charge(), inference)
        assert ours == everything(Model, hybrid(), charge(), inference)
        without = HybridPolicy(config(degree=3, weight=0.1), [NextNPolicy(2, "access", 8)], 0.05, N_STREAMS)
        assert ours != everything(Engine, without, charge(), inference)
    silent = everything(Engine, hybrid(1.0), fixed(0), {})
    assert "prefetches.key" not in silent or silent["prefetches.key"] == "[]"
    assert silent["inferences.predicted_key"].count(",") > 50


def test_what_asking_takes_is_charged_once_for_all() -> None:
    it = hybrid()
    assert it.table.is_timed
    assert it.table.is_learned
    taken: list[int] = []

    def note(decision: Any) -> Any:
        taken.append(decision.host_ns)
        return measured(decision)

    everything(Model, it, note, {}, "1 ms")
    assert min(taken) > 0


def test_experts_that_python_asks_are_refused(tmp_path: Path) -> None:
    content = only_lstm({"kind": "free"})
    experts = [{"kind": "next_n"}, {"kind": "gate", "policy": {"kind": "next_n"}}]
    content["arms"][1] = {"name": "hybrid", "policy": {"kind": "hybrid", "experts": experts}}
    result = call(write(tmp_path, content), "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "policy.experts.1: 'gate' is asked by Python" in result.output
