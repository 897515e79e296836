"""One contract for every eviction policy, over the registry, and each compiled one against the same in plain Python."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.arrays import NONE, signed
from simulator.compiled import CHECKED, address_of, compiled, ints_at
from simulator.demand import misses_of
from simulator.evictions.belady import NEVER
from simulator.evictions.heaps import Heap
from simulator.evictions.registry import EVICTIONS as PLAIN
from simulator.evictions.registry import make
from simulator.evictions.sketch import Sketch
from simulator.families import Families
from simulator.future import future_of
from simulator.records.arena import arena_at
from simulator.records.run import Run, run_at
from simulator.residency import sketch
from simulator.residency.belady import passed
from simulator.residency.registry import EVICTIONS
from simulator.residency.residency import Residency, TierSpec
from simulator.serving import MISS, touch
from simulator.trace import READ, make_batch
from tests.strategies import OUR_EVICTIONS, PUSH_OUT, ListWorkload, system

Steps = list[tuple[int, int, int]]
STEPS = st.lists(st.tuples(st.sampled_from([0, 0, 0, 0, 0, 0, 1]), st.integers(0, 24), st.integers(1, 3)), max_size=150)


EVICTION_NAMES = OUR_EVICTIONS
VARIANTS = ["slru(variant=libcachesim)", "wtinylfu(variant=libcachesim)"]
# Where the compiled ones run as plain Python, a share of the examples: mutants are all noticed with that share.
SHARE = 5 if CHECKED else 1


@compiled
def use(arena: int, m: int, key: int) -> bool:
    return touch(run_at(m), arena_at(arena), key, READ) != MISS


@compiled
def pass_by(arena: int, key: int, next_use: int) -> None:
    passed(arena_at(arena), key, next_use)


class Driver:
    """One tier, driven by hand as the engine drives it."""

    def __init__(self, capacity: int, eviction: Any, *, seed: int = 0, **spec: Any) -> None:
        chosen = EVICTIONS.parse(eviction) if isinstance(eviction, str) else eviction
        self.residency = Residency([TierSpec(capacity, chosen, **spec)], first_slots=2, seed=seed)
        self.m = np.zeros(Run.words, np.int64)

    def foresee(self, keys: list[int]) -> None:
        self.future = future_of(iter([make_batch(keys)]))
        self.residency.foresee(self.future.keys, self.future.first_use)
        self.at = 0

    def adopt(self, parents: dict[int, int]) -> None:
        keys, theirs = (np.array(list(of), np.uint64).view(np.int64) for of in (parents, parents.values()))
        self.residency.adopt(Families(keys, theirs))

    def request(self, key: int, size: int = 1, prefetch: int = NONE) -> list[int] | None:
        if hasattr(self, "future") and prefetch == NONE:
            pass_by(address_of(self.residency.arena), signed(key), self.future.next_use[self.at])
            self.at += 1
        if prefetch == NONE and use(address_of(self.residency.arena), address_of(self.m), signed(key)):
            return None
        return [victim.key for victim in self.residency.insert(0, key, size, prefetch=prefetch)]


class Pair:
    """A compiled policy and the same in plain Python: what one does, the other must do."""

    def __init__(self, capacity: int, eviction: Any, demanded: list[int], **spec: Any) -> None:
        self.capacity = capacity
        chosen = EVICTIONS.parse(eviction) if isinstance(eviction, str) else eviction
        self.driver, self.plain = Driver(capacity, chosen, **spec), make(chosen, capacity, **spec)
        self.pushed_out: list[int] = []
        self.next_uses: list[int] = []
        first_uses: dict[int, int] = {}
        for at in range(len(demanded) - 1, -1, -1):
            self.next_uses.append(first_uses.get(demanded[at], NEVER))
            first_uses[demanded[at]] = at
        if self.plain.foresees:
            self.driver.foresee(demanded)
            self.plain.foresee(first_uses)
        if self.plain.knows_families:
            # Of requests of three; keys that come back elsewhere make circles, too.
            parents = {key: before for at, (before, key) in enumerate(pairwise(demanded)) if at % 3 and before != key}
            self.driver.adopt(parents)
            self.plain.adopt(parents)

    def request(self, key: int, size: int = 1, *, prefetched: bool = False) -> list[int] | None:
        if prefetched and key in self.plain:
            return None
        if not prefetched:
            self.plain.passed(key, self.next_uses.pop())
        size = min(size, self.capacity)
        gone = self.plain.request(key, size, prefetched=prefetched)
        assert self.driver.request(key, size, prefetch=5 if prefetched else NONE) == gone
        pushed_out = self.plain.push_out()
        assert [victim.key for victim in self.driver.residency.push_out(0)] == pushed_out
        self.pushed_out += pushed_out
        return gone

    def remove(self, key: int) -> None:
        assert (self.driver.residency.remove(0, key) != NONE) == (key in self.plain)
        if key in self.plain:
            self.plain.remove(key)

    def check(self) -> None:
        assert self.driver.residency.keys(0) == self.plain.keys()


def test_every_eviction_is_there_twice_and_has_a_line() -> None:
    assert set(PLAIN) == set(OUR_EVICTIONS)
    for kind, settings_class in ((kind, EVICTIONS[kind]) for kind in OUR_EVICTIONS):
        assert EVICTIONS.validate(kind).kind == kind
        assert "." in (settings_class.__doc__ or "").splitlines()[0]


@pytest.mark.parametrize("eviction", [*EVICTION_NAMES, *VARIANTS])
@settings(max_examples=75 // SHARE, deadline=None)
@given(steps=STEPS, capacity=st.integers(1, 14), has_sizes=st.booleans())
def test_compiled_equals_plain(
    eviction: str, steps: list[tuple[int, int, int]], capacity: int, has_sizes: bool
) -> None:
    """Uses, arrivals of any size and departures: the same hits, and the same victims in the same order."""
    pair = Pair(capacity, eviction, [key for leaves, key, _ in steps if not leaves])
    for leaves, key, drawn in steps:
        if leaves:
            pair.remove(key)
        else:
            pair.request(key, drawn if has_sizes else 1)
    pair.check()


@pytest.mark.parametrize("eviction", EVICTION_NAMES)
@settings(max_examples=40, deadline=None)
@given(keys=st.lists(st.integers(0, 40), max_size=300), n=st.integers(1, 30), size=st.integers(2, 70), data=st.data())
def test_bytes_of_one_size_are_pages(eviction: str, keys: list[int], n: int, size: int, data: st.DataObject) -> None:
    """Room for n blocks and a rest that holds none: the same victims as with n pages."""
    rest = data.draw(st.integers(0, size - 1))
    pages = Pair(n, eviction, keys)
    in_bytes = Pair(n * size + rest, eviction, keys, n_blocks=n)
    assert [pages.request(key) for key in keys] == [in_bytes.request(key, size) for key in keys]


ADMISSIONS = st.sampled_from(
    [
        "all", {"kind": "size", "largest": "1 B"}, {"kind": "size", "largest": "2 B"}, "tinylfu",
        {"kind": "probabilistic", "probability": 0.5},
    ]
)  # fmt: skip
ENTERS = st.sampled_from(["front", "middle", "back", "region"])


@pytest.mark.parametrize("eviction", [*EVICTION_NAMES, *VARIANTS])
@settings(max_examples=50 // SHARE, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 3), st.booleans()), max_size=120),
    capacity=st.integers(1, 14),
    enters=ENTERS,
    admission=ADMISSIONS,
)
def test_admission_and_prefetched_blocks(
    eviction: str, steps: Steps, capacity: int, enters: str, admission: Any
) -> None:
    """Demand and prefetches mixed: where the prefetched enter, until they are used; who is not let in."""
    demanded = [key for key, _, prefetched in steps if not prefetched]
    pair = Pair(
        capacity, eviction, demanded, admission=admission, enters=enters, region_ratio=0.3
    )  # fmt: skip
    for key, drawn, prefetched in steps:
        pair.request(key, drawn, prefetched=prefetched)
    pair.check()


@pytest.mark.parametrize("eviction", [*EVICTION_NAMES, *VARIANTS])
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**62 - 1),
    capacity=st.integers(1, 400),
    largest=st.sampled_from([1, 4, 40, 400]),
    n_keys=st.sampled_from([30, 300, 4000]),
    enters=ENTERS,
    admission=ADMISSIONS,
)
def test_long_traces(
    eviction: str, seed: int, capacity: int, largest: int, n_keys: int, enters: str, admission: Any
) -> None:
    """Thousands of steps of every kind over blocks of very different sizes, some as large as the tier."""
    rng = np.random.default_rng(seed)
    n = 1500
    keys = (rng.random(n) ** 3 * n_keys).astype(int).tolist()
    # Most are small, so that there are many, and all lists have more than one.
    sizes = np.ceil(rng.random(n) ** 2 * largest).astype(int).clip(1).tolist()
    kinds = rng.choice(["demand"] * 7 + ["prefetch"] * 2 + ["remove"], n).tolist()
    pair = Pair(
        capacity, eviction, [key for key, what in zip(keys, kinds, strict=True) if what == "demand"],
        seed=seed, admission=admission, enters=enters, region_ratio=0.3, n_blocks=40,
    )  # fmt: skip
    for key, size, what in zip(keys, sizes, kinds, strict=True):
        if what == "remove":
            pair.remove(key)
        else:
            pair.request(key, size, prefetched=what == "prefetch")
    pair.check()


def drifting(seed: int, n: int) -> list[int]:
    """Uses of 4,000 keys of all 64 bits. Who is popular changes: else the first to be so would stay for ever."""
    rng = np.random.default_rng(seed)
    popular = (rng.random(n) ** 2 * 1000 + np.arange(n) * 3000 / n).astype(int)
    return rng.integers(0, 2**64, 4000, np.uint64)[popular].tolist()


@pytest.mark.parametrize("eviction", [*EVICTION_NAMES, *VARIANTS])
@pytest.mark.parametrize("largest", [1, 3])
def test_many_ghosts_come_back(eviction: str, largest: int) -> None:
    """Long enough for small differences to add up: fractions of ARC's target, ghosts of LIRS that are one too many."""
    keys = drifting(1, 8_000)
    pair = Pair(120 * largest, eviction, keys, n_blocks=120)
    for key in keys:
        pair.request(key, 1 + key % largest)
    pair.check()


@pytest.mark.parametrize(("eviction", "admission"), [("wtinylfu", "all"), ("lru", "tinylfu"), ("wtinylfu", "tinylfu")])
@pytest.mark.parametrize("seed", range(3))
def test_collisions_in_the_sketch(eviction: str, admission: str, seed: int) -> None:
    """Many more keys than there are counters: the same counts are wrong, and halved, at the same time.

    For a tier that is said to hold 40 blocks there are 512 counters in a row, which are halved after 1,280 uses.
    """
    keys = drifting(seed, 15_000)
    sizes = [1 + key % 3 if seed else 1 for key in keys]
    pair = Pair(400, eviction, keys, admission=admission, n_blocks=40)
    wide = make(eviction, 400, admission=admission, n_blocks=1 << 16)
    found = [pair.request(key, size) for key, size in zip(keys, sizes, strict=True)]
    # Where each key has counters of its own and none is halved, others go: the above depends on it.
    assert any(gone != wide.request(key, size) for gone, key, size in zip(found, keys, sizes, strict=True))
    pair.check()


@compiled
def sketch_add(address: int, key: int) -> None:
    sketch.add(ints_at(address), 0, key)
    sketch.age(ints_at(address), 0)


@compiled
def sketch_estimate(address: int, key: int) -> int:
    return sketch.estimate(ints_at(address), 0, key)


@pytest.mark.parametrize("n_blocks", [1, 2, 255, 256, 257, 1000])
def test_sketch_equals_plain(n_blocks: int) -> None:
    """Widths, hashes, saturation and halving: every estimate is the same, after each thousand uses."""
    area = np.zeros(sketch.words_for(n_blocks), np.int64)
    sketch.make(area, 0, n_blocks)
    address = address_of(area)
    plain = Sketch(n_blocks)
    rng = np.random.default_rng(n_blocks)
    all_keys = [0, 1, 2**63 - 1, 2**63, 2**64 - 1, *rng.integers(0, 2**64, 2000, np.uint64).tolist()]
    highest = 0
    for _ in range(8):
        for i in (rng.random(1000) ** 8 * len(all_keys)).astype(int).tolist():
            sketch_add(address, signed(all_keys[i]))
            plain.add(all_keys[i])
            plain.age()
        estimates = [plain.estimate(key) for key in all_keys]
        assert estimates == [sketch_estimate(address, signed(key)) for key in all_keys]
        highest = max(highest, *estimates)
    assert highest == 255 or n_blocks < 255


def test_a_block_of_clock_goes_round_once_for_each_use() -> None:
    """Block 1 was used twice since it came: 2 and 3 go, and then 1 itself."""
    keys = [1, 1, 1, 2, 3, 4, 5]
    pair = Pair(2, {"kind": "clock", "n_bit_counter": 2}, keys)
    assert [pair.request(key) for key in keys] == [[], None, None, [], [2], [3], [1]]


@pytest.mark.parametrize("variant", ["paper", "libcachesim"])
@pytest.mark.parametrize("eviction", PUSH_OUT)
def test_who_is_used_is_not_pushed_out(eviction: dict[str, Any], variant: str) -> None:
    """Others are, also in tiers too small for their lists, where it comes down to the lowest one at once.

    As papers have it, nobody is.
    """
    rng = np.random.default_rng(1)
    pushed_out = []
    for capacity in range(1, 12):
        keys = (rng.random(300) ** 2 * 2 * capacity).astype(int).tolist()
        pair = Pair(capacity, EVICTIONS.validate({**eviction, "variant": variant}), keys)
        for key in keys:
            pair.request(key)
            assert key in pair.plain
        pair.check()
        pushed_out += pair.pushed_out
    assert (pushed_out != []) == (variant == "libcachesim")


def test_prefixes_go_from_their_end() -> None:
    """1, 2, 3 are a prefix, 4 another one, used in the order 2, 4, 1, 3, in which LRU would let go of them.

    The leaves are 4 and 3; 2 is the oldest of all as soon as it is one.
    """
    driver, plain = Driver(4, "leaf_lru"), make("leaf_lru", 4)
    for one in (driver, plain):
        one.adopt({2: 1, 3: 2})
        assert [one.request(key, 1) for key in [1, 2, 3, 4, 2, 4, 1, 3]] == [[]] * 4 + [None] * 4
        assert [one.request(key, 1) for key in [5, 6, 7, 8]] == [[4], [3], [2], [1]]
        # A parent that comes back when its child is there is none: 2 goes after 3 again.
        assert [one.request(key, 1) for key in [3, 2, 9, 10, 11, 12]] == [[5], [6], [7], [8], [3], [2]]
    assert driver.residency.keys(0) == plain.keys() == {9, 10, 11, 12}


def test_who_is_pinned_is_not_pushed_out() -> None:
    """Room for three, of which 5 and 6 are to stay: others go for each other, in the order of their last uses."""
    keys = [5, 1, 2, 3, 5, 6, 4, 7, 5, 10, 6, 11, 12]
    pair = Pair(3, {"kind": "pinned", "keys": [5, 6]}, keys)
    assert [pair.request(key) for key in keys[:8]] == [[], [], [], [1], None, [2], [3], [4]]
    pair.remove(7)
    # 6 was used longest ago, of the two that are left when two bytes are wanted.
    assert pair.request(5) is None
    assert pair.request(10, size=2) == [6]
    # It comes back as one that stays.
    assert [pair.request(key) for key in (6, 11, 12)] == [[10], [], [11]]
    pair.check()


def test_the_hand_of_sieve_goes_on_where_it_was() -> None:
    """It spares 1, which was used, evicts 2, and comes to 3 next, not back to 1."""
    keys = [1, 2, 3, 1, 4, 5]
    pair = Pair(3, "sieve", keys)
    assert [pair.request(key) for key in keys] == [[], [], [], None, [2], [3]]


def test_lirs_where_no_block_is_lir() -> None:
    """A block of more than half the tier makes all others HIR; the stack must not keep what is used then.

    Otherwise block 2 would be the last of the stack when the third use of 3 makes that LIR and looks for one to demote.
    """
    pair = Pair(13, "lirs", [1, 2, 3, 3, 2, 3, 3, 4])
    for key, size in [(1, 2), (2, 2), (3, 9), (3, 9), (2, 2), (3, 9), (3, 9)]:
        pair.request(key, size)
    assert pair.request(4, 3) == [1, 2]


def test_lirs_forgets_ghosts_when_a_queued_block_is_used() -> None:
    """The use of 5 puts it back into the full stack; the ghost evicted first, 10, goes, and comes back as a new block.

    Found by search, and shortened: random traces hardly ever get there.
    """
    steps = [
        (0, 1), (1, 2), (2, 1), (3, 2), (4, 1), (5, 1), (6, 2), (7, 1), (8, 2), (2, 1), (1, 1), (8, 2), (5, 2), (8, 2),
        (7, 1), (9, 1), (10, 1), (3, 2), (4, 2), (11, 1), (12, 2), (13, 2), (7, 2), (5, 2), (3, 2), (10, 2), (8, 2),
    ]  # fmt: skip
    pair = Pair(8, "lirs", [key for key, _ in steps])
    for key, size in steps:
        gone = pair.request(key, size)
    assert gone == [10]


@pytest.mark.parametrize("eviction", EVICTION_NAMES)
def test_plain_ones_remember_no_more_than_they_must(eviction: str) -> None:
    """Ten thousand uses of the same few blocks leave nothing behind: no entries of a heap that are out of date."""
    policy = make(eviction, 20)
    for at in range(10_000):
        policy.passed(at % 10, at + 10)
        policy.request(at % 10, 1)
    sizes = [len(value._entries) for value in vars(policy).values() if isinstance(value, Heap)]
    assert all(size < 100 for size in sizes)
    assert sizes or eviction not in ("lfu", "lfuda", "gdsf", "belady")


@pytest.mark.parametrize("eviction", EVICTION_NAMES)
@settings(max_examples=60, deadline=None)
@given(steps=STEPS, capacity=st.integers(1, 14))
def test_contract(eviction: str, steps: Steps, capacity: int) -> None:
    """Deterministic; never over capacity; a victim was there; what it remembers is bounded."""
    keys = [key for leaves, key, _ in steps if not leaves]
    drivers = [Driver(capacity, eviction) for _ in range(2)]
    for driver in drivers:
        if eviction == "belady":
            driver.foresee(keys)
    held: dict[int, int] = {}
    for leaves, key, drawn in steps:
        size = min(drawn, capacity)
        if leaves:
            held.pop(key, None)
            for driver in drivers:
                driver.residency.remove(0, key)
            continue
        first, second = (driver.request(key, size) for driver in drivers)
        assert first == second
        assert (first is None) == (key in held)
        for victim in first or []:
            del held[victim]
        held.setdefault(key, size)
        assert sum(held.values()) <= capacity
        assert drivers[0].residency.keys(0) == set(held)
        if eviction != "belady":
            # Ghosts of twice the capacity at most, in bytes of at least 1 each.
            assert len(drivers[0].residency.ghosts(0)) <= 2 * capacity


@pytest.mark.parametrize("eviction", EVICTION_NAMES)
@pytest.mark.parametrize("keys", [[], [7] * 50, [0, 2**64 - 1] * 20, [2**64 - 1, 0, 2**63, 2**63 - 1, 1] * 20])
def test_extremes(eviction: str, keys: list[int]) -> None:
    """No access, one key, the smallest and the largest: as many misses as there are keys where all fit."""
    accesses, missed = misses_of(ListWorkload(make_batch(keys)), system(10, eviction=eviction), 0, 0)
    assert len(accesses) == len(keys)
    assert missed.sum() == len(set(keys))


@pytest.mark.parametrize("eviction", EVICTION_NAMES)
def test_memory_does_not_grow_with_the_trace(eviction: str) -> None:
    """Five times the keys, the same slots: ghosts are forgotten. Belady knows the whole trace, as it must."""

    def n_slots(n_keys: int) -> int:
        rng = np.random.default_rng(1)
        driver = Driver(50, eviction)
        keys = rng.integers(0, n_keys, 10 * n_keys).tolist()
        if eviction == "belady":
            driver.foresee(keys)
        for key in keys:
            driver.request(key)
        return len(driver.residency.arena)

    grown = n_slots(2000) / n_slots(400)
    assert grown > 3 if eviction == "belady" else grown <= 1


@pytest.mark.parametrize("eviction", [name for name in EVICTION_NAMES if name != "belady"])
@settings(max_examples=40, deadline=None)
@given(keys=st.lists(st.integers(0, 30), max_size=150), capacity=st.integers(1, 12))
def test_nobody_beats_belady(eviction: str, keys: list[int], capacity: int) -> None:
    def misses(name: str) -> int:
        return int(misses_of(ListWorkload(make_batch(keys)), system(capacity, eviction=name), 0, 0)[1].sum())

    assert misses("belady") <= misses(eviction)
