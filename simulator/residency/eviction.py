"""Sends each call to the tier's eviction policy, and keeps what is prefetched aside out of its sight.

A branch on a number instead of a kernel closed over one policy's functions: the branch is always predicted, and unlike
a closure the machine code of all policies is found again in Numba's disk cache.
"""

from simulator.arrays import NONE, Ints
from simulator.compiled import inlined, internal, soon
from simulator.residency import (
    admission,
    arc,
    aside,
    belady,
    blocks,
    clock,
    fifo,
    gdsf,
    ghosts,
    hyperbolic,
    lfu,
    lfuda,
    lirs,
    lru,
    rand,
    s3fifo,
    sieve,
    slru,
    two_q,
    wtinylfu,
)
from simulator.residency.layout import KEY, R_ASIDE_BLOCKS, R_ENTERS, R_KIND, Tier
from simulator.residency.names import (
    ARC,
    BELADY,
    CLOCK,
    FIFO,
    FRONT,
    GDSF,
    HYPERBOLIC,
    LFU,
    LFUDA,
    LIRS,
    LRU,
    RANDOM,
    S3FIFO,
    SIEVE,
    SLRU,
    TWO_Q,
    WTINYLFU,
)


@internal
def setup(a: Ints, t: Tier) -> None:
    """Start with an empty tier."""
    kind = a[t.reg + R_KIND]
    if kind == LRU:
        lru.setup(a, t)
    elif kind == FIFO:
        fifo.setup(a, t)
    elif kind == RANDOM:
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
    elif kind == BELADY:
        belady.setup(a, t)


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """A resident block was used."""
    admission.count(a, t, slot)
    if a[t.reg + R_ASIDE_BLOCKS] != 0 and aside.has(a, t, slot):
        aside.leave(a, t, slot)
        _take(a, t, slot)
        return
    kind = a[t.reg + R_KIND]
    if kind == LRU:
        lru.on_hit(a, t, slot)
    elif kind == FIFO:
        fifo.on_hit(a, t, slot)
    elif kind == RANDOM:
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
    elif kind == BELADY:
        belady.on_hit(a, t, slot)


@inlined
def recall(a: Ints, t: Tier, slot: int) -> None:
    """A block is about to come in: if it is a ghost, its policy learns from that; ``aux`` is its mark then, else 0."""
    kind = a[t.reg + R_KIND]
    if kind == BELADY:
        belady.recall(a, t, slot)
    elif not ghosts.is_one(a, t, slot):
        a[slot + t.aux] = 0
    elif kind == S3FIFO:
        s3fifo.recall(a, t, slot)
    elif kind == ARC:
        arc.recall(a, t, slot)
    elif kind == TWO_Q:
        two_q.recall(a, t, slot)
    elif kind == LIRS:
        lirs.recall(a, t, slot)


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """A block has come in."""
    if a[t.reg + R_ENTERS] != FRONT and a[slot + t.prefetch] != NONE:
        aside.enter(a, t, slot)
        if a[t.reg + R_KIND] != BELADY:
            # Its policy will see it as a new block, whatever it remembered of it.
            a[slot + t.aux] = 0
    else:
        _take(a, t, slot)


@inlined
def _take(a: Ints, t: Tier, slot: int) -> None:
    kind = a[t.reg + R_KIND]
    if kind == LRU:
        lru.on_insert(a, t, slot)
    elif kind == FIFO:
        fifo.on_insert(a, t, slot)
    elif kind == RANDOM:
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
    elif kind == BELADY:
        belady.on_insert(a, t, slot)


@inlined
def victim(a: Ints, t: Tier) -> int:
    """The slot to evict next; the same again if it is asked again, but for those drawn at random."""
    slot = aside.victim(a, t)
    if slot != NONE:
        return slot
    kind = a[t.reg + R_KIND]
    if kind == LRU:
        return lru.victim(a, t)
    if kind == FIFO:
        return fifo.victim(a, t)
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


@internal
def next_out(a: Ints, t: Tier) -> int:
    """The slot that will probably go next, where that is known at no cost, or NONE."""
    kind = a[t.reg + R_KIND]
    return fifo.victim(a, t) if kind in (LRU, FIFO) else NONE


@internal
def out_soon(a: Ints, t: Tier) -> int:
    """Have fetched what the next one to go, whose slot is returned, and the one after it will need; or NONE."""
    slot = next_out(a, t)
    if slot != NONE:
        # Its row was fetched when the one before it went.
        blocks.find_soon(a, a[slot + KEY])
        if a[slot + t.prev] != NONE:
            soon(a, a[slot + t.prev])
    return slot


@inlined
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """A block leaves: ``evicted``, and its policy may remember it, or taken out."""
    if a[t.reg + R_ASIDE_BLOCKS] != 0 and aside.has(a, t, slot):
        aside.leave(a, t, slot)
        if a[t.reg + R_KIND] == BELADY:
            ghosts.keep(a, t, slot)
        return
    kind = a[t.reg + R_KIND]
    if kind == LRU:
        lru.on_remove(a, t, slot, evicted)
    elif kind == FIFO:
        fifo.on_remove(a, t, slot, evicted)
    elif kind == RANDOM:
        rand.on_remove(a, t, slot, evicted)
    elif kind == CLOCK:
        clock.on_remove(a, t, slot, evicted)
    elif kind == SIEVE:
        sieve.on_remove(a, t, slot, evicted)
    elif kind == S3FIFO:
        s3fifo.on_remove(a, t, slot, evicted)
    elif kind == LFU:
        lfu.on_remove(a, t, slot, evicted)
    elif kind == LFUDA:
        lfuda.on_remove(a, t, slot, evicted)
    elif kind == ARC:
        arc.on_remove(a, t, slot, evicted)
    elif kind == TWO_Q:
        two_q.on_remove(a, t, slot, evicted)
    elif kind == SLRU:
        slru.on_remove(a, t, slot, evicted)
    elif kind == LIRS:
        lirs.on_remove(a, t, slot, evicted)
    elif kind == WTINYLFU:
        wtinylfu.on_remove(a, t, slot, evicted)
    elif kind == GDSF:
        gdsf.on_remove(a, t, slot, evicted)
    elif kind == HYPERBOLIC:
        hyperbolic.on_remove(a, t, slot, evicted)
    elif kind == BELADY:
        belady.on_remove(a, t, slot, evicted)
