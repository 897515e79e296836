"""The network in Numba for one CPU core: what makes a single small step fastest.

The first layer's product with the embedding is done once for every class, when the backend is made. Weights lie
transposed, so that each product is a sum of contiguous rows that the compiler turns into vector instructions; nothing
is reassociated, so results differ from PyTorch's by rounding alone.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from policies.lstm.model import Weights
from policies.models.backend import Backend
from policies.models.codecs.base import Classes, Floats
from policies.models.exps import exps
from policies.models.top import best
from simulator.compiled import compiled, vectorised


@vectorised
def sigmoid(x: Floats, powers: npt.NDArray[np.int32]) -> None:
    """1 / (1 + exp(-x)) in place, to about 2e-7; ``powers`` is scratch space of the same length."""
    for i in range(len(x)):
        x[i] = -x[i]
    exps(x, powers)
    for i in range(len(x)):
        x[i] = np.float32(1) / (np.float32(1) + x[i])


@vectorised
def _step(
    classes: Classes, h: Floats, c: Floats, first: Floats, starts: Classes, inner: Floats, biases: Floats,
    gates: Floats, powers: npt.NDArray[np.int32],
) -> None:  # fmt: skip
    """One access, classes (fields,), through all layers; h and c (layers, H) in place.

    ``first`` (classes of all fields, 4H) is the first layer's input product, ``inner`` (layers * 2H, 4H) the weights of
    lower output and own state, layer by layer; the first layer's upper half is not used.
    """
    n_layers, n_hidden = h.shape
    two = np.float32(2)
    for layer in range(n_layers):
        gates[:] = biases[layer]
        if layer == 0:
            for field in range(len(classes)):
                gates += first[starts[field] + classes[field]]
        else:
            add_product(gates, h[layer - 1], inner[2 * layer * n_hidden : (2 * layer + 1) * n_hidden])
        add_product(gates, h[layer], inner[(2 * layer + 1) * n_hidden : (2 * layer + 2) * n_hidden])
        # tanh(x) = 2 sigmoid(2 x) - 1
        new = gates[2 * n_hidden : 3 * n_hidden]
        new *= two
        sigmoid(gates, powers)
        cells, tops = c[layer], h[layer]
        for j in range(n_hidden):
            cells[j] = gates[n_hidden + j] * cells[j] + gates[j] * (two * new[j] - np.float32(1))
            tops[j] = two * cells[j]
        sigmoid(tops, powers[:n_hidden])
        for j in range(n_hidden):
            tops[j] = gates[3 * n_hidden + j] * (two * tops[j] - np.float32(1))


@vectorised
def add_product(out: Floats, x: Floats, weights: Floats) -> None:
    """Out (m,) += x (n,) @ weights (n, m); four rows at a time, so that ``out`` is read and written less often."""
    n = len(x) // 4 * 4
    for j in range(0, n, 4):
        x0, x1, x2, x3 = x[j], x[j + 1], x[j + 2], x[j + 3]
        w0, w1, w2, w3 = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
        for i in range(len(out)):
            out[i] += x0 * w0[i] + x1 * w1[i] + x2 * w2[i] + x3 * w3[i]
    for j in range(n, len(x)):
        x0, w0 = x[j], weights[j]
        for i in range(len(out)):
            out[i] += x0 * w0[i]


@vectorised
def run_through(
    classes: Classes, h: Floats, c: Floats, first: Floats, starts: Classes, inner: Floats, biases: Floats
) -> None:
    """T accesses (T, fields); h and c (layers, H) in place. ``inner`` is (layers * 2H, 4H)."""
    n_gates = inner.shape[1]
    gates, powers = np.empty(n_gates, np.float32), np.empty(n_gates, np.int32)
    for t in range(len(classes)):
        _step(classes[t], h, c, first, starts, inner, biases, gates, powers)


@vectorised
def score(h: Floats, head: Floats, head_bias: Floats, scores: Floats) -> None:
    """The head (H, C) over the last layer of h, into ``scores`` (C,)."""
    scores[:] = head_bias
    add_product(scores, h[len(h) - 1], head)


@compiled
def predict_along(
    classes: Classes, h: Floats, c: Floats, first: Floats, starts: Classes, inner: Floats, biases: Floats,
    head: Floats, head_bias: Floats, widths: Classes, inverse_temperature: float, is_set: bool,
    found: npt.NDArray[np.int32], confidences: npt.NDArray[np.float64], counts: Classes,
) -> None:  # fmt: skip
    """What follows each of T accesses: the best classes (T, k, fields), confidences (T, k) and how many (T,)."""
    scores, row = np.empty(len(head_bias), np.float32), np.empty(found.shape[1:], np.int64)
    for t in range(len(classes)):
        run_through(classes[t : t + 1], h, c, first, starts, inner, biases)
        score(h, head, head_bias, scores)
        counts[t] = best(scores, widths, inverse_temperature, is_set, row, confidences[t])
        found[t] = row


class Compiled(Backend):
    """A state is one array (2, layers, H). The weights' arrays are for who asks it from compiled code."""

    name = "compiled"
    device = "cpu"
    takes_weights = True

    def __init__(self, weights: Weights, place: torch.device | None = None) -> None:
        self.first, self.starts = weights.input_products()
        n_layers, n_hidden = weights.n_layers, weights.n_hidden
        inner = np.zeros((n_layers, 2 * n_hidden, 4 * n_hidden), np.float32)
        for layer in range(n_layers):
            if layer > 0:
                inner[layer, :n_hidden] = weights.input_weights[layer].T
            inner[layer, n_hidden:] = weights.hidden_weights[layer].T
        self.inner = inner.reshape(-1, 4 * n_hidden)
        self.biases = np.ascontiguousarray(np.stack(weights.biases))
        self.head = np.ascontiguousarray(weights.head.T)
        self.head_bias = weights.head_bias
        self._shape = (2, n_layers, n_hidden)

    def take(self, network: Weights) -> None:
        """See the base: whoever has the arrays' addresses goes on with them."""
        other = Compiled(network)
        for name in ("first", "inner", "biases", "head", "head_bias"):
            getattr(self, name)[...] = getattr(other, name)

    def new_state(self) -> Floats:
        """Zero."""
        return np.zeros(self._shape, np.float32)

    def copy(self, state: Floats) -> Floats:
        """An array of its own."""
        return state.copy()

    def advance(self, classes: Classes, states: Sequence[Floats]) -> Floats:
        """See the base; a batch goes one by one."""
        scores = np.empty((len(states), len(self.head_bias)), np.float32)
        for i, state in enumerate(states):
            run_through(classes[i], state[0], state[1], self.first, self.starts, self.inner, self.biases)
            score(state[0], self.head, self.head_bias, scores[i])
        return scores
