"""Compiled parsers of lines of numbers. What is bad or of an unusual form they do not judge: they return -1.

They accept a part of what ``cells`` does, and give the same values for it.
"""

import numpy as np
import numpy.typing as npt

from simulator.compiled import internal, released

Text = npt.NDArray[np.uint8]
Keys = npt.NDArray[np.uint64]

_NEWLINE, _TAB, _RETURN, _SPACE = 10, 9, 13, 32
_HASH, _STAR, _ZERO, _NINE, _L, _S, _X = (ord(character) for character in "#*09lsx")
_LOWER = 32
# Python refuses decimal numbers of thousands of digits, leading zeros among them, however small they are.
_MOST_DIGITS = 1000
_TENTH = np.uint64((2**64 - 1) // 10)
_SIXTEENTH = np.uint64(2**60 - 1)


@internal
def _is_blank(byte: int) -> bool:
    """What ``bytes.split`` and ``bytes.strip`` take for white space, but for the end of a line."""
    return byte == _SPACE or (_TAB <= byte <= _RETURN and byte != _NEWLINE)


@internal
def _skip_blanks(text: Text, at: int) -> int:
    while at < len(text) and _is_blank(text[at]):
        at += 1
    return at


@internal
def _ends_line(text: Text, at: int) -> bool:
    return at == len(text) or text[at] == _NEWLINE


@internal
def _skip_line(text: Text, at: int) -> int:
    while not _ends_line(text, at):
        at += 1
    return at


@internal
def _is_digit(text: Text, at: int) -> bool:
    return at < len(text) and _ZERO <= text[at] <= _NINE


@internal
def _decimal(text: Text, at: int) -> tuple[int, np.uint64]:
    """(Where the digits end, their value); (-1, 0) if there are none, or too many."""
    first = at
    value = np.uint64(0)
    while _is_digit(text, at):
        digit = np.uint64(text[at] - _ZERO)
        if value > _TENTH or (value == _TENTH and digit > np.uint64(5)):
            return -1, np.uint64(0)
        value = value * np.uint64(10) + digit
        at += 1
    if at == first or at - first > _MOST_DIGITS:
        return -1, np.uint64(0)
    return at, value


@internal
def _hexadecimal(text: Text, at: int) -> tuple[int, np.uint64]:
    """As ``_decimal``; at may be at the digits or a 0x before them."""
    if at + 1 < len(text) and text[at] == _ZERO and text[at + 1] | _LOWER == _X:
        at += 2
    first = at
    value = np.uint64(0)
    while at < len(text):
        byte = text[at]
        if _ZERO <= byte <= _NINE:
            digit = byte - _ZERO
        elif 97 <= byte | _LOWER <= 102:
            digit = (byte | _LOWER) - 87
        else:
            break
        if value > _SIXTEENTH:
            return -1, np.uint64(0)
        value = value * np.uint64(16) + np.uint64(digit)
        at += 1
    if at == first or at - first > _MOST_DIGITS:
        return -1, np.uint64(0)
    return at, value


@released
def ids(text: Text, keys: Keys) -> int:
    """How many ids there are in whole lines, which ``keys`` takes (one for two bytes of text, and one more); or -1."""
    at = n = 0
    while at < len(text):
        at = _skip_blanks(text, at)
        if _ends_line(text, at):
            at += 1
            continue
        if text[at] == _HASH:
            at = _skip_line(text, at)
        elif text[at] == _STAR:
            at += 1
        else:
            if text[at] == _ZERO and at + 1 < len(text) and text[at + 1] | _LOWER == _X:
                at, key = _hexadecimal(text, at)
            else:
                at, key = _decimal(text, at)
            if at < 0:
                return -1
            keys[n] = key
            n += 1
        at = _skip_blanks(text, at)
        if not _ends_line(text, at):
            return -1
        at += 1
    return n


@released
def addresses(text: Text, found: Keys, ops: npt.NDArray[np.uint8]) -> int:
    """How many accesses there are in whole lines, which the arrays take (one for four bytes, and one more); or -1."""
    at = n = 0
    while at < len(text):
        at = _skip_blanks(text, at)
        if _ends_line(text, at):
            at += 1
            continue
        op = text[at]
        at = _skip_blanks(text, at + 1)
        if op not in (_L, _S) or at == len(text) or not _is_blank(text[at - 1]):
            return -1
        at, address = _hexadecimal(text, at)
        if at < 0 or not (_ends_line(text, at) or _is_blank(text[at])):
            return -1
        found[n] = address
        ops[n] = op == _S
        n += 1
        at = _skip_line(text, at) + 1
    return n
