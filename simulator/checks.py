"""What is checked of a run's input, and what is said where it is wrong."""

from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.arrays import NONE
from simulator.config import Arrivals, System
from simulator.errors import InputError
from simulator.hops import hops_of, spread_numbers
from simulator.policy import Policy, Trigger
from simulator.requests import Requests
from simulator.trace import MOST_BYTES, Batch, begins
from simulator.units import LATEST_NS, LONGEST_NS, MIB, NS_PER_S, PPM, ceil_div


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


def check_policy(system: System, policy: Policy) -> None:
    """A policy that is asked at arrivals can be. Raises InputError if it cannot."""
    if policy.trigger == Trigger.ARRIVAL:
        check_requests_arrive(system, type(policy).__name__)


def check_requests_arrive(system: System, policy: str) -> None:
    """Requests arrive, as a policy that is asked then needs. Raises InputError if they have no life."""
    if system.requests is None:
        raise InputError(
            f"system.requests: is missing; policy {policy} is asked when requests arrive, which they do only with it "
            "(rule R45)"
        )


def check_requests(system: System, arrivals: Arrivals, *, prefix_reuse: bool) -> None:
    """What lives of requests (rule R45) go with. Raises InputError if that is not there."""
    requests = system.requests
    if requests is None:
        return
    if arrivals.kind == "closed":
        raise InputError(
            "system.requests: requests that wait for their turn need arrivals, but workload.arrivals is closed; "
            "expected open or poisson"
        )
    if requests.storage is not None and not prefix_reuse:
        raise InputError(
            "system.requests.storage: goes with workload.reuse: prefix, as a block alone is fetched wherever it is"
        )
    if requests.block_tokens is None and (requests.prefill is not None or requests.decode is not None):
        raise InputError(
            "system.requests.block_tokens: is missing, and the workload does not say it; expected a number of tokens"
        )


def decode_times(requests: Requests | None, batch: Batch, first: int) -> npt.NDArray[np.int64]:
    """What each access's request takes to be answered, in ns; NONE where the trace does not say. ``first`` as above.

    Raises InputError if an answer takes too long, or the feature that was named is not there.
    """
    tokens = batch.features.get(requests.answer) if requests is not None else None
    if requests is not None and tokens is None and requests.answer != Requests.model_fields["answer"].default:
        # The default is there or not; a name that somebody wrote is meant.
        raise InputError(
            f"system.requests.answer: {requests.answer!r} is no feature of the trace; expected the name of one "
            "(columns.features of a source)"
        )
    if requests is None or tokens is None:
        return np.full(len(batch), NONE, np.int64)
    different, which = np.unique(tokens, return_inverse=True)
    ns = [requests.decode_ns(n) for n in different.tolist()]
    if ns and max(ns) > LONGEST_NS:
        bad = int(np.flatnonzero(which == int(np.argmax(ns)))[0])
        raise InputError(
            f"trace: access {first + bad}: an answer of {int(tokens[bad])} tokens ({requests.answer}) takes longer "
            f"than {LONGEST_NS // NS_PER_S:,} s; expected fewer, or a higher system.requests.decode"
        )
    return np.array(ns, np.int64)[which]


def check_whole(batch: Batch, last_of: dict[int, int], before: tuple[int, int] | None, first: int) -> None:
    """Where requests have a life their accesses follow each other in the trace: none goes on behind another stream's.

    ``last_of`` has the last request of each stream so far, and is brought up to date; ``before`` as in ``begins``.

    Raises:
        InputError: one goes on.
    """
    starts = np.flatnonzero(begins(batch, before))
    for at, stream, request in zip(
        starts.tolist(), batch.stream[starts].tolist(), batch.request[starts].tolist(), strict=True
    ):
        if last_of.get(stream) == request:
            raise InputError(
                f"trace: request {request} goes on at access {first + at}, behind accesses of other streams; where "
                "requests have a life (system.requests) the accesses of each follow each other in the trace"
            )
        last_of[stream] = request


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
    spread = spread_numbers(first.spread).tolist()
    ways = [
        (f"service from {first.name!r}", _at_most(first.latency + ceil_div(n_bytes * NS_PER_S, rate), spread))
        for rate in (first.read_bandwidth, first.write_bandwidth)
    ]
    for name, hop in zip(names, hops_of(system), strict=True):
        # As plain numbers: they do not wrap.
        per_mib, call = hop.compute
        computing = call + ceil_div(n_bytes * per_mib, MIB)
        n_moved = n_bytes * hop.blocks_per_call
        for (latency, rate), table, spread, more in (
            (hop.read, hop.read_table, hop.read_spread.tolist(), computing),
            (hop.write, hop.write_table, hop.write_spread.tolist(), 0),
        ):
            moving = ceil_div(n_moved * NS_PER_S, rate) if rate else 0
            taken = _longest(table.tolist(), n_moved) if len(table) else hop.call_ns + latency + moving
            ways.append((f"a call on the link {name!r}", _at_most(taken, spread) + more))
    for what, ns in ways:
        if ns > LONGEST_NS:
            raise InputError(
                f"system: {what} takes {ns // NS_PER_S:,} s for blocks of {n_bytes:,} B; expected at most "
                f"{LONGEST_NS // NS_PER_S:,} s: a higher bandwidth, less per call, or smaller factors of its spread"
            )


def _at_most(ns: int, spread: list[int]) -> int:
    """With the largest factor that may be drawn."""
    return ceil_div(ns * spread[-1], PPM) if spread else ns


def _longest(table: list[int], n_bytes: int) -> int:
    """At most so long a call of so many bytes takes by a measured table, in ns."""
    n_sizes, n_rows, *rest = table
    sizes, durations = rest[:n_sizes], rest[n_sizes + n_rows :]
    rows = [durations[at : at + n_sizes] for at in range(0, len(durations), n_sizes)]
    beyond = max(n_bytes - sizes[-1], 0)
    return max(row[-1] + ceil_div(beyond * (row[-1] - row[-2]), sizes[-1] - sizes[-2]) for row in rows)


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
