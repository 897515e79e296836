"""Block ids as fixed-width whole numbers with nothing between them, plain or packed: cache2k's trace files."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from simulator.trace import Batch, make_batch
from workloads.base import DEFAULT_BLOCK, BlockBytes
from workloads.readers.files import FileWorkload, count_records, read_records
from workloads.readers.format import FormatSettings


class BinaryIdsConfig(FormatSettings):
    """Block ids as whole numbers of ``width`` bytes, nothing between them (cache2k's traces: 4, big)."""

    kind: Literal["binary_ids"]
    width: Literal[4, 8] = 4
    """Bytes of a number."""
    order: Literal["big", "little"] = "big"
    """Its byte order."""
    block: BlockBytes = Field(DEFAULT_BLOCK, validate_default=True)
    """The size of every block."""
    name_parts: ClassVar[tuple[str, ...]] = ("cache2k",)

    def build(self, seed: int, name: str = "source") -> "BinaryIds":
        """The trace."""
        return BinaryIds(self.file, self.width, self.order, self.block)


class BinaryIds(FileWorkload):
    """Numbers of ``width`` bytes in ``order``; every block is ``block_bytes`` long."""

    def __init__(self, path: Path, width: Literal[4, 8], order: Literal["big", "little"], block_bytes: int) -> None:
        super().__init__(path)
        self._dtype = f"{'>' if order == 'big' else '<'}u{width}"
        self._block_bytes = block_bytes

    def _read(self) -> Iterator[Batch]:
        """The trace. Raises InputError if the file ends within a number."""
        n = 0
        for keys in read_records(self.path, self._dtype):
            yield make_batch(keys, n, size_bytes=self._block_bytes)
            n += len(keys)

    def _known_length(self) -> int | None:
        return count_records(self.path, self._dtype)
