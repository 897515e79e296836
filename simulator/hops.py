"""What moving blocks between neighbouring levels takes, from the config (rules R3, R4, R6)."""

from dataclasses import dataclass

from simulator.compiled import compiled, internal
from simulator.config import ComputeOrigin, System
from simulator.units import MIB, NS_PER_S

_LARGEST = (2**63 - 1) // NS_PER_S


@internal
def _over(n_bytes: int, bytes_per_s: int) -> int:
    """Bytes over a bandwidth, in ns, rounded up, also where their product is no 64-bit number."""
    if n_bytes <= _LARGEST:
        return -(-(n_bytes * NS_PER_S) // bytes_per_s)
    ns, left = n_bytes // bytes_per_s, n_bytes % bytes_per_s
    for _ in range(3):
        left *= 1000
        ns = ns * 1000 + left // bytes_per_s
        left %= bytes_per_s
    return ns + (left > 0)


@compiled
def call_ns(call: int, latency: int, bytes_per_s: int, per_mib: int, compute_call: int, n_bytes: int) -> int:
    """A call that moves so many bytes, in ns; a bandwidth of 0 takes no time."""
    ns = call + latency + compute_call
    if bytes_per_s != 0:
        ns += _over(n_bytes, bytes_per_s)
    if per_mib != 0:
        ns += n_bytes // MIB * per_mib - (-(n_bytes % MIB * per_mib) // MIB)
    return ns


@dataclass(frozen=True, slots=True)
class Hop:
    """The way between a level and the one below.

    ``read`` and ``write`` are (latency in ns, bytes/s; 0: at once) towards tier 0 and away from it; ``compute`` is (ns
    per MiB, ns per call): the making of blocks that come from a computing origin.
    """

    call_ns: int
    read: tuple[int, int]
    write: tuple[int, int]
    channels: int
    blocks_per_call: int
    compute: tuple[int, int] = (0, 0)

    def duration(self, n_bytes: int, *, down: bool = False) -> int:
        """A call that moves ``n_bytes``, in ns, without queueing."""
        latency_ns, bytes_per_s = self.write if down else self.read
        per_mib, compute_call = (0, 0) if down else self.compute
        return call_ns(self.call_ns, latency_ns, bytes_per_s, per_mib, compute_call, n_bytes)

    def registers(self) -> tuple[int, ...]:
        """What the machine keeps of it (``links``)."""
        return (self.channels, self.blocks_per_call, self.call_ns, *self.read, *self.write, *self.compute)


def hops_of(system: System) -> list[Hop]:
    """The hop below each tier; behind them, where blocks are made in tier 0, the making."""
    hops = [_hop(system, level) for level in range(len(system.tiers))]
    origin = system.origin
    if isinstance(origin, ComputeOrigin) and origin.enters == "first":
        # All that costs time is the computing.
        hops.append(Hop(0, (0, 0), (0, 0), origin.channels, 1, (origin.per_mib, origin.call)))
    return hops


def way_ns(hops: list[Hop], n_tiers: int, source: int, n_bytes: int) -> int:
    """A fetch from level ``source`` (``n_tiers``: the origin) into tier 0 that queues nowhere, in ns."""
    if source == n_tiers < len(hops):
        return hops[-1].duration(n_bytes)
    return sum(hop.duration(n_bytes) for hop in hops[:source])


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
        compute = (origin.per_mib, origin.call)
    return Hop(
        link.call, (read_latency, read_rate), (above.latency, write_rate), link.channels, link.blocks_per_call, compute
    )
