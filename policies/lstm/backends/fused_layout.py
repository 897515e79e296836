"""What the fused kernel is given: orders, a network's weights, padded, and how they are cut. No Triton in sight."""

from typing import Any

import numpy as np

from policies.lstm.model import Weights
from policies.models.codecs.base import Floats
from simulator.errors import InputError

STATE, ACCESSES, WANTED, INVERSE_TEMPERATURE, IS_NEW, HEADER = range(6)
"""Where an order has the address of the state, how many accesses (0: nothing is to be done), how many classes are
wanted (-1: nor scores), the bits of a float32, whether the state is a new one, and then rows of the table, a field
each."""
ORDER = 128
"""Numbers of an order."""
MOST_HIDDEN, MOST_CLASSES, MOST_WANTED = 256, 2**16, 8
_ALIGNED = 16
_SHAPES = ((64, 4, 32), (128, 8, 32), (256, 8, 8))
"""Up to which hidden size, the warps and the rows that are multiplied at a time."""


def constants(weights: Weights) -> tuple[dict[str, Any], int]:
    """The kernel's constants for a network, and the warps that run it.

    Few warps with much work each are the fastest (docs/log.md), up to what their registers hold.
    """
    hidden, classes = _aligned(weights.n_hidden), _aligned(len(weights.head_bias))
    block = _power_of_two(hidden)
    warps, rows = next(shape for most, *shape in _SHAPES if block <= most)
    return {
        "LAYERS": weights.n_layers, "IN_FIELDS": weights.n_fields, "WIDTHS": weights.widths, "H": hidden, "C": classes,
        "ORDER": ORDER, "MOST": MOST_WANTED, "HP": block, "ROWS": min(block, rows), "HEAD_ROWS": 8,
        "HEAD_TILE": min(_power_of_two(classes), 64 * warps), "TILE": min(_power_of_two(max(weights.widths)), 4096),
    }, warps  # fmt: skip


def arrays(weights: Weights) -> tuple[Floats, ...]:
    """The weights as the kernel reads them, padded with zeros: table, inner weights, biases, head and its bias."""
    n_layers, n_hidden = weights.n_layers, weights.n_hidden
    hidden, classes = _aligned(n_hidden), _aligned(len(weights.head_bias))

    def gates(rows: Floats) -> Floats:
        """(..., 4H) -> (..., 4, H rounded up)."""
        return _padded(rows.reshape(*rows.shape[:-1], 4, n_hidden), -1, hidden)

    inner = np.zeros((n_layers, 2, hidden, 4, hidden), np.float32)
    for layer in range(n_layers):
        if layer > 0:
            inner[layer, 0, :n_hidden] = gates(weights.input_weights[layer].T)
        inner[layer, 1, :n_hidden] = gates(weights.hidden_weights[layer].T)
    head = _padded(_padded(weights.head.T, 0, hidden), 1, classes)
    first, _ = weights.input_products()
    return gates(first), inner, gates(np.stack(weights.biases)), head, _padded(weights.head_bias, 0, classes)


def check(weights: Weights) -> None:
    """Raises InputError if the network is too large."""
    found = {"hidden": (weights.n_hidden, MOST_HIDDEN), "vocabulary": (max(weights.widths), MOST_CLASSES)}
    for name, (value, most) in found.items():
        if value > most:
            raise InputError(
                f"policy.backend: 'triton' runs networks of {name} up to {most:,}, but this one's is {value:,}; "
                "expected cuda_graph or eager"
            )


def _aligned(n: int) -> int:
    return -(-n // _ALIGNED) * _ALIGNED


def _power_of_two(n: int) -> int:
    return 1 << (n - 1).bit_length()


def _padded(array: Floats, axis: int, n: int) -> Floats:
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, n - array.shape[axis])
    return np.pad(array, widths).astype(np.float32, copy=False)
