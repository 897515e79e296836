"""CloudPhysics vscsi, version 2 without its extra header: 32-byte records of a virtual disk's requests.

Serial number, length, scatter-gather entries, command, version, block number, time in us. Commands are SCSI operation
codes: those of the write family make writes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from simulator.errors import InputError
from simulator.trace import Batch, make_batch
from workloads.base import BlockBytes
from workloads.readers.files import FileWorkload, count_records, read_records
from workloads.readers.format import FormatSettings

_RECORD = [
    ("serial", "<u4"),
    ("length", "<u4"),
    ("n_sg", "<u4"),
    ("command", "<u2"),
    ("version", "<u2"),
    ("block", "<u8"),
    ("time_us", "<u8"),
]
# WRITE(6), WRITE(10), WRITE AND VERIFY(10), WRITE(12), WRITE(16)
_WRITES = np.array([0x0A, 0x2A, 0x2E, 0xAA, 0x8A], np.uint16)


class VscsiConfig(FormatSettings):
    """CloudPhysics' binary format; sizes from the trace unless ``block`` is given."""

    kind: Literal["vscsi"]
    block: BlockBytes | None = None
    reads_only: bool = False
    name_parts: ClassVar[tuple[str, ...]] = (".vscsi",)

    def build(self, seed: int, name: str = "source") -> "Vscsi":
        """The trace."""
        return Vscsi(self.file, self.block, reads_only=self.reads_only)

    @property
    def has_times(self) -> bool:
        """It does."""
        return True


class Vscsi(FileWorkload):
    """The key is the logical block number; sizes come from the trace, or are all ``block_bytes``."""

    def __init__(self, path: Path, block_bytes: int | None = None, *, reads_only: bool = False) -> None:
        super().__init__(path)
        self._block_bytes = block_bytes
        self._reads_only = reads_only

    def _read(self) -> Iterator[Batch]:
        """The trace. Raises InputError on a bad record."""
        n = 0
        for records in read_records(self.path, _RECORD):
            if self._block_bytes is None and not records["length"].all():
                bad = n + int(np.flatnonzero(records["length"] == 0)[0])
                raise InputError(f"{self.path}: record {bad} has length 0; expected a positive number of bytes")
            is_write = np.isin(records["command"], _WRITES)
            yield make_batch(
                records["block"],
                n,
                time_ns=records["time_us"].astype(np.int64) * 1000,
                size_bytes=records["length"] if self._block_bytes is None else self._block_bytes,
                op=np.zeros(len(records)) if self._reads_only else is_write,
            )
            n += len(records)

    def _known_length(self) -> int | None:
        return count_records(self.path, _RECORD)
