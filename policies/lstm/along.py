"""The network along whole sequences on the CPU, compiled: what does not wait for the step before is done at once.

Layer by layer over a stretch of time: the first layer's input product is looked up, those of the others and the head
are one product of matrices a stretch, and the state alone goes from step to step. (Of 16 sequences side by side a
product of matrices for each step took as long as 16 products with a vector.)
"""

from collections.abc import Sequence

import numpy as np

from policies.lstm.backends.compiled import Compiled, add_product, sigmoid
from policies.models.codecs.base import Classes, Floats
from simulator.compiled import vectorised

_AT_ONCE = 4096
"""Accesses of a stretch, of all sequences together: their scores are held at once."""


@vectorised
def _recur(gates: Floats, h: Floats, c: Floats, weights: Floats, tops: Floats) -> None:
    """A layer over time: gates (T, B, 4H) have the input's part; h and c (B, H) in place; outputs in tops (T, B, H).

    ``weights`` (H, 4H) are those of its own state.
    """
    n_lanes, n_hidden = h.shape
    two, one = np.float32(2), np.float32(1)
    powers = np.empty(4 * n_hidden, np.int32)
    for t in range(len(gates)):
        for lane in range(n_lanes):
            row, cells, outputs = gates[t, lane], c[lane], h[lane]
            add_product(row, outputs, weights)
            # tanh(x) = 2 sigmoid(2 x) - 1
            new = row[2 * n_hidden : 3 * n_hidden]
            new *= two
            sigmoid(row, powers)
            for j in range(n_hidden):
                cells[j] = row[n_hidden + j] * cells[j] + row[j] * (two * new[j] - one)
                outputs[j] = two * cells[j]
            sigmoid(outputs, powers[:n_hidden])
            for j in range(n_hidden):
                outputs[j] = row[3 * n_hidden + j] * (two * outputs[j] - one)
        tops[t] = h


class Along:
    """A network on the compiled backend, and the states of sequences that go on."""

    def __init__(self, backend: Compiled, n_lanes: int) -> None:
        self._it = backend
        n_layers, n_hidden = len(backend.biases), backend.biases.shape[1] // 4
        self._h = np.zeros((n_layers, n_lanes, n_hidden), np.float32)
        self._c = np.zeros((n_layers, n_lanes, n_hidden), np.float32)

    @staticmethod
    def steps_at_once(n_lanes: int) -> int:
        """How many accesses of each of so many sequences to run at once."""
        return max(_AT_ONCE // n_lanes, 1)

    def run(self, classes: Classes, lanes: Sequence[int]) -> Floats:
        """Scores (T, B, C) after each of the accesses (T, B, fields) of the lanes that go on."""
        it, n_hidden = self._it, self._h.shape[2]
        n_steps, n_lanes, n_fields = classes.shape
        gates = np.broadcast_to(it.biases[0], (n_steps, n_lanes, 4 * n_hidden)).copy()
        for field in range(n_fields):
            gates += it.first[it.starts[field] + classes[:, :, field]]
        tops = np.empty((n_steps, n_lanes, n_hidden), np.float32)
        for layer in range(len(it.biases)):
            own = it.inner[(2 * layer + 1) * n_hidden : (2 * layer + 2) * n_hidden]
            if layer > 0:
                lower = it.inner[2 * layer * n_hidden : (2 * layer + 1) * n_hidden]
                gates = (tops.reshape(-1, n_hidden) @ lower + it.biases[layer]).reshape(gates.shape)
            h, c = self._h[layer][lanes], self._c[layer][lanes]
            _recur(gates, h, c, own, tops)
            self._h[layer][lanes], self._c[layer][lanes] = h, c
        scores: Floats = (tops.reshape(-1, n_hidden) @ it.head + it.head_bias).reshape(n_steps, n_lanes, -1)
        return scores
