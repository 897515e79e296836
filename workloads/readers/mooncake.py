"""Mooncake's KV-cache traces: a JSON object a line, a request each, whose ``hash_ids`` are the blocks it reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from simulator.trace import Batch, make_batch
from workloads.readers.files import RECORDS, FileWorkload, read_lines


class Mooncake(FileWorkload):
    """All blocks of a request are issued together, at its timestamp; each is ``block_bytes`` long."""

    def __init__(self, path: Path, block_bytes: int) -> None:
        super().__init__(path)
        self._block_bytes = block_bytes

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start. Raises InputError on a line that is no such object."""
        keys: list[int] = []
        times: list[int] = []
        requests: list[int] = []
        n_made = 0
        for request, (number, line) in enumerate(read_lines(self.path)):
            time_ms, blocks = self._parse(number, line)
            keys += blocks
            times += [time_ms * 1_000_000] * len(blocks)
            requests += [request] * len(blocks)
            if len(keys) >= RECORDS:
                yield make_batch(keys, n_made, time_ns=times, size_bytes=self._block_bytes, request=requests)
                n_made += len(keys)
                keys, times, requests = [], [], []
        if keys:
            yield make_batch(keys, n_made, time_ns=times, size_bytes=self._block_bytes, request=requests)

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
        if not isinstance(time_ms, int) or not 0 <= time_ms < 2**62 // 1_000_000:
            raise bad("expected 'timestamp', a whole number of milliseconds")
        if not isinstance(blocks, list) or not all(isinstance(b, int) and 0 <= b < 2**64 for b in blocks):
            raise bad("expected 'hash_ids', a list of block numbers")
        return time_ms, blocks
