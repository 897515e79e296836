"""What is counted of each access as it closes (rules R17, R18): in the machine, so that no row need be kept for it."""

import numpy as np

from simulator.arrays import Ints, home, plus
from simulator.compiled import internal
from simulator.distribution import count
from simulator.machine import (
    CELL,
    CELLS,
    CELLS_END,
    END,
    FIRST_CLOSED,
    FIRST_OF_ALL,
    KEEPS_ROWS,
    LATENCIES,
    N_BROKEN,
    N_CLOSED,
    N_OF_OUTCOME,
    N_ROWS,
    N_SHADOW,
    PER_WINDOW,
    ROWS,
    ROWS_BELOW,
    ROWS_EVERY,
    ROWS_LENGTH,
    SUMS,
)
from simulator.policy import Outcome

# A row of the ``accesses`` table (``accounting.ACCESS_COLUMNS``).
ROW_COLUMNS = 13
# What a tier 0 without prefetching would have found.
SHADOW_NONE, SHADOW_HIT, SHADOW_MISS = -1, 0, 1
MERGED, N_OUTCOMES = int(Outcome.MERGED), len(Outcome)
# Of each window of accesses: how many of each outcome, and the sums of latency and inference.
CELL_FIELDS = N_OUTCOMES + 2
# Which accesses a row is kept of. Of some: by place in the trace and by request, so that it is the same in every arm.
NO_ROWS, SOME_ROWS, ALL_ROWS = range(3)
SHARE_BITS = 53


@internal
def _is_kept(m: Ints, access: int, stream: int, request: int) -> bool:
    place = (access - m[FIRST_OF_ALL]) % m[ROWS_EVERY]
    # Streams may number their requests alike; an odd factor tells them apart. Numbers may be of all 64 bits.
    apart = int(np.uint64(stream) * np.uint64(0x9E3779B97F4A7C1))
    drawn = home(plus(request, apart), (1 << SHARE_BITS) - 1)
    return bool(place < m[ROWS_LENGTH] and drawn < m[ROWS_BELOW])


@internal
def close(
    m: Ints,
    access: int,
    stream: int,
    request: int,
    key: int,
    op: int,
    outcome: int,
    issued: int,
    latency: int,
    service: int,
    transfer: int,
    inference: int,
    shadow: int,
) -> None:
    """All is known of an access; what is neither service, transfer nor inference was queueing."""
    queue = latency - service - inference - transfer
    m[N_BROKEN] += queue < 0
    m[N_CLOSED] += 1
    m[N_OF_OUTCOME + outcome] += 1
    m[SUMS] += service
    m[SUMS + 1] += queue
    m[SUMS + 2] += transfer
    m[SUMS + 3] += inference
    count(m, LATENCIES, latency)
    m[END] = max(m[END], issued + latency)
    m[FIRST_CLOSED] = min(m[FIRST_CLOSED], access)
    if shadow != SHADOW_NONE:
        is_demand_miss = outcome >= MERGED
        m[N_SHADOW] += shadow
        m[N_SHADOW + 1] += shadow == SHADOW_MISS and not is_demand_miss
        m[N_SHADOW + 2] += shadow == SHADOW_HIT and is_demand_miss
    # Accesses close nearly in order: the last one's window is mostly this one's.
    since = access - m[CELLS_END]
    if since >= 0 or since < -m[PER_WINDOW]:
        window = (access - m[FIRST_OF_ALL]) // m[PER_WINDOW]
        m[CELL] = m[CELLS] + window * CELL_FIELDS
        m[CELLS_END] = m[FIRST_OF_ALL] + (window + 1) * m[PER_WINDOW]
    m[m[CELL] + outcome] += 1
    m[m[CELL] + N_OUTCOMES] += latency
    m[m[CELL] + N_OUTCOMES + 1] += inference
    if m[KEEPS_ROWS] == ALL_ROWS or (m[KEEPS_ROWS] == SOME_ROWS and _is_kept(m, access, stream, request)):
        row = m[ROWS] + m[N_ROWS] * ROW_COLUMNS
        m[N_ROWS] += 1
        m[row], m[row + 1], m[row + 2], m[row + 3], m[row + 4] = access, stream, request, key, op
        m[row + 5], m[row + 6], m[row + 7], m[row + 8] = outcome, issued, latency, service
        m[row + 9], m[row + 10], m[row + 11], m[row + 12] = queue, transfer, inference, shadow
