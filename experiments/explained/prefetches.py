"""What became of a prefetch and why: from the question that asked for it to its first use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from experiments.explained.ways import Hop, way_of
from experiments.timelines.drawing import places
from experiments.timelines.rows import RunRows


class Part(NamedTuple):
    """Some of the time between asking and being there; ``is_needed``: it would pass with nobody else about."""

    what: str
    ns: int
    is_needed: bool


@dataclass(frozen=True)
class Remedy:
    """What would have had to be different for the block to be there when it was wanted.

    It came ``late_ns`` too late for a use ``lead_ns`` after it was asked for. ``alone`` are the waits of which each is
    as long as that: without one it would have been in time. ``together`` are all waits, where only all of them are.
    ``needs_ns`` is what the way alone takes. ``ask_by`` is the last access of the asking stream that was issued early
    enough, ``n_earlier`` accesses of it before the one that asked.
    """

    late_ns: int
    lead_ns: int
    needs_ns: int
    alone: tuple[Part, ...]
    together: tuple[Part, ...]
    ask_by: int | None
    n_earlier: int | None


@dataclass(frozen=True)
class PrefetchStory:
    """A prefetch: who asked when, how long that was answered, its way, its use. Times are null where there was none.

    ``parts`` sum to the time from ``asked_ns`` to ``filled_ns``.
    """

    prefetch: int
    key: int
    size_bytes: int
    source: str
    confidence: float
    fate: str
    inference: int
    access: int
    stream: int | None
    asked_ns: int
    waited_ns: int
    ran_ns: int
    is_at_once: bool
    issued_ns: int
    hops: tuple[Hop, ...] | None
    filled_ns: int | None
    first_used_access: int | None
    first_used_ns: int | None
    evicted_ns: int | None
    wanted_access: int | None
    wanted_ns: int | None
    parts: tuple[Part, ...]
    remedy: Remedy | None

    @property
    def slack_ns(self) -> int | None:
        """How long before its use it was there; less than 0: how late it was."""
        if self.filled_ns is None or self.first_used_ns is None:
            return None
        return self.first_used_ns - self.filled_ns


def prefetch_story(rows: RunRows, number: int) -> PrefetchStory:
    """Of the prefetch with a number. Raises InputError if there is no such row."""
    return story_of(rows, rows.prefetch(number))


def story_of(rows: RunRows, row: dict[str, Any]) -> PrefetchStory:
    """Of a row of ``prefetches``."""
    issued, filled = row["issued_ns"], row["filled_ns"]
    asked, started, ended, stream = _question(rows, row)
    is_at_once = ended is None or started is None or ended > issued
    waited, ran = (0, 0) if is_at_once or started is None or ended is None else (started - asked, ended - started)
    hops = way_of(rows, filled, prefetch=row["prefetch"])
    parts = _parts(waited, ran, hops, None if filled is None else filled - issued, row)
    wanted = _wanted_after(rows, row)
    return PrefetchStory(
        row["prefetch"], row["key"], row["size_bytes"], rows.levels[row["source_level"]], row["confidence"],
        row["fate"], row["inference"], row["access"], stream, asked, waited, ran, is_at_once, issued, hops, filled,
        row["first_used_access"], row["first_used_ns"], row["evicted_ns"], *wanted, parts,
        _remedy(rows, row, asked, stream, parts),
    )  # fmt: skip


def _question(rows: RunRows, row: dict[str, Any]) -> tuple[int, int | None, int | None, int | None]:
    """When it was asked, taken up and answered, and by which stream; without a row, when it was sent for."""
    found = rows.one("inferences", inference=row["inference"]) if rows.has("inferences") else None
    if found is None:
        return row["issued_ns"], None, None, None
    return found["asked_ns"], found["started_ns"], found["ended_ns"], found["stream"]


def _parts(
    waited: int, ran: int, hops: tuple[Hop, ...] | None, way_ns: int | None, row: dict[str, Any]
) -> tuple[Part, ...]:
    parts = [Part("waiting for the inference server", waited, False), Part("the inference", ran, False)]
    if hops is not None:
        for hop in hops:
            parts.append(Part(f"waiting for {hop.link}", hop.waited_ns, False))
            parts.append(Part(f"the transfer over {hop.link}", hop.moved_ns, True))
            parts.append(Part(f"waiting for room behind {hop.link}", hop.room_ns, False))
    elif way_ns is not None and row["saved_ns"] is not None:
        # What a fetch takes that queues nowhere is in what a late one saved.
        needed = row["saved_ns"] + row["filled_ns"] - row["first_used_ns"]
        parts += [Part("waiting for links", way_ns - needed, False), Part("the transfers", needed, True)]
    elif way_ns is not None:
        parts.append(Part("the way", way_ns, True))
    return tuple(part for part in parts if part.ns)


def _remedy(
    rows: RunRows, row: dict[str, Any], asked: int, stream: int | None, parts: tuple[Part, ...]
) -> Remedy | None:
    filled, used = row["filled_ns"], row["first_used_ns"]
    if filled is None or used is None or filled <= used:
        return None
    late = filled - used
    waits = tuple(sorted((part for part in parts if not part.is_needed), key=lambda part: -part.ns))
    alone = tuple(part for part in waits if part.ns >= late)
    together = waits if not alone and sum(part.ns for part in waits) >= late else ()
    needs = sum(part.ns for part in parts if part.is_needed)
    return Remedy(late, used - asked, needs, alone, together, *asked_by(rows, stream, asked, asked - late))


def asked_by(rows: RunRows, stream: int | None, asked_ns: int, until_ns: int) -> tuple[int | None, int | None]:
    """The last access that a stream had issued by a time, and how many it issued from then until it asked."""
    if stream is None:
        return None, None
    mine = ds.field("stream") == pa.scalar(stream, pa.uint64())
    found = rows.read("accesses", ["access", "issued_ns"], mine & (ds.field("issued_ns") <= asked_ns))
    issued = found["issued_ns"].to_numpy()
    early = issued <= until_ns
    if not early.any():
        return None, None
    access: int = pc.max(found.filter(early)["access"]).as_py()
    return access, int((~early).sum())


def _wanted_after(rows: RunRows, row: dict[str, Any]) -> tuple[int | None, int | None]:
    """The first access to the block after it was evicted unused, if there is one with a row."""
    if row["evicted_ns"] is None or not rows.has("accesses"):
        return None, None
    same = ds.field("key") == pa.scalar(row["key"], pa.uint64())
    found = rows.some("accesses", same & (ds.field("issued_ns") >= row["evicted_ns"]))
    first = min(found, key=lambda access: (access["issued_ns"], access["access"]), default=None)
    return (None, None) if first is None else (first["access"], first["issued_ns"])


@dataclass(frozen=True)
class Lateness:
    """The late ones among the prefetches that were used, of which all times are known; medians.

    ``n_only_earlier`` were asked for less than their way takes before their use: with nothing in their way and no
    thinking they would have been late too.
    """

    n_used: int
    n_late: int
    late_ns: float
    lead_ns: float
    needs_ns: float
    n_only_earlier: int


def lateness(rows: RunRows) -> Lateness | None:
    """Of all prefetches of a run; None where none came late."""
    names = ["inference", "issued_ns", "filled_ns", "first_used_ns", "saved_ns"]
    found = rows.read("prefetches", names, ds.field("first_used_ns").is_valid() & ds.field("filled_ns").is_valid())
    late = found.filter(pc.greater(found["filled_ns"], found["first_used_ns"]))
    if len(late) == 0:
        return None
    used, filled, asked = (late[name].to_numpy() for name in ("first_used_ns", "filled_ns", "issued_ns"))
    if rows.has("inferences"):
        questions = rows.read("inferences", ["inference", "asked_ns"], ds.field("asked_ns").is_valid())
        at = places(questions["inference"].to_numpy(), late["inference"].to_numpy())
        asked = np.where(at >= 0, questions["asked_ns"].to_numpy()[at], asked)
    # What a fetch takes that queues nowhere is in what a late one saved.
    needs = late["saved_ns"].to_numpy() + filled - used
    late_ns, lead_ns, needs_ns = (float(np.median(ns)) for ns in (filled - used, used - asked, needs))
    return Lateness(len(found), len(late), late_ns, lead_ns, needs_ns, int((used - asked < needs).sum()))


def latest(rows: RunRows, n: int) -> Sequence[int]:
    """The prefetches that came latest after they were wanted."""
    found = rows.read(
        "prefetches", ["prefetch", "filled_ns", "first_used_ns"], ds.field("filled_ns") > ds.field("first_used_ns")
    )
    late = pc.subtract(found["filled_ns"], found["first_used_ns"])
    found = found.append_column("late_ns", late)
    order = pc.sort_indices(found, [("late_ns", "descending"), ("prefetch", "ascending")])
    numbers: list[int] = found["prefetch"].take(order[:n]).to_pylist()
    return numbers
