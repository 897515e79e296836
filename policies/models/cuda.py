"""What backends on a CUDA device share: a clock on the device, and captured graphs with static buffers."""

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from policies.models.backend import Backend
from policies.models.codecs.base import Classes, Floats

_WARM_UPS = 3
_WAKE_S = 0.3
LENGTHS = (64, 32, 16, 8, 4, 2, 1)
"""Accesses of one stream that graphs are captured for: other runs are cut into such pieces."""


def missing_cuda() -> str | None:
    """Why CUDA cannot be used here, or None."""
    return None if torch.cuda.is_available() else "torch finds no CUDA device here"


@cache
def wake() -> None:
    """Work for a moment, once a process: an idle GPU lowers its clocks."""
    square = torch.ones((2048, 2048), device="cuda")
    end = time.monotonic() + _WAKE_S
    while time.monotonic() < end:
        torch.mm(square, square)
        torch.cuda.synchronize()


class DeviceClock:
    """Two CUDA events around work."""

    def __init__(self) -> None:
        self.begun = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self.ended = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def timed(self, classes: Classes, device: torch.device, work: Callable[[Tensor], Tensor]) -> Floats:
        """Scores (B, C) on the host, of ``work`` on the device with inputs (B, T, fields) that are copied in."""
        with torch.inference_mode():
            self.begun.record()
            scores = work(torch.from_numpy(np.ascontiguousarray(classes)).to(device, non_blocking=True))
            self.ended.record()
            found: Floats = scores.cpu().numpy()
            torch.cuda.synchronize(device)
        return found

    def elapsed_ns(self) -> int:
        """Between them; both must have happened."""
        return round(float(self.begun.elapsed_time(self.ended)) * 1e6)


class OnCuda:
    """What makes a backend for the CPU one for a CUDA device, timed there as well; goes before it among the bases."""

    device: ClassVar[str] = "cuda"

    def __init__(self, network: Any) -> None:
        super().__init__(network)  # type: ignore[call-arg]
        wake()
        self._clock = DeviceClock()

    @classmethod
    def missing(cls) -> str | None:
        """CUDA."""
        return missing_cuda()

    def last_device_ns(self) -> int:
        """Between two CUDA events around the work."""
        return self._clock.elapsed_ns()


class Captured:
    """Accesses of one length: pinned input and output on the host, and the graph between them."""

    def __init__(self, work: Callable[[Tensor], Tensor], length: int, n_fields: int) -> None:
        """``work``: inputs (1, length, fields) on the device -> scores (1, C); what else it changes, it does in place.

        The graph holds the addresses of what ``work`` uses: that must live as long as it does.
        """
        self.host_in = torch.zeros((1, length, n_fields), dtype=torch.int64, pin_memory=True)
        self.inputs = self.host_in.numpy()
        self._device_in = self.host_in.to("cuda")
        with torch.inference_mode():
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    scores = work(self._device_in)
            torch.cuda.current_stream().wait_stream(side)
            self.host_out = torch.empty(scores.shape, dtype=scores.dtype, pin_memory=True)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self._device_in.copy_(self.host_in, non_blocking=True)
                self.host_out.copy_(work(self._device_in), non_blocking=True)


class GraphState:
    """A stream's state on the device, a tensor a part; out of date while the static buffers hold it."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self.parts = parts


class GraphBackend(Backend):
    """Captured graphs: one launch a call, the state updated in place. A batch goes one by one.

    The buffers hold the state of the stream that asked last, so that a stream that asks again copies nothing.
    """

    name = "cuda_graph"
    device = "cuda"

    def _capture(
        self, first: Sequence[Tensor], work: Callable[[Tensor, Sequence[Tensor]], Tensor], lengths: Sequence[int],
        n_fields: int,
    ) -> None:  # fmt: skip
        """``work``: inputs (1, T, fields) and the state's parts, which it brings forward in place -> scores (1, C)."""
        self._first = first
        self._state = [part.clone() for part in first]
        self._holds: GraphState | None = None
        self._captured = {n: Captured(lambda inputs: work(inputs, self._state), n, n_fields) for n in lengths}
        self._clock = DeviceClock()

    @classmethod
    def missing(cls) -> str | None:
        """CUDA."""
        return missing_cuda()

    def new_state(self) -> GraphState:
        """The first one."""
        return GraphState([part.clone() for part in self._first])

    def copy(self, state: GraphState) -> GraphState:
        """Tensors of its own."""
        return GraphState([part.clone() for part in (self._state if self._holds is state else state.parts)])

    def advance(self, classes: Classes, states: Sequence[GraphState]) -> Floats:
        """See the base."""
        found = []
        with torch.inference_mode():
            self._clock.begun.record()
            for row, state in zip(classes, states, strict=True):
                found.append(self._run(row, state))
            self._clock.ended.record()
            torch.cuda.synchronize()
        return np.stack(found)

    def _run(self, classes: Classes, state: GraphState) -> Floats:
        """All accesses (T, fields) of one stream: its scores (C,)."""
        if self._holds is not state:
            if self._holds is not None:
                _copy(self._holds.parts, self._state)
            _copy(self._state, state.parts)
            self._holds = state
        at = 0
        while at < len(classes):
            length = next(n for n in self._captured if n <= len(classes) - at)
            captured = self._captured[length]
            captured.inputs[0] = classes[at : at + length]
            captured.graph.replay()
            # The host's buffers are used again by the next piece.
            torch.cuda.synchronize()
            at += length
        scores: Floats = captured.host_out.numpy()[0].copy()
        return scores

    def last_device_ns(self) -> int:
        """Between two CUDA events around graphs and copies of state."""
        return self._clock.elapsed_ns()


def _copy(to: Sequence[Tensor], source: Sequence[Tensor]) -> None:
    for part, other in zip(to, source, strict=True):
        part.copy_(other)
