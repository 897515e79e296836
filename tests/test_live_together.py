"""Blocks that are wanted together: side by side, each as soon as it is there, and all of what a ``get`` does."""

import threading

import numpy as np
import pytest

from live import MemoryStore, Recorder, TieredCache
from live.errors import MissingBlockError, ReadError
from live.faults import FaultyStore, every
from simulator.errors import InputError
from simulator.policy import Outcome
from tests.live_blocks import check_books, tiers
from tests.live_content import BLOCK, content
from tests.test_live_prefetch import Gated


def in_a_thread(cache: TieredCache, keys: list[int]) -> threading.Thread:
    thread = threading.Thread(target=cache.get_many, args=(keys,))
    thread.start()
    return thread


def test_what_was_put_is_read_however_many_they_are() -> None:
    """More than there are slots in all, some of them twice."""
    rng = np.random.default_rng(4)
    with TieredCache(tiers(3, 6, spare=4), MemoryStore(BLOCK)) as cache:
        newest = dict.fromkeys(range(40), 0)
        for key in newest:
            cache.put(key, content(key, 0))
        for version in range(1, 12):
            keys = rng.integers(40, size=30).tolist()
            found = cache.get_many(keys)
            assert all((block == content(key, newest[key])).all() for key, block in zip(keys, found, strict=True))
            newest[keys[0]] = version
            cache.put(keys[0], content(keys[0], version))
        assert cache.stats().n_merged > 0
        assert cache.get_many([]) == []
        check_books(cache)


def test_fetches_go_side_by_side_and_a_hit_behind_them_waits_for_none() -> None:
    store, recorder = Gated(10), Recorder()
    with TieredCache(tiers(8, channels=2), store, recorder=recorder) as cache:
        cache.put(9, content(9, 1))
        thread = in_a_thread(cache, [1, 2, 9, 1])
        for _ in range(2):
            store.until_asked()
        assert sorted(store.asked) == [("read", 1), ("read", 2)]
        while len(recorder.rows("accesses")) < 2:
            threading.Event().wait(0.0005)
        store.open()
        thread.join()
        rows = recorder.rows("accesses")
    assert rows["key"].tolist() == [9, 1, 2, 9, 1]
    expected = [Outcome.MISS, Outcome.MISS, Outcome.MISS, Outcome.HIT, Outcome.MERGED]
    assert rows["outcome"].tolist() == expected
    assert len({*rows["issued_ns"][1:].tolist()}) == 1
    assert rows["latency_ns"][3] < rows["latency_ns"][[1, 2, 4]].min()


def test_bytes_go_where_they_are_wanted() -> None:
    with TieredCache(tiers(4), MemoryStore(BLOCK)) as cache:
        for key in range(3):
            cache.put(key, content(key, 1))
        out = [bytearray(BLOCK) for _ in range(3)]
        assert cache.get_many([2, 0, 1], out) == out
        assert out == [content(key, 1).tobytes() for key in (2, 0, 1)]
        with pytest.raises(InputError, match="out: 3 places; expected one for each of 2 keys"):
            cache.get_many([1, 2], out)


@pytest.mark.parametrize("missing", [True, False])
def test_the_first_error_is_raised_when_all_others_have_been_read(missing: bool) -> None:
    store, recorder = MemoryStore(BLOCK), Recorder()
    for key in (1, 2, 3):
        store.write(key, content(key, 1))
    store_or_faulty = store if missing else FaultyStore(store, every(2, "read"))
    with TieredCache(tiers(4, spare=4), store_or_faulty, retries={"times": 0}, recorder=recorder) as cache:
        error, what = (MissingBlockError, "block 7") if missing else (ReadError, "block 2 could not be read")
        with pytest.raises(error, match=what):
            cache.get_many([1, 7, 8, 3] if missing else [1, 2, 3])
        assert recorder.rows("accesses")["key"].tolist() == [1, 3]
        assert (cache.get(1) == content(1, 1)).all()
        check_books(cache)
