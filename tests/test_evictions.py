"""One contract for every eviction policy, over the registry, and each against its naive twin."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.arrays import NONE, Ints, signed
from simulator.compiled import compiled
from simulator.demand import misses_of
from simulator.future import future_of
from simulator.machine import N_REGISTERS
from simulator.residency.about import EVICTIONS
from simulator.residency.belady import passed
from simulator.residency.names import EVICTION_NAMES
from simulator.residency.residency import Residency
from simulator.serving import MISS, touch
from simulator.trace import READ, make_batch
from tests.naive import NAIVE, Belady
from tests.strategies import ListWorkload, system

Steps = list[tuple[int, int, int]]
STEPS = st.lists(st.tuples(st.sampled_from([0, 0, 0, 0, 0, 0, 1]), st.integers(0, 24), st.integers(1, 3)), max_size=150)


@compiled
def use(a: Ints, m: Ints, key: int) -> bool:
    return touch(a, m, key, READ) != MISS


@compiled
def pass_by(a: Ints, key: int, next_use: int) -> None:
    passed(a, key, next_use)


class Driver:
    """One tier, driven by hand as the engine drives it."""

    def __init__(self, capacity: int, eviction: str, **spec: Any) -> None:
        from simulator.residency.residency import TierSpec

        self.residency = Residency([TierSpec(capacity, eviction, **spec)], first_slots=2)
        self.m = np.zeros(N_REGISTERS, np.int64)

    def foresee(self, keys: list[int]) -> None:
        self.future = future_of(iter([make_batch(keys)]))
        self.residency.foresee(self.future.keys, self.future.first_use)
        self.at = 0

    def request(self, key: int, size: int = 1, prefetch: int = NONE) -> list[int] | None:
        if hasattr(self, "future") and prefetch == NONE:
            pass_by(self.residency.arena, signed(key), self.future.next_use[self.at])
            self.at += 1
        if prefetch == NONE and use(self.residency.arena, self.m, signed(key)):
            return None
        return [victim.key for victim in self.residency.insert(0, key, size, prefetch=prefetch)]


def test_every_eviction_has_a_twin_and_a_line() -> None:
    assert {*NAIVE, "belady"} == set(EVICTION_NAMES) == set(EVICTIONS)
    assert all(text.endswith((".", ":")) or ":" in text for text in EVICTIONS.values())


@pytest.mark.parametrize("eviction", NAIVE)
@settings(max_examples=150, deadline=None)
@given(steps=STEPS, capacity=st.integers(1, 14), has_sizes=st.booleans())
def test_equals_its_naive_twin(
    eviction: str, steps: list[tuple[int, int, int]], capacity: int, has_sizes: bool
) -> None:
    """Uses, arrivals of any size and departures: the same hits, and the same victims in the same order."""
    driver, twin = Driver(capacity, eviction), NAIVE[eviction](capacity)
    for leaves, key, drawn in steps:
        size = min(drawn, capacity) if has_sizes else 1
        if leaves:
            assert (driver.residency.remove(0, key) != NONE) == (key in twin)
            if key in twin:
                twin.remove(key)
            continue
        assert driver.request(key, size) == twin.request(key, size)
    assert driver.residency.keys(0) == set(twin.size)


@pytest.mark.parametrize("eviction", NAIVE)
@settings(max_examples=40, deadline=None)
@given(keys=st.lists(st.integers(0, 40), max_size=300), n=st.integers(1, 30), size=st.integers(2, 70), data=st.data())
def test_bytes_of_one_size_are_pages(eviction: str, keys: list[int], n: int, size: int, data: st.DataObject) -> None:
    """Room for n blocks and a rest that holds none: the same victims as with n pages."""
    rest = data.draw(st.integers(0, size - 1))
    pages = Driver(n, eviction)
    in_bytes = Driver(n * size + rest, eviction, n_blocks=n)
    assert [pages.request(key) for key in keys] == [in_bytes.request(key, size) for key in keys]


ADMISSIONS = st.sampled_from([("all", 0), ("size", 1), ("size", 2), ("tinylfu", 0), ("probabilistic", 0.5)])


@pytest.mark.parametrize("eviction", [*NAIVE, "belady"])
@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 3), st.booleans()), max_size=120),
    capacity=st.integers(1, 14),
    enters=st.sampled_from(["front", "middle", "back", "region"]),
    admission=ADMISSIONS,
)
def test_admission_and_prefetched_blocks_equal_the_twin(
    eviction: str, steps: Steps, capacity: int, enters: str, admission: tuple[str, float]
) -> None:
    """Demand and prefetches mixed: where the prefetched enter, until they are used; who is not let in."""
    kind, value = admission
    driver = Driver(capacity, eviction, admission=kind, admission_value=value, enters=enters, region_ratio=0.3)
    demanded = [key for key, _, prefetched in steps if not prefetched]
    twin = Belady(capacity, demanded) if eviction == "belady" else NAIVE[eviction](capacity)
    if eviction == "belady":
        driver.foresee(demanded)
    twin.enters, twin.region, twin.admission, twin.value = enters, int(0.3 * capacity), kind, value
    for key, drawn, prefetched in steps:
        if prefetched and key in twin:
            continue
        size = min(drawn, capacity)
        found = driver.request(key, size, prefetch=5 if prefetched else NONE)
        assert found == twin.request(key, size, prefetched=prefetched)
    assert driver.residency.keys(0) == {*twin.size, *twin.aside}


@settings(max_examples=150, deadline=None)
@given(keys=st.lists(st.integers(0, 20), max_size=120), capacity=st.integers(1, 10), sizes=st.lists(st.integers(1, 3)))
def test_belady_equals_its_naive_twin(keys: list[int], capacity: int, sizes: list[int]) -> None:
    of = {key: min(sizes[key], capacity) if key < len(sizes) else 1 for key in keys}
    driver, twin = Driver(capacity, "belady"), Belady(capacity, keys)
    driver.foresee(keys)
    for key in keys:
        assert driver.request(key, of[key]) == twin.request(key, of[key])


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
    """Ten times the keys, the same slots: ghosts are forgotten. Belady knows the whole trace, as it must."""

    def n_slots(n_keys: int) -> int:
        rng = np.random.default_rng(1)
        driver = Driver(50, eviction)
        keys = rng.integers(0, n_keys, 10 * n_keys).tolist()
        if eviction == "belady":
            driver.foresee(keys)
        for key in keys:
            driver.request(key)
        return len(driver.residency.arena)

    grown = n_slots(4000) / n_slots(400)
    assert grown > 3 if eviction == "belady" else grown <= 1


@pytest.mark.parametrize("eviction", [name for name in EVICTION_NAMES if name != "belady"])
@settings(max_examples=40, deadline=None)
@given(keys=st.lists(st.integers(0, 30), max_size=150), capacity=st.integers(1, 12))
def test_nobody_beats_belady(eviction: str, keys: list[int], capacity: int) -> None:
    def misses(name: str) -> int:
        return int(misses_of(ListWorkload(make_batch(keys)), system(capacity, eviction=name), 0, 0)[1].sum())

    assert misses("belady") <= misses(eviction)
