"""A compiled parser of lines of fields. What is bad or of an unusual form it does not judge: it returns -1.

It accepts a part of what ``text_table.split`` and ``cells`` do, and gives the same values for it.
"""

import numpy as np
import numpy.typing as npt

from simulator.arrays import Ints
from simulator.compiled import internal, released
from workloads.readers.kinds import (
    BLANKS,
    DECIMAL,
    HEX,
    LENGTH_BITS,
    LONGEST_NUMBER,
    MOST_DIGITS,
    NUMBER,
    OPTIONAL,
    TEXT,
)

Text = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.uint64]

_NEWLINE, _TAB, _RETURN, _SPACE, _QUOTE = 10, 9, 13, 32, 34
_ZERO, _NINE, _DOT, _X = (ord(character) for character in "09.x")
_LOWER = 32
_TENTH = np.uint64((2**64 - 1) // 10)
_SIXTEENTH = np.uint64(2**60 - 1)
_FAILED = np.uint64(0)


@internal
def _is_blank(byte: int) -> bool:
    return byte in (_SPACE, _TAB, _RETURN)


@internal
def _whole(text: Text, at: int, end: int) -> tuple[bool, np.uint64]:
    value = np.uint64(0)
    if at >= end:
        return False, _FAILED
    while at < end:
        byte = text[at]
        if byte < _ZERO or byte > _NINE:
            return False, _FAILED
        digit = np.uint64(byte - _ZERO)
        if value > _TENTH or (value == _TENTH and digit > np.uint64(5)):
            return False, _FAILED
        value = value * np.uint64(10) + digit
        at += 1
    return True, value


@internal
def _hexadecimal(text: Text, at: int, end: int) -> tuple[bool, np.uint64]:
    if at + 1 < end and text[at] == _ZERO and text[at + 1] | _LOWER == _X:
        at += 2
    value = np.uint64(0)
    if at >= end:
        return False, _FAILED
    while at < end:
        byte = text[at]
        if _ZERO <= byte <= _NINE:
            digit = byte - _ZERO
        elif 97 <= byte | _LOWER <= 102:
            digit = (byte | _LOWER) - 87
        else:
            return False, _FAILED
        if value > _SIXTEENTH:
            return False, _FAILED
        value = value * np.uint64(16) + np.uint64(digit)
        at += 1
    return True, value


@internal
def _decimal(text: Text, at: int, end: int, scale: int) -> tuple[bool, np.uint64]:
    """A number with or without a fraction, times 10 ** scale; what is smaller than 1 then is left out."""
    first, value = at, np.uint64(0)
    n_after = -1
    if at >= end or text[at] == _DOT:
        return False, _FAILED
    while at < end:
        byte = text[at]
        if byte == _DOT and n_after < 0:
            n_after = 0
        elif _ZERO <= byte <= _NINE:
            if n_after < scale:
                if value > _TENTH - np.uint64(1):
                    return False, _FAILED
                value = value * np.uint64(10) + np.uint64(byte - _ZERO)
                n_after += n_after >= 0
        else:
            return False, _FAILED
        at += 1
    n_after = max(n_after, 0)
    # Digits before the point, and those that the power of ten makes whole.
    n_kept = at - first
    for i in range(first, end):
        if text[i] == _DOT:
            n_kept = i - first
            break
    if n_kept + scale > MOST_DIGITS:
        return False, _FAILED
    for _ in range(scale - n_after):
        value *= np.uint64(10)
    return True, value


@internal
def _parsed(text: Text, at: int, end: int, kind: int, scale: int) -> tuple[bool, np.uint64]:
    if kind in (TEXT, OPTIONAL):
        return end > at or kind == OPTIONAL, np.uint64(at) << np.uint64(LENGTH_BITS) | np.uint64(end - at)
    if end - at > LONGEST_NUMBER:
        return False, _FAILED
    if kind == DECIMAL:
        return _decimal(text, at, end, scale)
    if kind == HEX or (end - at > 2 and text[at] == _ZERO and text[at + 1] | _LOWER == _X):
        return _hexadecimal(text, at, end)
    return _whole(text, at, end)


@internal
def _starts_with(text: Text, at: int, word: Text) -> bool:
    if at + len(word) > len(text):
        return False
    for i in range(len(word)):  # noqa: SIM110
        if text[at + i] != word[i]:
            return False
    return True


@internal
def _next_line(text: Text, at: int) -> int:
    while at < len(text) and text[at] != _NEWLINE:
        at += 1
    return at + 1


@internal
def _digits(text: Text, at: int) -> tuple[int, np.uint64]:
    """(Where the digits end, their value if they are few enough): most fields are these and no more."""
    value = np.int64(0)
    # One more might not fit.
    last = at + MOST_DIGITS - 1
    while at < last:
        digit = np.int64(text[at]) - _ZERO
        if digit < 0 or digit > 9:
            return at, np.uint64(value)
        value = value * 10 + digit
        at += 1
    return at, np.uint64(value)


@released
def fields(text: Text, separator: int, comment: Text, slots: Ints, n_least: int, n_most: int, found: Numbers) -> int:
    """How many rows there are in whole lines, blank ones and comments left out; -1 if one is not of the usual form.

    The last line has its end, too.

    ``slots`` (n, 3) has for each wanted field, in order, its number in the line, what it is, and its power of ten;
    ``found`` (n, rows) takes them: numbers, and of a text its start and length. A row has ``n_least`` to ``n_most``
    fields.
    """
    n_slots, size = len(slots), len(text)
    powers, few = np.ones(n_slots, np.uint64), np.zeros(n_slots, np.int64)
    for slot in range(n_slots):
        for _ in range(slots[slot, 2]):
            powers[slot] *= np.uint64(10)
        few[slot] = MOST_DIGITS - 1 - slots[slot, 2]
    at = n = 0
    while at < size:
        start = at
        while at < size and _is_blank(text[at]) and text[at] != separator:
            at += 1
        if at == size or text[at] == _NEWLINE:
            at += 1
            continue
        if len(comment) and _starts_with(text, at, comment):
            at = _next_line(text, at)
            continue
        if separator != BLANKS:
            at = start
        field = slot = 0
        while True:
            if slot < n_slots and slots[slot, 0] == field and slots[slot, 1] in (NUMBER, DECIMAL):
                end, value = _digits(text, at)
                # Where the next field is wanted twice, as two kinds, both are parsed below.
                is_once = slot + 1 == n_slots or slots[slot + 1, 0] != field
                if (text[end] == separator or text[end] == _NEWLINE) and 0 < end - at <= few[slot] and is_once:
                    found[slot, n] = value * powers[slot]
                    at = end + (text[end] == separator)
                    slot += 1
                    field += 1
                    if text[end] == _NEWLINE:
                        break
                    continue
            while at < size and _is_blank(text[at]) and text[at] != separator:
                at += 1
            if at < size and text[at] == _QUOTE and separator != BLANKS:
                at += 1
                first = at
                while at < size and text[at] != _QUOTE and text[at] != _NEWLINE:
                    at += 1
                if at == size or text[at] != _QUOTE:
                    return -1
                end = at
                at += 1
                while at < size and _is_blank(text[at]) and text[at] != separator:
                    at += 1
                if at < size and text[at] != separator and text[at] != _NEWLINE:
                    return -1
            else:
                first = at
                if separator == BLANKS:
                    while at < size and text[at] != _NEWLINE and not _is_blank(text[at]):
                        at += 1
                else:
                    while text[at] != separator and text[at] != _NEWLINE:
                        at += 1
                end = at
                while end > first and _is_blank(text[end - 1]):
                    end -= 1
            while slot < n_slots and slots[slot, 0] == field:
                is_good, value = _parsed(text, first, end, slots[slot, 1], slots[slot, 2])
                if not is_good:
                    return -1
                found[slot, n] = value
                slot += 1
            field += 1
            if separator == BLANKS:
                while at < size and _is_blank(text[at]):
                    at += 1
            if at >= size or text[at] == _NEWLINE:
                break
            if separator != BLANKS:
                at += 1
        at += 1
        if field < n_least or field > n_most or slot < n_slots:
            return -1
        n += 1
    return n


@released
def gather(text: Text, places: Numbers, out: Text, offsets: npt.NDArray[np.int32]) -> None:
    """Copy texts one after another; ``offsets`` (n + 1) takes where each begins, and the last ends."""
    at = 0
    for i in range(len(places)):
        offsets[i] = at
        first = np.int64(places[i] >> np.uint64(LENGTH_BITS))
        for j in range(np.int64(places[i] & np.uint64(2**LENGTH_BITS - 1))):
            out[at] = text[first + j]
            at += 1
    offsets[len(places)] = at
