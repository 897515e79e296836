"""The judged part of a trace, one access after another, with arrival times: what the model reads (rule R30)."""

from collections import deque
from collections.abc import Iterator

from simulator.checks import (
    check_durations,
    check_order,
    check_sizes,
    check_streams,
    check_whole,
    decode_times,
    too_late,
)
from simulator.config import Arrivals, Open, Poisson, System
from simulator.model.accesses import Access
from simulator.needs import check_needs, needs_of
from simulator.policy import Policy
from simulator.seeds import generator
from simulator.trace import Batch, Workload, part
from simulator.units import LATEST_NS


class Trace:
    """The judged part of a workload; what one stream reads past others waits for them."""

    def __init__(
        self,
        system: System,
        arrivals: Arrivals,
        workload: Workload,
        first_access: int,
        seed: int,
        policy: Policy,
    ) -> None:
        """Accesses carry what the policy asks for. Raises InputError if the first ones lack a feature."""
        self._needs, self._who = needs_of(policy), f"policy {type(policy).__name__}"
        self._system, self._arrivals = system, arrivals
        self.n_streams, self.n_read = workload.n_streams, 0
        self._draws, self._clock, self._request = generator(seed, "arrivals"), 0.0, (-1, -1)
        self._accesses = self._read(part(workload.batches(), first_access), first_access)
        self._passed_over: list[deque[Access]] = [deque() for _ in range(workload.n_streams)]
        self.following = next(self._accesses, None)
        """The next access; None: all have been read."""

    def _read(self, batches: Iterator[Batch], first: int) -> Iterator[Access]:
        start_ns, before_ns, position, before_request = None, 0, 0, (-1, -1)
        requests, last_of = self._system.requests, dict[int, int]()
        for batch in batches:
            check_sizes(batch, first)
            if requests is not None:
                check_whole(batch, last_of, before_request, first)
            decode_ns = decode_times(requests, batch, first).tolist()
            check_streams(batch, self.n_streams, first)
            if len(batch):
                check_durations(self._system, int(batch.size_bytes.max()))
                check_needs(self._who, self._needs, batch)
            columns = (batch.stream, batch.request, batch.key, batch.size_bytes, batch.op, batch.time_ns)
            features = {name: batch.features[name].tolist() for name in self._needs if name in batch.features}
            for i, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
                access = Access(first + i, *row)
                access.decode_ns = decode_ns[i]
                of_request = (*row[:2],)
                position = position + 1 if of_request == before_request else 0
                before_request, recorded_ns = of_request, access.arrival_ns
                start_ns = access.arrival_ns if start_ns is None else start_ns
                access.arrival_ns = self._arrival(access, start_ns)
                if abs(access.arrival_ns) > LATEST_NS:
                    raise too_late(access.index)
                check_order(access.index, access.arrival_ns, before_ns)
                before_ns = access.arrival_ns
                if self._needs:
                    arrival_ns = recorded_ns if self._arrivals.kind == "closed" else access.arrival_ns
                    known = {
                        "access": access.index, "op": access.op, "size_bytes": access.size, "time_ns": arrival_ns,
                        "request": access.request, "position": position,
                    }  # fmt: skip
                    known |= {name: values[i] for name, values in features.items() if name not in known}
                    access.shown = tuple(known[name] for name in self._needs)
                yield access
            first += len(batch)

    def _arrival(self, access: Access, start_ns: int) -> int:
        """When it arrives in an open loop; time starts with the part of the trace that is simulated (rule R30)."""
        arrivals = self._arrivals
        if isinstance(arrivals, Poisson):
            if (access.stream, access.request) != self._request:
                self._clock += self._draws.exponential(arrivals.mean_gap)
            self._request = access.stream, access.request
            return round(self._clock)
        if isinstance(arrivals, Open):
            since_ns = access.arrival_ns - start_ns
            return since_ns if arrivals.speedup == 1 else round(since_ns / arrivals.speedup)
        return 0

    def next(self) -> Access | None:
        """The next access of the trace."""
        access = self.following
        if access is not None:
            self.n_read += 1
            self.following = next(self._accesses, None)
        return access

    def whole_requests(self) -> Iterator[list[Access]]:
        """Request by request, in the order of the trace, in which the accesses of each follow each other."""
        while (access := self.next()) is not None:
            request = [access]
            of_request = access.stream, access.request
            while self.following is not None and (self.following.stream, self.following.request) == of_request:
                request.append(self.following)
                self.next()
            yield request

    def next_of(self, stream: int) -> Access | None:
        """The next access of a stream."""
        mine = self._passed_over[stream]
        while not mine and (access := self.next()) is not None:
            self._passed_over[access.stream].append(access)
        return mine.popleft() if mine else None

    def requests(self, stream: int) -> Iterator[list[Access]]:
        """The accesses of a stream, those that share a request together."""
        access = self.next_of(stream)
        while access is not None:
            request = [access]
            while (access := self.next_of(stream)) is not None and access.request == request[0].request:
                request.append(access)
            yield request
