"""Shares of a tier's capacity in whole blocks.

Policies were published for pages of one size. A share is therefore rounded to whole blocks of the size at hand: where
all blocks have one size, everything is as if pages were counted, whatever is left of the capacity over and above.
"""

from fractions import Fraction

from simulator.compiled import internal
from simulator.records.arena import Tier
from simulator.records.record import Record

WHOLE = Fraction(1)


class Share(Record):
    """``part / of`` of the capacity, and what that was when it was last asked for: blocks mostly have one size."""

    part: int
    of: int
    size: int
    n_bytes: int


def set_share(share: Share, ratio: Fraction) -> None:
    """From Python: it is this ratio."""
    share.part, share.of = ratio.numerator, ratio.denominator


@internal
def part_of(n: int, part: int, of: int) -> int:
    """``n * part / of``, rounded down, where the product need not fit in a word."""
    return n // of * part + n % of * part // of


@internal
def bytes_of(tier: Tier, share: Share, size: int) -> int:
    """The share, rounded down to whole blocks of this size."""
    if size != share.size:
        share.size = size
        share.n_bytes = part_of(tier.capacity // size, share.part, share.of) * size
    return share.n_bytes
