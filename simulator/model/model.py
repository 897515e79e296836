"""The model: a workload, a system, a policy and a charge, as processes and resources of SimPy.

``env`` is SimPy's environment, whose clock is in whole nanoseconds (rule R1): start processes of your own before
``run``. ``links["hbm_dram"]`` is a resource, ``tiers["hbm"]`` has blocks, ``flight`` the transfer of each block that is
on its way.
"""

from collections.abc import Callable, Generator
from typing import Any

from simpy import Environment

from simulator.accounting import Books, RunResult, SoFar
from simulator.arrivals import Trace
from simulator.charge import Charge
from simulator.checks import capacities_of, check_policy, check_requests
from simulator.config import Arrivals, System
from simulator.evictions.of_system import make_all, next_uses, parents_of
from simulator.evictions.registry import make
from simulator.ledger.ledger import Ledger
from simulator.model.accesses import Access, Accesses, start
from simulator.model.asking import InferenceServer
from simulator.model.backlog import Backlog
from simulator.model.links import END, Instant, Link, make_links
from simulator.model.lives import Lives
from simulator.model.memory import Memory, Tier, Transfer
from simulator.model.prefixes import Prefixes
from simulator.policy import Policy
from simulator.trace import Workload

EVENTS = ("issued", "served", "asked", "superseded", "started", "answered", "landed", "evicted", "written", "settled")
"""What hooks can be told of, with: the access; the access; the question; the question; the batch of questions; the
question; the transfer; the tier, key and block; the key; the prefetch and its fate."""
Hook = Callable[..., None]


class Model:
    """Drives one workload through one system under one policy. An instance runs once; ``Engine`` takes the same."""

    def __init__(
        self, system: System, arrivals: Arrivals, workload: Workload, policy: Policy, charge: Charge, books: Books, *,
        seed: int = 0, first_access: int = 0, prefix_reuse: bool = False, progress: Callable[[int], None] | None = None,
        make_eviction: Any = make,
    ) -> None:  # fmt: skip
        """Takes the accesses from ``first_access`` on, and judges those from ``books.first_access`` on (rule R38).

        ``prefix_reuse``: of a request, what lies behind a missing block is of no use (rule R41). ``progress`` is told
        how many are done, now and then.

        ``make_eviction`` makes the eviction policy of a tier: ``simulator.evictions.registry.make``, the readable ones,
        or ``simulator.evictions.compiled.make``.

        Raises:
            InputError: the policy needs more memory than tier 0 has, or a feature that the trace lacks.
        """
        self.env = Environment(initial_time=0)
        self.first_access, self.n_accesses, self._n_outstanding = first_access, 0, 0
        self.system, self.arrivals, self.progress = system, arrivals, progress or (lambda _: None)
        self.capacities = capacities_of(system, policy)
        self._hooks: dict[str, list[Hook]] = {event: [] for event in EVENTS}
        self.flight: dict[int, Transfer] = {}
        evictions = make_all(system, self.capacities, workload, seed, make_eviction, books.first_access)
        tiers = [
            Tier(tier.name, level, evictions[level], Backlog(self.env, tier.write_back))
            for level, tier in enumerate(system.tiers)
        ]
        self.memory = Memory(self, tiers, make_links(self.env, system, seed, first_access))
        self.tiers: dict[str, Tier] = {tier.name: tier for tier in tiers}
        self.links: dict[str, Link] = {link.name: link for link in self.memory.links}
        books.has_prefixes = prefix_reuse
        self.accesses = Accesses(self, seed)
        self.asking = InferenceServer(self, policy, charge)
        check_requests(system, arrivals, prefix_reuse=prefix_reuse)
        check_policy(system, self.asking.policy)
        self.lives = Lives(self, system.requests, defers=prefix_reuse) if system.requests is not None else None
        # Where requests have a life many of a stream are served at a time: each knows what of it is missing.
        self._prefixes = (self.lives or Prefixes(self)) if prefix_reuse else None
        books.link_names, books.n_tiers = list(self.links), len(tiers)
        self.ledger = Ledger(self, books)
        self.trace = Trace(system, arrivals, workload, first_access, seed, self.asking.policy)
        self._over, self._has_run = self.env.event(), False
        # Tier 0 as it would be without the policy, if a missed block came at once (rule R36).
        books.has_shadow = self.asking.is_asked
        whole = [tier.capacity for tier in system.tiers]
        shadows = make_all(system, whole, workload, seed, make_eviction, books.first_access)[: int(books.has_shadow)]
        self._shadow = shadows[0] if shadows else None
        self._foresees = [eviction for eviction in [*evictions, *shadows] if eviction.foresees]
        if self._foresees:
            self._next_uses, first_uses = next_uses(workload, first_access)
            for eviction in self._foresees:
                eviction.foresee(first_uses)
        if any(eviction.knows_families for eviction in [*evictions, *shadows]):
            parents = parents_of(workload, first_access)
            for eviction in [*evictions, *shadows]:
                eviction.adopt(parents)

    @property
    def now(self) -> int:
        """The time on the simulated clock, in ns. Raises ValueError if a process has brought in a part of one (R1)."""
        if (now := int(self.env.now)) != self.env.now:
            raise ValueError(f"the clock is at {self.env.now} ns; expected whole nanoseconds: give SimPy integers")
        return now

    def on(self, event: str, hook: Hook) -> None:
        """Call a function at every event of a kind in EVENTS, with what it happens to. Raises ValueError if unknown."""
        if event not in self._hooks:
            raise ValueError(f"unknown event {event!r}; expected one of {', '.join(EVENTS)}")
        self._hooks[event].append(hook)

    def tell(self, event: str, *what: Any) -> None:
        """Something has happened."""
        for hook in self._hooks[event]:
            hook(*what)

    def issue(self, access: Access) -> None:
        """An access is issued now, and the policy asked about it if it wants to be (rules R12, R13, R31)."""
        asking, access.issued_ns = self.asking, self.now
        self.n_accesses += 1
        self.ledger.note(access)
        self._n_outstanding += 1
        for eviction in self._foresees:
            eviction.passed(access.key, self._next_uses[access.index - self.first_access])
        if self._shadow is not None:
            access.shadow = int(self._shadow.request(access.key, access.size) is not None)
            self._shadow.push_out()
            self.ledger.questions.judge(access)
        if self._prefixes is not None:
            access.is_behind = self._prefixes.is_behind(access)
        self.tell("issued", access)
        if asking.is_sync and asking.asks_at(outcome := self.accesses.peek(access.key)):
            access.outcome, access.served = outcome, self.env.event()
            asking.remember(access)
            if not asking.ask(access):
                self.accesses.look_up(access)
            return
        self.accesses.look_up(access)
        if asking.is_asked:
            asking.remember(access)
            if asking.asks_at(access.outcome):
                asking.ask(access)

    def serve(self, access: Access) -> None:
        """An access waits no more; after the last one the run is over (rule R34)."""
        self._n_outstanding -= 1
        self.tell("served", access)
        if self._n_outstanding == 0 and self.trace.following is None and self.trace.n_read == self.n_accesses:
            self.env.process(self._end())

    def _end(self) -> Generator[Any, Any, None]:
        """Transfers that find a channel free still start; nothing else happens any more."""
        yield Instant(self.env, END)
        for link in self.memory.links:
            link.choose()
            yield self.env.timeout(0)
        self._over.succeed()

    def so_far(self, n_windows: int) -> SoFar:
        """What it has come to, with the last ``n_windows`` windows: for who is told of progress."""
        return self.ledger.so_far(n_windows)

    def run(self) -> RunResult:
        """Run to the end of the trace, close the books and check them.

        Raises:
            BooksError: an identity of rule R19 does not hold.
            InputError: the trace is bad, or a recording does not fit the run.
            RuntimeError: it has run before.
        """
        if self._has_run:
            raise RuntimeError("a Model runs once: make another one")
        self._has_run = True
        if self.trace.following is not None:
            start(self)
            self.env.run(until=self._over)
        self.asking.updating.keep()
        if self.lives is not None:
            self.lives.close()
        self.ledger.close()
        books = self.ledger.books
        return RunResult(books.end_ns, self.ledger.bytes_moved(), books.n_accesses)
