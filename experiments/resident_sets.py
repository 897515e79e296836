"""A tier's blocks beside those that an engine says it holds, from request to request."""

from collections.abc import Container, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from simulator.errors import InputError
from simulator.evictions.compiled import make
from simulator.families import families_of
from simulator.residency.settings import EvictionSettings
from simulator.trace import Batch, Workload, begins
from workloads.readers.kv_events import CLEARED, STORED, Event


class Moment(NamedTuple):
    """After a request, and all events until the next one comes: blocks that are here, there, and in both."""

    n_requests: int
    time_ns: int
    n_here: int
    n_there: int
    n_both: int

    @property
    def in_both_ratio(self) -> float:
        """Of the blocks that are here or there; 1 if there are none."""
        n = self.n_here + self.n_there - self.n_both
        return self.n_both / n if n else 1.0


class Difference(NamedTuple):
    """A block that is in one alone: after how many requests, whether here, and what the events said of it last."""

    n_requests: int
    key: int
    is_here: bool
    last: Event | None


class Comparison(NamedTuple):
    """All moments; and of the first that is not equal a block that is here alone, or there alone, or one of each."""

    moments: list[Moment]
    differences: list[Difference]


class _Sets:
    """Who is here, who is there, and how many are in both."""

    def __init__(self) -> None:
        self.here: set[int] = set()
        self.there: set[int] = set()
        self.n_both = 0
        self.last: dict[int, Event] = {}

    def put(self, of: set[int], other: set[int], key: int) -> None:
        if key not in of:
            of.add(key)
            self.n_both += key in other

    def take(self, of: set[int], other: set[int], key: int) -> None:
        if key in of:
            of.remove(key)
            self.n_both -= key in other

    def apply(self, event: Event) -> None:
        """What the engine did."""
        keys = list(self.there) if event.what == CLEARED else event.keys
        for key in keys:
            self.last[key] = event
            if event.what == STORED:
                self.put(self.there, self.here, key)
            else:
                self.take(self.there, self.here, key)


def compare(
    events: Iterable[Event],
    workload: Workload,
    eviction: EvictionSettings,
    n_blocks: int,
    *,
    source: str | None = None,
    offset_ns: int | None = None,
    nameless: Container[int] = (),
) -> Comparison:
    """Replay the requests block by block, and look at both sets before each that comes later than the last one.

    Args:
        events: What the engine said.
        workload: The requests, with their times.
        eviction: Who goes from the tier here.
        n_blocks: How many blocks it holds.
        source: The rank or worker whose events count; None: there is but one.
        offset_ns: The events' time of time 0 of the trace; by default the first event comes with the first request.
        nameless: Blocks of which no event speaks, as of parts of blocks: they take room here, and are not counted.

    Raises:
        InputError: the files are bad, or there are several sources and none is chosen.
    """
    if eviction.foresees:
        raise InputError("--eviction: belady knows the future, which no engine does; expected another one")
    tier = make(eviction, n_blocks)
    if eviction.knows_families:
        families = families_of(workload)
        keys, parents = (column.view(np.uint64).tolist() for column in families)
        tier.adopt(dict(zip(keys, parents, strict=True)))
    sets, moments, found = _Sets(), list[Moment](), list[Difference]()
    coming = _of_one_source(events, source)
    event = next(coming, None)
    n, time_ns = 0, 0

    def look(until_ns: int | None) -> None:
        nonlocal event
        while event is not None and (until_ns is None or event.time_ns - offset < until_ns):
            sets.apply(event)
            event = next(coming, None)
        moments.append(Moment(n, time_ns, len(sets.here), len(sets.there), sets.n_both))
        if not found and not len(sets.here) == len(sets.there) == sets.n_both:
            found.extend(_differences(sets, n))

    offset = offset_ns or 0
    for at_ns, keys in _requests(workload.batches()):
        if n == 0 and offset_ns is None and event is not None:
            offset = event.time_ns - at_ns
        if n and at_ns > time_ns:
            look(at_ns)
        n, time_ns = n + 1, at_ns
        for key in keys:
            gone = tier.request(key, 1)
            if key not in nameless:
                sets.put(sets.here, sets.there, key)
            # It is one of them itself if it was not taken in.
            for victim in [*(gone or []), *tier.push_out()]:
                sets.take(sets.here, sets.there, victim)
    look(None)
    return Comparison(moments, found)


def _differences(sets: _Sets, n_requests: int) -> Iterator[Difference]:
    """Of each side that block of which the events said something first; else the least."""
    for is_here, alone in ((True, sets.here - sets.there), (False, sets.there - sets.here)):
        if alone:
            key = min(alone, key=lambda one: (sets.last[one].number if one in sets.last else 2**63, one))
            yield Difference(n_requests, key, is_here, sets.last.get(key))


def _of_one_source(events: Iterable[Event], source: str | None) -> Iterator[Event]:
    first, others = None, set[str]()
    for event in events:
        if source is None and first not in (None, event.source):
            raise InputError(
                f"the events are of several ranks or workers, {first} and {event.source} among them; expected --source"
            )
        if source in (None, event.source):
            first = event.source
            yield event
        else:
            others.add(event.source)
    if first is None and others:
        raise InputError(f"--source {source}: has no events; expected one of {', '.join(sorted(others))}")


def _requests(batches: Iterable[Batch]) -> Iterator[tuple[int, list[int]]]:
    """The time and the keys of each request; one may go on in the next batch."""
    last: tuple[int, int] | None = None
    time_ns, keys = 0, list[int]()
    for batch in batches:
        new = begins(batch, last).tolist()
        for is_new, at_ns, key in zip(new, batch.time_ns.tolist(), batch.key.tolist(), strict=True):
            if is_new:
                if keys:
                    yield time_ns, keys
                time_ns, keys = at_ns, []
            keys.append(key)
        if len(batch):
            last = int(batch.stream[-1]), int(batch.request[-1])
    if keys:
        yield time_ns, keys


def lines_of(found: Comparison, n_rows: int) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Some moments from the first to the last, and what there is to say of all."""
    moments = found.moments
    places = sorted({round(i * (len(moments) - 1) / max(n_rows - 1, 1)) for i in range(n_rows)})
    rows = [
        (one.n_requests, one.time_ns / 1e9, one.n_here, one.n_there, one.n_both, one.in_both_ratio)
        for one in (moments[place] for place in places)
    ]
    mean = sum(one.in_both_ratio for one in moments) / len(moments)
    n_equal = sum(one.n_here == one.n_there == one.n_both for one in moments)
    said = [f"In both, on the average: {mean:.4f}. Equal at {n_equal:,} of {len(moments):,} moments."]
    said += [
        f"First difference, after request {one.n_requests:,}: block {one.key} is {_where(one)}"
        for one in found.differences
    ]
    return rows, said


def _where(one: Difference) -> str:
    if one.last is None:
        return "here alone: no event says that it was stored."
    done = {STORED: "stored", CLEARED: "cleared with all others"}.get(one.last.what, "removed")
    return f"{'here' if one.is_here else 'there'} alone: line or message {one.last.number} says that it was {done}."
