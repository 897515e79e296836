"""What goes over the links: who begins a call, what becomes of it, and what of errors (rules R8, R10)."""

import time
from typing import TYPE_CHECKING, NamedTuple

from live.errors import CorruptBlockError, MissingBlockError, NoRoomError
from live.links import Link
from live.moves import Landing, Transfer
from live.moving import Mover
from live.slab import Slab
from simulator.links import PREFETCH, WRITE_BACK

if TYPE_CHECKING:
    from live.core import Core


class Call(NamedTuple):
    """A transfer that has a channel of a link."""

    transfer: Transfer
    link: Link
    channel: int


class Moved(NamedTuple):
    """How a call ended: its error, if it failed; how often it was tried again, and found bytes that were wrong."""

    error: BaseException | None = None
    n_retries: int = 0
    n_corrupt: int = 0


class Traffic:
    """All but ``move`` under the cache's lock.

    ``writing`` has the keys that are being written to the store: of one key one write at a time, in order. While it
    ``is_held`` no call begins.
    """

    def __init__(self, core: "Core") -> None:
        self.core, self.memory, self.tiers, self.origin = core, core.memory, core.tiers, core.origin
        self.retries, max_wait = core.settings.retries, core.settings.prefetch.max_wait
        self._max_wait_ns = float("inf") if max_wait is None else max_wait
        self.writing: set[int] = set()
        self.is_held = False
        self._tried_ns = 0
        self.n_leased = self.n_putting = 0

    def choose(self, link: Link, only: Transfer | None = None) -> Call | None:
        """The oldest of the most urgent that has where to go takes a channel; with ``only``, if it is that one."""
        while link.n_free and not self.is_held:
            transfer = self._next(link, only)
            if transfer is None:
                return None
            if transfer.is_queued:
                now = self.core.now
                link.remove(transfer)
                transfer.started_ns = now
                return Call(transfer, link, link.begin())
        return None

    def _next(self, link: Link, only: Transfer | None) -> Transfer | None:
        """Who goes; or somebody who was taken out of the queue, because there is no use in waiting."""
        has_no_room = [False, False]
        for queue in link.queues:
            # A copy: what is parked may be tried again meanwhile.
            for transfer in tuple(queue):
                if only is not None and transfer is not only:
                    return None
                if has_no_room[transfer.is_down]:
                    continue
                if transfer.priority == PREFETCH and self.core.now - transfer.queued_ns > self._max_wait_ns:
                    link.withdraw(transfer)
                    self.memory.cancel(transfer, Landing.CANCELLED)
                    return transfer
                if transfer.is_down and transfer.level + 1 == self.origin:
                    if transfer.key in self.writing:
                        continue
                    self.writing.add(transfer.key)
                    return transfer
                try:
                    if self._make_room(transfer):
                        return transfer
                except NoRoomError as error:
                    link.remove(transfer)
                    self._fail(transfer, link, error)
                    return transfer
                has_no_room[transfer.is_down] = True
        return None

    def _make_room(self, transfer: Transfer) -> bool:
        """A slot to go to, if there is one. Raises NoRoomError if there will be none."""
        level = transfer.level + 1 if transfer.is_down else transfer.level - 1
        slab = self.tiers[level].slab
        if slab.n_free == 0:
            self.check_room(slab)
            if transfer.is_down and self.core.links[level].n_down == 0:
                # All to spare is held by blocks on their way up, which may wait for this one to make room: they never
                # would be gone.
                slab.enlarge()
        transfer.target = slab.take()
        return transfer.target is not None

    def check_room(self, slab: Slab) -> None:
        """Raises NoRoomError if slots are short because nothing can be written down, and that was tried just now."""
        held = slab.n_parked + (self.n_leased + self.n_putting) * (slab is self.tiers[0].slab)
        if slab.n_parked and held >= slab.tier.spare and not self.try_parked_again():
            first = next(iter(self.memory.parked.values()))
            raise NoRoomError(
                f"{slab.tier.name}: {slab.n_parked} blocks cannot be written down, and leave no room: {first.error}"
            ) from first.error

    def move(self, transfer: Transfer, mover: Mover) -> Moved:
        """Move the bytes, as often as it takes; without the lock."""
        n_retries = n_corrupt = 0
        while True:
            try:
                if n_retries:
                    time.sleep(self.retries.pause * 2 ** (n_retries - 1) / 1e9)
                self._move(transfer, mover)
                return Moved(None, n_retries, n_corrupt)
            except MissingBlockError as error:
                return Moved(error, n_retries, n_corrupt)
            except (OSError, CorruptBlockError) as error:
                n_corrupt += isinstance(error, CorruptBlockError)
                if n_retries == self.retries.times or transfer.is_obsolete:
                    return Moved(error, n_retries, n_corrupt)
                n_retries += 1
            except BaseException as error:  # of a store of one's own, or of a device; the one who waits is told
                return Moved(error, n_retries, n_corrupt)

    def _move(self, transfer: Transfer, mover: Mover) -> None:
        store, source, target = self.core.store, transfer.slot, transfer.target
        if source is not None and target is not None:
            mover.copy(source, target)
        elif target is not None:
            if target.host is not None:
                store.read(transfer.key, target.host)
            else:
                host, tensor = mover.staging()
                store.read(transfer.key, host)
                mover.copy_tensor(tensor, target.tensor)
        elif source is not None:
            store.write(transfer.key, mover.on_host(source))

    def end(self, call: Call, moved: Moved) -> None:
        """A call is over."""
        transfer, link, channel = call
        ended_ns, books = self.core.now, self.core.books
        link.end(channel)
        books.n_retries += moved.n_retries
        books.n_corrupt += moved.n_corrupt
        if transfer.is_down and transfer.level + 1 == self.origin:
            self.writing.discard(transfer.key)
        if link.n_queued:
            self.core.will_wake()
        self.core.landed.notify_all()
        if moved.error is not None:
            self._fail(transfer, link, moved.error)
            return
        link.n_down -= transfer.is_down
        link.n_calls += 1
        link.busy_ns += ended_ns - transfer.started_ns
        link.bytes_moved[transfer.kind] += self.core.block
        if self.core.recorder is not None:
            self.core.recorder.transfer(call, ended_ns, self.core.block)
        transfer.path.append((link.index, transfer.queued_ns, transfer.started_ns, ended_ns))
        self.memory.arrive(transfer)
        if transfer.is_down and self.memory.parked:
            # What could not be written may be now: one at a time, for it may be these blocks alone that cannot.
            self._try_again(next(iter(self.memory.parked.values())))

    def _fail(self, transfer: Transfer, link: Link, error: BaseException) -> None:
        """What came to nothing: a fetch is over; what was to be written down is kept where it is."""
        self.core.landed.notify_all()
        link.n_asked[transfer.kind] -= 1
        if not transfer.is_down:
            self.core.books.n_failed_reads += 1
            if isinstance(error, NoRoomError):
                self.core.serving.serve_below(transfer)
            self.memory.cancel(transfer, Landing.FAILED, error)
            self.core.serving.fail(transfer, error)
            return
        link.n_down -= 1
        self.core.books.n_failed_writes += 1
        self.memory.release(transfer.target)
        transfer.target = None
        if transfer.is_obsolete:
            self.memory.leave(transfer)
        else:
            transfer.error, transfer.priority = error, WRITE_BACK
            self.memory.parked[transfer.key] = transfer
            self.tiers[transfer.level].slab.n_parked += 1
            self._tried_ns = self.core.now
        self.core.serving.look_again(transfer)
        self.core.wake_all()

    def unpark(self, transfer: Transfer) -> None:
        """It is not left lying any longer."""
        del self.memory.parked[transfer.key]
        self.tiers[transfer.level].slab.n_parked -= 1
        transfer.error = None

    def _try_again(self, transfer: Transfer) -> None:
        self.unpark(transfer)
        self.memory.submit(transfer)

    def try_all_again(self) -> None:
        """Write down what could not be."""
        for transfer in list(self.memory.parked.values()):
            self._try_again(transfer)

    def try_parked_again(self) -> bool:
        """The same, if it was not tried just now; whether it is."""
        if not self.memory.parked or self.core.now - self._tried_ns < self.retries.again_after:
            return False
        self._tried_ns = self.core.now
        self.try_all_again()
        return True
