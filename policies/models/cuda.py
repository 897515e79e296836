"""What backends on a CUDA device share: the device's clock, page-locked memory, one stream to wait for."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from policies.models.backend import DeviceTime
from policies.models.codecs.base import Classes, Floats
from policies.models.device import on_cuda

_WAKE_S = 0.3


def missing_cuda() -> str | None:
    """Why CUDA cannot be used here, or None."""
    return None if torch.cuda.is_available() else "torch finds no CUDA device here"


@cache
def wake(device: torch.device) -> None:
    """Work for a moment, once a process and device: an idle GPU lowers its clocks."""
    square = torch.ones((2048, 2048), device=device)
    end = time.monotonic() + _WAKE_S
    while time.monotonic() < end:
        torch.mm(square, square)
        torch.cuda.synchronize(device)


class Span:
    """Device time between two events, in a captured graph or outside of one."""

    def __init__(self) -> None:
        # External ones: captured, they are nodes of the graph, and take the time anew whenever it is launched.
        self.begun = torch.cuda.Event(enable_timing=True, external=True)  # type: ignore[no-untyped-call]
        self.ended = torch.cuda.Event(enable_timing=True, external=True)  # type: ignore[no-untyped-call]
        self.is_unread = False

    def elapsed_ns(self) -> int:
        """Between the last time that each happened; both must have."""
        return round(float(self.begun.elapsed_time(self.ended)) * 1e6)


class DeviceClock:
    """Adds up the spans of work, and reads none of them while the host's time is taken if that can be.

    A span has its last time alone. So it is read when somebody asks, or, should it come again before that, just before;
    what the host needed for the latter is kept apart.
    """

    def __init__(self) -> None:
        self._unread: list[Span] = []
        self._device_ns = self._reading_ns = 0

    def begin(self, span: Span) -> None:
        """The span is about to come; all work of earlier ones is done."""
        if span.is_unread:
            start = time.perf_counter_ns()
            self._read()
            self._reading_ns += time.perf_counter_ns() - start
        span.is_unread = True
        self._unread.append(span)

    def _read(self) -> None:
        for span in self._unread:
            self._device_ns += span.elapsed_ns()
            span.is_unread = False
        self._unread.clear()

    def take(self) -> DeviceTime:
        """Of all spans since this was last asked; their work is done."""
        self._read()
        taken = DeviceTime(self._device_ns, self._reading_ns)
        self._device_ns = self._reading_ns = 0
        return taken


class Pinned:
    """Page-locked memory of the host, used again and again: copies from and to it run beside the host."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._flat = torch.empty(0, dtype=dtype, pin_memory=True)

    def of(self, shape: Sequence[int]) -> Tensor:
        """The memory in a shape; what was there in another one is gone."""
        n = math.prod(shape)
        if n > len(self._flat):
            self._flat = torch.empty(2 * n, dtype=self._flat.dtype, pin_memory=True)
        return self._flat[:n].view(*shape)


class OnCuda:
    """What makes a backend for the CPU one for a CUDA device, timed there as well; goes before it among the bases.

    A call's work stands in the device's stream between two events: copy in, network, copy out. Then the host waits for
    that stream alone.
    """

    device: ClassVar[str] = "cuda"

    def __init__(self, network: Any, place: torch.device | None = None) -> None:
        place = on_cuda(place)
        super().__init__(network, place)  # type: ignore[call-arg]
        wake(place)
        self._stream = torch.cuda.current_stream(place)
        self._clock, self._span = DeviceClock(), Span()
        self._host_in, self._host_out = Pinned(torch.int64), Pinned(torch.float32)

    @classmethod
    def missing(cls) -> str | None:
        """CUDA."""
        return missing_cuda()

    def on_device(self, classes: Classes, work: Callable[[Tensor], Tensor]) -> Floats:
        """Scores (B, C) on the host, of ``work`` on the device with inputs (B, T, fields)."""
        host_in = self._host_in.of(classes.shape)
        host_in.numpy()[...] = classes
        self._clock.begin(self._span)
        with torch.inference_mode():
            self._span.begun.record(self._stream)
            scores = work(host_in.to(self._stream.device, non_blocking=True))
            host_out = self._host_out.of(scores.shape)
            host_out.copy_(scores, non_blocking=True)
            self._span.ended.record(self._stream)
        self._stream.synchronize()
        found: Floats = host_out.numpy().copy()
        return found

    def take_device_time(self) -> DeviceTime:
        """By the device's clock, from before the copies in to behind the copies out."""
        return self._clock.take()


def bytes_of(tensors: Iterable[Any]) -> int:
    """What tensors occupy together; those that share their memory count once."""
    storages = {storage._cdata: storage.nbytes() for t in tensors if (storage := t.untyped_storage())}
    return sum(storages.values())
