"""Training, deciding, running and replaying on the CUDA double."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from experiments.latency import measure
from policies.given import Given
from policies.lstm.build import build_lstm
from policies.lstm.config import LstmConfig
from policies.lstm.recipe import LstmRecipe
from policies.models.lanes import accesses_of
from policies.models.train import Trained, train
from simulator.policy import Decision
from tests.cuda_double.double import cuda_double
from tests.cuda_double.fixtures import machine as machine
from tests.cuda_double.fixtures import only_reading_takes_time as only_reading_takes_time
from tests.cuda_double.fixtures import without_waking
from tests.cuda_double.machine import Machine
from tests.model_forms import TRAIN, built
from tests.test_experiment import call, only_lstm, write
from tests.test_lstm_policy import CYCLE, SMALL, run_of

CUDA = torch.device("cuda", 0)
SHORT = {"epochs": 1, "dropout": 0.0, "hidden": 8}
TINY = {"epochs": 1, "layers": 1, "hidden": 8, "in_gpu_memory": True, "threshold": 0.0}


def config(**changes: Any) -> LstmConfig:
    return LstmConfig.model_validate({**SMALL, "device": "cuda", "backend": "cuda_graph", **SHORT, **changes})


def trained(device: torch.device, **changes: Any) -> Trained:
    return train([CYCLE[:150]], LstmRecipe(config(**changes)), 3, device)


def weights(model: Trained) -> list[Any]:
    return [part.detach().cpu().numpy() for part in model.model.state_dict().values()]


def test_training_twice_gives_the_same_weights(machine: Machine) -> None:
    """With dropout; without, those of the CPU, but for rounding."""
    first, again = (weights(trained(CUDA, dropout=0.3, layers=1)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    on_device = trained(CUDA)
    assert all(part.is_cuda for part in on_device.model.parameters())
    for a, b in zip(weights(on_device), weights(trained(torch.device("cpu"))), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def decisions(policy: Any) -> list[Decision]:
    """Two streams, in turns and in one batch; a stream twice in a batch, and several accesses at once."""
    keys = CYCLE.tolist()
    made = [policy.decide([run_of(keys[i : i + 1], [i % 2])]) for i in range(8)]
    made.append(policy.decide([run_of(keys[:1], [0]), run_of(keys[3:4], [1])]))
    made.append(policy.decide([run_of(keys[1:2], [0]), run_of(keys[2:3], [0])]))
    made.append(policy.decide([run_of(keys[4:9], [0, 1, 0, 1, 1])]))
    return made


def answers(made: list[Decision]) -> list[Any]:
    return [(answer.predicted_key, tuple(answer.keys)) for decision in made for answer in decision.answers]


MODES = [{}, {"inference": "window"}, {"expand": "rollout", "degree": 3}, {"per_stream": False}]


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("backend", ["cuda_graph", "eager"])
def test_it_decides_as_on_the_cpu(
    only_reading_takes_time: Machine, monkeypatch: pytest.MonkeyPatch, backend: str, mode: dict[str, Any]
) -> None:
    """With the same weights; and of what the host's time is, nothing is the reading of the device's clock."""
    monkeypatch.setattr("policies.models.store.model_hash", lambda recipe, *_: "".join(sorted(str(mode))).strip())
    made_by = {
        name: build_lstm(
            config(backend=name, device=device, threshold=0.0, **mode),
            Given(lambda per_stream: [accesses_of(CYCLE[:210])], seed=0, n_streams=2),
        )
        for name, device in (("compiled", "cpu"), (backend, "cuda"))
    }
    machine = only_reading_takes_time
    made = decisions(made_by[backend].policy)
    assert answers(made) == answers(decisions(made_by["compiled"].policy))
    assert machine.host_ns > 0
    assert {decision.host_ns for decision in made} == {0}
    assert all(decision.device_ns > 0 for decision in made)
    assert all(host_ns == 0 and device_ns > 0 for host_ns, device_ns in made_by[backend].warm_up)
    assert made_by[backend].details["device"] == "cuda: Double H100 80GB"


@pytest.mark.parametrize("inference", ["stateful", "window"])
def test_a_question_of_a_stream_that_asked_last(machine: Machine, inference: str) -> None:
    """The whole of ``decide``: a launch, a synchronization, and the events read once. So with a window that is full."""
    given = Given(lambda per_stream: [accesses_of(CYCLE[:70])], seed=0)
    policy = build_lstm(config(inference=inference), given).policy
    for key in CYCLE[:8].tolist():
        counts = machine.counted(lambda: policy.decide([run_of([key], [0])]))  # noqa: B023
    assert counts == {"graph_launch": 1, "stream_sync": 1, "elapsed": 1}


def tiny(charge: dict[str, Any], device: str) -> dict[str, Any]:
    """A run whose model is trained in a few steps: on the double each has hundreds of kernels."""
    content = only_lstm(charge)
    content["workload"]["source"] |= {"accesses": 240, "n_keys": 20}
    content["system"]["tiers"][0]["capacity"] = "68 KiB"
    content["arms"][1]["policy"] |= {**TINY, "device": device}
    return content


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small measured run on the double, all of it; and it is over when the next test begins."""
    folder = tmp_path_factory.mktemp("cuda")
    content = tiny({"kind": "measured"}, device="cuda")
    with pytest.MonkeyPatch.context() as patches, cuda_double():
        without_waking(patches)
        result = call(write(folder, content), "--out", folder / "out")
    assert result.exit_code == 0, result.output
    return folder / "out"


def test_a_run_is_recorded_and_replayed_without_a_gpu(recorded: Path, tmp_path: Path) -> None:
    """What it kept in GPU memory is part of the recording: on a CPU it would be less, and tier 0 another."""
    content = tiny({"kind": "replay", "source": str(recorded)}, device="cpu")
    result = call(write(tmp_path, content), "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    for name in ("accesses", "prefetches", "windows"):
        theirs, ours = (pq.read_table(folder / name / "lstm-0.parquet") for folder in (recorded, tmp_path / "out"))
        assert theirs.num_rows > 0
        # Of another backend, the last digits of a confidence may be others.
        if "confidence" in theirs.column_names:
            np.testing.assert_allclose(theirs["confidence"], ours["confidence"], atol=1e-5)
            theirs, ours = (table.drop_columns("confidence") for table in (theirs, ours))
        assert theirs.equals(ours, check_metadata=False)
    rows = [pd.read_parquet(folder / "runs.parquet").set_index("arm") for folder in (recorded, tmp_path / "out")]
    row, again = (found.loc["lstm"] for found in rows)
    assert row["device"] == "cuda: Double H100 80GB"
    assert again["device"] == "cuda: Double H100 80GB (recorded)"
    # Weights, copies of them, states and buffers are 9,972 bytes of it; the graphs' own memory is the rest.
    assert row["footprint_bytes"] == again["footprint_bytes"] > 15_000
    ours, cpus = row["backend_trial"].split("; with device: cpu ")
    assert {part.split()[0] for part in ours.split(", ")} == {"cuda_graph", "eager"}
    assert {"compiled", "eager"} <= {part.split()[0] for part in cpus.split(", ")}
    assert (row["gpu_reserved_bytes"], pd.isna(again["gpu_reserved_bytes"])) == (2 << 20, True)
    assert row["backend"] in ("cuda_graph", "eager")
    inferences = pd.read_parquet(recorded / "inferences" / "lstm-0.parquet")
    # Nothing is run for a question that a newer one has superseded.
    answered = inferences[inferences["status"].isin(["warm_up", "answered", "stale"])]
    assert (answered["device_ns"] > 0).all()
    assert (answered["status"] != "warm_up").sum() > 20


@pytest.mark.parametrize("backend", ["cuda_graph", "eager"])
@pytest.mark.parametrize(("model", "context"), [("gru", "carried"), ("transformer", {"window": 4})])
def test_any_network_decides_as_on_the_cpu(
    only_reading_takes_time: Machine, monkeypatch: pytest.MonkeyPatch, model: str, context: Any, backend: str
) -> None:
    monkeypatch.setattr("policies.models.store.model_hash", lambda recipe, *_: f"any-{model}")
    said: Any = {"model": model, "context": context, "settings": {"dropout": 0.0}, "train": {**TRAIN, "epochs": 1}}
    on_cpu = built(**said, backend="eager", device="cpu", threshold=0.0)
    ours = built(**said, backend=backend, device="cuda", threshold=0.0)
    made = [decisions(policy) for policy in (on_cpu.policy, ours.policy)]
    assert answers(made[0]) == answers(made[1])
    assert {decision.host_ns for decision in made[1]} == {0}
    assert all(decision.device_ns > 0 for decision in made[1])


def test_latencies_on_the_device(machine: Machine) -> None:
    """Both backends, carried and over a window: device times are those of graphs, exactly."""
    times = measure("cuda", [4], 100, 30, None)
    assert {(backend, window) for backend, _, window in times} == {
        (b, w) for b in ("cuda_graph", "eager") for w in (0, 4)
    }
    for (backend, where, _), (host, on_device) in times.items():
        assert where == "cuda: Double H100 80GB"
        assert len(host) == len(on_device) == 100
        assert len(set(on_device)) == 1 or backend == "eager"
