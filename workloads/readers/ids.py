"""Block ids one a line, decimal or 0x-hex, plain or packed; lines that are ``*`` or start with # are skipped."""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from simulator.errors import InputError
from workloads.base import DEFAULT_BLOCK, BlockBytes
from workloads.readers import parsing
from workloads.readers.cells import whole
from workloads.readers.format import FormatSettings
from workloads.readers.lines import Columns, Text, TextWorkload
from workloads.readers.peek import first_lines


class IdsConfig(FormatSettings):
    """Block ids one a line."""

    kind: Literal["ids"]
    block: BlockBytes = Field(DEFAULT_BLOCK, validate_default=True)
    """The size of every block."""
    name_parts: ClassVar[tuple[str, ...]] = (".trace", ".txt", ".ids")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By its ending, unless its first row has several fields: then it is something else of text."""
        rows = [line for line in first_lines(path) if not line.startswith(("#", "*"))]
        return super().recognises(path) and not (rows and len(rows[0].replace(",", " ").split()) > 1)

    def build(self, seed: int, name: str = "source") -> "Ids":
        """The trace."""
        return Ids(self.file, self.block)


class Ids(TextWorkload[int]):
    """Every block is ``block_bytes`` long. Raises InputError on a line that is no id."""

    def __init__(self, path: Path, block_bytes: int) -> None:
        super().__init__(path)
        self._block_bytes = block_bytes

    def _parse(self, number: int, line: bytes) -> int | None:
        if line == b"*" or line.startswith(b"#"):
            return None
        key = whole(line.decode("ascii", "replace"))
        if key is None:
            raise InputError(
                f"{self.path}: line {number}: expected a block id (0 to 2**64 - 1); "
                f"got {line[:80].decode(errors='replace')!r}; --columns key=COLUMN reads a table"
            )
        return key

    def _decode(self, text: Text, first_record: int) -> tuple[Columns, int] | None:
        keys = np.empty(len(text) // 2 + 1, np.uint64)
        n = parsing.ids(text, keys)
        return None if n < 0 else ({"key": keys[:n].copy(), "size_bytes": self._block_bytes}, n)

    def _columns(self, rows: list[int], first_record: int) -> Columns:
        return {"key": np.array(rows, np.uint64), "size_bytes": self._block_bytes}
