"""Bytes between a client and tier 0, on the client's own thread and, of a GPU, its current stream."""

import sys
from typing import Any

import numpy as np

from live.buffers import Bytes8
from live.slab import Slot
from simulator.errors import InputError


class Client:
    """``device`` is of the first tier, or None where that is no GPU."""

    def __init__(self, block: int, device: int | None) -> None:
        self._block, self._device = block, device

    def checked(self, data: Any, what: str) -> Any:
        """A block's bytes as an array, or a tensor of bytes. Raises InputError if they are no block."""
        # Who has a tensor has imported torch; who has none need not.
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(data, torch.Tensor):
            # What is written into must be the tensor itself; what is read may be a copy.
            whole = data.contiguous() if what == "data" else data
            if not whole.is_contiguous():
                raise InputError(f"{what}: a tensor in pieces; expected {self._block} bytes in a row")
            flat = whole.view(-1).view(torch.uint8)
            n_bytes = flat.numel()
        else:
            try:
                flat = np.frombuffer(data, np.uint8)
            except (TypeError, ValueError, BufferError) as error:
                raise InputError(f"{what}: {type(data).__name__}; expected {self._block} bytes in a row") from error
            n_bytes = len(flat)
        if n_bytes != self._block:
            raise InputError(f"{what}: {n_bytes} B; expected a block of {self._block} B")
        if what == "out" and isinstance(flat, np.ndarray) and not flat.flags.writeable:
            raise InputError(f"out: {type(data).__name__}, which cannot be written; expected a buffer that can")
        return flat

    def read(self, slot: Slot, out: Any) -> Any:
        """A copy of a slot's bytes: into ``out``, or new, as an array, or as a tensor on the GPU that tier 0 is on."""
        is_array = isinstance(out, np.ndarray)
        if slot.host is not None and (is_array or (out is None and self._device is None)):
            out = np.empty(self._block, np.uint8) if out is None else out
            np.copyto(out, slot.host)
            return out
        import torch

        source = self._tensor(slot)
        if out is None:
            out = torch.empty(self._block, dtype=torch.uint8, device=torch.device("cuda", self._device or 0))
        _copy(torch.from_numpy(out) if is_array else out, source)
        return out

    def write(self, slot: Slot, data: Any) -> None:
        """Bytes that were ``checked`` into a slot that nobody else knows."""
        if slot.host is not None and isinstance(data, np.ndarray):
            np.copyto(slot.host, data)
            return
        import torch

        if isinstance(data, np.ndarray):
            # torch warns of an array that cannot be written.
            data = torch.from_numpy(data if data.flags.writeable else data.copy())
        _copy(self._tensor(slot), data)

    def view(self, slot: Slot) -> Any:
        """A slot's bytes themselves, not to be written: an array, or the GPU's tensor."""
        if slot.host is None:
            return slot.tensor
        view: Bytes8 = slot.host.view()
        view.flags.writeable = False
        return view

    def _tensor(self, slot: Slot) -> Any:
        import torch

        return torch.from_numpy(slot.host) if slot.tensor is None else slot.tensor


def _copy(target: Any, source: Any) -> None:
    """From tensor to tensor, on this thread's current streams, and wait: others have the slot next."""
    import torch

    target.copy_(source, non_blocking=True)
    for one in (source, target):
        if one.is_cuda:
            torch.cuda.current_stream(one.device).synchronize()
