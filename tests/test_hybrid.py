"""The policy that has others as experts: by hand, with an LSTM among them, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.given import Given
from policies.hybrid import HybridConfig, HybridPolicy
from policies.lstm.policy import CompiledLstmPolicy
from policies.next_n import NextNPolicy
from policies.registry import POLICIES
from policies.timing import Timing
from simulator.charge import fixed, measured
from simulator.engine import Engine
from simulator.model.model import Model
from simulator.policy import AccessRun, Fate, Outcome, Told
from simulator.trace import READ, WRITE
from tests.test_asking import N_STREAMS, RUNS_OF, everything, predictor
from tests.test_experiment import call, only_lstm, write


def config(**said: Any) -> HybridConfig:
    made = POLICIES.validate({"kind": "hybrid", "experts": [{"kind": "none"}], **said})
    assert isinstance(made, HybridConfig)
    return made


def asked(policy: HybridPolicy, key: int, outcome: Outcome = Outcome.MISS, op: int = READ) -> list[tuple[int, float]]:
    columns = {"op": np.array([op], np.uint8)}
    one = AccessRun(np.array([key], np.uint64), np.zeros(1, np.uint32), np.full(1, outcome, np.uint8), columns)
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
    # 51 has come, but whoever read it had to wait: of no use. Then 102 and 103, named at 101, were wrong.
    asked(it, 51, Outcome.LATE)
    assert it.precisions[0] == [0.75 / 2 / 2, 0.25 / 2]
    # Named by both ranks, and written: nobody needed it, and it would have been in the way.
    asked(it, 52, op=WRITE)
    assert it.precisions[0] == [(0.1875 - 1) / 2, (0.125 - 1) / 2]
    # And it was: worse still.
    asked(it, 53, Outcome.LATE, WRITE)
    assert it.precisions[0] == [(-0.40625 - 2) / 2, (-0.4375 - 2) / 2]
    # Named by both: as sure as the surer, once, and said to be its.
    same = HybridPolicy(
        config(window=2, weight=0.5, prior=0.5), [NextNPolicy(1, "access"), NextNPolicy(2, "access")], 0, 1
    )
    asked(same, 5)
    assert asked(same, 6) == [(7, 0.75), (8, 0.5)]
    asked(same, 20)
    one = AccessRun(np.array([21], np.uint64), np.zeros(1, np.uint32), np.zeros(1, np.uint8), {"op": np.zeros(1)})
    found = same.decide([one]).answers[0]
    assert (list(found.keys), list(found.experts)) == ([22, 23], [0, 1])
    # Named by two, first by the less sure one, whose guesses at hits have not come: it is the other's.
    two = HybridPolicy(
        config(window=1, weight=0.5, prior=0.5), [NextNPolicy(2, "access"), NextNPolicy(1, "miss", 2)], 0, 1
    )
    assert asked(two, 100, Outcome.HIT) == [(101, 0.5), (102, 0.5)]
    asked(two, 200, Outcome.HIT)
    one = AccessRun(np.array([300], np.uint64), np.zeros(1, np.uint32), np.full(1, 4, np.uint8), {"op": np.zeros(1)})
    found = two.decide([one]).answers[0]
    assert (list(found.keys), list(found.experts)) == ([302, 301], [1, 0])


def test_it_never_wants_more_than_an_eighth_of_tier_0() -> None:
    made = config(experts=[{"kind": "next_n", "n": 9, "trigger": "access"}], degree=7)
    for room, most in ((2**62, 7), (56, 7), (47, 5), (3, 1)):
        policy = made.build(Given(lambda per_stream, needs=(): [], 0, room=lambda room=room: room)).policy
        assert isinstance(policy, HybridPolicy)
        assert len(asked(policy, 100)) == most


def test_at_first_a_precision_is_the_mean() -> None:
    """Of the prior, which is as much as four blocks, and of what came."""
    it = HybridPolicy(config(window=1, weight=0.01, prior=0.5), [NextNPolicy(1, "access")], 0.0, 1)
    found = [it.precisions[0][0] for key in (1, 2, 3, 9, 10) if asked(it, key)]
    assert np.allclose(found, [2 / 4, 3 / 5, 4 / 6, 4 / 7, 5 / 8])


def test_what_pays_follows_what_is_heard() -> None:
    """A wrong block costs as estimated at first, and more where it pushed out what was needed, or links are busy."""
    timing = Timing(1000, lambda h: 0.0, wrong_ns=250, inference_ns=None, is_sync=False, occupied_ns=32)
    it = HybridPolicy(config(prior=0.2), [NextNPolicy(1, "access")], 0.0, 1, timing)
    assert it.hears
    # 250 / (1000 + 250): a precision of 0.2 is just enough, and 0.36 is by far.
    assert asked(it, 1) == [(2, 0.2)]
    assert asked(it, 2) == [(3, pytest.approx(0.36))]
    # 64 blocks in vain beside the 64 estimated, and 112 misses on what they pushed out: 1,000 each.
    it.told(Told([9] * 64, [Fate.EVICTED_UNUSED] * 64, n_polluted=112))
    assert asked(it, 9) == []
    # None of these does any harm: it is 250 each again.
    it.told(Told([9] * 384, [Fate.EVICTED_UNUSED] * 384))
    assert asked(it, 20, Outcome.HIT) == [(21, pytest.approx(0.36))]
    # 3,000 are late beside 64 in time and 64 that are thought to have been: each keeps some 23 others waiting.
    it.told(Told([9] * 64, [Fate.TIMELY] * 64))
    it.told(Told([9] * 3000, [Fate.LATE] * 3000))
    assert asked(it, 30, Outcome.HIT) == []


def test_half_is_forgotten() -> None:
    timing = Timing(1000, lambda h: 0.0, wrong_ns=0, inference_ns=None, is_sync=False)
    it = HybridPolicy(config(), [NextNPolicy(1, "access")], 0.0, 1, timing)
    it.told(Told([1] * 4095, [Fate.EVICTED_UNUSED] * 4095, n_polluted=1000))
    assert it.heard == {"n_timely": 0, "n_late": 0, "n_wrong": 4095, "n_polluted": 1000}
    it.told(Told([1, 2], [Fate.LATE, Fate.CANCELLED]))
    assert it.heard == {"n_timely": 0, "n_late": 0, "n_wrong": 2047, "n_polluted": 500}


def test_a_rule_that_hears_is_the_same_in_engine_and_model() -> None:
    timing = Timing(1000, lambda h: 0.0, wrong_ns=100, inference_ns=None, is_sync=False, occupied_ns=1000)
    found, heard = [], []
    for of in (Engine, Model):
        it = HybridPolicy(config(weight=0.1), [NextNPolicy(2, "access", 8)], 0.0, N_STREAMS, timing)
        found.append(everything(of, it, fixed(0), {}, capacity="40 B"))
        heard.append(it.heard)
    assert found[0] == found[1]
    assert heard[0] == heard[1]
    assert heard[0]["n_late"] > 0
    assert heard[0]["n_polluted"] > 0


def hybrid(threshold: float = 0.05) -> HybridPolicy:
    experts = [NextNPolicy(2, "access", 8), CompiledLstmPolicy(predictor("key"), 0.0, N_STREAMS)]
    return HybridPolicy(config(degree=3, weight=0.1), experts, threshold, N_STREAMS)


def test_with_an_lstm_a_run_is_the_same_however_it_asks() -> None:
    """The engine asks all of it without Python; the model asks by ``decide``. A best guess held back is told, too."""
    for charge, inference in RUNS_OF:
        ours = everything(Engine, hybrid(), charge(), inference)
        named_by = ours.get("prefetches.expert", "")
        assert "0" in named_by
        assert ours == everything(Model, hybrid(), charge(), inference)
        without = HybridPolicy(config(degree=3, weight=0.1), [NextNPolicy(2, "access", 8)], 0.05, N_STREAMS)
        assert ours != everything(Engine, without, charge(), inference)
    silent = everything(Engine, hybrid(1.0), fixed(0), {})
    assert "prefetches.key" not in silent or silent["prefetches.key"] == "[]"
    assert silent["inferences.predicted_key"].count(",") > 50


def taken_by(policy: HybridPolicy) -> list[int]:
    """What each batch of a run took."""
    taken: list[int] = []

    def note(decision: Any) -> Any:
        taken.append(decision.host_ns)
        return measured(decision)

    everything(Model, policy, note, {}, "1 ms")
    return taken


def test_tables_alone_are_timed_on_demand() -> None:
    experts = [NextNPolicy(2, "access", 8)]
    silent, timed = (HybridPolicy(config(degree=3), experts, 0.05, N_STREAMS, is_timed=it) for it in (False, True))
    assert not silent.table.is_timed
    assert min(taken_by(timed)) > 0
    found = everything(Engine, HybridPolicy(config(degree=3), experts, 0.05, N_STREAMS, is_timed=True), measured, {})
    charged = [int(ns) for ns in found["inferences.charged_ns"].strip("[]").split(", ")]
    assert sum(ns > 0 for ns in charged) > 50


def test_what_asking_takes_is_charged_once_for_all() -> None:
    it = hybrid()
    assert it.table.is_timed
    assert it.table.is_learned
    assert min(taken_by(it)) > 0


def test_experts_that_python_asks_are_refused(tmp_path: Path) -> None:
    content = only_lstm({"kind": "free"})
    experts = [{"kind": "next_n"}, {"kind": "gate", "policy": {"kind": "next_n"}}]
    content["arms"][1] = {"name": "hybrid", "policy": {"kind": "hybrid", "experts": experts}}
    result = call(write(tmp_path, content), "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "policy.experts.1: 'gate' is asked by Python" in result.output
