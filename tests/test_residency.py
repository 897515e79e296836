"""The residency against ordered dicts, and the set of keys against a set."""

from collections import OrderedDict
from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from simulator import keyset
from simulator.arrays import NONE, signed
from simulator.compiled import CHECKED, address_of, compiled
from simulator.records.arena import Arena
from simulator.records.run import Run, run_at
from simulator.residency.residency import Residency

CAPACITIES = (7, 12)
# A few keys that collide and wrap, so that chains in the hash table are exercised.
KEYS = st.sampled_from([*range(14), 2**63 - 1, 2**63, 2**64 - 1])


class ResidencyMachine(RuleBasedStateMachine):
    """Two tiers of LRU and FIFO with sizes, starting with room for two blocks so that the arena grows."""

    def __init__(self) -> None:
        super().__init__()
        self.residency = Residency([(CAPACITIES[0], "lru"), (CAPACITIES[1], "fifo")], first_slots=2)
        self.tiers: list[OrderedDict[int, tuple[int, int]]] = [OrderedDict(), OrderedDict()]
        self.n_in, self.n_out = [0, 0], [0, 0]

    @rule(level=st.integers(0, 1), key=KEYS, size=st.integers(1, 7), dirty=st.integers(0, 2))
    def insert(self, level: int, key: int, size: int, dirty: int) -> None:
        if key in self.tiers[level]:
            return
        held = [tier[key][0] for tier in self.tiers if key in tier]
        size = held[0] if held else size
        expected = []
        tier = self.tiers[level]
        while sum(s for s, _ in tier.values()) + size > CAPACITIES[level]:
            old, (old_size, old_dirty) = tier.popitem(last=False)
            where = sum(1 << i for i, t in enumerate(self.tiers) if old in t)
            expected.append((old, old_size, old_dirty, NONE, where))
        tier[key] = (size, dirty)
        self.n_in[level] += 1
        self.n_out[level] += len(expected)
        assert [tuple(v) for v in self.residency.insert(level, key, size, dirty)] == expected

    @rule(level=st.integers(0, 1), key=KEYS)
    def remove(self, level: int, key: int) -> None:
        size_dirty = self.tiers[level].pop(key, None)
        self.n_out[level] += size_dirty is not None
        assert self.residency.remove(level, key) == (NONE if size_dirty is None else size_dirty[1])

    @rule(key=KEYS)
    def use(self, key: int) -> None:
        resident = key in self.tiers[0]
        assert self.residency.where(key) & 1 == resident
        if resident:
            self.residency.use(0, key)
            self.tiers[0].move_to_end(key)

    @rule()
    def grow(self) -> None:
        self.residency.reserve(len(self.residency.keys(0)) + 3)

    @invariant()
    def agrees(self) -> None:
        for level, tier in enumerate(self.tiers):
            assert self.residency.keys(level) == set(tier)
            counts = self.residency.counts(level)
            assert counts == (self.n_in[level], self.n_out[level], len(tier), len(tier))
        for key in {*self.tiers[0], *self.tiers[1]}:
            assert self.residency.where(key) == sum(1 << i for i, t in enumerate(self.tiers) if key in t)
            assert self.residency.size(key) == next(t[key][0] for t in self.tiers if key in t)


TestResidency = ResidencyMachine.TestCase
TestResidency.settings = settings(max_examples=10 if CHECKED else 60, stateful_step_count=60, deadline=None)


def test_more_victims_than_the_buffer_holds() -> None:
    residency = Residency([(200, "lru")])
    for key in range(200):
        residency.insert(0, key, 1)
    assert [victim.key for victim in residency.insert(0, 999, 150)] == list(range(150))
    assert residency.keys(0) == {*range(150, 200), 999}


def test_quiet_insert_reports_only_what_matters() -> None:
    residency = Residency([(3, "lru")])
    residency.insert(0, 1, 1)
    residency.insert(0, 2, 1, dirty=2)
    residency.insert(0, 3, 1, prefetch=7)
    gone = residency.insert(0, 4, 3, report_all=False)
    assert [(v.key, v.dirty, v.prefetch) for v in gone] == [(2, 2, NONE), (3, 0, 7)]


def test_blocks_of_one_hash_are_told_apart() -> None:
    """Of the hash the table has 23 bits; two keys have the same. Neither is found for the other."""
    keys = np.arange(2_500_000, dtype=np.uint64)
    hashes = (keys * np.uint64(0x9E3779B97F4A7C15)).byteswap() & np.uint64((1 << 23) - 1)
    order = np.argsort(hashes, kind="stable")
    at = int(np.flatnonzero(np.diff(hashes[order]) == 0)[0])
    other, key = order[at : at + 2].tolist()
    assert _hash(key) & ((1 << 23) - 1) == _hash(other) & ((1 << 23) - 1)
    residency = Residency([(2, "lru")])
    residency.insert(0, key, 1)
    assert (residency.where(key), residency.where(other)) == (1, 0)
    assert residency.insert(0, other, 1) == []
    assert (residency.where(key), residency.where(other)) == (1, 1)
    residency.remove(0, key)
    assert (residency.where(key), residency.where(other)) == (0, 1)


def test_a_block_has_the_size_that_it_has_in_another_tier() -> None:
    residency = Residency([(9, "lru"), (9, "lru")])
    residency.insert(0, 1, 3)
    residency.insert(1, 1, 2)
    assert residency.size(1) == 3


def test_blocks_go_round_the_end_of_their_table() -> None:
    """Keys whose probes start at the last three places and at the first three."""
    residency, chance, held = Residency([(12, "lru")], first_slots=16), Random(1), set[int]()
    mask = Arena(residency.arena, 0).mask
    keys = [key for key in range(100_000) if (_hash(key) + 3) & mask < 6][:12]
    for key in chance.choices(keys, k=1000):
        if key in held:
            residency.remove(0, key)
        else:
            residency.insert(0, key, 1)
        held ^= {key}
        assert [residency.where(key) for key in keys] == [int(key in held) for key in keys]


def _hash(key: int) -> int:
    """As ``simulator.arrays.spot`` has it, in Python's own numbers."""
    return int.from_bytes((key * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "little"), "big")


@given(keys=st.lists(st.integers(0, 60), max_size=200), small=st.integers(1, 20), more=st.integers(0, 20))
def test_a_larger_lru_never_misses_more(keys: list[int], small: int, more: int) -> None:
    def misses(capacity: int) -> int:
        residency = Residency([(capacity, "lru")])
        n = 0
        for key in keys:
            if residency.where(key) & 1:
                residency.use(0, key)
            else:
                residency.insert(0, key, 1)
                n += 1
        return n

    assert misses(small + more) <= misses(small)


class KeySet:
    """A set in memory of its own, which grows as a run's does."""

    def __init__(self) -> None:
        self.memory = np.zeros(Run.words + 16, np.int64)
        self.keys.table, self.keys.mask = Run.words, 15

    @property
    def keys(self) -> Any:
        return Run(self.memory, 0).polluted

    def add(self, key: int) -> None:
        if (self.keys.mask + 1) // 2 - len(self) < 1:
            at, size = len(self.memory), 16
            while size < 4 * (len(self) + 1):
                size *= 2
            self.memory = np.concatenate([self.memory, np.zeros(size, np.int64)])
            keyset.move_to(address_of(self.memory), self.keys.place, at, size - 1)
        keyset_calls(address_of(self.memory), 0, signed(key))

    def discard(self, key: int) -> bool:
        return bool(keyset_calls(address_of(self.memory), 1, signed(key)))

    def __contains__(self, key: int) -> bool:
        return bool(keyset_calls(address_of(self.memory), 2, signed(key)))

    def __len__(self) -> int:
        return int(self.keys.n)


@compiled
def keyset_calls(memory: int, what: int, key: int) -> bool:
    run = run_at(memory)
    if what == 0:
        keyset.add(run, run.polluted, key)
    return keyset.discard(run, run.polluted, key) if what == 1 else keyset.has(run, run.polluted, key)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0, 1, 2, 5, 2**63, 2**64 - 1, *range(100, 140)]))))
def test_key_set_is_a_set(steps: list[tuple[bool, int]]) -> None:
    ours, theirs = KeySet(), set()
    for add, key in steps:
        if add:
            ours.add(key)
            theirs.add(key)
        else:
            assert ours.discard(key) == (key in theirs)
            theirs.discard(key)
        assert len(ours) == len(theirs)
        assert (key in ours) == (key in theirs)
    assert all(key in ours for key in theirs)


def test_key_set_goes_round_the_end_of_its_table() -> None:
    """Keys whose probes start at the last two of 16 places and at the first two; it is full with 8."""
    chance, twin, ours = Random(1), set[int](), KeySet()
    keys = [key for key in range(1, 100) if (_hash(key) + 2) % 16 < 4][:8]
    for key in chance.choices(keys, k=1000):
        if key in twin:
            ours.discard(key)
        else:
            ours.add(key)
        twin ^= {key}
        assert [key in ours for key in keys] == [key in twin for key in keys]
    assert ours.keys.mask == 15


def test_key_set_grows() -> None:
    keys = KeySet()
    for key in range(5000):
        keys.add(key * 7919)
    assert len(keys) == 5000
    assert all(key * 7919 in keys for key in range(5000))
    assert 7918 not in keys
