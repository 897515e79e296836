"""One run on a live cache: what the simulator's engines do with a workload, with bytes, threads and real clocks."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import numpy as np

from live.cache import TieredCache
from live.clients import Client, Stream, Versions
from live.closing import at_end, fill_books
from live.contents import pattern
from live.core import Core
from live.engine import PrefetchEngine
from live.errors import LiveError
from live.quietly import quietly
from live.recorder import Recorder
from live.settings import MemoryTier
from live.store import MemoryStore, Store
from policies.given import Built
from simulator.accounting import Books, BooksError, RunResult, SoFar
from simulator.arrays import Ints
from simulator.charge import Charge, Replay
from simulator.checks import capacities_of, check_streams
from simulator.config import Arrivals, InferenceServer, System, WriteBack
from simulator.errors import InputError
from simulator.needs import features_among, needs_of
from simulator.policy import Policy, Trigger, parts_of
from simulator.records.rows import WindowRow
from simulator.trace import Batch, Workload, part

MOST_STREAMS = 64
_TELL_EVERY_S = 1.0


class _Lent:
    """A store that the cache does not close, for it is somebody else's."""

    def __init__(self, store: Store) -> None:
        self.block, self.holds, self.read, self.write = store.block, store.holds, store.read, store.write
        self.flush = store.flush

    def close(self) -> None:
        """The owner does."""


class LiveEngine:
    """Drives one workload through a live cache under one policy, a thread for each stream. An instance runs once.

    It takes what ``simulator.engine.Engine`` takes, and fills the books as that does. Latencies and bandwidths of the
    system are those of the machine, and what an inference takes is what it takes: ``charge`` is not asked.
    """

    def __init__(
        self, system: System, arrivals: Arrivals, workload: Workload, policy: Policy, charge: Charge, books: Books, *,
        seed: int = 0, first_access: int = 0, prefix_reuse: bool = False,
        progress: Callable[[int], None] | None = None, store: Store, memories: Sequence[str] = (), spare: int = 64,
    ) -> None:  # fmt: skip
        """Takes the accesses from ``first_access`` on, and judges those from ``books.first_access`` on (rule R38).

        ``store`` holds all keys, as ``contents.fill`` writes them, and stays open. ``memories`` says what memory each
        tier is of, as a MemoryTier's ``memory``: without it, host memory. ``spare`` is of each tier.

        Raises:
            InputError: a live cache cannot do something of that.
        """
        _check(system, arrivals, policy, prefix_reuse=prefix_reuse)
        if isinstance(charge, Replay):
            raise InputError("charge: replay; on a live cache inferences take what they take, expected another charge")
        self._system, self._policy, self._books, self._store = system, policy, books, store
        self._seed, self._first_access, self._progress = seed, first_access, progress
        assert arrivals.kind == "closed"
        self._think_ns = arrivals.think
        self._tiers = _tiers_of(system, policy, memories, spare)
        self._workload, self._streams = workload, _streams_of(workload, first_access, store.block)
        if len(self._streams) > 1 and any(tier.eviction.foresees for tier in system.tiers):
            raise InputError(
                "system.tiers: an eviction policy knows the accesses to come, which of several streams nobody does; "
                "expected a workload of one stream, or another policy"
            )
        books.link_names, books.n_tiers, books.has_shadow = system.link_names(), len(system.tiers), False
        self._recorder = Recorder()
        self._clients: list[Client] = []
        self._is_stopped, self._lock = threading.Event(), threading.Lock()
        self._errors: list[BaseException] = []
        self._began_ns = 0 if books.first_access <= first_access else -1
        self._used: dict[int, tuple[int, list[int]]] = {}
        self._n_running = 0
        self._n_summed = self._latency_ns = 0
        self._cells = np.zeros(0, WindowRow.dtype)

    def run(self) -> RunResult:
        """Run to the end of the trace, close the books and check them.

        The run ends when the last access is served (rule R34). No call over a link begins after that; those under way
        are waited for, and so is the answer that is being made. What queues then is counted as such.

        Raises:
            BooksError: an identity of rule R19 does not hold.
            EngineError: the policy has failed.
            WrongBytesError: a client has read what was not put.
            LiveError: the cache, or its store, has failed.
        """
        with quietly():
            return self._run()

    def _run(self) -> RunResult:
        system = self._system
        cache = TieredCache(
            self._tiers, _Lent(self._store), store_name="origin", placement=system.placement,
            clean_evictions=system.clean_evictions, prefetch=system.prefetch, seed=self._seed, recorder=self._recorder,
        )  # fmt: skip
        try:
            cache.tell(self._workload, self._first_access, self._books.first_access)
            engine = asking(self._policy, cache, system.inference)
            self._warm_up(cache)
            with engine:
                self._drive(cache)
            core = cache._core
            with core.lock:
                while core.broken is None and any(any(link.is_busy) for link in core.links):
                    core.landed.wait()
                core.check()
                end = at_end(core, self._recorder)
        except BaseException:
            _let_go(cache)
            # What went wrong is said, not what that entails.
            with suppress(LiveError, OSError):
                cache.close(discard=True)
            raise
        _let_go(cache)
        cache.close()
        return fill_books(self._books, end, self._numbers(end.rows["accesses"]), max(self._began_ns, 0), self._used)

    def so_far(self, n_windows: int) -> SoFar:
        """What it has come to, with the last ``n_windows`` windows: for who is told of progress."""
        rows, self._n_summed = self._recorder.accesses_since(self._n_summed)
        first, window = self._books.first_access - self._first_access, self._books.window
        # By the cache's own numbers: those of the trace are known at the end.
        rows = rows[rows["access"] >= first]
        cell = (rows["access"] - first) // window
        grown = np.zeros(max(int(cell.max(initial=-1)) + 1, len(self._cells)), WindowRow.dtype)
        grown[: len(self._cells)] = self._cells
        np.add.at(grown["n_of_outcome"], (cell, rows["outcome"]), 1)
        np.add.at(grown["latency_ns"], cell, rows["latency_ns"])
        self._cells = grown
        self._latency_ns += int(rows["latency_ns"].sum())
        return SoFar.of(grown["n_of_outcome"].sum(axis=0).tolist(), self._latency_ns, grown[-n_windows:])

    def _warm_up(self, cache: TieredCache) -> None:
        """What first calls alone would pay: another cache has machine code loaded, and memory is the process's."""
        block = cache.block
        small = [tier.model_copy(update={"capacity": min(tier.capacity, 8 * block)}) for tier in self._tiers]
        with TieredCache(small, MemoryStore(block), placement=self._system.placement, seed=self._seed) as other:
            data = pattern(block)
            for key in range(16):
                other.put(key, data)
            other.get_many([*range(16), 0])
            other.prefetch_async([1, 2])
        touch(cache)

    def _drive(self, cache: TieredCache) -> None:
        """All clients from their first access to their last. Raises what one of them has raised first."""
        core, versions = cache._core, Versions(are_shared=len(self._streams) > 1)
        self._clients = [
            Client(cache, stream, versions, self._think_ns, cache.gpu, lambda *step: self._note(core, *step),
                   self._is_stopped)
            for stream in self._streams
        ]  # fmt: skip
        begins, is_done = threading.Event(), threading.Event()
        self._n_running = len(self._clients)
        threads = [
            threading.Thread(target=self._run_client, args=(client, core, begins, is_done), daemon=True)
            for client in self._clients
        ]  # fmt: skip
        for client in self._clients:
            # Before the clock starts.
            client.make_ready()
        for thread in threads:
            thread.start()
        core.start_clock()
        begins.set()
        try:
            while threads and not is_done.wait(_TELL_EVERY_S):
                self._tell()
        finally:
            self._is_stopped.set()
            for thread in threads:
                thread.join()
        self._tell()
        if self._errors:
            raise self._errors[0]

    def _run_client(self, client: Client, core: Core, begins: threading.Event, is_done: threading.Event) -> None:
        begins.wait()
        try:
            client.run()
        except BaseException as error:
            self._errors.append(error)
            self._is_stopped.set()
        with self._lock:
            self._n_running -= 1
            if self._n_running:
                return
        with core.lock:
            core.traffic.is_held = True
        is_done.set()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(sum(client.n_done for client in self._clients))

    def _note(self, core: Core, first: int, last: int) -> None:
        """Accesses are issued next, from one to another: judging may begin with them, and windows."""
        judged, window = self._books.first_access, self._books.window
        if last < judged:
            return
        if self._began_ns < 0:
            with core.lock:
                if self._began_ns < 0:
                    self._began_ns = core.now
                    for link in core.links:
                        link.most_down = link.n_down
        for i in range((max(first, judged) - judged) // window, (last - judged) // window + 1):
            if i not in self._used:
                self._used[i] = core.now, [len(tier.blocks) * core.block for tier in core.tiers]

    def _numbers(self, accesses: Any) -> Ints:
        """The trace's number of each access of the cache: of a stream they are in order."""
        numbers = np.empty(len(accesses), np.int64)
        for stream in self._streams:
            places = np.flatnonzero(accesses["stream"] == stream.number)
            n, n_expected = len(places), len(stream.accesses)
            if n != n_expected:
                raise BooksError(f"stream {stream.number}: {n} accesses were served, expected {n_expected}")
            numbers[places] = stream.accesses
        return numbers


def asking(policy: Policy, cache: TieredCache, server: InferenceServer) -> AbstractContextManager[Any]:
    """An engine that asks a policy beside a cache, as a system says; nothing, if the policy is never asked."""
    if policy.trigger == Trigger.NEVER:
        return nullcontext()
    return PrefetchEngine(
        Built(policy), cache, mode=server.mode, queue=server.queue, queue_limit=server.queue_limit,
        batch_size=server.batch_size, stale_after=server.stale_after,
    )  # fmt: skip


def touch(cache: TieredCache) -> None:
    """Memory is the process's from now on: what comes into a slab for the first time would pay for it else."""
    for tier in cache._core.tiers:
        tier.slab.touch()


def _let_go(cache: TieredCache) -> None:
    """Calls may begin again."""
    core = cache._core
    with core.lock:
        core.traffic.is_held = False
        core.wake_all()


def _check(system: System, arrivals: Arrivals, policy: Policy, *, prefix_reuse: bool) -> None:
    server = system.inference
    wrong = {
        f"system.origin.kind: {system.origin.kind}; a live cache reads from a store": system.origin.kind != "store",
        "system.requests: a live cache has no lives of requests; expected none": system.requests is not None,
        "workload.reuse: prefix; a live cache knows no prefixes, expected block": prefix_reuse,
        f"workload.arrivals.kind: {arrivals.kind}; clients of a live cache wait for what they read, expected closed": (
            arrivals.kind != "closed"
        ),
        f"system.inference.servers: {server.servers}; a live cache has one predictor, expected 1": server.servers > 1,
        "policy: is asked when requests arrive; expected one that is asked at accesses": (
            policy.trigger == Trigger.ARRIVAL
        ),
    }
    for i, link in enumerate(system.links):
        n = link.blocks_per_call
        wrong[f"system.links.{i}.blocks_per_call: {n}; a live cache moves one at a time, expected 1"] = n > 1
    for i, tier in enumerate(system.tiers):
        wrong[
            f"system.tiers.{i}.write_back: what waits in a live cache is bounded by its spare memory; expected none"
        ] = tier.write_back != WriteBack()
    features = features_among(needs_of(parts_of(policy, is_free=False).later))
    wrong[f"policy: needs {', '.join(features)}; a live cache shows key, stream and request alone"] = bool(features)
    if found := [text for text, is_so in wrong.items() if is_so]:
        raise InputError(*found)


def _tiers_of(system: System, policy: Policy, memories: Sequence[str], spare: int) -> list[MemoryTier]:
    if len(memories) > len(system.tiers):
        raise InputError(f"memories: {', '.join(memories)}; expected one for each of {len(system.tiers)} tiers at most")
    named = [*memories, *["dram"] * (len(system.tiers) - len(memories))]
    return [
        MemoryTier.model_validate({
            "name": tier.name, "capacity": f"{capacity} B", "memory": memory, "eviction": tier.eviction,
            "admission": tier.admission, "channels": link.channels, "spare": spare,
        })
        for tier, capacity, memory, link in zip(
            system.tiers, capacities_of(system, policy), named, system.links, strict=True
        )
    ]  # fmt: skip


def _streams_of(workload: Workload, first_access: int, block: int) -> list[Stream]:
    """The streams that have accesses. Raises InputError for blocks of another size, and too many streams."""
    n_streams, at = workload.n_streams, first_access
    if n_streams > MOST_STREAMS:
        raise InputError(
            f"workload: {n_streams} streams; a live cache has a thread for each, expected {MOST_STREAMS} at most"
        )
    found: list[Batch] = []
    for batch in part(workload.batches(), first_access):
        check_streams(batch, n_streams, at)
        bad = np.flatnonzero(batch.size_bytes != block)
        if len(bad):
            raise InputError(
                f"trace: access {at + int(bad[0])} has size {batch.size_bytes[bad[0]]}; expected {block}, the size of "
                "the store's blocks, of all"
            )
        found.append(batch)
        at += len(batch)
    whole = {
        name: np.concatenate([getattr(batch, name) for batch in found] or [np.empty(0, np.int64)])
        for name in ("key", "stream", "request", "op")
    }
    places = {stream: np.flatnonzero(whole["stream"] == stream) for stream in range(n_streams)}
    return [
        Stream(stream, first_access + at, *(whole[name][at] for name in ("key", "request", "op")))
        for stream, at in places.items()
        if len(at)
    ]
