"""The residency's memory: tiers, and a row for each block that a tier holds or remembers.

    Arena | a Tier each | areas | a row for each slot | hash table

A slot is the place of a row, which never moves. A row is a Block, an Entry for each tier, then what further fields the
tiers' eviction policies asked for, filled up to whole cache lines, of which the first has all that a hit in tier 0
touches. An area is memory of a tier's own: the counters of a sketch.

A slot is a block that some tier holds, or a *ghost*: one that a tier holds no more, but whose eviction policy remembers
it. A ghost keeps its entry; its size there, which may differ from what the block has when it comes back, is in the
entry's field ``dirty``.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from simulator.arrays import At, Ints
from simulator.compiled import internal
from simulator.records.lists import List, Node
from simulator.records.record import Record, first, nth, view

R = TypeVar("R", bound=Record)

LINE = 8  # int64 in a cache line
POLICY_WORDS, ADMISSION_WORDS = 60, 4
# ``Block.where``: a bit for each tier that holds the block, then one for each that has a ghost of it, then one for each
# that has set it aside as prefetched and unused; and whether it is just coming in.
RESIDENT = 0xFF
GHOST, ASIDE, COMING = 8, 16, 1 << 24


class Block(Record):
    """What the head of a row says of its block."""

    key: int
    size: int
    where: int


class FreeSlot(Record, memory="shared"):
    """The head of a row that no block has."""

    key: int
    next: At[Any]


class Entry(Record):
    """What one tier has of a block.

    The links and the number ``aux`` belong to the eviction policy; ``prefetch`` is the place of the prefetch that
    brought the block, until its first use.
    """

    links: Node
    aux: int
    dirty: int
    prefetch: At[Any]


class AsideEntry(Record):
    """What a tier has further of a block where prefetched ones are set aside: ``due`` is a number of evictions."""

    links: Node
    due: int


class EvictionAddresses(Record):
    """The addresses of an eviction policy's functions; 0 where it has none."""

    on_hit: int
    recall: int
    on_insert: int
    victim: int
    on_remove: int
    overflow: int


class AdmissionAddresses(Record):
    """The addresses of an admission's functions; 0 where it has none."""

    count: int
    admits: int


class AsideList(Record):
    """The prefetched blocks that are set aside; ``fields`` is how far behind a slot their fields lie."""

    blocks: List
    n_bytes: int
    n_blocks: int
    limit: int
    fields: int


class Tier(Record, line=LINE):
    """A tier.

    ``order`` says whether its eviction policy is at hand or behind hooks (``residency.eviction``), ``is_told`` what it
    is told of the trace before the run (``residency.names``). ``n_in`` and
    ``n_out`` are blocks that ever came and went, ``coming`` is the one that is coming in, ``fields`` how far behind a
    slot the policy's further fields lie, ``random`` the state of its random numbers, ``overflows`` whether the use just
    now may have pushed blocks out.
    """

    order: int
    is_told: int
    capacity: int
    used: int
    n_blocks: int
    n_in: int
    n_out: int
    coming: At[Block]
    enters: int
    random: int
    fields: int
    overflows: int
    hooks: EvictionAddresses
    admission: AdmissionAddresses
    aside: AsideList
    of_admission: Annotated[Ints, ADMISSION_WORDS]
    of_policy: Annotated[Ints, POLICY_WORDS]


class Arena(Record, line=LINE):
    """The head of the memory; ``mask`` is the hash table's size less one, ``width`` the words of a row."""

    n_slots: int
    n_tiers: int
    table: At[Any]
    mask: int
    free: At[Any]
    n_free: int
    first_row: At[Any]
    width: int


class Victim(Record):
    """A block that was evicted, and the tiers that still hold it."""

    key: int
    size: int
    dirty: int
    prefetch: At[Any]
    where: int


arena_at, block_at, nth_victim = first(Arena), view(Block), nth(Victim)
free_slot_at, aside_entry_at, victim_at = view(FreeSlot), view(AsideEntry), view(Victim)
_tier_at, _entry_at = view(Tier), view(Entry)

_TIERS: At[Any] = Arena.words  # type: ignore[assignment]
_TIER, _OF_POLICY, _OF_ADMISSION = Tier.words, Tier.word("of_policy"), Tier.word("of_admission")
_ENTRIES, _ENTRY = Block.words, Entry.words


@internal
def tier_at(arena: Arena, level: int) -> Tier:
    """A tier by its level."""
    return _tier_at(arena, _TIERS + level * _TIER)


def links_within(level: int) -> int:
    """How far behind a slot its entry for a tier lies, which begins with the links."""
    return _ENTRIES + level * _ENTRY


links_of = internal(links_within)
"""The same in compiled code."""


@internal
def entry_at(arena: Arena, level: int, slot: At[Block]) -> Entry:
    """What a tier has of a block."""
    return _entry_at(arena, slot + links_of(level))


@internal
def place_of_policy(level: int) -> At[Any]:
    """Where a tier's eviction policy has its state."""
    return _TIERS + level * _TIER + _OF_POLICY


def state_of(of: type[R]) -> Callable[[Arena, int], R]:
    """What opens the state of a tier's eviction policy, which is of that class."""
    open_ = view(of)

    @internal
    def state_at(arena: Arena, level: int) -> R:
        return open_(arena, place_of_policy(level))

    return state_at


def state_of_admission(of: type[R]) -> Callable[[Arena, int], R]:
    """What opens the state of a tier's admission, which is of that class."""
    open_ = view(of)

    @internal
    def state_at(arena: Arena, level: int) -> R:
        return open_(arena, _TIERS + level * _TIER + _OF_ADMISSION)

    return state_at


def fields_of(of: type[R]) -> Callable[[Arena, int, At[Block]], R]:
    """What opens the further fields that a tier's eviction policy has of a block, which are of that class."""
    open_ = view(of)

    @internal
    def fields_at(arena: Arena, level: int, slot: At[Block]) -> R:
        return open_(arena, slot + tier_at(arena, level).fields)

    return fields_at
