"""Every backend computes what PyTorch's LSTM does, from any state, in any pieces."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from policies.lstm.backends.registry import BACKENDS
from policies.lstm.config import LstmConfig
from policies.lstm.model import LstmModel, weights_of
from policies.models.backend import Backend
from policies.models.codecs.registry import CODECS
from simulator.errors import InputError

TOLERANCE = 1e-4
CPU = torch.device("cpu")


def usable(kinds: Iterable[type[Backend]] = BACKENDS) -> list[Any]:
    """All backends; those that cannot run here are skipped with the reason."""
    marks = []
    for kind in kinds:
        reason = kind.missing()
        skip = [pytest.mark.skip(reason=reason)] if reason else []
        cuda = [pytest.mark.cuda] if kind.device == "cuda" else []
        marks.append(pytest.param(kind, id=f"{kind.name}-{kind.device}", marks=[*skip, *cuda]))
    return marks


def network(seed: int, layers: int, hidden: int, encoding: str) -> tuple[LstmModel, LstmConfig]:
    """A model with random weights, larger than training would start with: saturated gates, scores of some size."""
    config = LstmConfig.model_validate(
        {"kind": "lstm", "layers": layers, "hidden": hidden, "embedding": 12, "encoding": encoding, "page_blocks": 4,
         "horizons": [1, 3]}
    )  # fmt: skip
    keys = np.random.default_rng(seed).integers(0, 50, 200).astype(np.uint64)
    torch.manual_seed(seed)
    model = LstmModel(CODECS[encoding].learn([keys], config), config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
    return model, config


def inputs(model: LstmModel, rng: np.random.Generator, n_rows: int, n_steps: int) -> Any:
    sizes = [layer.num_embeddings for layer in model.embeddings]
    return np.stack([rng.integers(0, int(size), (n_rows, n_steps)) for size in sizes], axis=-1)  # type: ignore[arg-type]


def expected(model: LstmModel, classes: Any, horizon: int) -> Any:
    first, end = model.spans[horizon][0][0], model.spans[horizon][-1][1]
    with torch.inference_mode():
        scores, _ = model(torch.from_numpy(classes))
    return scores[:, -1, first:end].numpy()


@pytest.mark.parametrize("kind", usable())
@given(
    seed=st.integers(0, 2**16),
    layers=st.integers(1, 3),
    hidden=st.sampled_from([1, 3, 8, 30]),
    encoding=st.sampled_from(sorted(CODECS)),
    n_rows=st.integers(1, 3),
    steps=st.lists(st.integers(1, 70), min_size=1, max_size=3),
    horizon=st.sampled_from([1, 3]),
)
def test_same_scores_as_the_model(
    kind: type[Backend], seed: int, layers: int, hidden: int, encoding: str, n_rows: int, steps: list[int], horizon: int
) -> None:
    """Random weights and inputs, handed over in pieces: the state goes on from each to the next."""
    model, _ = network(seed, layers, hidden, encoding)
    classes = inputs(model, np.random.default_rng(seed), n_rows, sum(steps))
    backend = kind(weights_of(model, horizon))
    states = [backend.new_state() for _ in range(n_rows)]
    at = 0
    for n in steps:
        scores = backend.advance(classes[:, at : at + n], states)
        at += n
    wanted = expected(model, classes, horizon)
    assert scores.shape == wanted.shape
    np.testing.assert_allclose(scores, wanted, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("kind", usable())
def test_the_default_size_over_a_long_run(kind: type[Backend]) -> None:
    """Two layers of 64: rounding does not add up over a thousand carried steps, one access at a time."""
    config = LstmConfig.model_validate({"kind": "lstm"})
    keys = np.arange(300, dtype=np.uint64)
    torch.manual_seed(0)
    model = LstmModel(CODECS["key"].learn([keys], config), config).eval()
    classes = inputs(model, np.random.default_rng(0), 1, 1000)
    backend = kind(weights_of(model, 1))
    state = backend.new_state()
    for at in range(1000):
        scores = backend.advance(classes[:, at : at + 1], [state])
    np.testing.assert_allclose(scores, expected(model, classes, 1), atol=TOLERANCE)


@pytest.mark.parametrize("kind", usable())
def test_states_are_independent(kind: type[Backend]) -> None:
    """A copy goes its own way and leaves the original alone; streams that take turns do not mix."""
    model, _ = network(1, 2, 8, "key")
    rng = np.random.default_rng(1)
    a, b, c = (inputs(model, rng, 1, 5) for _ in range(3))
    backend = kind(weights_of(model, 1))
    first, other = backend.new_state(), backend.new_state()
    backend.advance(a, [first])
    backend.advance(b, [other])
    branch = backend.copy(first)
    backend.advance(c, [branch])
    np.testing.assert_allclose(
        backend.advance(b, [first]), expected(model, np.concatenate([a, b], axis=1), 1), atol=TOLERANCE
    )
    np.testing.assert_allclose(
        backend.advance(a, [branch]), expected(model, np.concatenate([a, c, a], axis=1), 1), atol=TOLERANCE
    )
    np.testing.assert_allclose(
        backend.advance(c, [other]), expected(model, np.concatenate([b, c], axis=1), 1), atol=TOLERANCE
    )


@pytest.mark.parametrize("kind", usable())
def test_a_batch_and_then_each_alone(kind: type[Backend]) -> None:
    """States that went together go on apart, over one access and over several."""
    model, _ = network(2, 2, 8, "page_offset")
    rng = np.random.default_rng(2)
    together, one, several = (inputs(model, rng, 2, n) for n in (4, 1, 3))
    backend = kind(weights_of(model, 3))
    states = [backend.new_state(), backend.new_state()]
    backend.advance(together, states)
    backend.advance(one[:1], states[:1])
    for row in (0, 1):
        path = [together[row : row + 1], *([one[:1]] if row == 0 else []), several[row : row + 1]]
        np.testing.assert_allclose(
            backend.advance(path[-1], [states[row]]), expected(model, np.concatenate(path, axis=1), 3), atol=TOLERANCE
        )


def test_auto_takes_the_fastest_and_says_what_it_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = network(0, 2, 8, "key")
    weights = weights_of(model, 1)
    backend, trial_ns = BACKENDS.pick("auto", CPU, weights, 1)
    assert set(trial_ns) == {kind.name for kind in BACKENDS.available("cpu")}
    assert trial_ns[backend.name] == min(trial_ns.values())
    assert BACKENDS.pick("eager", CPU, weights, 1)[0].name == "eager"
    slow = {"compiled": 3.0, "onnx": 2.0, "eager": 1.0}
    monkeypatch.setattr("policies.models.choice.trial", lambda backend, weights, n: slow[backend.name])
    assert BACKENDS.pick("auto", CPU, weights, 1)[0].name == "eager"


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(InputError, match="expected one of compiled, onnx, eager"):
        BACKENDS.named("cuda_graph", "cpu")
    assert BACKENDS.preferred("cuda_graph", "cpu").name == "compiled"
    assert BACKENDS.preferred("eager", "cpu").name == "eager"


@pytest.mark.parametrize("backend", ["compiled", "onnx"])
def test_a_backend_that_needs_the_cpu_gets_it(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with a GPU, where ``device: auto`` is the GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    config = LstmConfig.model_validate({"kind": "lstm", "backend": backend})
    config.check()
    assert config.wanted_device == "cpu"
    assert LstmConfig.model_validate({"kind": "lstm", "backend": "eager"}).wanted_device == "auto"


def test_onnx_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policies.models.onnx_runtime.find_spec", lambda name: None)
    assert "onnx" not in [kind.name for kind in BACKENDS.available("cpu")]
    with pytest.raises(InputError, match=r"tierfetch\[onnx\]"):
        BACKENDS.named("onnx", "cpu")
