"""Blocks, or ghosts of blocks, in order, and how many bytes they are."""

from collections import OrderedDict
from collections.abc import Iterator


class Queue:
    """Keys with their sizes, oldest first. ``n_bytes`` is the sum of the sizes. No operation walks over it."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[int, int] = OrderedDict()
        self.n_bytes = 0

    def __contains__(self, key: int) -> bool:
        return key in self._sizes

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[int]:
        return iter(self._sizes)

    def append(self, key: int, size: int) -> None:
        """Put a key that is not there at the end, as the newest."""
        self._sizes[key] = size
        self.n_bytes += size

    def remove(self, key: int) -> int:
        """Take a key out, wherever it is; its size."""
        size = self._sizes.pop(key)
        self.n_bytes -= size
        return size

    def renew(self, key: int) -> None:
        """Make a key that is there the newest."""
        self._sizes.move_to_end(key)

    def pop(self) -> tuple[int, int]:
        """Take the oldest out: key and size."""
        key, size = self._sizes.popitem(last=False)
        self.n_bytes -= size
        return key, size

    def oldest(self) -> int:
        """The key that is at the front."""
        return next(iter(self._sizes))

    def newest(self) -> int:
        """The key that is at the end."""
        return next(reversed(self._sizes))

    def shrink_to(self, n_bytes: int) -> None:
        """Drop the oldest until no more than so many bytes are left, or nothing."""
        while self._sizes and self.n_bytes > n_bytes:
            self.pop()
