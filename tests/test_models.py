"""Anybody's network as a policy: what it predicts, on which backends, and from which files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from policies.lstm.build import build_lstm
from policies.lstm.config import LstmConfig
from policies.models.backend import Backend
from policies.models.backends.registry import OF_CLASSES
from policies.models.call import Runnable
from policies.models.nets.gru import Gru
from policies.models.nets.settings import NETS
from simulator.plugins import fingerprints
from tests.model_forms import AFTER, CYCLE, SMALL, TRAIN, answers, at, built, config, given, written
from tests.test_lstm_backends import usable


def same(a: list[Any], b: list[Any]) -> None:
    assert any(keys for keys, _ in a)
    assert [keys for keys, _ in a] == [keys for keys, _ in b]
    for (_, ours), (_, theirs) in zip(a, b, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("backend", ["eager", "onnx"])
@pytest.mark.parametrize("encoding", ["key", "page_offset"])
def test_the_lstms_weights_predict_the_same_as_a_model(backend: str, encoding: str) -> None:
    """Weights, vocabulary and temperature of the kept file; one access a question, several, and two blocks each."""
    described = {"vocabulary": 32, "page_blocks": 4, "degree": 2, "threshold": 0.05, "device": "cpu"}
    lstm = build_lstm(
        LstmConfig.model_validate(
            {"kind": "lstm", "encoding": encoding, "backend": backend, **described, **SMALL, **TRAIN, "layers": 2}
        ),
        given(),
    )
    assert lstm.details["temperature"] != 1
    path = str(lstm.model_file)
    model = built(
        model="lstm", settings=SMALL, weights=path, vocabularies=path, encoder=encoding, backend=backend, **described
    )
    assert model.details["device"] == lstm.details["device"] == "cpu"
    assert model.details["backend"] == backend
    assert model.policy.footprint_bytes == lstm.policy.footprint_bytes
    same(answers(lstm), answers(model))
    same(answers(lstm, CYCLE[40:], 3), answers(model, CYCLE[40:], 3))


def test_an_lstms_state_dict_and_a_fitted_encoder_predict_the_same(tmp_path: Path) -> None:
    """Without the kept file: the vocabulary is fitted anew, and is the same; confidences need the temperature."""
    settings = LstmConfig.model_validate({"kind": "lstm", "backend": "eager", "device": "cpu", **SMALL, **TRAIN})
    lstm = build_lstm(settings, given())
    torch.save(lstm.policy.predictor.kept.trained.model.state_dict(), tmp_path / "state.pt")  # type: ignore[attr-defined]
    shape = {**SMALL, "layers": settings.layers}
    model = built(
        model="lstm", settings=shape, weights=str(tmp_path / "state.pt"), backend="eager", threshold=0.5,
        temperature=lstm.details["temperature"],
    )  # fmt: skip
    same(answers(lstm), answers(model))


@pytest.mark.parametrize(
    ("model", "context", "encoder"),
    [
        ("gru", "carried", "key"),
        ("gru", {"window": 3}, "page_offset"),
        ("mlp", {"window": 3}, "delta"),
        ("transformer", {"window": 4}, "page_offset"),
    ],
)
def test_each_network_learns_a_cycle(model: str, context: Any, encoder: str) -> None:
    """Trained here, it names the access so far ahead; all backends say the same; a second time it is found trained."""
    said = {
        "model": model, "context": context, "encoder": encoder, "train": {**TRAIN, "batch_size": 8}, "horizon": 2,
        "page_blocks": 4, "settings": {"dropout": 0.0},
    }  # fmt: skip
    eager, onnx = built(**said, backend="eager"), built(**said, backend="onnx")
    assert (eager.details["model_was_cached"], onnx.details["model_was_cached"]) == (False, True)
    assert eager.details["horizon"] == 2
    assert eager.training[0]["loss"] > eager.training[-1]["loss"]
    assert len(eager.warm_up) == 50
    found = answers(eager)
    same(found, answers(onnx))
    for key, (keys, _) in list(zip(CYCLE.tolist(), found, strict=False))[12:]:
        assert keys == [AFTER[AFTER[key]]]


def test_settings_are_the_arguments_of_their_networks() -> None:
    for name, (place, settings) in NETS.items():
        module, _, kind = place.partition(":")
        arguments = __import__(module, fromlist=[kind]).__dict__[kind].__init__.__code__.co_varnames
        assert set(settings.model_fields) <= set(arguments), name


@pytest.mark.parametrize("kind", [kind for kind in usable(OF_CLASSES) if "compile" not in kind.id])
def test_backends_compute_what_the_network_does(kind: type[Backend]) -> None:
    """In pieces, with states that go their own ways, and two streams together."""
    torch.manual_seed(0)
    module = Gru((9, 5), 7, embedding=6, hidden=6).eval()
    rng = np.random.default_rng(0)
    classes = np.stack([rng.integers(0, n, (2, 12)) for n in (9, 5)], axis=-1)
    with torch.no_grad():
        expected = module(torch.from_numpy(classes))[0].numpy()
    backend = kind(Runnable("gru", module, None, None, 2, (9, 5)))
    states = [backend.new_state(), backend.new_state()]
    np.testing.assert_allclose(backend.advance(classes[:, :4], states), expected[:, 3], atol=1e-4)
    branch = backend.copy(states[0])
    np.testing.assert_allclose(backend.advance(classes[:1, 4:5], [states[0]]), expected[:1, 4], atol=1e-4)
    np.testing.assert_allclose(backend.advance(classes[:1, 4:5], [branch]), expected[:1, 4], atol=1e-4)
    np.testing.assert_allclose(backend.advance(classes[1:, 4:5], [states[1]]), expected[1:, 4], atol=1e-4)
    np.testing.assert_allclose(backend.advance(classes[:, 5:], states), expected[:, -1], atol=1e-4)


@pytest.mark.parametrize("kind", [kind for kind in usable(OF_CLASSES) if "compile" in kind.id])
def test_compiled_it_is_the_same(kind: type[Backend]) -> None:
    """Over a window, as every new length is compiled anew."""
    module = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(1), nn.Linear(8, 3)).eval()
    classes = np.array([[[1], [4]], [[0], [2]]])
    with torch.no_grad():
        expected = module(torch.from_numpy(classes)).numpy()
    backend = kind(Runnable("net", module, None, 2, 1, (5,)))
    for row in (0, 1):
        found = backend.advance(classes[row : row + 1], [backend.new_state()])
        np.testing.assert_allclose(found, expected[row : row + 1], atol=1e-5)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("models"))


FORMS: list[dict[str, Any]] = [
    {"model": "nets.py:Net", "weights": "w.safetensors"},
    {"model": "nets.py:Net", "weights": "w.pt", "backend": "onnx"},
    {"model": "nets.py:Window", "weights": "w.pt", "context": {"window": 4}},
    {"model": "carried.pt2"},
    {"model": "window.pt2", "context": {"window": 4}},
    {"model": "window.pt", "context": {"window": 4}},
    {"model": "window.onnx", "context": {"window": 4}},
    {"model": "carried.onnx"},
    {"model": "nets.py:Net", "weights": "w16.safetensors", "encoder": "nets.py:Encoder"},
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form.values())).replace("/", ""))
def test_a_network_is_the_same_in_every_form(files: Path, form: dict[str, Any]) -> None:
    """It was told the cycle, and names what follows; an edited file is another one."""
    said = at(files, **form)
    for (keys, _), key in zip(answers(built(**said)), CYCLE.tolist(), strict=False):
        assert keys == [AFTER[key]]
    print_before = fingerprints(config(**said))
    assert print_before
    for touched in {Path(said[name].partition(":")[0]) for name in ("model", "weights", "encoder") if name in said}:
        whole = touched.read_bytes()
        try:
            touched.write_bytes(whole + b"\n")
            assert fingerprints(config(**said)) != print_before
        finally:
            touched.write_bytes(whole)


def test_a_person_s_encoder_is_asked_for_no_more_than_its_degree(files: Path) -> None:
    said = at(files, model="nets.py:Net", weights="w16.safetensors", encoder="nets.py:Encoder")
    assert answers(built(**said, degree=2))[0] == ([1, 2], [0.9, 0.3])
    assert answers(built(**said, degree=2, encoder_settings={"sure": 0.95}))[0][1] == [0.95, 0.3]
