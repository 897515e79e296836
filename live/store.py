"""What lies below all tiers: it holds every block that was written to it."""

from typing import Protocol

import numpy as np

from live.buffers import Bytes8
from live.errors import MissingBlockError


class Store(Protocol):
    """Blocks of one size, by key, for any number of threads.

    Of one key the cache never asks for two writes at once, nor for a read while it writes. What raises OSError is tried
    again; a ``CorruptBlockError`` is, too.
    """

    block: int

    def holds(self, key: int) -> bool:
        """Whether it has a block; asked under the cache's lock, so it should not take long."""
        ...

    def read(self, key: int, into: Bytes8) -> None:
        """Fill ``into``, all of it. Raises MissingBlockError, CorruptBlockError or OSError."""
        ...

    def write(self, key: int, data: Bytes8) -> None:
        """Write a block: it is there when this returns. Raises OSError, and then what was there before still is."""
        ...

    def flush(self) -> None:
        """What was written stays also when the machine stops. Raises OSError."""
        ...

    def close(self) -> None:
        """No more calls come."""
        ...


class MemoryStore:
    """A store that lies in the process's memory, for tests and trials."""

    def __init__(self, block: int) -> None:
        self.block = block
        self._blocks: dict[int, Bytes8] = {}

    def holds(self, key: int) -> bool:
        """Whether it has a block."""
        return key in self._blocks

    def read(self, key: int, into: Bytes8) -> None:
        """Fill ``into``. Raises MissingBlockError."""
        data = self._blocks.get(key)
        if data is None:
            raise MissingBlockError(key)
        np.copyto(into, data)

    def write(self, key: int, data: Bytes8) -> None:
        """Keep a copy."""
        self._blocks[key] = data.copy()

    def flush(self) -> None:
        """Nothing outlives the process."""

    def close(self) -> None:
        """Nothing to do."""
