"""Which stretch of a run is drawn: one that is said, around an access or a prefetch, or the first so many events."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds

from experiments.report import time_text
from experiments.timelines.lanes import Ints
from experiments.timelines.rows import RunRows
from simulator.errors import InputError

EVENTS = 50_000
"""So many are drawn where nothing is said; a page shows them at once."""


class Span(NamedTuple):
    """From a time until before another, in ns."""

    from_ns: int
    to_ns: int


class Times(NamedTuple):
    """When a row of a table begins and is over, as expressions; ``n_events`` is about how many it is drawn with."""

    begin: Any
    end: Any
    columns: tuple[str, ...]
    n_events: int


def _field(name: str) -> Any:
    return ds.field(name)


TIMES = {
    "accesses": Times(_field("issued_ns"), _field("issued_ns") + _field("latency_ns"), ("issued_ns",), 2),
    "prefetches": Times(_field("proposed_ns"), _field("filled_ns"), ("proposed_ns",), 4),
    "inferences": Times(_field("asked_ns"), _field("ended_ns"), ("asked_ns",), 2),
    "updates": Times(_field("begun_ns"), _field("ended_ns"), ("begun_ns",), 2),
    "requests": Times(
        _field("arrival_ns"), _field("arrival_ns") + _field("ttft_ns") + _field("decoding_ns"), ("arrival_ns",), 8
    ),
    # Queueing is counted, from its beginning on.
    "transfers": Times(_field("queued_ns"), _field("ended_ns"), ("queued_ns",), 4),
}
"""The tables that are drawn; one that the run lacks is left out."""


def within(table: str, span: Span) -> Any:
    """The expression that a row lies in the span, in part at least; what was not over at the end lasts until then."""
    begin, end, _, _ = TIMES[table]
    return (begin < span.to_ns) & (pc.is_null(end) | (end >= span.from_ns))


def first_events(rows: RunRows, from_ns: int, n_events: int) -> Span:
    """From a time on about so many events, or as many as there are."""
    times, weights = [], []
    for table, (begin, _, columns, n) in TIMES.items():
        if rows.has(table):
            # As many rows as there are to be events are enough; rows are in order, or nearly.
            found = rows.read(table, columns, begin >= from_ns, n_events)[columns[0]].to_numpy()
            times.append(found)
            weights.append(np.full(len(found), n))
    all_times, all_weights = np.concatenate(times), np.concatenate(weights)
    order = np.argsort(all_times, kind="stable")
    reached = np.flatnonzero(np.cumsum(all_weights[order]) > n_events)
    if len(reached) == 0:
        return Span(from_ns, end_of(rows) + 1)
    return Span(from_ns, max(int(all_times[order[reached[0]]]), from_ns + 1))


def end_of(rows: RunRows) -> int:
    """When the last access was over, or whatever is later that a table says."""
    latest = [0]
    for table, (begin, end, _, _) in TIMES.items():
        if rows.has(table):
            latest += [found for what in (begin, end) if (found := rows.latest(table, what)) is not None]
    return max(latest)


def around_access(rows: RunRows, access: int, around_ns: int) -> Span:
    """From the question that led to it, if one did, to its end. Raises InputError if there is no such row."""
    rows.need("accesses", "--access")
    found = rows.access(access)
    begin, end = found["issued_ns"], found["issued_ns"] + found["latency_ns"]
    if rows.has("prefetches"):
        used = rows.one("prefetches", first_used_access=access)
        if used is not None:
            begin = min(begin, _asked(rows, used))
    return Span(max(begin - around_ns, 0), end + around_ns + 1)


def around_prefetch(rows: RunRows, prefetch: int, around_ns: int) -> Span:
    """From its question to its fill, or its use if that is later. Raises InputError if there is no such row."""
    found = rows.prefetch(prefetch)
    times = [found[name] for name in ("proposed_ns", "filled_ns", "first_used_ns") if found[name] is not None]
    return Span(max(_asked(rows, found) - around_ns, 0), max(times) + around_ns + 1)


def _asked(rows: RunRows, prefetch: dict[str, Any]) -> int:
    proposed: int = prefetch["proposed_ns"]
    if rows.has("inferences") and prefetch["inference"] is not None:
        question = rows.one("inferences", inference=prefetch["inference"])
        if question is not None and question["asked_ns"] is not None:
            return int(question["asked_ns"])
    return proposed


def span_of(
    rows: RunRows, from_ns: int | None, to_ns: int | None, access: int | None, prefetch: int | None, around_ns: int,
    n_events: int,
) -> Span:  # fmt: skip
    """What was asked for. Raises InputError where that is nothing, or two things at once."""
    said = [from_ns is not None or to_ns is not None, access is not None, prefetch is not None]
    if sum(said) > 1:
        raise InputError("expected one of --from and --to, --access, --prefetch")
    if access is not None:
        return around_access(rows, access, around_ns)
    if prefetch is not None:
        return around_prefetch(rows, prefetch, around_ns)
    if (from_ns or 0) > (last := end_of(rows)):
        raise InputError(
            f"--from {time_text(from_ns or 0)}: the run is over at {time_text(last)}; expected a time before"
        )
    if to_ns is None:
        return first_events(rows, from_ns or 0, n_events)
    if to_ns <= (from_ns or 0):
        raise InputError(
            f"--to {time_text(to_ns)}: is not after --from {time_text(from_ns or 0)}; expected a later time"
        )
    return Span(from_ns or 0, to_ns)


def overlaps(begins: Ints, ends: Ints, span: Span) -> Any:
    """Of slices, which lie in the span in part at least."""
    return (begins < span.to_ns) & (ends >= span.from_ns)
