"""The eviction policies of a configured system, and the future for those that must know it."""

from array import array
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from simulator.config import System
from simulator.evictions.base import Eviction
from simulator.evictions.belady import NEVER
from simulator.seeds import generator
from simulator.tiers import usual_block
from simulator.trace import Workload, part


def make_all(
    system: System,
    capacities: Sequence[int],
    workload: Workload,
    seed: int,
    make: Callable[..., Eviction],
    judged_from: int = 0,
) -> list[Eviction]:
    """One for each tier, of these capacities in bytes; ``make`` as in ``registry``.

    ``judged_from`` is the access up to which those that pin blocks count.
    """
    found, prefetch = [], system.prefetch
    draws = int(generator(seed, "eviction").integers(2**62))
    is_sketched = any(tier.eviction.sketches or tier.admission.sketches for tier in system.tiers)
    block = usual_block(workload) if is_sketched else 1
    for level, (tier, capacity) in enumerate(zip(system.tiers, capacities, strict=True)):
        # Prefetched and unused is a block in tier 0 alone: further down it is just a copy.
        enters = prefetch.enters if level == 0 else "front"
        found.append(
            make(
                tier.eviction, capacity, seed=draws + level, n_blocks=max(int(capacity // block), 1),
                admission=tier.admission, enters=enters, region_ratio=prefetch.region_ratio,
            )
        )  # fmt: skip
        if tier.eviction.n_counted:
            found[-1].pin(most_used(workload, judged_from, tier.eviction.n_counted))
    return found


def most_used(workload: Workload, before: int, n: int) -> list[int]:
    """The ``n`` keys with most accesses before one; of equal counts the smaller keys."""
    counts: Counter[int] = Counter()
    at = 0
    for batch in workload.batches():
        if at >= before:
            break
        counts.update(batch.key[: before - at].tolist())
        at += len(batch)
    return sorted(counts, key=lambda key: (-counts[key], key))[:n]


def parents_of(workload: Workload, first_access: int) -> dict[int, int]:
    """Of each key that ever comes behind another in a request, the first that was there."""
    said = getattr(workload, "families", None)
    if said is not None:
        return {key % 2**64: parent % 2**64 for key, parent in zip(*map(np.ndarray.tolist, said()), strict=True)}
    found: dict[int, int] = {}
    last: dict[int, tuple[int, int]] = {}  # of each stream the request and the key of its last access
    for batch in part(workload.batches(), first_access):
        rows = zip(batch.stream.tolist(), batch.request.tolist(), batch.key.tolist(), strict=True)
        for stream, request, key in rows:
            its_request, before = last.get(stream, (request, key))
            if its_request == request and before != key:
                found.setdefault(key, before)
            last[stream] = request, key
    return found


def next_uses(workload: Workload, first_access: int) -> tuple["array[int]", dict[int, int]]:
    """For each judged access the position of the next one with its key, NEVER if none; each key's first position."""
    keys = array("Q")
    for batch in part(workload.batches(), first_access):
        keys.extend(batch.key.tolist())
    later: dict[int, int] = {}
    found = array("q", bytes(8 * len(keys)))
    for position in range(len(keys) - 1, -1, -1):
        found[position] = later.get(keys[position], NEVER)
        later[keys[position]] = position
    return found, later
