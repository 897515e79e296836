"""What an inference engine says of its KV cache: which blocks were stored and which removed, and when.

They are no accesses: a block that hits leaves no event. Three forms are read, told apart by themselves:

- vLLM's batches (``vllm/distributed/kv_events.py``), as published in MessagePack, one payload behind another, or as a
  JSON line each: a list ``[ts, events, rank]`` whose events are lists (until 2026), or a map with these names;
- what Dynamo's ``KvRecorder`` writes: JSON lines with ``timestamp`` (ms) and ``event``.

A key is the low 64 bits of a block's hash, which is a number, bytes (their last eight), or text in hexadecimal digits.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from simulator.errors import InputError
from workloads.readers.files import BROKEN, open_binary
from workloads.readers.msgpack import messages

STORED, REMOVED, CLEARED = "stored", "removed", "cleared"
_KINDS = {"BlockStored": STORED, "BlockRemoved": REMOVED, "AllBlocksCleared": CLEARED}
# Of events that are lists: where the medium and the group of caches are. What is left out at the end is null.
_PLACES = {STORED: (6, 9), REMOVED: (2, 3), CLEARED: (1, 1)}
_LOW = 2**64 - 1
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: the number of its line or message, its time, ``STORED``, ``REMOVED`` or ``CLEARED``, keys, whose."""

    number: int
    time_ns: int
    what: str
    keys: list[int]
    source: str


@dataclass
class KvEvents:
    """A file of events.

    Attributes:
        path: The file.
        skipped: Why events were left out, and how many: those of other places than the GPU, or of other groups of
            caches than the first (models with several kinds of layers have several).
    """

    path: Path
    skipped: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Event]:
        """Raises InputError, with the line or message, if one is none that is known."""
        self.skipped.clear()
        for what, number, record in self._records():
            try:
                yield from self.of_record(number, record)
            except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
                detail = f"has no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
                raise InputError(
                    f"{self.path}: {what} {number}: {detail}; expected a batch of vLLM's KV events or a row of Dynamo's"
                ) from None

    def _records(self) -> Iterator[tuple[str, int, Any]]:
        with open_binary(self.path) as file:
            try:
                first = file.read(1)
            except BROKEN as error:
                raise InputError(f"{self.path}: damaged: {error}") from None
            if not first:
                raise InputError(f"{self.path}: is empty; expected events")
        # The last is what a byte order mark begins with; in MessagePack that is a number, and no batch.
        is_text = first in b"{[ \t\r\n\xef"
        with open_binary(self.path) as file:
            yield from self._lines(file) if is_text else self._messages(file)

    def _lines(self, file: BinaryIO) -> Iterator[tuple[str, int, Any]]:
        number = 0
        try:
            for number, line in enumerate(file, 1):
                text = line.removeprefix(_BOM) if number == 1 else line
                if text.strip():
                    yield "line", number, json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.path}: line {number}: is no JSON: {error}") from None
        except BROKEN as error:
            raise InputError(f"{self.path}: damaged after line {number}: {error}") from None

    def _messages(self, file: BinaryIO) -> Iterator[tuple[str, int, Any]]:
        number = 0
        try:
            for number, message in enumerate(messages(file), 1):
                yield "message", number, message
        except (ValueError, *BROKEN) as error:
            raise InputError(f"{self.path}: message {number + 1}: {error}") from None

    def of_record(self, number: int, record: Any) -> Iterator[Event]:
        """The events of a batch or row, which has that number. Raises various errors if it is none."""
        if isinstance(record, dict) and "event" in record:
            yield from self._of_dynamo(number, record)
            return
        if not isinstance(record, list | dict):
            raise TypeError(f"is {record!r:.40}")
        if isinstance(record, list):
            ts, events, *rest = record
            rank = rest[0] if rest else None
        else:
            ts, events, rank = record["ts"], record["events"], record.get("data_parallel_rank")
        if not isinstance(ts, int | float) or isinstance(ts, bool) or not math.isfinite(ts):
            raise TypeError(f"has the time {ts!r}")
        for event in events:
            yield from self._of_vllm(number, round(ts * 1e9), event, str(rank or 0))

    def _of_vllm(self, number: int, time_ns: int, event: Any, source: str) -> Iterator[Event]:
        is_list = isinstance(event, list)
        name = event[0] if is_list else event["type"]
        if name not in _KINDS:
            raise ValueError(f"has an event {name!r}")
        what = _KINDS[name]
        if is_list:
            medium, group = (event[at] if at < len(event) else None for at in _PLACES[what])
        else:
            medium, group = event.get("medium"), event.get("group_idx")
        if what == CLEARED:
            yield Event(number, time_ns, what, [], source)
        elif medium not in (None, "GPU"):
            self.skipped[f"of {medium}"] += 1
        elif group not in (None, 0):
            self.skipped["of other groups of caches"] += 1
        else:
            hashes = event[1] if is_list else event["block_hashes"]
            yield Event(number, time_ns, what, [key_of(one) for one in hashes], source)

    def _of_dynamo(self, number: int, record: dict[str, Any]) -> Iterator[Event]:
        event = record["event"]
        source, inner = str(event["worker_id"]), event["event"]
        if rank := inner.get("dp_rank"):
            source = f"{source}/{rank}"
        time_ns, data = int(record["timestamp"]) * 10**6, inner["data"]
        if data == CLEARED:
            yield Event(number, time_ns, CLEARED, [], source)
        elif STORED in data:
            keys = [key_of(block["block_hash"]) for block in data[STORED]["blocks"]]
            yield Event(number, time_ns, STORED, keys, source)
        elif REMOVED in data:
            yield Event(number, time_ns, REMOVED, [key_of(one) for one in data[REMOVED]["block_hashes"]], source)
        else:
            raise ValueError(f"has an event {', '.join(map(repr, data))}")


def key_of(block_hash: Any) -> int:
    """The low 64 bits of a block's hash. Raises TypeError or ValueError if it is none."""
    if isinstance(block_hash, bytes):
        return int.from_bytes(block_hash, "big") & _LOW
    if isinstance(block_hash, str):
        return int(block_hash, 16) & _LOW
    if isinstance(block_hash, bool) or not isinstance(block_hash, int):
        raise TypeError(f"has the hash {block_hash!r}")
    return block_hash & _LOW
