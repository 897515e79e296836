"""Arithmetic on keys for compiled policies: a key is a uint64 in the bits of an int64."""

from simulator.answers import Floats, walk
from simulator.arrays import Ints, minus, plus
from simulator.compiled import internal

FAR = 2**62


@internal
def is_below(a: int, b: int) -> bool:
    """Whether one key is less than another."""
    return (a ^ (-(2**63))) < (b ^ (-(2**63)))


@internal
def gap(a: int, b: int) -> int:
    """How far one key lies above another, less than 0 if below; no further than FAR, and it does not wrap."""
    difference = minus(a, b)
    if is_below(a, b):
        return difference if -FAR < difference < 0 else -FAR
    return difference if 0 <= difference < FAR else FAR


@internal
def crossing(key: int, step: int) -> int:
    """Which end of the key space a step from a key leads across: 1 the upper, -1 the lower, 0 none."""
    after = plus(key, step)
    if step > 0 and is_below(after, key):
        return 1
    if step < 0 and is_below(key, after):
        return -1
    return 0


@internal
def behind(keys: Ints, confidences: Floats, key: int, skipped: int, count: int) -> int:
    """Want so many blocks that follow a key, but for the first few, all with confidence 1."""
    if crossing(key, skipped) != 0:
        return 0
    return walk(keys, confidences, 0, plus(key, skipped), 1, count, 1.0)
