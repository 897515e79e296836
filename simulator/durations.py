"""What moving bytes takes (rule R3)."""

from simulator.compiled import compiled, internal
from simulator.units import MIB, NS_PER_S

PPM = 1_000_000
_LARGEST = (2**63 - 1) // NS_PER_S
_BITS = NS_PER_S.bit_length()


@internal
def over(n_bytes: int, bytes_per_s: int) -> int:
    """Bytes over a bandwidth, in ns, rounded up, also where their product is no 64-bit number."""
    if n_bytes <= _LARGEST:
        return -(-(n_bytes * NS_PER_S) // bytes_per_s)
    # Whole seconds and what is left of a bandwidth below 2^62, times NS_PER_S bit by bit: nothing grows beyond 2^63.
    s, rest = n_bytes // bytes_per_s, n_bytes % bytes_per_s
    ns = left = 0
    for bit in range(_BITS - 1, -1, -1):
        ns, left = 2 * ns, 2 * left
        if left >= bytes_per_s:
            ns, left = ns + 1, left - bytes_per_s
        if (NS_PER_S >> bit) & 1:
            ns, left = ns + s, left + rest
            if left >= bytes_per_s:
                ns, left = ns + 1, left - bytes_per_s
    return ns + (left > 0)


@internal
def slowed(ns: int, ppm: int) -> int:
    """A duration times so many parts per million, rounded up, also where their product is no 64-bit number."""
    return ns // PPM * ppm - (-(ns % PPM * ppm) // PPM)


@compiled
def call_ns(call: int, latency: int, bytes_per_s: int, per_mib: int, compute_call: int, n_bytes: int) -> int:
    """A call that moves so many bytes, in ns; a bandwidth of 0 takes no time."""
    ns = call + latency + compute_call
    if bytes_per_s != 0:
        ns += over(n_bytes, bytes_per_s)
    if per_mib != 0:
        ns += n_bytes // MIB * per_mib - (-(n_bytes % MIB * per_mib) // MIB)
    return ns
