"""Transfers between neighbouring levels: channels, three queues, shared calls, promotion, cancelling (R8 to R11)."""

from collections import deque
from collections.abc import Callable
from typing import Any

from simulator.clock import Clock
from simulator.hops import Hop

DEMAND, PREFETCH, WRITE_BACK = range(3)
PRIORITY_NAMES = ("demand", "prefetch", "write_back")


class Transfer:
    """A block on its way, one hop after another; ``level`` is where it has got to.

    ``priority`` changes when a demand meets a prefetch; ``class_`` is what it was started as and what its bytes
    count for. ``path`` has (link, queued, started, ended) of its finished hops, ``started_ns`` the start of the hop in
    service (-1: queued). ``late`` is the row of the prefetch that a demand met.
    """

    __slots__ = (
        "class_",
        "dirty",
        "down",
        "key",
        "late",
        "level",
        "link",
        "obsolete",
        "path",
        "prefetch",
        "priority",
        "queued_ns",
        "size",
        "source",
        "started_ns",
        "waiters",
    )

    def __init__(
        self,
        key: int,
        size: int,
        class_: int,
        level: int,
        *,
        down: bool = False,
        dirty: int = 0,
        prefetch: int = -1,
    ) -> None:
        self.key = key
        self.size = size
        self.class_ = self.priority = class_
        self.level = self.source = level
        self.link = -1
        self.down = down
        self.dirty = dirty
        self.prefetch = prefetch
        self.obsolete = False
        self.queued_ns = 0
        self.started_ns = -1
        self.late = -1
        self.path: list[tuple[int, int, int, int]] = []
        self.waiters: list[Any] = []


class Link:
    """The channels between a level and the one below. A free channel takes the oldest of the most urgent."""

    def __init__(
        self,
        clock: Clock,
        hop: Hop,
        *,
        arrived: Callable[[Transfer], None],
        overdue: Callable[[Transfer], bool],
    ) -> None:
        """What it takes is the ``hop``'s.

        ``arrived`` is called at the end of each hop. ``overdue`` is asked of a prefetch before it starts and has dealt
        with it when it says yes.
        """
        self._clock = clock
        self._hop = hop
        self._n_free = hop.channels
        self._arrived = arrived
        self._overdue = overdue
        self._queues: tuple[deque[Transfer], ...] = (deque(), deque(), deque())
        self.bytes_started = [0, 0, 0]

    @property
    def is_busy(self) -> bool:
        """Whether a transfer submitted now would have to queue."""
        return self._n_free == 0

    @property
    def n_prefetches_queued(self) -> int:
        """Prefetches that wait for a channel."""
        return len(self._queues[PREFETCH])

    def submit(self, transfer: Transfer) -> None:
        """Start the hop now if a channel is free, else queue it."""
        transfer.queued_ns = self._clock.now
        if self._n_free:
            self._n_free -= 1
            self._start([transfer])
        else:
            self._queues[transfer.priority].append(transfer)

    def promote(self, transfer: Transfer) -> None:
        """A demand waits for it: it counts as demand from now on, behind those already queued."""
        if transfer.priority != DEMAND:
            if transfer.started_ns < 0:
                self._queues[transfer.priority].remove(transfer)
                self._queues[DEMAND].append(transfer)
            transfer.priority = DEMAND

    def queued(self) -> list[Transfer]:
        """Everything that waits for a channel."""
        return [transfer for queue in self._queues for transfer in queue]

    def _start(self, batch: list[Transfer]) -> None:
        n_bytes = 0
        now = self._clock.now
        for transfer in batch:
            transfer.started_ns = now
            n_bytes += transfer.size
            self.bytes_started[transfer.class_] += transfer.size
        self._clock.after(self._hop.duration(n_bytes, down=batch[0].down), self._end, batch)

    def _end(self, event: Any) -> None:
        now = self._clock.now
        for transfer in event.value:
            transfer.path.append((transfer.link, transfer.queued_ns, transfer.started_ns, now))
            transfer.started_ns = -1
        # The channel is held until the blocks have landed, so that what landing submits queues by priority.
        for transfer in event.value:
            self._arrived(transfer)
        batch = self._next_batch()
        if batch:
            self._start(batch)
        else:
            self._n_free += 1

    def _next_batch(self) -> list[Transfer]:
        batch: list[Transfer] = []
        for priority, queue in enumerate(self._queues):
            while queue and len(batch) < self._hop.blocks_per_call:
                if batch and queue[0].down != batch[0].down:
                    break
                transfer = queue.popleft()
                if priority == PREFETCH and self._overdue(transfer):
                    continue
                batch.append(transfer)
            if batch:
                break
        return batch
