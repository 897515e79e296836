"""Ids as they are now, whatever the model does with its tensor later; from a GPU without waiting for it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tierfetch.record.rows import Taken

CAPTURED = (
    "recording while a CUDA graph is captured: its replays run no hooks and would not be recorded; expected the graph "
    "to be captured before the recording, and calls that run without it inside"
)


class Copied:
    """Ids on their way to page-locked memory, behind what the model had queued when they were taken.

    The tensor that they come from is kept until they are there, so that its memory is nobody else's meanwhile; what
    the model writes into it later is queued behind the copy.
    """

    def __init__(self, ids: Tensor) -> None:
        self._source: Tensor | None = ids
        self._held = torch.empty(ids.shape, dtype=ids.dtype, pin_memory=True)
        self._held.copy_(ids, non_blocking=True)
        self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._event.record(torch.cuda.current_stream(ids.device))

    def landed(self) -> npt.NDArray[Any]:
        """Them, once they are there; the thread that asks lets others run while it waits."""
        self._event.synchronize()
        self._source = None
        return np.asarray(self._held.numpy())


def take(ids: Tensor) -> Taken:
    """A flat copy of some ids, or its beginning. Raises RuntimeError where a CUDA graph is captured."""
    if ids.is_cpu:
        return ids.numpy().flatten()
    if not ids.is_cuda:
        return ids.cpu().numpy().flatten()
    if torch.cuda.is_current_stream_capturing():
        raise RuntimeError(CAPTURED)
    return Copied(ids.reshape(-1))
