"""What policies whose rules are compiled answer with: numbers of blocks, and a confidence each (rule R12).

Such a policy is a state (int64), a function ``learn(state, key, stream, outcome)`` and a function ``want(state, key,
stream, keys, confidences)`` that writes what it wants, most wanted first, and returns how many. Keys are uint64 in the
bits of an int64. A policy that hears fates is shown each by ``learn``: with its block's key, NONE for a stream, and as
the outcome ``HEARD - fate``, which is less than 0. How many misses there were that prefetching caused (rule R12)
comes last, in place of a key, with the outcome POLLUTED. One that ``sees_writes`` finds WRITTEN in a write's outcome.

One that is ``learned`` is shown all accesses, whatever their outcome, and writes behind what it wants its best guess,
even if it was held back: ``want`` returns ``n | HAS_GUESS`` then (``above``), or 0 if it has none.

The functions are compiled by themselves and called by their addresses, so that the engine's machine code is one for all
policies.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from simulator.arrays import NONE, Ints, plus, spot
from simulator.clock import CPU, WALL, now_ns
from simulator.compiled import FLOATS, INTS, call, compiled, floats_at, internal, ints_at, lower_call, lowered
from simulator.policy import Fate
from simulator.records.rows import START, nth_shown_row, nth_told_row

Floats = npt.NDArray[np.float64]
LEARN = types.void(INTS, types.int64, types.int64, types.int64)
WANT = types.int64(INTS, types.int64, types.int64, INTS, FLOATS)
HEARD = -1
POLLUTED = HEARD - len(Fate)
WRITTEN = 8
OUTCOME = WRITTEN - 1
HAS_GUESS = 1 << 40
_FEW = 16


@internal
def offer(keys: Ints, confidences: Floats, n: int, key: int, step: int, confidence: float) -> int:
    """Append the block so many steps from another one, unless it lies beyond the ends of the key space."""
    guess = plus(key, step)
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
        at = plus(at, step)
    return n


@internal
def _distinct_of_many(key: int, keys: Ints, confidences: Floats, n: int) -> int:
    kept = 0
    mask = 1
    while mask < 4 * n:
        mask *= 2
    mask -= 1
    # Places in ``keys`` plus one.
    table = np.zeros(mask + 1, np.int64)
    for i in range(n):
        guess = keys[i]
        is_new = guess != key
        at = spot(guess, mask)
        while is_new and table[at] != 0:
            is_new = keys[table[at] - 1] != guess
            at = (at + 1) & mask
        if is_new:
            keys[kept] = guess
            confidences[kept] = confidences[i]
            kept += 1
            table[at] = kept
    return kept


@compiled
def distinct(key: int, keys: Ints, confidences: Floats, n: int) -> int:
    """Keep each block once, where it is wanted most, and not the block itself; how many are left."""
    if n > _FEW:
        return int(_distinct_of_many(key, keys, confidences, n))
    # A table takes memory, which takes longer than looking through a few.
    kept = 0
    for i in range(n):
        guess = keys[i]
        is_new = guess != key
        for j in range(kept):
            is_new = is_new and keys[j] != guess
        if is_new:
            keys[kept] = guess
            confidences[kept] = confidences[i]
            kept += 1
    return kept


@internal
def above(keys: Ints, confidences: Floats, n: int, threshold: float) -> int:
    """What a ``learned`` policy's ``want`` returns: of ``n`` guesses, best first, those that are sure enough are kept.

    Behind them comes the best one, held back or not (HAS_GUESS).
    """
    if n == 0:
        return 0
    guess, its_confidence, kept = keys[0], confidences[0], 0
    for i in range(n):
        if confidences[i] >= threshold:
            keys[kept], confidences[kept] = keys[i], confidences[i]
            kept += 1
    keys[kept], confidences[kept] = guess, its_confidence
    return kept | HAS_GUESS


def _call_learn(typing: Any, learn: Any, state: Any, key: Any, stream: Any, outcome: Any) -> Any:
    return LEARN.return_type(types.intp, *LEARN.args), lower_call


def _call_want(typing: Any, want: Any, state: Any, key: Any, stream: Any, keys: Any, confidences: Any) -> Any:
    return WANT.return_type(types.intp, *WANT.args), lower_call


call_learn, call_want = lowered(_call_learn, call), lowered(_call_want, call)
"""``learn`` and ``want`` of the policy at that address."""


@compiled
def answer(
    policy: int, learn: int, want: int, shown: int, n: int, above: int, key: int, stream: int, keys: int,
    confidences: int,
) -> int:  # fmt: skip
    """Show ``n`` accesses (ShownRow) and ask about one, by its key and its stream; how many blocks were written.

    All else but ``above`` are addresses; accesses of outcome ``above`` or less are none of the trigger's.
    """
    state, rows, wanted, sure = ints_at(policy), ints_at(shown), ints_at(keys), floats_at(confidences)
    for i in range(n):
        row = nth_shown_row(rows, START, i)
        if row.outcome & OUTCOME > above:
            call_learn(learn, state, row.key, row.stream, row.outcome)
    return int(distinct(key, wanted, sure, call_want(want, state, key, stream, wanted, sure)))


@compiled
def answer_each(policy: int, learn: int, want: int, shown: int, n: int, keys: int, confidences: int) -> None:
    """Show ``n`` accesses (ShownRow) and ask about each; what one wants is written over by the next. See ``answer``."""
    state, rows, wanted, sure = ints_at(policy), ints_at(shown), ints_at(keys), floats_at(confidences)
    for i in range(n):
        row = nth_shown_row(rows, START, i)
        call_learn(learn, state, row.key, row.stream, row.outcome)
        call_want(want, state, row.key, row.stream, wanted, sure)


@compiled
def answer_learned(
    policy: int, learn: int, want: int, shown: int, n: int, key: int, stream: int, keys: int, confidences: int,
    times: int,
) -> int:  # fmt: skip
    """As ``answer``, of a learned policy: what its ``want`` returned. Adds the wall and the CPU time to ``times``."""
    state, rows, wanted, sure, took = (
        ints_at(policy), ints_at(shown), ints_at(keys), floats_at(confidences), ints_at(times),
    )  # fmt: skip
    cpu = now_ns(CPU)
    wall = now_ns(WALL)
    for i in range(n):
        row = nth_shown_row(rows, START, i)
        call_learn(learn, state, row.key, row.stream, row.outcome)
    found = call_want(want, state, key, stream, wanted, sure)
    took[0] += now_ns(WALL) - wall
    took[1] += now_ns(CPU) - cpu
    return int(found)


@compiled
def hear(policy: int, learn: int, told: int, n: int, n_polluted: int) -> None:
    """Tell a policy of ``n`` fates (ToldRow), and of misses that prefetching caused; all else are addresses."""
    state, rows = ints_at(policy), ints_at(told)
    for i in range(n):
        row = nth_told_row(rows, START, i)
        call_learn(learn, state, row.key, NONE, HEARD - row.fate)
    if n_polluted > 0:
        call_learn(learn, state, n_polluted, NONE, POLLUTED)
