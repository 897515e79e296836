"""Spatial memory streaming: which blocks of a region are used together, looked up by who starts using the region.

Somogyi et al., "Spatial Memory Streaming", ISCA 2006. A stream and an offset stand where the paper has instruction and
offset. A region's generation ends when a block of it leaves the cache, or its entry the tables of active regions. A
policy is not told what a cache evicts; that a block has left shows when it is missed again.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, TableSettings, TriggerName
from policies.given import Built, Given
from policies.rows import FIELDS
from simulator.answers import Floats, offer
from simulator.arrays import NONE, Ints, quotient, remainder
from simulator.compiled import internal
from simulator.config import Count
from simulator.policy import Outcome


class SmsConfig(TableSettings):
    """The blocks of a region that were used together before (Somogyi et al. 2006)."""

    kind: Literal["sms"]
    region_blocks: Annotated[int, Field(ge=2, le=4096)] = 64
    """Blocks of a spatial region."""
    filter_entries: Count = 64
    """Regions with one access so far."""
    accumulation_entries: Count = 64
    """Regions whose footprint is being recorded."""
    history_entries: Count = 16384
    """Footprints remembered, by stream and offset."""
    trigger: TriggerName = "access"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(SmsPolicy(self))


# The state: settings, who began a generation just now (or NONE), where the tables lie: regions used once (filter) and
# more often (active), and the footprints of those that are over, by who began them. The filter comes first.
_BLOCKS, _WORDS, _BEGUN, _ACTIVE, _HISTORY, _FILTER = range(6)
# Who begins a generation is a stream and an offset below 4096. A footprint is its region's offsets, as bits.
_BY = FIELDS
_ACTIVE_BITS, _HISTORY_BITS = FIELDS + 1, FIELDS
_OFFSETS = 4096
_MISS = int(Outcome.MISS)


@internal
def _is_set(state: Ints, bits: int, offset: int) -> bool:
    return (state[bits + (offset >> 6)] >> (offset & 63)) & 1 != 0


@internal
def _set(state: Ints, bits: int, offset: int) -> None:
    state[bits + (offset >> 6)] |= np.int64(1) << (offset & 63)


@internal
def _ends(state: Ints, active: int) -> None:
    """The footprint of an active region goes into the history."""
    row = rows.put(state, state[_HISTORY], state[active + _BY])
    for i in range(state[_WORDS]):
        state[row + _HISTORY_BITS + i] = state[active + _ACTIVE_BITS + i]


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """A region's first block begins a generation; further ones are gathered until one of them is missed again."""
    region = quotient(key, state[_BLOCKS])
    offset = remainder(key, state[_BLOCKS])
    state[_BEGUN] = NONE
    active = rows.use(state, state[_ACTIVE], region)
    if active != NONE:
        if outcome != _MISS or not _is_set(state, active + _ACTIVE_BITS, offset):
            _set(state, active + _ACTIVE_BITS, offset)
            return
        _ends(state, active)
        rows.remove(state, state[_ACTIVE], active)
    first = rows.peek(state, _FILTER, region)
    if first == NONE or (state[first + _BY] % _OFFSETS == offset and outcome == _MISS):
        first = rows.put(state, _FILTER, region)
        state[first + _BY] = state[_BEGUN] = stream * _OFFSETS + offset
    elif state[first + _BY] % _OFFSETS != offset:
        by = state[first + _BY]
        rows.remove(state, _FILTER, first)
        if rows.is_full(state, state[_ACTIVE]):
            _ends(state, rows.oldest(state, state[_ACTIVE]))
        active = rows.put(state, state[_ACTIVE], region)
        state[active + _BY] = by
        _set(state, active + _ACTIVE_BITS, by % _OFFSETS)
        _set(state, active + _ACTIVE_BITS, offset)


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """At the start of a generation, the footprint that a start like this had last; nearest block first."""
    if state[_BEGUN] == NONE:
        return 0
    row = rows.use(state, state[_HISTORY], state[_BEGUN])
    if row == NONE:
        return 0
    offset, n = remainder(key, state[_BLOCKS]), 0
    for distance in range(1, state[_BLOCKS]):
        if offset >= distance and _is_set(state, row + _HISTORY_BITS, offset - distance):
            n = offer(keys, confidences, n, key, -distance, 1.0)
        if offset + distance < state[_BLOCKS] and _is_set(state, row + _HISTORY_BITS, offset + distance):
            n = offer(keys, confidences, n, key, distance, 1.0)
    return n


class SmsPolicy(CompiledPolicy):
    """Regions used once (filter) and more often (accumulation), and the footprints of those that are over."""

    def __init__(self, config: SmsConfig) -> None:
        n_words = -(-config.region_blocks // 64)
        active = _FILTER + rows.words(config.filter_entries, 1)
        history = active + rows.words(config.accumulation_entries, 1 + n_words)
        state = rows.state(history + rows.words(config.history_entries, n_words))
        state[:_FILTER] = config.region_blocks, n_words, NONE, active, history
        rows.setup(state, _FILTER, config.filter_entries, 1)
        rows.setup(state, active, config.accumulation_entries, 1 + n_words)
        rows.setup(state, history, config.history_entries, n_words)
        super().__init__(config.trigger, state, _learn, _want, most_wanted=config.region_blocks)
