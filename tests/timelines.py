"""Timelines for tests: of runs in memory, read back from the protobuf, and what they must have by the tables alone."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

from experiments.tables import SCHEMAS, rows_of
from experiments.timelines.counters import counters_of
from experiments.timelines.drawing import MET, Drawing
from experiments.timelines.flowing import add_flows
from experiments.timelines.rows import RunRows
from experiments.timelines.span import Span
from experiments.timelines.tracks import Tracks
from experiments.timelines.writing import write
from simulator.accounting import Books, Keeps
from simulator.config import System
from tests.cases import Case

Row = dict[str, Any]
KEY = ("arm", 0, 0)


class MemoryRows(RunRows):
    """The tables of a run that was never written."""

    def __init__(self, tables: dict[str, Any], system: System) -> None:
        self.key, self._files, self._tables = KEY, dict.fromkeys(tables), tables
        self.__dict__["system"] = system

    def _dataset(self, table: str) -> Any:
        return ds.dataset(self._tables[table])


@dataclass
class ArrowSink:
    """Keeps rows as they would be written."""

    tables: dict[str, list[Any]] = field(default_factory=dict)

    def takes(self, table: str) -> bool:
        return True

    def write(self, table: str, columns: dict[str, Any]) -> None:
        self.tables.setdefault(table, []).append(rows_of(table, columns, KEY))


def rows_of_case(make: Any, case: Case) -> MemoryRows:
    """A random run's tables."""
    return rows_of_run(
        make, case.system, case.arrivals, case.workload(), case.policy(), case.charge(), case.judged_from, case.keeps,
        seed=3, prefix_reuse=case.prefix_reuse,
    )  # fmt: skip


def rows_of_run(
    make: Any, system: System, arrivals: Any, workload: Any, policy: Any, charge: Any, judged_from: int = 0,
    keeps: Keeps | None = None, **others: Any,
) -> MemoryRows:  # fmt: skip
    """What an engine leaves."""
    sink = ArrowSink()
    books = Books(sink, 10, first_access=judged_from, keeps=keeps or Keeps())
    make(system, arrivals, workload, policy, charge, books, **others).run()
    sink.write("windows", books.windows())
    if books.updates:
        sink.write("updates", {name: [getattr(u, name) for u in books.updates] for name in books.updates[0]._fields})
    names = ["accesses", "prefetches", "inferences", "transfers", "windows", "updates"]
    if system.requests is not None:
        names.append("requests")
    tables = {
        name: pa.concat_tables(sink.tables[name]) if name in sink.tables else SCHEMAS[name].empty_table()
        for name in names
    }
    return MemoryRows(tables, system)


def drawn(rows: RunRows, span: Span) -> bytes:
    """The file of a span."""
    tracks = Tracks("run")
    drawing = Drawing(rows, span, tracks)
    add_flows(drawing)
    counters, file = counters_of(drawing), io.BytesIO()
    write(file, tracks, list(drawing.slices.values()), counters)
    return file.getvalue()


@dataclass
class Slice:
    """One, as a reader finds it."""

    track: str
    name: str
    begin: int
    end: int | None
    depth: int
    notes: Row

    @property
    def what(self) -> tuple[Any, ...]:
        """All that a table says of it too."""
        return self.track, self.name, self.begin, self.end


@dataclass
class Read:
    """What a reader makes of a file: an end closes what began last on its track, a flow goes from slice to slice."""

    slices: list[Slice] = field(default_factory=list)
    flows: list[tuple[Slice, Slice]] = field(default_factory=list)
    counters: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    times: list[int] = field(default_factory=list)
    tracks: dict[int, str] = field(default_factory=dict)


def read(content: bytes) -> Read:
    """A file. Raises what protobuf raises where it is damaged, and AssertionError where events do not fit."""
    trace, found = Trace(), Read()
    trace.ParseFromString(content)
    texts: dict[str, dict[int, Any]] = {"event_names": {}, "debug_annotation_names": {}}
    texts["debug_annotation_string_values"] = {}
    stacks: dict[int, list[Slice]] = {}
    last: dict[int, Slice] = {}
    for packet in trace.packet:
        for kind, known in texts.items():
            for entry in getattr(packet.interned_data, kind):
                known[entry.iid] = entry.str.decode() if kind.endswith("values") else entry.name
        if packet.HasField("track_descriptor"):
            assert packet.track_descriptor.uuid not in found.tracks
            found.tracks[packet.track_descriptor.uuid] = packet.track_descriptor.name
            continue
        event = packet.track_event
        found.times.append(packet.timestamp)
        track, stack = found.tracks[event.track_uuid], stacks.setdefault(event.track_uuid, [])
        if event.type == TrackEvent.TYPE_COUNTER:
            value = event.double_counter_value if event.HasField("double_counter_value") else event.counter_value
            found.counters.setdefault(track, []).append((packet.timestamp, value))
            continue
        if event.type == TrackEvent.TYPE_SLICE_END:
            one = stack.pop()
            one.end = packet.timestamp
        else:
            notes = {texts["debug_annotation_names"][n.name_iid]: _value(n, texts) for n in event.debug_annotations}
            is_instant = event.type == TrackEvent.TYPE_INSTANT
            end = packet.timestamp if is_instant else None
            one = Slice(track, texts["event_names"][event.name_iid], packet.timestamp, end, len(stack), notes)
            found.slices.append(one)
            if not is_instant:
                stack.append(one)
        for flow in [*event.flow_ids, *event.terminating_flow_ids]:
            if flow in last:
                found.flows.append((last[flow], one))
            last[flow] = one
        for flow in event.terminating_flow_ids:
            del last[flow]
    return found


def _value(note: Any, texts: dict[str, dict[int, Any]]) -> Any:
    kind = note.WhichOneof("value")
    if kind == "string_value_iid":
        return texts["debug_annotation_string_values"][note.string_value_iid]
    return getattr(note, kind)


What = tuple[Any, ...]
"""A slice as its tables say it: track, name, begin, end."""


@dataclass
class Expected:
    """The slices of a span and the flows between them, from the tables row by row."""

    slices: list[What] = field(default_factory=list)
    flows: list[tuple[What, What]] = field(default_factory=list)


def expected(rows: RunRows, span: Span) -> Expected:
    """What must be there; slower than any reader, and with no line of the writer's."""
    found = Expected()
    of = {what: _within(_of(rows, what), span) for what in _DRAWN if rows.has(what)}
    for slices in of.values():
        found.slices += [one for _, one in slices]
    found.slices += _parts(of)
    questions, uses = _by(of["inferences"], "access"), _by(of["accesses"], "access")
    asked, missed, moved = (
        _by(of[what], name)
        for what, name in (("inferences", "inference"), ("transfers", "access"), ("transfers", "prefetch"))
    )
    for row, asker in of["accesses"]:
        for question in questions.get(row["access"], []):
            found.flows += _in_time([asker, question])
        found.flows += _in_time([asker, *missed.get(row["access"], [])])
    for row, sent in of["prefetches"]:
        chain = [*asked.get(row["inference"], []), sent, *moved.get(row["prefetch"], [])]
        # The first use comes last: it ends when the block is there.
        last = sorted(chain, key=lambda one: int(one[2]))[-1]
        found.flows += [*_in_time(chain), *((last, one) for one in uses.get(row["first_used_access"], []))]
    return found


_DRAWN = ("accesses", "inferences", "prefetches", "transfers", "requests", "updates")


def _by(rows: list[tuple[Row, What]], name: str) -> dict[int, list[What]]:
    found: dict[int, list[What]] = {}
    for row, one in rows:
        if row[name] is not None:
            found.setdefault(row[name], []).append(one)
    return found


def _in_time(chain: list[What]) -> list[tuple[What, What]]:
    return list(pairwise(sorted(chain, key=lambda one: int(one[2]))))


def _within(drawn_: Iterator[tuple[Row, What]], span: Span) -> list[tuple[Row, What]]:
    found = [(row, one) for row, one in drawn_ if _is_in(row.get("queued_ns", one[2]), one[3], span)]
    streams = {row["stream"] for row, one in found if one[0].startswith("accesses")}
    if len(streams) > 16:
        found = [(row, (f"accesses: {len(streams)} streams", *one[1:])) for row, one in found]
    return found


def _is_in(begin: int, end: int | None, span: Span) -> bool:
    return begin < span.to_ns and (end is None or end >= span.from_ns)


def _of(rows: RunRows, what: str) -> Iterator[tuple[Row, What]]:
    """All rows of a table with their slices."""
    table = [row for row in rows.read(what).to_pylist() if row.get("status") != "warm_up"]
    for row in table:
        match what:
            case "accesses":
                begin, end = row["issued_ns"], row["issued_ns"] + row["latency_ns"]
                yield row, (f"accesses: stream {row['stream']}", row["outcome"], begin, end)
            case "inferences":
                end = {"queue_full": row["asked_ns"]}.get(row["status"], row["ended_ns"])
                if row["status"] == "superseded":
                    later = (q for q in table if q["stream"] == row["stream"] and q["inference"] > row["inference"])
                    end = next(later)["asked_ns"]
                yield row, ("questions", row["status"], row["asked_ns"], end)
            case "prefetches":
                end = row["issued_ns"] if row["fate"] == "cancelled" else row["filled_ns"]
                yield row, ("prefetches", row["fate"], row["issued_ns"], end)
            case "transfers":
                was_met = (row["class"], row["priority"]) == ("prefetch", "demand")
                name = MET if was_met else row["cause"].replace("_", " ")
                yield row, (f"{row['link']}: channel {row['channel']}", name, row["started_ns"], row["ended_ns"])
            case "requests":
                yield row, ("requests", "request", row["arrival_ns"], row["arrival_ns"] + sum(_lives(row)))
            case _:
                yield row, ("updates", "update", row["begun_ns"], row["ended_ns"])


def _lives(row: Row) -> list[int]:
    return [row[f"{part}_ns"] for part in ("waiting", "fetching", "computing", "decoding")]


def _parts(of: dict[str, list[tuple[Row, What]]]) -> Iterator[What]:
    """Slices within slices, and inferences, which several questions may share."""
    for row, one in of.get("requests", []):
        begin = one[2]
        for part, ns in zip(("waiting", "fetching", "computing", "decoding"), _lives(row), strict=True):
            if ns:
                yield "requests", part, begin, begin + ns
            begin += ns
    batches: dict[int, What] = {}
    for row, (_, _, begin, end) in of["inferences"]:
        started = row["started_ns"]
        if started is not None and (end is None or end > started):
            batches[row["batch"]] = ("inference server", "inference", started, end)
            if started > begin:
                yield "questions", "waiting", begin, started
    yield from batches.values()


def spans_of(rows: RunRows, counter: str) -> list[tuple[int, int | None, int]]:
    """What a counter counts: from when, until when, and as how much."""
    link, _, what = counter.rpartition(": ")
    match what:
        case "prefetches in flight":
            return [(one[2], one[3], 1) for _, one in _of(rows, "prefetches")]
        case "questions waiting":
            waits = [(one[2], row["started_ns"], one[3]) for row, one in _of(rows, "inferences")]
            return [(begin, end if started is None else started, 1) for begin, started, end in waits]
        case "requests waiting":
            return [(one[2], one[2] + row["waiting_ns"], 1) for row, one in _of(rows, "requests")]
    table = [row for row in rows.read("transfers").to_pylist() if row["link"] == link]
    if what == "bytes in flight":
        return [(row["started_ns"], row["ended_ns"], row["size_bytes"]) for row in table]
    assert what == "blocks waiting"
    return [(row["queued_ns"], row["started_ns"], 1) for row in table]


def at(spans: list[tuple[int, int | None, int]], time_ns: int) -> int:
    """How much of it lasts at a time."""
    return sum(weight for begin, end, weight in spans if begin <= time_ns and (end is None or end > time_ns))
