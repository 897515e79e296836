"""Single cells of a table as numbers: the rules that all formats share, whatever read the cells."""

import re
from decimal import Decimal
from typing import Any

_WHOLE = re.compile(r"[0-9]{1,1000}|0[xX][0-9a-fA-F]{1,1000}", re.ASCII)
_HEX = re.compile(r"(0[xX])?[0-9a-fA-F]{1,1000}", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,40}(\.[0-9]{0,400})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
EXACT = 2**53
"""Up to which floating point holds every whole number."""


def whole(cell: Any) -> int | None:
    """A whole number from 0 to 2**64 - 1, decimal or 0x and hexadecimal, and no more than that; None if it is none.

    ``1_000``, ``+1``, ``1.0`` and ``true`` are no ids.
    """
    if isinstance(cell, str):
        if not _WHOLE.fullmatch(cell):
            return None
        value = int(cell, 16) if cell[:2] in ("0x", "0X") else int(cell)
    elif isinstance(cell, int) and not isinstance(cell, bool):
        value = cell
    elif isinstance(cell, float) and cell.is_integer() and cell < EXACT:
        value = int(cell)
    else:
        return None
    return value if 0 <= value < 2**64 else None


def hexadecimal(cell: Any) -> int | None:
    """A hexadecimal number from 0 to 2**64 - 1, with or without 0x; None if it is none."""
    if not isinstance(cell, str) or not _HEX.fullmatch(cell):
        return None
    value = int(cell, 16)
    return value if value < 2**64 else None


def scaled(cell: Any, scale: int) -> int | None:
    """A decimal fraction times 10 ** scale, what is smaller than 1 then left out; None if it is none."""
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return None
    # A fraction of Python's has more digits than were written: its shortest text has those.
    text = cell if isinstance(cell, str) else repr(cell)
    if not _DECIMAL.fullmatch(text):
        return None
    number = Decimal(text).as_tuple()
    digits, power = int("".join(map(str, number.digits))), int(number.exponent) + scale
    value = digits * 10**power if power >= 0 else digits // 10**-power
    return value if value < 2**64 else None


def quantity(cell: Any) -> int | None:
    """As ``whole``, and also one with a fraction of zeros, as pandas writes what may be missing: ``4096.0``."""
    if isinstance(cell, str) and re.fullmatch(r"[0-9]{1,40}\.0*", cell, re.ASCII):
        return whole(cell.partition(".")[0])
    return whole(cell)
