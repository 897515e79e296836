"""Sends each call to the tier's eviction policy, but for LRU and FIFO, which ``eviction`` has at hand.

A branch on a number instead of a kernel closed over one policy's functions: the branch is always predicted, and unlike
a closure the machine code of all policies is found again in Numba's disk cache.

The functions are compiled by themselves and called by their addresses: they are most of the code that there is, and
would otherwise be compiled into everything that moves a block.
"""

from numba import types

from simulator.arrays import Ints
from simulator.compiled import INTS, c_address
from simulator.residency import (
    arc,
    belady,
    clock,
    gdsf,
    hyperbolic,
    lfu,
    lfuda,
    lirs,
    rand,
    s3fifo,
    sieve,
    slru,
    two_q,
    wtinylfu,
)
from simulator.residency.layout import R_KIND, tier
from simulator.residency.names import (
    ARC,
    CLOCK,
    GDSF,
    HYPERBOLIC,
    LFU,
    LFUDA,
    LIRS,
    RANDOM,
    S3FIFO,
    SIEVE,
    SLRU,
    TWO_Q,
    WTINYLFU,
)

ON_TIER = types.void(INTS, types.int64)
ON_SLOT = types.void(INTS, types.int64, types.int64)
ON_REMOVE = types.void(INTS, types.int64, types.int64, types.int64)
VICTIM = types.int64(INTS, types.int64)


def _setup(a: Ints, level: int) -> None:
    """Start with an empty tier."""
    t = tier(level)
    kind = a[t.reg + R_KIND]
    if kind == RANDOM:
        rand.setup(a, t)
    elif kind == CLOCK:
        clock.setup(a, t)
    elif kind == SIEVE:
        sieve.setup(a, t)
    elif kind == S3FIFO:
        s3fifo.setup(a, t)
    elif kind == LFU:
        lfu.setup(a, t)
    elif kind == LFUDA:
        lfuda.setup(a, t)
    elif kind == ARC:
        arc.setup(a, t)
    elif kind == TWO_Q:
        two_q.setup(a, t)
    elif kind == SLRU:
        slru.setup(a, t)
    elif kind == LIRS:
        lirs.setup(a, t)
    elif kind == WTINYLFU:
        wtinylfu.setup(a, t)
    elif kind == GDSF:
        gdsf.setup(a, t)
    elif kind == HYPERBOLIC:
        hyperbolic.setup(a, t)
    else:
        belady.setup(a, t)


def _on_hit(a: Ints, level: int, slot: int) -> None:
    """A resident block was used."""
    t = tier(level)
    kind = a[t.reg + R_KIND]
    if kind == RANDOM:
        rand.on_hit(a, t, slot)
    elif kind == CLOCK:
        clock.on_hit(a, t, slot)
    elif kind == SIEVE:
        sieve.on_hit(a, t, slot)
    elif kind == S3FIFO:
        s3fifo.on_hit(a, t, slot)
    elif kind == LFU:
        lfu.on_hit(a, t, slot)
    elif kind == LFUDA:
        lfuda.on_hit(a, t, slot)
    elif kind == ARC:
        arc.on_hit(a, t, slot)
    elif kind == TWO_Q:
        two_q.on_hit(a, t, slot)
    elif kind == SLRU:
        slru.on_hit(a, t, slot)
    elif kind == LIRS:
        lirs.on_hit(a, t, slot)
    elif kind == WTINYLFU:
        wtinylfu.on_hit(a, t, slot)
    elif kind == GDSF:
        gdsf.on_hit(a, t, slot)
    elif kind == HYPERBOLIC:
        hyperbolic.on_hit(a, t, slot)
    else:
        belady.on_hit(a, t, slot)


def _recall(a: Ints, level: int, slot: int) -> None:
    """A ghost is about to come in: its policy learns from that; ``aux`` is its mark then."""
    t = tier(level)
    kind = a[t.reg + R_KIND]
    if kind == S3FIFO:
        s3fifo.recall(a, t, slot)
    elif kind == ARC:
        arc.recall(a, t, slot)
    elif kind == TWO_Q:
        two_q.recall(a, t, slot)
    elif kind == LIRS:
        lirs.recall(a, t, slot)
    else:
        belady.recall(a, t, slot)


def _on_insert(a: Ints, level: int, slot: int) -> None:
    """A block has come in."""
    t = tier(level)
    kind = a[t.reg + R_KIND]
    if kind == RANDOM:
        rand.on_insert(a, t, slot)
    elif kind == CLOCK:
        clock.on_insert(a, t, slot)
    elif kind == SIEVE:
        sieve.on_insert(a, t, slot)
    elif kind == S3FIFO:
        s3fifo.on_insert(a, t, slot)
    elif kind == LFU:
        lfu.on_insert(a, t, slot)
    elif kind == LFUDA:
        lfuda.on_insert(a, t, slot)
    elif kind == ARC:
        arc.on_insert(a, t, slot)
    elif kind == TWO_Q:
        two_q.on_insert(a, t, slot)
    elif kind == SLRU:
        slru.on_insert(a, t, slot)
    elif kind == LIRS:
        lirs.on_insert(a, t, slot)
    elif kind == WTINYLFU:
        wtinylfu.on_insert(a, t, slot)
    elif kind == GDSF:
        gdsf.on_insert(a, t, slot)
    elif kind == HYPERBOLIC:
        hyperbolic.on_insert(a, t, slot)
    else:
        belady.on_insert(a, t, slot)


def _victim(a: Ints, level: int) -> int:
    """The slot to evict next; the same again if it is asked again, but for those drawn at random."""
    t = tier(level)
    kind = a[t.reg + R_KIND]
    if kind == RANDOM:
        return rand.victim(a, t)
    if kind == CLOCK:
        return clock.victim(a, t)
    if kind == SIEVE:
        return sieve.victim(a, t)
    if kind == S3FIFO:
        return s3fifo.victim(a, t)
    if kind == LFU:
        return lfu.victim(a, t)
    if kind == LFUDA:
        return lfuda.victim(a, t)
    if kind == ARC:
        return arc.victim(a, t)
    if kind == TWO_Q:
        return two_q.victim(a, t)
    if kind == SLRU:
        return slru.victim(a, t)
    if kind == LIRS:
        return lirs.victim(a, t)
    if kind == WTINYLFU:
        return wtinylfu.victim(a, t)
    if kind == GDSF:
        return gdsf.victim(a, t)
    if kind == HYPERBOLIC:
        return hyperbolic.victim(a, t)
    return belady.victim(a, t)


def _on_remove(a: Ints, level: int, slot: int, evicted: int) -> None:
    """A block leaves: ``evicted``, and its policy may remember it, or taken out."""
    t = tier(level)
    kind = a[t.reg + R_KIND]
    if kind == RANDOM:
        rand.on_remove(a, t, slot, evicted != 0)
    elif kind == CLOCK:
        clock.on_remove(a, t, slot, evicted != 0)
    elif kind == SIEVE:
        sieve.on_remove(a, t, slot, evicted != 0)
    elif kind == S3FIFO:
        s3fifo.on_remove(a, t, slot, evicted != 0)
    elif kind == LFU:
        lfu.on_remove(a, t, slot, evicted != 0)
    elif kind == LFUDA:
        lfuda.on_remove(a, t, slot, evicted != 0)
    elif kind == ARC:
        arc.on_remove(a, t, slot, evicted != 0)
    elif kind == TWO_Q:
        two_q.on_remove(a, t, slot, evicted != 0)
    elif kind == SLRU:
        slru.on_remove(a, t, slot, evicted != 0)
    elif kind == LIRS:
        lirs.on_remove(a, t, slot, evicted != 0)
    elif kind == WTINYLFU:
        wtinylfu.on_remove(a, t, slot, evicted != 0)
    elif kind == GDSF:
        gdsf.on_remove(a, t, slot, evicted != 0)
    elif kind == HYPERBOLIC:
        hyperbolic.on_remove(a, t, slot, evicted != 0)
    else:
        belady.on_remove(a, t, slot, evicted != 0)


def functions() -> list[int]:
    """The addresses of the functions above, in the order of ``layout.R_SETUP`` and those that follow it."""
    return [
        c_address(ON_TIER, _setup),
        c_address(ON_SLOT, _on_hit),
        c_address(ON_SLOT, _recall),
        c_address(ON_SLOT, _on_insert),
        c_address(VICTIM, _victim),
        c_address(ON_REMOVE, _on_remove),
    ]
