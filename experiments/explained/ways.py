"""The way of a block over its links: where it queued, behind what, and how long it was on a call."""

from dataclasses import dataclass
from typing import Any

import pyarrow.dataset as ds

from experiments.timelines.rows import RunRows, all_equal


@dataclass(frozen=True)
class Other:
    """A transfer that had a channel while another waited; ``access`` missed it, or ``prefetch`` wanted it."""

    cause: str
    key: int
    access: int | None
    prefetch: int | None
    channel: int
    started_ns: int
    ended_ns: int

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Other":
        """From a row of ``transfers``."""
        names = ("cause", "key", "access", "prefetch", "channel", "started_ns", "ended_ns")
        return cls(*(row[name] for name in names))


@dataclass(frozen=True)
class Hop:
    """A block's way over one link.

    ``under_way`` had a channel when it queued; ``went_first`` got one before it, which was free when
    ``freed_by`` ended. ``n_in_call`` blocks share the call, this one among them. ``room_ns`` is how long it then waited
    for the tier to take it in (rule R40).
    """

    link: str
    channel: int
    queued_ns: int
    started_ns: int
    ended_ns: int
    n_in_call: int
    counts_as: str
    under_way: tuple[Other, ...]
    went_first: tuple[Other, ...]
    freed_by: Other | None
    room_ns: int = 0

    @property
    def waited_ns(self) -> int:
        """For a channel."""
        return self.started_ns - self.queued_ns

    @property
    def moved_ns(self) -> int:
        """On the call."""
        return self.ended_ns - self.started_ns


def way_of(rows: RunRows, until_ns: int | None, **equal: int) -> tuple[Hop, ...] | None:
    """The hops of a transfer, by what it was for (``access`` or ``prefetch``); None where the run keeps none.

    ``until_ns``: when the block was in tier 0.
    """
    if not rows.has("transfers"):
        return None
    found = rows.some("transfers", all_equal(equal))
    found.sort(key=lambda row: (row["queued_ns"], row["started_ns"]))
    # A hop follows at once where the tier between has room.
    nexts = [*(row["queued_ns"] for row in found), until_ns][1:]
    return tuple(_hop(rows, row, after) for row, after in zip(found, nexts, strict=True))


def _hop(rows: RunRows, row: dict[str, Any], next_ns: int | None) -> Hop:
    queued, started = row["queued_ns"], row["started_ns"]
    same, others = [row], []
    # Those that it shares the call with start when it does; those that had a channel meanwhile began before.
    where = (ds.field("started_ns") <= started) & (ds.field("ended_ns") >= min(queued, started))
    for other in rows.some("transfers", where):
        if other["link"] != row["link"]:
            continue
        if other["started_ns"] == started:
            if other["call"] == row["call"] and other["key"] != row["key"]:
                same.append(other)
        elif other["ended_ns"] > queued:
            others.append(other)
    others.sort(key=lambda other: (other["started_ns"], other["ended_ns"]))
    freed = [o for o in others if o["channel"] == row["channel"] and o["ended_ns"] == started and started > queued]
    return Hop(
        row["link"], row["channel"], queued, started, row["ended_ns"], len(same), row["priority"],
        tuple(Other.of(o) for o in others if o["started_ns"] <= queued) if started > queued else (),
        tuple(Other.of(o) for o in others if o["started_ns"] > queued) if started > queued else (),
        Other.of(freed[-1]) if freed else None,
        0 if next_ns is None else max(next_ns - row["ended_ns"], 0),
    )  # fmt: skip
