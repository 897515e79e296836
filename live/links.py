"""Links between neighbouring levels: who waits for which, in which order (rules R8, R21, R23)."""

from collections import deque
from threading import Condition, Lock

from live.moves import Transfer
from simulator.links import DEMAND, PREFETCH


class Link:
    """The way between a level and the one below. All calls are made under the cache's lock.

    ``is_busy`` says of each channel whether a call is under way on it, ``n_down`` counts the write-backs that queue or
    are under way, ``most_down`` the most that there were, ``wake`` is where its threads wait. Bytes are by what a
    transfer was started as, and so are the blocks that were asked for and neither withdrawn nor failed.
    """

    def __init__(self, index: int, name: str, channels: int, lock: Lock) -> None:
        self.index, self.name = index, name
        self.is_busy = [False] * channels
        self.n_free, self.n_down, self.most_down = channels, 0, 0
        self.queues: tuple[deque[Transfer], ...] = (deque(), deque(), deque())
        self.wake = Condition(lock)
        self.n_asked, self.bytes_moved, self.n_calls, self.busy_ns = [0] * 3, [0] * 3, 0, 0

    @property
    def n_queued(self) -> int:
        """All that wait."""
        return sum(map(len, self.queues))

    def submit(self, transfer: Transfer, now_ns: int) -> None:
        """Wait behind the others of the same priority."""
        transfer.queued_ns, transfer.is_queued = now_ns, True
        self.queues[transfer.priority].append(transfer)
        self.n_asked[transfer.kind] += 1
        if transfer.is_down:
            self.n_down += 1
            self.most_down = max(self.most_down, self.n_down)

    def remove(self, transfer: Transfer) -> None:
        """It waits no more: its turn has come."""
        self.queues[transfer.priority].remove(transfer)
        transfer.is_queued = False

    def withdraw(self, transfer: Transfer) -> None:
        """It waits no more, and is not moved."""
        self.remove(transfer)
        self.n_asked[transfer.kind] -= 1

    def promote(self, transfer: Transfer) -> None:
        """Somebody waits for it: to the tail of the demand queue, unless its call is under way (rule R21)."""
        if transfer.is_queued:
            self.queues[transfer.priority].remove(transfer)
            self.queues[DEMAND].append(transfer)
        transfer.priority = DEMAND

    def n_prefetches_waiting(self) -> int:
        """Prefetches that no channel would be left for if the link chose now (rule R23)."""
        return max(len(self.queues[PREFETCH]) - max(self.n_free - len(self.queues[DEMAND]), 0), 0)

    def begin(self) -> int:
        """A call takes the first channel that is free."""
        channel = self.is_busy.index(False)
        self.is_busy[channel] = True
        self.n_free -= 1
        return channel

    def end(self, channel: int) -> None:
        """It is over."""
        self.is_busy[channel] = False
        self.n_free += 1
