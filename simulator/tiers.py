"""The residency of a configured system."""

from collections.abc import Sequence

import numpy as np

from simulator.arrays import Ints
from simulator.config import System
from simulator.residency.residency import Residency, TierSpec
from simulator.seeds import generator
from simulator.trace import Workload


def make_residency(
    system: System, capacities: Sequence[int], workload: Workload, seed: int, judged_from: int = 0
) -> Residency:
    """Tiers of these capacities in bytes, with the system's policies; those that pin blocks count up to an access."""
    sketches = any(tier.eviction.sketches or tier.admission.sketches for tier in system.tiers)
    block = usual_block(workload) if sketches else 1
    specs = []
    for level, (tier, capacity) in enumerate(zip(system.tiers, capacities, strict=True)):
        # Prefetched and unused is a block in tier 0 alone: further down it is just a copy.
        enters = system.prefetch.enters if level == 0 else "front"
        specs.append(
            TierSpec(
                capacity, tier.eviction, tier.admission, enters, system.prefetch.region_ratio,
                max(int(capacity // block), 1), hottest(workload, judged_from, tier.eviction.n_counted),
            )
        )  # fmt: skip
    return Residency(specs, seed=int(generator(seed, "eviction").integers(2**62)))


def hottest(workload: Workload, before: int, n: int) -> Ints | None:
    """The ``n`` keys with most accesses before one (int64), of equal counts the smaller ones; None if n is 0."""
    if n == 0:
        return None
    batches = workload.batches()
    keys, n_read = [np.empty(0, np.uint64)], 0
    while n_read < before and (batch := next(batches, None)) is not None:
        keys.append(batch.key[: before - n_read])
        n_read += len(batch)
    found, counts = np.unique(np.concatenate(keys), return_counts=True)
    chosen: Ints = found[np.argsort(-counts, kind="stable")[:n]].view(np.int64)
    return chosen


def usual_block(workload: Workload) -> float:
    """The mean size of the first blocks of the trace: by it sketches are sized."""
    first = next(iter(workload.batches()), None)
    return float(np.mean(first.size_bytes)) if first is not None and len(first) else 1.0
