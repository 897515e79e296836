"""Where bytes lie that a calibration moves: host memory, a file without the kernel's cache, a URL."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

    Buffer = NDArray[uint8]


class Place(Protocol):
    """Holds ``n_bytes``; several threads read and write parts of it at once, each by a buffer of its own."""

    n_bytes: int
    can_write: bool

    def read_into(self, buffer: "Buffer", at: int) -> None:
        """As many bytes as the buffer has, from ``at`` on."""
        ...

    def write_from(self, buffer: "Buffer", at: int) -> None:
        """The other way."""
        ...

    def close(self) -> None:
        """Let go of it; a scratch file is gone with that."""
        ...


def buffer_of(n_bytes: int) -> "Buffer":
    """Memory that begins with a page, as reading past the kernel's cache wants it, and that is there already."""
    from live.buffers import aligned

    found = aligned(n_bytes)
    # Pages come into being with the first write, and reads of such that never did all end in one page of zeros.
    found[:] = 1
    return found


class HostMemory:
    """A region of DRAM, larger than the processor's caches."""

    can_write = True

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self._bytes = buffer_of(n_bytes)

    def read_into(self, buffer: "Buffer", at: int) -> None:
        """A copy."""
        buffer[:] = self._bytes[at : at + len(buffer)]

    def write_from(self, buffer: "Buffer", at: int) -> None:
        """A copy."""
        self._bytes[at : at + len(buffer)] = buffer

    def close(self) -> None:
        """The memory is free once nobody holds it."""
