"""What training computes over and over, compiled: an LSTM's recurrence, the entropy of many classes, a step of AdamW.

What does not go from access to access (the products with inputs, the gradients of weights) is left to large matrix
products; the recurrence is what waits for the access before. Several lanes share each weight that is read, and several
weights each sum, so that the processor's multipliers are what it takes; PyTorch's cells are an operation each.

All let go of Python's lock. Sums may be made in another order than they are written (vectors), and a product and a sum
be one instruction: the same on the same kind of processor, and not to the bit on another, as with PyTorch.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from policies.models.codecs.base import IGNORE, Floats
from policies.models.exps import exps
from simulator.compiled import CHECKED
from simulator.parts import OF_LOOPS

Function = TypeVar("Function", bound=Callable[..., object])
Ranks = npt.NDArray[np.int64]
HAS_KERNELS = not CHECKED
"""As plain Python they would take minutes; PyTorch's operations are the same to some digits."""


def _loops(function: Function) -> Function:
    """``simulator.compiled.vectorised``, on threads and with sums in any order."""
    settings: dict[str, Any] = {
        "cache": True, "error_model": "numpy", "nogil": True, "pipeline_class": OF_LOOPS,
        "fastmath": {"contract", "reassoc", "nsz"},
    }  # fmt: skip
    return cast(Function, numba.njit(**settings)(function))


@_loops
def add_products(out: Floats, x: Floats, weights: Floats) -> None:
    """Out (B, m) += x (B, n) @ weights (n, m): two lanes and four weights of each at a time."""
    n_lanes, n = x.shape
    even, whole = n_lanes // 2 * 2, n // 4 * 4
    for b in range(0, even, 2):
        p, q, xp, xq = out[b], out[b + 1], x[b], x[b + 1]
        for k in range(0, whole, 4):
            p0, p1, p2, p3 = xp[k], xp[k + 1], xp[k + 2], xp[k + 3]
            q0, q1, q2, q3 = xq[k], xq[k + 1], xq[k + 2], xq[k + 3]
            w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            for j in range(len(p)):
                a0, a1, a2, a3 = w0[j], w1[j], w2[j], w3[j]
                p[j] += p0 * a0 + p1 * a1 + p2 * a2 + p3 * a3
                q[j] += q0 * a0 + q1 * a1 + q2 * a2 + q3 * a3
        for k in range(whole, n):
            p0, q0, w0 = xp[k], xq[k], weights[k]
            for j in range(len(p)):
                p[j] += p0 * w0[j]
                q[j] += q0 * w0[j]
    for b in range(even, n_lanes):
        p, xp = out[b], x[b]
        for k in range(0, whole, 4):
            p0, p1, p2, p3 = xp[k], xp[k + 1], xp[k + 2], xp[k + 3]
            w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            for j in range(len(p)):
                p[j] += p0 * w0[j] + p1 * w1[j] + p2 * w2[j] + p3 * w3[j]
        for k in range(whole, n):
            p0, w0 = xp[k], weights[k]
            for j in range(len(p)):
                p[j] += p0 * w0[j]


@_loops
def run_forwards(gates: Floats, weights: Floats, h: Floats, c: Floats, tops: Floats) -> None:
    """All T accesses of one layer, B lanes.

    Args:
        gates: (T, B, 4H) in torch's order i, f, g, o: what inputs and biases make of them; then their values.
        weights: (H, 4H), of the state.
        h: (T + 1, B, H) outputs; the first are those before.
        c: (T + 1, B, H) cells, likewise.
        tops: (T, B, H), tanh of the cells.
    """
    n_steps, n_lanes, n_gates = gates.shape
    n_hidden = n_gates // 4
    one, two = np.float32(1), np.float32(2)
    powers = np.empty(n_lanes * n_gates, np.int32)
    for t in range(n_steps):
        now = gates[t]
        add_products(now, h[t], weights)
        for b in range(n_lanes):
            row = now[b]
            for j in range(n_gates):
                row[j] = -row[j]
            # tanh(x) = 2 / (1 + exp(-2 x)) - 1
            for j in range(2 * n_hidden, 3 * n_hidden):
                row[j] = two * row[j]
        exps(now.reshape(-1), powers)
        for b in range(n_lanes):
            row, cell, past, top = now[b], c[t + 1, b], c[t, b], tops[t, b]
            for j in range(n_gates):
                row[j] = one / (one + row[j])
            for j in range(2 * n_hidden, 3 * n_hidden):
                row[j] = two * row[j] - one
            for j in range(n_hidden):
                cell[j] = row[n_hidden + j] * past[j] + row[j] * row[2 * n_hidden + j]
                top[j] = -two * cell[j]
        exps(tops[t].reshape(-1), powers)
        for b in range(n_lanes):
            row, top, after = now[b], tops[t, b], h[t + 1, b]
            for j in range(n_hidden):
                top[j] = two / (one + top[j]) - one
                after[j] = row[3 * n_hidden + j] * top[j]


@_loops
def run_backwards(gates: Floats, weights: Floats, c: Floats, tops: Floats, slopes: Floats) -> None:
    """The gradients of what ``run_forwards`` was given as gates, in place of their values.

    Args:
        gates: (T, B, 4H), as it left them; then the gradients.
        weights: (4H, H), of the state.
        c: (T + 1, B, H), as it left them.
        tops: (T, B, H), likewise.
        slopes: (T, B, H), the gradients of the outputs, to which those through later accesses are added in place.
    """
    n_steps, n_lanes, n_gates = gates.shape
    n_hidden = n_gates // 4
    one = np.float32(1)
    of_cells = np.zeros((n_lanes, n_hidden), np.float32)
    for t in range(n_steps - 1, -1, -1):
        for b in range(n_lanes):
            row, top, past, out, carried = gates[t, b], tops[t, b], c[t, b], slopes[t, b], of_cells[b]
            for j in range(n_hidden):
                i, f, g, o = row[j], row[n_hidden + j], row[2 * n_hidden + j], row[3 * n_hidden + j]
                d = out[j] * o * (one - top[j] * top[j]) + carried[j]
                carried[j] = d * f
                row[j] = d * g * i * (one - i)
                row[n_hidden + j] = d * past[j] * f * (one - f)
                row[2 * n_hidden + j] = d * i * (one - g * g)
                row[3 * n_hidden + j] = out[j] * top[j] * o * (one - o)
        if t > 0:
            add_products(slopes[t - 1], gates[t], weights)


@_loops
def entropies(
    scores: Floats, highest: Floats, wanted: Ranks, weight: float, slopes: Floats, ranks: Ranks
) -> float:  # fmt: skip
    """The sum of the cross-entropies of scores (N, C), and the gradients (N, C) of so much of it.

    ``highest`` (N,) are the best scores. ``ranks`` (N,) become how many classes stand before the one that is wanted:
    those with a higher score, and of equals the lower ones. Where nothing is wanted it is -1.
    """
    total = 0.0
    n_classes = scores.shape[1]
    powers = np.empty(n_classes, np.int32)
    for i in range(len(wanted)):
        right, row, slope = wanted[i], scores[i], slopes[i]
        if right == IGNORE:
            ranks[i] = -1
            slope[:] = np.float32(0)
            continue
        best, own = highest[i], row[right]
        n_higher = np.int32(0)
        for j in range(n_classes):
            n_higher += np.int32(row[j] > own)
            slope[j] = row[j] - best
        for j in range(right):
            n_higher += np.int32(row[j] == own)
        ranks[i] = n_higher
        exps(slope, powers)
        s = np.float32(0)
        for j in range(n_classes):
            s += slope[j]
        total += math.log(s) - np.float64(own - best)
        share = np.float32(weight / s)
        for j in range(n_classes):
            slope[j] *= share
        slope[right] -= np.float32(weight)
    return total


@_loops
def drop(x: Floats, share: float, seed: int, masks: Floats, out: Floats) -> None:
    """Out (n,) = x * masks, which are 0 for a share of all and make up for it elsewhere.

    Four draws of 16 bits from each number of SplitMix64 (Steele, Lea and Flood 2014).
    """
    golden, first, second = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
    least, kept = np.uint64(round(share * 65536)), np.float32(1 / (1 - share))
    z, at = np.uint64(0), np.uint64(seed)
    for i in range(len(x)):
        if i & 3 == 0:
            at += golden
            z = (at ^ (at >> np.uint64(30))) * first
            z = (z ^ (z >> np.uint64(27))) * second
            z ^= z >> np.uint64(31)
        masks[i] = kept if (z & np.uint64(0xFFFF)) >= least else np.float32(0)
        z >>= np.uint64(16)
        out[i] = x[i] * masks[i]


@_loops
def add_rows(table: Floats, classes: Ranks, rows: Floats) -> None:
    """Row by row (N, m), to those of a table (classes, m) that they belong to (N,)."""
    for i in range(len(classes)):
        to, row = table[classes[i]], rows[i]
        for j in range(len(to)):
            to[j] += row[j]


@_loops
def squares(x: Floats) -> float:
    """Their sum."""
    total = 0.0
    for i in range(len(x)):
        total += np.float64(x[i]) * np.float64(x[i])
    return total


@_loops
def move(
    weights: Floats, slopes: Floats, means: Floats, squared: Floats, scale: float, shrunk: float, rate: float,
    momentum: float, decay: float, correction: float, epsilon: float,
) -> None:  # fmt: skip
    """A step of AdamW (Loshchilov and Hutter 2019), all (n,) in place, along ``scale`` times the slopes.

    ``shrunk`` is what weight decay leaves, ``rate`` has the correction of the means in it already, ``correction`` is
    the root of that of the squares.
    """
    a, keep, b, kept = np.float32(scale), np.float32(shrunk), np.float32(momentum), np.float32(decay)
    new, fresh = np.float32(1.0 - momentum), np.float32(1.0 - decay)
    step, root, least = np.float32(rate), np.float32(correction), np.float32(epsilon)
    for i in range(len(weights)):
        g = a * slopes[i]
        m = b * means[i] + new * g
        v = kept * squared[i] + fresh * g * g
        means[i], squared[i] = m, v
        weights[i] = keep * weights[i] - step * m / (np.sqrt(v) / root + least)
