"""The compiled engine against the model: the same tables to the byte, for anything that a config can ask for."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from experiments.config import Arm, Experiment
from experiments.loading import load
from experiments.plan import Run
from experiments.shared import SharedTrace, share_all
from experiments.single import run_one
from policies.given import Given
from policies.registry import POLICIES
from simulator.accounting import Keeps
from simulator.charge import fixed
from simulator.compiled import CHECKED
from simulator.engine import Engine
from simulator.evictions import compiled
from simulator.model.model import Model
from simulator.policy import Fate
from simulator.trace import make_batch
from tests.cases import ARRIVALS, Case, InParts, cases, trained
from tests.differential import assert_same, everything_of
from tests.strategies import system
from tests.test_configs import CONFIGS
from tests.test_experiment import call, config, table, write

# As plain Python, with checks, each takes some hundred times as long.
EXAMPLES = 25 if CHECKED else 500
OF_THE_MACHINE = "wall|host|device|cached|load_average|began_s|ended_s"
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(cases())
def test_random_systems(case: Case) -> None:
    assert_same(everything_of(Engine, case), everything_of(Model, case))


def test_a_part_that_hears_and_wants_a_hundred_at_once() -> None:
    """Beside a table that does not hear: each is told what is its own, and there is room for all of it (rule R44)."""
    experts = [{"kind": "next_n", "n": 100, "trigger": "access"}, {"kind": "next_n", "n": 2, "trigger": "access"}]
    hears, deaf = (
        POLICIES.validate(said) for said in (
            {"kind": "selector", "step": 2, "experts": experts}, {"kind": "markov", "trigger": "access"},
        )
    )  # fmt: skip

    def policy() -> InParts:
        return InParts(*(one.build(Given(trained, 0)).policy for one in (hears, deaf)))

    keys = np.random.default_rng(1).integers(0, 30, 200)
    case = Case(
        system(20, prefetch={"in_flight": 300, "queued": 300}), ARRIVALS.validate_python({"kind": "closed"}),
        make_batch(keys), 50, policy, lambda: fixed(150), Keeps(),
    )  # fmt: skip
    found = everything_of(Engine, case)
    assert_same(found, everything_of(Model, case))
    assert "100" in found["inferences.n_at_once"]
    assert found["n_fates"][Fate.EVICTED_UNUSED] > 0


@settings(max_examples=50, deadline=None, suppress_health_check=SLOW)
@given(cases())
def test_the_model_with_compiled_evictions(case: Case) -> None:
    assert_same(everything_of(Model, case, make_eviction=compiled.make), everything_of(Model, case))


def shortened(policy: Any, backend: str) -> Any:
    """The same, learning for a moment; experts are asked by compiled code."""
    if experts := getattr(policy, "experts", ()):
        return policy.model_copy(update={"experts": tuple(shortened(expert, "compiled") for expert in experts)})
    short = {"epochs": 1, "device": "cpu", "backend": backend}
    return policy.model_copy(update=short) if policy.kind == "lstm" else policy


def cut(experiment: Experiment, n_accesses: int) -> Experiment:
    """Its first accesses, and models that learn for a moment."""

    def settled(arm: Arm) -> Arm:
        policy = arm.policy
        if not policy.learns:
            return arm
        core = shortened(policy.core, "eager")
        whole = core if policy is policy.core else policy.model_copy(update={"policy": core})
        raw = arm.model_dump(mode="json") | {"policy": whole.model_dump(mode="json")}
        return Arm.model_validate(raw | {"charge": {"kind": "measured"}})

    raw = experiment.model_dump(mode="json")
    source = {"kind": "slice", "first": 0, "accesses": n_accesses, "source": raw["workload"]["source"]}
    raw["workload"]["source"] = source
    raw["output"] = {"window": raw["output"]["window"]}
    raw["arms"] = [settled(arm).model_dump(mode="json") for arm in experiment.arms]
    return Experiment.model_validate(raw)


def recorded(experiment: Experiment, arm: Arm, folder: Path, trace: SharedTrace) -> Arm:
    """The arm; one whose charge is measured runs once, and what comes back replays that."""
    if arm.charged.kind != "measured":
        return arm
    folder.mkdir(parents=True, exist_ok=True)
    run_one(experiment, Run(arm, experiment.seeds[0]), folder, trace=trace)
    return Arm.model_validate(arm.model_dump(mode="json") | {"charge": {"kind": "replay", "source": str(folder)}})


def same_files(one: Path, other: Path) -> int:
    """How many tables are the same to the bit, in rows and in what they say of themselves."""
    names = [path.relative_to(one) for path in sorted(one.glob("*/*.parquet"))]
    assert names == [path.relative_to(other) for path in sorted(other.glob("*/*.parquet"))]
    # Wall times, which a fixed charge leaves out of the simulation; and the seal over them.
    of_the_wall = {"train_s", "host_ns", "device_ns", "cpu_ns"}
    for name in names:
        found, expected = pq.read_table(one / name), pq.read_table(other / name)
        metadata = [pq.read_metadata(folder / name).metadata for folder in (one, other)]
        described = [{k: v for k, v in of_one.items() if k != b"seal_sha256"} for of_one in metadata]
        assert described[0] == described[1], name
        columns = [column for column in expected.column_names if column not in of_the_wall]
        assert found.column_names == expected.column_names
        assert found.select(columns).equals(expected.select(columns)), name
    return len(names)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs(path: Path, tmp_path: Path) -> None:
    experiments = load(path)
    for i, (variant, experiment) in enumerate(experiments.items()):
        if any(not source.exists() for source in _files(experiment)):
            pytest.skip("needs the traces (TIERFETCH_TRACES)")
        # Of many arms each has fewer: what it takes goes with both.
        short = cut(experiment, 1000 if len(experiment.arms) < 25 else 400)
        # Where there are variants, each has its share of the arms.
        arms = short.arms[i :: len(experiments)]
        # Written down once: to generate a batch of conversations takes longer than to run what is cut out of it.
        trace = share_all(short.workload.source, short.seeds[:1], tmp_path / variant / "trace")[short.seeds[0]]
        for given_arm in arms:
            arm = recorded(short, given_arm, tmp_path / variant / "recorded", trace)
            rows = []
            for engine in ("compiled", "simpy"):
                folder = tmp_path / variant / engine
                folder.mkdir(parents=True, exist_ok=True)
                run = Run(arm, short.seeds[0])
                rows.append(run_one(short.model_copy(update={"engine": engine}), run, folder, trace=trace).row)
                assert rows[-1].pop("engine") == engine
            of_the_run = [
                {name: str(value) for name, value in row.items() if not re.search(OF_THE_MACHINE, name)} for row in rows
            ]
            assert of_the_run[0] == of_the_run[1]
        n_tables = 4 * len(arms) + sum(has_model(arm.policy) for arm in arms)
        # And what was decided.
        n_tables += sum(has_model(arm.policy) and arm.charged.kind in ("measured", "replay") for arm in arms)
        assert same_files(tmp_path / variant / "compiled", tmp_path / variant / "simpy") == n_tables


def has_model(policy: Any) -> bool:
    """Whether a network is trained for it: tables that are warmed learn, too."""
    core = policy.core
    experts = getattr(core, "experts", ())
    # Those of a gate are a number.
    return core.kind in ("lstm", "model") or (isinstance(experts, tuple) and any(map(has_model, experts)))


def _files(experiment: Experiment) -> list[Path]:
    return experiment.workload.source.files()


def test_the_engine_is_said_and_shares_its_folder(tmp_path: Path) -> None:
    tables = config(seeds=[0], arms=config()["arms"][:2])
    path, out = write(tmp_path, tables), tmp_path / "out"
    first = call(path, "--out", out)
    assert "engine: compiled (auto)" in first.output
    assert set(table(out, "runs.parquet")["engine"]) == {"compiled"}
    # The results are the same, so the folder is.
    again = call(path, "--out", out, "--set", "engine=simpy")
    assert "2 of 2 runs are finished already" in again.output
    forced = call(path, "--out", out, "--set", "engine=simpy", "--force")
    assert "engine: simpy" in forced.output
    assert set(table(out, "runs.parquet")["engine"]) == {"simpy"}
    assert call(path, "--out", out, "--set", "engine=C").exit_code == 2


ROWS = [
    ({"kind": "sampled", "rate": 0.25}, Keeps(share=0.25)),
    ({"kind": "windowed", "length": 30, "every": 100}, Keeps(30, 100)),
    (False, Keeps(length=0)),
    (True, Keeps()),
]


@pytest.mark.parametrize(("given_rows", "keeps"), ROWS)
def test_rows_of_some_accesses(given_rows: Any, keeps: Keeps, tmp_path: Path) -> None:
    content = config(seeds=[0], arms=config()["arms"][:2])
    call(write(tmp_path, content), "--out", tmp_path / "all", "--quiet")
    whole = {arm: table(tmp_path / "all" / "accesses", f"{arm}-0.parquet") for arm in ("none", "next_n")}
    content["output"] = {"accesses": given_rows}
    assert call(write(tmp_path, content), "--out", tmp_path / "some", "--quiet").exit_code == 0
    if given_rows is False:
        assert not (tmp_path / "some" / "accesses").exists()
        return
    some = {arm: table(tmp_path / "some" / "accesses", f"{arm}-0.parquet") for arm in whole}
    for arm, frame in some.items():
        # Rows of the whole table, and the same accesses in every arm.
        assert frame.merge(whole[arm]).shape == frame.shape
        assert frame["access"].tolist() == some["none"]["access"].tolist()
    kept = set(some["none"]["access"])
    if given_rows is True:
        assert len(kept) == 600
    elif given_rows["kind"] == "windowed":
        assert kept == {access for access in range(600, 1200) if (access - 600) % 100 < 30}
    else:
        # 600 requests at 0.25: 150, with a standard deviation of 10.6.
        assert 100 < len(kept) < 200
    runs = [table(tmp_path / folder, "runs.parquet") for folder in ("all", "some")]
    assert runs[0]["mean_latency_ns"].tolist() == runs[1]["mean_latency_ns"].tolist()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"kind": "sampled", "rate": 1.5}, "output.accesses.sampled.rate"),
        ({"kind": "windowed", "length": 9, "every": 5}, "length: 9 is more than every: 5"),
        ({"kind": "some"}, "output.accesses"),
        ("often", "output.accesses"),
    ],
)
def test_bad_choice_of_rows(rows: Any, message: str, tmp_path: Path) -> None:
    result = call(write(tmp_path, config(output={"accesses": rows})), "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.output, result.output
    assert not (tmp_path / "out").exists()
