"""Prefetched blocks until their first use, where they are not to enter like demanded ones.

Where ``front`` is not asked for, a prefetched block is set aside out of the policy's sight, and comes to the policy as
a new block at its first use. If it is never used, it goes

- ``back``: before any other block, the one set aside last first. In LRU that is to enter at the end that is evicted.
- ``middle``: after half as many evictions as there were blocks when it came. In LRU that is the middle of the list, but
  for those behind it that are used again meanwhile.
- ``region``: when the region is full, first in, first out. A region holds at least one block.
"""

from simulator.evictions.queues import Queue


class Aside(Queue):
    """The blocks set aside, the oldest first."""

    def __init__(self, enters: str, region_bytes: int) -> None:
        super().__init__()
        self.enters, self._region_bytes = enters, region_bytes
        self._due: dict[int, int] = {}  # in evictions

    def enter(self, key: int, size: int, due: int) -> None:
        """Set a block aside, which ``middle`` lets go after the tier's eviction number ``due``."""
        self.append(key, size)
        self._due[key] = due

    def remove(self, key: int) -> int:
        """A block was used, or goes; its size."""
        del self._due[key]
        return super().remove(key)

    def overflows(self, size: int) -> bool:
        """Whether the region must let its oldest go for a prefetched block of this size."""
        return self.enters == "region" and len(self) > 0 and self.n_bytes + size > self._region_bytes

    def victim(self, n_out: int, *, is_all: bool) -> int | None:
        """Who of those aside must go, in a full tier after ``n_out`` evictions; None if the policy is to choose.

        ``is_all``: there are no other blocks to choose from.
        """
        if self.enters == "back":
            return self.newest()
        oldest = self.oldest()
        is_due = self.enters == "middle" and self._due[oldest] <= n_out
        return oldest if is_all or is_due else None
