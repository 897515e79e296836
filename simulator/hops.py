"""What moving blocks between neighbouring levels takes, from the config (rules R3, R4, R6, R46, R47)."""

from dataclasses import dataclass, field

import numpy as np

from simulator.arrays import Ints
from simulator.config import ComputeOrigin, System
from simulator.durations import call_ns, measured_ns
from simulator.link_table import LinkTable, Rows
from simulator.spread import Spread, scaled


@dataclass(frozen=True, slots=True)
class Hop:
    """The way between a level and the one below.

    ``read`` and ``write`` are (latency in ns, bytes/s; 0: at once) towards tier 0 and away from it; ``compute`` is (ns
    per MiB, ns per call): the making of blocks that come from a computing origin. Where a direction was measured there
    is a table (as ``durations`` has it) in place of its latency, bandwidth and call; else it is empty. So is a
    direction's spread (as ``spread_numbers`` has it) where calls that are alike take the same time.
    """

    call_ns: int
    read: tuple[int, int]
    write: tuple[int, int]
    channels: int
    blocks_per_call: int
    compute: tuple[int, int] = (0, 0)
    read_table: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    write_table: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    read_spread: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    write_spread: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def duration(self, n_bytes: int, *, down: bool = False) -> int:
        """A call that moves ``n_bytes``, in ns, without queueing, alone on its link, and by no drawn factor."""
        latency_ns, bytes_per_s = self.write if down else self.read
        per_mib, compute_call = (0, 0) if down else self.compute
        table = self.write_table if down else self.read_table
        if len(table):
            return measured_ns(table, n_bytes, 1) + call_ns(0, 0, 0, per_mib, compute_call, n_bytes)
        return call_ns(self.call_ns, latency_ns, bytes_per_s, per_mib, compute_call, n_bytes)


def hops_of(system: System) -> list[Hop]:
    """The hop below each tier; behind them, where blocks are made in tier 0, the making."""
    hops = [_hop(system, level) for level in range(len(system.tiers))]
    origin = system.origin
    if isinstance(origin, ComputeOrigin) and origin.enters == "first":
        # All that costs time is the computing.
        hops.append(Hop(0, (0, 0), (0, 0), origin.channels, 1, system.computing))
    return hops


def way_ns(hops: list[Hop], n_tiers: int, source: int, n_bytes: int) -> int:
    """A fetch from level ``source`` (``n_tiers``: the origin) into tier 0 that queues nowhere, in ns."""
    if source == n_tiers < len(hops):
        return hops[-1].duration(n_bytes)
    return sum(hop.duration(n_bytes) for hop in hops[:source])


def spread_numbers(points: Spread | None) -> Ints:
    """A spread as ``durations`` has it: the number of points, shares, factors; empty where nothing spreads."""
    if points is None:
        return np.empty(0, np.int64)
    shares, factors = scaled(points)
    return np.array([len(points), *shares, *factors], np.int64)


def _hop(system: System, level: int) -> Hop:
    """As fast as the slowest of link and both ends."""
    link, above, origin = system.links[level], system.tiers[level], system.origin
    read_latency, compute = 0, (0, 0)
    read_rate = min(link.read_bandwidth, above.write_bandwidth)
    write_rate = min(link.write_bandwidth, above.read_bandwidth)
    if level + 1 < len(system.tiers):
        below = system.tiers[level + 1]
        read_latency = below.latency
        read_rate = min(read_rate, below.read_bandwidth)
        write_rate = min(write_rate, below.write_bandwidth)
    elif not isinstance(origin, ComputeOrigin):
        read_latency = origin.latency
    elif origin.enters == "last":
        compute = system.computing
    table = link.table
    return Hop(
        link.call, (read_latency, read_rate), (above.latency, write_rate), link.channels, link.blocks_per_call, compute,
        _laid_out(table, table.read if table else None), _laid_out(table, table.write if table else None),
        spread_numbers(link.spread), spread_numbers(link.write_spread or link.spread),
    )  # fmt: skip


def _laid_out(table: LinkTable | None, rows: Rows | None) -> Ints:
    if table is None or rows is None:
        return np.empty(0, np.int64)
    head = [len(table.sizes), len(table.at_once), *table.sizes, *table.at_once]
    return np.array([*head, *(ns for row in rows for ns in row)], np.int64)
