"""Mooncake's KV-cache traces: a JSON object a line, a request each, whose ``hash_ids`` are the blocks it reads."""

import json
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from simulator.errors import InputError
from workloads.base import BlockBytes, Reuse
from workloads.readers import json_parsing
from workloads.readers.format import FormatSettings
from workloads.readers.lines import Columns, Text, TextWorkload

_END_MS = 2**62 // 1_000_000


class MooncakeConfig(FormatSettings):
    """KV-cache requests as JSON lines."""

    kind: Literal["mooncake"]
    block: BlockBytes
    name_parts: ClassVar[tuple[str, ...]] = (".jsonl",)
    block_unsaid: ClassVar[str | None] = "64 MiB"

    def build(self, seed: int, name: str = "source") -> "Mooncake":
        """The trace."""
        return Mooncake(self.file, self.block)

    @property
    def has_times(self) -> bool:
        """It does."""
        return True

    @property
    def reuse(self) -> Reuse:
        """A block is of use behind all that it was computed from."""
        return "prefix"


class Mooncake(TextWorkload[tuple[int, list[int]]]):
    """All blocks of a request are issued together, at its timestamp; each is ``block_bytes`` long.

    Raises InputError on a line that is no such object.
    """

    def __init__(self, path: Path, block_bytes: int) -> None:
        super().__init__(path)
        self._block_bytes = block_bytes

    def _parse(self, number: int, line: bytes) -> tuple[int, list[int]]:
        def bad(what: str) -> InputError:
            return InputError(f"{self.path}: line {number}: {what}; got {line[:80].decode(errors='replace')!r}")

        try:
            record: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise bad(f"is not JSON ({error})") from None
        if not isinstance(record, dict):
            raise bad("expected an object")
        time_ms, blocks = record.get("timestamp"), record.get("hash_ids")
        if not isinstance(time_ms, int) or not 0 <= time_ms < _END_MS:
            raise bad("expected 'timestamp', a whole number of milliseconds")
        if not isinstance(blocks, list) or not all(isinstance(b, int) and 0 <= b < 2**64 for b in blocks):
            raise bad("expected 'hash_ids', a list of block numbers")
        return time_ms, blocks

    def _decode(self, text: Text, first_record: int) -> tuple[Columns, int] | None:
        keys = np.empty(len(text) // 2 + 1, np.uint64)
        times, counts = np.empty((2, len(text) // json_parsing.SHORTEST_REQUEST + 1), np.int64)
        n_keys, n = json_parsing.requests(text, keys, times, counts, _END_MS)
        if n_keys < 0:
            return None
        return self._repeated(keys[:n_keys].copy(), times[:n], counts[:n], first_record), n

    def _columns(self, rows: list[tuple[int, list[int]]], first_record: int) -> Columns:
        keys = np.array([block for _, blocks in rows for block in blocks], np.uint64)
        times = np.array([time_ms for time_ms, _ in rows], np.int64)
        return self._repeated(keys, times, np.array([len(blocks) for _, blocks in rows]), first_record)

    def _repeated(self, keys: Any, times_ms: Any, counts: Any, first_record: int) -> Columns:
        requests = np.arange(first_record, first_record + len(counts), dtype=np.uint64)
        return {
            "key": keys,
            "time_ns": np.repeat(times_ms * 1_000_000, counts),
            "request": np.repeat(requests, counts),
            "size_bytes": self._block_bytes,
        }
