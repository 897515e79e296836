"""The live cache with tier 0 on a GPU: on the double, whose streams run as late as they may, and on a device."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode

from live import MemoryStore, TieredCache
from live.client import Client
from live.moving import Mover
from live.workers import Workers
from policies.models.cuda import missing_cuda
from tests.cuda_double.fixtures import machine as machine
from tests.cuda_double.machine import Machine
from tests.cuda_double.mode import Names
from tests.live_blocks import check_books, tiers
from tests.live_content import BLOCK, content, version_of


@pytest.fixture
def on_the_double(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """The double is of one thread: the others' are let in, and one works on the device at a time."""
    mode: Any = _get_current_dispatch_mode()
    run, one_at_a_time = Workers._run, threading.RLock()

    def run_on_the_double(self: Workers, link: Any) -> None:
        inner = type(mode)(machine)
        inner.pinned = mode.pinned
        with inner, Names(inner):
            run(self, link)

    def alone(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with one_at_a_time:
                return method(*arguments)

        return call

    monkeypatch.setattr(Workers, "_run", run_on_the_double)
    for owner, name in ((Mover, "copy_tensor"), (Mover, "staging"), (Client, "read"), (Client, "write")):
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


@pytest.mark.cuda
@pytest.mark.skipif(missing_cuda() is not None, reason="torch finds no CUDA device here")
@pytest.mark.parametrize("memories", [["cuda", "pinned"], ["cuda"]])
def test_the_same_on_a_device(memories: list[str]) -> None:
    use(memories, 4000)
