"""Signature path prefetching: a page's last steps as a signature, looked ahead along the likeliest path.

Kim et al., "Path Confidence based Lookahead Prefetching", MICRO 2016. A page is ``page_blocks`` blocks. Both levels
that the paper fills are one here: what it fills into the nearer level alone is not told apart. The filter of past
prefetches, which it uses for its global accuracy, is made of the fates that the policy is told.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.rows import FIELDS
from simulator.answers import HEARD, Floats, offer
from simulator.arrays import NONE, Ints, quotient, remainder
from simulator.compiled import internal
from simulator.config import Count, Ratio
from simulator.policy import Ahead, Fate


class SppConfig(TableSettings):
    """The likeliest path of steps in a page, as far as it is likely (Kim et al. 2016)."""

    kind: Literal["spp"]
    page_blocks: Annotated[int, Field(ge=2, le=2**16)] = 64
    """Blocks of a page, in which paths are learned."""
    signature_entries: Count = 256
    """Pages in the signature table."""
    pattern_entries: Count = 512
    """Signatures in the pattern table."""
    deltas: Degree = 4
    """Steps remembered of each signature."""
    threshold: Ratio = 0.25
    """Path confidence below which looking ahead stops."""
    max_depth: Degree = 16
    """Steps looked ahead, at most."""
    crossings: Count = 8
    """Paths remembered that went on into another page (the global history register)."""
    trigger: TriggerName = "access"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(SppPolicy(self))


# The state: settings (the threshold as its bits), prefetches whose fate is known and useful ones, paths that ever left
# their page, where the patterns and the ring of such paths lie, then the pages, by number: last offset and signature. A
# pattern has a count of itself, how many deltas, and each with its count. A path has signature, last offset and delta.
(
    _BLOCKS, _DELTAS, _DEPTH, _THRESHOLD, _CROSSINGS, _N_SETTLED, _N_USEFUL, _N_CROSSED, _PATTERNS, _CROSSED, _PAGES,
) = range(11)  # fmt: skip
_OFFSET, _SIGNATURE = FIELDS, FIELDS + 1
_TOTAL, _N, _FIRST = range(FIELDS, FIELDS + 3)
_SIGNATURE_BITS, _SHIFT = 12, 3
_MOST = 15
_ACCURACY_OF = 1024
_USEFUL, _EVICTED_UNUSED = (int(Fate.TIMELY), int(Fate.LATE)), int(Fate.EVICTED_UNUSED)


@internal
def next_signature(signature: int, delta: int) -> int:
    """The signature after another step: 12 bits, the step as 7 bits of sign and magnitude."""
    step = (abs(delta) & 63) | (64 if delta < 0 else 0)
    return ((signature << _SHIFT) ^ step) & ((1 << _SIGNATURE_BITS) - 1)


@internal
def _place(state: Ints, pattern: int, delta: int) -> int:
    """Where a pattern has a delta, or behind all that it has."""
    at, end = pattern + _FIRST, pattern + _FIRST + 2 * state[pattern + _N]
    while at < end and state[at] != delta:
        at += 2
    return at


@internal
def _add(state: Ints, pattern: int, delta: int) -> None:
    """Count a delta; where a count is full all are halved, and the least counted makes room for a new one."""
    at, first, n = _place(state, pattern, delta), pattern + _FIRST, state[pattern + _N]
    end = first + 2 * n
    if state[pattern + _TOTAL] == _MOST or (at < end and state[at + 1] == _MOST):
        state[pattern + _TOTAL] //= 2
        for i in range(n):
            state[first + 2 * i + 1] //= 2
    if at == end:
        if n == state[_DELTAS]:
            gone = first
            for i in range(1, n):
                if state[first + 2 * i + 1] < state[gone + 1]:
                    gone = first + 2 * i
            at = end - 2
            for place in range(gone, at):
                state[place] = state[place + 2]
        else:
            state[pattern + _N] += 1
        state[at], state[at + 1] = delta, 0
    state[at + 1] += 1
    state[pattern + _TOTAL] += 1


@internal
def _hear(state: Ints, fate: int) -> None:
    """The global accuracy, of about the last thousand prefetches."""
    is_useful = fate in _USEFUL
    if not is_useful and fate != _EVICTED_UNUSED:
        return
    state[_N_SETTLED] += 1
    state[_N_USEFUL] += is_useful
    if state[_N_SETTLED] == _ACCURACY_OF:
        state[_N_SETTLED] //= 2
        state[_N_USEFUL] //= 2


@internal
def _bootstrapped(state: Ints, offset: int) -> int:
    """A new page goes on with the signature of a path that left another one for this offset, the latest."""
    n = state[_N_CROSSED]
    for i in range(1, 1 + min(n, state[_CROSSINGS])):
        path = state[_CROSSED] + 3 * ((n - i) % state[_CROSSINGS])
        if (state[path + 1] + state[path + 2]) % state[_BLOCKS] == offset:
            return next_signature(state[path], state[path + 2])
    return 0


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """The step in its page: the pattern of the old signature learns it, the page gets the new one."""
    if outcome < 0:
        _hear(state, HEARD - outcome)
        return
    page = quotient(key, state[_BLOCKS])
    offset = remainder(key, state[_BLOCKS])
    row = rows.use(state, _PAGES, page)
    if row == NONE:
        row = rows.put(state, _PAGES, page)
        state[row + _OFFSET], state[row + _SIGNATURE] = offset, _bootstrapped(state, offset)
        return
    delta, signature = offset - state[row + _OFFSET], state[row + _SIGNATURE]
    if delta == 0:
        return
    _add(state, rows.put(state, state[_PATTERNS], signature), delta)
    state[row + _OFFSET], state[row + _SIGNATURE] = offset, next_signature(signature, delta)


@internal
def _cross(state: Ints, signature: int, offset: int, delta: int) -> None:
    """A path leads beyond its page."""
    path = state[_CROSSED] + 3 * (state[_N_CROSSED] % state[_CROSSINGS])
    state[path], state[path + 1], state[path + 2] = signature, offset, delta
    state[_N_CROSSED] += 1


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """Every step of the path whose confidence is high enough; the path follows the likeliest."""
    page = quotient(key, state[_BLOCKS])
    row = rows.peek(state, _PAGES, page)
    if row == NONE:
        return 0
    begin = remainder(key, state[_BLOCKS])
    signature, offset, confidence, n = state[row + _SIGNATURE], begin, 1.0, 0
    threshold = np.int64(state[_THRESHOLD]).view(np.float64)
    # At first sight of a policy's accuracy there is none: it is believed.
    alpha = (state[_N_USEFUL] + 1) / (state[_N_SETTLED] + 1)
    for depth in range(state[_DEPTH]):
        pattern = rows.peek(state, state[_PATTERNS], signature)
        if pattern == NONE:
            break
        best, best_confidence = 0, 0.0
        for i in range(state[pattern + _N]):
            delta, count = state[pattern + _FIRST + 2 * i], state[pattern + _FIRST + 2 * i + 1]
            path = confidence * count / state[pattern + _TOTAL] * (alpha if depth else 1.0)
            if path >= threshold:
                if 0 <= offset + delta < state[_BLOCKS]:
                    n = offer(keys, confidences, n, key, offset + delta - begin, path)
                else:
                    _cross(state, signature, offset, delta)
            if path > best_confidence:
                best, best_confidence = delta, path
        if best_confidence < threshold or not 0 <= offset + best < state[_BLOCKS]:
            break
        signature, confidence, offset = next_signature(signature, best), best_confidence, offset + best
    return n


class SppPolicy(CompiledPolicy):
    """Last offset and signature of each page, patterns by signature, and paths that left a page."""

    def __init__(self, config: SppConfig) -> None:
        # No pattern has more deltas than a page allows, and fewer of them lead to other blocks of the page.
        n_deltas = min(config.deltas, 2 * config.page_blocks)
        patterns = _PAGES + rows.words(config.signature_entries, 2)
        crossed = patterns + rows.words(config.pattern_entries, 2 + 2 * n_deltas)
        state = rows.state(crossed + 3 * config.crossings)
        state[:_N_SETTLED] = (
            config.page_blocks, n_deltas, config.max_depth, np.float64(config.threshold).view(np.int64),
            config.crossings,
        )  # fmt: skip
        state[_PATTERNS], state[_CROSSED] = patterns, crossed
        rows.setup(state, _PAGES, config.signature_entries, 2)
        rows.setup(state, patterns, config.pattern_entries, 2 + 2 * n_deltas)
        most = config.max_depth * min(n_deltas, config.page_blocks)
        super().__init__(config.trigger, state, _learn, _want, most, Ahead(of_stream=False), hears=True)
