"""What the rules speak of: copies of blocks, accesses, prefetches, and blocks on their way."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import IntEnum
from threading import Lock
from typing import Any

from live.slab import Slot
from simulator.arrays import NONE
from simulator.fates import NOTHING_SAVED
from simulator.policy import Fate, Outcome

CLEAN, WRITTEN = 0, 2
"""How dirty a block is, as in the model, whose blocks may be computed, too."""
READ, WRITE = range(2)
Hop = tuple[int, int, int, int]
"""Of a block on its way: the link, and when it queued, started and ended, in ns."""


class Landing(IntEnum):
    """What has become of a block that ``prefetch_async`` was asked for."""

    LANDED = 0  # it was sent for and has come into tier 0
    RESIDENT = 1  # tier 0 had it
    IN_FLIGHT = 2  # it was on its way already
    UNKNOWN = 3  # no tier and no store has it
    OVER_BUDGET = 4  # too many are on their way
    CANCELLED = 5  # it has queued for longer than ``max_wait``, or the cache was closed
    FAILED = 6  # its tier has failed; ``error`` says how


@dataclass(frozen=True, slots=True)
class Prefetched:
    """The result of a prefetch's future, which never raises."""

    key: int
    landing: Landing
    error: BaseException | None = None


class Prefetch:
    """A prefetch that was issued; what it was for, and what became of it when. NONE is no time."""

    __slots__ = (
        "access",
        "confidence",
        "evicted_ns",
        "expert",
        "fate",
        "filled_ns",
        "future",
        "index",
        "inference",
        "key",
        "proposed_ns",
        "saved_ns",
        "source",
        "used_access",
        "used_ns",
    )  # fmt: skip

    def __init__(
        self, index: int, key: int, source: int, proposed_ns: int, why: tuple[int, int, float, int],
        future: "Future[Prefetched]",
    ) -> None:  # fmt: skip
        self.index, self.key, self.source, self.proposed_ns, self.future = index, key, source, proposed_ns, future
        self.inference, self.access, self.confidence, self.expert = why
        self.filled_ns: int = NONE
        self.used_ns: int = NONE
        self.used_access: int = NONE
        self.evicted_ns: int = NONE
        self.saved_ns, self.fate = NOTHING_SAVED, Fate.IN_FLIGHT


class Block:
    """A copy of a block in a tier; ``prefetch`` brought it and nobody has used it yet, ``put`` is the newest in it."""

    __slots__ = ("dirty", "prefetch", "put", "slot")

    def __init__(self, slot: Slot, dirty: int = CLEAN, put: int = 0, prefetch: Prefetch | None = None) -> None:
        self.slot, self.dirty, self.put, self.prefetch = slot, dirty, put, prefetch


class Access:
    """A ``get`` or a ``put``. When it is served it counts on ``slot``, which has what it reads, or has an ``error``.

    A put comes with the slot that has what it writes; ``n_put`` numbers it. One that waits does so at its ``gate``, for
    ``transfer``; ``is_given_up``: nobody is there any more to be served.
    """

    __slots__ = (
        "error", "gate", "index", "inference_ns", "is_given_up", "is_served", "issued_ns", "joined_ns", "key", "n_put",
        "op", "outcome", "path", "queue_ns", "request", "served_ns", "slot", "stream", "transfer", "transfer_ns",
        "waited_from_ns",
    )  # fmt: skip

    def __init__(self, key: int, op: int, stream: int, request: int, slot: Slot | None, issued_ns: int) -> None:
        self.key, self.op, self.stream, self.request, self.slot, self.issued_ns = (
            key,
            op,
            stream,
            request,
            slot,
            issued_ns,
        )
        self.index = self.n_put = 0
        self.outcome, self.is_served, self.is_given_up = Outcome.MISS, False, False
        self.transfer: Transfer | None = None
        self.error: BaseException | None = None
        self.gate: Any = None
        self.path: Sequence[Hop] = ()
        self.waited_from_ns = self.joined_ns = self.served_ns = self.transfer_ns = self.queue_ns = 0
        self.inference_ns = 0

    def wait(self, transfer: "Transfer", now_ns: int) -> None:
        """It has to wait for a block on its way."""
        self.transfer, self.joined_ns = transfer, now_ns
        transfer.waiters.append(self)
        if self.gate is None:
            self.waited_from_ns = now_ns
            self.gate = Lock()
            self.gate.acquire()

    def serve(self, now_ns: int) -> None:
        """Its block is there, or its error: it waits no more. Of its wait what was no transfer was queueing."""
        self.is_served = True
        if self.gate is not None:
            self.served_ns = now_ns
            self.queue_ns += now_ns - self.waited_from_ns - self.transfer_ns
            self.gate.release()


class Transfer:
    """A fetch or a prefetch, from its ``source`` up to tier 0, or a write-back, one level down.

    ``kind`` is what it was started as and ``priority`` what it counts as, ``level`` where the block has got to, and
    ``slot`` where its bytes are, but for a store's. ``target`` is where the hop under way takes them. ``prefetch`` is
    behind it until a demand meets it, ``late`` from then on. ``error``: it could not be written down, and is parked
    until that is tried again. ``path`` has for each hop that is over the link, and when it queued, started and ended.
    """

    __slots__ = (
        "access", "dirty", "error", "is_down", "is_obsolete", "is_queued", "key", "kind", "late", "level",
        "path", "prefetch", "priority", "put", "queued_ns", "slot", "source", "started_ns", "target", "waiters",
    )  # fmt: skip

    def __init__(
        self, key: int, kind: int, source: int, slot: Slot | None, *, is_down: bool = False, dirty: int = CLEAN,
        put: int = 0, prefetch: Prefetch | None = None, access: int = NONE,
    ) -> None:  # fmt: skip
        self.key, self.kind, self.source, self.slot, self.dirty, self.put = key, kind, source, slot, dirty, put
        self.priority, self.level, self.prefetch, self.access, self.is_down = kind, source, prefetch, access, is_down
        self.is_obsolete, self.is_queued = False, False
        self.late: Prefetch | None = None
        self.target: Slot | None = None
        self.error: BaseException | None = None
        self.waiters: list[Access] = []
        self.path: list[Hop] = []
        self.queued_ns = self.started_ns = 0
