"""Makes arenas, and larger ones, for given tiers.

All state is one int64 array, and a place in it is a plain integer. Compiled code takes its address: unboxing a tuple of
arrays costs more than a hit, and so does the counting of references whenever one is passed on (a hit in a small tier:
130 ns with views, 16 ns with places).
"""

from collections.abc import Iterable
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from simulator.arrays import NONE, Ints
from simulator.compiled import address_of
from simulator.records.arena import (
    ADMISSION_WORDS,
    LINE,
    POLICY_WORDS,
    Arena,
    AsideEntry,
    Block,
    Entry,
    FreeSlot,
    Tier,
    links_within,
)
from simulator.records.checked import carry, declare, seal
from simulator.records.lists import Node
from simulator.records.record import Record
from simulator.residency import calls
from simulator.residency.heap import NEXT, Element


class Part(NamedTuple):
    """What a tier needs of an arena.

    The records of its eviction policy's state, its admission's, and of the policy's fields of a row, each a class or
    None; whether prefetched blocks are set aside; the areas of eviction and admission.
    """

    of_policy: Any
    of_admission: Any
    fields: Any
    has_aside: bool
    areas: tuple[int, int]

    @property
    def n_fields(self) -> int:
        """Further fields of the policy in a row."""
        return self.fields.words if self.fields is not None else 0


def _records(class_: type[Record] | None) -> list[type[Record]]:
    """A class of records, and those that it begins as."""
    return [] if class_ is None else [of for of in class_.__mro__ if issubclass(of, Record) and of is not Record]


class Plan:
    """Where what lies in an arena of these tiers, whatever the number of slots."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self.parts = list(parts)
        for part in self.parts:
            for of, words in ((part.of_policy, POLICY_WORDS), (part.of_admission, ADMISSION_WORDS)):
                if of is not None and of.words > words:
                    raise ValueError(f"{of.__module__}.{of.__name__} has {of.words} words; expected at most {words}")
        n_tiers = len(self.parts)
        self.tiers = [Arena.words + level * Tier.words for level in range(n_tiers)]
        areas = [n for part in self.parts for n in part.areas]
        ends = list(accumulate(areas, initial=Arena.words + n_tiers * Tier.words))
        self.areas = [(ends[2 * level], ends[2 * level + 1]) for level in range(n_tiers)]
        self.rows = -(-ends[-1] // LINE) * LINE
        fields = [n for part in self.parts for n in (part.n_fields, AsideEntry.words * part.has_aside)]
        ends = list(accumulate(fields, initial=links_within(n_tiers)))
        self.fields = [(ends[2 * level], ends[2 * level + 1]) for level in range(n_tiers)]
        self.width = -(-ends[-1] // LINE) * LINE

    def make(self, n_slots: int) -> Ints:
        """An arena of free slots, which knows its tiers' places and nothing else of them."""
        ints = self._room(n_slots)
        arena = Arena(ints, 0)
        arena.n_tiers, arena.first_row, arena.width = len(self.parts), self.rows, self.width  # type: ignore[assignment]
        self._add_rows(ints, 0, n_slots)
        declare(ints, Arena, 0, 1)
        for part, place, fields in zip(self.parts, self.tiers, self.fields, strict=True):
            declare(ints, Tier, place, 1)
            for class_, word in ((part.of_policy, "of_policy"), (part.of_admission, "of_admission")):
                for of in _records(class_):
                    declare(ints, of, place + Tier.word(word), 1)
            tier = Tier(ints, place)
            tier.fields, tier.aside.fields = fields
        seal(ints)
        return ints

    def enlarge(self, old: Ints, n_slots: int) -> Ints:
        """A copy with more slots. These keep their places, so no link changes; the table is made anew."""
        ints = self._room(n_slots)
        was, arena = Arena(old, 0), Arena(ints, 0)
        table, mask, n_before = arena.table, arena.mask, was.n_slots
        # The first of the new slots lies where the old table began.
        ints[: was.table] = old[: was.table]
        arena.table, arena.mask = table, mask
        carry(old, ints)
        self._add_rows(ints, n_before, n_slots)
        calls.enter_again(address_of(old), address_of(ints))
        return ints

    def _room(self, n_slots: int) -> Ints:
        """All 0, but for where the table is."""
        size = LINE
        while size < 2 * n_slots:
            size *= 2
        table = self.rows + n_slots * self.width
        room = np.zeros(table + size + LINE, np.int64)
        # From the start of a cache line: header, tiers and rows are whole lines.
        start = -(room.ctypes.data // room.itemsize) % LINE
        ints = room[start : start + table + size]
        arena = Arena(ints, 0)
        arena.table, arena.mask = table, size - 1  # type: ignore[assignment]
        return ints

    def _add_rows(self, ints: Ints, n_before: int, n_slots: int) -> None:
        """Rows behind those that are there are free, and are taken after those that already are."""
        arena = Arena(ints, 0)
        first, n_new = self.rows + n_before * self.width, n_slots - n_before
        end = first + n_new * self.width
        following = ints[first + FreeSlot.word("next") : end : self.width]
        following[:] = np.arange(first + self.width, end + self.width, self.width)
        following[-1] = NONE
        last, slot = NONE, arena.free if n_before else NONE
        while slot != NONE:
            last, slot = slot, FreeSlot(ints, slot).next
        if last == NONE:
            arena.free = first  # type: ignore[assignment]
        else:
            FreeSlot(ints, last).next = first  # type: ignore[assignment]
        arena.n_slots, arena.n_free = n_slots, arena.n_free + n_new
        self._declare_rows(ints, first, n_new)

    def _declare_rows(self, ints: Ints, first: int, n: int) -> None:
        def columns(of: Any, within: int, *, is_pool: bool = True) -> None:
            declare(ints, of, first + within, n, is_pool=is_pool, step=self.width, within=within)
            if hasattr(of, "links"):
                links = within + of.word("links")
                declare(ints, Node, first + links, n, is_pool=is_pool, step=self.width, within=links)

        columns(Block, 0)
        columns(FreeSlot, 0, is_pool=False)
        for level, (part, (fields, aside)) in enumerate(zip(self.parts, self.fields, strict=True)):
            columns(Entry, links_within(level))
            columns(Element, links_within(level) + NEXT, is_pool=False)
            if part.has_aside:
                columns(AsideEntry, aside)
            for of in _records(part.fields):
                columns(of, fields)
