"""The fused kernel in Triton's interpreter beside the compiled backend: a pytest file that a process of its own runs.

Triton asks for TRITON_INTERPRET=1 when it is imported, so a session that has it already cannot. Networks are tiny and
blocks small, so that there are several of each: the interpreter takes 0.1 s an access.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from policies.lstm.backends.compiled import Compiled
from policies.lstm.backends.fused import Fused
from policies.lstm.model import LstmModel, Weights, weights_of
from policies.models.top import Choosing
from tests.test_lstm_backends import inputs, network

TOLERANCE = 1e-5


class Interpreted(Fused):
    """On the CPU, without a graph."""

    device = "cpu"

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._constants |= {"ROWS": 8, "HEAD_ROWS": 8, "HEAD_TILE": 32, "TILE": 16}
        self._most_accesses = 1

    def _placed(self, place: torch.device | None) -> torch.device:
        return torch.device("cpu")

    def _page_locked(self, shape: Any, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype)

    def _launch_of(self, n: int) -> Callable[[], None]:
        return partial(self._launch, n)


def both(seed: int, layers: int, hidden: int, encoding: str) -> tuple[LstmModel, Fused, Compiled]:
    model, _ = network(seed, layers, hidden, encoding)
    weights = weights_of(model, 1)
    return model, Interpreted(weights), Compiled(weights)


@pytest.mark.parametrize(
    ("layers", "hidden", "encoding", "wanted", "n_streams"),
    [(2, 20, "key", 2, 3), (3, 8, "page_offset", 8, 1), (1, 1, "delta", 1, 1), (1, 33, "page_offset", 2, 1)],
)
def test_the_same_best_classes(layers: int, hidden: int, encoding: str, wanted: int, n_streams: int) -> None:
    """Three streams go in a launch for four, two accesses in two; of offsets there are fewer than are wanted."""
    model, fused, compiled = both(layers, layers, hidden, encoding)
    choosing = Choosing(np.array(weights_of(model, 1).widths), 1.7, wanted)
    rng = np.random.default_rng(layers)
    states, expected = ([backend.new_state() for _ in range(n_streams)] for backend in (fused, compiled))
    for n in (2, 1):
        classes = inputs(model, rng, n_streams, n)
        of_fused, of_compiled = fused.best(classes, states, choosing), compiled.best(classes, expected, choosing)
        for (found, sure), (wanted_classes, wanted_sure) in zip(of_fused, of_compiled, strict=True):
            np.testing.assert_array_equal(found, wanted_classes)
            np.testing.assert_allclose(sure, wanted_sure, atol=TOLERANCE)
    # And their states: one goes on alone, from a copy, while the first waits.
    last = inputs(model, rng, 1, 1)
    branch = fused.copy(states[-1])
    np.testing.assert_allclose(
        fused.advance(last, [branch]), compiled.advance(last, [compiled.copy(expected[-1])]), atol=TOLERANCE
    )
    np.testing.assert_allclose(fused.advance(last, states[-1:]), compiled.advance(last, expected[-1:]), atol=TOLERANCE)


def test_among_equals_the_smaller_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """All scores alike, over several tiles; and then more are wanted than the kernel chooses."""
    model, _ = network(0, 1, 4, "key")
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.fill_(0.5)
    fused = Interpreted(weights_of(model, 1))
    widths = np.array(weights_of(model, 1).widths)
    for wanted in (8, 9):
        ((found, sure),) = fused.best(np.zeros((1, 1, 1), np.int64), [fused.new_state()], Choosing(widths, 1.0, wanted))
        assert found.ravel().tolist() == list(range(1, wanted + 1))
        np.testing.assert_allclose(sure, 1 / widths[0], atol=TOLERANCE)


def test_of_a_set_each_class_is_sure_by_itself() -> None:
    model, fused, compiled = both(0, 1, 4, "key")
    choosing = Choosing(np.array(weights_of(model, 1).widths), 0.5, 3, is_set=True)
    classes = inputs(model, np.random.default_rng(0), 1, 1)
    for backend in (fused, compiled):
        ((found, sure),) = backend.best(classes, [backend.new_state()], choosing)
        scores = backend.advance(classes, [backend.new_state()])[0]
        np.testing.assert_allclose(sure, 1 / (1 + np.exp(-scores[found.ravel()] / 2)), atol=TOLERANCE)


def test_more_streams_than_go_in_one_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    model, fused, compiled = both(5, 1, 4, "key")
    monkeypatch.setattr("policies.lstm.backends.fused._PROGRAMS", (1, 2))
    classes = inputs(model, np.random.default_rng(0), 3, 1)
    states, expected = [fused.new_state() for _ in range(3)], [compiled.new_state() for _ in range(3)]
    np.testing.assert_allclose(fused.advance(classes, states), compiled.advance(classes, expected), atol=TOLERANCE)
    choosing = Choosing(np.array(weights_of(model, 1).widths), 1.0, 1)
    found = [classes.item() for classes, _ in fused.best(classes, states, choosing)]
    assert found == [classes.item() for classes, _ in compiled.best(classes, expected, choosing)]
