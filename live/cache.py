"""A tiered cache that moves real bytes, by the rules that the simulator has for it (docs/live.md)."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from math import nan
from operator import index
from types import TracebackType
from typing import Any, Self

from live.books import Stats, TierStats, link_stats, stats_of
from live.client import Client
from live.core import Core
from live.errors import BrokenError, ClosedError, FlushError, LiveError, MissingBlockError, NoRoomError, ReadError
from live.flushing import Flushing
from live.moves import READ, WRITE, WRITTEN, Access, Landing, Prefetched
from live.recorder import Recorder
from live.settings import MemoryTier, settings_of
from live.slab import Slot
from live.store import Store
from live.told import tell
from live.workers import Workers
from simulator.arrays import NONE
from simulator.errors import InputError
from simulator.policy import Fate
from simulator.trace import Workload


class TieredCache:
    """Blocks of one size by key, in tiers of memory above a store, for any number of threads.

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
        device = first.device if first.memory == "cuda" else None
        self._core = core = Core(settings, store, store_name, recorder)
        self._client, self._workers = Client(core.block, device), Workers(core, device)
        self._flushing = Flushing(core, self._workers)
        self._recorder, self._is_closing = recorder, False

    @property
    def block(self) -> int:
        """Bytes of a block."""
        return self._core.block

    @property
    def link_names(self) -> list[str]:
        """The links by the levels that they join, first the one below tier 0."""
        return [link.name for link in self._core.links]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

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
        access = self._read(key, stream, request)
        try:
            assert access.slot is not None
            read = self._client.read(access.slot, target)
        finally:
            self._end(access)
        return read if out is None else out

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
            access = self._read(key, stream, request)
            try:
                assert access.slot is not None
                yield self._client.view(access.slot)
            finally:
                self._end(access)
        finally:
            with core.lock:
                core.traffic.n_leased -= 1

    def put(self, key: int, data: Any, *, stream: int = 0, request: int = 0) -> None:
        """Write a whole block: whoever reads it from now on reads these bytes, and nobody parts of them.

        They are in tier 0 when this returns, and reach the store when they are evicted, or by ``flush``. Raises
        NoRoomError, and nothing has happened, if blocks that have to go cannot be written down.
        """
        checked = self._client.checked(data, "data")
        key = _checked(key)
        core, began_ns = self._core, self._core.now
        slot = self._slot_to_write()
        try:
            waited_ns = core.now - began_ns
            self._client.write(slot, checked)
        except BaseException:
            self._give_back(slot)
            raise
        access = Access(key, WRITE, stream, request, slot, began_ns)
        access.queue_ns = waited_ns
        try:
            self._issue(access)
        except ClosedError:
            core.memory.release(slot)
            raise
        finally:
            with core.lock:
                core.traffic.n_putting -= 1
                core.room.notify()
        if access.error is not None:
            raise BrokenError(f"block {key} could not be put: {access.error}") from access.error
        self._end(access)

    def prefetch_async(
        self, keys: Iterable[int], *, confidences: Sequence[float] | None = None, experts: Sequence[int] | None = None,
        access: int = NONE, inference: int = NONE,
    ) -> "list[Future[Prefetched]]":  # fmt: skip
        """Have blocks sent for, most wanted first, and return at once: a future for each says what came of it.

        What else is given is for tables: how sure somebody was of each, which expert named it, the access after which
        it was, and the number of the inference. A future's callbacks are called by the threads that move blocks.
        """
        keys, core = [_checked(key) for key in keys], self._core
        futures: list[Future[Prefetched]] = []
        for _ in keys:
            future: Future[Prefetched] = Future()
            future.set_running_or_notify_cancel()
            futures.append(future)
        core.lock.acquire()
        try:
            self._check_open()
            for i, (key, future) in enumerate(zip(keys, futures, strict=True)):
                confidence = nan if confidences is None else confidences[i]
                expert = NONE if experts is None else experts[i]
                core.guarded(core.serving.propose, key, (inference, access, confidence, expert), future)
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
            self._check_open()
        self._flushing.run()

    def close(self, *, discard: bool = False) -> None:
        """Flush, end all threads and close the store; a second time it does nothing.

        Where something cannot be written it raises FlushError and the cache stays open: nothing is lost, and one can go
        on. With ``discard`` it is closed all the same, and these blocks are lost.
        """
        core = self._core
        with core.lock:
            if self._is_closing or core.is_closed:
                return
            self._is_closing = True
        failed: BaseException | None = None
        try:
            core.check()
            self._flushing.run()
        except (FlushError, BrokenError, OSError) as error:
            if not discard:
                self._is_closing = False
                raise
            failed = error
        core.lock.acquire()
        for transfer in list(core.memory.flight.values()):
            if transfer.prefetch is not None and transfer.is_queued and core.broken is None:
                core.memory.link_of(transfer).remove(transfer)
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
            links = {
                link.name: link_stats(link)
                for link in core.links
            }  # fmt: skip
            return stats_of(
                core.books, n_puts=core.serving.n_puts, n_in_flight=len(core.memory.flight),
                n_unwritten=len(core.memory.parked), tiers=tiers, links=links,
            )  # fmt: skip

    def tell(self, workload: Workload, first_access: int = 0, judged_from: int = 0) -> None:
        """Before anything else: the accesses that will come, for eviction policies that are told of them.

        That is ``belady``, which must know where each block is used next, ``leaf_lru`` and ``pinned``. What is told is
        what the simulator tells them.
        """
        with self._core.lock:
            tell(self._core, workload, first_access, judged_from)

    def _read(self, key: int, stream: int, request: int) -> Access:
        access = Access(_checked(key), READ, stream, request, None, self._core.now)
        self._issue(access)
        error = access.error
        if error is not None:
            if isinstance(error, MissingBlockError):
                raise MissingBlockError(key)
            if isinstance(error, NoRoomError):
                raise NoRoomError(*error.args) from error
            raise ReadError(f"block {key} could not be read: {error}") from error
        return access

    def _issue(self, access: Access) -> None:
        """An access is looked up, and served."""
        core = self._core
        core.lock.acquire()
        try:
            self._check_open()
            core.guarded(core.serving.issue, access)
            if not access.is_served:
                self._workers.help(access)
        finally:
            core.unlock()
        if access.gate is not None:
            try:
                access.gate.acquire()
            except BaseException:
                # Somebody has interrupted this thread: it may have been served already.
                with core.lock:
                    access.is_given_up = True
                    if access.is_served:
                        core.memory.release(access.slot)
                raise

    def _end(self, access: Access) -> None:
        core = self._core
        if self._recorder is not None:
            self._recorder.access(access, core.now)
        if access.slot is not None:
            with core.lock:
                core.memory.release(access.slot)

    def _slot_to_write(self) -> Slot:
        """A slot of tier 0 for a put, which waits while half of what is to spare is held by others."""
        core = self._core
        slab, traffic, half = core.tiers[0].slab, core.traffic, core.settings.tiers[0].spare // 2
        core.lock.acquire()
        try:
            while True:
                self._check_open()
                if slab.n_parked >= half and not traffic.try_parked_again():
                    first = next(iter(core.memory.parked.values()))
                    raise NoRoomError(
                        f"{slab.n_parked} blocks of {slab.tier.name} cannot be written down: {first.error}"
                    ) from first.error
                slot = slab.take() if traffic.n_putting < half else None
                if slot is not None:
                    traffic.n_putting += 1
                    return slot
                core.books.n_waits_for_room += 1
                core.wake()
                core.room.wait()
        finally:
            core.unlock()

    def _give_back(self, slot: Slot) -> None:
        with self._core.lock:
            self._core.traffic.n_putting -= 1
            self._core.memory.release(slot)
            self._core.room.notify()

    def _check_open(self) -> None:
        self._core.check()
        if self._is_closing or self._core.is_closed:
            raise ClosedError("the cache is closed")


def _checked(key: int) -> int:
    """A key as a number of Python's: NumPy's are slow, and wrap."""
    try:
        number = index(key)
    except TypeError:
        number = -1
    if not 0 <= number < 2**64:
        raise InputError(f"key: {key!r}; expected a whole number from 0 to 2**64 - 1")
    return number
