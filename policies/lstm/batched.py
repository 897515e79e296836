"""Predictions after every access of whole sequences at once, for traces too long to ask one by one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from policies.lstm.backends.compiled import Compiled, predict_along
from policies.lstm.model import weights_of
from policies.lstm.predictor import LstmPredictor
from policies.models.codecs.base import UNKNOWN, Classes, Floats, Keys
from policies.models.nets.lstm import State
from policies.models.scoring import scores_along
from policies.models.top import best_of_rows

_ROWS, _STEPS = 64, 256


@dataclass(frozen=True)
class Table:
    """For each access of a sequence the best classes (n, k, fields), confidences (n, k) and how many there are."""

    classes: npt.NDArray[np.int32]
    confidences: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, n: int, k: int, n_fields: int) -> "Table":
        """Room for ``n`` accesses."""
        return cls(np.empty((n, k, n_fields), np.int32), np.empty((n, k)), np.empty(n, np.int64))


def tables_of(sequences: Mapping[int, Keys], predictor: LstmPredictor, device: torch.device) -> dict[int, Table]:
    """A table for each sequence. On the CPU what the compiled backend would say one by one, to the bit.

    On a GPU those of like length run side by side; a carried state makes each of them serial.
    """
    config, codec = predictor.config, predictor.codec
    model = predictor.kept.trained.model.to(device)
    tables = {name: Table.empty(len(keys), config.degree, len(predictor.widths)) for name, keys in sequences.items()}
    is_set = config.target == "set"
    inverse_temperature = 1 / predictor.kept.trained.calibrations[predictor.horizon].temperature
    spans = model.spans[predictor.horizon]
    columns = slice(spans[0][0], spans[-1][1])

    def fill(name: int, at: int, scores: Floats) -> None:
        table, rows = tables[name], slice(at, at + len(scores))
        best_of_rows(
            np.ascontiguousarray(scores), predictor.widths, inverse_temperature, is_set,
            table.classes[rows], table.confidences[rows], table.counts[rows],
        )  # fmt: skip

    names = sorted(sequences, key=lambda name: len(sequences[name]))
    if config.inference == "window":
        for name in names:
            at = 0
            for piece in scores_along(model, codec.encode(sequences[name]), config, device):
                fill(name, at, piece.cpu().numpy()[:, columns])
                at += len(piece)
        return tables
    if device.type == "cpu":
        backend = predictor.backend
        if not isinstance(backend, Compiled):
            backend = Compiled(weights_of(predictor.kept.trained.model, predictor.horizon))
        for name in names:
            _along(codec.encode(sequences[name]), backend, predictor.widths, inverse_temperature, is_set, tables[name])
        return tables
    for group in (names[at : at + _ROWS] for at in range(0, len(names), _ROWS)):
        inputs = [codec.encode(sequences[name]) for name in group]
        state: State | None = None
        for at in range(0, len(inputs[-1]), _STEPS):
            # Those that have ended drop out at the front: they are the shorter ones.
            live = [i for i, classes in enumerate(inputs) if len(classes) > at]
            if state is not None:
                state = (state[0][:, -len(live) :].contiguous(), state[1][:, -len(live) :].contiguous())
            longest = min(_STEPS, len(inputs[-1]) - at)
            padded = np.full((len(live), longest, inputs[-1].shape[1]), UNKNOWN, np.int64)
            for row, i in enumerate(live):
                part = inputs[i][at : at + longest]
                padded[row, : len(part)] = part
            with torch.inference_mode():
                scores, state = model(torch.from_numpy(padded).to(device), state)
            for row, i in enumerate(live):
                n = min(longest, len(inputs[i]) - at)
                fill(group[i], at, scores[row, :n, columns].cpu().numpy())
    return tables


def _along(
    classes: Classes, backend: Compiled, widths: Classes, inverse_temperature: float, is_set: bool, table: Table
) -> None:
    """One sequence, access by access: on a CPU core that takes no longer than torch's products of many at once."""
    state = backend.new_state()
    predict_along(
        classes, state[0], state[1], backend.first, backend.starts, backend.inner, backend.biases, backend.head,
        backend.head_bias, widths, inverse_temperature, is_set, table.classes, table.confidences, table.counts,
    )  # fmt: skip
