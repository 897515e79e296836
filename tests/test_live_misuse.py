"""A live cache in the hands of who uses it wrongly: it says so, and goes on."""

import threading
from concurrent.futures import Future
from typing import Any

import pytest

from live import LiveError, MemoryStore, Recorder, TieredCache
from live.buffers import Bytes8
from simulator.errors import InputError
from tests.live_blocks import check_books, tiers
from tests.live_content import BLOCK, content


def filled(n: int = 20) -> MemoryStore:
    store = MemoryStore(BLOCK)
    for key in range(n):
        store.write(key, content(key, 0))
    return store


@pytest.mark.parametrize("wrong", ["1", None, 1.5, 2**63])
@pytest.mark.parametrize("name", ["stream", "request"])
def test_what_no_table_holds_is_refused_at_once(wrong: Any, name: str) -> None:
    recorder = Recorder()
    with TieredCache(tiers(4), filled(), recorder=recorder) as cache:
        more = {name: wrong}
        for call in (
            lambda: cache.get(1, **more), lambda: cache.get_many([1, 2], **more), cache.lease(1, **more).__enter__,
            lambda: cache.put(1, content(1, 1), **more),
        ):  # fmt: skip
            with pytest.raises(InputError, match=f"{name}: .*; expected a whole number of 64 bits"):
                call()
        cache.get(3, stream=4, request=-1)
        assert [row["request"] for row in recorder.rows("accesses")] == [-1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"confidences": [0.5]}, "confidences: 1; expected one for each of 2 keys"),
        ({"confidences": ["very", 0.5]}, "expected numbers"), ({"experts": [1, 2, 3]}, "experts: 3; expected one"),
        ({"experts": [1, "a"]}, "experts: 'a'; expected a whole number"), ({"inference": "a"}, "inference: 'a'"),
        ({"access": 0.5}, "access: 0.5"),
    ],
)  # fmt: skip
def test_a_prefetch_that_no_table_holds_is_refused_whole(wrong: Any, said: str) -> None:
    recorder = Recorder()
    with TieredCache(tiers(4), filled(), recorder=recorder) as cache:
        with pytest.raises(InputError, match=said):
            cache.prefetch_async([1, 2], **wrong)
        assert cache.stats().n_issued == 0
        check_books(cache)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_that_ends_its_thread_does_not_end_the_one_that_moves_blocks() -> None:
    def leave(_: "Future[Any]") -> None:
        raise SystemExit(3)

    with TieredCache(tiers(4, channels=2), filled()) as cache:
        for key in range(8):
            (future,) = cache.prefetch_async([key])
            called = threading.Event()
            # The first is done already, perhaps; then it is this thread that is left.
            try:
                future.add_done_callback(leave)
            except SystemExit:
                continue
            future.add_done_callback(lambda _, called=called: called.set())  # type: ignore[misc]
            future.result(10)
        read: list[Any] = []
        reader = threading.Thread(target=lambda: read.extend(cache.get_many(range(20))), daemon=True)
        reader.start()
        reader.join(10)
        assert len(read) == 20
        check_books(cache)


class Stubborn(MemoryStore):
    """Its flush raises what it is told to."""

    error: BaseException | None = None

    def flush(self) -> None:
        if self.error is not None:
            raise self.error
        super().flush()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a store of one's own"), MemoryError()])
def test_a_close_that_was_cut_short_can_be_made_again(error: BaseException) -> None:
    store = Stubborn(BLOCK)
    cache = TieredCache(tiers(4), store)
    cache.put(1, content(1, 1))
    store.error = error
    with pytest.raises(type(error)):
        cache.close()
    assert cache.get(1) is not None
    cache.put(2, content(2, 1))
    store.error = None
    cache.close()
    data: Bytes8 = content(0, 0).copy()
    store.read(2, data)
    assert data.tobytes() == content(2, 1).tobytes()
    with pytest.raises(LiveError):
        cache.get(1)


def test_what_breaks_a_cache_is_what_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(access: Any) -> None:
        raise KeyboardInterrupt

    cache = TieredCache(tiers(4), filled())
    monkeypatch.setattr(cache._core.serving, "issue", interrupted)

    def use() -> None:
        with cache:
            cache.get(1)

    with pytest.raises(KeyboardInterrupt):
        use()


def test_an_interrupt_while_others_are_woken_does_not_keep_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = TieredCache(tiers(4), filled())
    wake = cache._core.wake

    def interrupted() -> None:
        monkeypatch.setattr(cache._core, "wake", wake)
        raise KeyboardInterrupt

    monkeypatch.setattr(cache._core, "wake", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.prefetch_async([1])
    assert not cache._core.lock.locked()
    assert cache.get(1).tobytes() == content(1, 0).tobytes()
    cache.close()
