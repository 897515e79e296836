"""What is checked of a run's input, and what is said where it is wrong."""

from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.config import System
from simulator.errors import InputError
from simulator.hops import hops_of
from simulator.policy import Policy
from simulator.trace import MOST_BYTES, Batch
from simulator.units import LATEST_NS, LONGEST_NS, MIB, NS_PER_S, ceil_div


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
            f"{policy.footprint_bytes} B there (rule R7); expected a larger tier, or a policy with in_gpu_memory: false"
        )
    return [capacity, *(tier.capacity for tier in system.tiers[1:])]


def check_sizes(batch: Batch, first: int) -> None:
    """Every block has a size; ``first`` is the number of the first access. Raises InputError if one has none."""
    sizes = batch.size_bytes
    if len(sizes) and not 0 < int(sizes.min()) <= int(sizes.max()) < MOST_BYTES:
        bad = int(np.flatnonzero((sizes <= 0) | (sizes >= MOST_BYTES))[0])
        raise InputError(
            f"trace: access {first + bad} has size {sizes[bad]}; expected a positive number of bytes below 2**40"
        )


def check_durations(system: System, n_bytes: int) -> None:
    """A block of that size takes no longer on any way than a duration may be. Raises InputError if it does."""
    first, names = system.tiers[0], system.link_names()
    ways = [(f"service from {first.name!r}", first.latency + ceil_div(n_bytes * NS_PER_S, rate))
            for rate in (first.read_bandwidth, first.write_bandwidth)]  # fmt: skip
    for name, hop in zip(names, hops_of(system), strict=True):
        # As plain numbers: they do not wrap.
        per_mib, call = hop.compute
        for (latency, rate), computing in ((hop.read, call + ceil_div(n_bytes * per_mib, MIB)), (hop.write, 0)):
            moving = ceil_div(n_bytes * hop.blocks_per_call * NS_PER_S, rate) if rate else 0
            ways.append((f"a call on the link {name!r}", hop.call_ns + latency + moving + computing))
    for what, ns in ways:
        if ns > LONGEST_NS:
            raise InputError(
                f"system: {what} takes {ns // NS_PER_S:,} s for blocks of {n_bytes:,} B; expected at most "
                f"{LONGEST_NS // NS_PER_S:,} s: a higher bandwidth, or less per call"
            )


def too_late(access: int) -> InputError:
    """What is said where the clock, or a sum of times, would not fit into 64 bits."""
    return InputError(
        f"workload.arrivals, system: at access {access:,} the simulated clock or a sum of latencies is past 2^61 ns "
        "(73 years); expected shorter times or fewer accesses"
    )


def check_arrivals(times: npt.NDArray[Any], first: int) -> None:
    """Arrivals, in ns, are within what the clock counts. Raises InputError if one is not."""
    bad = np.flatnonzero((times > LATEST_NS) | (times < -LATEST_NS))
    if len(bad):
        raise too_late(first + int(bad[0]))


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
            "open arrivals need times in order (sort: ROWS of a source puts rows in order that are up to so many too "
            "late; arrivals: {kind: closed} needs no times)"
        )
