"""The live cache by itself, one thread at a time: the same hits as the simulator, and the bytes that were put."""

from contextlib import nullcontext
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from live import FileStore, MemoryStore, Recorder, TieredCache
from live.buffers import Bytes8
from live.errors import BrokenError, ClosedError, MissingBlockError
from simulator.errors import InputError, OutsideError
from simulator.evictions.registry import EVICTIONS
from simulator.policy import Outcome
from simulator.trace import Batch, make_batch
from tests.conftest import real_trace
from tests.live_blocks import tiers
from tests.live_content import BLOCK, content
from tests.outside.test_outside_others import MY_LRU
from tests.strategies import ListWorkload
from tests.test_golden_misses import concatenate, opened
from tierfetch import simulate

OUTCOMES = np.array([outcome.name.lower() for outcome in Outcome])
LINK = {"read_bandwidth": "1 GB/s", "write_bandwidth": "1 GB/s"}


class Endless(MemoryStore):
    """Has every block, as the simulator's store does."""

    def holds(self, key: int) -> bool:
        return True

    def read(self, key: int, into: Bytes8) -> None:
        try:
            super().read(key, into)
        except MissingBlockError:
            into[:] = key % 251


@pytest.fixture(scope="module")
def trace() -> Batch:
    """The start of a real trace, with writes of our own: the real one writes little there."""
    whole = concatenate(list(opened(real_trace("cloudPhysicsIO.oracleGeneral.bin"), "oracle_general").batches()))
    writes = np.random.default_rng(1).random(400) < 0.3
    return make_batch(whole.key[2000:2400], op=writes, size_bytes=BLOCK)


SETTINGS = [
    *((kind, "all", "inclusive") for kind in EVICTIONS), ("lru", "all", "exclusive"), ("slru", "all", "exclusive"),
    ("slru(variant=libcachesim)", "all", "inclusive"), ("lru", "probabilistic(probability=0.5)", "inclusive"),
    ("lru", "tinylfu", "exclusive"), ("python", "all", "inclusive"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "admission", "placement"), SETTINGS)
def test_every_access_has_the_outcome_that_it_has_in_the_simulator(
    kind: str, admission: str, placement: str, trace: Batch, tmp_path: Path
) -> None:
    if kind == "python":
        (tmp_path / "evict.py").write_text(dedent(MY_LRU))
    eviction = {"pinned": "pinned(keys=[5])", "python": f"python(class={tmp_path}/evict.py:MyLru)"}.get(kind, kind)
    clean = "demote" if placement == "exclusive" else "drop"
    sizes, workload, recorder = (20, 60), ListWorkload(trace), Recorder()
    of_tier = {"eviction": eviction, "admission": admission}
    system = {
        "tiers": [
            {"name": f"t{i}", "capacity": f"{n * BLOCK} B", **of_tier, **LINK} for i, n in enumerate(sizes)
        ],
        "links": [LINK, LINK], "origin": {"kind": "store"}, "placement": placement, "clean_evictions": clean,
    }  # fmt: skip
    simulated = simulate(system, workload, seed=3, keep=["accesses"]).accesses.sort_values("access")
    with TieredCache(
        tiers(*sizes, **of_tier), Endless(BLOCK), seed=3, placement=placement, clean_evictions=clean,
        recorder=recorder,
    ) as cache:  # fmt: skip
        cache.tell(workload)
        for key, op in zip(trace.key.tolist(), trace.op.tolist(), strict=True):
            if op:
                cache.put(key, content(key, 1))
            else:
                cache.get(key)
        stats = cache.stats()
    rows = recorder.rows("accesses")
    assert OUTCOMES[rows["outcome"]].tolist() == simulated["outcome"].tolist()
    assert (rows["key"] == trace.key.view(np.int64)).all()
    assert stats.n_hit == (simulated["outcome"] == "hit").sum() > 50


def test_an_eviction_policy_that_fails_is_everybodys_error(tmp_path: Path) -> None:
    """Also of those who wait: nobody waits for ever, and nobody goes on."""
    (tmp_path / "evict.py").write_text(dedent(MY_LRU).replace("def victim(self):", "def victim(self):\n        1 / 0"))
    cache = TieredCache(tiers(20, 40, eviction=f"python(class={tmp_path}/evict.py:MyLru)"), Endless(BLOCK))
    for key in range(21):
        with pytest.raises(OutsideError, match="ZeroDivisionError") if key == 20 else nullcontext():
            cache.get(key)
    for call in (lambda: cache.get(1), lambda: cache.put(1, content(1, 1)), cache.flush, cache.close):
        with pytest.raises(BrokenError, match="the cache has broken down: OutsideError"):
            call()
    with pytest.raises(BrokenError):
        cache.close(discard=True)
    assert not any(thread.is_alive() for thread in cache._workers._threads)


def test_what_is_put_is_read_from_the_cache_and_from_the_file_later(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    newest: dict[int, Bytes8] = {}
    with TieredCache(tiers(6, 10), FileStore(tmp_path / "blocks", BLOCK)) as cache:
        for i in range(300):
            key = int(rng.integers(40)) * 2**58
            if key not in newest or rng.random() < 0.4:
                newest[key] = content(key, i)
                cache.put(key, newest[key].tobytes())
            else:
                assert (cache.get(key) == newest[key]).all()
        assert {key for tier in cache._core.tiers for key in tier.blocks} < set(newest)
    store = FileStore(tmp_path / "blocks", BLOCK)
    found = np.empty(BLOCK, np.uint8)
    assert sorted(store.keys()) == sorted(newest)
    for key, expected in newest.items():
        store.read(key, found)
        assert (found == expected).all()
    store.close()


def test_bytes_go_where_they_are_wanted() -> None:
    with TieredCache(tiers(4), MemoryStore(BLOCK)) as cache:
        cache.put(1, content(1, 1))
        out = bytearray(BLOCK)
        assert cache.get(1, out) is out
        assert out == content(1, 1).tobytes()
        kept = cache.get(1)
        with cache.lease(1) as lent:
            cache.put(1, content(1, 2))
            # What is lent stays as it was, and nobody writes into it.
            assert (lent == content(1, 1)).all()
            with pytest.raises(ValueError, match="read-only"):
                lent[0] = 1
        assert (kept == content(1, 1)).all()
        assert (cache.get(1) == content(1, 2)).all()


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tiers\.0\.capacity: 100 B; expected a block of 4096 B"):
        TieredCache([{"name": "a", "capacity": "100 B"}], MemoryStore(BLOCK))
    with pytest.raises(InputError, match=r"tiers\.1\.memory: cuda; expected dram or pinned"):
        TieredCache([*tiers(4), {"name": "b", "capacity": "1 MiB", "memory": "cuda"}], MemoryStore(BLOCK))
    with pytest.raises(InputError, match=r"tiers\.0\.evictoin: .*not 'lru'"):
        TieredCache([{"name": "a", "capacity": "1 MiB", "evictoin": "lru"}], MemoryStore(BLOCK))
    with pytest.raises(InputError, match="block: 1000 B; expected a multiple of 4096 B"):
        FileStore(tmp_path / "blocks", 1000)
    (tmp_path / "text").write_text("no blocks" * 1000)
    with pytest.raises(InputError, match="text: is no file of blocks; expected one with blocks of 4096 B"):
        FileStore(tmp_path / "text", BLOCK)
    store = FileStore(tmp_path / "blocks", BLOCK)
    with pytest.raises(InputError, match="blocks: is in use"):
        FileStore(tmp_path / "blocks", BLOCK)
    with TieredCache(tiers(4), store) as cache:
        with pytest.raises(MissingBlockError, match="block 7 is in no tier and not in the store"):
            cache.get(7)
        with pytest.raises(InputError, match="data: 3 B; expected a block of 4096 B"):
            cache.put(7, b"abc")
        with pytest.raises(InputError, match="out: bytes, which cannot be written"):
            cache.get(7, bytes(BLOCK))
        with pytest.raises(InputError, match="key: -1; expected a whole number"):
            cache.get(-1)
    with pytest.raises(ClosedError):
        cache.get(7)
    with pytest.raises(InputError, match="has blocks of 4096 B; expected one with blocks of 8192 B"):
        FileStore(tmp_path / "blocks", 8192)


def test_the_example_in_the_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "docs" / "live.md").read_text()
    exec(text.partition("```python\n")[2].partition("```")[0], {})
    assert capsys.readouterr().out.split() == ["0", "RESIDENT", "UNKNOWN", "0.5"]
