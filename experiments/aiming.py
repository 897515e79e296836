"""What the system makes of a prefetch, estimated from the config and the training part alone: see docs/lstm.md."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from policies.timing import Timing
from simulator.config import Arrivals, System
from simulator.errors import InputError
from simulator.hops import hops_of, way_ns
from simulator.trace import WRITE, Batch, Workload, concatenate, part
from simulator.units import transfer_ns
from workloads.requests import Requests

_MAX_ACCESSES = 100_000
_SMALLER = 0.9


def lru_hits(keys: Sequence[int], sizes: Sequence[int], reads: Sequence[bool], capacity: float) -> tuple[float, float]:
    """Shares of all accesses: hits, and hits of reads, of an LRU cache of ``capacity`` bytes that starts empty."""
    resident: OrderedDict[int, int] = OrderedDict()
    used = n_hits = n_read_hits = 0
    for key, size, is_read in zip(keys, sizes, reads, strict=True):
        if key in resident:
            n_hits += 1
            n_read_hits += is_read
            resident.move_to_end(key)
            continue
        if size > capacity:
            continue
        resident[key] = size
        used += size
        while used > capacity:
            used -= resident.popitem(last=False)[1]
    return n_hits / len(keys), n_read_hits / len(keys)


def estimate(
    workload: Workload,
    n_train: int,
    system: System,
    arrivals: Arrivals,
    *,
    per_stream: bool,
    inference_ns: float | None,
) -> Timing:
    """The times of a run, from the last accesses of its training part."""
    if n_train == 0:
        raise InputError(
            "workload.train_ratio: is 0, but an arm weighs what a prefetch costs (rule: cost), which is estimated from "
            "the training part; expected more, or rule: threshold"
        )
    first = max(0, n_train - _MAX_ACCESSES)
    accesses = concatenate(list(part(workload.batches(), first, n_train)))
    keys, sizes = accesses.key.tolist(), accesses.size_bytes.tolist()
    reads = (accesses.op != WRITE).tolist()
    size = round(float(accesses.size_bytes.mean()))
    capacities = [tier.capacity for tier in system.tiers]
    if system.placement == "exclusive":
        capacities = np.cumsum(capacities).tolist()
    # Only reads are fetched, and only a read that is missed is a loss; writes take places all the same.
    found = [lru_hits(keys, sizes, reads, capacity) for capacity in [*capacities, _SMALLER * capacities[0]]]
    hits = [read_hits for _, read_hits in found[:-1]]
    insert_ratio = max(1 - found[0][0], 1 / len(keys))
    miss_ratio = sum(reads) / len(keys) - hits[0]

    hops = hops_of(system)
    durations = [hop.duration(size) for hop in hops]
    # A missed read is served from the nearest tier that is large enough to have kept the block, else from the origin.
    shares = [max(later - earlier, 0.0) for earlier, later in pairwise(hits)]
    shares.append(max(miss_ratio - sum(shares), 0.0))
    ways = [way_ns(hops, len(system.tiers), level, size) for level in range(1, len(system.tiers) + 1)]
    fetch_ns = float(np.dot(shares, ways)) / sum(shares) if any(shares) else float(ways[-1])

    service_ns = system.tiers[0].latency + transfer_ns(size, system.tiers[0].read_bandwidth)
    latency_ns = service_ns + miss_ratio * fetch_ns
    # A useless block fills a place for as long as LRU keeps one, and what is lost by it is what a slightly smaller
    # cache would miss.
    pollution = min(max(hits[0] - found[-1][1], 0.0) / (1 - _SMALLER) / insert_ratio, 1.0)
    gap = _mean_gap(accesses, arrivals, latency_ns, per_stream=False)
    # A demand miss that comes meanwhile waits for half of what is on the link if all other channels are busy too.
    waiting_ns = 0.0
    for hop, took in zip(hops[: len(system.tiers)], durations, strict=False):
        load = miss_ratio * took / max(gap, 1.0)
        waiting_ns += min(load, 1.0) * min(load / hop.channels, 1.0) ** (hop.channels - 1) * took / 2

    def lead_ns(horizon: int) -> float:
        if arrivals.kind == "open":
            return _median_lead(accesses, horizon, per_stream=per_stream) / arrivals.speedup
        return horizon * _mean_gap(accesses, arrivals, latency_ns, per_stream=per_stream)

    # All the way from the origin: what was wrong was rarely near.
    occupied_ns = sum(took / hop.channels for hop, took in zip(hops, durations, strict=True))
    return Timing(
        fetch_ns, lead_ns, pollution * fetch_ns + waiting_ns, inference_ns, system.inference.mode == "sync", occupied_ns
    )


def _mean_gap(accesses: Batch, arrivals: Arrivals, latency_ns: float, *, per_stream: bool) -> float:
    """The mean time between two accesses of one stream, or of all."""
    n_streams = len(np.unique(accesses.stream))
    match arrivals.kind:
        case "closed":
            requests = Requests()
            requests.of(accesses)
            of_one = (arrivals.think + latency_ns) / (len(accesses) / requests.n)
            return of_one if per_stream else of_one / n_streams
        case "open":
            whole = float(accesses.time_ns[-1] - accesses.time_ns[0]) / arrivals.speedup
            of_all = whole / max(len(accesses) - 1, 1)
        case "poisson":
            # An arrival is what the feed takes for one: accesses that follow each other in the trace.
            n_arrivals = 1 + int(((np.diff(accesses.request) != 0) | (np.diff(accesses.stream) != 0)).sum())
            of_all = arrivals.mean_gap / (len(accesses) / n_arrivals)
    return of_all * n_streams if per_stream else of_all


def _median_lead(accesses: Batch, horizon: int, *, per_stream: bool) -> float:
    """The median time to the access so far ahead, as recorded: arrivals come in bursts, and a mean says little of them.

    Infinite where no sequence is that long.
    """
    streams = np.unique(accesses.stream).tolist() if per_stream else [None]
    times = [accesses.time_ns if stream is None else accesses.time_ns[accesses.stream == stream] for stream in streams]
    leads = np.concatenate([time[horizon:] - time[:-horizon] for time in times])
    return float(np.median(leads)) if len(leads) else float("inf")
