"""What some eviction policies are told of the accesses to come, as the simulator tells them."""

from typing import TYPE_CHECKING

from simulator.evictions.of_system import most_used, next_uses, parents_of
from simulator.trace import Workload

if TYPE_CHECKING:
    from live.core import Core


def tell(core: "Core", workload: Workload, first_access: int, judged_from: int) -> None:
    """Before the first access; ``judged_from`` as in a simulation, where those that pin blocks count up to it."""
    for tier in core.tiers:
        if tier.settings.eviction.n_counted:
            tier.order.pin(most_used(workload, judged_from, tier.settings.eviction.n_counted))
    if any(tier.order.foresees for tier in core.tiers):
        uses, first_uses = next_uses(workload, first_access)
        for tier in core.tiers:
            if tier.order.foresees:
                tier.order.foresee(first_uses)
        core.serving.foresee(uses)
    if any(tier.order.knows_families for tier in core.tiers):
        parents = parents_of(workload, first_access)
        for tier in core.tiers:
            tier.order.adopt(parents)
