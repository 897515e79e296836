"""A workload on a live cache, as an engine: the simulator's outcomes, closed books, and bytes that are looked at."""

import gc
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from experiments.loading import load, only
from experiments.metrics import attribution
from experiments.plan import Run
from experiments.prepared import OtherEngine
from experiments.single import run_one
from live import MemoryStore, Recorder
from live.buffers import Bytes8
from live.clients import Client, Versions
from live.contents import fill, pattern, stamp
from live.core import Core
from live.driving import LiveEngine
from live.errors import EngineError, ReadError, WrongBytesError
from live.faults import FaultyStore, every
from simulator.accounting import Books, BooksError, Keeps
from simulator.charge import fixed
from simulator.config import Closed, Poisson, System
from simulator.engine import Engine
from simulator.errors import InputError
from simulator.policy import Fate
from simulator.trace import Batch, make_batch
from tests.strategies import ListSink, ListWorkload
from tests.test_experiment import config, write
from tests.test_live_engine import Scripted, built, mixed_keys

BLOCK = 4096
N_KEYS = 500
ALL = Keeps()
LINK = {"read_bandwidth": "1 GB/s", "write_bandwidth": "1 GB/s"}


def system(*sizes: int, channels: int = 1, **changes: Any) -> System:
    tiers = [{"name": f"t{i}", "capacity": f"{n * BLOCK} B", "eviction": "s3fifo", **LINK} for i, n in enumerate(sizes)]
    links = [{**LINK, "channels": channels} for _ in sizes]
    return System.model_validate({"tiers": tiers, "links": links, "origin": {"kind": "store"}, **changes})


def filled(n: int = N_KEYS) -> MemoryStore:
    store = MemoryStore(BLOCK)
    assert fill(store, range(n)) == n
    assert fill(store, range(n)) == 0
    return store


def batch_of(keys: Any, **columns: Any) -> Batch:
    return make_batch(keys, size_bytes=BLOCK, **columns)


def run(
    batch: Batch, machine: System, policy: Any = "none", *, engine: Any = LiveEngine, think_ns: int = 0,
    first: int = 0, judged: int | None = None, window: int = 50, keeps: Keeps = ALL, **more: Any,
) -> tuple[Books, Any, ListSink]:  # fmt: skip
    sink = ListSink()
    books = Books(sink, window, first_access=first if judged is None else judged, keeps=keeps)
    policy = built(policy) if isinstance(policy, str) else policy
    if engine is LiveEngine:
        more = {"store": filled(), **more}
    arrivals = Closed.model_validate({"kind": "closed", "think": f"{think_ns} ns"})
    made = engine(machine, arrivals, ListWorkload(batch), policy, fixed(0), books, seed=3, first_access=first, **more)
    return books, made.run(), sink


def both(batch: Batch, machine: System, policy: str = "none", **more: Any) -> list[tuple[Books, Any, ListSink]]:
    return [run(batch, machine, policy, engine=engine, **more) for engine in (LiveEngine, Engine)]


def outcomes(sink: ListSink) -> list[int]:
    return [row["outcome"] for row in sink.accesses()]


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> int:
    """All that a request has caused is over before the next, however slow the machine: so long the simulator thinks."""

    def until_all_is_there(client: Client, until_ns: int) -> None:
        while client._cache.stats().n_in_flight:
            time.sleep(0.0002)

    monkeypatch.setattr(Client, "think", until_all_is_there)
    return 10**8


@pytest.mark.parametrize("placement", ["inclusive", "exclusive"])
def test_a_stream_without_prefetching_has_the_simulators_outcomes(placement: str, settled: int) -> None:
    """Also of requests of several, and of writes; and all else that does not depend on clocks."""
    keys = np.random.default_rng(1).zipf(1.3, 900) % 200
    batch = batch_of(keys, request=np.arange(900) // 3, op=np.arange(900) // 3 % 7 == 3)
    live, simulated = both(batch, system(20, 60, placement=placement), think_ns=settled, first=90, judged=300)
    assert outcomes(live[2]) == outcomes(simulated[2])
    for name in ("n_accesses", "n_outcomes", "n_evicted", "resident_bytes", "min_access", "unjudged"):
        assert getattr(live[0], name) == getattr(simulated[0], name), name
    assert [row[:2] for row in live[1].bytes_moved] == [row[:2] for row in simulated[1].bytes_moved]
    windows, expected = live[0].windows(), simulated[0].windows()
    for name in ("first_access", "n_hit", "n_merged", "n_miss"):
        assert windows[name].tolist() == expected[name].tolist(), name
    assert (windows["used_bytes"] == expected["used_bytes"])[:, 0].mean() > 0.9
    begun_ns = windows["begun_ns"]
    assert (np.diff(begun_ns) > 0).all()
    last_ns = max(row["issued_ns"] + row["latency_ns"] for row in live[2].accesses())
    assert last_ns - begun_ns[0] <= live[0].end_ns < last_ns


@pytest.mark.parametrize("said", ["next_n(n=3)", "markov"])
def test_where_answers_are_waited_for_all_is_as_in_the_simulator(said: str, settled: int) -> None:
    """Once all that an access has sent for is there before the next."""
    batch = batch_of(mixed_keys(300), op=np.arange(300) % 9 == 4)
    machine = system(30, inference={"mode": "sync"})
    live, simulated = both(batch, machine, said, think_ns=settled, judged=100)
    assert outcomes(live[2]) == outcomes(simulated[2])
    # What the last access has asked for may be there sooner or later.
    mine, expected = (one[2].columns("prefetches") for one in (live, simulated))
    for name in ("key", "access", "inference", "fate", "first_used_access", "source_level"):
        pairs = [
            sorted(zip(rows["prefetch"].tolist(), rows[name].tolist(), strict=True))[:-5] for rows in (mine, expected)
        ]
        assert pairs[0] == pairs[1], name
    for name in ("n_proposed", "n_issued", "n_rejected", "n_pollution"):
        assert getattr(live[0], name) == getattr(simulated[0], name), name
    asked, expected_asked = live[0].questions, simulated[0].questions
    for name in ("n_asked", "n_status", "n_predicted", "n_came_true"):
        assert getattr(asked, name) == getattr(expected_asked, name), name
    assert asked.charged.total > 0
    assert 0 < live[0].sums["inference_ns"] < live[0].sums["latency_ns"]


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_of_several_streams_all_rows_have_the_traces_numbers(mode: str) -> None:
    rng, n = np.random.default_rng(2), 600
    stream, op = rng.integers(3, size=n), rng.random(n) < 0.2
    batch = batch_of(mixed_keys(n), stream=stream, op=op, request=np.arange(n) // 4)
    machine = system(25, 60, channels=2, inference={"mode": mode}, prefetch={"in_flight": 3})
    books, result, sink = run(batch, machine, "next_n(n=3)", first=60, judged=200)
    rows = sink.columns("accesses")
    assert sorted(rows["access"].tolist()) == list(range(200, n))
    for column in ("key", "stream", "op", "request"):
        assert (rows[column] == getattr(batch, column)[rows["access"]].astype(np.int64)).all(), column
    prefetches = sink.columns("prefetches")
    used = prefetches["first_used_access"] >= 0
    assert (batch.key[prefetches["first_used_access"][used]] == prefetches["key"][used].astype(np.uint64)).all()
    near = prefetches["key"] - batch.key[prefetches["access"]].astype(np.int64)
    assert set(near.tolist()) <= {1, 2, 3}
    moved = sink.columns("transfers")
    asked = np.array([access is not None for access in moved["access"]])
    assert (batch.key[moved["access"][asked].astype(int)] == moved["key"][asked].astype(np.uint64)).all()
    questions = sink.columns("inferences")
    assert (batch.stream[questions["access"]] == questions["stream"]).all()
    assert books.n_issued == len(prefetches["key"]) > 20
    assert books.n_rejected["rejected_budget"] > 0
    assert result.n_accesses == books.n_accesses == 400
    assert len(books.windows()["begun_ns"]) == 8
    assert sum(books.link_queue_ns) == rows["queue_ns"].sum()


def test_rows_are_kept_of_a_sample_and_progress_is_told() -> None:
    told: list[int] = []
    batch = batch_of(mixed_keys(200))
    books, _, sink = run(batch, system(20), keeps=Keeps(5, 20), progress=told.append)
    assert sorted(sink.columns("accesses")["access"].tolist()) == [i for i in range(200) if i % 20 < 5]
    assert told[-1] == books.n_accesses == 200
    engine = LiveEngine(
        system(20), Closed.model_validate({"kind": "closed"}), ListWorkload(batch), built("none"), fixed(0),
        (books := Books(None, 50, first_access=100)), store=filled(),
    )  # fmt: skip
    assert engine.so_far(3).latency_ns == 0
    engine.run()
    so_far = engine.so_far(1)
    assert so_far.n_outcomes == books.n_outcomes
    assert (so_far.latency_ns, len(so_far.windows)) == (books.sums["latency_ns"], 1)


def test_a_run_of_an_experiment(tmp_path: Path) -> None:
    content = config(arms=[{"name": "none", "policy": "next_n"}], output={"accesses": True, "inferences": True})
    content["workload"] = {
        "source": {"kind": "mixed", "accesses": 100, "block": "4 KiB", "n_keys": 50, "next_ratio": 0.8},
        "arrivals": "closed(think=10 us)",
    }
    experiment = only(load(write(tmp_path, content)))
    arm, told = experiment.arms[0], list[int]()
    done = run_one(
        experiment, Run(arm, 0), tmp_path, 10, lambda n, so_far: told.append(sum(so_far.n_outcomes)), watches=True,
        engine=OtherEngine("live", lambda _: partial(LiveEngine, store=filled(50))),
    )  # fmt: skip
    row = done.row
    n = row["n_accesses"]
    assert (row["engine"], told[-1]) == ("live", n)
    assert sum(row[f"n_{name}"] for name in ("hit", "hit_prefetched", "late", "merged", "miss")) == n > 40
    assert row["n_shadow_miss"] is None
    assert row["p50_inference_charged_ns"] > 0
    (table,) = (tmp_path / "accesses").glob("*.parquet")
    latency_ns = pq.read_table(table)["latency_ns"].to_pylist()
    assert (
        sum(latency_ns) == row["latency_sum_ns"] == sum(part["sum_ns"] for part in attribution(row, experiment.system))
    )


class Slow(MemoryStore):
    """Has all blocks; reads of those from a key on take a while."""

    def __init__(self, n: int, first_slow: int, takes_s: float) -> None:
        super().__init__(BLOCK)
        self.first_slow, self.takes_s = first_slow, takes_s
        fill(self, range(n))

    def read(self, key: int, into: Bytes8) -> None:
        if key >= self.first_slow:
            time.sleep(self.takes_s)
        super().read(key, into)


@pytest.mark.parametrize("fate", [Fate.LATE, Fate.CANCELLED])
def test_the_books_close_of_prefetches_that_are_late_or_given_up(fate: Fate) -> None:
    waits = {"max_wait": "1 us"} if fate == Fate.CANCELLED else {}
    machine = system(10, prefetch=waits, inference={"mode": "sync"})
    batch = batch_of(range(60), op=np.arange(60) % 5 == 4)
    books, _, sink = run(batch, machine, "next_n(n=3)", store=Slow(70, 0, 0.0005))
    assert books.n_fates[fate] > 5
    late = sink.columns("prefetches")
    saved = [ns for ns in late["saved_ns"].tolist() if ns is not None]
    assert (books.saved.n, books.saved.total) == (len(saved), sum(saved))
    assert books.saved.n == books.n_fates[Fate.LATE]
    most, at_end = books.write_back_queued[0]
    assert 0 <= at_end <= most > 0


def test_the_books_close_where_a_prefetch_cannot_be_read() -> None:
    class Bad(Slow):
        def read(self, key: int, into: Bytes8) -> None:
            if key == 10:
                raise OSError("bad")
            super().read(key, into)

    keys = [key for key in range(30) if key != 10]
    books, _, _ = run(batch_of(keys), system(8, inference={"mode": "sync"}), "next_n(n=3)", store=Bad(40, 40, 0))
    assert books.n_fates[Fate.CANCELLED] >= 1
    assert sum(books.n_outcomes) == len(keys)


def test_what_is_under_way_when_the_last_access_is_served_counts_as_such() -> None:
    store = Slow(10, 2, 0.03)
    books, result, sink = run(batch_of([1]), system(8, inference={"mode": "sync"}), "next_n(n=4)", store=store)
    assert books.n_fates[Fate.IN_FLIGHT] >= 3
    assert sum(books.n_fates) == books.n_issued == 4
    assert result.bytes_moved[0][1] < books.bytes_asked[0][1] == 4 * BLOCK
    assert len(sink.columns("transfers")["key"]) == sum(result.bytes_moved[0]) // BLOCK


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("prefetch", "issued"), ("transfer", "bytes of transfers"), ("rejection", "proposed"),
        ("inference", "proposed"), ("access", "stream 0: 0 accesses were served, expected 150"),
    ],
)  # fmt: skip
def test_books_that_lack_something_do_not_close(lost: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recorder, lost, lambda *_: None)
    with pytest.raises(BooksError, match=message):
        run(batch_of(range(150)), system(20, inference={"mode": "sync"}), "next_n(n=3)")


@pytest.mark.parametrize("what", ["another block", "half of it", "too old"])
def test_bytes_that_are_wrong_end_the_run(what: str) -> None:
    store, keys = filled(), [*range(8, 108), 7]
    wrong = stamp(pattern(BLOCK), 7, 0)
    if what == "another block":
        wrong = stamp(pattern(BLOCK), 8, 0)
    elif what == "half of it":
        wrong[BLOCK // 2 :] = stamp(pattern(BLOCK), 7, 1)[BLOCK // 2 :]

    class Forgetful(MemoryStore):
        def read(self, key: int, into: Bytes8) -> None:
            store.read(key, into)
            if key == 7:
                into[:] = wrong

    is_old = what == "too old"
    batch = batch_of([7, *keys], op=[is_old, *[False] * len(keys)])
    with pytest.raises(WrongBytesError, match="block 7: version 0" if is_old else "block 7: its sectors"):
        run(batch, system(20), store=Forgetful(BLOCK))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("t0", "Thread-", "predictor"))]


def test_which_versions_a_read_may_find() -> None:
    versions = Versions(are_shared=False)
    data, old = pattern(BLOCK), versions.new()
    versions.check(1, versions.oldest(1), stamp(data, 1, 0))
    oldest = versions.oldest(1)
    versions.returned(1, old)
    # The read began before the put was over, so it may find either.
    for version in (0, old):
        versions.check(1, oldest, stamp(data, 1, version))
    for version in (0, old + 1):
        with pytest.raises(WrongBytesError, match=f"version {version} was read; expected one from {old}"):
            versions.check(1, versions.oldest(1), stamp(data, 1, version))


def test_a_policy_or_a_store_that_fails_ends_the_run() -> None:
    with pytest.raises(EngineError, match="at a key"):
        run(batch_of([1, 2, 3]), system(8, inference={"mode": "sync"}), Scripted(fails_at=2))
    with pytest.raises(ReadError, match="could not be read"):
        run(batch_of(range(40)), system(8), store=FaultyStore(filled(), every(1, "read")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"machine": {"origin": {"kind": "compute", "per_mib": "1 ms"}}}, r"system\.origin\.kind: compute"),
        ({"machine": {"inference": {"servers": 2}}}, r"system\.inference\.servers: 2"),
        ({"machine": {"links": [{**LINK, "blocks_per_call": 4}]}}, r"system\.links\.0\.blocks_per_call: 4"),
        ({"arrivals": Poisson(kind="poisson", mean_gap="1 us")}, r"workload\.arrivals\.kind: poisson"),
        ({"prefix_reuse": True}, r"workload\.reuse: prefix"),
        ({"policy": "queue_time"}, "policy: is asked when requests arrive"),
        ({"batch": make_batch([1, 2], size_bytes=[BLOCK, 512])}, "trace: access 1 has size 512; expected 4096"),
        ({"batch": batch_of(range(65), stream=np.arange(65))}, "workload: 65 streams; .* expected 64 at most"),
        ({"memories": ["dram", "dram"]}, "memories: dram, dram; expected one for each of 1 tiers at most"),
        ({"machine": {"tiers": [{"name": "a", "capacity": "1 MiB", "write_back": {"blocks": 3}, **LINK}]}},
         r"system\.tiers\.0\.write_back: "),
        ({"machine": {"tiers": [{"name": "a", "capacity": "1 MiB", "eviction": "belady", **LINK}]},
          "batch": batch_of(range(4), stream=np.arange(4) % 2)}, "expected a workload of one stream"),
    ],
)  # fmt: skip
def test_what_a_live_cache_cannot_do_is_said(changes: dict[str, Any], message: str) -> None:
    said = {
        "batch": batch_of([1, 2]),
        "arrivals": Closed.model_validate({"kind": "closed"}),
        "policy": "none",
        **changes,
    }
    with pytest.raises(InputError, match=message):
        LiveEngine(
            system(8, **said.pop("machine", {})), said.pop("arrivals"), ListWorkload(said.pop("batch")),
            built(said.pop("policy")), fixed(0), Books(None, 10), store=MemoryStore(BLOCK), **said,
        )  # fmt: skip


def test_python_is_quiet_beside_a_run() -> None:
    """Threads take turns often, and garbage is not looked for in what was there before; after it all is as it was."""
    before, seen = sys.getswitchinterval(), list[tuple[float, bool]]()

    class Watching(MemoryStore):
        def read(self, key: int, into: Bytes8) -> None:
            seen.append((round(sys.getswitchinterval(), 6), gc.get_freeze_count() > 1000))
            super().read(key, into)

    store = Watching(BLOCK)
    fill(store, range(20))
    run(batch_of(range(20)), system(8), store=store)
    assert len(seen) == 20
    assert {*seen} == {(0.0002, True)}
    assert (sys.getswitchinterval(), gc.get_freeze_count()) == (before, 0)


def test_clients_have_their_memory_before_the_clock_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the widest request of each: else the first one would pay for its pages."""
    n_places, start_clock, make_ready = list[int](), Core.start_clock, Client.make_ready
    clients = list[Client]()

    def ready(client: Client) -> None:
        clients.append(client)
        make_ready(client)

    def start(core: Core) -> None:
        n_places[:] = [len(client._places) for client in clients]
        start_clock(core)

    monkeypatch.setattr(Client, "make_ready", ready)
    monkeypatch.setattr(Core, "start_clock", start)
    run(batch_of(range(9), stream=[0, 0, 0, 1, 1, 0, 0, 0, 0], request=[0, 0, 0, 1, 1, 2, 2, 2, 2]), system(20))
    assert n_places == [4, 2]
