from tests.naive import NAIVE
from simulator.seeds import generator
from simulator.tiers import usual_block


def make(
    kind, capacity, *, seed=0, n_blocks=None, admission="all", admission_value=0, enters="front", region_ratio=0.0
):
    order = NAIVE[kind](capacity)
    order.foresees = False
    order.state = seed
    order.admission, order.value, order.enters, order.region = (
        admission,
        admission_value,
        enters,
        int(region_ratio * capacity),
    )
    return order


def make_all(system, capacities, workload, seed, make_one):
    found, prefetch = [], system.prefetch
    draws = int(generator(seed, "eviction").integers(2**62))
    sketched = any(tier.eviction == "wtinylfu" or tier.admission.kind == "tinylfu" for tier in system.tiers)
    block = usual_block(workload) if sketched else 1
    for level, (tier, capacity) in enumerate(zip(system.tiers, capacities, strict=True)):
        value = getattr(tier.admission, "largest", getattr(tier.admission, "probability", 0))
        found.append(
            make_one(
                tier.eviction,
                capacity,
                seed=draws + level,
                n_blocks=max(int(capacity // block), 1),
                admission=tier.admission.kind,
                admission_value=value,
                enters=prefetch.enters if level == 0 else "front",
                region_ratio=prefetch.region_ratio,
            )
        )
    return found
