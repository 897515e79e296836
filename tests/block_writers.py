"""Small writers of block and memory formats, and what each row should read as, in plain Python; no reader's code.

A row is (time in ns, device, offset, size, is a write): bytes or sectors, as the format has them.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

Row = tuple[int, int, int, int, int]
Access = tuple[int, int, int, int, int]
"""(time in ns, key, bytes, request, op)"""
M64 = 2**64 - 1


def accesses(rows: Iterable[Row], block: int | None, unit: int = 1, size_unit: int = 1) -> list[Access]:
    """Devices numbered as they come, above offsets or blocks of 44 bits."""
    devices: dict[int, int] = {}
    found = []
    for request, (time, device, offset, size, op) in enumerate(rows):
        above = devices.setdefault(device, len(devices)) << 44
        n_bytes = size * size_unit
        if block is None:
            found.append((time, above | offset, n_bytes, request, op))
            continue
        start = offset * unit
        found += [
            (time, above | n, block, request, op) for n in range(start // block, (start + n_bytes - 1) // block + 1)
        ]
    return found


def msr(rows: list[Row]) -> list[str]:
    return [
        f"{t // 100 + 116444736000000000},host{d},{d},{('Read', 'Write')[w]},{offset},{size},{offset % 97}"
        for t, d, offset, size, w in rows
    ]


def _seconds(ns: int) -> str:
    return f"{ns // 10**9}.{ns % 10**9:09d}"


def systor(rows: list[Row]) -> list[str]:
    return [f"{_seconds(t)},{'0.001' * (o % 2)},{'RW'[w]},{d},{o},{size}" for t, d, o, size, w in rows]


def spc(rows: list[Row]) -> list[str]:
    more = ("", ",0x123", ", 5.99 ,test")
    return [f"{d}, {o},{size},{'rRwW'[2 * w + o % 2]},\t{_seconds(t)}{more[size % 3]}" for t, d, o, size, w in rows]


def alibaba_block(rows: list[Row]) -> list[str]:
    return [f"{d},{'RW'[w]},{o},{size},{t // 1000}" for t, d, o, size, w in rows]


def tencent_block(rows: list[Row]) -> list[str]:
    return [f"{t // 10**9},{o},{size},{w},{d}" for t, d, o, size, w in rows]


def arc(rows: list[Row]) -> list[str]:
    return [f"{o} {size} 0 {i}" for i, (_, _, o, size, _) in enumerate(rows)]


def fio(rows: list[Row]) -> list[str]:
    lines = [f"{t // 1000} /dev/nvme{d}n1 {('read', 'write')[w]} {o} {size}" for t, d, o, size, w in rows]
    return ["fio version 3 iolog", "0 /dev/nvme0n1 add", *lines, "9 /dev/nvme0n1 close"]


def fio2(rows: list[Row]) -> list[str]:
    lines = [f"/dev/nvme{d}n1 {('read', 'write')[w]} {o} {size}" for _, d, o, size, w in rows]
    return ["fio version 2 iolog", "/dev/nvme0n1 add", "/dev/nvme0n1 wait 5000 0", *lines]


def blkparse(rows: list[Row]) -> list[str]:
    lines = []
    for i, (t, d, o, size, w) in enumerate(rows):
        head = f"{'8,' + str(d):>7} {i % 12:2d} {i + 1:8d} {t // 10**9:5d}.{t % 10**9:09d} {700 + d:5d}"
        rwbs = (("R", "RA", "RSM", "FRM"), ("W", "WS", "WFS", "FWFS"))[w][o % 4]
        lines += [f"{head}  {action} {rwbs:>3} {o} + {size} [fio]" for action in "QG"]
        lines.append(f"{head}  C {rwbs:>3} {o} + {size} [0]")
    return [*lines, "CPU0 (sde):", " Reads Queued:           1,        4KiB\t Writes Queued:  0,  0KiB", "", "Skips: 0"]


def biosnoop(rows: list[Row]) -> list[str]:
    head = "TIME(s)     COMM           PID    DISK    T SECTOR     BYTES   LAT(ms)"
    lines = [
        f"{t // 10**9}.{t % 10**9 // 1000:06d}    {('fio', 'my job 7')[o % 2]:14} {d:<6} sd{d:<4} {'RW'[w]} {o:<10} "
        f"{size:<7} {size / 7:9.2f}"
        for t, d, o, size, w in rows
    ]
    return [head, *lines]


def lackey(rows: list[Row]) -> list[str]:
    lines = ["==123== Lackey, an example Valgrind tool"]
    for _, d, o, size, w in rows:
        lines += [f"I  {o + d:08X},3", f" {'LS'[w]} {o:08x},{size}"]
    return [*lines, "==123== ", "==123== Counted 0 calls to main()"]


def pinatrace(rows: list[Row]) -> list[str]:
    return [*(f"{hex(0x400000 + d)}: {'RW'[w]} {hex(o)}" for _, d, o, _, w in rows), "#eof"]


def memtrace(rows: list[Row]) -> list[str]:
    lines = ["Format: <data address>: <data size>, <(r)ead/(w)rite/opcode>"]
    for _, d, o, size, w in rows:
        lines += [f"0x{d + 4096:016x}: {3:2d}, mov", f"0x{o:016x}: {size:2d}, {'rw'[w]}"]
    return lines


def ml_dpc(rows: list[Row]) -> list[str]:
    lines = [f"{3 * i}, {t}, {o:x}, {0x400000 + d:x}, {size % 2}" for i, (t, d, o, size, _) in enumerate(rows)]
    return ["*** Reached end of trace", "Read 3 instructions", *lines]


def cachelib_block(rows: list[Row]) -> list[str]:
    names = ("getChunkData.Permanent", "putChunk.NotInitialized")
    lines = [f"{t // 10**9},{_block_id(d)},40,{size},{o},7,8,{names[w]},{1 + o % 3},9,{d}" for t, d, o, size, w in rows]
    header = "op_time,block_id,block_id_size,io_size,io_offset,user_name,user_namespace,op_name,op_count,host_name,rs"
    return [f"{header}_shard_id", *lines]


def _block_id(device: int) -> str:
    return f"12ce23eaa5534a38-{device:016x}"


def cachelib_accesses(rows: Iterable[Row], block: int | None) -> list[Access]:
    """A hash of block and shard, as splitmix64 mixes them, and the offset added; each row ``op_count`` times."""
    found: list[Access] = []
    request = 0
    for t, d, o, size, w in rows:
        base = 0
        for part in (int.from_bytes(hashlib.blake2b(_block_id(d).encode(), digest_size=8).digest(), "little"), d):
            base = (base ^ part) * 0x9E3779B97F4A7C15 & M64
            base = (base ^ base >> 29) * 0xBF58476D1CE4E5B9 & M64
            base ^= base >> 32
        for _ in range(1 + o % 3):
            if block is None:
                found.append((t, base + o & M64, size, request, w))
            else:
                of_range = range(o // block, (o + size - 1) // block + 1)
                found += [(t, base + n & M64, block, request, w) for n in of_range]
            request += 1
    return found


def champsim(instructions: Iterable[tuple[int, list[int], list[int]]]) -> bytes:
    """Of (ip, four addresses of loads, two of stores)."""
    return b"".join(
        struct.pack("<QBB2B4B2Q4Q", ip, 0, ip % 2, 1, 0, 2, 0, 0, 0, *stores, *loads)
        for ip, loads, stores in instructions
    )


@dataclass(frozen=True)
class Format:
    """How a format is written, and what its rows are: the unit of times, of offsets and of sizes."""

    write: Callable[[list[Row]], list[str]]
    time_ns: int
    unit: int = 1
    size_unit: int = 1
    ending: str = ".txt"
    has_devices: bool = True
    reads_only: bool = False
    header: str = ""
    """A line of names that a file may have or not."""
    block: int | None = None
    """Where nobody says one."""
    point: bool = False
    """Whether an access has no size."""
    skipped: Callable[[list[Row]], dict[str, int]] = lambda rows: {}
    settings: dict[str, Any] = field(default_factory=dict)

    def expected(self, rows: list[Row], block: int | None) -> list[Access]:
        """What a file of these rows reads as."""
        if self.write is cachelib_block:
            return cachelib_accesses(rows, block)
        rows = [
            (t if self.time_ns else 0, d if self.has_devices else 0, o, 1 if self.point else size, w * self.can_write)
            for t, d, o, size, w in rows
        ]
        return accesses(rows, block or self.block, self.unit, self.size_unit)

    @property
    def can_write(self) -> int:
        """1 if it has writes."""
        return not self.reads_only


FORMATS = {
    "msr": Format(msr, 100, header="Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime"),
    "systor": Format(systor, 1, header="Timestamp,Response,IOType,LUN,Offset,Size"),
    "spc": Format(spc, 1, 512, ending=".spc"),
    "alibaba_block": Format(alibaba_block, 1000, header="device_id,opcode,offset,length,timestamp"),
    "tencent_block": Format(tencent_block, 10**9, 512, 512, header="Timestamp,Offset,Size,IOType,VolumeID"),
    "cachelib_block": Format(cachelib_block, 10**9),
    "arc": Format(arc, 0, 512, 512, ending=".lis", has_devices=False, reads_only=True, block=512),
    "fio": Format(fio, 1000, skipped=lambda rows: {"that open or close files": 2}),
    "blkparse": Format(blkparse, 1, 512, 512, skipped=lambda rows: {"of other actions than Q": 2 * len(rows)}),
    "biosnoop": Format(biosnoop, 1000, 512),
    "lackey": Format(
        lackey, 0, has_devices=False, block=64, skipped=lambda rows: {"that fetch instructions": len(rows)}
    ),
    "pinatrace": Format(pinatrace, 0, has_devices=False, block=64, point=True),
    "memtrace": Format(memtrace, 0, has_devices=False, block=64, skipped=lambda rows: {"of instructions": len(rows)}),
    "ml_dpc": Format(ml_dpc, 1, has_devices=False, reads_only=True, block=64, point=True),
}
