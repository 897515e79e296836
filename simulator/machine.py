"""Where everything lies in the machine's one array: settings, streams, links, what moves, what waits, what is asked.

As in the residency (``residency.layout``), all state is one int64 array and a place in it is a plain integer, so that
compiled code passes two arguments and Python can look at everything. Behind the registers come regions: the streams,
the links, the heap of events, buffers of finished rows, and pools of records. A record is the offset of its first
field and never moves; the array grows at its end, between steps, and each step is checked for room beforehand.
"""

import numpy as np
import numpy.typing as npt

from simulator.arrays import Ints
from simulator.compiled import compiled, internal

# -- registers: settings -------------------------------------------------------------------------------------
(
    CLOSED, THINK, SERVICE_LATENCY, READ_RATE, WRITE_RATE, BUSY_PPM, FORESEES, HAS_SHADOW, SHADOW_FORESEES, ORIGIN,
    EXCLUSIVE, DEMOTES, IN_PLACE, COMPUTES, MAX_IN_FLIGHT, MAX_QUEUED, MAX_BYTES, MAX_WAIT, TRIGGER, SYNC, SERVERS,
    QUEUE_LIMIT, BATCH_SIZE, STALE_AFTER, AHEAD, AHEAD_OF_STREAM, ASKS_PYTHON, CHARGE, MOST_WANTED, TO_CHOOSE,
) = range(30)  # fmt: skip
# -- registers: the state of the run ---------------------------------------------------------------------------
# ``base`` is the trace index of the window's first access, ``most_evicted`` bounds the victims of one insertion,
# ``is_fresh`` says that an access has just put a question, ``to_choose`` that links have something new to choose from.
(
    NOW, SLOW_PPM, BASE, POSITION, AT_END, N_READY, N_STREAMS, N_OUTSTANDING, N_ACCESSES, MOST_EVICTED, N_PREFETCHES,
    PREFETCH_BYTES, N_BUSY, N_BATCHES, N_ASKED, IS_FRESH, QUEUE, QUEUE_LAST, N_QUEUED, OPEN, OPEN_LAST, LATE,
    LATE_LAST, ASKED, ASKED_LAST, FIRED_KIND, FIRED, FOUND_PREFETCH, FIRST_WRITE, N_POLLUTED_TOLD, RUN_SHOWN, RUN_BASE,
) = range(30, 62)  # fmt: skip
# -- registers: counts of the books ----------------------------------------------------------------------------
N_PROPOSED, N_ISSUED, N_POLLUTION = range(62, 65)
N_REJECTED = 65  # five: resident, in flight, unknown, budget, stale
N_FATES = 70  # six
# -- registers: what the next step needs room for, when it lacks it ------------------------------------------------
(
    NEED_INSERTS, NEED_TRANSFERS, NEED_ACCESSES, NEED_PREFETCHES, NEED_QUESTIONS, NEED_CHUNKS, NEED_ROWS, NEED_SETTLED,
    NEED_RECORDS, NEED_TOLD, NEED_POLLUTED, NEED_KNOWN, NEED_RUN,
) = range(76, 89)  # fmt: skip
# -- registers: regions ------------------------------------------------------------------------------------------
STREAMS, READY, LINKS, N_LINKS, EVENTS, N_EVENTS, N_LOADED, EVENT_ID, FLIGHT, FLIGHT_MASK, VICTIMS = range(89, 100)
# Buffers: offset, how many rows there are, and for how many there is room.
ROWS, N_ROWS, ROWS_CAPACITY = range(100, 103)
SETTLED, N_SETTLED, SETTLED_CAPACITY = range(103, 106)
RECORDS, N_RECORDS, RECORDS_CAPACITY = range(106, 109)
TOLD, N_TOLD, TOLD_CAPACITY = range(109, 112)
RUN, N_RUN, RUN_CAPACITY = range(112, 115)
# Sets of keys, six registers each (``keyset``).
POLLUTED, KNOWN = 115, 121
# Pools: the first free record, and how many are free.
TRANSFERS, ACCESSES, PREFETCHES, QUESTIONS, CHUNKS = 127, 129, 131, 133, 135
# The window on the trace: how many accesses it has.
WINDOW_LENGTH = 137
# -- registers: the tally of closed accesses ----------------------------------------------------------------------
N_OF_OUTCOME = 138  # five
SUMS = 143  # four: service, queueing, transfer, inference
N_SHADOW = 147  # three: misses of a tier 0 without prefetching, of these saved, others caused
(
    END, FIRST_CLOSED, N_CLOSED, N_BROKEN, KEEPS_ROWS, KEEPS_SETTLED, KEEPS_RECORDS, FIRST_OF_ALL, PER_WINDOW, CELLS,
    N_CELLS, CELL, CELLS_END, ROWS_LENGTH, ROWS_EVERY, ROWS_BELOW, HEARS_FATES,
) = range(150, 167)  # fmt: skip
# -- registers: the tally of questions: four by status, guesses that could be judged and that came true
N_STATUS, N_PREDICTED, N_CAME_TRUE = 167, 171, 172
# Distributions, five registers each (``distribution``): latencies of accesses, the slack of prefetches on time, what
# late ones saved, what questions were charged and what they took.
LATENCIES, SLACK, SAVED, CHARGED, HOST = range(173, 198, 5)
# For how many small steps there is room (``room``).
SPARE = 198
N_REGISTERS = 200

# -- a stream's row: its next access, accesses outstanding, the end of the request so far,
# whether one is half issued and which, the last access that was loaded; how many accesses it has issued, and the
# questions that wait for some of them. One row more is for questions about the accesses of all streams.
(
    S_NEXT, S_OUTSTANDING, S_END, S_INSIDE, S_REQUEST, S_LAST, S_SEEN, S_WAITING, S_WAITING_LAST,
) = range(9)  # fmt: skip
STREAM_FIELDS = 12

# -- records; the first field links those of a list, and the free ones ----------------------------------------------
# A block on its way. ``class`` is what it was started as, ``priority`` what it counts as now, ``level`` where it has
# got to, ``started`` NONE while it queues, ``mate`` the next one of the same call, ``late`` the prefetch that a demand
# met. Its path has (link, queued, started, ended) of each finished hop.
(
    T_NEXT, T_PREV, T_KEY, T_SIZE, T_CLASS, T_PRIORITY, T_LEVEL, T_SOURCE, T_LINK, T_DOWN, T_DIRTY, T_PREFETCH, T_LATE,
    T_OBSOLETE, T_QUEUED, T_STARTED, T_MATE, T_WAITER, T_LAST_WAITER, T_N_WAITERS, T_N_HOPS, T_PATH,
) = range(22)  # fmt: skip
# An access that waits: for a block, or for an answer.
(
    X_NEXT, X_INDEX, X_STREAM, X_REQUEST, X_KEY, X_OP, X_OUTCOME, X_ISSUED, X_SHADOW, X_SIZE, X_INFERENCE, X_JOINED,
) = range(12)  # fmt: skip
# A prefetch whose fate is open, or that is late and has not landed yet.
(
    P_NEXT, P_PREV, P_ROW, P_INFERENCE, P_KEY, P_SIZE, P_SOURCE, P_PROPOSED, P_FILLED, P_USED, P_USED_ACCESS,
    P_EVICTED, P_CONFIDENCE,
) = range(13)  # fmt: skip
# A question, in the server's queue or in a batch by ``next``, among those that wait for the access that they are
# about by ``later``, and in the order of asking by ``before`` and ``after``.
(
    Q_NEXT, Q_LATER, Q_BEFORE, Q_AFTER, Q_ROW, Q_ACCESS, Q_STREAM, Q_SIZE, Q_STATUS, Q_ASKED, Q_STARTED, Q_ENDED,
    Q_CHARGED, Q_HOST, Q_DEVICE, Q_BATCH, Q_HAS_GUESS, Q_GUESS, Q_CONFIDENCE, Q_HAS_NEXT, Q_NEXT_KEY, Q_N_KEYS,
    Q_ISSUED, Q_RUN_END, Q_WAITER, Q_TARGET, Q_IS_WAITING, Q_WANTED,
) = range(28)  # fmt: skip
# Blocks that an answer wants: so many (key, confidence) to a chunk, the next chunk behind the first field.
K_NEXT, K_FIRST = 0, 2
CHUNK_KEYS = 7
WIDTHS = {TRANSFERS: 56, ACCESSES: 16, PREFETCHES: 16, QUESTIONS: 32, CHUNKS: 16}

# Rows of the buffers that no other module names: fates told to a policy, accesses not yet shown to it.
TOLD_COLUMNS, RUN_COLUMNS = 2, 3
VICTIM_ROOM = 64
PPM = 1_000_000
FOREVER = 2**63 - 1


@internal
def take(m: Ints, pool: int) -> int:
    """A record of a pool; the step has been checked for room."""
    record = m[pool]
    m[pool] = m[record]
    m[pool + 1] -= 1
    return int(record)


@internal
def give_back(m: Ints, pool: int, record: int) -> None:
    """A record is free again."""
    m[record] = m[pool]
    m[pool] = record
    m[pool + 1] += 1


@compiled
def thread(m: Ints, pool: int, first: int, n: int, width: int) -> None:
    """Add ``n`` new records from ``first`` on to a pool."""
    for i in range(n - 1, -1, -1):
        give_back(m, pool, first + i * width)


def enlarged(m: Ints, n_more: int) -> Ints:
    """A copy with so much more room at its end."""
    larger = np.zeros(len(m) + n_more, np.int64)
    larger[: len(m)] = m
    return larger


def table_of(m: Ints, buffer: int, n_columns: int) -> Ints:
    """The rows of a buffer, as a view."""
    at, n = int(m[buffer]), int(m[buffer + 1])
    return m[at : at + n * n_columns].reshape(n, n_columns)


def floats(values: Ints) -> npt.NDArray[np.float64]:
    """Numbers that the array keeps as their bits."""
    return np.ascontiguousarray(values).view(np.float64)
