"""Policies that go on learning while they are asked (rule R43): what it takes by hand, in both engines; networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from policies.given import Accesses, Given
from policies.lstm.build import build_lstm
from policies.lstm.config import LstmConfig
from policies.models.updated import UpdatedPolicy
from policies.registry import POLICIES
from simulator.charge import fixed
from simulator.config import Open
from simulator.engine import Engine
from simulator.errors import InputError
from simulator.model.model import Model
from simulator.policy import AccessRun, Ahead, Answer, Decision, Told, Trigger, Update
from tests.strategies import ListSink, books, system, workload
from tests.test_experiment import LSTM, call, config, table, write


class Learning:
    """Begins the updates of a list with the questions of their numbers, and keeps when it was told that one was over.

    Accesses come every 100 ns, and a question takes 30.
    """

    trigger = Trigger.ACCESS
    footprint_bytes = 0
    ahead = Ahead()

    def __init__(self, updates: dict[int, Update]) -> None:
        self.updates, self.n_asked = updates, 0
        self.told_before: list[int] = []

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        self.n_asked += 1
        return Decision([Answer() for _ in runs], update=self.updates.get(self.n_asked - 1))

    def told(self, told: Told) -> None:
        if told.is_updated:
            self.told_before.append(self.n_asked)


@pytest.fixture(params=[Engine, Model], ids=["compiled", "model"])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


def run(make: Any, policy: Any, n: int = 6, **inference: Any) -> tuple[list[tuple[int, ...]], list[int]]:
    """Of each update: access, begun, started, ended, preempted; and the service of each access."""
    sink = ListSink()
    kept = books(sink)
    trace = workload([7] * n, time_ns=[100 * i for i in range(n)])
    machine = system(50, inference={"gpu_slowdown": 2.0, **inference})
    make(machine, Open.model_validate({"kind": "open"}), trace, policy, fixed(30), kept).run()
    rows = sink.columns("accesses")
    service = rows["service_ns"][rows["access"].argsort()].tolist()
    return [(u.access, u.begun_ns, u.started_ns, u.ended_ns, u.n_preempted) for u in kept.updates], service


def test_on_the_server_it_runs_while_nobody_asks(make: Any) -> None:
    # The question of 0 takes the server until 30. Then 70 until that of 100, 70 from 130 on, and 60 from 230 on.
    policy = Learning({0: Update(200, shares=True)})
    updates, _ = run(make, policy)
    assert updates == [(0, 0, 30, 290, 2)]
    # Before question 3, of 300.
    assert policy.told_before == [3]


def test_a_device_of_its_own_waits_for_nobody(make: Any) -> None:
    # It is over at the instant of the access of 200, and completions come first: its question knows.
    policy = Learning({0: Update(200)})
    assert run(make, policy)[0] == [(0, 0, 0, 200, 0)]
    assert policy.told_before == [2]


def test_a_second_server_is_free_for_it(make: Any) -> None:
    assert run(make, Learning({0: Update(200, shares=True)}), servers=2)[0] == [(0, 0, 0, 200, 0)]


def test_what_takes_no_time_is_over_at_once(make: Any) -> None:
    policy = Learning({0: Update(0, shares=True), 1: Update(0)})
    assert run(make, policy)[0] == [(0, 0, 0, 0, 0), (1, 100, 100, 100, 0)]
    assert policy.told_before == [1, 2]


def test_what_is_not_over_at_the_end_says_so(make: Any) -> None:
    # The last access is served at 501 or so, and its question is not answered any more.
    policy = Learning({3: Update(10_000, shares=True)})
    assert run(make, policy)[0] == [(3, 300, 330, -1, 2)]
    assert policy.told_before == []


def test_tier_0_is_slower_beside_it_where_it_shares_the_device(make: Any) -> None:
    of_shared, of_aside = (run(make, Learning({0: Update(200, shares=shares)}))[1] for shares in (True, False))
    # From 200 on they hit, and are served as they are issued, when no question is being answered. Until 290 the update
    # is at work on the server.
    assert of_shared[2:] == [4, 2, 2, 2]
    assert of_aside[2:] == [2, 2, 2, 2]


def test_one_at_a_time(make: Any) -> None:
    with pytest.raises(ValueError, match="begins an update at access 1, but one is not over"):
        run(make, Learning({0: Update(1_000), 1: Update(1)}))


# -- networks ---------------------------------------------------------------------------------------------------------
SMALL = {**LSTM, "encoding": "delta", "layers": 1, "dropout": 0.0, "epochs": 4, "in_gpu_memory": False}
UPDATE = {"every": 100, "window": 200, "takes": "1 ms"}
STEPS = np.array([1, 1, 5, 2], np.uint64)


def walk(first: int, steps: Any, n: int) -> Any:
    return (first + np.cumsum(np.resize(steps, n))).astype(np.uint64)


def built(**changes: Any) -> Any:
    """Trained on one walk."""
    keys = walk(0, STEPS, 800)
    sequences = [Accesses(keys, np.zeros(len(keys), bool))]
    chosen = LstmConfig.model_validate({**SMALL, "update": UPDATE, "degree": 1, **changes})
    return build_lstm(chosen, Given(lambda per_stream, needs=(): sequences, 0))


def shown(keys: Any) -> list[AccessRun]:
    """A question about each."""
    reads = np.zeros(1, np.uint8)
    return [
        AccessRun(keys[i : i + 1], np.zeros(1, np.uint32), np.full(1, 4, np.uint8), {"op": reads})
        for i in range(len(keys))
    ]


def right(policy: Any, keys: Any) -> float:
    """The share of guesses that name the next key; what the policy begins is over at the next question."""
    n = 0
    for i, run_ in enumerate(shown(keys[:-1])):
        decision = policy.decide([run_])
        n += decision.answers[0].predicted_key == keys[i + 1]
        if decision.update is not None:
            policy.told(Told(is_updated=True))
    return n / (len(keys) - 1)


@pytest.mark.parametrize("backend", ["compiled", "eager"])
def test_it_learns_what_has_changed(backend: str) -> None:
    # The steps are those of the training part, in another order: what was learnt is wrong.
    other = walk(10_000, STEPS[[2, 0, 3, 1, 0, 0]], 1_200)
    with_updates = built(backend=backend, update={**UPDATE, "learning_rate": 0.02, "passes": 2}).policy
    without = built(backend=backend, update=None).policy
    assert right(without, other) < 0.7
    right(with_updates, other[:800])
    assert right(with_updates, other[800:]) > 0.9


def test_old_weights_answer_until_it_is_told() -> None:
    keys = walk(500, STEPS[::-1], 400)
    policy, without = built().policy, built(update=None).policy
    assert isinstance(policy, UpdatedPolicy)
    updates = []
    for run_ in shown(keys):
        decision = policy.decide([run_])
        assert decision.answers == without.decide([run_]).answers
        updates += [decision.update] * (decision.update is not None)
    # One: the next one is not begun before it is over.
    assert [(u.charged_ns, u.shares, u.n_accesses) for u in updates] == [(1_000_000, True, 100)]
    assert updates[0].host_ns > 0
    assert 0 < updates[0].loss < 10
    policy.told(Told(is_updated=True))
    more = shown(walk(900, STEPS, 50))
    theirs = [without.decide([run_]).answers[0].confidence for run_ in more]
    assert [policy.decide([run_]).answers[0].confidence for run_ in more] != theirs


def test_backends_agree_on_what_was_learnt() -> None:
    keys = walk(500, STEPS[::-1], 300)
    policies = [built(backend=backend).policy for backend in ("compiled", "eager")]
    found = []
    for policy in policies:
        right(policy, keys)
        found.append([policy.decide([run_]).answers[0].confidence for run_ in shown(walk(0, STEPS, 20))])
    np.testing.assert_allclose(*found, atol=1e-4)


def test_training_on_the_caches_own_device_takes_memory() -> None:
    sizes = {
        where: built(in_gpu_memory=True, update={**UPDATE, "where": where}).policy.footprint_bytes
        for where in ("shared", "side")
    }
    policy = built(in_gpu_memory=True, update=None).policy
    n_weights = sum(p.numel() for p in policy.predictor.kept.trained.model.parameters())
    assert sizes == {"side": policy.footprint_bytes, "shared": policy.footprint_bytes + 4 * 4 * n_weights}


def experiment(**update: Any) -> dict[str, Any]:
    arms = ["none"]
    for where in ("free", "shared", "side"):
        takes = {} if where == "free" else {"takes": "3 ms", **update}
        policy = {**SMALL, "update": {"every": 100, "window": 200, "where": where, **takes}}
        arms.append({"name": where, "policy": policy, "charge": "fixed(latency=20 us)"})  # type: ignore[arg-type]
    return config(seeds=[0], arms=arms)


def tables_in(folder: Path) -> dict[str, pd.DataFrame]:
    found = {}
    for path in sorted(folder.glob("*/*.parquet")):
        frame = pd.read_parquet(path)
        of_the_wall = ("host_ns", "cpu_ns", "device_ns", "train_s")
        found[path.relative_to(folder).as_posix()] = frame.drop(columns=[c for c in of_the_wall if c in frame])
    return found


def test_what_a_run_says_of_it(tmp_path: Path) -> None:
    path = write(tmp_path, experiment())
    for out, engine in (("out", "compiled"), ("again", "simpy")):
        result = call(path, "--out", tmp_path / out, "--set", f"engine={engine}", "--quiet")
        assert result.exit_code == 0, result.output
    found, again = tables_in(tmp_path / "out"), tables_in(tmp_path / "again")
    assert found.keys() == again.keys()
    for name, frame in found.items():
        pd.testing.assert_frame_equal(frame, again[name])
    runs = table(tmp_path / "out", "runs.parquet").set_index("arm")
    assert runs.loc["none", ["n_updates"]].isna().all()
    # 600 accesses, one every 100 begins one: at a think time of 1 ms each is over within four accesses.
    assert runs.loc[["free", "shared", "side"], "n_updates"].tolist() == [6, 6, 6]
    assert runs.loc[["free", "side"], "mean_update_charged_ns"].tolist() == [0, 3e6]
    assert runs.loc[["free", "side"], "mean_update_age_ns"].tolist() == [0, 3e6]
    # It gives way to the questions of three accesses, each of 20 us.
    assert runs.loc["shared", "mean_update_age_ns"] > 3e6 + 3 * 20e3
    assert runs.loc["shared", "n_updates_preempted"] == found["updates/shared-0.parquet"]["n_preempted"].sum() > 6
    side = found["updates/side-0.parquet"]
    over = side.dropna()
    assert (over["ended_ns"] - over["begun_ns"]).eq(3_000_000).all()
    assert side["n_accesses"].tolist() == [100, *[200] * 5]


def test_free_is_free_and_a_replay_takes_as_long(tmp_path: Path) -> None:
    policy = {**SMALL, "update": {"every": 100, "window": 200}}
    arms = ["none", {"name": "lstm", "policy": policy}, {"name": "free", "policy": policy, "charge": "free"}]
    recorded = tmp_path / "recorded"
    first = call(write(tmp_path, config(seeds=[0], arms=arms)), "--out", recorded, "--quiet")
    assert first.exit_code == 0, first.output
    updates = table(recorded, "updates/free-0.parquet")
    assert updates["charged_ns"].eq(0).all()
    assert updates["host_ns"].gt(0).all()
    measured = table(recorded, "updates/lstm-0.parquet")
    assert (measured["charged_ns"] == measured["host_ns"]).all()
    charge = {"kind": "replay", "source": str(recorded)}
    again = config(seeds=[0], arms=["none", {"name": "lstm", "policy": policy, "charge": charge}])
    result = call(write(tmp_path, again, "again.yaml"), "--out", tmp_path / "again", "--quiet")
    assert result.exit_code == 0, result.output
    found, expected = tables_in(tmp_path / "again"), tables_in(recorded)
    for name in ("updates/lstm-0.parquet", "accesses/lstm-0.parquet", "prefetches/lstm-0.parquet"):
        if name in expected:
            pd.testing.assert_frame_equal(found[name], expected[name])
    # What updates were charged is sealed with the rest.
    path = recorded / "updates" / "lstm-0.parquet"
    frame = pd.read_parquet(path)
    frame["charged_ns"] += 1
    frame.to_parquet(path)
    changed = call(write(tmp_path, again, "again.yaml"), "--out", tmp_path / "changed", "--quiet")
    assert changed.exit_code == 2
    assert "was changed after it was recorded" in " ".join(changed.output.split())


REFUSED = [
    ({"update": {"every": 0, "window": 200}}, "update.every"),
    ({"update": {"every": 100}}, "update.window"),
    ({"update": {"every": 100, "window": 200, "where": "elsewhere"}}, "update.where"),
    ({"update": {"every": 100, "window": 200, "where": "free", "takes": "1 ms"}}, "goes with where: shared or side"),
    ({"update": UPDATE, "predictions": "batched"}, "predictions: one_by_one"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        POLICIES.validate({**SMALL, **changes})


def test_a_backend_that_keeps_its_weights_is_refused(tmp_path: Path) -> None:
    policy = {**SMALL, "update": UPDATE, "backend": "onnx"}
    result = call(write(tmp_path, config(arms=["none", {"name": "lstm", "policy": policy}])), "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "'onnx' cannot be updated while it runs" in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_any_network_is_updated(tmp_path: Path) -> None:
    policy = {
        "kind": "model", "model": "mlp", "encoder": "delta", "vocabulary": 16, "context": {"window": 4},
        "train": {"epochs": 2}, "update": UPDATE, "in_gpu_memory": False, "device": "cpu",
    }  # fmt: skip
    arms = ["none", {"name": "mlp", "policy": policy, "charge": "fixed(latency=1 us)"}]
    result = call(write(tmp_path, config(seeds=[0], arms=arms)), "--out", tmp_path / "out", "--quiet")
    assert result.exit_code == 0, result.output
    assert len(table(tmp_path / "out", "updates/mlp-0.parquet")) == 6


def test_no_expert_goes_on_learning_and_that_is_said_before_any_run() -> None:
    lstm = {"kind": "lstm", "device": "cpu", "update": UPDATE}
    chosen = POLICIES.validate({"kind": "hybrid", "experts": ["next_n", {"kind": "gate", "policy": lstm}]})
    with pytest.raises(InputError, match=r"policy.experts.1: 'gate' has an update"):
        chosen.check()


def test_weights_that_are_no_numbers_never_answer() -> None:
    with pytest.raises(InputError, match="training 1 gave weights that are no numbers; expected a smaller"):
        right(built(update={**UPDATE, "learning_rate": 1e30, "passes": 2}).policy, [*range(60)] * 20)
