"""Perfetto's protobuf, written event by event: the extra ``tierfetch[timeline]``."""

from itertools import count
from typing import IO, Any

import numpy as np
import pyarrow as pa

from experiments.timelines.events import BEGIN, COUNT, END, INSTANT, Counter, Event, Slices, in_order
from experiments.timelines.tracks import Tracks

_SEQUENCE = 1


def write(file: IO[bytes], tracks: Tracks, slices: list[Slices], counters: list[Counter]) -> int:
    """Write all tracks and their events; how many events there are."""
    writer = _Writer(file)
    writer.describe(tracks)
    n = 0
    for events in in_order(slices, counters):
        n += len(events)
        texts = _texts_of(slices, events)
        for event in events:
            if event.what == COUNT:
                writer.counted(event.time_ns, counters[event.place], event.row)
            elif event.what == END:
                some = slices[event.place]
                writer.ended(event.time_ns, int(some.tracks[event.row]), some.end_flows.of(event.row))
            else:
                some = slices[event.place]
                name, arguments = texts[event.place].next()
                writer.begun(
                    event.time_ns,
                    int(some.tracks[event.row]),
                    name,
                    arguments,
                    some.begin_flows.of(event.row),
                    takes_time=event.what == BEGIN,
                )
    return n


def _texts_of(slices: list[Slices], events: list[Event]) -> list["_Texts"]:
    rows: list[list[int]] = [[] for _ in slices]
    for event in events:
        if event.what in (BEGIN, INSTANT):
            rows[event.place].append(event.row)
    return [_Texts(some, pa.array(mine, pa.int64())) for some, mine in zip(slices, rows, strict=True)]


class _Texts:
    """Names and arguments of some rows, in their order."""

    def __init__(self, slices: Slices, rows: Any) -> None:
        taken = slices.arguments.take(rows)
        self._titles = taken.column_names
        columns = [column.to_pylist() for column in taken.columns]
        # A table without columns has rows, and none to go through.
        self._values = zip(*columns, strict=True) if columns else iter([()] * len(rows))
        self._names = iter(slices.names.take(rows).to_pylist())

    def next(self) -> tuple[str, list[tuple[str, Any]]]:
        values = zip(self._titles, next(self._values), strict=True)
        return next(self._names), [(title, value) for title, value in values if value is not None]


class _Interned:
    """Strings that are written once, where they first come, and by their number from then on."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._next = count(1)

    def of(self, text: str, new: Any) -> int:
        """The number of a string; ``new`` is the field of the packet that introduces it."""
        found = self._ids.get(text)
        if found is None:
            found = self._ids[text] = next(self._next)
            entry = new().add()
            entry.iid = found
            if isinstance(getattr(entry, "str", None), bytes):
                entry.str = text.encode()
            else:
                entry.name = text
        return found


class _Writer:
    def __init__(self, file: IO[bytes]) -> None:
        from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TracePacket, TrackDescriptor, TrackEvent
        from perfetto.trace_builder.proto_builder import StreamingTraceProtoBuilder

        self._builder = StreamingTraceProtoBuilder(file)
        self._explicit = TrackDescriptor.EXPLICIT
        self._begin, self._end = TrackEvent.TYPE_SLICE_BEGIN, TrackEvent.TYPE_SLICE_END
        self._instant, self._counter = TrackEvent.TYPE_INSTANT, TrackEvent.TYPE_COUNTER
        self._needs, self._cleared = TracePacket.SEQ_NEEDS_INCREMENTAL_STATE, TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
        self._names, self._titles, self._texts = _Interned(), _Interned(), _Interned()

    def describe(self, tracks: Tracks) -> None:
        """All tracks, before their events."""
        self._describe(tracks.root, tracks.name, 0)
        for rank, track in enumerate(tracks.in_order()):
            self._describe(track.uuid, track.name, rank, tracks.root, track.unit)

    def _describe(self, uuid: int, name: str, rank: int, parent: int | None = None, unit: str | None = None) -> None:
        packet = self._builder.create_packet()
        packet.trusted_packet_sequence_id = _SEQUENCE
        told = packet.track_descriptor
        told.uuid, told.name, told.sibling_order_rank = uuid, name, rank
        if parent is None:
            # From here on strings have numbers, and tracks below have ranks.
            packet.sequence_flags, told.child_ordering = self._cleared, self._explicit
        else:
            told.parent_uuid = parent
        if unit is not None:
            told.counter.unit_name = unit
        self._builder.write_packet(packet)

    def _event(self, time_ns: int, track: int, type_: int) -> tuple[Any, Any]:
        packet = self._builder.create_packet()
        packet.timestamp, packet.trusted_packet_sequence_id = time_ns, _SEQUENCE
        packet.sequence_flags = self._needs
        event = packet.track_event
        event.type, event.track_uuid = type_, track
        return packet, event

    def begun(
        self,
        time_ns: int,
        track: int,
        name: str,
        arguments: list[tuple[str, Any]],
        flows: list[int],
        *,
        takes_time: bool,
    ) -> None:
        """A slice begins, or happens in no time."""
        packet, event = self._event(time_ns, track, self._begin if takes_time else self._instant)
        interned = packet.interned_data
        event.name_iid = self._names.of(name, lambda: interned.event_names)
        event.flow_ids.extend(flows)
        for title, value in arguments:
            note = event.debug_annotations.add()
            note.name_iid = self._titles.of(title, lambda: interned.debug_annotation_names)
            if isinstance(value, bool):
                note.bool_value = value
            elif isinstance(value, int):
                if value < 0:
                    note.int_value = value
                else:
                    # Keys have 64 bits.
                    note.uint_value = value
            elif isinstance(value, float):
                note.double_value = value
            else:
                note.string_value_iid = self._texts.of(value, lambda: interned.debug_annotation_string_values)
        self._builder.write_packet(packet)

    def ended(self, time_ns: int, track: int, flows: list[int]) -> None:
        """What began last on the track is over."""
        packet, event = self._event(time_ns, track, self._end)
        event.terminating_flow_ids.extend(flows)
        self._builder.write_packet(packet)

    def counted(self, time_ns: int, counter: Counter, row: int) -> None:
        """A counter has another value from now on."""
        packet, event = self._event(time_ns, counter.track, self._counter)
        value = counter.values[row]
        if isinstance(value, np.integer):
            event.counter_value = int(value)
        else:
            event.double_counter_value = float(value)
        self._builder.write_packet(packet)
