"""A tiered cache that moves real bytes, by the rules that the simulator has for it (docs/live.md)."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from live.books import Stats, TierStats, link_stats, stats_of
from live.client import Client
from live.core import Core
from live.errors import BrokenError, LiveError
from live.flushing import Flushing
from live.following import Follower
from live.issuing import Issuing, checked, of_each, whole
from live.moves import WRITTEN, Landing, Prefetched
from live.recorder import Recorder
from live.settings import MemoryTier, settings_of
from live.store import Store
from live.together import Together
from live.told import tell
from live.workers import Workers
from simulator.arrays import NONE
from simulator.errors import InputError
from simulator.policy import Fate
from simulator.trace import Workload


class TieredCache:
    """Blocks of one size by key, in tiers of memory above a store, for any number of threads.

    One that is not closed keeps its threads and memory until the program ends, and what was not flushed is lost then.

    Args:
        tiers: Fastest first: ``MemoryTier``, or what one is made of by name.
        store: What lies below, such as a ``FileStore``; it says how large blocks are. The cache closes it.
        store_name: Names it in tables.
        placement: ``inclusive``: a fetch leaves a copy in each tier that it passes; ``exclusive``: a block is in one.
        clean_evictions: ``demote``: with exclusive placement what was not written to goes down a tier, too.
        prefetch: What may be on its way before more is refused: ``simulator.config.Prefetching``, or by name.
        retries: What is done about errors: ``Retries``, or by name.
        seed: Of the draws of eviction policies.
        recorder: Keeps rows of all that happens, if there is one.

    Raises:
        InputError: something of that makes no sense.
    """

    def __init__(
        self, tiers: Sequence[MemoryTier | dict[str, Any]], store: Store, *, store_name: str = "store",
        placement: str = "inclusive", clean_evictions: str = "drop", prefetch: Any = None, retries: Any = None,
        seed: int = 0, recorder: Recorder | None = None,
    ) -> None:  # fmt: skip
        said = {"tiers": tuple(tiers), "placement": placement, "clean_evictions": clean_evictions, "seed": seed}
        said |= {name: value for name, value in (("prefetch", prefetch), ("retries", retries)) if value is not None}
        settings = settings_of(said)
        first = settings.tiers[0]
        self._gpu = first.device if first.memory == "cuda" else None
        self._core = core = Core(settings, store, store_name, recorder)
        self._client, self._workers = Client(core.block, self._gpu), Workers(core, self._gpu)
        self._flushing = Flushing(core, self._workers)
        self._issuing = Issuing(core, self._workers, recorder)
        self._together = Together(core, self._issuing, self._client)

    @property
    def block(self) -> int:
        """Bytes of a block."""
        return self._core.block

    @property
    def gpu(self) -> int | None:
        """Which GPU tier 0 is on, or None."""
        return self._gpu

    @property
    def link_names(self) -> list[str]:
        """The links by the levels that they join, first the one below tier 0."""
        return [link.name for link in self._core.links]

    def __contains__(self, key: object) -> bool:
        """Whether tier 0 has a block now; no access."""
        with self._core.lock:
            return key in self._core.tiers[0].blocks

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            self.close()
        except BrokenError:
            # What has broken it, such as Ctrl-C, is on its way already.
            if error is None:
                raise

    def get(self, key: int, out: Any = None, *, stream: int = 0, request: int = 0) -> Any:
        """Read a block, and wait until it is there.

        Args:
            key: From 0 to 2**64 - 1.
            out: Where the bytes go, anything that can be written and has as many: a bytearray, an array, a tensor.
            stream: Who reads, for tables.
            request: What for, for tables.

        Returns:
            ``out``; without it an array, or where tier 0 is on a GPU a tensor there. It is the caller's own.

        Raises:
            MissingBlockError: it was never put.
            ReadError: its tier has failed, or what it has of the block is not what was written.
            NoRoomError: no block can come in, because none that would have to go can be written down.
        """
        target = None if out is None else self._client.checked(out, "out")
        access = self._issuing.read(key, stream, request)
        try:
            assert access.slot is not None
            read = self._client.read(access.slot, target)
        finally:
            self._issuing.end(access)
        return read if out is None else out

    def get_many(
        self, keys: Iterable[int], out: Sequence[Any] | None = None, *, stream: int = 0, request: int = 0
    ) -> list[Any]:
        """Read blocks that are wanted together: all are looked up, in order, before the first is waited for.

        So what they miss is fetched side by side. Each ends when its bytes are copied, in the order in which they come.
        ``out`` has a place for each, as ``get`` takes one. Raises as ``get``, the error of the first key that has one,
        when all others have been read.
        """
        keys = list(keys)
        if out is not None and len(out) != len(keys):
            raise InputError(f"out: {len(out)} places; expected one for each of {len(keys)} keys")
        if len(keys) == 1:
            return [self.get(keys[0], None if out is None else out[0], stream=stream, request=request)]
        return self._together.read(keys, out, stream, request)

    @contextmanager
    def lease(self, key: int, *, stream: int = 0, request: int = 0) -> Iterator[Any]:
        """Read a block where it lies, without a copy: what is handed out stays as it is until the ``with`` is over.

        It is an array that cannot be written, or the GPU's tensor, which must not be. Work that a GPU still has to do
        with it must be waited for inside. A lease takes memory from what blocks on their way need: of the ``spare``
        blocks of tier 0 a quarter can be leased at a time. Raises as ``get``, and LiveError if more are leased.
        """
        core = self._core
        with core.lock:
            if core.traffic.n_leased >= core.settings.tiers[0].spare // 4:
                raise LiveError(f"{core.traffic.n_leased} blocks are leased; expected a quarter of `spare` at most")
            core.traffic.n_leased += 1
        try:
            access = self._issuing.read(key, stream, request)
            self._issuing.say_served(access)
            try:
                assert access.slot is not None
                yield self._client.view(access.slot)
            finally:
                self._issuing.end(access)
        finally:
            with core.lock:
                core.traffic.n_leased -= 1

    def put(self, key: int, data: Any, *, stream: int = 0, request: int = 0) -> None:
        """Write a whole block: whoever reads it from now on reads these bytes, and nobody parts of them.

        They are in tier 0 when this returns, and reach the store when they are evicted, or by ``flush``. Raises
        NoRoomError, and nothing has happened, if blocks that have to go cannot be written down.
        """
        flat, key = self._client.checked(data, "data"), checked(key)
        stream, request = whole(stream, "stream"), whole(request, "request")
        core, began_ns = self._core, self._core.now
        slot = self._issuing.slot_to_write()
        try:
            waited_ns = core.now - began_ns
            self._client.write(slot, flat)
        except BaseException:
            self._issuing.give_back(slot)
            raise
        self._issuing.write(key, stream, request, slot, began_ns, waited_ns)

    def prefetch_async(
        self, keys: Iterable[int], *, confidences: Sequence[float] | None = None, experts: Sequence[int] | None = None,
        access: int = NONE, inference: int = NONE,
    ) -> "list[Future[Prefetched]]":  # fmt: skip
        """Have blocks sent for, most wanted first, and return at once: a future for each says what came of it.

        What else is given is for tables: how sure somebody was of each, which expert named it, the access after which
        it was, and the number of the inference. A future's callbacks are called by the threads that move blocks.
        """
        keys, core = [checked(key) for key in keys], self._core
        access, inference = whole(access, "access"), whole(inference, "inference")
        sure, of_experts = of_each(keys, confidences, experts)
        futures: list[Future[Prefetched]] = []
        for _ in keys:
            future: Future[Prefetched] = Future()
            future.set_running_or_notify_cancel()
            futures.append(future)
        core.lock.acquire()
        try:
            self._issuing.check_open()
            for i, (key, future) in enumerate(zip(keys, futures, strict=True)):
                core.guarded(core.serving.propose, key, (inference, access, sure[i], of_experts[i]), future)
        finally:
            core.unlock()
        return futures

    def flush(self) -> None:
        """All that was put before this call is in the store when it returns, also if the machine stops then.

        Raises:
            FlushError: some blocks could not be written; the cache still has them.
            OSError: the store cannot say that what it has written stays.
        """
        with self._core.lock:
            self._issuing.check_open()
        self._flushing.run()

    def close(self, *, discard: bool = False) -> None:
        """Flush, end all threads and close the store; a second time it does nothing.

        Where something cannot be written it raises FlushError and the cache stays open: nothing is lost, and one can go
        on. So it is where the store raises, or this thread is interrupted. With ``discard`` it is closed all the same,
        and these blocks are lost; not where it is interrupted.
        """
        core = self._core
        with core.lock:
            if self._issuing.is_closing or core.is_closed:
                return
            self._issuing.is_closing = True
        failed: BaseException | None = None
        try:
            core.check()
            self._flushing.run()
        except BaseException as error:
            # Whatever it is, Ctrl-C or a store's own: what is dirty is still there, and one can go on.
            if not (discard and isinstance(error, Exception)):
                self._issuing.is_closing = False
                raise
            failed = error
        core.lock.acquire()
        for transfer in list(core.memory.flight.values()):
            if transfer.prefetch is not None and transfer.is_queued and core.broken is None:
                core.memory.link_of(transfer).withdraw(transfer)
                core.memory.cancel(transfer, Landing.CANCELLED)
        # Who waits for these is told now, not when all that is under way has come to an end.
        core.unlock()
        core.lock.acquire()
        while core.broken is None and any(transfer.error is None for transfer in core.memory.flight.values()):
            core.wake()
            core.landed.wait()
        core.is_closed = True
        for block in core.tiers[0].blocks.values():
            if block.prefetch is not None:
                core.serving.settle(block.prefetch, Fate.RESIDENT_UNUSED)
        core.wake_all()
        core.unlock()
        self._workers.join()
        core.store.close()
        if failed is not None:
            raise failed

    def stats(self) -> Stats:
        """What has been counted, and what is where, at one moment."""
        core = self._core
        with core.lock:
            tiers = {
                tier.name: TierStats(
                    tier.n_in, tier.n_out, len(tier.blocks),
                    sum(block.dirty == WRITTEN for block in tier.blocks.values()), tier.slab.n_free, tier.slab.n_parked,
                )
                for tier in core.tiers
            }  # fmt: skip
            links = {link.name: link_stats(link) for link in core.links}
            return stats_of(
                core.books, n_puts=core.serving.n_puts, n_in_flight=len(core.memory.flight),
                n_unwritten=len(core.memory.parked), tiers=tiers, links=links,
            )  # fmt: skip

    @property
    def now_ns(self) -> int:
        """The clock of its tables: ns since it was made."""
        return self._core.now

    @property
    def recorder(self) -> Recorder | None:
        """What keeps rows, if there is one."""
        return self._core.recorder

    def follow(self, follower: Follower | None) -> None:
        """Tell somebody of all accesses and fates from now on, one at a time, or nobody any more.

        Raises:
            LiveError: there is somebody already.
        """
        with self._core.lock:
            if follower is not None and self._core.follower is not None:
                raise LiveError("the cache is followed already; expected one engine for a cache")
            self._core.follower = follower

    def tell(self, workload: Workload, first_access: int = 0, judged_from: int = 0) -> None:
        """Before anything else: the accesses that will come, for eviction policies that are told of them.

        That is ``belady``, which must know where each block is used next, ``leaf_lru`` and ``pinned``. What is told is
        what the simulator tells them.
        """
        with self._core.lock:
            tell(self._core, workload, first_access, judged_from)
