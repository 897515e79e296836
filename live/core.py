"""What is under a live cache's lock: its parts, which know each other by this."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Lock
from typing import Any, TypeVar

from live.books import Books
from live.errors import BrokenError
from live.file_systems import ALIGNMENT
from live.following import Follower
from live.links import Link
from live.memory import Memory
from live.moves import Landing, Prefetched
from live.recorder import Recorder
from live.serving import Serving
from live.settings import Settings
from live.store import Store
from live.tiers import Tier
from live.traffic import Traffic
from simulator.errors import InputError

R = TypeVar("R")


class Core:
    """Whoever calls anything of it holds ``lock``, and lets go of it by ``unlock``.

    ``room`` is where those wait who need a slot of tier 0, ``landed`` where those do who wait for write-backs.
    ``after`` has futures and their results, told when the lock is free again: whoever waits may call the cache.
    """

    def __init__(self, settings: Settings, store: Store, store_name: str, recorder: Recorder | None) -> None:
        block = store.block
        if block % ALIGNMENT:
            raise InputError(f"block: {block} B; expected a multiple of {ALIGNMENT} B")
        self.settings, self.store, self.block = settings, store, block
        self.lock = Lock()
        self.room, self.landed = Condition(self.lock), Condition(self.lock)
        self.books, self.recorder = Books(), recorder
        self.follower: Follower | None = None
        self.after: list[tuple[Future[Prefetched], Prefetched]] = []
        self.is_closed, self._to_wake = False, False
        self.broken: BaseException | None = None
        self._started_ns = time.perf_counter_ns()
        self.tiers = [
            Tier(tier, level, block, settings.seed, settings.prefetch, self.wake_all)
            for level, tier in enumerate(settings.tiers)
        ]
        for tier in self.tiers:
            if tier.settings.capacity < block:
                raise InputError(
                    f"tiers.{tier.level}.capacity: {tier.settings.capacity} B; expected a block of {block} B at least"
                )
        self.origin = len(self.tiers)
        names = [*(tier.name for tier in self.tiers), store_name]
        self.links = [
            Link(level, f"{names[level]}_{names[level + 1]}", tier.settings.channels, self.lock)
            for level, tier in enumerate(self.tiers)
        ]
        self.memory = Memory(self)
        self.serving, self.traffic = Serving(self), Traffic(self)

    @property
    def now(self) -> int:
        """The clock: ns since the cache was made."""
        return time.perf_counter_ns() - self._started_ns

    def start_clock(self) -> None:
        """It is 0 now. To be called before anything else, if at all."""
        self._started_ns = time.perf_counter_ns()

    def will_wake(self) -> None:
        """Something queues that was not there."""
        self._to_wake = True

    def wake(self) -> None:
        """Threads of links that have something to do are told so."""
        if self._to_wake:
            self._to_wake = False
            for link in self.links:
                n = min(link.n_free, link.n_queued)
                if n:
                    link.wake.notify(n)

    def unlock(self) -> None:
        """Let go of the lock, and then tell whoever waits for a prefetch."""
        told: list[tuple[Future[Prefetched], Prefetched]] = []
        try:
            self.wake()
            told, self.after = self.after, []
        finally:
            # Also where Ctrl-C comes meanwhile: else all others wait for ever, and so does close.
            self.lock.release()
        raised = None
        for future, result in told:
            try:
                future.set_result(result)
            except BaseException as error:
                # A callback's, and no Exception. It must not end the thread that moves blocks; all others are told.
                raised = error
        if raised is None:
            return
        if threading.current_thread() is threading.main_thread():
            # It may be Ctrl-C.
            raise raised
        threading.excepthook(threading.ExceptHookArgs((type(raised), raised, raised.__traceback__, None)))

    def check(self) -> None:
        """Raises LiveError if it has broken down."""
        if self.broken is not None:
            raise BrokenError(f"the cache has broken down: {self.broken!r}") from self.broken

    def guarded(self, step: Callable[..., R], *arguments: Any) -> R:
        """A step of the rules. What it raises is a bug, or an eviction policy's of one's own: nothing goes on then."""
        try:
            return step(*arguments)
        except BaseException as error:
            self._break_down(error)
            raise

    def _break_down(self, error: BaseException) -> None:
        """Whoever waits is told so, and so is whoever comes."""
        self.broken = self.broken or error
        for transfer in self.memory.flight.values():
            waiters, transfer.waiters = transfer.waiters, []
            for access in waiters:
                access.error = error
                access.serve(self.now)
            for prefetch in filter(None, (transfer.prefetch, transfer.late)):
                self.after.append((prefetch.future, Prefetched(transfer.key, Landing.FAILED, error)))
            transfer.prefetch = transfer.late = None
        self.landed.notify_all()
        self.wake_all()

    def wake_all(self) -> None:
        """A slot is free, or will never be: whoever waits for one looks again."""
        for link in self.links:
            link.wake.notify_all()
        self.room.notify_all()
