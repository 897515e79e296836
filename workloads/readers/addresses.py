"""Memory addresses as text, plain or packed: a line ``l`` or ``s`` (load, store), a hex address, what may follow.

The format of the address traces that Caffeine's simulator reads; it goes back to a cache-simulation course's traces,
whose third column is the number of instructions since the last access. It is not used.
"""

from collections.abc import Iterator
from pathlib import Path

from simulator.errors import InputError
from simulator.trace import Batch, make_batch
from workloads.readers.files import RECORDS, FileWorkload, read_lines

_OPS = {b"l": 0, b"s": 1}


class Addresses(FileWorkload):
    """The key is the number of the block of ``block_bytes`` bytes that the address lies in."""

    def __init__(self, path: Path, block_bytes: int) -> None:
        super().__init__(path)
        self._block_bytes = block_bytes

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start. Raises InputError on a line that is no such access."""
        keys: list[int] = []
        ops: list[int] = []
        n_made = 0
        for number, line in read_lines(self.path):
            words = line.split()
            try:
                op, address = _OPS[words[0]], int(words[1], 16)
            except (KeyError, IndexError, ValueError):
                op, address = 0, -1
            if not 0 <= address < 2**64:
                raise InputError(
                    f"{self.path}: line {number}: expected l or s and a hex address; "
                    f"got {line[:80].decode(errors='replace')!r}"
                )
            keys.append(address // self._block_bytes)
            ops.append(op)
            if len(keys) == RECORDS:
                yield make_batch(keys, n_made, size_bytes=self._block_bytes, op=ops)
                n_made += len(keys)
                keys, ops = [], []
        if keys:
            yield make_batch(keys, n_made, size_bytes=self._block_bytes, op=ops)
