"""Blocks that are wanted together: their fetches go side by side (rule R30)."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from queue import SimpleQueue
from typing import Any

from live.client import Client
from live.core import Core
from live.issuing import Issuing, error_of
from live.moves import Access


class _Turn:
    """The gate of one access among several, which line up in ``served`` as their blocks come."""

    __slots__ = ("_access", "_served")

    def __init__(self, access: Access, served: "SimpleQueue[Access]") -> None:
        self._access, self._served = access, served

    def release(self) -> None:
        self._served.put(self._access)


class Together:
    """What ``TieredCache.get_many`` does."""

    def __init__(self, core: Core, issuing: Issuing, client: Client) -> None:
        self._core, self._issuing, self._client = core, issuing, client

    def read(self, keys: Iterable[int], out: Sequence[Any] | None, stream: int, request: int) -> list[Any]:
        """Copies of all blocks, in the order of their keys. Raises as ``get``, when all others have been read."""
        issuing, issued_ns = self._issuing, self._core.now
        accesses = [issuing.new_read(key, stream, request, issued_ns) for key in keys]
        targets = [None] * len(accesses) if out is None else [self._client.checked(one, "out") for one in out]
        places = {access: at for at, access in enumerate(accesses)}
        read: list[Any] = [*targets] if out is None else [*out]
        with closing(self._as_they_come(accesses)) as served:
            for access in served:
                if access.slot is None:
                    continue
                at = places[access]
                try:
                    copied = self._client.read(access.slot, targets[at])
                finally:
                    issuing.end(access)
                if out is None:
                    read[at] = copied
        for access in accesses:
            error = error_of(access)
            if error is not None:
                raise error from access.error
        return read

    def _as_they_come(self, accesses: Sequence[Access]) -> Generator[Access]:
        """Look all up, and only then wait: each comes out as soon as it is served, or has an ``error``.

        None holds a slot while it waits for another. So however many they are, what is on its way finds room.
        """
        core, left = self._core, dict.fromkeys(accesses)
        served: SimpleQueue[Access] = SimpleQueue()
        try:
            self._look_all_up(accesses, served)
            for access in [access for access in accesses if access.gate is None]:
                del left[access]
                yield access
            while left:
                if len(left) == 1:
                    # With nothing else to wait for, nor to copy, this thread can as well move the block.
                    core.lock.acquire()
                    try:
                        self._issuing.help(next(iter(left)))
                    finally:
                        core.unlock()
                access = served.get()
                del left[access]
                yield access
        finally:
            # Somebody has interrupted this thread: some may have been served already.
            for access in left:
                self._issuing.give_up(access)
                self._issuing.say_served(access)

    def _look_all_up(self, accesses: Sequence[Access], served: "SimpleQueue[Access]") -> None:
        core, follower = self._core, self._core.follower
        is_sync = follower is not None and follower.is_sync
        core.lock.acquire()
        try:
            for access in accesses:
                asked = None
                if is_sync:
                    # Each waits for its answer before it is looked up, as the rules say.
                    core.unlock()
                    try:
                        asked = self._issuing.ask_before(access, follower, access.issued_ns)
                    finally:
                        core.lock.acquire()
                self._issuing.look_up(access, follower, asked)
                if access.gate is not None:
                    access.gate = _Turn(access, served)
        finally:
            core.unlock()
