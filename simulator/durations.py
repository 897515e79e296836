"""What moving bytes takes (rule R3)."""

from simulator.compiled import compiled, internal
from simulator.units import MIB, NS_PER_S

_LARGEST = (2**63 - 1) // NS_PER_S


@internal
def over(n_bytes: int, bytes_per_s: int) -> int:
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
        ns += over(n_bytes, bytes_per_s)
    if per_mib != 0:
        ns += n_bytes // MIB * per_mib - (-(n_bytes % MIB * per_mib) // MIB)
    return ns
