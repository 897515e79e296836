"""A count-min sketch (Cormode & Muthukrishnan 2005) that forgets, as TinyLFU has it (Einziger et al., TOS 2017)."""

from functools import lru_cache

from simulator.evictions.draws import scattered

_DEPTH = 4
_MOST = 255
_HALVES = bytes(count // 2 for count in range(256))
_USES_PER_BLOCK = 32
_MIN_WIDTH, _MAX_WIDTH = 1 << 9, 1 << 22


class Sketch:
    """How often each key was added of late, in four rows of 8-bit counters that keys share by chance.

    A key has a counter in each row; the least of the four is off only if other keys have hit upon all of them. Half of
    everything is forgotten after 32 uses (calls of ``age``) for each block of the cache.
    """

    def __init__(self, n_blocks: int) -> None:
        # A power of two, at least twice the number of blocks: so collisions are few.
        width = min(max(_MIN_WIDTH, 2 << (n_blocks - 1).bit_length()), _MAX_WIDTH)
        self._mask = width - 1
        self._rows = [bytearray(width) for _ in range(_DEPTH)]
        self._n_uses, self._most_uses = 0, _USES_PER_BLOCK * n_blocks

    def add(self, key: int) -> None:
        """Count a use."""
        mask = self._mask
        for row, hash_ in zip(self._rows, _hashes(key), strict=True):
            if row[hash_ & mask] < _MOST:
                row[hash_ & mask] += 1

    def estimate(self, key: int) -> int:
        """How often a key was added of late: never too low, but for what was halved, and 255 at most."""
        mask = self._mask
        return min([row[hash_ & mask] for row, hash_ in zip(self._rows, _hashes(key), strict=True)])

    def age(self) -> None:
        """Another use of those after whose number all counts are halved."""
        self._n_uses += 1
        if self._n_uses == self._most_uses:
            self._n_uses = 0
            self._rows = [row.translate(_HALVES) for row in self._rows]


# Who is hashed is mostly hashed again soon, when it is compared or leaves.
@lru_cache(maxsize=1 << 16)
def _hashes(key: int) -> list[int]:
    """A hash for each row: they differ by the row's multiple of 2^64 / golden ratio."""
    return [scattered(key + row * 0x9E3779B97F4A7C15) for row in range(1, _DEPTH + 1)]
