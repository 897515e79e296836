"""MessagePack, as much of it as events of KV caches have: no extension types (https://github.com/msgpack/msgpack)."""

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

_NUMBERS = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
# By its first byte: what follows, and the form of its length.
_LONG = {
    0xC4: ("bytes", ">B"), 0xC5: ("bytes", ">H"), 0xC6: ("bytes", ">I"),
    0xD9: ("text", ">B"), 0xDA: ("text", ">H"), 0xDB: ("text", ">I"),
    0xDC: ("list", ">H"), 0xDD: ("list", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
}  # fmt: skip
_DEEPEST = 32


def messages(file: BinaryIO) -> Iterator[Any]:
    """What a file has, one message behind another. Raises ValueError if one is damaged or of another kind."""
    while True:
        first = file.read(1)
        if not first:
            return
        yield _value(file, first[0], 0)


def _value(file: BinaryIO, first: int, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"is nested more than {_DEEPEST} deep")
    if first < 0x80 or first >= 0xE0:
        return first if first < 0x80 else first - 0x100
    if first in _CONSTANTS:
        return _CONSTANTS[first]
    if first in _NUMBERS:
        return _number(file, _NUMBERS[first])
    if first in _LONG:
        what, form = _LONG[first]
        n = _number(file, form)
    elif first < 0xC0:
        what, n = ("text", first & 0x1F) if first >= 0xA0 else ("list" if first >= 0x90 else "map", first & 0x0F)
    else:
        raise ValueError(f"has a byte 0x{first:02x} where a value begins; expected MessagePack without extensions")
    if what == "bytes":
        return _read(file, n)
    if what == "text":
        return _read(file, n).decode()
    if what == "list":
        return [_next(file, depth) for _ in range(n)]
    return {_key(_next(file, depth)): _next(file, depth) for _ in range(n)}


def _next(file: BinaryIO, depth: int) -> Any:
    return _value(file, _read(file, 1)[0], depth + 1)


def _key(value: Any) -> Any:
    if isinstance(value, list | dict):
        raise ValueError("has a list or a map as a key")
    return value


def _number(file: BinaryIO, form: str) -> Any:
    return struct.unpack(form, _read(file, struct.calcsize(form)))[0]


def _read(file: BinaryIO, n: int) -> bytes:
    found = file.read(n)
    if len(found) < n:
        raise ValueError("ends in the middle")
    return found
