"""Requests that have a life: they arrive, wait for a place, are fetched, computed, decoded, and end (rule R45)."""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

from simpy import AnyOf, Event

from simulator.model.accesses import Access
from simulator.model.links import ISSUE, PREFETCH, Instant
from simulator.requests import Requests
from simulator.trace import WRITE

if TYPE_CHECKING:
    from simulator.model.memory import Transfer
    from simulator.model.model import Model


@dataclass(slots=True, eq=False)
class Life:
    """A request: what it reads first, its ``prompt``, and the writes behind the last read, its ``answer``.

    The first ``n_found`` accesses of the prompt were found when its turn had come. ``is_broken``: a block of it was
    missing since. While it waits for what prefetches bring, ``has_landed`` happens when any block has come.
    """

    prompt: list[Access]
    answer: list[Access]
    arrival_ns: int
    decode_ns: int
    started_ns: int = -1
    looked_ns: int = -1
    n_found: int = 0
    is_broken: bool = False
    has_landed: Event | None = None

    def times(self) -> tuple[int, int, int]:
        """When it was fetched, had its first token, and ended; all of its accesses have been served."""
        fetched = max((access.end_ns for access in self.prompt[: self.n_found]), default=self.looked_ns)
        first_token = max((access.end_ns for access in self.prompt[self.n_found :]), default=fetched)
        written = max((access.end_ns for access in self.answer), default=first_token)
        return fetched, first_token, max(first_token + self.decode_ns, written)


class Lives:
    """The running places, and who waits for one."""

    def __init__(self, model: "Model", requests: Requests, *, defers: bool) -> None:
        """``defers``: what is missing is computed after what is there was fetched, where the origin computes."""
        self.model, self.requests = model, requests
        self.free = list(range(requests.running))
        heapify(self.free)
        self.waiting: deque[Life] = deque()
        self.running: dict[int, Life] = {}
        self.defers = defers and model.memory.computes
        tiers = [tier.name for tier in model.system.tiers]
        self.usable = len(tiers) if requests.storage is None else tiers.index(requests.storage)
        """Blocks of tiers from this one on come by prefetches alone."""

    def arrivals(self) -> Generator[Any, Any, None]:
        """The process of arrivals: a policy may be asked about a request before it is served."""
        env = self.model.env
        for request in self.model.trace.whole_requests():
            yield Instant(env, ISSUE, request[0].arrival_ns - self.model.now)
            n_prompt = max((i + 1 for i, access in enumerate(request) if access.op != WRITE), default=0)
            first = request[0]
            decode_ns = first.decode_ns
            if decode_ns < 0:
                decode_ns = (len(request) - n_prompt) * self.requests.decode_ns(self.requests.block_tokens or 1)
            life = Life(request[:n_prompt], request[n_prompt:], first.arrival_ns, decode_ns)
            self.model.asking.ask_at_arrival(life.prompt)
            self.waiting.append(life)
            self._start()

    def _start(self) -> None:
        while self.free and self.waiting:
            place, life = heappop(self.free), self.waiting.popleft()
            self.running[place] = life
            self.model.env.process(self._live(place, life))

    def _turn(self, place: int, at_ns: int = 0) -> Instant:
        """When a place may go on: behind what completes then, and behind arrivals."""
        return Instant(self.model.env, ISSUE + 1 + place, max(at_ns - self.model.now, 0))

    def _live(self, place: int, life: Life) -> Generator[Any, Any, None]:
        """The process of a request that is served."""
        env, model = self.model.env, self.model
        yield self._turn(place)
        life.started_ns = model.now
        deadline_ns = life.arrival_ns + (self.requests.timeout or 0)
        while model.now < deadline_ns and self._awaits(life):
            life.has_landed = env.event()
            yield AnyOf(env, [life.has_landed, env.timeout(deadline_ns - model.now)])
            life.has_landed = None
            yield self._turn(place)
        # What it has waited for until now is fetching, also if nothing of it is left.
        life.looked_ns = model.now
        for access in life.prompt:
            access.issuer = place
            if self.defers and self.is_missing(access):
                break
            model.issue(access)
            life.n_found += 1
            if life.n_found < len(life.prompt):
                yield self._turn(place)
        yield from _served(life.prompt[: life.n_found])
        fetched_ns = max((access.end_ns for access in life.prompt[: life.n_found]), default=life.looked_ns)
        for access in life.prompt[life.n_found :]:
            access.issuer = place
            yield self._turn(place, fetched_ns)
            model.issue(access)
        yield from _served(life.prompt[life.n_found :])
        first_token_ns = end_ns = life.times()[1]
        for i, access in enumerate(life.answer, 1):
            access.issuer = place
            yield self._turn(place, max(first_token_ns + life.decode_ns * i // len(life.answer), end_ns))
            model.issue(access)
            yield from _served([access])
            end_ns = access.end_ns
        yield self._turn(place, life.times()[2])
        del self.running[place]
        model.ledger.end(life)
        heappush(self.free, place)
        self._start()

    def is_missing(self, access: Access) -> bool:
        """Whether a block that is read has to be computed: nothing has it or brings it in time (rules R41, R45)."""
        if access.op == WRITE:
            return False
        if (transfer := self.model.flight.get(access.key)) is not None:
            return self.gives_up(transfer)
        return not any(level < self.usable for level in self.model.memory.holders(access.key))

    def is_behind(self, access: Access) -> bool:
        """Whether it is computed whatever is there: it lies behind a missing block, or is one that some tier has."""
        life = self.running[access.issuer]
        if access.op == WRITE or life.is_broken:
            return access.op != WRITE
        life.is_broken = self.is_missing(access)
        return life.is_broken and (access.key in self.model.flight or bool(self.model.memory.holders(access.key)))

    def gives_up(self, transfer: "Transfer") -> bool:
        """Whether a request does not wait for a block that a prefetch is bringing."""
        return self.requests.stop != "wait_complete" and transfer.priority == PREFETCH

    def _awaits(self, life: Life) -> bool:
        """Whether prefetches are bringing blocks of its prompt."""
        moving = (self.model.flight.get(access.key) for access in life.prompt)
        return any(transfer is not None and transfer.priority == PREFETCH for transfer in moving)

    def look_again(self) -> None:
        """A block has come, or is given up: those that wait for what prefetches bring look again."""
        for life in self.running.values():
            if life.has_landed is not None and not life.has_landed.triggered:
                life.has_landed.succeed()

    def close(self) -> None:
        """At the end all accesses have been served, and nothing else happens to those that are running."""
        for place in sorted(self.running):
            self.model.ledger.end(self.running[place])


def _served(accesses: list[Access]) -> Generator[Any, Any, None]:
    for access in accesses:
        if access.served is not None:
            yield access.served
