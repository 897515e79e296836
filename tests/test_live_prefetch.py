"""Prefetches of the live cache, step by step: links move when the test lets them."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from experiments.tables import rows_of
from live import MemoryStore, Recorder, TieredCache
from live.buffers import Bytes8
from live.cache import Landing
from live.moving import Mover
from live.slab import Slot
from simulator.policy import Fate, Outcome
from tests.live_blocks import check_books, tiers
from tests.live_content import BLOCK, content, version_of


class Gated(MemoryStore):
    """Its reads and writes wait until they are let through; ``asked`` has which ones came, in order."""

    def __init__(self, n: int) -> None:
        super().__init__(BLOCK)
        for key in range(n):
            super().write(key, content(key, 0))
        self.asked: list[tuple[str, int]] = []
        self._is_asked, self._is_let = threading.Semaphore(0), threading.Semaphore(0)
        self.is_open = False

    def _wait(self, what: str, key: int) -> None:
        if not self.is_open:
            self.asked.append((what, key))
            self._is_asked.release()
            assert self._is_let.acquire(timeout=30)

    def read(self, key: int, into: Bytes8) -> None:
        self._wait("read", key)
        super().read(key, into)

    def write(self, key: int, data: Bytes8) -> None:
        self._wait("write", key)
        super().write(key, data)

    def until_asked(self) -> tuple[str, int]:
        """Wait for the next call to begin."""
        assert self._is_asked.acquire(timeout=30)
        return self.asked[-1]

    def let(self, n: int = 1) -> None:
        """Let so many calls through."""
        self._is_let.release(n)

    def open(self) -> None:
        self.is_open = True
        self.let(100)


@pytest.fixture
def store() -> Iterator[Gated]:
    made = Gated(20)
    yield made
    made.open()


def landings(cache: TieredCache, *keys: int) -> list[str]:
    """What is known of these at once: of those that are sent for, nothing."""
    return [future.result().landing.name if future.done() else "" for future in cache.prefetch_async(keys)]


def in_thread(work: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    return thread


def wait_until(is_so: Any) -> None:
    for _ in range(3000):
        if is_so():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never was so")


def test_each_future_says_what_came_of_its_block(store: Gated) -> None:
    with TieredCache(tiers(4), store, prefetch={"in_flight": 2}) as cache:
        futures = cache.prefetch_async([3, 3, 77, 4, 5])
        assert store.until_asked() == ("read", 3)
        told: list[tuple[Landing, int]] = []
        said = [future.result(0).landing.name if future.done() else "" for future in futures]
        assert said == ["", "IN_FLIGHT", "UNKNOWN", "", "OVER_BUDGET"]
        told: list[str] = []
        # A callback may call the cache, which would wait for ever if its lock were held.
        futures[0].add_done_callback(lambda future: told.append((future.result().landing, cache.stats().n_issued)))
        store.let()
        assert futures[0].result(30).landing is Landing.LANDED
        wait_until(lambda: told == [(Landing.LANDED, 2)])
        assert landings(cache, 3) == ["RESIDENT"]
        store.open()
        assert futures[3].result(30).landing is Landing.LANDED
        stats = cache.stats()
        assert stats.n_issued == 2
        assert stats.rejected == {
            "rejected_in_flight": 1, "rejected_unknown": 1, "rejected_budget": 1, "rejected_resident": 1,
        }  # fmt: skip


def test_demand_before_prefetch_before_write_back_and_who_is_met_is_promoted(store: Gated) -> None:
    """One channel. While 10 comes, 1 and 2 are prefetched, 0 is to be written down, 2 and 5 are read."""
    recorder = Recorder()
    with TieredCache(tiers(2), store, recorder=recorder) as cache:
        store.is_open = True
        cache.put(0, content(0, 1))
        cache.get(11)
        store.is_open = False
        threads = [in_thread(cache.get, 10)]
        assert store.until_asked() == ("read", 10)
        futures = cache.prefetch_async([1, 2])
        # 0 goes to make room for 12, which is put.
        cache.put(12, content(12, 1))
        wait_until(lambda: cache.stats().links["t0_store"].n_queued == 3)
        threads.append(in_thread(cache.get, 5))
        wait_until(lambda: cache.stats().links["t0_store"].n_queued == 4)
        threads.append(in_thread(cache.get, 2))
        wait_until(lambda: len(cache._core.memory.flight[2].waiters) == 1)
        for _ in range(5):
            store.let()
            if len(store.asked) < 5:
                store.until_asked()
        store.open()
        for thread in threads:
            thread.join(30)
        assert [future.result(30).landing.name for future in futures] == ["LANDED", "LANDED"]
        asked = store.asked[:5]
    assert asked == [("read", 10), ("read", 5), ("read", 2), ("read", 1), ("write", 0)]
    assert version_of(store._blocks[0]) == 1
    outcomes = {int(row["key"]): Outcome(int(row["outcome"])).name for row in recorder.rows("accesses")[2:]}
    assert outcomes == {12: "MISS", 10: "MISS", 5: "MISS", 2: "LATE"}
    fates = {int(row["key"]): Fate(int(row["fate"])).name for row in recorder.rows("prefetches")}
    assert fates[2] == "LATE"
    assert fates[1] in ("EVICTED_UNUSED", "RESIDENT_UNUSED")


def test_reads_of_a_block_on_its_way_share_one_transfer(store: Gated) -> None:
    with TieredCache(tiers(4), store) as cache:
        found: list[Bytes8] = []
        threads = [in_thread(lambda: found.append(cache.get(7))) for _ in range(6)]
        assert store.until_asked() == ("read", 7)
        wait_until(lambda: len(cache._core.memory.flight[7].waiters) == 6)
        store.open()
        for thread in threads:
            thread.join(30)
        stats = cache.stats()
    assert (stats.n_miss, stats.n_merged) == (1, 5)
    assert stats.links["t0_store"].n_calls == 1
    assert all((block == content(7, 0)).all() for block in found)
    assert len({block.ctypes.data for block in found}) == 6


def test_a_write_waits_for_its_block_and_takes_its_place(store: Gated) -> None:
    with TieredCache(tiers(4), store) as cache:
        reader = in_thread(cache.get, 7)
        assert store.until_asked() == ("read", 7)
        writer = in_thread(cache.put, 7, content(7, 1))
        wait_until(lambda: len(cache._core.memory.flight[7].waiters) == 2)
        store.open()
        reader.join(30)
        writer.join(30)
        assert (cache.get(7) == content(7, 1)).all()
        assert (cache.stats().n_merged, cache.stats().n_miss) == (1, 1)


def test_a_prefetch_that_queues_for_too_long_is_given_up(store: Gated) -> None:
    with TieredCache(tiers(4), store, prefetch={"max_wait": "1 ms"}) as cache:
        reader = in_thread(cache.get, 1)
        assert store.until_asked() == ("read", 1)
        (future,) = cache.prefetch_async([2])
        threading.Event().wait(0.005)
        store.open()
        reader.join(30)
        assert future.result(30).landing is Landing.CANCELLED
        assert cache.stats().fates == {"cancelled": 1}
        assert (cache.get(2) == content(2, 0)).all()


def test_what_is_queued_when_the_cache_is_closed_is_given_up(store: Gated) -> None:
    cache = TieredCache(tiers(4), store)
    first, second = cache.prefetch_async([1, 2])
    assert store.until_asked() == ("read", 1)
    closing = in_thread(cache.close)
    assert second.result(30).landing is Landing.CANCELLED
    store.open()
    closing.join(30)
    assert first.result(0).landing is Landing.LANDED


def test_the_rows_are_those_of_the_simulators_tables() -> None:
    store = MemoryStore(BLOCK)
    for key in range(40):
        store.write(key, content(key, 0))
    recorder = Recorder()
    with TieredCache(tiers(4, 8), store, store_name="file", recorder=recorder) as cache:
        for key in range(60):
            if key % 7 == 0:
                cache.put(key % 40, content(key % 40, key), stream=3, request=key)
            else:
                cache.get(key % 40, stream=3, request=key)
            if key % 5 == 0:
                for future in cache.prefetch_async([(key + 1) % 40], confidences=[0.5], access=key, inference=9):
                    future.result(30)
        check_books(cache)
        stats = cache.stats()
    tables: dict[str, Any] = {}

    class Sink:
        def takes(self, table: str) -> bool:
            return True

        def write(self, table: str, columns: dict[str, Any]) -> None:
            tables[table] = rows_of(table, columns, ("live", 1, 0)).to_pandas()

    recorder.write(Sink(), cache.link_names)
    accesses, prefetches, transfers = tables["accesses"], tables["prefetches"], tables["transfers"]
    assert accesses["access"].tolist() == accesses["request"].tolist() == list(range(60))
    assert accesses["op"].value_counts().to_dict() == {"read": 51, "write": 9}
    parts = accesses["service_ns"] + accesses["queue_ns"] + accesses["transfer_ns"]
    assert (parts == accesses["latency_ns"]).all()
    assert (accesses[["service_ns", "queue_ns", "transfer_ns"]] >= 0).all().all()
    counts = accesses["outcome"].value_counts()
    assert {f"n_{name}": n for name, n in counts.items()} == {
        f"n_{name}": getattr(stats, f"n_{name}") for name in counts.index
    }
    # A block from the store has been on both links, one after the other.
    misses = accesses[(accesses["outcome"] == "miss") & (accesses["op"] == "read")]
    for access, issued, latency in misses[["access", "issued_ns", "latency_ns"]].itertuples(index=False):
        way = transfers[transfers["access"] == access].sort_values("started_ns")
        assert way["link"].tolist() in (["t1_file", "t0_t1"], ["t0_t1"])
        assert way["queued_ns"].min() >= issued
        assert way["ended_ns"].max() <= issued + latency
    assert len(prefetches) == stats.n_issued > 5
    assert set(prefetches["fate"]) >= {"timely"}
    assert (prefetches["inference"] == 9).all()
    assert (prefetches["confidence"] == 0.5).all()
    timely = prefetches[prefetches["fate"] == "timely"]
    assert (timely["proposed_ns"] <= timely["filled_ns"]).all()
    assert (timely["filled_ns"] <= timely["first_used_ns"]).all()
    moved = transfers.groupby(["link", "class"], observed=True)["size_bytes"].sum()
    for name, link in stats.links.items():
        for kind in ("demand", "prefetch", "write_back"):
            # What closing has moved came after the stats.
            assert moved.get((name, kind), 0) >= getattr(link, f"{kind}_bytes")


def test_of_one_block_one_write_at_a_time(store: Gated) -> None:
    """While a flush writes it, it is written to and evicted: the newer bytes are written after the older ones."""
    with TieredCache(tiers(1, channels=2), store) as cache:
        cache.put(0, content(0, 1))
        flushing = in_thread(cache.flush)
        assert store.until_asked() == ("write", 0)
        cache.put(0, content(0, 2))
        cache.put(1, content(1, 1))
        threading.Event().wait(0.05)
        assert store.asked == [("write", 0)]
        assert cache.stats().links["t0_store"].n_queued == 1
        store.let()
        assert store.until_asked() == ("write", 0)
        store.open()
        flushing.join(30)
    assert version_of(store._blocks[0]) == 2


def test_who_is_interrupted_leaves_nothing_behind(store: Gated) -> None:
    """A thread that waits for a block gets an exception of somebody else's: its slot is free again later."""
    cache = TieredCache(tiers(4), store)
    cache.prefetch_async([3])
    assert store.until_asked() == ("read", 3)

    raised: list[str] = []

    class Gate:
        def __init__(self) -> None:
            self.n = 0

        def acquire(self) -> None:
            self.n += 1
            if self.n == 2:
                raise KeyboardInterrupt

        def release(self) -> None:
            raised.append("released")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("live.moves.Lock", Gate)
        with pytest.raises(KeyboardInterrupt):
            cache.get(3)
    store.open()
    wait_until(lambda: raised == ["released"])
    check_books(cache)
    cache.close()


def test_numbers_of_numpy_are_keys_too() -> None:
    with TieredCache(tiers(4), MemoryStore(BLOCK)) as cache:
        for key in np.arange(3, dtype=np.uint64):
            cache.put(key, content(int(key), 1))
        assert (cache.get(2) == content(2, 1)).all()
        assert landings(cache, *np.arange(3)) == ["RESIDENT"] * 3


def test_a_written_block_that_its_tier_evicts_while_it_goes_up_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Block 0 is dirty in the second tier, and on its way to the first, when block 5 takes its place (R27)."""
    store, copies, lets = MemoryStore(BLOCK), threading.Semaphore(0), threading.Semaphore(0)
    store.write(5, content(5, 0))
    copy = Mover.copy

    def gated(self: Mover, source: Slot, target: Slot) -> None:
        copies.release()
        assert lets.acquire(timeout=30)
        copy(self, source, target)

    with TieredCache(tiers(1, 1, spare=8), store) as cache:
        cache.put(0, content(0, 1))
        cache.put(1, content(1, 1))
        wait_until(lambda: 0 in cache._core.tiers[1].blocks)
        monkeypatch.setattr(Mover, "copy", gated)
        first = in_thread(cache.get, 0)
        assert copies.acquire(timeout=30)
        second = in_thread(cache.get, 5)
        wait_until(lambda: list(cache._core.tiers[1].blocks) == [5])
        assert not store.holds(0)
        lets.release(100)
        first.join(30)
        second.join(30)
        assert (cache.get(0) == content(0, 1)).all()
    assert version_of(store._blocks[0]) == 1
