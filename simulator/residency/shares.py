"""Shares of a tier's capacity in whole blocks.

Policies were published for pages of one size. A share is therefore rounded to whole blocks of the size at hand: where
all blocks have one size, everything is as if pages were counted, whatever is left of the capacity over and above.
"""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency.layout import R_CAPACITY, Tier


@internal
def whole(a: Ints, t: Tier, size: int) -> int:
    """As many bytes of the capacity as blocks of this size can fill."""
    capacity = a[t.reg + R_CAPACITY]
    return capacity - capacity % size


@internal
def share(a: Ints, t: Tier, size: int, part: int, of: int) -> int:
    """``part / of`` of that, rounded down to whole blocks."""
    return a[t.reg + R_CAPACITY] // size * part // of * size
