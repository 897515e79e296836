"""Copies that a calibration times on a CUDA device: within its memory, and from and to the host's.

Each lane is a stream of its own. A copy is queued behind what its stream has, and is over when that stream is
synchronized, which the host waits for: that is what a caller of a cache waits, the launch included.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from policies.models.cuda import wake
from policies.models.device import pick_device
from simulator.errors import InputError


class Call(NamedTuple):
    """From where to where, in which stream."""

    stream: torch.cuda.Stream
    to: Tensor
    source: Tensor


class Copies:
    """A slab in the device's memory, one in page-locked and one in pageable memory, ``region`` bytes each.

    Raises:
        InputError: there is no such device, or its memory is too small.
    """

    def __init__(self, device: str, region: int, largest: int) -> None:
        self.place = pick_device(device)
        if self.place.type != "cuda":
            raise InputError(
                "--tiers hbm: torch finds no CUDA device here; expected one, or tiers without it, such as dram,file:."
            )
        self.memory_bytes = int(torch.cuda.get_device_properties(self.place).total_memory)
        if 2 * region > self.memory_bytes:
            raise InputError(
                f"--region {region} B: the device has {self.memory_bytes} B; expected less than half of it"
            )
        wake(self.place)
        self.n_bytes, self._largest = region, largest
        try:
            on_device = torch.ones(region, dtype=torch.uint8, device=self.place)
        except torch.OutOfMemoryError:
            raise InputError(f"--region {region} B: the device has not so much left; expected less") from None
        # Written once: pages that never were all are one page of zeros.
        self._slabs = {
            "device": on_device,
            "pinned": torch.ones(region, dtype=torch.uint8).pin_memory(),
            "pageable": torch.ones(region, dtype=torch.uint8),
        }
        self._streams: list[torch.cuda.Stream] = []
        self._buffers: dict[tuple[str, int], Tensor] = {}
        torch.cuda.synchronize(self.place)

    def way(self, kind: str, *, is_pageable: bool = False) -> "CopyWay":
        """``d2d``, ``h2d`` or ``d2h``."""
        return CopyWay(self, kind, "pageable" if is_pageable else "pinned")

    def stream(self, lane: int) -> torch.cuda.Stream:
        """The lane's own; what filled the slabs is done before any of them is used."""
        while lane >= len(self._streams):
            self._streams.append(torch.cuda.Stream(self.place))  # type: ignore[no-untyped-call]
        return self._streams[lane]

    def slab(self, kind: str, at: int, n_bytes: int) -> Tensor:
        """A part of what random places are in."""
        return self._slabs[kind][at : at + n_bytes]

    def buffer(self, kind: str, lane: int, n_bytes: int) -> Tensor:
        """Where a lane's copies go: one in each memory, of the largest block."""
        if (kind, lane) not in self._buffers:
            made = torch.zeros(self._largest, dtype=torch.uint8, device=self.place if kind == "device" else "cpu")
            self._buffers[kind, lane] = made.pin_memory() if kind == "pinned" else made
            torch.cuda.synchronize(self.place)
        return self._buffers[kind, lane][:n_bytes]


class CopyWay:
    """Copies of one kind, from a random place of one slab to a lane's buffer in the other memory."""

    def __init__(self, copies: Copies, kind: str, host: str) -> None:
        self._copies, self.n_bytes = copies, copies.n_bytes
        self._from = host if kind == "h2d" else "device"
        self._to = host if kind == "d2h" else "device"

    def calls(self, n_bytes: int, at_once: int, places: Sequence[int]) -> list[Call]:
        """Views of both ends, made before the clock runs."""
        copies = self._copies
        return [
            Call(
                copies.stream(i % at_once), copies.buffer(self._to, i % at_once, n_bytes),
                copies.slab(self._from, at, n_bytes),
            )
            for i, at in enumerate(places)
        ]  # fmt: skip

    def begin(self, call: Call) -> None:
        """Queue it in its lane's stream; from or to pageable memory it is over when this returns."""
        with torch.cuda.stream(call.stream):
            call.to.copy_(call.source, non_blocking=True)

    def finish(self, call: Call) -> None:
        """Wait for that stream alone."""
        call.stream.synchronize()
