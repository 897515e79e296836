"""One run: compiled code for what does not wait, SimPy for what does."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator import kernel
from simulator.accounting import A_SHADOW, ACCESS_COLUMNS, SHADOW_NONE, Books
from simulator.asking import Asking, Log
from simulator.attribution import Attribution
from simulator.charge import Charge
from simulator.clock import Clock
from simulator.config import Arrivals, Closed, System
from simulator.demand import DemandTier
from simulator.errors import InputError
from simulator.feed import Feed
from simulator.future import future_of
from simulator.inference import Question
from simulator.issuing import Issuing
from simulator.kernel import NOT_CLOSED, PPM
from simulator.links import PREFETCH, Transfer
from simulator.movement import Movement
from simulator.policy import Outcome, Policy, Trigger
from simulator.residency.keyset import KeySet
from simulator.residency.layout import NONE, signed
from simulator.seeds import generator
from simulator.shadow import Shadow
from simulator.tiers import make_residency
from simulator.trace import WRITE, Workload, part

_LOG_SIZE = 1 << 16
# Plain integers: Numba takes many times as long to recognise the member of an enumeration.
_HIT, _LATE, _MERGED, _MISS = int(Outcome.HIT), int(Outcome.LATE), int(Outcome.MERGED), int(Outcome.MISS)
_NEVER, _TAGGED, _ON_ACCESS = int(Trigger.NEVER), int(Trigger.TAGGED), int(Trigger.ACCESS)
_INT64 = np.int64


class Access:
    """An access that the compiled loop did not close itself."""

    __slots__ = (
        "index",
        "inference_ns",
        "issued_ns",
        "joined_ns",
        "key",
        "op",
        "outcome",
        "request",
        "size",
        "stream",
    )  # fmt: skip

    def __init__(self, index: int, issued_ns: int, stream: int, key: int, size: int, op: int, request: int) -> None:
        self.index = index
        self.issued_ns = issued_ns
        self.stream = stream
        self.key = key
        self.size = size
        self.op = op
        self.request = request
        self.outcome = _MISS
        self.inference_ns = 0
        self.joined_ns = 0


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run leaves besides its books."""

    end_ns: int
    bytes_moved: list[list[int]]
    n_accesses: int


class Engine:
    """Drives one workload through one system under one policy. An instance runs once."""

    def __init__(
        self,
        system: System,
        arrivals: Arrivals,
        workload: Workload,
        policy: Policy,
        charge: Charge,
        books: Books,
        *,
        seed: int = 0,
        first_access: int = 0,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Takes the accesses from ``first_access`` on; ``progress`` is told how many are done, now and then.

        Raises:
            InputError: the policy needs more memory than tier 0 has.
        """
        first = system.tiers[0]
        capacity = first.capacity - policy.footprint_bytes
        if capacity <= 0:
            raise InputError(
                f"system.tiers.0.capacity: {first.capacity} B of {first.name!r}, but the policy keeps "
                f"{policy.footprint_bytes} B there (rule R7); expected a larger tier"
            )
        self._system = system
        self._capacities = [capacity, *(tier.capacity for tier in system.tiers[1:])]
        self._clock = Clock()
        self._books = books
        self._progress = progress
        batches = part(workload.batches(), first_access)
        future = None
        if any(tier.eviction == "belady" for tier in system.tiers):
            future = future_of(part(workload.batches(), first_access))
        self._shadow: Shadow | None = None
        if policy.trigger != Trigger.NEVER:
            self._shadow = Shadow(DemandTier(system, workload, seed, future))
            books.has_shadow = True
        self._residency = make_residency(system, self._capacities, workload, seed)
        if future is not None:
            self._residency.foresee(future.keys, future.first_use)
        self._movement = Movement(self._clock, system, self._residency, self)
        self._attribution = Attribution(len(self._movement.links))
        self._feed = Feed(
            batches, workload.n_streams, arrivals, generator(seed, "arrivals"), first_access,
            next_use=future.next_use if future is not None else None,
        )  # fmt: skip
        self._first_access = first_access
        self._control = self._settings(arrivals, policy)
        self._heap = np.arange(workload.n_streams, dtype=_INT64)
        self._control[kernel.C_HEAP] = workload.n_streams
        self._log = np.zeros((_LOG_SIZE, kernel.LOG_COLUMNS), _INT64)
        self._rows = np.zeros((_LOG_SIZE, len(ACCESS_COLUMNS)), _INT64)
        self._known = KeySet() if system.origin.kind == "compute" else None
        self._n_outstanding = 0
        self._n_logged = 0
        self.asking = Asking(self._clock, policy, system.inference, charge, books, self._answered, self._slow)
        self.issuing = Issuing(self._clock, self._movement, self._residency, self.asking, books, system, self._known)
        self._trigger = int(policy.trigger)

    def _settings(self, arrivals: Arrivals, policy: Policy) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        control = np.zeros(kernel.CONTROL_SIZE, _INT64)
        first = self._system.tiers[0]
        if isinstance(arrivals, Closed):
            control[kernel.C_CLOSED] = 1
            control[kernel.C_THINK] = arrivals.think
        control[kernel.C_LATENCY] = first.latency
        control[kernel.C_READ] = first.read_bandwidth
        control[kernel.C_WRITE] = first.write_bandwidth
        control[kernel.C_TRIGGER] = int(policy.trigger)
        control[kernel.C_SYNC] = self._system.inference.mode == "sync" and policy.trigger != _NEVER
        control[kernel.C_SLOW_PPM] = PPM
        control[kernel.C_FORESEES] = any(tier.eviction == "belady" for tier in self._system.tiers)
        return control

    def _slow(self, is_busy: bool) -> None:
        """An inference shares the GPU from now on, or no longer (rule R13)."""
        factor = self._system.inference.gpu_slowdown if is_busy else 1.0
        self._control[kernel.C_SLOW_PPM] = round(factor * PPM)

    def run(self) -> RunResult:
        """Run to the end of the trace, close the books and check them.

        Raises:
            BooksError: an identity of rule R19 does not hold.
            InputError: the trace is bad, or a recording does not fit the run.
        """
        clock, control, feed, log, heap = self._clock, self._control, self._feed, self._log, self._heap
        residency, advance = self._residency, kernel.advance
        while True:
            # What completes at t comes before what starts at t (rule R2).
            horizon = clock.next_event_ns()
            if horizon <= clock.now or (
                self._n_outstanding and control[kernel.C_CLOSED] and not control[kernel.C_HEAP]
            ):
                clock.step(horizon)
                continue
            why = advance(residency.arena, control, heap, feed.streams, log, feed.window, horizon)
            if why == kernel.NOT_RESIDENT or why == kernel.HIT or why == kernel.ASK_FIRST:
                self._stopped(why)
            elif why == kernel.HORIZON:
                clock.step(horizon)
            elif why == kernel.LOG_FULL:
                self._drain()
            elif why == kernel.NEED_DATA:
                self._load()
            elif self._n_outstanding:
                clock.step(horizon)
            else:
                break
        self._drain()
        return self._close()

    def _stopped(self, why: int) -> None:
        """The compiled loop stopped at an access."""
        time, at, stream, key, size, op, request, where, prefetch, first_write, outcome = self._control[
            kernel.C_TIME : kernel.C_CLOSED_ROWS
        ].tolist()
        self._clock.now = time
        key %= 2**64
        index = self._feed.base + at
        if why == kernel.HIT:
            if prefetch != NONE:
                self.issuing.used(prefetch, self._first_access + index)
            if first_write:
                self._movement.written(key)
            if self._trigger == _ON_ACCESS or (self._trigger == _TAGGED and outcome != _HIT):
                self._ask(index, stream, size)
            return
        self._n_outstanding += 1
        access = Access(index, time, stream, key, size, op, request)
        if why == kernel.ASK_FIRST:
            if not self._ask(index, stream, size, access):
                self._go(access)
            return
        self._not_resident(access, where)
        if access.outcome != _MISS:
            self._log[self._control[kernel.C_LOGGED] - 1, kernel.L_OUTCOME] = NOT_CLOSED + access.outcome
        if self._trigger != _NEVER:
            self._ask(index, stream, size)

    def _ask(self, index: int, stream: int, size: int, waiter: Access | None = None) -> bool:
        n_logged = int(self._control[kernel.C_LOGGED])
        return self.asking.ask(self._first_access + index, stream, size, waiter, self._log[:n_logged], self._feed.batch)

    def _answered(self, question: Question) -> None:
        if question.waiter is not None:
            question.waiter.inference_ns = self._clock.now - question.waiter.issued_ns
            self._go(question.waiter)
        self.issuing.issue(question)

    def _go(self, access: Access, *, waited: bool = False) -> None:
        """Look the block up now: the access comes fresh from a synchronous question, or ``waited`` for a write-back."""
        control = self._control
        if not kernel.touch(self._residency.arena, control, signed(access.key), access.op):
            self._not_resident(access, int(control[kernel.C_WHERE]))
            return
        # Another access waited with it and wrote the block: this one merged with that one's demand.
        access.outcome = _MERGED if waited else int(control[kernel.C_OUTCOME])
        if control[kernel.C_PREFETCH] != NONE:
            self.issuing.used(int(control[kernel.C_PREFETCH]), self._first_access + access.index)
        if control[kernel.C_FIRST_WRITE]:
            self._movement.written(access.key)
        self._serve(access, 0)

    def _not_resident(self, access: Access, where: int) -> None:
        movement = self._movement
        access.joined_ns = self._clock.now
        moving = movement.in_flight.get(access.key)
        if moving is not None:
            if not moving.down:
                access.outcome = _LATE if moving.priority == PREFETCH else _MERGED
                if access.outcome == _LATE:
                    self.issuing.met(moving.prefetch, self._first_access + access.index)
                    moving.late, moving.prefetch = moving.prefetch, NONE
            # A write-back is waited for like any transfer; the block is looked up again when it has landed.
            movement.promote(moving)
            moving.waiters.append(access)
            return
        access.outcome = _MISS
        if self._known is not None:
            self._known.add(access.key)
        if movement.polluted.n_keys and movement.polluted.discard(access.key):
            self._books.n_pollution += 1
            self.asking.polluted()
        if access.op == WRITE:
            movement.allocate(access.key, access.size)
            self._serve(access, 0)
        else:
            size = self._residency.size(access.key) if where else access.size
            movement.fetch(access.key, size, 0, where).waiters.append(access)

    def _serve(self, access: Access, transfer_ns: int) -> None:
        """The block is in tier 0: the access is served and its row closed."""
        n_rows = kernel.serve(
            self._control, self._heap, self._feed.streams, self._rows, self._clock.now,
            self._first_access + access.index, access.stream, access.request, signed(access.key), access.op,
            access.size, access.outcome, access.issued_ns, transfer_ns, access.inference_ns,
        )  # fmt: skip
        self._n_outstanding -= 1
        if n_rows == _LOG_SIZE:
            self._flush(np.zeros((len(ACCESS_COLUMNS), 0), _INT64), self._log[: int(self._control[kernel.C_LOGGED])])

    def landed(self, transfer: Transfer) -> None:
        """A block is in tier 0: serve who waits for it, in the order they came."""
        if transfer.prefetch != NONE:
            self.issuing.filled(transfer.prefetch)
        elif transfer.late != NONE:
            self.issuing.landed_late(transfer.late)
        for access in transfer.waiters:
            # To come in on behalf of a miss is no use on top of it; every other waiter's is.
            if access.outcome != _MISS or access.op == WRITE:
                is_there = kernel.touch(self._residency.arena, self._control, signed(access.key), access.op)
                if self._control[kernel.C_FIRST_WRITE]:
                    self._movement.written(access.key)
                elif access.op == WRITE and not is_there:
                    # It was not admitted: the write allocates as one that finds nothing does.
                    self._movement.allocate(access.key, access.size)
            self._serve(access, self._attribution.waited(transfer, access.joined_ns))

    def free_again(self, transfer: Transfer) -> None:
        """A write-back has landed below: those who waited look again."""
        for access in transfer.waiters:
            self._attribution.waited_below(transfer, self._clock.now - access.joined_ns)
            self._go(access, waited=True)

    def evicted_unused(self, prefetch: int) -> None:
        """See Movement's listener."""
        self.issuing.evicted(prefetch)

    def cancelled(self, prefetch: int) -> None:
        """See Movement's listener."""
        self.issuing.cancelled(prefetch)

    def _load(self) -> None:
        self._drain()
        feed, control = self._feed, self._control
        n_before = feed.n_loaded
        feed.load(int(control[kernel.C_POSITION]))
        control[kernel.C_AT_END] = feed.at_end
        control[kernel.C_POSITION] = 0 if not feed.at_end else control[kernel.C_POSITION]
        sizes = feed.batch.size_bytes[len(feed.batch) - (feed.n_loaded - n_before) :]
        if feed.n_loaded > n_before:
            self._check_sizes(sizes, n_before)

    def _check_sizes(self, sizes: "np.ndarray[tuple[int], np.dtype[np.uint32]]", first: int) -> None:
        smallest = min(self._capacities)
        if int(sizes.max()) > smallest or int(sizes.min()) == 0:
            bad = int(np.flatnonzero((sizes > smallest) | (sizes == 0))[0])
            tier = self._system.tiers[self._capacities.index(smallest)]
            index = self._first_access + first + bad
            if sizes[bad] == 0:
                raise InputError(f"trace: access {index} has size 0; expected a positive number of bytes")
            raise InputError(
                f"system.tiers: capacity of {tier.name!r} is {smallest} B, smaller than the block of "
                f"{int(sizes[bad])} B at access {index}; expected every tier to hold every block"
            )

    def _drain(self) -> None:
        """Hand the log to the books and empty it; the window may move afterwards."""
        control, feed = self._control, self._feed
        n = int(control[kernel.C_LOGGED])
        log = self._log[:n]
        if self._trigger != _NEVER:
            self.asking.keep(log, feed.batch)
        hits = log[log[:, kernel.L_OUTCOME] < NOT_CLOSED]
        at = hits[:, kernel.L_AT]
        table = np.zeros((len(ACCESS_COLUMNS), len(at)), _INT64)
        table[0] = at + feed.base + self._first_access
        table[1] = feed.batch.stream[at]
        table[2] = feed.batch.request[at]
        table[3] = feed.batch.key.view(_INT64)[at]
        table[4] = feed.batch.op[at]
        table[5] = hits[:, kernel.L_OUTCOME]
        table[6] = hits[:, kernel.L_TIME]
        table[7] = table[8] = hits[:, kernel.L_SERVICE]
        self._flush(table, log)
        self._n_logged += n
        if self._shadow is not None:
            self._shadow.emptied()
        control[kernel.C_LOGGED] = 0
        if self._progress is not None:
            self._progress(self._n_logged)

    def _flush(self, hits: "np.ndarray[tuple[int, int], np.dtype[np.int64]]", log: Log) -> None:
        n_rows = int(self._control[kernel.C_CLOSED_ROWS])
        rows = self._rows[:n_rows].T
        hits[A_SHADOW] = rows[A_SHADOW] = SHADOW_NONE
        if self._shadow is not None:
            self._shadow.follow(log, self._feed.window, self._feed.base + self._first_access)
            self._shadow.fill(hits)
            self._shadow.fill(rows)
        self._books.flush(hits, rows)
        self._control[kernel.C_CLOSED_ROWS] = 0

    def _close(self) -> RunResult:
        books, movement = self._books, self._movement
        self.issuing.close()
        self.asking.close()
        books.flush_prefetches()
        books.bytes_asked = movement.bytes_asked
        queued = [[0, 0, 0] for _ in movement.links]
        for sums, link in zip(queued, movement.links, strict=True):
            for transfer in link.queued():
                sums[transfer.class_] += transfer.size
        moved = [link.bytes_started for link in movement.links]
        books.check(
            n_issued_accesses=self._n_logged,
            bytes_started=moved,
            bytes_queued=queued,
            tiers=[tuple(self._residency.counts(level)) for level in range(len(self._capacities))],  # type: ignore[misc]
            attribution=self._attribution,
        )
        return RunResult(books.end_ns, moved, self._n_logged)
