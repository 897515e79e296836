"""What policies whose rules are compiled answer with: numbers of blocks, and a confidence each (rule R12).

Such a policy is a state (int64), a function ``learn(state, key, stream, outcome)`` and a function ``want(state, key,
stream, keys, confidences)`` that writes what it wants, most wanted first, and returns how many. Keys are uint64 in the
bits of an int64. A policy that hears fates is shown each by ``learn``: with its block's key, NONE for a stream, and as
the outcome ``HEARD - fate``, which is less than 0.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from simulator.compiled import compiled, compiled_for, internal
from simulator.residency.blocks import home
from simulator.residency.layout import Ints

Floats = npt.NDArray[np.float64]
_INTS, _FLOATS = types.int64[::1], types.float64[::1]
LEARN = types.void(_INTS, types.int64, types.int64, types.int64)
WANT = types.int64(_INTS, types.int64, types.int64, _INTS, _FLOATS)
HEARD = -1
_FEW = 16


@internal
def offer(keys: Ints, confidences: Floats, n: int, key: int, step: int, confidence: float) -> int:
    """Append the block so many steps from another one, unless it lies beyond the ends of the key space."""
    guess = key + step
    # As unsigned numbers: to add must not make smaller, nor to take away larger.
    is_larger = (guess ^ (-(2**63))) > (key ^ (-(2**63)))
    if step == 0 or is_larger != (step > 0):
        return n
    keys[n] = guess
    confidences[n] = confidence
    return n + 1


@internal
def walk(keys: Ints, confidences: Floats, n: int, key: int, step: int, count: int, confidence: float) -> int:
    """Append up to ``count`` blocks, each so many steps from the one before, until the key space ends."""
    at = key
    for _ in range(count):
        before = n
        n = offer(keys, confidences, n, at, step, confidence)
        if n == before:
            break
        at += step
    return n


@compiled
def distinct(key: int, keys: Ints, confidences: Floats, n: int) -> int:
    """Keep each block once, where it is wanted most, and not the block itself; how many are left."""
    kept = 0
    mask = 1
    while mask < 4 * n:
        mask *= 2
    mask -= 1
    # Places in ``keys`` plus one; for few blocks looking through them is faster.
    table = np.zeros(mask + 1 if n > _FEW else 0, np.int64)
    for i in range(n):
        guess = keys[i]
        is_new = guess != key
        if n > _FEW:
            at = home(guess, mask)
            while is_new and table[at] != 0:
                is_new = keys[table[at] - 1] != guess
                at = (at + 1) & mask
            if is_new:
                table[at] = kept + 1
        else:
            for j in range(kept):
                is_new = is_new and keys[j] != guess
        if is_new:
            keys[kept] = guess
            confidences[kept] = confidences[i]
            kept += 1
    return kept


def _nothing_learned(p: Ints, key: int, stream: int, outcome: int) -> None:
    pass


def _nothing_wanted(p: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    return 0


@cache
def nothing_learned() -> Any:
    """In the place of a policy that is asked in Python."""
    return compiled_for(LEARN, _nothing_learned)


@cache
def nothing_wanted() -> Any:
    """In the place of a policy that is asked in Python."""
    return compiled_for(WANT, _nothing_wanted)
