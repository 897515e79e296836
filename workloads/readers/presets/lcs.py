"""libCacheSim's own binary traces: a header of 8192 bytes and records that grew with its versions."""

import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from simulator.errors import InputError
from workloads.readers.layout import Layout
from workloads.readers.peek import first_bytes
from workloads.readers.raw import Piece, RawTable, Want
from workloads.readers.record_table import RecordTable
from workloads.readers.row_format import Preset, PresetFormat, words

HEADER_BYTES = 8192
_MAGIC = 0x123456789ABCDEF0
_V1 = [("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")]
_V2 = [("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("op_tenant", "<u4"), ("next", "<i8")]
_V3: list[Any] = [
    ("time", "<u4"), ("id", "<u8"), ("size", "<i8"), ("op_tenant", "<u4"), ("ttl", "<u4"), ("next", "<i8"),
]  # fmt: skip
_N_FEATURES = {4: 1, 5: 2, 6: 4, 7: 8, 8: 16}
_OPS = [
    "nop", "get", "gets", "set", "add", "cas", "replace", "append", "prepend", "delete", "incr", "decr", "read",
    "write", "update",
]  # fmt: skip
_WORDS = words("nop get gets read", "set add cas replace append prepend incr decr write update", "delete", known=False)


def _operations(records: Any) -> Any:
    """Their words, of the lowest 8 bits; a number that has none is its own."""
    import pyarrow as pa

    codes, rows = np.unique(records["op_tenant"] & 0xFF, return_inverse=True)
    texts = pa.array([_OPS[code] if code < len(_OPS) else str(code) for code in codes.tolist()], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(rows.reshape(-1).astype(np.int32)), texts)


def _tenants(records: Any) -> Any:
    import pyarrow as pa

    return pa.array(records["op_tenant"] >> 8)


def _feature(i: int) -> Callable[[Any], Any]:
    import pyarrow as pa

    return lambda records: pa.array(np.ascontiguousarray(records["features"][:, i]))


class LcsTable(RecordTable):
    """Its records, as many as the header says."""

    def __init__(self, path: Path) -> None:
        """Raises InputError if the header is none, or of a version that is not known."""
        header = first_bytes(path, HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            raise InputError(f"{path}: has {len(header)} bytes; expected a header of {HEADER_BYTES} (lcs)")
        start, self.version, _, self._n_records = struct.unpack_from("<QQqq", header)
        (end,) = struct.unpack_from("<Q", header, HEADER_BYTES - 8)
        if start != _MAGIC or end != _MAGIC:
            raise InputError(
                f"{path}: its header begins with {start:#x} and ends with {end:#x}; expected {_MAGIC:#x} (lcs; files "
                "from before its versions have a header of 1024 bytes and are not read)"
            )
        if not 1 <= self.version <= 3 and self.version not in _N_FEATURES:
            raise InputError(f"{path}: is of version {self.version}; expected 1 to 8 (lcs)")
        dtype: list[Any] = {1: _V1, 2: _V2}.get(self.version, _V3)
        self.n_features = _N_FEATURES.get(self.version, 0)
        if self.n_features:
            dtype = [*dtype, ("features", "<u4", (self.n_features,))]
        derive = {f"feature_{i + 1}": _feature(i) for i in range(self.n_features)}
        if self.version > 1:
            derive |= {"op": _operations, "tenant": _tenants}
        super().__init__(path, dtype, derive, HEADER_BYTES)

    def pieces(self, wants: Sequence[Want]) -> Iterator[Piece]:
        """The rows. Raises InputError if the file ends within one, or has fewer or more than its header says."""
        n = 0
        for piece in super().pieces(wants):
            n += piece.n_rows
            yield piece
        if self._n_records > 0 and n != self._n_records:
            raise InputError(f"{self._path}: has {n:,} records; expected {self._n_records:,}, as its header says")


class LcsConfig(PresetFormat):
    """libCacheSim's lcs, versions 1 to 8: a header of 8192 bytes, records of time in s, id, size, and more.

    From version 2 on with operations (deletes are skipped) and tenants, from 4 on with 1 to 16 features.
    """

    kind: Literal["lcs"]
    preset: ClassVar[Preset] = Preset(
        source="libCacheSim (https://github.com/1a1a11a/libCacheSim), traceReader/customizedReader/lcs.h",
        example="binary: 8192 bytes; u32 time, u64 id, i64 size, u8 op and u24 tenant, u32 ttl, i64 next (version 3)",
        layout=Layout(key=("id",), time="time", time_unit="s", size=("size",), words=_WORDS),
        reading="an operation that was not said (nop) is a read, as libCacheSim takes it; one that is invalid (255) is "
        "refused unless --ops says what it is",
    )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By the number that it begins with."""
        return first_bytes(path, 8) == struct.pack("<Q", _MAGIC)

    def table(self) -> RawTable:
        """The records."""
        return LcsTable(self.file)

    def columns_of(self, names: Sequence[str]) -> Layout:
        """What this version has."""
        from dataclasses import replace

        if "op" not in names:
            return self.preset.layout
        features = {name: name for name in names if name == "tenant" or name.startswith("feature_")}
        return replace(self.preset.layout, op="op", features=features)
