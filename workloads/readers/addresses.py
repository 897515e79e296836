"""Memory addresses as text, plain or packed: a line ``l`` or ``s`` (load, store), a hex address, what may follow.

The format of the address traces that Caffeine's simulator reads; it goes back to a cache-simulation course's traces,
whose third column is the number of instructions since the last access. It is not used.
"""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from simulator.errors import InputError
from workloads.base import BlockBytes
from workloads.readers import parsing
from workloads.readers.cells import hexadecimal
from workloads.readers.format import FormatSettings
from workloads.readers.lines import Columns, Text, TextWorkload

_OPS = {b"l": 0, b"s": 1}


class AddressesConfig(FormatSettings):
    """Memory addresses, a load or store a line; the key is the block of ``block`` bytes that the address lies in."""

    kind: Literal["addresses"]
    block: BlockBytes = Field("64 B", validate_default=True)
    """The size of a block: the key is the number of the one that the address lies in."""
    name_parts: ClassVar[tuple[str, ...]] = ("address",)

    def build(self, seed: int, name: str = "source") -> "Addresses":
        """The trace."""
        return Addresses(self.file, self.block)


class Addresses(TextWorkload[tuple[int, int]]):
    """The key is the number of the block of ``block_bytes`` bytes that the address lies in.

    Raises InputError on a line that is no such access.
    """

    def __init__(self, path: Path, block_bytes: int) -> None:
        super().__init__(path)
        self._block_bytes = block_bytes

    def _parse(self, number: int, line: bytes) -> tuple[int, int]:
        words = line.split()
        op = _OPS.get(words[0])
        address = hexadecimal(words[1].decode("ascii", "replace")) if len(words) > 1 else None
        if op is None or address is None:
            raise InputError(
                f"{self.path}: line {number}: expected l or s and a hex address; "
                f"got {line[:80].decode(errors='replace')!r}"
            )
        return address // self._block_bytes, op

    def _decode(self, text: Text, first_record: int) -> tuple[Columns, int] | None:
        addresses = np.empty(len(text) // 4 + 1, np.uint64)
        ops = np.empty(len(addresses), np.uint8)
        n = parsing.addresses(text, addresses, ops)
        if n < 0:
            return None
        keys = addresses[:n] // np.uint64(self._block_bytes)
        return {"key": keys, "op": ops[:n].copy(), "size_bytes": self._block_bytes}, n

    def _columns(self, rows: list[tuple[int, int]], first_record: int) -> Columns:
        keys, ops = zip(*rows, strict=True)
        return {"key": np.array(keys, np.uint64), "op": ops, "size_bytes": self._block_bytes}
