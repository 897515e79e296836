"""What the double can only promise, on a GPU itself: ``make test-cuda``. Skipped where there is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from policies.given import Given
from policies.lstm.backends.registry import BACKENDS
from policies.lstm.build import build_lstm
from policies.lstm.model import weights_of
from policies.models.cuda import missing_cuda
from policies.models.device import pick_device
from policies.models.lanes import accesses_of
from policies.models.top import Choosing
from tests.test_cuda_policies import MODES, answers, config, decisions, trained, weights
from tests.test_experiment import only_lstm
from tests.test_lstm_backends import inputs, network
from tests.test_lstm_policy import CYCLE
from tests.test_lstm_recording import run

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(missing_cuda() is not None, reason="torch finds no CUDA device here"),
]
NAMES = ["cuda_graph", "eager", "triton"]


@pytest.fixture(params=NAMES)
def backend(request: pytest.FixtureRequest) -> str:
    """Each that can be used here."""
    kind = next(kind for kind in BACKENDS if kind.device == "cuda" and kind.name == request.param)
    reason = kind.missing()
    if reason is not None:
        pytest.skip(reason)
    return str(request.param)


def test_training_twice_gives_the_same_weights() -> None:
    """To the bit, with dropout."""
    first, again = (weights(trained(pick_device("cuda"), dropout=0.3, layers=2, hidden=64)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_it_decides_as_on_the_cpu(backend: str, mode: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two streams in turns and together, windows, roll-outs; the device's time lies within the host's."""
    monkeypatch.setattr("policies.models.store.model_hash", lambda *_: "device-" + "".join(sorted(str(mode))).strip())
    of_cpu, of_gpu = (
        build_lstm(
            config(backend=name, device=device, threshold=0.0, **mode),
            Given(lambda per_stream: [accesses_of(CYCLE[:210])], seed=0, n_streams=2),
        )
        for name, device in (("compiled", "cpu"), (backend, "cuda"))
    )
    made = decisions(of_gpu.policy)
    assert answers(made) == answers(decisions(of_cpu.policy))
    for decision in made:
        assert 0 < decision.device_ns < decision.host_ns


@pytest.mark.parametrize("encoding", ["key", "page_offset"])
def test_each_backend_chooses_the_same(backend: str, encoding: str) -> None:
    """Batches of all sizes, among them more than go in one launch, and more accesses than fit an order."""
    model, _ = network(3, 2, 30, encoding)
    network_weights, rng = weights_of(model, 1), np.random.default_rng(0)
    choosing = Choosing(np.array(network_weights.widths), 0.8, 3)
    made = [BACKENDS.named(name, device)(network_weights) for name, device in ((backend, "cuda"), ("compiled", "cpu"))]
    states = [[one.new_state() for _ in range(18)] for one in made]
    for n, steps in ((1, 1), (2, 1), (5, 3), (18, 1), (3, 130)):
        classes = inputs(model, rng, n, steps)
        found, expected = (one.best(classes, its[:n], choosing) for one, its in zip(made, states, strict=True))
        for (keys, sure), (wanted, its_sure) in zip(found, expected, strict=True):
            np.testing.assert_array_equal(keys, wanted)
            np.testing.assert_allclose(sure, its_sure, atol=1e-4)


def test_external_events_time_the_graph(backend: str) -> None:
    """A longer question takes the device longer, and reading the clock twice adds nothing.

    Of ``eager`` the device waits for the host, which needs no longer for 64 accesses than for one.
    """
    model, _ = network(3, 2, 64, "key")
    made = BACKENDS.named(backend, "cuda")(weights_of(model, 1))
    state, rng = made.new_state(), np.random.default_rng(0)

    def took(steps: int) -> int:
        times = []
        for _ in range(20):
            made.advance(inputs(model, rng, 1, steps), [state])
            times.append(made.take_device_time().device_ns)
        return int(np.median(times))

    one, many = took(1), took(64)
    assert one > 0
    assert one < many or backend == "eager"
    assert made.take_device_time().device_ns == 0


def test_a_recording_made_here_is_replayed_on_the_cpu(backend: str, tmp_path: Path) -> None:
    """What was decided is taken; the tables are the same to the bit, and say where the latencies come from."""
    content = only_lstm({"kind": "measured"})
    content["arms"][1]["policy"].update(device="cuda", backend=backend, dropout=0.0)
    theirs = run(tmp_path, "theirs", content)
    content["arms"][1]["policy"].update(device="cpu", backend="compiled")
    content["arms"][1]["charge"] = {"kind": "replay", "source": str(theirs), "decisions": "recorded"}
    ours = run(tmp_path, "ours", content)
    for name in ("accesses", "prefetches", "inferences", "windows", "decisions"):
        a, b = (pq.read_table(folder / name / "lstm-0.parquet") for folder in (theirs, ours))
        assert a.equals(b, check_metadata=False), name
    told = pq.read_metadata(ours / "inferences" / "lstm-0.parquet").metadata
    assert torch.cuda.get_device_name().encode() in told[b"provenance"]
