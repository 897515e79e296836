"""Traces of block devices as text: a range of bytes a line.

Without ``block`` a range is one access, whose key is where it begins (in bytes, or in the trace's sectors); with it, a
request of all blocks that it touches.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from workloads.readers.layout import Layout
from workloads.readers.peek import first_lines
from workloads.readers.raw import RawTable
from workloads.readers.row_format import Preset, PresetFormat, suffix_of, words
from workloads.readers.text_table import Dialect, TextTable

SECTOR = 512
_SNIA = "http://iotta.snia.org/traces"


class CommaFormat(PresetFormat):
    """Fields between commas, with a line of names (then in any order) or without.

    A file is one by its line of names, or by its own name and what its first row looks like.
    """

    names: ClassVar[tuple[str, ...]]
    """Of the columns, as published."""
    numbers: ClassVar[tuple[str, ...]]
    """The columns that hold numbers in every row."""
    n_fields: ClassVar[tuple[int, int | None] | None] = None
    file_name: ClassVar[str] = ""
    """A pattern that is found in the name, in small letters, of a published file."""
    first_row: ClassVar[str] = ""
    """A pattern of a whole row."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the first line says so."""
        lines = first_lines(path)
        if not lines:
            return False
        if [field.strip().lower() for field in lines[0].split(",")] == [name.lower() for name in cls.names]:
            return True
        is_named_so = bool(cls.file_name) and re.search(cls.file_name, path.name.lower()) is not None
        return is_named_so and re.fullmatch(cls.first_row, lines[0]) is not None

    def table(self) -> RawTable:
        """The lines."""
        return TextTable(self.file, Dialect(",", "auto", "", self.n_fields, self.names, self.numbers))


class MsrConfig(CommaFormat):
    """MSR Cambridge's block traces as CSV: FILETIME of the issue, host, disk, Read or Write, offset, bytes.

    The key is host, disk and offset.
    """

    kind: Literal["msr"]
    names: ClassVar[tuple[str, ...]] = (
        "Timestamp", "Hostname", "DiskNumber", "Type", "Offset", "Size", "ResponseTime",
    )  # fmt: skip
    numbers: ClassVar[tuple[str, ...]] = ("Timestamp", "DiskNumber", "Offset", "Size", "ResponseTime")
    file_name: ClassVar[str] = r"\b(hm|mds|prn|proj|prxy|rsrch|src1|src2|stg|ts|usr|wdev|web)_\d\.csv"
    first_row: ClassVar[str] = r"\d{18},\w+,\d+,(Read|Write),\d+,\d+,\d+"
    preset: ClassVar[Preset] = Preset(
        source=f"Narayanan et al., FAST 2008; SNIA IOTTA 388 ({_SNIA}/block-io/388)",
        example="128166385295514663,hm,0,Write,9056014336,2048,2833",
        layout=Layout(
            key=("Hostname", "DiskNumber", "Offset"), time="Timestamp", time_unit="filetime", size=("Size",),
            op="Type", words=words("read", "write", known=False),
        ),
        reading="ticks of 100 ns since 1601, or, where the first is smaller than those of 1970, since any start",
    )  # fmt: skip


class SystorConfig(CommaFormat):
    """SNIA's SYSTOR '17 traces of virtual desktops as CSV: seconds, response, R or W, LUN, offset, bytes.

    The key is LUN and offset. Rows whose IOType is blank are skipped.
    """

    kind: Literal["systor"]
    names: ClassVar[tuple[str, ...]] = ("Timestamp", "Response", "IOType", "LUN", "Offset", "Size")
    numbers: ClassVar[tuple[str, ...]] = ("Timestamp", "LUN", "Offset", "Size")
    file_name: ClassVar[str] = r"\d{10}-lun\d+\.csv"
    first_row: ClassVar[str] = r"\d+\.\d+,[\d.]*,[RW]?,\d+,\d+,\d+"
    preset: ClassVar[Preset] = Preset(
        source=f"Lee et al., SYSTOR 2017; SNIA IOTTA 4928 ({_SNIA}/block-io/4928)",
        example="1456095145.133076000,0.000806000,R,0,899056122368,131072",
        layout=Layout(
            key=("LUN", "Offset"), time="Timestamp", time_unit="s", size=("Size",),
            op="IOType", words={"r": 0, "w": 1, "": 2},
        ),
        reading="a blank IOType (no response was seen) leaves open whether it was a read: such rows are skipped",
    )  # fmt: skip


class SpcConfig(CommaFormat):
    """SPC's format (UMass Financial and WebSearch): ASU, block of 512 bytes, bytes, R or W, seconds; further fields.

    The key is ASU and block. A row may have any number of further fields.
    """

    kind: Literal["spc"]
    names: ClassVar[tuple[str, ...]] = ("ASU", "LBA", "Size", "Opcode", "Timestamp")
    numbers: ClassVar[tuple[str, ...]] = ("ASU", "LBA", "Size", "Timestamp")
    n_fields: ClassVar[tuple[int, int | None] | None] = (5, None)
    file_name: ClassVar[str] = r"\.spc\b"
    first_row: ClassVar[str] = r"\d+,[ \t]*\d+,[ \t]*\d+,[ \t]*[rRwW],[ \t]*\d+\.\d+(,.*)?"
    preset: ClassVar[Preset] = Preset(
        source="SPC Trace File Format 1.0.1; UMass Trace Repository (https://traces.cs.umass.edu, Storage)",
        example="0,20941264,8192,W,0.551706,Alpha/NT",
        layout=Layout(
            key=("ASU", "LBA"), time="Timestamp", time_unit="s", size=("Size",), offset_unit=SECTOR, op="Opcode",
            words=words("r", "w", known=False),
        ),
        reading="blocks of 512 bytes: the format leaves their size to each trace, and those of UMass have these",
    )  # fmt: skip


class AlibabaBlockConfig(CommaFormat):
    """Alibaba's block traces of 2020 as CSV: device, R or W, offset, bytes, microseconds. The key is device, offset."""

    kind: Literal["alibaba_block"]
    names: ClassVar[tuple[str, ...]] = ("device_id", "opcode", "offset", "length", "timestamp")
    numbers: ClassVar[tuple[str, ...]] = ("device_id", "offset", "length", "timestamp")
    file_name: ClassVar[str] = r"^io_traces\b|alibaba.?block"
    first_row: ClassVar[str] = r"\d+,[RW],\d+,\d+,\d{13,16}"
    preset: ClassVar[Preset] = Preset(
        source="Li et al., IISWC 2020 (https://github.com/alibaba/block-traces)",
        example="0,R,126703661056,4096,1577808000000046",
        layout=Layout(
            key=("device_id", "offset"), time="timestamp", time_unit="us", size=("length",), op="opcode",
            words=words("r", "w", known=False),
        ),
    )  # fmt: skip


class TencentBlockConfig(CommaFormat):
    """Tencent's cloud block storage as CSV: seconds, offset and size in sectors of 512, 0 (read) or 1, volume.

    The key is volume and sector.
    """

    kind: Literal["tencent_block"]
    names: ClassVar[tuple[str, ...]] = ("Timestamp", "Offset", "Size", "IOType", "VolumeID")
    numbers: ClassVar[tuple[str, ...]] = names
    file_name: ClassVar[str] = r"tencent.?block"
    first_row: ClassVar[str] = r"\d{10},\d+,\d+,[01],\d+"
    preset: ClassVar[Preset] = Preset(
        source=f"Zhang et al., ATC 2020; SNIA IOTTA 27917 ({_SNIA}/parallel/27917)",
        example="1538323200,12910952,128,0,1063",
        layout=Layout(
            key=("VolumeID", "Offset"), time="Timestamp", time_unit="s", size=("Size",), size_unit=SECTOR,
            offset_unit=SECTOR, op="IOType", words=words("0", "1", known=False),
        ),
        reading="offsets are sectors, as SNIA says; the copy beside libCacheSim has bytes: --offset-unit bytes",
    )  # fmt: skip


class CachelibBlockConfig(CommaFormat):
    """Meta's storage traces (Tectonic) as CSV: getChunkData or putChunk of a range of a block's bytes; seconds.

    The key is a hash of block_id and rs_shard_id, to which io_offset is added. A row is op_count accesses.
    """

    kind: Literal["cachelib_block"]
    names: ClassVar[tuple[str, ...]] = (
        "op_time", "block_id", "block_id_size", "io_size", "io_offset", "user_name", "user_namespace", "op_name",
        "op_count", "host_name", "rs_shard_id",
    )  # fmt: skip
    numbers: ClassVar[tuple[str, ...]] = ("op_time", "io_size", "io_offset", "op_count")
    file_name: ClassVar[str] = r"^block_traces_\d+\.csv"
    first_row: ClassVar[str] = r"\d+,[^,]+,\d+,\d+,\d+,[^,]*,[^,]*,(getChunkData|putChunk)[.\w]*,\d+,[^,]*,[^,]*"
    preset: ClassVar[Preset] = Preset(
        source="CacheLib, storage/202312 (https://cachelib.org, Evaluating SSD hardware for Facebook workloads)",
        example=(
            "1702511878,12ce23eaa5534a38-9e05ce05bc10d4d0,40,8388608,0,4235083322,3487869255,"
            "getChunkData.NotInitialized,1,518845025,4"
        ),
        layout=Layout(
            key=("block_id", "rs_shard_id", "io_offset"), spreads=True, time="op_time", time_unit="s",
            size=("io_size",), op="op_name", words=words("getchunkdata", "putchunk", known=False), repeat="op_count",
        ),
        reading="a block of a shard is cut at io_offset: without --block, ranges that overlap are others",
    )  # fmt: skip


class ArcConfig(PresetFormat):
    """ARC's .lis: first block (of 512 bytes), how many, a number that is ignored, request; reads; between blanks.

    A line is a request of its blocks. Other blocks than of 512 bytes are what ``block`` says.
    """

    kind: Literal["arc"]
    preset: ClassVar[Preset] = Preset(
        source="Megiddo & Modha, FAST 2003; https://github.com/moka-rs/cache-trace (arc)",
        example="110765 64 0 0",
        layout=Layout(
            key=("first",), size=("n_blocks",), size_unit=SECTOR, offset_unit=SECTOR, request=("request",),
            block=SECTOR,
        ),
        reading="accesses are reads, in the order of the lines; there are no times",
    )  # fmt: skip

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By its ending and its first line."""
        lines = first_lines(path)
        return suffix_of(path) == ".lis" and bool(lines) and re.fullmatch(r"\s*\d+(\s+\d+){3}\s*", lines[0]) is not None

    def table(self) -> RawTable:
        """The lines."""
        names = ("first", "n_blocks", "ignored", "request")
        return TextTable(self.file, Dialect("blank", False, "", None, names))

    def layout(self, names: Sequence[str]) -> Layout:
        """As published. Where every access has one size, a line is as many of them still."""
        found = super().layout(names)
        return replace(found, block=found.block or SECTOR)
