"""Block ids one a line, decimal or 0x-hex, plain or packed; lines that are ``*`` or start with # are skipped."""

from collections.abc import Iterator
from pathlib import Path

from simulator.errors import InputError
from simulator.trace import Batch, make_batch
from workloads.readers.files import RECORDS, FileWorkload, read_lines


class Ids(FileWorkload):
    """Every block is ``block_bytes`` long."""

    def __init__(self, path: Path, block_bytes: int) -> None:
        super().__init__(path)
        self._block_bytes = block_bytes

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start. Raises InputError on a line that is no id."""
        keys: list[int] = []
        n_made = 0
        for number, line in read_lines(self.path):
            if line == b"*" or line.startswith(b"#"):
                continue
            try:
                key = int(line, 16 if line[:2].lower() == b"0x" else 10)
            except ValueError:
                key = -1
            if not 0 <= key < 2**64:
                raise InputError(
                    f"{self.path}: line {number}: expected a block id (0 to 2**64 - 1); "
                    f"got {line[:80].decode(errors='replace')!r}"
                )
            keys.append(key)
            if len(keys) == RECORDS:
                yield make_batch(keys, n_made, size_bytes=self._block_bytes)
                n_made += len(keys)
                keys = []
        if keys:
            yield make_batch(keys, n_made, size_bytes=self._block_bytes)
