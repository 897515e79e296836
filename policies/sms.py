"""Spatial memory streaming: which blocks of a region are used together, looked up by who starts using the region.

Somogyi et al., "Spatial Memory Streaming", ISCA 2006. A stream and an offset stand where the paper has instruction and
offset. A region's generation ends when a block of it leaves the cache, or its entry the tables of active regions. A
policy is not told what a cache evicts; that a block has left shows when it is missed again.
"""

from typing import Annotated, Literal

from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, PolicySettings, TriggerName
from policies.given import Built, Given
from policies.keys import offset_in_page, page_of
from policies.rows import FIELDS
from simulator.answers import Floats, offer
from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.config import Count
from simulator.policy import Outcome


class SmsConfig(PolicySettings):
    """The blocks of a region that were used together before (Somogyi et al. 2006)."""

    kind: Literal["sms"]
    region_blocks: Annotated[int, Field(ge=2, le=4096)] = 64
    filter_entries: Count = 64
    accumulation_entries: Count = 64
    history_entries: Count = 16384
    trigger: TriggerName = "access"

    def build(self, given: Given) -> Built:
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
def _is_set(p: Ints, bits: int, offset: int) -> bool:
    return (p[bits + (offset >> 6)] >> (offset & 63)) & 1 != 0


@internal
def _set(p: Ints, bits: int, offset: int) -> None:
    p[bits + (offset >> 6)] |= 1 << (offset & 63)


@internal
def _ends(p: Ints, active: int) -> None:
    """The footprint of an active region goes into the history."""
    row = rows.put(p, p[_HISTORY], p[active + _BY])
    for i in range(p[_WORDS]):
        p[row + _HISTORY_BITS + i] = p[active + _ACTIVE_BITS + i]


def _learn(p: Ints, key: int, stream: int, outcome: int) -> None:
    """A region's first block begins a generation; further ones are gathered until one of them is missed again."""
    region = page_of(key, p[_BLOCKS])
    offset = offset_in_page(key, p[_BLOCKS])
    p[_BEGUN] = NONE
    active = rows.use(p, p[_ACTIVE], region)
    if active != NONE:
        if outcome != _MISS or not _is_set(p, active + _ACTIVE_BITS, offset):
            _set(p, active + _ACTIVE_BITS, offset)
            return
        _ends(p, active)
        rows.remove(p, p[_ACTIVE], active)
    first = rows.peek(p, _FILTER, region)
    if first == NONE or (p[first + _BY] % _OFFSETS == offset and outcome == _MISS):
        first = rows.put(p, _FILTER, region)
        p[first + _BY] = p[_BEGUN] = stream * _OFFSETS + offset
    elif p[first + _BY] % _OFFSETS != offset:
        by = p[first + _BY]
        rows.remove(p, _FILTER, first)
        if rows.is_full(p, p[_ACTIVE]):
            _ends(p, rows.oldest(p, p[_ACTIVE]))
        active = rows.put(p, p[_ACTIVE], region)
        p[active + _BY] = by
        _set(p, active + _ACTIVE_BITS, by % _OFFSETS)
        _set(p, active + _ACTIVE_BITS, offset)


def _want(p: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """At the start of a generation, the footprint that a start like this had last; nearest block first."""
    if p[_BEGUN] == NONE:
        return 0
    row = rows.use(p, p[_HISTORY], p[_BEGUN])
    if row == NONE:
        return 0
    offset, n = offset_in_page(key, p[_BLOCKS]), 0
    for distance in range(1, p[_BLOCKS]):
        if offset >= distance and _is_set(p, row + _HISTORY_BITS, offset - distance):
            n = offer(keys, confidences, n, key, -distance, 1.0)
        if offset + distance < p[_BLOCKS] and _is_set(p, row + _HISTORY_BITS, offset + distance):
            n = offer(keys, confidences, n, key, distance, 1.0)
    return n


class SmsPolicy(CompiledPolicy):
    """Regions used once (filter) and more often (accumulation), and the footprints of those that are over."""

    def __init__(self, config: SmsConfig) -> None:
        n_words = -(-config.region_blocks // 64)
        active = _FILTER + rows.words(config.filter_entries, 1)
        history = active + rows.words(config.accumulation_entries, 1 + n_words)
        p = rows.state(history + rows.words(config.history_entries, n_words))
        p[:_FILTER] = config.region_blocks, n_words, NONE, active, history
        rows.setup(p, _FILTER, config.filter_entries, 1)
        rows.setup(p, active, config.accumulation_entries, 1 + n_words)
        rows.setup(p, history, config.history_entries, n_words)
        super().__init__(config.trigger, p, _learn, _want, most_wanted=config.region_blocks)
