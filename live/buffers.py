"""Memory that a disk can be read into past the kernel's cache."""

import mmap

import numpy as np
import numpy.typing as npt

Bytes8 = npt.NDArray[np.uint8]


def aligned(n_bytes: int) -> Bytes8:
    """So many bytes, of pages of their own."""
    return np.frombuffer(mmap.mmap(-1, n_bytes), np.uint8)
