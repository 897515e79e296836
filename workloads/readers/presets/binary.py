"""Formats of fixed-size binary records."""

from typing import Any, ClassVar, Literal

import numpy as np

from workloads.readers.layout import Layout
from workloads.readers.raw import RawTable
from workloads.readers.record_table import RecordTable
from workloads.readers.row_format import Preset, PresetFormat, words

_LIBCACHESIM = "libCacheSim (https://github.com/1a1a11a/libCacheSim)"
_ORACLE_GENERAL = [("time", "<u4"), ("key", "<u8"), ("size", "<u4"), ("next", "<i8")]
_VSCSI = [
    ("serial", "<u4"), ("length", "<u4"), ("n_sg", "<u4"), ("command", "<u2"), ("version", "<u2"), ("block", "<u8"),
    ("time_us", "<u8"),
]  # fmt: skip
# READ(6), (10), (12), (16); WRITE(6), (10), AND VERIFY(10), (12), (16), by SCSI's operation codes.
SCSI_READS, SCSI_WRITES = "08 28 a8 88", "0a 2a 2e aa 8a"


def _hexadecimal(records: Any) -> Any:
    """Commands as the operation codes are written: ``2a``."""
    import pyarrow as pa

    codes, rows = np.unique(records["command"], return_inverse=True)
    texts = pa.array([f"{code:02x}" for code in codes.tolist()])
    return pa.DictionaryArray.from_arrays(pa.array(rows.reshape(-1).astype(np.int32)), texts)


class OracleGeneralConfig(PresetFormat):
    """libCacheSim's oracleGeneral: records of 24 bytes (time in s, object id, size, next access)."""

    kind: Literal["oracle_general"]
    name_parts: ClassVar[tuple[str, ...]] = ("oraclegeneral",)
    preset: ClassVar[Preset] = Preset(
        source=_LIBCACHESIM,
        example="binary: u32 time, u64 id, u32 size, i64 next access",
        layout=Layout(key=("key",), time="time", time_unit="s", size=("size",)),
    )

    def table(self) -> RawTable:
        """The records."""
        return RecordTable(self.file, _ORACLE_GENERAL)


class VscsiConfig(PresetFormat):
    """CloudPhysics' vscsi, version 1: records of 32 bytes of a virtual disk's requests (sectors, bytes, time in us).

    The key is the logical block number, of 512 bytes. ``reads_only`` takes writes for reads.
    """

    kind: Literal["vscsi"]
    reads_only: bool = False
    """Takes writes for reads."""
    name_parts: ClassVar[tuple[str, ...]] = (".vscsi",)
    preset: ClassVar[Preset] = Preset(
        source=f"CloudPhysics, Waldspurger et al., FAST 2015; {_LIBCACHESIM}",
        example="binary: u32 serial, u32 length, u32 entries, u16 command, u16 version, u64 block, u64 time",
        layout=Layout(
            key=("block",), time="time_us", time_unit="us", size=("length",), offset_unit=512, op="operation",
            words=words(SCSI_READS, SCSI_WRITES, known=False),
        ),
        reading="lengths are bytes: libCacheSim takes them so; one README says sectors",
    )  # fmt: skip

    def table(self) -> RawTable:
        """The records."""
        return RecordTable(self.file, _VSCSI, {"operation": _hexadecimal})

    def layout(self, names: Any) -> Layout:
        """As published, or with reads alone."""
        from dataclasses import replace

        found = super().layout(names)
        return replace(found, op=None) if self.reads_only else found
