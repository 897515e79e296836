"""Delta-correlating prediction tables: a short list of the last deltas of each stream.

Grannaes, Jahre & Natvig, "Storage Efficient Hardware Prefetching using Delta-Correlating Prediction Tables", DPC-1
2009. A stream stands where the paper has the load instruction. The filter of prefetches in flight is a short list of
the last that were wanted; the engine rejects the others.
"""

from typing import Annotated, Literal

from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, TableSettings, TriggerName
from policies.given import Built, Given
from policies.keys import crossing
from policies.rows import FIELDS
from simulator.answers import Floats
from simulator.arrays import NONE, Ints, minus, plus
from simulator.compiled import internal
from simulator.config import Count


class DcptConfig(TableSettings):
    """All that followed the stream's last two steps in its short history (Grannaes et al. 2009)."""

    kind: Literal["dcpt"]
    entries: Count = 128
    """Lines of the table, one a stream."""
    deltas: Annotated[int, Field(ge=3, le=2**16)] = 20
    """Steps remembered of each stream."""
    delta_bits: Annotated[int, Field(ge=2, le=62)] = 12
    """Bits of a step; a larger one is stored as 0, which matches nothing."""
    in_flight: Count = 32
    """Blocks wanted last, which are not wanted again."""
    trigger: TriggerName = "tagged"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(DcptPolicy(self))


# The state: settings, how many prefetches there ever were, where the ring of those in flight lies, then the lines. A
# block that may lie beyond the ends of the key space is a key and how often a path to it crossed them.
_DELTAS, _LIMIT, _IN_FLIGHT, _N_FLOWN, _FLYING, _LINES = range(6)
# A line: last key, last prefetch and whether there is one, how many deltas, where the oldest is, and the ring of them.
_LAST, _PREFETCHED, _BEYOND, _HAS_PREFETCHED, _N, _OLDEST, _RING = range(FIELDS, FIELDS + 7)


@internal
def _delta(state: Ints, line: int, i: int) -> int:
    """Where the delta is that has so many before it."""
    place = state[line + _OLDEST] + i
    return line + _RING + (place if place < state[_DELTAS] else place - state[_DELTAS])


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """Append the delta; one that does not fit its bits is written as 0."""
    line = rows.use(state, _LINES, stream)
    if line == NONE:
        line = rows.put(state, _LINES, stream)
        state[line + _LAST] = key
        return
    delta = minus(key, state[line + _LAST])
    if delta == 0:
        return
    if state[line + _N] == state[_DELTAS]:
        state[line + _OLDEST] = (state[line + _OLDEST] + 1) % state[_DELTAS]
    else:
        state[line + _N] += 1
    state[_delta(state, line, state[line + _N] - 1)] = delta if -state[_LIMIT] <= delta < state[_LIMIT] else 0
    state[line + _LAST] = key


@internal
def _takes_off(state: Ints, key: int, beyond: int) -> bool:
    """Add a block to those in flight; whether it was not among them."""
    size = state[_IN_FLIGHT]
    for i in range(min(state[_N_FLOWN], size)):
        if state[state[_FLYING] + 2 * i] == key and state[state[_FLYING] + 2 * i + 1] == beyond:
            return False
    at = state[_FLYING] + 2 * (state[_N_FLOWN] % size)
    state[at], state[at + 1] = key, beyond
    state[_N_FLOWN] += 1
    return True


@internal
def _after_prefetched(state: Ints, line: int, first: int) -> int:
    """The first delta behind the line's last prefetch, or the first at all if the path does not lead there."""
    at, beyond, found = state[line + _LAST], 0, first
    for i in range(first, state[line + _N]):
        delta = state[_delta(state, line, i)]
        beyond += crossing(at, delta)
        at = plus(at, delta)
        if state[line + _HAS_PREFETCHED] and at == state[line + _PREFETCHED] and beyond == state[line + _BEYOND]:
            found = i + 1
    return found


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """Replay all deltas since the oldest pair that is alike; of these, what comes after the last prefetch."""
    line = rows.peek(state, _LINES, stream)
    if line == NONE or state[line + _N] < 3:
        return 0
    n_deltas = state[line + _N]
    a, b = state[_delta(state, line, n_deltas - 2)], state[_delta(state, line, n_deltas - 1)]
    if a == 0 or b == 0:
        return 0
    # At the latest it finds the last two themselves, which nothing follows.
    first = 0
    while state[_delta(state, line, first)] != a or state[_delta(state, line, first + 1)] != b:
        first += 1
    first += 2
    start = _after_prefetched(state, line, first)
    n, at, beyond = 0, state[line + _LAST], 0
    for i in range(first, n_deltas):
        delta = state[_delta(state, line, i)]
        beyond += crossing(at, delta)
        at = plus(at, delta)
        if i < start or not _takes_off(state, at, beyond):
            continue
        state[line + _PREFETCHED], state[line + _BEYOND], state[line + _HAS_PREFETCHED] = at, beyond, 1
        if beyond == 0:
            keys[n], confidences[n] = at, 1.0
            n += 1
    return n


class DcptPolicy(CompiledPolicy):
    """Last key, last prefetch and last deltas of each stream."""

    def __init__(self, config: DcptConfig) -> None:
        n_fields = _RING - FIELDS + config.deltas
        flying = _LINES + rows.words(config.entries, n_fields)
        state = rows.state(flying + 2 * config.in_flight)
        state[_DELTAS], state[_LIMIT] = config.deltas, 2 ** (config.delta_bits - 1)
        state[_IN_FLIGHT], state[_FLYING] = config.in_flight, flying
        rows.setup(state, _LINES, config.entries, n_fields)
        super().__init__(config.trigger, state, _learn, _want, most_wanted=config.deltas)
