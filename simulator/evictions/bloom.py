"""The counting Bloom filter by which libCacheSim's W-TinyLFU counts uses."""

import math
from functools import lru_cache

_ALL = (1 << 64) - 1
_PRIMES = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
_USES_PER_BLOCK = 32


class Bloom:
    """How often each key was added of late, in ten counters that keys share by chance; half is forgotten now and then.

    It is as large as is meant for an error of 0.001 (Bloom 1970): -ln 0.001 / (ln 2)^2 counters for each block.
    """

    def __init__(self, n_blocks: int) -> None:
        per_block = -math.log(0.001) / 0.480453013918201
        n_hashes = math.ceil(0.693147180559945 * per_block)
        n = math.ceil(per_block * n_blocks)
        self._counts = [0] * (n if n >= n_hashes else 2 * n_hashes)
        self._n_hashes = n_hashes
        self._n_uses, self._most_uses = 0, _USES_PER_BLOCK * n_blocks

    def add(self, key: int) -> None:
        """Count a use in each of the key's counters."""
        for place in self._places(key):
            self._counts[place] += 1

    def estimate(self, key: int) -> int:
        """How often a key was added of late: never too low, but for what was halved."""
        return min(self._counts[place] for place in self._places(key))

    def age(self) -> None:
        """Another use of those after whose number all counts are halved."""
        self._n_uses += 1
        if self._n_uses >= self._most_uses:
            self._n_uses = 0
            self._counts = [count // 2 for count in self._counts]

    def _places(self, key: int) -> list[int]:
        first, step = _hashes(key)
        return [(first + i * step) % 2**32 % len(self._counts) for i in range(self._n_hashes)]


@lru_cache(maxsize=1 << 16)
def _hashes(key: int) -> tuple[int, int]:
    """Where a key's counters begin and how far apart they are: XXH64 with two seeds, of which 32 bits are kept."""
    return _xxh64(key, 0x12345678) % 2**32, _xxh64(key, 0x12344321) % 2**32


def _xxh64(key: int, seed: int) -> int:
    """XXH64 of the eight bytes of a key (Collet, the specification of xxHash)."""
    prime1, prime2, prime3, prime4, prime5 = _PRIMES
    lane = _turned(key * prime2 & _ALL, 31) * prime1 & _ALL
    found = (seed + prime5 + 8 & _ALL) ^ lane
    found = _turned(found, 27) * prime1 + prime4 & _ALL
    found = (found ^ found >> 33) * prime2 & _ALL
    found = (found ^ found >> 29) * prime3 & _ALL
    return found ^ found >> 32


def _turned(bits: int, by: int) -> int:
    return (bits << by | bits >> 64 - by) & _ALL
