"""The rows of a run's tables as slices on tracks, in the order of causes: what is asked, sent for, moved."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from experiments.timelines.events import Slices
from experiments.timelines.lanes import OPEN, Ints, lanes_of
from experiments.timelines.rows import RunRows
from experiments.timelines.span import Span, overlaps, within
from experiments.timelines.tracks import Group, Tracks

NONE = -1
On = tuple[int, str]
"""A group of tracks, and a track's name."""
MET = "prefetch, met by a demand"
MOST_STREAMS = 16
"""Of more streams all share lanes: a track for each would fill pages."""


def ints(column: Any, missing: int = NONE) -> Ints:
    """A column as whole numbers, with one that stands for null."""
    found: Ints = pc.fill_null(column.cast(pa.int64()), missing).to_numpy()
    return found


def repeated(text: str, n: int) -> Any:
    """One text as a column."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), [text])


class Drawing:
    """The slices of a span of a run by what they are, and the tables that they are of: rows and slices go together."""

    def __init__(self, rows: RunRows, span: Span, tracks: Tracks) -> None:
        self.rows, self.span, self.tracks = rows, span, tracks
        self.tables: dict[str, Any] = {}
        self.slices: dict[str, Slices] = {}
        """In the order of causes."""
        self.superseded_ns: Ints = np.zeros(0, np.int64)
        for table, draw in (
            ("requests", self._lives),
            ("accesses", self._accesses),
            ("inferences", self._questions),
            ("updates", self._updates),
            ("prefetches", self._prefetches),
            ("transfers", self._transfers),
        ):
            if rows.has(table):
                draw(rows.read(table, where=within(table, span)))

    def _lives(self, table: Any) -> None:
        begins = ints(table["arrival_ns"])
        parts = ["waiting_ns", "fetching_ns", "computing_ns", "decoding_ns"]
        ends = begins + sum(ints(table[name]) for name in parts)
        self._draw(
            "requests", table, [(Group.REQUESTS, "requests")], None, begins, ends, repeated("request", len(table))
        )
        of = self.slices["requests"]
        # Each part as a slice within; what takes no time is none.
        starts, rows, names = [begins], [], []
        for part in parts:
            starts.append(starts[-1] + ints(table[part]))
            rows.append(np.flatnonzero(starts[-1] > starts[-2]))
            names.append(repeated(part.removesuffix("_ns"), len(rows[-1])).cast(pa.string()))
        within_ = np.concatenate(rows)
        self.slices["parts of requests"] = Slices(
            of.tracks[within_],
            np.concatenate([starts[i][some] for i, some in enumerate(rows)]),
            np.concatenate([starts[i + 1][some] for i, some in enumerate(rows)]),
            pa.concat_arrays(names),
            of.arguments.select(["access"]).take(within_),
        )

    def _accesses(self, table: Any) -> None:
        streams = table["stream"].to_numpy()
        there, codes = np.unique(streams, return_inverse=True)
        on: list[On] = [(Group.ACCESSES, f"accesses: stream {stream}") for stream in there.tolist()]
        if len(there) > MOST_STREAMS:
            on, codes = [(Group.ACCESSES, f"accesses: {len(there)} streams")], np.zeros(len(table), np.int64)
        begins = ints(table["issued_ns"])
        ends = begins + ints(table["latency_ns"])
        self._draw("accesses", table, on, codes, begins, ends, table["outcome"])

    def _questions(self, table: Any) -> None:
        status = table["status"].cast(pa.string()).to_numpy(zero_copy_only=False)
        begins, started = ints(table["asked_ns"]), ints(table["started_ns"])
        ends = ints(table["ended_ns"], OPEN)
        ends = np.where(status == "queue_full", begins, ends)
        superseded = np.flatnonzero(status == "superseded")
        if len(superseded):
            ends[superseded] = self._superseded(table, superseded)
        is_there = overlaps(begins, ends, self.span)
        table, begins, started, ends = table.filter(is_there), begins[is_there], started[is_there], ends[is_there]
        waited = np.where(started == NONE, np.where(ends == OPEN, NONE, ends - begins), started - begins)
        table = table.append_column("waited_ns", pa.array(waited, mask=waited == NONE))
        batches = ints(table["batch"])
        place = table.schema.get_field_index("batch")
        table = table.set_column(place, "batch", pa.array(batches, mask=batches == NONE))
        self._draw("inferences", table, [(Group.QUESTIONS, "questions")], None, begins, ends, table["status"])
        waits = np.flatnonzero((started > begins) & (started < ends))
        of = self.slices["inferences"]
        self.slices["waits of questions"] = Slices(
            of.tracks[waits], begins[waits], started[waits], repeated("waiting", len(waits)),
            of.arguments.select(["inference"]).take(waits),
        )  # fmt: skip
        self._batches(table, started, ends)

    def _superseded(self, table: Any, which: Ints) -> Ints:
        """When questions were superseded: when their stream asked again, which may be after the span."""
        found = self.rows.read("inferences", ["inference", "stream", "asked_ns"])
        found = found.filter(pc.is_valid(found["stream"]))
        inferences, streams = ints(found["inference"]), found["stream"].to_numpy()
        order = np.lexsort((inferences, streams))
        asked = np.append(ints(found["asked_ns"])[order], OPEN)
        place = np.argsort(order)[places(inferences, ints(table["inference"])[which])]
        next_asked: Ints = asked[place + 1]
        return next_asked

    def _batches(self, table: Any, started: Ints, ends: Ints) -> None:
        """Inferences: questions of one batch share one. One that takes no time is not drawn."""
        ran = np.flatnonzero((started != NONE) & (ends > started))
        _, firsts, counts = np.unique(ints(table["batch"])[ran], return_index=True, return_counts=True)
        rows = ran[firsts]
        arguments = table.select(["batch", "charged_ns", "host_ns"]).take(rows)
        arguments = arguments.append_column("n_questions", pa.array(counts))
        self._draw(
            "batches", arguments, [(Group.QUESTIONS, "inference server")], None, started[rows], ends[rows],
            repeated("inference", len(rows)),
        )  # fmt: skip

    def _updates(self, table: Any) -> None:
        begins, ends = ints(table["begun_ns"]), ints(table["ended_ns"], OPEN)
        self._draw("updates", table, [(Group.QUESTIONS, "updates")], None, begins, ends, repeated("update", len(table)))

    def _prefetches(self, table: Any) -> None:
        fate = table["fate"].cast(pa.string()).to_numpy(zero_copy_only=False)
        begins, ends = ints(table["proposed_ns"]), ints(table["filled_ns"], OPEN)
        # When one was cancelled is in no table.
        ends = np.where((fate == "cancelled") & (ends == OPEN), begins, ends)
        is_there = overlaps(begins, ends, self.span)
        table, fate, begins, ends = table.filter(is_there), fate[is_there], begins[is_there], ends[is_there]
        used = ints(table["first_used_ns"])
        for name, of, values in (("slack_ns", "timely", used - ends), ("late_ns", "late", ends - used)):
            table = table.append_column(name, pa.array(values, mask=(fate != of) | (ends == OPEN)))
        levels = pa.array(ints(table["source_level"]).astype(np.int8))
        table = table.append_column("source", pa.DictionaryArray.from_arrays(levels, self.rows.levels))
        self._draw("prefetches", table, [(Group.PREFETCHES, "prefetches")], None, begins, ends, table["fate"])

    def _transfers(self, table: Any) -> None:
        names = self.rows.system.link_names()
        links = ints(pc.index_in(table["link"].cast(pa.string()), pa.array(names)))
        there, codes = np.unique(np.stack([links, ints(table["channel"])]), axis=1, return_inverse=True)
        on: list[On] = [(Group.LINKS + link, f"{names[link]}: channel {channel}") for link, channel in there.T.tolist()]
        begins, ends = ints(table["started_ns"]), ints(table["ended_ns"], OPEN)
        was, counted, cause = (table[name].cast(pa.string()) for name in ("class", "priority", "cause"))
        was_met = pc.and_(pc.equal(was, "prefetch"), pc.equal(counted, "demand"))
        kinds = pc.if_else(was_met, MET, pc.replace_substring(cause, "_", " "))
        table = table.append_column("waited_ns", pa.array(begins - ints(table["queued_ns"])))
        self._draw("transfers", table, on, codes.ravel(), begins, ends, kinds, are_apart=False)

    def _draw(
        self, what: str, table: Any, on: "list[On]", codes: Any, begins: Ints, ends: Ints, names: Any, *,
        are_apart: bool = True,
    ) -> None:  # fmt: skip
        """Rows as slices on tracks, of which ``codes`` has the place in ``on`` for each row.

        Those that share a call over a link are the same time on one channel, and nest: they are not put apart.
        """
        groups = np.zeros(len(begins), np.int64) if codes is None else codes.astype(np.int64)
        lanes = lanes_of(begins, ends, groups) if are_apart else np.zeros(len(begins), np.int64)
        width = int(lanes.max(initial=0)) + 1
        pairs, of = np.unique(groups * width + lanes, return_inverse=True)
        ids = [self.tracks.of(on[pair // width][1], on[pair // width][0], pair % width) for pair in pairs.tolist()]
        tracks = np.array(ids, np.int64)[of] if len(ids) else np.zeros(0, np.int64)
        # What the slice is and where it lies says the rest.
        said = [name for name in table.column_names if name not in _SAID]
        self.tables[what] = table
        self.slices[what] = Slices(tracks, begins, ends, names, table.select(said))


_SAID = {"outcome", "status", "fate", "source_level", "link", "channel", "issued_ns", "asked_ns"}


def places(known: Ints, wanted: Ints) -> Ints:
    """Where each wanted number is among those that are known, which differ; NONE: nowhere."""
    if len(known) == 0:
        return np.full(len(wanted), NONE)
    order = np.argsort(known, kind="stable")
    at = np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)
    found: Ints = np.where(known[order][at] == wanted, order[at], NONE)
    return found
