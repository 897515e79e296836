"""Why an access took as long as it did, and what a hit would have needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from experiments.explained.prefetches import PrefetchStory, asked_by, story_of
from experiments.explained.ways import Hop, Other, way_of
from experiments.timelines.rows import RunRows


@dataclass(frozen=True)
class Named:
    """A question whose best guess was the block, and that brought nothing: put by ``access``."""

    inference: int
    access: int
    status: str
    asked_ns: int
    ended_ns: int | None
    n_issued: int


@dataclass(frozen=True)
class AccessStory:
    """An access: its outcome, what its latency is made of, and where its block was.

    ``prefetch`` is the one that brought the block, ``way`` what the access fetched itself, ``joined`` the transfer
    that it found under way, ``written_down`` one that it waited for before. ``evicted`` is the last prefetch of the
    block that was evicted unused since it was last wanted, ``named`` the last guess of it since then. ``needs_ns`` is
    what fetching takes with nothing in its way, and ``ask_by`` the last access of its stream that was issued so long
    before, ``n_between`` accesses of it before this one.
    """

    access: int
    stream: int
    request: int
    key: int
    op: str
    outcome: str
    shadow: str | None
    issued_ns: int
    latency_ns: int
    service_ns: int
    queue_ns: int
    transfer_ns: int
    inference_ns: int
    prefetch: PrefetchStory | None
    way: tuple[Hop, ...] | None
    joined: Other | None
    written_down: Other | None
    evicted: PrefetchStory | None
    named: Named | None
    needs_ns: int | None
    ask_by: int | None
    n_between: int | None


def access_story(rows: RunRows, number: int) -> AccessStory:
    """Of the access with a number. Raises InputError if there is no such row."""
    row = rows.access(number)
    outcome, issued = row["outcome"], row["issued_ns"]
    used = rows.one("prefetches", first_used_access=number) if rows.has("prefetches") else None
    prefetch = None if used is None else story_of(rows, used)
    way = way_of(rows, issued + row["latency_ns"] - row["service_ns"], access=number) if outcome == "miss" else None
    was_missing = outcome in ("miss", "merged")
    moved = _moved(rows, row) if was_missing or row["queue_ns"] else []
    joined = next((other for other in reversed(moved) if not _is_down(other)), None) if outcome == "merged" else None
    down = next((other for other in reversed(moved) if _is_down(other)), None)
    needs = sum(hop.moved_ns for hop in way) if way else None
    ask_by, n_later = (None, None) if needs is None else asked_by(rows, row["stream"], issued, issued - needs)
    since = _wanted_before(rows, row) if was_missing else 0
    return AccessStory(
        number, row["stream"], row["request"], row["key"], row["op"], outcome, row["shadow"], issued, row["latency_ns"],
        row["service_ns"], row["queue_ns"], row["transfer_ns"], row["inference_ns"], prefetch, way, _other(joined),
        _other(down), _evicted(rows, row, since) if was_missing else None,
        _named(rows, row, since) if was_missing else None, needs, ask_by, None if n_later is None else n_later - 1,
    )  # fmt: skip


def _is_down(transfer: dict[str, Any]) -> bool:
    return bool(transfer["is_down"])


def _other(transfer: dict[str, Any] | None) -> Other | None:
    return None if transfer is None else Other.of(transfer)


def _same_key(row: dict[str, Any]) -> Any:
    return ds.field("key") == pa.scalar(row["key"], pa.uint64())


def _moved(rows: RunRows, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Transfers of the block that were queued or under way when it was asked for, and not begun by the access."""
    if not rows.has("transfers"):
        return []
    issued = row["issued_ns"]
    where = _same_key(row) & (ds.field("queued_ns") <= issued) & (ds.field("ended_ns") > issued)
    found = [other for other in rows.some("transfers", where) if other["access"] != row["access"]]
    return sorted(found, key=lambda other: int(other["started_ns"]))


def _wanted_before(rows: RunRows, row: dict[str, Any]) -> int:
    """When the block was last asked for before; 0: never."""
    found = rows.read("accesses", ["issued_ns"], _same_key(row) & (ds.field("issued_ns") < row["issued_ns"]))
    return int(pc.max(found["issued_ns"]).as_py() or 0)


def _evicted(rows: RunRows, row: dict[str, Any], since_ns: int) -> PrefetchStory | None:
    if not rows.has("prefetches"):
        return None
    where = _same_key(row) & (ds.field("evicted_ns") <= row["issued_ns"]) & (ds.field("evicted_ns") >= since_ns)
    found = max(rows.some("prefetches", where), key=lambda prefetch: int(prefetch["evicted_ns"]), default=None)
    return None if found is None else story_of(rows, found)


def _named(rows: RunRows, row: dict[str, Any], since_ns: int) -> Named | None:
    """The last guess of the block since it was wanted before, but for what the access asked itself."""
    if not rows.has("inferences"):
        return None
    where = ds.field("predicted_key") == pa.scalar(row["key"], pa.uint64())
    where &= (ds.field("asked_ns") <= row["issued_ns"]) & (ds.field("asked_ns") >= since_ns)
    found = [question for question in rows.some("inferences", where) if question["access"] != row["access"]]
    last = max(found, key=lambda question: int(question["inference"]), default=None)
    if last is None:
        return None
    return Named(*(last[name] for name in ("inference", "access", "status", "asked_ns", "ended_ns", "n_issued")))


def worst(rows: RunRows, n: int) -> Sequence[int]:
    """The accesses that took longest."""
    found = rows.read("accesses", ["access", "latency_ns"])
    order = pc.sort_indices(found, [("latency_ns", "descending"), ("access", "ascending")])
    numbers: list[int] = found["access"].take(order[:n]).to_pylist()
    return numbers
