"""Captured CUDA graphs with static buffers: a call is one launch, the state is brought forward in place."""

import time
import weakref
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from policies.models.backend import Backend, DeviceTime
from policies.models.codecs.base import Classes, Floats
from policies.models.cuda import DeviceClock, Span, bytes_of, missing_cuda, wake
from policies.models.device import on_cuda

_WARM_UPS = 3
LENGTHS = (64, 32, 16, 8, 4, 2, 1)
"""Accesses of one stream that graphs are captured for: other runs are cut into such pieces."""


class Captures:
    """What the graphs of one backend are captured with: a stream, and memory that they share, as no two run at once.

    ``n_bytes`` is the most that a graph had of that memory at one time. The allocator takes it in pieces of 2 or 20 MiB
    (``memory_reserved`` has those); a system that plans its memory would not.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.pool: Any = None
        self.n_bytes = 0

    @contextmanager
    def into(self, graph: torch.cuda.CUDAGraph) -> Iterator[None]:
        """What is done here is captured. That begins by waiting for the device, and so for all work before it."""
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            yield
        self.n_bytes = max(self.n_bytes, torch.cuda.max_memory_allocated(self.device) - before)
        self.pool = graph.pool()


class Captured:
    """Accesses of one length: page-locked input and output, and the graph between them with its own two events."""

    def __init__(self, work: Callable[[Tensor], Tensor], length: int, n_fields: int, captures: Captures) -> None:
        """``work``: inputs (1, length, fields) on the device -> scores (1, C); what else it changes, it does in place.

        The graph holds the addresses of what ``work`` uses: that must live as long as it does.
        """
        self._host_in = torch.zeros((1, length, n_fields), dtype=torch.int64, pin_memory=True)
        self.inputs = self._host_in.numpy()[0]
        self.device_in = self._host_in.to(captures.device)
        self.span = Span()
        self.graph = torch.cuda.CUDAGraph()
        side = captures.stream
        with torch.inference_mode():
            side.wait_stream(torch.cuda.current_stream(captures.device))
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    scores = work(self.device_in)
            self._host_out = torch.empty(scores.shape, dtype=scores.dtype, pin_memory=True)
            del scores
            with captures.into(self.graph):
                self.span.begun.record(side)
                self.device_in.copy_(self._host_in, non_blocking=True)
                self._host_out.copy_(work(self.device_in), non_blocking=True)
                self.span.ended.record(side)
        self.scores: Floats = self._host_out.numpy()[0]


def empty_launches(device: torch.device, n_calls: int) -> list[int]:
    """What a graph of two events and nothing between takes to be launched and waited for, in ns, call by call."""
    captures, span, graph = Captures(device), Span(), torch.cuda.CUDAGraph()
    with torch.cuda.device(device), captures.into(graph):
        span.begun.record(captures.stream)
        span.ended.record(captures.stream)
    stream, times = torch.cuda.current_stream(device), []
    for _ in range(n_calls):
        start = time.perf_counter_ns()
        graph.replay()
        stream.synchronize()
        times.append(time.perf_counter_ns() - start)
    return times


class GraphState:
    """A stream's state: a tensor a part on the device, out of date while the buffers hold it; None: the first state."""

    __slots__ = ("__weakref__", "parts")

    def __init__(self, parts: Sequence[Tensor] | None = None) -> None:
        self.parts = parts


class GraphBackend(Backend):
    """Captured graphs. A batch goes one by one.

    The buffers hold the state of the stream that asked last, so that a stream that asks again copies nothing. The state
    of one that nobody will ask about again is not saved.
    """

    name = "cuda_graph"
    device = "cuda"

    def __init__(self, network: Any, place: torch.device | None = None) -> None:
        self.place = on_cuda(place)
        wake(self.place)
        self._stream = torch.cuda.current_stream(self.place)
        self._clock = DeviceClock()
        self._captures = Captures(self.place)
        self._made: dict[int, Captured] = {}
        self._from_first: dict[int, Captured] = {}
        self._holds: Callable[[], GraphState | None] = _nobody

    @abstractmethod
    def _work(self, inputs: Tensor, state: Sequence[Tensor]) -> Tensor:
        """Inputs (1, T, fields) and the state's parts, which it brings forward in place -> scores (1, C)."""

    @abstractmethod
    def _weights(self) -> Sequence[Tensor]:
        """Whatever on the device the work reads beside inputs and state."""

    def _capture(self, first: Sequence[Tensor], lengths: Sequence[int], n_fields: int) -> None:
        """``first``: the parts of the first state; ``lengths``: falling."""
        self._first, self._n_fields = first, n_fields
        self._state = [part.clone() for part in first]
        for length in lengths:
            self._made[length] = Captured(self._go_on, length, n_fields, self._captures)

    def _go_on(self, inputs: Tensor) -> Tensor:
        return self._work(inputs, self._state)

    def _begin(self, inputs: Tensor) -> Tensor:
        _copy(self._state, self._first)
        return self._work(inputs, self._state)

    @classmethod
    def missing(cls) -> str | None:
        """CUDA."""
        return missing_cuda()

    def expect(self, n_steps: int) -> None:
        """Capture the first state's copy into the buffers along with its accesses: a window begins there each time."""
        if self._first and n_steps not in self._from_first and (n_steps in self._made or len(self._made) > 1):
            self._put_away()
            self._from_first[n_steps] = Captured(self._begin, n_steps, self._n_fields, self._captures)

    def new_state(self) -> GraphState:
        """The first one."""
        return GraphState()

    def copy(self, state: GraphState) -> GraphState:
        """Tensors of its own."""
        parts = self._state if self._holds() is state else state.parts
        return GraphState(None if parts is None else [part.clone() for part in parts])

    def advance(self, classes: Classes, states: Sequence[GraphState]) -> Floats:
        """See the base."""
        found = [self._run(row, state) for row, state in zip(classes, states, strict=True)]
        return found[0][None] if len(found) == 1 else np.stack(found)

    def _run(self, classes: Classes, state: GraphState) -> Floats:
        """All accesses (T, fields) of one stream: its scores (C,)."""
        n, at = len(classes), 0
        begins = None if self._holds() is state else self._take_in(state, n)
        while at < n:
            captured = begins or self._made.get(n - at) or self._largest(n - at)
            begins, end = None, at + len(captured.inputs)
            captured.inputs[...] = classes[at:end]
            self._clock.begin(captured.span)
            captured.graph.replay()
            # The next piece may have the same input and output.
            self._stream.synchronize()
            at = end
        return captured.scores.copy()

    def _largest(self, n: int) -> Captured:
        return self._made[next(length for length in self._made if length <= n)]

    def _take_in(self, state: GraphState, n: int) -> Captured | None:
        """Have the buffers hold a state, before ``n`` accesses: the graph that begins with it if it is the first."""
        self._put_away()
        self._holds = weakref.ref(state)
        if state.parts is None and n in self._from_first:
            return self._from_first[n]
        with torch.inference_mode():
            _copy(self._state, self._first if state.parts is None else state.parts)
        return None

    def _put_away(self) -> None:
        """Save the state that the buffers hold, if anybody can still ask about it."""
        before = self._holds()
        self._holds = _nobody
        if before is None:
            return
        with torch.inference_mode():
            if before.parts is None:
                before.parts = [part.clone() for part in self._state]
            else:
                _copy(before.parts, self._state)

    def take_device_time(self) -> DeviceTime:
        """Of the graphs, from before their copies in to behind their copies out. Copies of states are beside them."""
        return self._clock.take()

    def held_bytes(self) -> int:
        """See the base."""
        made = [*self._made.values(), *self._from_first.values()]
        inputs = [captured.device_in for captured in made]
        return bytes_of([*self._weights(), *self._first, *self._state, *inputs]) + self._captures.n_bytes


def _nobody() -> None:
    """Whose state the buffers hold when nobody has asked yet."""


def _copy(to: Sequence[Tensor], source: Sequence[Tensor]) -> None:
    for part, other in zip(to, source, strict=True):
        part.copy_(other)
