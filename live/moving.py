"""Bytes from one place to another, outside the lock; where a GPU is concerned, on a stream of one's own."""

from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from live.buffers import Bytes8
from live.slab import Slot
from live.streams import OwnStream


class Mover:
    """What a thread moves blocks with. Whatever it has moved is there when a call returns.

    On a GPU each has a stream, so that copies of several threads overlap, and a pinned block of its own for what has to
    pass through the host. ``device`` is of the first tier, or None where no GPU is concerned.
    """

    def __init__(self, block: int, device: int | None) -> None:
        self._block = block
        self._stream = OwnStream(device)
        self._staged: Any = None

    def copy(self, source: Slot, target: Slot) -> None:
        """A block from slot to slot."""
        if source.host is not None and target.host is not None:
            np.copyto(target.host, source.host)
        else:
            self.copy_tensor(_tensor(source), _tensor(target))

    def copy_tensor(self, source: Any, target: Any) -> None:
        """The same of tensors."""
        with self.on_stream():
            target.copy_(source, non_blocking=True)
        self._stream.synchronize()

    def on_host(self, source: Slot) -> Bytes8:
        """The bytes of a slot where the CPU can read them."""
        if source.host is not None:
            return source.host
        host, tensor = self.staging()
        self.copy_tensor(source.tensor, tensor)
        return host

    def on_stream(self) -> AbstractContextManager[Any]:
        """What is done inside is done on this stream."""
        return self._stream.on()

    def staging(self) -> tuple[Bytes8, Any]:
        """A block in the host's memory through which this thread's bytes pass: for the CPU, and for torch."""
        if self._staged is None:
            import torch

            self._staged = torch.empty(self._block, dtype=torch.uint8, pin_memory=True)
        return self._staged.numpy(), self._staged


def _tensor(slot: Slot) -> Any:
    if slot.tensor is None:
        import torch

        slot.tensor = torch.from_numpy(slot.host)
    return slot.tensor
