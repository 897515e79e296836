"""Threads that go through the streams of a trace: they read, write, think, and look at what they have read."""

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from live.buffers import Bytes8
from live.cache import TieredCache
from live.contents import FILLED, pattern, stamp, version_of
from live.errors import WrongBytesError
from live.streams import OwnStream
from simulator.arrays import Ints
from simulator.trace import WRITE

_PR_SET_TIMERSLACK = 29
_LONGEST_SLEEP_NS = 100_000_000
_N_TURNS = 256


class Stream:
    """The accesses of a stream: their numbers in the trace, keys, and in ``steps`` what is issued at once.

    A step has the places where it begins and ends, whether it writes, and whether a request ends with it.
    """

    def __init__(self, number: int, accesses: Ints, key: Any, request: Any, op: npt.NDArray[np.uint8]) -> None:
        self.number, self.accesses = number, accesses
        self.keys: list[int] = key.tolist()
        self.requests: list[int] = request.tolist()
        is_last, is_write = np.append(request[1:] != request[:-1], True), op == WRITE
        cuts = [0, *(np.flatnonzero(is_last[:-1] | (op[1:] != op[:-1])) + 1).tolist(), len(key)]
        self.steps = [
            (start, end, bool(is_write[start]), bool(is_last[end - 1])) for start, end in pairwise(cuts) if end
        ]


class Versions:
    """Which version of a block a read may find: none older than the last whose put had returned before it began.

    Versions of this run are greater than those of any run before it on the same store. Of a block one put at a time is
    made, so that their order is known.
    """

    def __init__(self, *, are_shared: bool) -> None:
        self._next = time.time_ns()
        self._returned: dict[int, int] = {}
        self._turns = [threading.Lock() for _ in range(_N_TURNS)] if are_shared else []
        self._lock = threading.Lock()

    def turn(self, key: int) -> AbstractContextManager[Any]:
        """Who has it may put that block."""
        return self._turns[key % _N_TURNS] if self._turns else nullcontext()

    def new(self) -> int:
        """The next version."""
        with self._lock:
            self._next += 1
            return self._next

    def returned(self, key: int, version: int) -> None:
        """The put of that version is over."""
        self._returned[key] = version

    def oldest(self, key: int) -> int:
        """The oldest that a read may find which begins now."""
        return self._returned.get(key, FILLED)

    def check(self, key: int, oldest: int, data: Bytes8) -> None:
        """Raises WrongBytesError if what was read is not that block, or too old, or was never put."""
        found = version_of(data, key)
        if found is None:
            raise WrongBytesError(f"block {key}: its sectors are not all of this block and of one version")
        if not oldest <= found <= self._next:
            raise WrongBytesError(
                f"block {key}: version {found} was read; expected one from {oldest}, which had been put before, "
                f"to {self._next}"
            )


class Client:
    """Goes through a stream; ``n_done`` accesses are over. ``note`` is told of each step's first and last access.

    On a GPU, ``device``, it copies on a stream of CUDA's that is its own: the policy's, often the default one, is left
    alone.
    """

    def __init__(
        self, cache: TieredCache, stream: Stream, versions: Versions, think_ns: int, device: int | None,
        note: Callable[[int, int], None], is_stopped: threading.Event,
    ) -> None:  # fmt: skip
        self._cache, self._stream, self._versions, self._think_ns = cache, stream, versions, think_ns
        self._note, self._is_stopped = note, is_stopped
        self._device, self._own = device, OwnStream(device)
        self._places: list[Any] = []
        self._written = pattern(cache.block)
        self.n_done = 0

    @property
    def is_stopped(self) -> bool:
        """Whether it is to begin nothing more."""
        return self._is_stopped.is_set()

    def run(self) -> None:
        """To the end of the stream, or until it is to stop. Raises what reads and writes raise, and WrongBytesError."""
        sleep_to_the_microsecond()
        stream, accesses = self._stream, self._stream.accesses
        for start, end, is_write, ends_request in stream.steps:
            if self.is_stopped:
                return
            self._note(int(accesses[start]), int(accesses[end - 1]))
            step, request = stream.keys[start:end], stream.requests[start]
            ended_ns = self.write(step, request) if is_write else self.read(step, request)
            self.n_done += end - start
            if ends_request:
                self.think(ended_ns)

    def make_ready(self) -> None:
        """Have memory, touched page by page, for the widest request: what is copied there first would pay for it."""
        most = max((end - start for start, end, is_write, _ in self._stream.steps if not is_write), default=0)
        with self._own.on():
            self._make_places(most)

    def _make_places(self, n: int) -> None:
        while len(self._places) < n:
            self._places.append(_place(self._cache.block, self._device))

    def read(self, keys: list[int], request: int) -> int:
        """Read blocks at once; when that was over. What was read is looked at after that."""
        with self._own.on():
            return self._read(keys, request)

    def _read(self, keys: list[int], request: int) -> int:
        self._make_places(len(keys))
        oldest = [self._versions.oldest(key) for key in keys]
        places = self._places[: len(keys)]
        self._cache.get_many(keys, places, stream=self._stream.number, request=request)
        ended_ns = time.perf_counter_ns()
        for key, least, place in zip(keys, oldest, places, strict=True):
            self._versions.check(key, least, place if self._device is None else place.cpu().numpy())
        return ended_ns

    def write(self, keys: list[int], request: int) -> int:
        """Write blocks, one after the other; when that was over."""
        for key in keys:
            with self._versions.turn(key), self._own.on():
                version = self._versions.new()
                self._cache.put(
                    key, stamp(self._written, key, version), stream=self._stream.number, request=request
                )  # fmt: skip
                ended_ns = time.perf_counter_ns()
                self._versions.returned(key, version)
        return ended_ns

    def think(self, since_ns: int) -> None:
        """Sleep for as long since then: a thread that waits in Python keeps the policy's from running."""
        until_ns = since_ns + self._think_ns
        while self._think_ns and (left_ns := until_ns - time.perf_counter_ns()) > 0 and not self.is_stopped:
            time.sleep(min(left_ns, _LONGEST_SLEEP_NS) / 1e9)


def _place(block: int, device: int | None) -> Any:
    if device is None:
        return np.full(block, 0, np.uint8)
    import torch

    return torch.empty(block, dtype=torch.uint8, device=torch.device("cuda", device))


def sleep_to_the_microsecond() -> None:
    """Linux may let a thread sleep 50 us longer than it asked to, unless it is told otherwise."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1000, 0, 0, 0)
        except (OSError, AttributeError):
            return
