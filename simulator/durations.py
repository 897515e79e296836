"""What moving bytes takes (rules R3, R46, R47)."""

from simulator.arrays import Ints, home, plus, times
from simulator.compiled import compiled, internal
from simulator.spread import SHARE_BITS
from simulator.units import MIB, NS_PER_S, PPM

_LARGEST = (2**63 - 1) // NS_PER_S
_BITS = NS_PER_S.bit_length()
# 2^64 over the golden ratio, odd: splitmix64's step.
_STEP = -7046029254386353131
_DRAWN = (1 << SHARE_BITS) - 1
_UNUSED = 64 - SHARE_BITS


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


# How a table lies in memory: two counts, the sizes, the numbers of calls at once, then a row of durations for each.
_HEAD = 2


@internal
def in_row(table: Ints, row: int, n_bytes: int) -> int:
    """What a call takes by one row of a table, in ns: on the line through its neighbours, rounded up."""
    n = table[0]
    first = _HEAD + n + table[1] + row * n
    if n_bytes <= table[_HEAD]:
        return int(table[first])
    i = 1
    while i < n - 1 and n_bytes > table[_HEAD + i]:
        i += 1
    size, ns = table[_HEAD + i - 1], table[first + i - 1]
    over_bytes, gap, longer = n_bytes - size, table[_HEAD + i] - size, table[first + i] - ns
    # The product of gap and what it takes longer fits (``link_table``), that of any bytes need not.
    return int(ns + over_bytes // gap * longer - (-(over_bytes % gap * longer) // gap))


@compiled
def measured_ns(table: Ints, n_bytes: int, at_once: int) -> int:
    """A call that moves so many bytes, the last of so many at once, in ns (rule R46)."""
    n, first = table[1], _HEAD + table[0]
    j = 0
    while j < n - 1 and at_once >= table[first + j + 1]:
        j += 1
    ns = in_row(table, j, n_bytes)
    calls = at_once - table[first + j]
    if calls == 0 or j == n - 1:
        return ns
    other, gap = in_row(table, j + 1, n_bytes), table[first + j + 1] - table[first + j]
    # Rounded up, also where it falls.
    return int(ns - (ns - other) * calls // gap)


@internal
def stretched(spread: Ints, ns: int, first: int, number: int) -> int:
    """A duration times the factor that is drawn for a call of that number, rounded up (rule R47).

    ``spread`` as ``hops.spread_numbers`` has it; ``first`` is where the numbers of this purpose begin.
    """
    drawn = (home(plus(first, times(number, _STEP)), -1) >> _UNUSED) & _DRAWN
    n, i = spread[0], 2
    # The last share is beyond all that is drawn.
    while drawn >= spread[i]:
        i += 1
    share, factor = spread[i - 1], spread[n + i - 1]
    beyond, gap, rise = drawn - share, spread[i] - share, spread[n + i] - factor
    return slowed(ns, factor + rise // gap * beyond + rise % gap * beyond // gap)
