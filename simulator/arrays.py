"""What compiled rules have in common: arrays of int64, places in them, and keys as they are kept there."""

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from simulator.compiled import CHECKED, internal, swapped

Ints = npt.NDArray[np.int64]
_Record = TypeVar("_Record")


class At(int, Generic[_Record]):
    """The place of a record of that class, as the type checker sees it; else a number like any other."""

    if TYPE_CHECKING:

        def __add__(self, words: int) -> "At[Any]": ...


NONE: At[Any] = -1  # type: ignore[assignment]
"""No place, or nothing."""

_ALL = 2**64 - 1
# 2^64 over the golden ratio, odd.
_GOLDEN = 0x9E3779B97F4A7C15
# XXH64's primes.
_XXH_1, _XXH_2, _XXH_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_XXH_4, _XXH_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def signed(key: int) -> int:
    """A uint64 key as the int64 that the arrays hold."""
    return key - 2**64 if key >= 2**63 else key


if CHECKED:
    # Python's numbers do not wrap by themselves.
    def home(key: int, mask: int) -> int:
        """Where a key's probe starts in a hash table (the finaliser of splitmix64)."""
        x = int(key) & _ALL
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _ALL
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _ALL
        return signed(x ^ (x >> 31)) & int(mask)

    def spot(key: int, mask: int) -> int:
        """The same, cheaper, for tables that nothing but their speed depends on (Knuth's multiplicative hashing)."""
        x = (int(key) * _GOLDEN) & _ALL
        return signed(int.from_bytes(x.to_bytes(8, "little"), "big")) & int(mask)

    def plus(a: int, b: int) -> int:
        """A sum that wraps at 64 bits, as keys do."""
        return signed((int(a) + int(b)) & _ALL)

    def minus(a: int, b: int) -> int:
        """A difference that wraps at 64 bits."""
        return signed((int(a) - int(b)) & _ALL)

    def times(a: int, b: int) -> int:
        """A product that wraps at 64 bits."""
        return signed((int(a) * int(b)) & _ALL)

    def xxh64(key: int, seed: int) -> int:
        """The low 32 bits of XXH64 (Collet's specification) of a key's eight bytes, the low one first."""
        x = (int(key) & _ALL) * _XXH_2 & _ALL
        x = ((x << 31 | x >> 33) & _ALL) * _XXH_1 & _ALL
        x ^= (int(seed) + _XXH_5 + 8) & _ALL
        x = ((x << 27 | x >> 37) & _ALL) * _XXH_1 + _XXH_4 & _ALL
        x = (x ^ x >> 33) * _XXH_2 & _ALL
        x = (x ^ x >> 29) * _XXH_3 & _ALL
        return (x ^ x >> 32) & 0xFFFFFFFF

    def quotient(key: int, n: int) -> int:
        """How many times ``n`` goes into a key, which is unsigned."""
        return signed((int(key) & _ALL) // int(n))

    def remainder(key: int, n: int) -> int:
        """What is left of a key, which is unsigned, after that."""
        return (int(key) & _ALL) % int(n)

else:

    @internal
    def home(key: int, mask: int) -> int:
        """Where a key's probe starts in a hash table (the finaliser of splitmix64)."""
        x = np.uint64(key)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.int64((x ^ (x >> np.uint64(31))) & np.uint64(mask))  # type: ignore[return-value]

    @internal
    def spot(key: int, mask: int) -> int:
        """The same, cheaper, for tables that nothing but their speed depends on (Knuth's multiplicative hashing)."""
        # The high bits are the good ones: as bytes, the last come first.
        return swapped(np.uint64(key) * np.uint64(_GOLDEN)) & mask

    @internal
    def plus(a: int, b: int) -> int:
        """A sum that wraps at 64 bits, as keys do: the compiler takes for granted that signed ones do not."""
        return np.int64(np.uint64(a) + np.uint64(b))  # type: ignore[return-value]

    @internal
    def minus(a: int, b: int) -> int:
        """A difference that wraps at 64 bits."""
        return np.int64(np.uint64(a) - np.uint64(b))  # type: ignore[return-value]

    @internal
    def times(a: int, b: int) -> int:
        """A product that wraps at 64 bits."""
        return np.int64(np.uint64(a) * np.uint64(b))  # type: ignore[return-value]

    @internal
    def xxh64(key: int, seed: int) -> int:
        """The low 32 bits of XXH64 (Collet's specification) of a key's eight bytes, the low one first."""
        x = np.uint64(key) * np.uint64(_XXH_2)
        x = ((x << np.uint64(31)) | (x >> np.uint64(33))) * np.uint64(_XXH_1)
        x ^= np.uint64(seed) + np.uint64(_XXH_5) + np.uint64(8)
        x = ((x << np.uint64(27)) | (x >> np.uint64(37))) * np.uint64(_XXH_1) + np.uint64(_XXH_4)
        x = (x ^ (x >> np.uint64(33))) * np.uint64(_XXH_2)
        x = (x ^ (x >> np.uint64(29))) * np.uint64(_XXH_3)
        return np.int64((x ^ (x >> np.uint64(32))) & np.uint64(0xFFFFFFFF))  # type: ignore[return-value]

    @internal
    def quotient(key: int, n: int) -> int:
        """How many times ``n`` goes into a key, which is unsigned."""
        return np.int64(np.uint64(key) // np.uint64(n))  # type: ignore[return-value]

    @internal
    def remainder(key: int, n: int) -> int:
        """What is left of a key, which is unsigned, after that."""
        return np.int64(np.uint64(key) % np.uint64(n))  # type: ignore[return-value]
