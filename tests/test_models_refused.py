"""What is no network for its encoder, is damaged, or would have to be unpickled: a line each, before anything runs."""

import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from simulator.errors import InputError, OutsideError
from tests.model_forms import at, built, config, heart, written


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("models"))


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
        ({"encoder": "keys", "train": {}}, "expected one of key, delta, delta_offset, page_offset"),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        config(**{"model": "gru", **changes})
