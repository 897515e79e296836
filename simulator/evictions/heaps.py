"""A priority queue whose keys change rank."""

from heapq import heapify, heappop, heappush

_FEW = 64


class Heap:
    """Keys by rank, the least first; of equals the one with the earliest time.

    A key that changes rank gets a new entry. The old one stays where it is in the heap until it comes up and is seen to
    be out of date, which is simpler than to look for it.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, int]] = []  # rank, time, key
        self._current: dict[int, tuple[int, int, int]] = {}

    def put(self, key: int, rank: int, time: int) -> None:
        """Take a key in, or change its rank."""
        entry = self._current[key] = (rank, time, key)
        if len(self._entries) < 2 * len(self._current) + _FEW:
            heappush(self._entries, entry)
        else:
            # Old entries may never come up: they must not become more and more.
            self._entries = list(self._current.values())
            heapify(self._entries)

    def least(self) -> int:
        """The key of the least rank."""
        entry = self._entries[0]
        while self._current.get(entry[2]) is not entry:
            heappop(self._entries)
            entry = self._entries[0]
        return entry[2]

    def rank(self, key: int) -> int:
        """The rank of a key."""
        return self._current[key][0]

    def remove(self, key: int) -> None:
        """Take a key out."""
        del self._current[key]
