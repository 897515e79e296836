"""The whole answer in one Triton kernel, launched by a captured CUDA graph: table, layers, head, softmax, best classes.

Triton comes with torch's CUDA builds. The kernel reads its orders from page-locked memory and writes the best classes
there, so that an answer is one launch and one wait: no copy, and none of a state either, as a state is told by its
address. Weights are read from the device's caches by one block of threads a stream: large networks are not for it.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from policies.lstm.backends.fused_layout import (
    ACCESSES,
    HEADER,
    INVERSE_TEMPERATURE,
    IS_NEW,
    MOST_WANTED,
    ORDER,
    STATE,
    WANTED,
    arrays,
    check,
    constants,
)
from policies.lstm.model import Weights
from policies.models.backend import Backend, DeviceTime
from policies.models.codecs.base import Classes, Floats
from policies.models.cuda import DeviceClock, Span, bytes_of, missing_cuda, wake
from policies.models.device import on_cuda
from policies.models.graphs import Captures
from policies.models.top import Choosing, Chosen

_LEAST_CAPABILITY = (8, 0)
_PROGRAMS = (1, 2, 4, 8, 16)
"""Streams of a launch."""


class FusedState:
    """A stream's state on the device, (2, layers, H rounded up), and its address; None before its first access."""

    __slots__ = ("address", "memory")

    def __init__(self, memory: Tensor | None = None) -> None:
        self.memory = memory
        # To ask a tensor for it takes longer than all else in an order.
        self.address = 0 if memory is None else memory.data_ptr()


class Fused(Backend):
    """Up to 16 streams go in one launch, up to 123 accesses of each (61 of two fields); more go in several."""

    name = "triton"
    device = "cuda"
    chooses = True

    def __init__(self, weights: Weights, place: torch.device | None = None) -> None:
        check(weights)
        self.place = self._placed(place)
        self._constants, self._warps = constants(weights)
        self._weights = [torch.from_numpy(np.ascontiguousarray(array)).to(self.place) for array in arrays(weights)]
        self._starts = weights.input_products()[1]
        self._n_scores, self._state_shape = len(weights.head_bias), (2, weights.n_layers, self._constants["H"])
        self._most_accesses = (ORDER - HEADER) // weights.n_fields
        rows, fields = _PROGRAMS[-1], len(weights.widths)
        self._host_orders = self._page_locked((rows, ORDER), torch.int64)
        self._host_classes = self._page_locked((rows, fields, MOST_WANTED), torch.int32)
        self._host_confidences = self._page_locked((rows, fields, MOST_WANTED), torch.float32)
        self._device_orders = torch.zeros((rows, ORDER), dtype=torch.int64, device=self.place)
        self._scores = torch.zeros((rows, self._constants["C"]), device=self.place)
        self._orders, self._classes = self._host_orders.numpy(), self._host_classes.numpy()
        self._rows, self._bits = list(self._orders), (0.0, 0)
        self._confidences = self._host_confidences.numpy()
        self._launches = {n: self._launch_of(n) for n in _PROGRAMS}

    @classmethod
    def missing(cls) -> str | None:
        """CUDA, Triton, or a GPU that Triton compiles for."""
        reason = missing_cuda()
        if reason is not None:
            return reason
        if find_spec("triton") is None:
            return "Triton is not installed; it comes with torch's CUDA builds for Linux"
        if torch.cuda.get_device_capability() < _LEAST_CAPABILITY:
            return "it needs a GPU of compute capability 8.0 or more"
        return None

    def _placed(self, place: torch.device | None) -> torch.device:
        place = on_cuda(place)
        wake(place)
        self._stream, self._clock, self._captures = torch.cuda.current_stream(place), DeviceClock(), Captures(place)
        return place

    def _page_locked(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return torch.zeros(shape, dtype=dtype, pin_memory=True)

    def _launch(self, n: int) -> None:
        from policies.lstm.backends.fused_kernel import answer

        answer[(n,)](
            self._host_orders, self._device_orders, *self._weights, self._scores, self._host_classes,
            self._host_confidences, **self._constants, num_warps=self._warps,
        )  # fmt: skip

    def _launch_of(self, n: int) -> Callable[[], None]:
        """What has the first ``n`` orders done, and waits for it: a graph of the kernel and an event on either side."""
        span, graph = Span(), torch.cuda.CUDAGraph()
        side, caller = self._captures.stream, self._stream
        with torch.cuda.device(self.place):
            side.wait_stream(caller)
            with torch.cuda.stream(side):
                # Compiled and loaded here: neither can be captured. All orders say that nothing is to be done.
                self._launch(n)
            caller.wait_stream(side)
            with self._captures.into(graph):
                span.begun.record(side)
                self._launch(n)
                span.ended.record(side)
        return partial(self._replay, graph, span)

    def _replay(self, graph: torch.cuda.CUDAGraph, span: Span) -> None:
        self._clock.begin(span)
        graph.replay()
        self._stream.synchronize()

    def take_device_time(self) -> DeviceTime:
        """Of the kernel, which reads its orders from the host and writes the best classes there."""
        return self._clock.take()

    def held_bytes(self) -> int:
        """See the base."""
        return bytes_of([*self._weights, self._scores, self._device_orders]) + self._captures.n_bytes

    def new_state(self) -> FusedState:
        """The kernel makes it zero."""
        return FusedState()

    def copy(self, state: FusedState) -> FusedState:
        """Memory of its own."""
        return FusedState(None if state.memory is None else state.memory.clone())

    def advance(self, classes: Classes, states: Sequence[FusedState]) -> Floats:
        """See the base; the scores are copied from the device."""
        scores = [
            self._scores[:n, : self._n_scores].to("cpu", copy=True).numpy() for n in self._run(classes, states, 0, 1.0)
        ]
        return scores[0] if len(scores) == 1 else np.concatenate(scores)

    def best(self, classes: Classes, states: Sequence[FusedState], choosing: Choosing) -> list[Chosen]:
        """See the base; chosen on the device, up to 8 of a field, but of a set."""
        if choosing.wanted > MOST_WANTED or choosing.is_set:
            return super().best(classes, states, choosing)
        wanted, found = choosing.wanted, []
        for n in self._run(classes, states, wanted, choosing.inverse_temperature):
            found += [choosing.of_fields(self._classes[i], self._confidences[i]) for i in range(n)]
        return found

    def _run(
        self, classes: Classes, states: Sequence[FusedState], wanted: int, inverse_temperature: float
    ) -> Iterator[int]:
        """Advance all states, some at a time; after each time how many, whose answers are in the buffers then."""
        rows = classes if len(self._starts) == 1 else classes + self._starts
        bits = self._bits_of(inverse_temperature)
        for first in range(0, len(states), _PROGRAMS[-1]):
            some = states[first : first + _PROGRAMS[-1]]
            n = len(some)
            n_programs = next(m for m in _PROGRAMS if m >= n)
            for at in range(0, classes.shape[1], self._most_accesses):
                part = rows[first : first + n, at : at + self._most_accesses]
                is_last = at + part.shape[1] == classes.shape[1]
                # Whether it is new, how many accesses, how many classes are wanted: none at all before the last piece.
                n_accesses, its_wanted = part.shape[1], wanted if is_last else -1
                for i, state in enumerate(some):
                    order = self._rows[i]
                    # Number by number is faster than a slice of so few.
                    order[IS_NEW] = state.memory is None
                    if state.memory is None:
                        state.memory = torch.empty(self._state_shape, device=self.place)
                        state.address = state.memory.data_ptr()
                    order[STATE], order[ACCESSES], order[WANTED] = state.address, n_accesses, its_wanted
                    order[INVERSE_TEMPERATURE] = bits
                self._orders[:n, HEADER : HEADER + part[0].size] = part.reshape(n, -1)
                if n < n_programs:
                    self._orders[n:n_programs, ACCESSES] = 0
                self._launches[n_programs]()
            yield n

    def _bits_of(self, inverse_temperature: float) -> int:
        if inverse_temperature != self._bits[0]:
            self._bits = inverse_temperature, int(np.float32(inverse_temperature).view(np.int32))
        return self._bits[1]
