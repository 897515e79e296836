"""Mithril: pairs of blocks that, each time one was used, were used together; mined from blocks of middling frequency.

Yang et al., "Mithril: Mining Sporadic Associations for Cache Prefetching", SoCC 2017. A block is recorded until it was
used ``min_support`` times, then waits in the mining table, whose rows are compared when it is full. Two rows are
associated, the later one with the earlier, if their times lie within the lookahead of each other, but for
``confidence`` of them at most, and if a pair of times is side by side, or the row is the first that comes near. A
block used more than
``max_support`` times is too frequent to be worth a row. Leaves out the second chance that unused prefetches get.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.rows import FIELDS, KEY
from simulator.answers import Floats
from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.config import Count
from simulator.policy import Ahead


class MithrilConfig(TableSettings):
    """Blocks that were sporadically used together (Yang et al. 2017)."""

    kind: Literal["mithril"]
    lookahead: Count = 20
    """Accesses within which two blocks count as used together."""
    min_support: Annotated[int, Field(ge=1, le=64)] = 2
    """Uses from which on a block is mined."""
    max_support: Annotated[int, Field(ge=1, le=64)] = 8
    """Uses from which on a block is too frequent to be mined."""
    confidence: Annotated[int, Field(ge=0, le=64)] = 1
    """Of the uses of two associated blocks, how many may lie further apart."""
    successors: Degree = 2
    """Associations remembered of a block, and asked for."""
    recording_entries: Count = 8192
    """Blocks whose uses are recorded before they are mined."""
    mining_entries: Annotated[int, Field(ge=2, le=2**16)] = 512
    """Blocks in the mining table; when it is full, it is mined."""
    entries: Count = 16384
    """Blocks whose associations are remembered."""
    trigger: TriggerName = "access"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    @model_validator(mode="after")
    def _supports(self) -> "MithrilConfig":
        if self.max_support < self.min_support:
            raise ValueError(f"max_support: expected at least min_support {self.min_support}, got {self.max_support}")
        return self

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(MithrilPolicy(self))


# The state: settings, how many accesses there were, rows in the mining table, where the tables lie, and the list of the
# mining table's rows in order. Both tables of times have how many times, then these; who to prefetch with whom has how
# many others, then these, the newest first.
(
    _LOOKAHEAD, _MIN_SUPPORT, _MAX_SUPPORT, _CONFIDENCE, _SUCCESSORS, _FULL, _NOW, _N_MINING, _MINING, _ASSOCIATED,
    _ORDER, _RECORDING,
) = range(12)  # fmt: skip
_N, _FIRST = FIELDS, FIELDS + 1


@internal
def _write(state: Ints, row: int) -> None:
    """This is another time of a block."""
    state[row + _FIRST + state[row + _N]] = state[_NOW]
    state[row + _N] += 1


@internal
def _in_order(state: Ints) -> None:
    """List the rows of the mining table by their first times (Shell's sort)."""
    order, n, row = state[_ORDER], 0, rows.oldest(state, state[_MINING])
    while row != NONE:
        state[order + n] = row
        n += 1
        row = rows.newer(state, row)
    width = n // 2
    while width > 0:
        for i in range(width, n):
            row, at = state[order + i], i
            while at >= width and state[state[order + at - width] + _FIRST] > state[row + _FIRST]:
                state[order + at] = state[order + at - width]
                at -= width
            state[order + at] = row
        width //= 2


@internal
def _associate(state: Ints, key: int, other: int) -> None:
    """The newest associations stay."""
    row = rows.put(state, state[_ASSOCIATED], key)
    first, place = row + _FIRST, 0
    while place < state[row + _N] and state[first + place] != other:
        place += 1
    if place == state[_SUCCESSORS]:
        place -= 1
    elif place == state[row + _N]:
        state[row + _N] += 1
    for at in range(first + place, first, -1):
        state[at] = state[at - 1]
    state[first] = other


@internal
def _compare(state: Ints, row: int, other: int, is_first: bool) -> None:
    """Associate two rows whose times are near each other."""
    n_apart, is_beside = 0, False
    for i in range(min(state[row + _N], state[other + _N])):
        apart = abs(state[row + _FIRST + i] - state[other + _FIRST + i])
        n_apart += apart > state[_LOOKAHEAD]
        is_beside = is_beside or apart == 1
    if n_apart <= state[_CONFIDENCE] and (is_first or is_beside):
        _associate(state, state[row + KEY], state[other + KEY])


@internal
def _mine(state: Ints) -> None:
    """Compare each row with those that begin within its lookahead, then begin a new table."""
    _in_order(state)
    order, n = state[_ORDER], state[_N_MINING]
    for i in range(n):
        row, is_first, j = state[order + i], True, i + 1
        while j < n and state[state[order + j] + _FIRST] - state[row + _FIRST] <= state[_LOOKAHEAD]:
            other = state[order + j]
            if abs(state[other + _N] - state[row + _N]) <= state[_CONFIDENCE]:
                _compare(state, row, other, is_first)
                is_first = False
            j += 1
    for i in range(n):
        rows.remove(state, state[_MINING], state[order + i])
    state[_N_MINING] = 0


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """Write down the time; mine when the mining table is full."""
    state[_NOW] += 1
    row = rows.peek(state, state[_MINING], key)
    if row != NONE:
        if state[row + _N] < state[_MAX_SUPPORT]:
            _write(state, row)
        else:
            rows.remove(state, state[_MINING], row)
            state[_N_MINING] -= 1
        return
    recorded = rows.peek(state, _RECORDING, key)
    n = state[recorded + _N] if recorded != NONE else 0
    if n + 1 < state[_MIN_SUPPORT]:
        _write(state, rows.put(state, _RECORDING, key))
        return
    row = rows.put(state, state[_MINING], key)
    if recorded != NONE:
        for i in range(n):
            state[row + _FIRST + i] = state[recorded + _FIRST + i]
        state[row + _N] = n
        rows.remove(state, _RECORDING, recorded)
    _write(state, row)
    state[_N_MINING] += 1
    if state[_N_MINING] == state[_FULL]:
        _mine(state)


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The blocks that go with it."""
    row = rows.use(state, state[_ASSOCIATED], key)
    if row == NONE:
        return 0
    for i in range(state[row + _N]):
        keys[i], confidences[i] = state[row + _FIRST + i], 1.0
    return state[row + _N]


class MithrilPolicy(CompiledPolicy):
    """Times of use by block: few in the recording table, some in the mining table; and who to prefetch with whom."""

    def __init__(self, config: MithrilConfig) -> None:
        tables = [
            (config.recording_entries, config.min_support), (config.mining_entries, 1 + config.max_support),
            (config.entries, 1 + config.successors),
        ]  # fmt: skip
        places = [_RECORDING]
        for table in tables:
            places.append(places[-1] + rows.words(*table))
        state = rows.state(places[-1] + config.mining_entries)
        state[:_NOW] = (
            config.lookahead, config.min_support, config.max_support, config.confidence, config.successors,
            config.mining_entries,
        )  # fmt: skip
        state[_MINING], state[_ASSOCIATED], state[_ORDER] = places[1:]
        for place, table in zip(places, tables, strict=False):
            rows.setup(state, place, *table)
        super().__init__(config.trigger, state, _learn, _want, config.successors, Ahead(of_stream=False))
