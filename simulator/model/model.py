"""The model: a workload, a system, a policy and a charge, as processes and resources of SimPy.

``env`` is SimPy's environment, whose clock is in whole nanoseconds (rule R1); start processes of your own before
``run``. ``links["hbm_dram"]`` is a resource, ``tiers["hbm"]`` has the blocks, ``flight`` the transfers by key.
"""

from collections.abc import Callable, Generator
from typing import Any

from simpy import Environment

from simulator.accounting import Books
from simulator.charge import Charge
from simulator.checks import capacities_of
from simulator.config import Arrivals, System
from simulator.engine import RunResult
from simulator.evictions.base import Eviction
from simulator.evictions.registry import make
from simulator.model import streams
from simulator.model.accesses import Access, Accesses
from simulator.model.asking import InferenceServer
from simulator.model.instants import END, Instant
from simulator.model.ledger import Ledger
from simulator.model.links import Link, make_links
from simulator.model.memory import Memory, Tier
from simulator.model.transfers import Budget, Transfer
from simulator.policy import Policy
from simulator.seeds import generator
from simulator.tiers import usual_block
from simulator.trace import Workload

Hook = Callable[..., None]
EVENTS = (
    "issued", "served", "asked", "started", "answered", "passed", "landed", "evicted", "written", "settled",
)  # fmt: skip


class Model:
    """Drives one workload through one system under one policy. An instance runs once; ``Engine`` takes the same."""

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
        make_eviction: Callable[..., Eviction] = make,
    ) -> None:
        """Takes the accesses from ``first_access`` on; ``progress`` is told how many are done, now and then.

        ``make_eviction``: ``simulator.evictions.registry.make``, or ``simulator.model.compiled.make`` for the compiled
        policies.

        Raises:
            InputError: the policy needs more memory than tier 0 has.
        """
        self.env = Environment(initial_time=0)
        self.system, self.arrivals = system, arrivals
        self.capacities = capacities_of(system, policy)
        self.progress = progress or (lambda _: None)
        self._hooks: dict[str, list[Hook]] = {event: [] for event in EVENTS}
        self.all_links = make_links(self.env, system)
        self.links: dict[str, Link] = {link.name: link for link in self.all_links}
        self.flight: dict[int, Transfer] = {}
        """The transfer of each block that is on its way."""
        self.budget = Budget(system.prefetch.in_flight, system.prefetch.bytes)
        self.computes = system.origin.kind == "compute"
        self.known: set[int] = set()
        """From a computing origin: the blocks that were accessed, and so exist (rule R6)."""
        self.polluted: set[int] = set()
        """What prefetches have pushed out of tier 0 (rule R20)."""
        evictions = self._evictions(workload, seed, make_eviction)
        self.memory = Memory(
            self, [Tier(tier.name, level, evictions[level]) for level, tier in enumerate(system.tiers)]
        )
        self.tiers: dict[str, Tier] = {tier.name: tier for tier in self.memory.tiers}
        self.asking = InferenceServer(self, policy, charge)
        self.accesses = Accesses(self)
        self.ledger = Ledger(self, books)
        books.has_shadow = self.asking.is_asked
        self._shadow = self._evictions(workload, seed, make_eviction)[0] if books.has_shadow else None
        foreseen = [eviction for eviction, tier in zip(evictions, system.tiers, strict=True) if tier.eviction == "belady"]
        if self._shadow is not None and system.tiers[0].eviction == "belady":
            foreseen.append(self._shadow)
        self._foreseen = foreseen
        if foreseen:
            self._next_uses, first_uses = streams.next_uses(workload, first_access)
            for eviction in foreseen:
                eviction.foresee(first_uses)
        self._first_access = first_access
        self.n_accesses = self._n_outstanding = 0
        self.trace = streams.Trace(self, workload, first_access, seed)

    def _evictions(self, workload: Workload, seed: int, make_eviction: Callable[..., Eviction]) -> list[Eviction]:
        """The eviction policy of each tier, as the config has it."""
        found, prefetch = [], self.system.prefetch
        draws = int(generator(seed, "eviction").integers(2**62))
        sketched = any("tinylfu" in (tier.eviction, tier.admission.kind) or tier.eviction == "wtinylfu" for tier in self.system.tiers)
        block = usual_block(workload) if sketched else 1
        for level, (tier, capacity) in enumerate(zip(self.system.tiers, self.capacities, strict=True)):
            value = getattr(tier.admission, "largest", getattr(tier.admission, "probability", 0))
            found.append(
                make_eviction(
                    tier.eviction, capacity, seed=draws + level, n_blocks=max(int(capacity // block), 1),
                    admission=tier.admission.kind, admission_value=value,
                    # Prefetched and unused is a block in tier 0 alone: further down it is just a copy.
                    enters=prefetch.enters if level == 0 else "front", region_ratio=prefetch.region_ratio,
                )
            )  # fmt: skip
        return found

    def on(self, event: str, hook: Hook) -> None:
        """Call a function whenever something happens: one of EVENTS, with what it happens to.

        Raises:
            ValueError: there is no such event.
        """
        if event not in self._hooks:
            raise ValueError(f"unknown event {event!r}; expected one of {', '.join(EVENTS)}")
        self._hooks[event].append(hook)

    def tell(self, event: str, *what: Any) -> None:
        """Something has happened."""
        for hook in self._hooks[event]:
            hook(*what)

    def link_from(self, level: int, is_down: bool) -> Link:
        """The link by which a block leaves a level, up or down."""
        if is_down or (level == self.memory.origin and self.memory.computes_in_place):
            return self.all_links[level]
        return self.all_links[level - 1]

    def way_ns(self, source: int, n_bytes: int) -> int:
        """A fetch from there into tier 0 that queues nowhere, in ns."""
        if source == self.memory.origin and self.memory.computes_in_place:
            return self.all_links[-1].duration(n_bytes, False)
        return sum(link.duration(n_bytes, False) for link in self.all_links[:source])

    def issue(self, access: Access) -> None:
        """An access is issued now, and the policy asked about it if it wants to be (rules R12, R13, R31)."""
        access.issued_ns = self.env.now
        self.n_accesses += 1
        self._n_outstanding += 1
        if self._foreseen:
            next_use = self._next_uses[access.index - self._first_access]
            for eviction in self._foreseen:
                eviction.passed(access.key, next_use)
        if self._shadow is not None:
            access.shadow = int(self._shadow.request(access.key, access.size) is not None)
            self.asking.passes(access)
        self.tell("issued", access)
        access.outcome = self.accesses.peek(access.key)
        if self.asking.is_sync and self.asking.asks_at(access.outcome):
            self.asking.remember(access)
            access.served = self.env.event()
            if not self.asking.ask(access):
                self.accesses.look_up(access)
            return
        self.accesses.look_up(access)
        if self.asking.is_asked:
            self.asking.remember(access)
            if self.asking.asks_at(access.outcome):
                self.asking.ask(access)

    def served(self, access: Access) -> None:
        """An access waits no more; after the last one the run is over (rule R30)."""
        self._n_outstanding -= 1
        self.tell("served", access)
        if self._n_outstanding == 0 and self.trace.is_read and self.trace.n_read == self.n_accesses:
            self._end()

    def _end(self) -> None:
        Instant(self.env, END).callbacks.append(lambda _: self.env.process(self._last_choices()))  # type: ignore[union-attr]

    def _last_choices(self) -> Generator[Any, Any, None]:
        """What found a channel free has started; nothing else happens any more."""
        for link in self.all_links:
            link.choose()
            yield self.env.timeout(0)
        self._over.succeed()

    def run(self) -> RunResult:
        """Run to the end of the trace, close the books and check them.

        Raises:
            BooksError: an identity of rule R19 does not hold.
            InputError: the trace is bad, or a recording does not fit the run.
        """
        self._over = self.env.event()
        if self.trace.is_read:
            self._end()
        streams.start(self)
        self.env.run(until=self._over)
        self.ledger.close()
        return RunResult(self.ledger.books.end_ns, [link.bytes_started for link in self.all_links], self.n_accesses)
