"""A live cache whose store fails: nothing that was put is lost, nothing wrong is read, and who asks is told."""

import contextlib
import errno
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from live import FileStore, LiveError, MemoryStore, TieredCache
from live.errors import CorruptBlockError, FlushError, NoRoomError, ReadError
from live.faults import FaultyCalls, FaultyStore, every, slow
from live.file_records import HEADER
from tests.live_blocks import check_books, tiers
from tests.live_content import BLOCK, content, version_of
from tests.live_worker import N_KEYS

AT_ONCE = {"times": 1, "pause": "0 ns", "again_after": "1 s"}
RECORD = HEADER + BLOCK


def filled(store: MemoryStore, n: int) -> MemoryStore:
    for key in range(n):
        store.write(key, content(key, 0))
    return store


def test_what_fails_once_is_tried_again() -> None:
    store = FaultyStore(filled(MemoryStore(BLOCK), 40), every(3, "read", "write"))
    newest = dict.fromkeys(range(40), 0)
    with TieredCache(tiers(4, 8), store, retries={"times": 4, "pause": "0 ns"}) as cache:
        for i in range(80):
            key = i * 7 % 40
            if i % 3:
                newest[key] = i
                cache.put(key, content(key, i))
            else:
                assert (cache.get(key) == content(key, newest[key])).all()
        stats = cache.stats()
    assert stats.n_retries > 10
    assert (stats.n_failed_reads, stats.n_failed_writes) == (0, 0)
    for key, version in newest.items():
        assert (store.store._blocks[key] == content(key, version)).all()


def test_a_block_that_cannot_be_read_is_an_error_of_who_asks_alone() -> None:
    store = FaultyStore(filled(MemoryStore(BLOCK), 4), lambda kind, _, key: broken(kind, key))

    def broken(kind: str, key: int) -> None:
        if (kind, key) == ("read", 2):
            raise OSError(errno.EIO, "broken")

    with TieredCache(tiers(4), store, retries=AT_ONCE) as cache:
        with pytest.raises(ReadError, match=r"block 2 could not be read: .*broken"):
            cache.get(2)
        (future,) = cache.prefetch_async([2])
        assert future.result(5).landing.name == "FAILED"
        assert isinstance(future.result().error, OSError)
        assert (cache.get(1) == content(1, 0)).all()
        # A write needs nothing of what cannot be read.
        cache.put(2, content(2, 1))
        assert (cache.get(2) == content(2, 1)).all()
        assert cache.stats().n_failed_reads == 2
        store.faults.clear()


@pytest.mark.parametrize("n_tiers", [1, 2])
def test_what_cannot_be_written_down_is_kept_read_and_written_in_the_end(n_tiers: int) -> None:
    store = FaultyStore(MemoryStore(BLOCK), every(1, "write", number=errno.ENOSPC))
    cache = TieredCache(tiers(*[4, 4][:n_tiers], spare=8), store, retries=AT_ONCE)
    put: dict[int, int] = {}

    def put_all() -> None:
        for key in range(60):
            cache.put(key, content(key, 1))
            put[key] = 1

    with pytest.raises(NoRoomError, match=r"cannot be written down: .*No space left"):
        put_all()
    # Nothing that was put is gone, and whatever is tried, nothing wrong is read.
    assert 4 * n_tiers < len(put) < 40
    for _ in range(2):
        for key in put:
            assert (cache.get(key) == content(key, 1)).all()
    with pytest.raises(FlushError, match=f"{len(put)} blocks could not be written") as flushed:
        cache.flush()
    assert set(flushed.value.errors) == set(put)
    with pytest.raises(FlushError):
        cache.close()
    # It is still open: room is made, and all is written.
    store.faults.clear()
    cache.flush()
    cache.put(99, content(99, 1))
    cache.close()
    assert sorted(store.store._blocks) == [*sorted(put), 99]
    for key in put:
        assert (store.store._blocks[key] == content(key, 1)).all()


def test_who_has_waited_for_one_more_trial_reads_the_block_where_it_is() -> None:
    """And does not wait for the next one, however soon that may be."""
    store = FaultyStore(MemoryStore(BLOCK), every(1, "write"))
    with TieredCache(tiers(1, spare=8), store, retries={"times": 0, "again_after": "0 ns"}) as cache:
        for key in (1, 2):
            cache.put(key, content(key, 1))
        while not cache.stats().n_unwritten:
            threading.Event().wait(0.0005)
        reader = threading.Thread(target=cache.get_many, args=([1, 1],), daemon=True)
        reader.start()
        reader.join(5)
        waits = reader.is_alive()
        store.faults.clear()
        assert not waits
        assert (cache.get(1) == content(1, 1)).all()


def test_a_newer_put_replaces_what_could_not_be_written() -> None:
    store = FaultyStore(MemoryStore(BLOCK), every(1, "write"))
    cache = TieredCache(tiers(2, spare=8), store, retries=AT_ONCE)
    for key in range(4):
        cache.put(key, content(key, 1))
    while not cache.stats().n_unwritten:
        pass
    (parked, *_) = cache._core.memory.parked
    cache.put(parked, content(parked, 2))
    assert (cache.get(parked) == content(parked, 2)).all()
    store.faults.clear()
    cache.close()
    assert (store.store._blocks[parked] == content(parked, 2)).all()


def test_closed_with_a_broken_store_only_if_that_is_asked_for() -> None:
    store = FaultyStore(MemoryStore(BLOCK), every(1, "write"))
    cache = TieredCache(tiers(2), store, retries=AT_ONCE)
    cache.put(1, content(1, 1))
    with pytest.raises(FlushError):
        cache.close(discard=True)
    cache.close()
    assert not any(thread.is_alive() for thread in cache._workers._threads)


def test_short_reads_and_writes_and_a_full_disk_of_the_kernel(tmp_path: Path) -> None:
    """A record needs two calls and more; and the disk has room for six."""
    calls = FaultyCalls(short=3 * 4096 // 2, room=HEADER + 6 * RECORD)
    store = FileStore(tmp_path / "blocks", BLOCK, calls=calls, direct=False)
    for key in range(6):
        store.write(key, content(key, 1))
    with pytest.raises(OSError, match="No space left"):
        store.write(6, content(6, 1))
    # Nor is there room to write one anew, for the old one stays until the new one is there.
    with pytest.raises(OSError, match="No space left"):
        store.write(0, content(0, 2))
    calls.room = None
    store.write(0, content(0, 3))
    store.close()
    found = FileStore(tmp_path / "blocks", BLOCK, calls=calls)
    assert sorted(found.keys()) == list(range(6))
    into = np.empty(BLOCK, np.uint8)
    for key in range(6):
        found.read(key, into)
        assert (into == content(key, 3 if key == 0 else 1)).all()
    found.close()


def damaged(path: Path, *changes: tuple[int, bytes]) -> None:
    with path.open("r+b") as file:
        for at, data in changes:
            file.seek(at)
            file.write(data)


def test_what_has_gone_bad_in_the_file_is_never_handed_out(tmp_path: Path) -> None:
    path = tmp_path / "blocks"
    store = FileStore(path, BLOCK)
    for key in range(4):
        store.write(key, content(key, 1))
    store.write(4, content(4, 1))
    store.close()
    damaged(path, (HEADER + HEADER + 100, b"x"))
    with TieredCache(tiers(2), FileStore(path, BLOCK), retries=AT_ONCE) as cache:
        with pytest.raises(ReadError, match="block 0 in record 0 is not what was written") as raised:
            cache.get(0)
        assert isinstance(raised.value.__cause__, CorruptBlockError)
        assert (cache.get(1) == content(1, 1)).all()
        assert cache.stats().n_corrupt == 2
        cache.put(0, content(0, 2))
    found = FileStore(path, BLOCK)
    into = np.empty(BLOCK, np.uint8)
    found.read(0, into)
    assert (into == content(0, 2)).all()
    found.close()
    # A header that has gone bad is counted: nobody knows whose block that was.
    damaged(path, (HEADER + RECORD, b"xxxx"))
    found = FileStore(path, BLOCK)
    assert (found.n_damaged, sorted(found.keys())) == (1, [0, 2, 3, 4])
    found.close()


def test_of_what_was_cut_off_the_version_before_is_found(tmp_path: Path) -> None:
    """A header without its block, as after a kill; and the same where newer records say that the block was there."""
    path = tmp_path / "blocks"
    store = FileStore(path, BLOCK)
    for version in (1, 2):
        store.write(7, content(7, version))
    store.close()
    torn = (HEADER + RECORD + HEADER + 50, b"x")
    damaged(path, torn)
    found = FileStore(path, BLOCK)
    into = np.empty(BLOCK, np.uint8)
    found.read(7, into)
    assert (into == content(7, 1)).all()
    assert found.n_torn == 1
    found.write(7, content(7, 3))
    found.write(8, content(8, 1))
    found.close()
    damaged(path, torn)
    found = FileStore(path, BLOCK)
    # Number 3 was there when number 4 was begun: it was not cut off, it has gone bad.
    with pytest.raises(CorruptBlockError):
        found.read(7, into)
    found.close()


@pytest.mark.parametrize("by", ["store", "cache"])
def test_a_killed_process_loses_nothing_that_was_written(by: str, tmp_path: Path) -> None:
    """By a store what ``write`` has returned from, by a cache what was flushed; that may be evicted, or on its way."""
    command = [sys.executable, "-m", "tests.live_worker", str(tmp_path / "blocks"), by]
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process:
        assert process.stdout is not None
        while len(said) < 400:
            said.append(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read().splitlines()
    # The last line may have been cut off.
    written = {int(key): int(version) for key, version in (line.split() for line in said[:-1])}
    store = FileStore(tmp_path / "blocks", BLOCK)
    assert store.n_damaged == 0
    assert len(written) == store.n_found == N_KEYS
    into = np.empty(BLOCK, np.uint8)
    for key, version in written.items():
        store.read(key, into)
        # A newer one may have been written and not yet said.
        assert version_of(into) >= version
        assert (into == content(key, version_of(into))).all()
    with TieredCache(tiers(2), store) as cache:
        for key, version in written.items():
            assert version_of(cache.get(key)) >= version


def test_many_threads_over_a_store_that_fails_and_is_slow(tmp_path: Path) -> None:
    """16 clients, a switch of threads whenever there can be one: whatever is read is a block that was put, or newer."""
    n_keys, n_threads, n_each = 48, 16, 40
    calls = FaultyCalls(every(17, "read"), every(13, "write"), slow(0.0002, "write"), short=2 * 4096)
    store = FileStore(tmp_path / "blocks", BLOCK, calls=calls, direct=False)
    cache = TieredCache(tiers(8, 12, channels=2, spare=8), store, retries={"times": 1, "pause": "0 ns"})
    versions = np.zeros(n_keys, np.int64)
    wrong: list[str] = []

    def client(number: int) -> None:
        rng = np.random.default_rng(number)
        mine = [key for key in range(n_keys) if key % n_threads == number]
        for i in range(n_each):
            key = int(rng.choice(mine)) if rng.random() < 0.5 else int(rng.integers(n_keys))
            if key in mine and rng.random() < 0.6:
                with contextlib.suppress(LiveError):
                    cache.put(key, content(key, i + 1))
                    versions[key] = i + 1
            elif rng.random() < 0.2:
                cache.prefetch_async([int(other) for other in rng.integers(n_keys, size=3)])
            elif rng.random() < 0.1:
                with contextlib.suppress(LiveError):
                    cache.flush()
            else:
                # Some want more together than there are slots to spare.
                keys = [key] if rng.random() < 0.6 else [key, *rng.integers(n_keys, size=11).tolist()]
                least = versions[keys]
                with contextlib.suppress(LiveError):
                    found = cache.get_many(keys)
                    for one, block, oldest in zip(keys, found, least, strict=True):
                        version = version_of(block)
                        if (block != content(one, version)).any() or version < oldest:
                            wrong.append(f"{one}: {version}, put {oldest}")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=client, args=(number,)) for number in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    assert not any(thread.is_alive() for thread in threads)
    calls.faults.clear()
    for key in np.flatnonzero(versions).tolist():
        assert (cache.get(key) == content(key, versions[key])).all()
    check_books(cache)
    cache.close()
    assert (tmp_path / "blocks").stat().st_size < HEADER + 3 * n_keys * RECORD


def test_who_is_stopped_while_moving_a_block_stops_and_nobody_else() -> None:
    """The thread that waits for a block moves it itself: an interrupt is its own, not an error of the store."""
    store = FaultyStore(filled(MemoryStore(BLOCK), 4))

    def interrupt(kind: str, count: int, about: object) -> None:
        store.faults.clear()
        raise KeyboardInterrupt

    store.faults.append(interrupt)
    with TieredCache(tiers(4), store) as cache:
        with pytest.raises(KeyboardInterrupt):
            cache.get(1)
        assert (cache.get(1) == content(1, 0)).all()
        check_books(cache)


def test_a_block_that_is_written_often_takes_the_room_of_two(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "blocks", BLOCK)
    for version in range(10):
        store.write(1, content(1, version))
    store.close()
    assert (tmp_path / "blocks").stat().st_size == HEADER + 2 * RECORD


def test_what_is_being_written_when_others_are_done_may_be_half_there(tmp_path: Path) -> None:
    """The header of key 1's newer version is in the file and its bytes are not, when key 2 is written and all ends."""
    path, goes_on, is_there = tmp_path / "blocks", threading.Event(), threading.Event()

    def halt(kind: str, count: int, offset: int) -> None:
        is_writer = threading.current_thread() is not threading.main_thread()
        if kind == "write" and is_writer and (offset - HEADER) % RECORD:
            is_there.set()
            assert goes_on.wait(30)

    calls = FaultyCalls(halt, short=HEADER)
    store = FileStore(path, BLOCK, calls=calls, direct=False)
    writer = threading.Thread(target=lambda: store.write(1, content(1, 2)))
    store.write(1, content(1, 1))
    writer.start()
    assert is_there.wait(30)
    store.write(2, content(2, 1))
    store.write(2, content(2, 2))
    shutil.copy(path, tmp_path / "killed")
    goes_on.set()
    writer.join(30)
    store.close()
    into = np.empty(BLOCK, np.uint8)
    for name, version in (("killed", 1), ("blocks", 2)):
        found = FileStore(tmp_path / name, BLOCK)
        found.read(1, into)
        assert (into == content(1, version)).all()
        assert found.n_torn == (name == "killed")
        found.close()
