"""A store as the model has it (rule R6): it holds every block, also those that no access asks for."""

from live.buffers import Bytes8
from live.store import Store


class EveryKey:
    """What lies in another store, and in the place of any other block one of these.

    A policy may send for blocks that the trace never asks for. On a machine they are somewhere on the disk, and take as
    long as others; here they are read from another block's place. Nobody looks at what they hold.
    """

    def __init__(self, store: Store, keys: list[int]) -> None:
        """``keys`` are what ``store`` holds."""
        self.block, self._store, self._keys = store.block, store, keys
        self.write, self.flush, self.close = store.write, store.flush, store.close

    def holds(self, key: int) -> bool:
        """Whatever it is."""
        return True

    def read(self, key: int, into: Bytes8) -> None:
        """Fill ``into`` with it, or with another one."""
        # Spread: keys one after the other are not one block.
        there = key if self._store.holds(key) else self._keys[key * 0x9E3779B97F4A7C15 % len(self._keys)]
        self._store.read(there, into)
