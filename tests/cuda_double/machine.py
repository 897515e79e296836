"""Devices with streams, events, graphs and a clock. Work waits in the queue of its stream until the host synchronizes.

Streams run in the worst order that their waits allow: a stream runs when it is synchronized with, or waited for, and
of a whole device the streams made last run first. So what is read too early is stale. A device's clock says when work
would have run: not before it was queued, a microsecond for each kernel and copy.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

KERNEL_NS = 1000
CAPTURING = "CUDA error: operation not permitted when stream is capturing"
COPIES = ("h2d", "d2h", "d2d", "peer")
SYNCHRONIZATIONS = ("stream_sync", "device_sync", "event_sync", "blocking_copy", "implicit_sync")
_POOL_PIECE = 2 << 20
Work = Callable[[], None]


@dataclass(frozen=True)
class Node:
    """A piece of work in a queue or a graph. ``done`` is told the device's time at its end."""

    kind: str
    name: str
    work: Work | None = None
    done: Callable[[int], None] | None = None
    event: "Event | None" = None

    @property
    def cost_ns(self) -> int:
        """On the device's clock."""
        return 0 if self.kind in ("event", "wait") else KERNEL_NS


class Stream:
    """A queue of one device; ``n_done`` pieces of all that were ever put are done."""

    def __init__(self, machine: "Machine", device: torch.device) -> None:
        self.machine, self.device = machine, device
        self.queue: list[tuple[Node, int]] = []
        self.n_done = self.free_ns = 0
        machine.streams[device.index].append(self)

    @property
    def n_put(self) -> int:
        """Pieces that were ever put."""
        return self.n_done + len(self.queue)

    def put(self, node: Node, at_ns: int) -> None:
        """Behind what is there; done at once where the device never lags behind."""
        self.queue.append((node, at_ns))
        if self.machine.at_once:
            self.machine.run(self)

    def run(self, until: int | None = None) -> None:
        """Do what was put, or the first ``until`` pieces of it."""
        while self.queue and (until is None or self.n_done < until):
            node, at_ns = self.queue.pop(0)
            self.n_done += 1
            if node.work is not None:
                node.work()
            self.free_ns = max(self.free_ns, at_ns) + node.cost_ns
            if node.done is not None:
                node.done(self.free_ns)

    def wait_stream(self, other: "Stream") -> None:
        """What is put from here on comes after what the other has now."""
        until = other.n_put

        def wait() -> None:
            other.run(until)
            self.free_ns = max(self.free_ns, other.free_ns)

        self.put(Node("wait", "wait_stream", wait), 0)

    def synchronize(self) -> None:
        """The host waits for this stream."""
        self.machine.synchronize("stream_sync", self)

    def query(self) -> bool:
        """Whether all is done."""
        return not self.queue


class Event:
    """Takes the device's time when its stream comes to it; captured, it must be external to be read at all."""

    def __init__(
        self, machine: "Machine", enable_timing: bool = False, blocking: bool = False, interprocess: bool = False,
        external: bool = False,
    ) -> None:  # fmt: skip
        self._machine, self._is_timed, self._is_external = machine, enable_timing, external
        self._device: torch.device | None = None
        self._stream: Stream | None = None
        self._at_ns: int | None = None
        self.n_pending, self._is_captured = 0, False

    def record(self, stream: Stream | None = None) -> None:
        """Put it into a stream, by default the current one."""
        stream = stream or self._machine.current()
        if self._device not in (None, stream.device):
            raise RuntimeError(f"Event device {self._device} does not match recording stream's device {stream.device}.")
        self._device, self._stream = stream.device, stream
        if self._machine.is_captured(stream) and not self._is_external:
            self._is_captured = True
            return
        self._machine.put(Node("event", "record", done=self._mark, event=self), stream)

    def _mark(self, now_ns: int) -> None:
        self._at_ns = now_ns
        self.n_pending -= 1

    def synchronize(self) -> None:
        """The host waits for it."""
        self._machine.synchronize("event_sync", self._stream)

    def query(self) -> bool:
        """Whether it has happened."""
        return self.n_pending == 0

    def elapsed_time(self, end: "Event") -> float:
        """Milliseconds from this to another; of the host's time, it takes what the machine says."""
        self._machine.count("elapsed")
        self._machine.host_ns += self._machine.reading_ns
        for event in (self, end):
            if not event._is_timed:
                raise ValueError("Both events must be created with argument 'enable_timing=True'.")
            if event._is_captured:
                raise RuntimeError("CUDA error: operation not permitted on an event last recorded in a capture")
            if event.n_pending:
                raise RuntimeError("Both events must be completed before calculating elapsed time.")
            if event._at_ns is None:
                raise ValueError("Both events must be recorded before calculating elapsed time.")
        assert self._at_ns is not None
        assert end._at_ns is not None
        return (end._at_ns - self._at_ns) / 1e6


class Graph:
    """Captured work; memory that it needs for itself is its pool's, and its work never looks at anything else anew."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self.nodes: list[Node] = []
        self.stream: Stream | None = None
        self._pool: tuple[int, int] = (0, 0)
        self.n_bytes = 0

    def begin(self, stream: Stream, pool: tuple[int, int] | None) -> None:
        """Capture what is put into a stream."""
        self.stream, self._pool = stream, pool or self._machine.new_pool()

    def end(self) -> None:
        """Its pool must hold what it needs; no two graphs of a pool run at once."""
        pieces = -(-self.n_bytes // _POOL_PIECE)
        pools = self._machine.pools
        self._machine.most_captured = max(self._machine.most_captured, self.n_bytes)
        pools[self._pool] = max(pools.get(self._pool, 0), pieces * _POOL_PIECE)

    def pool(self) -> tuple[int, int]:
        """The handle of its memory."""
        return self._pool

    def replay(self) -> None:
        """Put all of it into the current stream of its device, at once."""
        assert self.stream is not None
        if self._machine.capturing is not None:
            raise RuntimeError(CAPTURING)
        self._machine.count("graph_launch")
        stream, now_ns = self._machine.current(self.stream.device), time.perf_counter_ns()
        for node in self.nodes:
            if node.event is not None:
                node.event.n_pending += 1
            stream.put(node, now_ns)

    def n(self, *kinds: str) -> int:
        """How many of its nodes are of these kinds."""
        return sum(node.kind in kinds for node in self.nodes)


class _Current(threading.local):
    """Each thread's current streams, by device: the default ones at first."""

    def __init__(self, defaults: list[Stream]) -> None:
        self.of_device = list(defaults)


class Machine:
    """``names`` of its devices; ``counts`` of what the host asked for, by kind, beside what lies in graphs.

    ``host_ns`` is a clock of the host's that only reading events moves, by ``reading_ns`` each. ``at_once``: work is
    done as soon as it is put, the other extreme to as late as can be. ``most_captured`` are the bytes that a graph
    needed for itself, the most since that was last set to 0.
    """

    def __init__(self, names: tuple[str, ...], uuids: tuple[str, ...]) -> None:
        self.names, self.uuids = names, uuids
        self.counts: Counter[str] = Counter()
        self.capturing: Graph | None = None
        self.host_ns = self.reading_ns = self.most_captured = 0
        self.at_once = False
        self.pools: dict[tuple[int, int], int] = {}
        self.index = 0
        self.graphs: list[Graph] = []
        self.devices = [torch.device("cuda", index) for index in range(len(names))]
        self.streams: list[list[Stream]] = [[] for _ in names]
        self.defaults = [Stream(self, device) for device in self.devices]
        self._current = _Current(self.defaults)

    def count(self, kind: str) -> None:
        """One more of something."""
        self.counts[kind] += 1

    def current(self, device: torch.device | None = None) -> Stream:
        """The current stream of a device, by default of the current one."""
        return self._current.of_device[self.index if device is None or device.index is None else device.index]

    def set_current(self, stream: Stream) -> None:
        """Of its device, for this thread."""
        self._current.of_device[stream.device.index] = stream

    def is_captured(self, stream: Stream) -> bool:
        """Whether what is put into it goes into a graph."""
        return self.capturing is not None and self.capturing.stream is stream

    def put(self, node: Node, stream: Stream) -> None:
        """Into a stream, or the graph that it is captured into."""
        if self.capturing is not None:
            if not self.is_captured(stream):
                raise RuntimeError(CAPTURING)
            self.capturing.nodes.append(node)
            return
        self.count(node.kind)
        if node.event is not None:
            node.event.n_pending += 1
        stream.put(node, time.perf_counter_ns())

    def allocated(self, n_bytes: int) -> None:
        """Memory of a device, from the graph's pool while one is captured."""
        if self.capturing is not None:
            self.capturing.n_bytes += n_bytes
        else:
            self.count("alloc")

    def synchronize(self, kind: str, stream: Stream | None = None, device: torch.device | None = None) -> None:
        """The host waits for a stream, or for all of a device. Raises RuntimeError while a graph is captured."""
        if self.capturing is not None:
            raise RuntimeError(CAPTURING)
        self.count(kind)
        index = self.index if device is None or device.index is None else device.index
        for one in [stream] if stream is not None else list(reversed(self.streams[index])):
            self.run(one)

    def run(self, stream: Stream) -> None:
        """All that a stream has to do."""
        with torch._C.DisableTorchFunction(), torch._C._DisableTorchDispatch(), torch.inference_mode():
            stream.run()

    def new_pool(self) -> tuple[int, int]:
        """A handle that no other pool has."""
        return (0, len(self.pools) + 1)

    def counted(self, work: Callable[[], Any]) -> Counter[str]:
        """What the host asks for while ``work`` is done."""
        before = self.counts.copy()
        work()
        return self.counts - before
