"""Anybody's network as a policy: what it predicts, on which backends, from which files, and what is refused."""

import json
import pickle
import re
import warnings
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from policies.given import Accesses, Built, Given
from policies.lstm.build import build_lstm
from policies.lstm.config import LstmConfig
from policies.models.backend import Backend
from policies.models.backends.onnx import exported as exported_to_onnx
from policies.models.backends.registry import OF_CLASSES
from policies.models.call import Runnable
from policies.models.config import ModelConfig
from policies.models.nets.gru import Gru
from policies.models.nets.settings import NETS
from simulator.errors import InputError, OutsideError
from simulator.plugins import fingerprints
from simulator.policy import AccessRun
from tests.test_lstm_backends import usable

CYCLE = np.tile(np.array([3, 1, 4, 15, 9, 2, 6], np.uint64), 95)
AFTER = dict(pairwise(CYCLE[:8].tolist()))
TRAIN = {"epochs": 12, "batch_size": 4, "learning_rate": 0.02, "window": 6}
SMALL = {"embedding": 16, "hidden": 16}
N_CLASSES = 8  # seven keys, and the unknown


def given(keys: Any = CYCLE) -> Given:
    return Given(lambda per_stream, needs=(): [Accesses(keys, np.zeros(len(keys), bool))], seed=0)


def config(**changes: Any) -> ModelConfig:
    usual = {"kind": "model", "device": "cpu", "vocabulary": 32, "threshold": 0.2}
    return ModelConfig.model_validate({**usual, **changes})


def built(**changes: Any) -> Built:
    settings = config(**changes)
    settings.check()
    return settings.build(given())


def answers(made: Built, keys: Any = CYCLE[:40], at_once: int = 1) -> list[Any]:
    """Keys and confidences of each answer, ``at_once`` accesses a question."""
    found = []
    for at in range(0, len(keys), at_once):
        part = keys[at : at + at_once]
        run = AccessRun(part, np.zeros(len(part), np.uint32), np.full(len(part), 4, np.uint8))
        answer = made.policy.decide([run]).answers[0]
        found.append((list(answer.keys), list(answer.confidences)))
    return found


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
    model = built(
        model="lstm", settings=SMALL, weights=str(tmp_path / "state.pt"), backend="eager", threshold=0.5,
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


NETS_PY = '''
import torch
from torch import nn


class Net(nn.Module):
    """Knows the cycle by heart: the score of a class is the weight that its last access gives it."""

    def __init__(self, n_inputs, n_scores, times: float = 1.0):
        super().__init__()
        self.table = nn.Embedding(n_inputs[0], n_scores)
        self.times = times

    def forward(self, classes, state=None):
        scores = self.table(classes[..., 0]) * self.times
        n = torch.zeros(1) if state is None else state
        return scores, n + classes.shape[1]


class Window(Net):
    def forward(self, classes):
        return super().forward(classes)[0][:, -1]


class Double(Window):
    def forward(self, classes):
        return super().forward(classes).double()


class Stateless(Net):
    def forward(self, classes, state=None):
        return self.table(classes[..., 0])


class Few(nn.Module):
    def __init__(self, n_inputs, n_scores):
        super().__init__()
        self.table = nn.Embedding(3, n_scores)

    def forward(self, classes):
        return self.table(classes[..., 0])


class Begins(Net):
    """What was never asked is something else to it than zeros."""

    def forward(self, classes, state=None):
        scores, after = super().forward(classes, state)
        return (scores - 1 if state is None else scores), after


class Fails(Window):
    def forward(self, classes):
        if int(classes.max()) == 7:
            raise ValueError("seven is too many")
        return super().forward(classes)


class Encoder:
    """Keys are classes as they are."""

    n_inputs, n_scores, needs = (16,), 16, ()

    def __init__(self, sure: float = 0.0):
        self.sure = sure

    def fit(self, training):
        self.n_seen = sum(len(part.keys) for part in training)

    def inputs(self, run):
        return run.key.astype("int64")[:, None]

    def answers(self, last_key, scores):
        best = int(scores.argmax())
        return [(best, max(self.sure, 0.9)), (best + 1, 0.3)]


class Negative(Encoder):
    def answers(self, last_key, scores):
        return [(-1, 0.5)]


class Sure(Encoder):
    def answers(self, last_key, scores):
        return [(1, float("nan"))]


class Half:
    def fit(self, training): ...
    def inputs(self, run): ...


class Flat(Encoder):
    def inputs(self, run):
        return run.key.astype("int32")
'''


def heart(n: int = N_CLASSES) -> torch.Tensor:
    """Scores of each class after each class: of seven keys in the order of their values, and the unknown."""
    classes = {key: i + 1 for i, key in enumerate(sorted(AFTER))} if n == N_CLASSES else {key: key for key in AFTER}
    table = torch.zeros(n, n)
    for key, after in AFTER.items():
        table[classes[key], classes[after]] = 6
    return table


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class, its weights in both forms, and the same network exported in every way."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "nets.py").write_text(NETS_PY)
    space: dict[str, Any] = {}
    exec(NETS_PY, space)
    save_file({"table.weight": heart()}, folder / "w.safetensors")
    save_file({"table.weight": heart(16)}, folder / "w16.safetensors")
    torch.save({"table.weight": heart()}, folder / "w.pt")
    net, window = space["Net"]((N_CLASSES,), N_CLASSES), space["Window"]((N_CLASSES,), N_CLASSES)
    for module in (net, window):
        module.load_state_dict({"table.weight": heart()})
    classes = torch.ones(1, 1, 1, dtype=torch.int64)
    four = torch.ones(1, 4, 1, dtype=torch.int64)
    torch.export.save(torch.export.export(net, (classes, torch.zeros(1))), folder / "carried.pt2")
    torch.export.save(torch.export.export(window, (four,)), folder / "window.pt2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(window, four).save(folder / "window.pt")
    (folder / "window.onnx").write_bytes(exported_to_onnx(Runnable("w", window, None, 4, 1, (N_CLASSES,))))
    (folder / "carried.onnx").write_bytes(exported_to_onnx(Runnable("c", net, None, None, 1, (N_CLASSES,))))
    return folder


def at(folder: Path, **changes: Any) -> dict[str, Any]:
    """Settings whose files lie in the folder."""
    for name in ("weights", "vocabularies"):
        if name in changes:
            changes[name] = str(folder / changes[name])
    for name in ("model", "encoder"):
        if "." in str(changes.get(name, "")):
            changes[name] = str(folder / changes[name])
    return changes


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


def refused(*expected: str, **changes: Any) -> None:
    """In one line, before anything runs or when it is built."""
    with pytest.raises(InputError) as caught:
        built(**changes)
    (line,) = str(caught.value).splitlines()
    for text in expected:
        assert text in line


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model": "nets.py:None_"}, "there is no None_"),
        ({"model": "nowhere.py:Net"}, "there is no file"),
        ({"model": "nets.py:Encoder"}, "expected a torch.nn.Module"),
        ({"weights": "nowhere.pt"}, "No such file"),
        ({"weights": "w16.safetensors"}, "table.weight is (16, 16), not (8, 8)"),
        ({"weights": "cut.safetensors"}, "is damaged"),
        ({"weights": "cut.pt"}, "is damaged"),
        ({"weights": "nan.safetensors"}, "table.weight has values that are no numbers"),
        ({"weights": "pickled.pt"}, "is a pickle"),
        ({"weights": "list.pt"}, "holds a list"),
        ({"settings": {"tims": 2}}, "no such setting; expected one of n_inputs, n_scores, times"),
        ({"settings": {"times": "x"}}, "policy.settings.times: "),
        ({"settings": {"times": float("nan")}}, "scores that are no numbers"),
        ({"context": {"window": 4}, "model": "nets.py:Double"}, "scores of type float64; expected float32"),
        ({"model": "nets.py:Stateless"}, "expected (scores, state)"),
        ({"model": "nets.py:Window"}, "takes 2 positional arguments but 3 were given"),
        ({"context": {"window": 4}, "model": "nets.py:Fails"}, "ValueError: seven is too many; "),
        ({"model": "nets.py:Begins", "backend": "onnx"}, "begins with a state of zeros"),
        ({"encoder": "nets.py:Half"}, "has no answers"),
        ({"encoder": "nets.py:Flat"}, "gave int32 of shape"),
        ({"encoder": "nets.py:Encoder", "encoder_settings": {"certain": 1}}, "policy.encoder_settings.certain"),
        ({"vocabularies": "w.safetensors"}, "has no vocabularies of encoder 'key'"),
    ],
    ids=str,
)
def test_a_class_that_does_not_fit_is_refused(files: Path, changes: dict[str, Any], expected: str) -> None:
    whole = (files / "w.safetensors").read_bytes()
    (files / "cut.safetensors").write_bytes(whole[:-50])
    (files / "cut.pt").write_bytes((files / "w.pt").read_bytes()[:-200])
    save_file({"table.weight": heart() * float("nan")}, files / "nan.safetensors")
    torch.save(nn.Linear(2, 2), files / "pickled.pt")
    torch.save([torch.zeros(2)], files / "list.pt")
    refused(expected, **at(files, **{"model": "nets.py:Net", "weights": "w.safetensors", **changes}))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model": "pickled.pt"}, "is a pickle, which could run any code"),
        ({"model": "cut.pt2"}, "is damaged or was not written by torch.export.save"),
        ({"model": "cut.onnx", "context": {"window": 4}}, "is damaged or no ONNX model"),
        ({"model": "window.pt2"}, "was exported with 1 inputs; expected classes and a state"),
        ({"model": "window.onnx"}, "expected classes and state in"),
        ({"model": "carried.onnx", "context": {"window": 4}}, "expected one input and one output"),
        (
            {"model": "window.pt2", "context": {"window": 9}},
            "what encoder 'key' gives, inputs int64 (1, 9, 1)",
        ),
        ({"model": "window.pt", "context": {"window": 4}, "vocabulary": 3}, "8 scores, but encoder 'key' has 4"),
        ({"model": "nowhere.pt2"}, "No such file"),
        ({"model": "nowhere.onnx"}, "No such file"),
    ],
    ids=str,
)
def test_a_file_that_does_not_fit_is_refused(files: Path, changes: dict[str, Any], expected: str) -> None:
    torch.save(nn.Linear(2, 2), files / "pickled.pt")
    for name in ("window.pt2", "window.onnx"):
        (files / f"cut{Path(name).suffix}").write_bytes((files / name).read_bytes()[:-300])
    refused(expected, **at(files, **changes))


class _Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


OPAQUE = "data/constants/opaque_obj_0"


@pytest.mark.parametrize(
    "record", ["data/sample_inputs/model.pt", "data/weights/weight_0", "data/weights/model.pt", OPAQUE]
)
def test_nothing_is_unpickled(files: Path, tmp_path: Path, record: str) -> None:
    """Pickles that leave a mark, wherever torch.export.load would read one, and in place of weights and networks."""
    mark, pickled = tmp_path / "mark", tmp_path / "evil.pt"
    torch.save(_Evil(mark), pickled)
    refused("pickle", **at(files, model="nets.py:Net"), weights=str(pickled))
    refused("pickle", model=str(pickled))
    path = tmp_path / "evil.pt2"
    with zipfile.ZipFile(files / "window.pt2") as source, zipfile.ZipFile(path, "w") as target:
        for item in source.infolist():
            content = source.read(item)
            name = item.filename.partition("/")[2]
            if name == record:
                content = pickled.read_bytes()
            if name.endswith("weights_config.json") and record.startswith("data/weights"):
                content = content.replace(b'"use_pickle": false', b'"use_pickle": true')
            if name.endswith("constants_config.json") and record == OPAQUE:
                entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
                content = json.dumps({"config": {"it": entry}}).encode()
            target.writestr(item.filename, content)
        top = source.infolist()[0].filename.partition("/")[0]
        if record == "data/weights/model.pt":
            target.writestr(f"{top}/{record}", pickled.read_bytes())
        if record == OPAQUE:
            target.writestr(f"{top}/{record}", pickle.dumps(_Evil(mark)))
    refused("evil.pt2", model=str(path), context={"window": 4})
    assert not mark.exists()


def test_what_an_encoder_answers_is_checked(files: Path) -> None:
    for encoder, expected in (("Negative", "key -1"), ("Sure", "confidence nan")):
        said = at(files, model="nets.py:Net", weights="w16.safetensors", encoder=f"nets.py:{encoder}")
        with pytest.raises(OutsideError, match=expected):
            built(**said)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "weights: is missing, and so is train"),
        ({"model": "gru.net"}, "expected one of lstm, gru, mlp, transformer, a file ending in"),
        ({"model": "mlp", "train": {}}, "carries no state"),
        ({"train": {}, "settings": {"hiden": 3}}, "settings.hiden"),
        ({"train": {}, "weights": "w.pt"}, "expected one of the two"),
        ({"model": "a.onnx", "backend": "eager"}, "cannot run an ONNX file"),
        ({"model": "a.pt2", "weights": "w.pt"}, "model is a file, which has its own"),
        ({"encoder": "keys", "train": {}}, "expected one of key, delta, page_offset"),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        config(**{"model": "gru", **changes})
