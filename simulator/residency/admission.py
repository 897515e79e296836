"""Who may come in: a block that is demanded and not admitted is served, but not kept.

- ``all``: everybody.
- ``size``: blocks of at most so many bytes.
- ``probabilistic``: each with the same chance, drawn anew each time.
- ``tinylfu`` (Einziger et al. 2017): into a full tier only what was asked for more often of late than the first block
  that would have to go.

What a prefetch policy asked for is always let in: that policy, its throttle and the budget are its admission.
"""

from simulator.arrays import NONE, Ints
from simulator.compiled import inlined, internal
from simulator.residency import randomness, sketch
from simulator.residency.layout import KEY, R_ADMISSION, R_ADMISSION_VALUE, SIZE, Tier
from simulator.residency.names import ADMIT_ALL, ADMIT_PROBABILISTIC, ADMIT_SIZE, ADMIT_TINYLFU

# A probability is a whole number of so many parts.
PARTS = 1 << 53


@inlined
def count(a: Ints, t: Tier, slot: int) -> None:
    """A block was asked for."""
    if a[t.reg + R_ADMISSION] == ADMIT_TINYLFU:
        sketch.add(a, a[t.reg + R_ADMISSION_VALUE], a[slot + KEY])
        sketch.age(a, a[t.reg + R_ADMISSION_VALUE])


@internal
def admits(a: Ints, t: Tier, slot: int, victim: int) -> bool:
    """Whether a block may come in, for which ``victim`` would have to go first (NONE: there is room)."""
    kind, value = a[t.reg + R_ADMISSION], a[t.reg + R_ADMISSION_VALUE]
    if kind == ADMIT_ALL or a[slot + t.prefetch] != NONE:
        return True
    if kind == ADMIT_SIZE:
        return a[slot + SIZE] <= value
    if kind == ADMIT_PROBABILISTIC:
        return randomness.below(a, t, PARTS) < value
    if victim == NONE:
        return True
    # The value is the place of the sketch.
    return sketch.estimate(a, value, a[slot + KEY]) > sketch.estimate(a, value, a[victim + KEY])
