"""A small network that knows a cycle by heart, in every form that it may come in, for the tests of models."""

import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from policies.given import Accesses, Built, Given
from policies.models.backends.onnx import exported as exported_to_onnx
from policies.models.call import Runnable
from policies.models.config import ModelConfig
from simulator.policy import AccessRun

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


def written(folder: Path) -> Path:
    """A class, its weights in both forms, and the same network exported in every way."""
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
