"""The live cache with tier 0 on a GPU: on the double, whose streams run as late as they may, and on a device."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode

from live import MemoryStore, PrefetchEngine, TieredCache, client, contents, engine
from live.clients import Client, Stream, Versions
from live.moving import Mover
from live.predicting import Predictor
from live.streams import beside
from live.workers import Workers
from policies.given import Built
from policies.models.cuda import missing_cuda
from simulator.policy import AccessRun, Ahead, Answer, Decision, Trigger
from simulator.trace import READ, WRITE
from tests.cuda_double.fixtures import machine as machine
from tests.cuda_double.fixtures import two_devices as two_devices
from tests.cuda_double.machine import Machine
from tests.cuda_double.mode import Names
from tests.live_blocks import check_books, tiers
from tests.live_content import BLOCK, content, version_of


@pytest.fixture
def on_the_double(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """The double is of one thread: the others' are let in, and one works on the device at a time."""
    mode: Any = _get_current_dispatch_mode()
    one_at_a_time = threading.RLock()

    def on_double(run: Callable[..., Any]) -> Callable[..., Any]:
        def run_on_the_double(*arguments: Any) -> None:
            inner = type(mode)(machine)
            inner.pinned = mode.pinned
            with inner, Names(inner):
                run(*arguments)

        return run_on_the_double

    def alone(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with one_at_a_time:
                return method(*arguments)

        return call

    for threads in (Workers, Predictor):
        monkeypatch.setattr(threads, "_run", on_double(threads._run))
    for owner, name in ((Mover, "copy_tensor"), (Mover, "staging"), (client.Client, "read"), (client.Client, "write")):
        monkeypatch.setattr(owner, name, alone(getattr(owner, name)))
    return machine


def bytes_of(found: Any) -> Any:
    assert found.device.type == "cuda"
    return np.asarray(found.cpu())


def use(memories: list[str], n: int) -> dict[str, Any]:
    """Puts and gets of host memory and of tensors, and prefetches; everything that is read is checked."""
    store = MemoryStore(BLOCK)
    newest = dict.fromkeys(range(24), 0)
    for key in newest:
        store.write(key, content(key, 0))
    made = [tier.model_copy(update={"memory": memory}) for tier, memory in zip(tiers(4, 8), memories, strict=False)]
    rng = np.random.default_rng(1)
    with TieredCache(made, store) as cache:
        for i in range(1, n):
            key, what = int(rng.integers(24)), rng.random()
            if what < 0.2:
                newest[key] = i
                cache.put(key, content(key, i))
            elif what < 0.4:
                newest[key] = i
                cache.put(key, torch.from_numpy(content(key, i)).to("cuda"))
            elif what < 0.5:
                cache.prefetch_async([key])
            elif what < 0.6:
                out = np.empty(BLOCK, np.uint8)
                cache.get(key, out)
                assert (out == content(key, newest[key])).all()
            elif what < 0.7:
                with cache.lease(key) as lent:
                    assert (bytes_of(lent) == content(key, newest[key])).all()
            else:
                assert (bytes_of(cache.get(key)) == content(key, newest[key])).all()
        check_books(cache)
        stats = cache.stats()
    assert {key: version_of(block) for key, block in store._blocks.items()} == newest
    assert stats.n_hit > 0
    assert stats.n_issued > 0
    return {"stats": stats, "cache": cache}


@pytest.mark.parametrize("memories", [["cuda", "pinned"], ["cuda", "dram"], ["cuda"], ["pinned", "dram"]])
def test_what_is_put_is_read_whatever_streams_do(memories: list[str], on_the_double: Machine) -> None:
    if memories[0] == "cuda":
        use(memories, 80)
    else:
        with pytest.MonkeyPatch.context() as patch:
            # Tier 0 is of the host: what is read lies there.
            patch.setitem(globals(), "bytes_of", lambda found: found)
            use(memories, 80)


def test_each_copy_is_on_a_stream_of_its_thread_and_waited_for(on_the_double: Machine) -> None:
    """Between tiers nothing goes over the default stream, on which a client's own work waits."""
    store = MemoryStore(BLOCK)
    store.write(1, content(1, 0))
    first, second = (
        tier.model_copy(update={"memory": m}) for tier, m in zip(tiers(2, 4), ("cuda", "pinned"), strict=True)
    )
    with TieredCache([first, second], store) as cache:
        before, default = on_the_double.counts.copy(), on_the_double.defaults[0]
        n_put = default.n_put
        (future,) = cache.prefetch_async([1])
        assert future.result(30).landing.name == "LANDED"
        counted = on_the_double.counts - before
        assert (counted["h2d"], counted["stream_sync"], counted["blocking_copy"]) == (1, 1, 0)
        assert default.n_put == n_put
        # It is on the device before any client asks.
        (block,) = cache._core.tiers[0].blocks.values()
        assert (np.asarray(block.slot.tensor.elem) == content(1, 0)).all()
        cache.put(5, content(5, 1))
        before = on_the_double.counts.copy()
        cache.flush()
        counted = on_the_double.counts - before
        # By way of pinned memory of the thread that flushes.
        assert (counted["d2h"], counted["blocking_copy"]) == (1, 0)
    assert version_of(store._blocks[5]) == 1


class OnTheGpu:
    """A policy that computes on the GPU; ``streams`` are those that it was made and asked on."""

    trigger, ahead, footprint_bytes = Trigger.ACCESS, Ahead(), 0

    def __init__(self) -> None:
        self.weight = torch.ones(4).to("cuda")
        self.streams = [torch.cuda.current_stream()]

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        self.streams.append(torch.cuda.current_stream())
        step = int((self.weight + 1).cpu()[0])
        return Decision([Answer([run.asking[0] + step], [1.0], run.asking[0] + step, 1.0) for run in runs])


@pytest.mark.parametrize("memory", ["cuda", "dram"])
def test_a_policy_computes_on_a_stream_of_its_own(
    memory: str, on_the_double: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside all transfers, and what clients do on the default stream; and so where the GPU is not the cache's."""
    monkeypatch.setattr(engine, "builder", lambda *_: lambda: Built(OnTheGpu()))
    default = on_the_double.defaults[0]
    with TieredCache([tier.model_copy(update={"memory": memory}) for tier in tiers(4)], filled(8)) as cache:
        with PrefetchEngine("next_n", cache, mode="sync") as asks:
            policy: Any = asks.policy
            n_put = default.n_put
            assert (cache.get(1) if memory == "dram" else bytes_of(cache.get(1)))[8] == 0
            # A client's copy is on the stream that is current for it, and nothing else.
            assert (default.n_put > n_put) == (memory == "cuda")
            n_put = default.n_put
            assert asks.metrics().n_answered == 1
            assert asks.predict_next_key([5]) == (7, 1.0)
            assert default.n_put == n_put
        assert len(policy.streams) == 2
        (own,) = set(policy.streams)
        assert own is not default
    assert torch.cuda.current_stream() is default


def test_a_stream_of_a_cache_on_the_second_gpu(two_devices: Machine) -> None:
    """Which device a policy finds as the current one does not depend on where the cache lies."""
    with beside(1):
        assert torch.cuda.current_device() == 0
        assert torch.cuda.current_stream(1) is not two_devices.defaults[1]
        assert torch.cuda.current_stream() is two_devices.defaults[0]
    assert torch.cuda.current_stream(1) is two_devices.defaults[1]


def test_one_that_was_made_elsewhere_stays_on_its_stream(on_the_double: Machine) -> None:
    """What it has on the GPU may still be under way there."""
    with PrefetchEngine(OnTheGpu(), Nowhere(), mode="sync") as asks:
        assert asks.process_access(1) == [3]
        policy: Any = asks.policy
        assert set(policy.streams) == {on_the_double.defaults[0]}


def test_clients_of_a_run_leave_the_policys_stream_alone(on_the_double: Machine) -> None:
    default = on_the_double.defaults[0]
    made = [tier.model_copy(update={"memory": "cuda"}) for tier in tiers(4)]
    store = MemoryStore(BLOCK)
    contents.fill(store, range(8))
    with TieredCache(made, store) as cache:
        columns = [[1, 2, 1], [0, 1, 2], [READ, WRITE, READ]]
        stream = Stream(0, np.arange(3), *(np.array(column, np.int64) for column in columns))
        reads = Client(cache, stream, Versions(are_shared=False), 0, cache.gpu, lambda *_: None, threading.Event())
        n_put = default.n_put
        reads.run()
        assert (reads.n_done, default.n_put) == (3, n_put)
        assert cache.stats().n_hit > 0


class Nowhere:
    """Takes keys, and does nothing."""

    def prefetch_async(self, keys: Sequence[int]) -> None:
        pass


def filled(n: int) -> MemoryStore:
    store = MemoryStore(BLOCK)
    for key in range(n):
        store.write(key, content(key, 0))
    return store


@pytest.mark.cuda
@pytest.mark.skipif(missing_cuda() is not None, reason="torch finds no CUDA device here")
@pytest.mark.parametrize("memories", [["cuda", "pinned"], ["cuda"]])
def test_the_same_on_a_device(memories: list[str]) -> None:
    use(memories, 4000)


@pytest.mark.cuda
@pytest.mark.skipif(missing_cuda() is not None, reason="torch finds no CUDA device here")
def test_a_policys_stream_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "builder", lambda *_: lambda: Built(OnTheGpu()))
    (made,) = (tier.model_copy(update={"memory": "cuda"}) for tier in tiers(4))
    with TieredCache([made], filled(8)) as cache, PrefetchEngine("next_n", cache, mode="sync") as asks:
        assert version_of(bytes_of(cache.get(1))) == 0
        assert asks.metrics().n_answered == 1
        policy: Any = asks.policy
        (own,) = set(policy.streams)
        assert own != torch.cuda.default_stream()
