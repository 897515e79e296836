"""The machine's array from Python: made from the config, enlarged between steps, read at the end."""

import numpy as np

from simulator import distribution, keyset
from simulator import machine as m_
from simulator.accounting import ACCESS_COLUMNS, COMPONENTS, PREFETCH_COLUMNS, RECORD_COLUMNS, Books, Keeps, Questions
from simulator.arrays import NONE, Ints
from simulator.config import Arrivals, Closed, System
from simulator.distribution import D_IS_ROUNDED, D_LEFT, D_MASK, D_SUM, D_TABLE, MOST, Distribution
from simulator.events import EVENT_FIELDS
from simulator.flight import move_all
from simulator.hops import hops_of
from simulator.links import (
    L_ASKED,
    L_QUEUE_NS,
    L_QUEUES,
    L_STARTED,
    L_TRANSFER_NS,
    LINK_FIELDS,
    bytes_queued,
)
from simulator.policy import Policy, Status, Trigger
from simulator.records.arena import Victim
from simulator.tally import ALL_ROWS, CELL_FIELDS, NO_ROWS, SOME_ROWS

_FIRST_RECORDS = 64
_FIRST_TABLE = _FIRST_COUNTS = 1024
# Rows that a buffer has room for at first: few enough to stay in a core's own cache.
_BUFFER = 2048
_COLUMNS = {
    m_.ROWS: len(ACCESS_COLUMNS), m_.SETTLED: len(PREFETCH_COLUMNS), m_.RECORDS: len(RECORD_COLUMNS),
    m_.TOLD: m_.TOLD_COLUMNS, m_.RUN: m_.RUN_COLUMNS,
}  # fmt: skip
_NEEDS = {
    m_.TRANSFERS: m_.NEED_TRANSFERS, m_.ACCESSES: m_.NEED_ACCESSES, m_.PREFETCHES: m_.NEED_PREFETCHES,
    m_.QUESTIONS: m_.NEED_QUESTIONS, m_.CHUNKS: m_.NEED_CHUNKS,
}  # fmt: skip
_COUNTED = {
    m_.LATENCIES: m_.NEED_ROWS, m_.SLACK: m_.NEED_SETTLED, m_.SAVED: m_.NEED_SETTLED, m_.CHARGED: m_.NEED_RECORDS,
    m_.HOST: m_.NEED_RECORDS,
}  # fmt: skip
_BUFFER_NEEDS = {
    m_.ROWS: m_.NEED_ROWS, m_.SETTLED: m_.NEED_SETTLED, m_.RECORDS: m_.NEED_RECORDS, m_.TOLD: m_.NEED_TOLD,
    m_.RUN: m_.NEED_RUN,
}  # fmt: skip


class Machine:
    """Owns the array ``m``, which is another one after ``make_room``."""

    def __init__(self, system: System, arrivals: Arrivals, policy: Policy, books: Books, n_streams: int) -> None:
        self.m: Ints = np.zeros(m_.N_REGISTERS, np.int64)
        self._n_of = dict.fromkeys(_NEEDS, 0)
        for register in (m_.QUEUE, m_.QUEUE_LAST, m_.OPEN, m_.OPEN_LAST, m_.LATE, m_.LATE_LAST, m_.ASKED,
                         m_.ASKED_LAST, m_.FIRED, m_.FOUND_PREFETCH, *_NEEDS):  # fmt: skip
            self.m[register] = NONE
        self._settings(system, arrivals, policy)
        self.m[m_.N_STREAMS] = self.m[m_.N_READY] = n_streams
        self.m[m_.STREAMS] = self._region((n_streams + 1) * m_.STREAM_FIELDS)
        rows = self.streams
        for field in (m_.S_NEXT, m_.S_LAST, m_.S_WAITING, m_.S_WAITING_LAST):
            rows[:, field] = NONE
        self.m[m_.READY] = self._region(2 * n_streams)
        # Pairs of the time, which is 0 for all, and the stream.
        self.m[self.m[m_.READY] :][1 : 2 * n_streams : 2] = np.arange(n_streams)
        hops = hops_of(system)
        self.m[m_.N_LINKS] = len(hops)
        self.m[m_.LINKS] = self._region(len(hops) * LINK_FIELDS)
        for i, hop in enumerate(hops):
            link = self._link(i)
            registers = hop.registers()
            link[: len(registers)] = registers
            for priority in range(3):
                link[L_QUEUES + 3 * priority : L_QUEUES + 3 * priority + 2] = NONE
        self.m[m_.VICTIMS] = self._region(m_.VICTIM_ROOM * Victim.words)
        self._table(m_.FLIGHT, m_.FLIGHT_MASK, _FIRST_TABLE)
        for keys in (m_.POLLUTED, m_.KNOWN):
            self._table(keys + keyset.S_TABLE, keys + keyset.S_MASK, _FIRST_TABLE)
        for buffer in _COLUMNS:
            self._enlarge_buffer(buffer, _BUFFER)
        self.m[m_.FIRST_CLOSED] = m_.FOREVER
        self.m[m_.FIRST_OF_ALL], self.m[m_.PER_WINDOW] = books.first_access, books.window
        keeps = books.keeps if books.takes("accesses") else Keeps(length=0)
        self.m[m_.KEEPS_SETTLED], self.m[m_.KEEPS_RECORDS] = books.takes("prefetches"), books.takes("inferences")
        self.m[m_.KEEPS_ROWS] = (NO_ROWS, SOME_ROWS, ALL_ROWS)[(keeps.length > 0) + keeps.is_all]
        self.m[m_.ROWS_LENGTH], self.m[m_.ROWS_EVERY], self.m[m_.ROWS_BELOW] = keeps.length, keeps.every, keeps.below
        for counted in _COUNTED:
            self._enlarge_distribution(counted, 0)
        self._enlarge_cells(_FIRST_RECORDS)
        for pool in _NEEDS:
            self._enlarge_pool(pool, _FIRST_RECORDS)

    def _settings(self, system: System, arrivals: Arrivals, policy: Policy) -> None:
        first, budget, server = system.tiers[0], system.prefetch, system.inference
        origin = system.origin
        table = getattr(policy, "table", None)
        has_policy = policy.trigger != Trigger.NEVER
        values = {
            m_.CLOSED: arrivals.kind == "closed",
            m_.THINK: arrivals.think if isinstance(arrivals, Closed) else 0,
            m_.SERVICE_LATENCY: first.latency,
            m_.READ_RATE: first.read_bandwidth,
            m_.WRITE_RATE: first.write_bandwidth,
            m_.SLOW_PPM: m_.PPM,
            m_.BUSY_PPM: round(server.gpu_slowdown * m_.PPM),
            m_.FORESEES: any(tier.eviction.foresees for tier in system.tiers),
            m_.HAS_SHADOW: has_policy,
            m_.SHADOW_FORESEES: first.eviction.foresees,
            m_.ORIGIN: len(system.tiers),
            m_.EXCLUSIVE: system.placement == "exclusive",
            m_.DEMOTES: system.clean_evictions == "demote",
            m_.IN_PLACE: origin.kind == "compute" and origin.enters == "first",
            m_.COMPUTES: origin.kind == "compute",
            m_.MAX_IN_FLIGHT: budget.in_flight,
            m_.MAX_QUEUED: budget.queued,
            m_.MAX_BYTES: budget.bytes,
            m_.MAX_WAIT: NONE if budget.max_wait is None else budget.max_wait,
            m_.TRIGGER: int(policy.trigger),
            m_.SYNC: server.mode == "sync" and has_policy,
            m_.SERVERS: server.servers,
            m_.QUEUE_LIMIT: server.queue_limit,
            m_.BATCH_SIZE: server.batch_size,
            m_.STALE_AFTER: NONE if server.stale_after is None else server.stale_after,
            m_.AHEAD: policy.ahead.accesses,
            m_.AHEAD_OF_STREAM: policy.ahead.of_stream,
            m_.ASKS_PYTHON: has_policy,
            m_.HEARS_FATES: has_policy,
            m_.MOST_WANTED: table.most_wanted if table is not None else 0,
            m_.MOST_EVICTED: 1,
        }
        for register, value in values.items():
            self.m[register] = value

    def _region(self, n: int) -> int:
        """Room for ``n`` zeroes, at the end."""
        at = len(self.m)
        self.m = m_.enlarged(self.m, n)
        return at

    def _table(self, offset: int, mask: int, size: int) -> None:
        self.m[offset] = self._region(size)
        self.m[mask] = size - 1

    def _link(self, i: int) -> Ints:
        return self.m[self.m[m_.LINKS] + i * LINK_FIELDS :][:LINK_FIELDS]

    @property
    def streams(self) -> Ints:
        """The streams' rows, as a view of this array."""
        n = int(self.m[m_.N_STREAMS]) + 1
        return self.m[self.m[m_.STREAMS] :][: n * m_.STREAM_FIELDS].reshape(n, m_.STREAM_FIELDS)

    def rows(self, buffer: int) -> Ints:
        """What a buffer holds, as a view of this array."""
        at, n = int(self.m[buffer]), int(self.m[buffer + 1])
        return self.m[at : at + n * _COLUMNS[buffer]].reshape(n, _COLUMNS[buffer])

    def drop(self, buffer: int, n: int) -> None:
        """Its first ``n`` rows were read."""
        if n:
            rows = self.rows(buffer)
            rows[: len(rows) - n] = rows[n:].copy()
            self.m[buffer + 1] -= n

    def make_room(self, next_access: int) -> None:
        """Enlarge whatever the next step lacks; ``next_access`` is the last one that it could issue.

        Views of the old array are no good any more.
        """
        self._forget_shown()
        for counted, need in _COUNTED.items():
            if self.m[counted + D_LEFT] < self.m[need]:
                self._enlarge_distribution(counted, int(self.m[need]))
        if next_access - self.m[m_.FIRST_OF_ALL] >= self.m[m_.N_CELLS] * self.m[m_.PER_WINDOW]:
            self._enlarge_cells(int((next_access - self.m[m_.FIRST_OF_ALL]) // self.m[m_.PER_WINDOW]) + 1)
        for pool, need in _NEEDS.items():
            self.reserve(pool, int(self.m[need]))
        for buffer, need in _BUFFER_NEEDS.items():
            lacks = int(self.m[need] - (self.m[buffer + 2] - self.m[buffer + 1]))
            if lacks > 0:
                self._enlarge_buffer(buffer, max(lacks, int(self.m[buffer + 2])))
        for keys, need in ((m_.POLLUTED, m_.NEED_POLLUTED), (m_.KNOWN, m_.NEED_KNOWN)):
            n_more = int(self.m[need])
            if keyset.room(self.m, keys) < n_more:
                size = _FIRST_TABLE
                while size < 4 * (int(self.m[keys + keyset.S_KEYS]) + n_more):
                    size *= 2
                table = self._region(size)
                keyset.move_to(self.m, keys, table, size - 1)

    def reserve(self, pool: int, n_free: int) -> None:
        """Make sure that so many records of a pool are free."""
        lacks = n_free - int(self.m[pool + 1])
        if lacks > 0:
            self._enlarge_pool(pool, max(lacks, self._n_of[pool]))

    def _enlarge_pool(self, pool: int, n: int) -> None:
        at = self._region(n * m_.WIDTHS[pool])
        m_.thread(self.m, pool, at, n, m_.WIDTHS[pool])
        self._n_of[pool] += n
        if pool in (m_.TRANSFERS, m_.QUESTIONS):
            # As many events as there are transfers and questions can be pending at once.
            n_events = self._n_of[m_.TRANSFERS] + self._n_of[m_.QUESTIONS] + 1
            self._move(m_.EVENTS, int(self.m[m_.N_EVENTS]) * EVENT_FIELDS, n_events * EVENT_FIELDS)
        if pool == m_.TRANSFERS and 2 * self._n_of[pool] > self.m[m_.FLIGHT_MASK]:
            old, old_mask = int(self.m[m_.FLIGHT]), int(self.m[m_.FLIGHT_MASK])
            self._table(m_.FLIGHT, m_.FLIGHT_MASK, 2 * (old_mask + 1) if old_mask else _FIRST_TABLE)
            while 2 * self._n_of[pool] > self.m[m_.FLIGHT_MASK]:
                self._table(m_.FLIGHT, m_.FLIGHT_MASK, 2 * (int(self.m[m_.FLIGHT_MASK]) + 1))
            move_all(self.m, old, old_mask)

    def _enlarge_buffer(self, buffer: int, n_more: int) -> None:
        n, columns = int(self.m[buffer + 2]) + n_more, _COLUMNS[buffer]
        self._move(buffer, int(self.m[buffer + 1]) * columns, n * columns)
        self.m[buffer + 2] = n

    def _move(self, register: int, n_used: int, n: int) -> None:
        """A region becomes a larger one, elsewhere."""
        old = int(self.m[register])
        new = self._region(n)
        self.m[new : new + n_used] = self.m[old : old + n_used]
        self.m[register] = new

    def _enlarge_distribution(self, of: int, n_more: int) -> None:
        old_size = int(self.m[of + D_MASK]) + 1
        if old_size == 1:
            self.m[of + D_TABLE], self.m[of + D_MASK] = self._region(2 * _FIRST_COUNTS), _FIRST_COUNTS - 1
            self.m[of + D_LEFT] = _FIRST_COUNTS // 2
            return
        n = old_size // 2 - int(self.m[of + D_LEFT])
        is_rounded = bool(self.m[of + D_IS_ROUNDED]) or n > MOST
        size = old_size
        while size // 2 < n + n_more:
            size *= 2
        table = self._region(2 * size)
        distribution.move_to(self.m, of, table, size - 1, is_rounded)

    def _distribution(self, of: int) -> Distribution:
        at, size = int(self.m[of + D_TABLE]), int(self.m[of + D_MASK]) + 1
        return Distribution(self.m[at : at + 2 * size], int(self.m[of + D_SUM]))

    def _enlarge_cells(self, n: int) -> None:
        n_old = int(self.m[m_.N_CELLS])
        n = max(n, 2 * n_old)
        self._move(m_.CELLS, n_old * CELL_FIELDS, n * CELL_FIELDS)
        self.m[m_.N_CELLS] = n
        # No access is in the window that the last one was in, so that the next one looks where it is now.
        self.m[m_.CELLS_END] = NONE - self.m[m_.PER_WINDOW]

    def _forget_shown(self) -> None:
        """Accesses that every question put so far has shown need not be kept."""
        rows = self.rows(m_.RUN)
        n_shown = int(self.m[m_.RUN_SHOWN] - self.m[m_.RUN_BASE])
        if n_shown > 0:
            rows[: len(rows) - n_shown] = rows[n_shown:].copy()
            self.m[m_.N_RUN] -= n_shown
            self.m[m_.RUN_BASE] += n_shown

    def link_books(self) -> tuple[list[list[int]], list[list[int]], list[list[int]], list[int], list[int]]:
        """Bytes asked for, started and queued of each link by class, and what accesses waited there, in ns."""
        n = int(self.m[m_.N_LINKS])
        links = [self._link(i).tolist() for i in range(n)]
        return (
            [link[L_ASKED : L_ASKED + 3] for link in links],
            [link[L_STARTED : L_STARTED + 3] for link in links],
            [[int(bytes_queued(self.m, i, class_)) for class_ in range(3)] for i in range(n)],
            [link[L_QUEUE_NS] for link in links],
            [link[L_TRANSFER_NS] for link in links],
        )

    def close_tally(self, books: Books) -> None:
        """Hand over what was counted of the accesses."""
        m = self.m
        books.n_outcomes = self.counts(m_.N_OF_OUTCOME, len(books.n_outcomes))
        components = dict(zip(COMPONENTS, self.counts(m_.SUMS, len(COMPONENTS)), strict=True))
        books.sums = {"latency_ns": int(m[m_.LATENCIES + D_SUM]), **components}
        books.n_shadow_misses, books.n_saved, books.n_caused = self.counts(m_.N_SHADOW, 3)
        books.end_ns, books.min_access, books.n_accesses, books.n_broken = self.counts(m_.END, 4)
        books.latency, books.slack, books.saved, charged, host = map(self._distribution, _COUNTED)
        n_status = self.counts(m_.N_STATUS, len(Status))
        books.questions = Questions(
            int(m[m_.N_ASKED]), n_status, int(m[m_.N_PREDICTED]), int(m[m_.N_CAME_TRUE]), charged, host
        )
        at, n = int(m[m_.CELLS]), int(m[m_.N_CELLS])
        books.cells = m[at : at + n * CELL_FIELDS].reshape(n, CELL_FIELDS).copy()

    def counts(self, register: int, n: int) -> list[int]:
        """Registers that follow each other."""
        return [int(value) for value in self.m[register : register + n]]
