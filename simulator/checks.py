"""What is checked of a run's input, and what is said where it is wrong."""

from collections.abc import Sequence

import numpy as np

from simulator.config import System
from simulator.errors import InputError
from simulator.policy import Policy
from simulator.trace import Batch


def capacities_of(system: System, policy: Policy) -> list[int]:
    """The bytes of each tier; what the policy keeps in GPU memory is taken off the first (rule R7).

    Raises:
        InputError: nothing is left of it.
    """
    first = system.tiers[0]
    capacity = first.capacity - policy.footprint_bytes
    if capacity <= 0:
        raise InputError(
            f"system.tiers.0.capacity: {first.capacity} B of {first.name!r}, but the policy keeps "
            f"{policy.footprint_bytes} B there (rule R7); expected a larger tier"
        )
    return [capacity, *(tier.capacity for tier in system.tiers[1:])]


def check_sizes(system: System, capacities: Sequence[int], batch: Batch, first: int) -> None:
    """Every block fits into every tier, and has a size. ``first`` is the number of the batch's first access.

    Raises:
        InputError: one does not.
    """
    sizes, largest_fit = batch.size_bytes, min(capacities)
    if not len(sizes) or (int(sizes.max()) <= largest_fit and int(sizes.min()) > 0):
        return
    bad = int(np.flatnonzero((sizes > largest_fit) | (sizes == 0))[0])
    if sizes[bad] == 0:
        raise InputError(f"trace: access {first + bad} has size 0; expected a positive number of bytes")
    tier = system.tiers[capacities.index(largest_fit)]
    raise InputError(
        f"system.tiers: capacity of {tier.name!r} is {largest_fit} B, smaller than the block of "
        f"{int(sizes[bad])} B at access {first + bad}; expected every tier to hold every block"
    )


def check_streams(batch: Batch, n_streams: int, first: int) -> None:
    """Every stream is one of those that the workload has. Raises InputError if one is not."""
    if len(batch) and int(batch.stream.max()) >= n_streams:
        raise InputError(
            f"trace: stream {int(batch.stream.max())} at access {first} or later"
            f", but the workload declares {n_streams} streams"
        )


def check_order(access: int, time_ns: int, before_ns: int) -> None:
    """Arrivals are in order. Raises InputError if this one is earlier than the one before it."""
    if time_ns < before_ns:
        raise InputError(
            f"trace: the arrival time goes backwards at access {access}; "
            "open arrivals need times in order (use arrivals: {kind: closed})"
        )
