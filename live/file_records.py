"""What a file of blocks looks like on disk: a heading of the file, then records of a header and a block each.

    heading | record | record | ...        heading, header: 4096 B; all numbers little-endian

A record is never changed in place: a block that is written again goes into another one, and only when that is there the
old one is free. So whatever was once written stays whole until something newer is. ``number`` counts records in the
order in which their writing began; ``all_below``: when it began, all records with smaller numbers were there. What is
cut off in the middle can so be told from what has gone bad later.
"""

import struct
import zlib
from typing import NamedTuple

from live.buffers import Bytes8
from live.file_systems import ALIGNMENT

HEADER = ALIGNMENT
_HEADING = struct.Struct("<8sIQ")
_HEADER = struct.Struct("<4sQQQQI")
_CRC = struct.Struct("<I")
_MAGIC, _MARK = b"tierfet1", b"tfb1"


class Header(NamedTuple):
    """Of a record: whose block it has, and the CRC-32 of that."""

    key: int
    number: int
    all_below: int
    block: int
    crc: int


def heading_of(block: int) -> bytes:
    """The start of a file."""
    said = _HEADING.pack(_MAGIC, HEADER, block)
    return (said + _CRC.pack(zlib.crc32(said))).ljust(HEADER, b"\0")


def block_of(heading: bytes) -> int | None:
    """The bytes of a file's blocks, or None if it is no such file."""
    said, crc = heading[: _HEADING.size], heading[_HEADING.size : _HEADING.size + 4]
    if len(crc) < 4 or _CRC.unpack(crc)[0] != zlib.crc32(said):
        return None
    magic, header, block = _HEADING.unpack(said)
    return block if magic == _MAGIC and header == HEADER else None


def write_header(into: Bytes8, header: Header) -> None:
    """Into the first bytes of a page."""
    said = _HEADER.pack(_MARK, *header)
    into[: len(said) + 4] = memoryview(said + _CRC.pack(zlib.crc32(said)))


def header_of(page: bytes) -> Header | None:
    """What a page says, or None if it is no header, or not what was written."""
    said = page[: _HEADER.size]
    crc = page[_HEADER.size : _HEADER.size + 4]
    if len(crc) < 4 or _CRC.unpack(crc)[0] != zlib.crc32(said):
        return None
    mark, *values = _HEADER.unpack(said)
    return Header(*values) if mark == _MARK else None
