"""How a client's thread comes by what it reads, and by a slot for what it writes."""

from collections.abc import Sequence
from concurrent.futures import Future
from math import nan
from operator import index
from typing import Any

from live.core import Core
from live.errors import BrokenError, ClosedError, LiveError, MissingBlockError, NoRoomError, ReadError
from live.following import Follower
from live.moves import READ, WRITE, Access, Prefetched
from live.recorder import Recorder
from live.slab import Slot
from live.workers import Workers
from simulator.arrays import NONE
from simulator.errors import InputError


class Issuing:
    """What ``TieredCache`` does for each call, without the bytes. ``is_closing``: no more calls are taken."""

    def __init__(self, core: Core, workers: Workers, recorder: Recorder | None) -> None:
        self._core, self._workers, self._recorder = core, workers, recorder
        self.is_closing = False

    def read(self, key: int, stream: int, request: int) -> Access:
        """Wait for a block: the access counts on the slot that it lies in, until ``end``. Raises as ``get``."""
        access = self.new_read(key, stream, request, self._core.now)
        self._issue(access)
        error = error_of(access)
        if error is not None:
            raise error from access.error
        return access

    def new_read(self, key: int, stream: int, request: int, issued_ns: int) -> Access:
        """One that is not looked up yet."""
        return Access(checked(key), READ, whole(stream, "stream"), whole(request, "request"), None, issued_ns)

    def write(self, key: int, stream: int, request: int, slot: Slot, began_ns: int, waited_ns: int) -> None:
        """What lies in a slot, from ``slot_to_write``, becomes a block."""
        core = self._core
        access = Access(key, WRITE, stream, request, slot, began_ns)
        access.queue_ns = waited_ns
        try:
            self._issue(access)
        except (ClosedError, BrokenError):
            with core.lock:
                core.memory.release(slot)
            raise
        finally:
            self._put_is_over()
        if access.error is not None:
            raise BrokenError(f"block {key} could not be put: {access.error}") from access.error
        self.end(access)

    def _issue(self, access: Access) -> None:
        """An access is looked up, and served."""
        core = self._core
        follower = core.follower
        asked = None
        if follower is not None and follower.is_sync:
            asked = self.ask_before(access, follower, core.now)
        core.lock.acquire()
        try:
            self.look_up(access, follower, asked)
            self.help(access)
        finally:
            core.unlock()
        if access.gate is not None:
            try:
                access.gate.acquire()
            except BaseException:
                # Somebody has interrupted this thread: it may have been served already.
                self.give_up(access)
                raise

    def ask_before(self, access: Access, follower: Follower | None, since_ns: int) -> Any:
        """Without the lock: what follows the cache is shown an access, which has waited for that since some time."""
        core = self._core
        assert follower is not None
        with core.lock:
            self.check_open()
            access.outcome, access.index = core.serving.peek(access.key), core.serving.n_issued
        asked = follower.before(access)
        if asked is not None:
            access.inference_ns = core.now - since_ns
        return asked

    def look_up(self, access: Access, follower: Follower | None, asked: Any) -> None:
        """Under the lock: it is served, or waits from now on."""
        self.check_open()
        self._core.guarded(self._core.serving.issue, access)
        if follower is not None:
            follower.issued(access, asked, self._propose)

    def help(self, access: Access) -> None:
        """Under the lock: this thread waits for nothing else, so it may move the block itself."""
        if not access.is_served:
            self._workers.help(access)

    def give_up(self, access: Access) -> None:
        """Nobody waits for it any more; if it was served its slot is let go of."""
        with self._core.lock:
            access.is_given_up = True
            if access.is_served:
                self._core.memory.release(access.slot)

    def _propose(self, key: int, why: tuple[int, int, float, int]) -> bool:
        """A follower wants a block, which it is told of by its fate."""
        future: Future[Prefetched] = Future()
        return self._core.guarded(self._core.serving.propose, key, why, future)

    def end(self, access: Access) -> None:
        """The bytes of an access are where they should be: it is over."""
        core = self._core
        if self._recorder is not None:
            self._recorder.access(access, core.now)
        if access.slot is not None:
            with core.lock:
                core.memory.release(access.slot)
        self.say_served(access)

    def say_served(self, access: Access) -> None:
        """Whoever follows the cache may answer what an access has asked that found its block."""
        follower = self._core.follower
        if follower is not None and access.gate is None:
            follower.served()

    def slot_to_write(self) -> Slot:
        """A slot of tier 0 for a put, which waits while half of what is to spare is held by others.

        Raises NoRoomError while half of it is held by what cannot be written down.
        """
        core = self._core
        slab, traffic, half = core.tiers[0].slab, core.traffic, core.settings.tiers[0].spare // 2
        core.lock.acquire()
        try:
            while True:
                self.check_open()
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

    def give_back(self, slot: Slot) -> None:
        """Nothing was written into it."""
        with self._core.lock:
            self._core.memory.release(slot)
        self._put_is_over()

    def _put_is_over(self) -> None:
        with self._core.lock:
            self._core.traffic.n_putting -= 1
            self._core.room.notify()

    def check_open(self) -> None:
        """Raises ClosedError, or BrokenError."""
        self._core.check()
        if self.is_closing or self._core.is_closed:
            raise ClosedError("the cache is closed")


def error_of(access: Access) -> LiveError | None:
    """What to tell whoever reads, if the block has not come; its cause is the access's own error."""
    error, key = access.error, access.key
    if error is None:
        return None
    if isinstance(error, MissingBlockError):
        return MissingBlockError(key)
    if isinstance(error, NoRoomError):
        return NoRoomError(*error.args)
    return ReadError(f"block {key} could not be read: {error}")


def whole(value: int, name: str) -> int:
    """A number for tables, which hold no others: found out later, all rows would be lost. Raises InputError."""
    try:
        number = index(value)
    except TypeError:
        number = 2**63
    if not -(2**63) <= number < 2**63:
        raise InputError(f"{name}: {value!r}; expected a whole number of 64 bits")
    return number


def checked(key: int) -> int:
    """A key as a number of Python's: NumPy's are slow, and wrap. Raises InputError if it is none."""
    try:
        number = index(key)
    except TypeError:
        number = -1
    if not 0 <= number < 2**64:
        raise InputError(f"key: {key!r}; expected a whole number from 0 to 2**64 - 1")
    return number


def of_each(
    keys: Sequence[int], confidences: Sequence[float] | None, experts: Sequence[int] | None
) -> tuple[list[float], list[int]]:
    """How sure somebody is of each key, and which expert named it. Raises InputError if that is not one for each."""
    for name, given in (("confidences", confidences), ("experts", experts)):
        if given is not None and len(given) != len(keys):
            raise InputError(f"{name}: {len(given)}; expected one for each of {len(keys)} keys")
    try:
        sure = [nan] * len(keys) if confidences is None else [float(one) for one in confidences]
    except (TypeError, ValueError):
        raise InputError(f"confidences: {confidences!r}; expected numbers") from None
    return sure, [NONE] * len(keys) if experts is None else [whole(one, "experts") for one in experts]
