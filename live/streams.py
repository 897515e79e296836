"""A stream of a GPU that one thread alone works on, so that its work goes on beside that of others."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any


class OwnStream:
    """A stream of its own on a GPU; without one, ``device`` is None, it does nothing."""

    def __init__(self, device: int | None) -> None:
        self._stream: Any = None
        if device is not None:
            import torch

            self._stream = torch.cuda.Stream(device=torch.device("cuda", device))  # type: ignore[no-untyped-call]

    def on(self) -> AbstractContextManager[Any]:
        """What is done inside is done on this stream."""
        if self._stream is None:
            return nullcontext()
        import torch

        return torch.cuda.stream(self._stream)

    def synchronize(self) -> None:
        """Wait until all that was done on it is over."""
        self._stream.synchronize()


@contextmanager
def beside(device: int | None) -> Iterator[None]:
    """What is done inside is done on a new stream of a GPU; which device is the current one stays as it is."""
    if device is None:
        yield
        return
    import torch

    current = torch.cuda.current_device()
    with OwnStream(device).on(), torch.cuda.device(current):
        yield


def device_in_use() -> int | None:
    """CUDA's current device, if the process has begun to use CUDA. To ask imports nothing."""
    torch = sys.modules.get("torch")
    return int(torch.cuda.current_device()) if torch is not None and torch.cuda.is_initialized() else None
