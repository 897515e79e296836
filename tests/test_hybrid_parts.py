"""A hybrid with a model among its experts, where questions cost something: tables answer at once, the model later."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.base import CompiledPolicy
from policies.given import Given
from policies.hybrid import HybridConfig, HybridPolicy
from policies.learned import LearnedPolicy
from policies.next_n import NextNPolicy
from policies.registry import POLICIES
from simulator.accounting import Books
from simulator.answers import HAS_GUESS
from simulator.charge import fixed, sampled
from simulator.config import Closed
from simulator.engine import Engine
from simulator.model.model import Model
from simulator.policy import AccessRun, Ahead, Answer, Decision, Status, Told, Trigger
from tests.cases import Case, InParts, cases
from tests.differential import differences, everything_of
from tests.naive_policies.mixed import Hybrid
from tests.strategies import ListSink, system, workload
from tests.test_experiment import call, config, write
from tests.test_policies import SMALL

N_STREAMS = 5
_TABLES: list[dict[str, Any]] = [{"kind": "next_n", "n": 2, "trigger": "miss"}, {"kind": "stride", "trigger": "access"}]


def _learn(state: Any, key: int, stream: int, outcome: int) -> None:
    state[1] = state[0]
    state[0] = key


def _want(state: Any, key: int, stream: int, keys: Any, confidences: Any) -> int:
    keys[0], confidences[0] = key + state[0] - state[1], 0.65
    keys[1], confidences[1] = key + 5, 0.25
    keys[2], confidences[2] = keys[0], 0.65
    return 2 | HAS_GUESS


def model() -> LearnedPolicy:
    """Names the last step again, and five on."""
    it = CompiledPolicy("access", np.zeros(2, np.int64), _learn, _want, 3)
    return LearnedPolicy(it, N_STREAMS, 0, is_timed=False)


def settled(**said: Any) -> HybridConfig:
    made = POLICIES.validate(
        {"kind": "hybrid", "experts": _TABLES, "degree": 2, "window": 6, "weight": 0.1, "threshold": 0.15} | said
    )
    assert isinstance(made, HybridConfig)
    return made


def hybrid(**said: Any) -> HybridPolicy:
    """The model comes first: experts are numbered as they are listed, whatever part they are of."""
    chosen = settled(**said)
    tables = [POLICIES.validate(one).build(Given(lambda per_stream, needs=(): [], 0)).policy for one in _TABLES]
    return HybridPolicy(chosen, [model(), *tables], chosen.threshold, N_STREAMS)


class AtOnce(Hybrid):
    """The twin of the part that answers at once: the hybrid of the tables; it keeps what it proposed last."""

    def __init__(self, said: HybridConfig) -> None:
        super().__init__(said)
        self.last: dict[int, dict[int, float]] = {}

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        found = super().want(key, stream)
        self.last[stream] = dict(found)
        return found


class Later:
    """The twin of the part that is asked by questions: it watches in the same list."""

    trigger, ahead, footprint_bytes, recalls, hears = Trigger.ACCESS, Ahead(of_stream=False), 0, True, False

    def __init__(self, tables: AtOnce, said: HybridConfig) -> None:
        self._tables, self._said = tables, said
        self._seen = [0, 0]

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        return Decision([self._answer(run) for run in runs])

    def _answer(self, run: AccessRun) -> Answer:
        tables, said = self._tables, self._said
        self._seen += run.key.tolist()
        key, stream = run.asking
        found: dict[int, float] = {}
        for guess, tenth in ((key + self._seen[-1] - self._seen[-2], 6), (key + 5, 2)):
            if guess != key and guess % 2**64 not in found:
                slot = (-1, tenth)
                found[guess % 2**64] = tables._precisions.setdefault(slot, said.prior)
                tables._watched.append((guess % 2**64, slot, tables._now + said.window))
        best = sorted(found.items(), key=lambda one: -one[1])[: said.degree]
        before, kept = tables.last.get(stream, {}), []
        for guess, sure in best:
            n_before = sum(other >= sure for other in before.values()) + len(kept)
            if sure >= said.threshold and guess not in before and n_before < said.degree:
                kept.append((guess, sure))
        guess, its = (best[0][0], max(best[0][1], 0.0)) if best else (None, float("nan"))
        return Answer([one for one, _ in kept], [sure for _, sure in kept], guess, its)

    def told(self, told: Told) -> None:
        """Learns nothing from fates."""


def twin(**said: Any) -> InParts:
    made = settled(**said)
    at_once = AtOnce(made)
    return InParts(at_once, Later(at_once, made))


@st.composite
def charged(draw: st.DrawFn) -> Case:
    """Any system; each question costs something."""
    costs = [fixed, fixed(40), fixed(299), sampled]
    case, cost = draw(cases()), draw(st.sampled_from(costs))
    if cost is sampled:
        return replace(case, charge=lambda: sampled(np.array([0, 50, 300]), np.random.default_rng(5)))
    return replace(case, charge=lambda: fixed(1) if cost is fixed else cost)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=charged(), threshold=st.sampled_from([0, 0.15, 0.3]))
def test_equals_its_twin(case: Case, threshold: float) -> None:
    """The compiled one in the engine, the other in the model; that has no numbers of experts."""
    ours = everything_of(Engine, replace(case, policy=lambda: hybrid(threshold=threshold)))
    theirs = everything_of(Model, replace(case, policy=lambda: twin(threshold=threshold)))
    assert set(differences(ours, theirs)) <= {"prefetches.expert"}


def tables_of(make: Any, policy: Any, ns: int, **inference: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Questions and prefetches of a run whose answers take so long; a block comes in 1,100 ns."""
    sink, keys = ListSink(), [*range(60), *range(300, 420, 3), *range(20, 60)]
    closed = Closed.model_validate({"kind": "closed", "think": "200 ns"})
    whole = system(20, inference=inference)
    make(whole, closed, workload(keys, stream=[i % 2 for i in range(140)]), policy, fixed(ns), Books(sink, 10)).run()
    return pd.DataFrame(sink.columns("inferences")), pd.DataFrame(sink.columns("prefetches"))


RUNS: list[tuple[int, dict[str, Any]]] = [
    (50, {}), (2000, {}), (2000, {"queue": "fifo", "queue_limit": 2}), (2000, {"queue_limit": 0}),
    (100, {"mode": "sync"}), (700, {"stale_after": "500 ns"}),
]  # fmt: skip


@pytest.mark.parametrize(("ns", "inference"), RUNS)
def test_tables_propose_when_it_is_asked_and_the_model_when_it_is_answered(ns: int, inference: dict[str, Any]) -> None:
    """Whatever becomes of the question; each counts what both have proposed, and no block twice by one."""
    asked, fetched = tables_of(Engine, hybrid(prior=0.5), ns, **inference)
    by = asked.set_index("inference").loc[fetched["inference"]]
    is_table = (fetched["expert"] > 0).to_numpy()
    assert is_table.sum() > 30
    assert (fetched["proposed_ns"].to_numpy() == np.where(is_table, by["asked_ns"], by["ended_ns"])).all()
    is_over = (asked["status"] == Status.ANSWERED).to_numpy()
    assert (~is_table).any() == ("stale_after" not in inference)
    assert (asked["n_proposed"][~is_over & (asked["status"] != Status.STALE)] == 0).all()
    assert asked["n_issued"].sum() == len(fetched)
    if ns == 2000:
        assert asked["n_at_once"][~is_over].sum() > 20
    assert not fetched.duplicated(["inference", "key"]).any()


def test_the_model_speaks_of_what_tables_did_not_propose() -> None:
    """By hand: of the surest of both, as many as ``degree``, what is left; its guess is its own in any case."""

    def one(key: int) -> AccessRun:
        columns = {"op": np.zeros(1, np.uint8)}
        return AccessRun(np.array([key], np.uint64), np.zeros(1, np.uint32), np.full(1, 4, np.uint8), columns)

    for degree, left in ((8, [55]), (3, [55]), (2, [])):
        parts = hybrid(threshold=0, degree=degree).parts
        assert parts is not None
        assert parts.at_once is not None
        # Next-2 names 51 and 52; the model, after 49, 51 and 55, all of them with the precision of the prior.
        for key in (49, 50):
            tables, network = (part.decide([one(key)]).answers[0] for part in (parts.at_once, parts.later))
        assert (list(tables.keys), list(tables.experts)) == ([51, 52], [1, 1])
        assert (list(network.keys), list(network.experts)) == (left, [0] * len(left))
        assert network.predicted_key == 51


def test_free_it_is_asked_as_one() -> None:
    """What costs nothing is ranked together."""
    asked, fetched = tables_of(Engine, hybrid(), 0)
    whole = hybrid()
    whole.parts = None
    for found, expected in zip((asked, fetched), tables_of(Engine, whole, 0), strict=True):
        pd.testing.assert_frame_equal(found, expected)
    assert asked["n_at_once"].sum() == 0
    assert not tables_of(Engine, whole, 50)[1].equals(tables_of(Engine, hybrid(), 50)[1])


@pytest.mark.parametrize("make", [Engine, Model])
def test_parts_that_do_not_fit_are_refused(make: Any) -> None:
    it = hybrid()
    assert it.parts is not None
    wrong = InParts(NextNPolicy(1, "miss"), it.parts.later)
    with pytest.raises(ValueError, match="asked at MISS; expected ACCESS"):
        tables_of(make, wrong, 50)
    needy = NextNPolicy(1, "access")
    needy.needs = ("op", "pc")
    with pytest.raises(ValueError, match="needs pc; expected no column but op"):
        tables_of(make, InParts(needy, it.parts.later), 50)
    if make is Engine:
        with pytest.raises(ValueError, match="expected one that is neither"):
            tables_of(make, InParts(it.parts.later, it.parts.later), 50)


def test_recorded_decisions_are_those_of_the_model(tmp_path: Path) -> None:
    """Asked through Python, as a pace has it, and replayed without the network: tables answer at once all the same."""
    network = {**SMALL, "encoding": "delta", "backend": "compiled", "in_gpu_memory": False}
    policy = {"kind": "hybrid", "experts": [{"kind": "next_n", "n": 2, "trigger": "access"}, network], "threshold": 0}
    found = []
    for name, charge in (
        ("measured", {"kind": "measured", "pace": "simulated", "longest": "10 us"}),
        ("recomputed", {"kind": "replay", "source": str(tmp_path / "measured")}),
        ("recorded", {"kind": "replay", "source": str(tmp_path / "measured"), "decisions": "recorded"}),
    ):
        arms = ["none", {"name": "hybrid", "policy": policy, "charge": charge}]
        said = config(arms=arms, seeds=[0])
        said["workload"]["source"]["accesses"] = 300
        result = call(write(tmp_path, said, f"{name}.yaml"), "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
        folder = tmp_path / name
        found.append([pq.read_table(folder / table / "hybrid-0.parquet") for table in ("inferences", "prefetches")])
    measured, recomputed, recorded = found
    assert sum(measured[0]["n_at_once"].to_pylist()) > 30
    assert recomputed[0].equals(measured[0])
    assert recomputed[1].equals(measured[1])
    assert recorded[0].equals(measured[0])
    # Decisions are kept without the numbers of experts.
    assert recorded[1].drop(["expert"]).equals(measured[1].drop(["expert"]))
