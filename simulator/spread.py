"""How far durations of like calls differ (rule R47): quantiles of a factor, as configs have them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

from simulator.quantities import Ratio
from simulator.units import PPM

SHARE_BITS = 31
"""Shares are counted in so many bits, and so are draws: the product of two differences fits into 64 bits."""
LEAST_FACTOR, MOST_FACTOR = 1e-6, 1e6

_Point = Annotated[tuple[Ratio, Annotated[float, Field(ge=LEAST_FACTOR, le=MOST_FACTOR)]], Field(strict=False)]


def _checked(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    shares, factors = scaled(points)
    said = [list(point) for point in points]
    if (points[0][0], points[-1][0]) != (0, 1):
        raise ValueError(f"expected shares from 0 to 1, got {said}")
    if any(one >= other for one, other in pairwise(shares)):
        raise ValueError(f"expected each share to be larger than the one before, by 1e-9 or more; got {said}")
    if any(one > other for one, other in pairwise(factors)):
        raise ValueError(f"expected no factor to be below the one before, got {said}")
    return points


Spread = Annotated[tuple[_Point, ...], Field(min_length=2, strict=False), AfterValidator(_checked)]
"""Points (share, factor): that share of calls takes at most so many times their duration; between them a line."""


def scaled(points: Sequence[tuple[float, float]]) -> tuple[list[int], list[int]]:
    """Shares in 2^-31 and factors in millionths."""
    return [round(share * 2**SHARE_BITS) for share, _ in points], [round(factor * PPM) for _, factor in points]
