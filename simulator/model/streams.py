"""Who issues what and when: the trace, the streams of a closed loop, arrivals of an open one (rules R2, R7, R34)."""

from array import array
from collections import deque
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from simulator.checks import check_order, check_sizes, check_streams
from simulator.config import Closed, Open, Poisson
from simulator.model.accesses import Access
from simulator.model.instants import ISSUE, Instant
from simulator.seeds import generator
from simulator.trace import Batch, Workload, part

if TYPE_CHECKING:
    from simulator.model.model import Model

NEVER = 1 << 62


class Trace:
    """The judged part of a workload, one access after another; what one stream reads past others waits for them."""

    def __init__(self, model: "Model", workload: Workload, first_access: int, seed: int) -> None:
        self.model, self.n_streams = model, workload.n_streams
        self._accesses = self._read(part(workload.batches(), first_access), first_access)
        self._arrivals = model.arrivals
        self._draws = generator(seed, "arrivals")
        self._clock, self._request = 0.0, -1
        self._passed_over: list[deque[Access]] = [deque() for _ in range(workload.n_streams)]
        self._following = next(self._accesses, None)
        self.n_read = 0

    @property
    def is_read(self) -> bool:
        """Whether no access is left that was not handed out or passed over."""
        return self._following is None

    def _read(self, batches: Iterator[Batch], first_access: int) -> Iterator[Access]:
        first, start_ns, last_ns = first_access, None, 0
        for batch in batches:
            check_sizes(self.model.system, self.model.capacities, batch, first)
            check_streams(batch, self.n_streams, first)
            if isinstance(self._arrivals, Open) and start_ns is None and len(batch):
                start_ns = int(batch.time_ns[0])
            columns = (batch.stream, batch.request, batch.key, batch.size_bytes, batch.op, batch.time_ns)
            for i, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
                access = Access(first + i, *row)
                access.arrival_ns = self._arrival(access, start_ns or 0)
                check_order(access.index, access.arrival_ns, last_ns)
                last_ns = access.arrival_ns
                yield access
            first += len(batch)

    def _arrival(self, access: Access, start_ns: int) -> int:
        """When it arrives in an open loop; simulated time starts with the part of the trace that is simulated."""
        arrivals = self._arrivals
        if isinstance(arrivals, Poisson):
            if access.request != self._request:
                self._clock += self._draws.exponential(arrivals.mean_gap)
            self._request = access.request
            return round(self._clock)
        if isinstance(arrivals, Open):
            since = access.arrival_ns - start_ns
            return since if arrivals.speedup == 1 else round(since / arrivals.speedup)
        return 0

    def next(self) -> Access | None:
        """The next access of the trace."""
        access = self._following
        if access is not None:
            self.n_read += 1
            self._following = next(self._accesses, None)
        return access

    def next_of(self, stream: int) -> Access | None:
        """The next access of a stream."""
        mine = self._passed_over[stream]
        while not mine and (access := self.next()) is not None:
            self._passed_over[access.stream].append(access)
        return mine.popleft() if mine else None


def requests(trace: Trace, stream: int) -> Iterator[list[Access]]:
    """The accesses of a stream in pieces that share a request: they are issued together."""
    access = trace.next_of(stream)
    while access is not None:
        request = [access]
        while (access := trace.next_of(stream)) is not None and access.request == request[0].request:
            request.append(access)
        yield request


def closed_loop(model: "Model", stream: int, think_ns: int) -> Generator[Any, Any, None]:
    """A stream: it issues a request, waits until all of it is over, thinks, and goes on."""
    ready_ns = 0
    for request in requests(model.trace, stream):
        for access in request:
            # Also between the accesses of a request: what completes in no time comes first.
            yield Instant(model.env, ISSUE + stream, max(ready_ns - model.env.now, 0))
            model.issue(access)
        for access in request:
            if access.served is not None:
                yield access.served
        ready_ns = max(access.end_ns for access in request) + think_ns


def open_loop(model: "Model") -> Generator[Any, Any, None]:
    """Arrivals: each access comes at its time, whatever has become of those before."""
    while (access := model.trace.next()) is not None:
        yield Instant(model.env, ISSUE, access.arrival_ns - model.env.now)
        model.issue(access)


def start(model: "Model") -> None:
    """Start the processes that issue accesses."""
    if isinstance(model.arrivals, Closed):
        for stream in range(model.trace.n_streams):
            model.env.process(closed_loop(model, stream, model.arrivals.think))
    else:
        model.env.process(open_loop(model))


def next_uses(workload: Workload, first_access: int) -> tuple["array[int]", dict[int, int]]:
    """For each judged access the position of the next one with its key, NEVER if none; and each key's first position."""
    keys = array("Q")
    for batch in part(workload.batches(), first_access):
        keys.extend(batch.key.tolist())
    later: dict[int, int] = {}
    found = array("q", bytes(8 * len(keys)))
    for position in range(len(keys) - 1, -1, -1):
        found[position] = later.get(keys[position], NEVER)
        later[keys[position]] = position
    return found, later
