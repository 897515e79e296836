"""One run: compiled code, and Python for what it leaves: the trace, questions to a policy in Python, tables, books.

It says what ``simulator.model`` says, faster: the tables of both are the same to the bit.
"""

from collections.abc import Callable

import numpy as np

from simulator import closing, fates, kernel, lives, questions
from simulator.accounting import Books, RunResult, SoFar
from simulator.arrays import NONE, Ints
from simulator.charge import Charge, fixed, is_free, measured, measured_cpu, sampled
from simulator.charging import FIXED, LISTED, MEASURED, MEASURED_CPU
from simulator.checks import capacities_of, check_durations, check_policy, check_requests, check_sizes, too_late
from simulator.compiled import address_of
from simulator.config import Arrivals, System
from simulator.demand import DemandTier
from simulator.families import families_of
from simulator.feed import Feed
from simulator.future import future_of
from simulator.needs import ToShow, needs_of
from simulator.policy import Policy, Table, Trigger, hears, parts_of, table_at_once
from simulator.records.run import Run
from simulator.residency.names import MOST_PUSHED_OUT
from simulator.seeds import generator
from simulator.settings import write_at_once, write_table
from simulator.state import Machine
from simulator.talking import Talk
from simulator.tiers import make_residency
from simulator.trace import Workload, part

# Rows of one buffer are handed on so many at a time: what a table holds does not depend on when there was room.
_ROWS = 1024
# So many costs are drawn at once.
_COSTS = 4096


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
        prefix_reuse: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Takes the accesses from ``first_access`` on, and judges those from ``books.first_access`` on (rule R38).

        ``prefix_reuse``: of a request, what lies behind a missing block is of no use (rule R41). ``progress`` is told
        how many are done, now and then.

        Raises:
            InputError: the policy needs more memory than tier 0 has, or a feature that the trace lacks.
        """
        self._system = system
        self._capacities = capacities_of(system, policy)
        check_requests(system, arrivals, prefix_reuse=prefix_reuse)
        check_policy(system, policy)
        self._books = books
        self._parts = parts = parts_of(policy, is_free=is_free(charge))
        self._policy = policy = parts.later
        self._charge = charge
        self._progress = progress
        self._first_access = first_access
        future = None
        if any(tier.eviction.foresees for tier in system.tiers):
            future = future_of(part(workload.batches(), first_access))
        books.has_shadow = policy.trigger != Trigger.NEVER
        books.link_names, books.n_tiers = system.link_names(), len(system.tiers)
        self._residency = make_residency(system, self._capacities, workload, seed, books.first_access)
        if future is not None:
            self._residency.foresee(future.keys, future.first_use)
        families = None
        if any(tier.eviction.knows_families for tier in system.tiers):
            families = families_of(workload, first_access)
            self._residency.adopt(families)
        # What a tier 0 misses that nobody prefetches into: run alongside, it tells what prefetching saved and caused.
        self._shadow = self._residency
        if books.has_shadow:
            self._shadow = DemandTier(system, workload, seed, future, books.first_access, families).residency
        self._machine = Machine(system, arrivals, policy, books, workload.n_streams, seed, first_access)
        self._to_show: ToShow | None = None
        table = _table_of(policy, charge)
        if table is None and (wanted := needs_of(policy)):
            self._to_show = ToShow(f"policy {type(policy).__name__}", wanted, first_access=first_access)
        self._feed = Feed(
            part(workload.batches(), first_access), self._machine, arrivals, generator(seed, "arrivals"), first_access,
            next_use=future.next_use if future is not None else None, to_show=self._to_show, requests=system.requests,
        )  # fmt: skip
        if books.first_access == first_access:
            self._run.judged_since_ns = 0
        books.has_prefixes = prefix_reuse
        settings = self._run.settings
        settings.reuses_prefixes = prefix_reuse
        settings.defers = system.requests is not None and prefix_reuse and system.origin.kind == "compute"
        self._place()
        self._sizes = (2**63 - 1, 0)
        self._hears = hears(policy)
        if table is not None:
            self._ask_without_python(table, charge)
        if parts.at_once is not None:
            self._ask_within_accesses(table_at_once(parts.at_once))

    def _ask_within_accesses(self, table: Table) -> None:
        """Whatever is told is told there."""
        self._wanted_at_once: Ints = np.full((3, table.most_wanted), NONE)
        write_at_once(self._run.settings, table, self._wanted_at_once)
        self._hears = False

    def _ask_without_python(self, table: Table, charge: Charge) -> None:
        settings = self._run.settings
        how = _charge_of(charge, is_timed=table.is_timed)
        assert how is not None
        settings.charge = how
        if isinstance(charge, fixed):
            settings.charge_ns = charge.ns
        # One more is for the best guess, behind those that are wanted.
        self._wanted: Ints = np.full((3, table.most_wanted + 1), NONE)
        settings.asks_python, settings.hears_fates = 0, table.hears
        settings.is_learned, settings.is_timed = table.is_learned, table.is_timed
        settings.sees_writes = table.sees_writes
        write_table(settings.table, table, self._wanted)
        takes_time = table.is_learned or table.is_timed or settings.is_sync
        settings.answers_at_once = is_free(charge) and not takes_time and not self._run.kept.inferences

    def _draw_costs(self) -> None:
        """The next costs that batches are charged."""
        assert isinstance(self._charge, sampled)
        self._costs = self._charge.draw(_COSTS)
        server = self._run.server
        server.costs, server.n_costs, server.n_charged = address_of(self._costs), _COSTS, 0

    @property
    def _run(self) -> Run:
        return self._machine.run

    def run(self) -> RunResult:
        """Run to the end of the trace, close the books and check them.

        Raises:
            BooksError: an identity of rule R19 does not hold.
            InputError: the trace is bad, or a recording does not fit the run.
        """
        run, places = kernel.compile_run(self._run.settings.running > 0), self._places()
        talk = Talk(self._machine, self._policy, self._charge, self._to_show, self._books, hears=self._hears)
        while True:
            why = run(*places)
            if why == kernel.ASK:
                if not talk.ask():
                    continue
            elif why == kernel.ROOM:
                self._make_room()
            elif why == kernel.COSTS:
                self._draw_costs()
            elif why == kernel.NEED_DATA:
                self._load()
            elif why == kernel.TOO_LATE:
                raise too_late(self._first_access + self._run.n_accesses)
            else:
                break
            # Arrays that grow are others afterwards.
            places = self._places()
        talk.keep_update()
        return self._close()

    def so_far(self, n_windows: int) -> SoFar:
        """What it has come to, with the last ``n_windows`` windows: for who is told of progress."""
        counted = self._run.books
        return SoFar.of(
            counted.n_of_outcome.tolist(), counted.latency.total, closing.windows_so_far(self._run, n_windows)
        )

    def _places(self) -> tuple[int, ...]:
        arenas = address_of(self._residency.arena), address_of(self._shadow.arena)
        return *arenas, self._machine.address, address_of(self._feed.window)

    def _make_room(self) -> None:
        self._flush()
        n_inserts = self._run.needs.inserts
        self._machine.make_room(self._run.base + self._feed.length)
        self._residency.reserve(n_inserts)
        self._shadow.reserve(1)

    def _flush(self, *, at_end: bool = False) -> None:
        """Hand finished rows to the books: whole pieces, and at the end what is left."""
        books, machine = self._books, self._machine
        for buffer, add in (
            ("accesses", books.add_accesses), ("prefetches", books.add_prefetches), ("inferences", books.add_questions),
            ("requests", books.add_requests), ("transfers", books.add_transfers),
        ):  # fmt: skip
            rows = machine.rows(buffer)
            n = len(rows) if at_end else len(rows) - len(rows) % _ROWS
            for first in range(0, n, _ROWS):
                add(rows[first : min(first + _ROWS, n)])
            machine.drop(buffer, n)
        if self._progress is not None:
            self._progress(self._run.books.n_closed + self._run.unjudged.n_closed)

    def _place(self) -> None:
        run = self._run
        run.base = self._feed.base + self._first_access
        run.window_length, run.n_loaded = self._feed.length, self._feed.n_loaded

    def _load(self) -> None:
        feed, run = self._feed, self._run
        n_before = feed.n_loaded
        n_dropped = feed.load(run.position)
        run.is_at_end = feed.at_end
        if not feed.closed:
            run.position -= n_dropped
            run.arrived -= n_dropped
        self._place()
        if feed.n_loaded > n_before:
            check_sizes(feed.new, self._first_access + n_before)
            self._note_sizes(feed.new.size_bytes)
        self._flush()

    def _note_sizes(self, sizes: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> None:
        if int(sizes.max()) > self._sizes[1]:
            check_durations(self._system, int(sizes.max()))
        self._sizes = min(self._sizes[0], int(sizes.min())), max(self._sizes[1], int(sizes.max()))
        # To make room for the largest block, so many of the smallest may have to go; or for the use of one.
        most = -(-self._sizes[1] // self._sizes[0])
        pushes_out = any(tier.eviction.pushes_out for tier in self._system.tiers)
        self._run.most_evicted = max(most, MOST_PUSHED_OUT) if pushes_out else most

    def _close(self) -> RunResult:
        books, machine = self._books, self._machine
        books.bytes_asked, started, queued, books.link_queue_ns, books.link_transfer_ns = closing.link_books(self._run)
        books.write_back_queued = closing.backlogs(self._run, len(self._capacities))
        for close_left in (fates.close_left, questions.record_left, lives.close_left):
            while not close_left(machine.address):
                self._make_room()
        self._flush(at_end=True)
        closing.close_tally(self._run, books)
        books.n_evicted, books.resident_bytes = self._residency.counts(0).n_out, self._residency.used_bytes(0)
        books.check(
            n_issued_accesses=self._run.n_accesses,
            bytes_started=started,
            bytes_queued=queued,
            bytes_moved=(moved := closing.bytes_moved(self._run)),
            tiers=[tuple(self._residency.counts(level)) for level in range(len(self._capacities))],  # type: ignore[misc]
        )
        return RunResult(books.end_ns, moved, books.n_accesses)


def _charge_of(charge: Charge, *, is_timed: bool) -> int | None:
    """How compiled code charges a question; None if it cannot tell what one costs."""
    if isinstance(charge, fixed):
        return FIXED
    if isinstance(charge, sampled):
        return LISTED
    if is_timed and charge is measured:
        return MEASURED
    return MEASURED_CPU if is_timed and charge is measured_cpu else None


def _table_of(policy: Policy, charge: Charge) -> Table | None:
    """What of a policy is asked without Python, if compiled code can tell what that costs and has what it needs."""
    table: Table | None = getattr(policy, "table", None)
    if table is None or _charge_of(charge, is_timed=table.is_timed) is None:
        return None
    return None if set(needs_of(policy)) - ({"op"} if table.sees_writes else set()) else table
