"""libCacheSim's oracleGeneral: 24-byte records (time in s, object id, size in bytes, next access), plain or packed."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from simulator.errors import InputError
from simulator.trace import Batch, make_batch
from workloads.base import BlockBytes
from workloads.readers.files import FileWorkload, count_records, read_records
from workloads.readers.format import FormatSettings

_RECORD = [("time", "<u4"), ("key", "<u8"), ("size", "<u4"), ("next", "<i8")]


class OracleGeneralConfig(FormatSettings):
    """libCacheSim's binary format; sizes from the trace unless ``block`` is given."""

    kind: Literal["oracle_general"]
    block: BlockBytes | None = None
    name_parts: ClassVar[tuple[str, ...]] = ("oraclegeneral",)

    def build(self, seed: int, name: str = "source") -> "OracleGeneral":
        """The trace."""
        return OracleGeneral(self.file, self.block)

    @property
    def has_times(self) -> bool:
        """It does."""
        return True


class OracleGeneral(FileWorkload):
    """Sizes come from the trace, or are all ``block_bytes``."""

    def __init__(self, path: Path, block_bytes: int | None = None) -> None:
        super().__init__(path)
        self._block_bytes = block_bytes

    def _read(self) -> Iterator[Batch]:
        """The trace. Raises InputError on a bad record."""
        n = 0
        for records in read_records(self.path, _RECORD):
            sizes = records["size"]
            if self._block_bytes is None and not sizes.all():
                bad = n + int(np.flatnonzero(sizes == 0)[0])
                raise InputError(f"{self.path}: record {bad} has size 0; expected a positive number of bytes")
            yield make_batch(
                records["key"],
                n,
                time_ns=records["time"].astype(np.int64) * 1_000_000_000,
                size_bytes=sizes if self._block_bytes is None else self._block_bytes,
            )
            n += len(records)

    def _known_length(self) -> int | None:
        return count_records(self.path, _RECORD)
