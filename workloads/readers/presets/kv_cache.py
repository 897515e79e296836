"""Requests to the KV caches of language models, as JSON lines with the ids of their blocks."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Literal

from simulator.errors import InputError
from workloads.readers.json_table import JsonTable, Record
from workloads.readers.layout import Layout
from workloads.readers.lines import lines_of
from workloads.readers.peek import first_record
from workloads.readers.presets.by_names import fitted
from workloads.readers.raw import Piece, RawTable
from workloads.readers.row_format import PrefixFormat, Preset, SortRows, suffix_of

TOKEN_BYTES = 128 << 10
"""Of the keys and values of a token: 2 of 128 numbers of 16 bits in 32 layers and 8 heads, as of Llama 3 8B."""
_OTHERS = {
    "chat_id": "bailian (whose times are seconds)",
    "parent_chat_id": "bailian (whose times are seconds)",
    "delay": "aiperf",
    "session_id": "aiperf",
}
"""Names that Mooncake's rows do not have, and the formats that do."""
_TIMES = ("timestamp", "ts", "time", "arrival", "arrival_time", "arrived_at", "request_time", "start_time")
"""What the times of requests are mostly called."""
_ROOT = 2**64 - 1
_NO_PARENT = re.compile(rb'("parent_chat_id"\s*:\s*)-1(?=\s*[,}])')


class _PureTable(JsonTable):
    """Rows without what rows of other formats have: those would be read in another unit."""

    def _piece(self, rows: bytes, first: int, *rest: Any) -> Iterator[Piece]:
        for name in _OTHERS:
            if f'"{name}"'.encode() in rows:
                yield from self._before(name, rows, first, *rest)
                return
        yield from super()._piece(rows, first, *rest)

    def _before(self, name: str, rows: bytes, first: int, *rest: Any) -> Iterator[Piece]:
        """What is before the first line with a name. Raises InputError at it."""
        for number, line in lines_of(rows, first):
            if name not in self._parsed(number, line):
                continue
            before = b"\n".join(rows.split(b"\n")[: number - first])
            if before.strip():
                yield from super()._piece(before, first, *rest)
            raise self._bad(number, line, f"has {name!r}; expected Mooncake's rows throughout, or {_OTHERS[name]}")
        yield from super()._piece(rows, first, *rest)


class MooncakeConfig(PrefixFormat):
    """Mooncake's KV-cache requests as JSON lines: timestamp in ms, hash_ids of 512 tokens each."""

    kind: Literal["mooncake"]
    block_tokens: ClassVar[int | None] = 512
    default_bytes: ClassVar[int] = 512 * TOKEN_BYTES
    preset: ClassVar[Preset] = Preset(
        source="Qin et al., FAST 2025 (https://github.com/kvcache-ai/Mooncake, FAST25-release)",
        example='{"timestamp": 3000, "input_length": 915, "output_length": 355, "hash_ids": [0, 462]}',
        layout=Layout(key=("hash_ids",), time="timestamp", time_unit="ms"),
        reading="a request reads the blocks of its input; what it generates has no ids, and is left out",
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By the names in its first line, among which are none of the formats that grew from it."""
        record = first_record(path)
        if not record and suffix_of(path) == ".jsonl":
            # Its first line is damaged: reading it says how.
            return True
        has_own = "timestamp" in record and bool({"input_length", "hash_ids"} & record.keys())
        return has_own and not _OTHERS.keys() & record.keys()

    def table(self) -> RawTable:
        """The lines."""
        return _PureTable(self.file)

    def columns_of(self, names: Sequence[str]) -> Layout:
        """As published. Raises InputError if the file is of a format that is alike."""
        for name in names:
            if name in _OTHERS:
                raise InputError(
                    f"{self.path}: line 1: has {name!r}, as Mooncake's rows have not; expected --format {_OTHERS[name]}"
                )
        return fitted(self.file, self.preset.layout, names, ())


class _RootedTable(JsonTable):
    """Rows whose parent may be -1: as 64 bits without a sign."""

    def _piece(self, rows: bytes, *rest: Any) -> Iterator[Piece]:
        return super()._piece(_NO_PARENT.sub(b"\\g<1>%d" % _ROOT, rows), *rest)

    def _parsed(self, number: int, line: bytes) -> Record:
        return super()._parsed(number, _NO_PARENT.sub(b"\\g<1>%d" % _ROOT, line))


class BailianConfig(PrefixFormat):
    """Alibaba Bailian's (Qwen's) KV-cache requests as JSON lines: timestamp in s, hash_ids of 16 tokens each.

    ``chat``, ``parent`` and ``turn`` are features; a chat without a parent has 2**64 - 1 (-1 there).
    """

    kind: Literal["bailian"]
    block_tokens: ClassVar[int | None] = 16
    default_bytes: ClassVar[int] = 16 * TOKEN_BYTES
    preset: ClassVar[Preset] = Preset(
        source="Wang et al., USENIX ATC 2025 (https://github.com/alibaba-edu/qwen-bailian-usagetraces-anon)",
        example='{"chat_id": 159, "parent_chat_id": 55, "timestamp": 61.114, "input_length": 521, "output_length": '
        '132, "type": "text", "turn": 2, "hash_ids": [1089, 1090]}',
        layout=Layout(
            key=("hash_ids",), time="timestamp", time_unit="s",
            features={"chat": "chat_id", "parent": "parent_chat_id", "turn": "turn"},
        ),
        reading="ids stand for all tokens up to theirs, so those of a request are a prefix of its answer's; what it "
        "generates has no ids of its own, and is left out; a parent may be missing from the file",
    )  # fmt: skip

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By the names in its first line."""
        return {"chat_id", "timestamp", "hash_ids"} <= first_record(path).keys()

    def table(self) -> RawTable:
        """The lines."""
        return _RootedTable(self.file)

    def columns_of(self, names: Sequence[str]) -> Layout:
        """As published. Raises InputError if the file has others."""
        return fitted(self.file, self.preset.layout, names, ())


def _arrivals() -> Callable[[Record], Record]:
    """Rows with the time of their arrival: that of the session's row before, and the delay behind it."""
    last: dict[str, Decimal] = {}

    def arrives(record: Record) -> Record:
        session = record.get("session_id")
        made = {**record, "session_id": "" if session is None else session}
        if record.get("timestamp") is None:
            delay = record.get("delay", 0)
            before = last.get(str(session))
            if session is None or before is None:
                # There is nothing to count from: whoever reads it says that the time is missing.
                return made
            made["timestamp"] = str(delay)
            with suppress(ArithmeticError):
                if Decimal(str(delay)) >= 0:
                    made["timestamp"] = format(before + Decimal(str(delay)), "f")
        # What is no number is found by whoever reads the time.
        with suppress(ArithmeticError):
            last[str(session)] = Decimal(str(made["timestamp"]))
        return made

    return arrives


class AiperfConfig(PrefixFormat):
    """AIPerf's (and Dynamo's) requests as JSON lines: timestamp in ms, or delay in a session; hash_ids.

    The stream is the session; rows without one share a stream. Rows are put into order of time.
    """

    kind: Literal["aiperf"]
    sort: SortRows = 1 << 24
    """Puts rows in order of time that are up to so many rows too late."""
    default_bytes: ClassVar[int] = 512 * TOKEN_BYTES
    preset: ClassVar[Preset] = Preset(
        source="https://github.com/ai-dynamo/aiperf, docs/benchmark-modes/trace-replay.md, dataset/loader/models.py",
        example='{"session_id": "a", "timestamp": 1000.0, "input_length": 655, "output_length": 52, "hash_ids": [46]}\n'
        '{"session_id": "a", "delay": 500, "input_length": 700, "output_length": 20, "hash_ids": [46, 47, 48]}',
        layout=Layout(
            key=("hash_ids",), time="timestamp", time_unit="ms", stream=("session_id",), streams="hash",
        ),
        reading="a delay is counted from the arrival of the session's row before: when its answer ended, from which "
        "AIPerf counts, is not known; a row with neither arrives with the row before",
    )  # fmt: skip

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By the names in its first line."""
        record = first_record(path)
        return "hash_ids" in record and bool({"session_id", "delay"} & record.keys()) and "chat_id" not in record

    def table(self) -> RawTable:
        """The lines, each with a time."""
        return JsonTable(self.file, _arrivals)


class HashIdsConfig(PrefixFormat):
    """JSON lines with hash_ids and no times, as of kvcache-simulator, vLLM's and LMCache's tools: a request a line."""

    kind: Literal["hash_ids"]
    default_bytes: ClassVar[int] = 16 * TOKEN_BYTES
    preset: ClassVar[Preset] = Preset(
        source="the Python package kvcache-simulator",
        example='{"block_size": 64, "hash_ids": [1, 2, 3], "input_length": 128}',
        layout=Layout(key=("hash_ids",)),
        reading="the order of lines is that of requests; block_size, in tokens, is left out: block says the bytes",
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By the names in its first line."""
        record = first_record(path)
        if not isinstance(record.get("hash_ids"), list) or _OTHERS.keys() & record.keys():
            return False
        # Times would be left out, and nobody would see it.
        return not set(_TIMES) & {name.lower() for name in record}

    def table(self) -> RawTable:
        """The lines."""
        return JsonTable(self.file)

    def columns_of(self, names: Sequence[str]) -> Layout:
        """As published. Raises InputError if there are times, whose unit would have to be known."""
        if "timestamp" in names:
            raise InputError(
                f"{self.path}: line 1 has 'timestamp'; expected none, or --format mooncake, bailian or aiperf"
            )
        time = next((name for name in names if name.lower() in _TIMES), None)
        if time is not None:
            raise InputError(
                f"{self.path}: line 1 has {time!r}; expected no times, or a table: --columns "
                f"key=hash_ids,time_ns={time} with --time-unit"
            )
        return fitted(self.file, self.preset.layout, names, ())
