"""A compiled parser of JSON lines. What is bad or of an unusual form it does not judge: it returns -1.

It accepts a part of what ``json.loads`` does, and gives the same values for it.
"""

import numpy as np
import numpy.typing as npt

from simulator.arrays import Ints
from simulator.compiled import internal, released
from workloads.readers.kinds import DECIMAL, LENGTH_BITS, LIST, MOST_DIGITS, NUMBER, TEXT

Text = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.uint64]

_NEWLINE, _TAB, _RETURN, _SPACE, _DELETE = 10, 9, 13, 32, 127
_QUOTE, _PLUS, _COMMA, _MINUS, _DOT, _ZERO, _NINE, _COLON, _E, _U = (ord(character) for character in '"+,-.09:eu')
_OPEN, _CLOSE, _OPEN_LIST, _CLOSE_LIST, _BACKSLASH = (ord(character) for character in "{}[]\\")
_LOWER = 32
# Python refuses whole numbers of thousands of digits.
_MOST_DIGITS = 1000
_DEEPEST = 60
_TENTH = np.uint64((2**64 - 1) // 10)
_NOTHING = np.uint64(0)
_TRUE, _FALSE, _NULL, _ESCAPED = (np.frombuffer(w, np.uint8) for w in (b"true", b"false", b"null", b'"\\/bfnrt'))


@internal
def _ends_line(text: Text, at: int) -> bool:
    return at >= len(text) or text[at] == _NEWLINE


@internal
def _is_digit(text: Text, at: int) -> bool:
    return at < len(text) and _ZERO <= text[at] <= _NINE


@internal
def _skip_blanks(text: Text, at: int) -> int:
    while at < len(text) and (text[at] == _SPACE or text[at] == _TAB or text[at] == _RETURN):
        at += 1
    return at


@internal
def _is(text: Text, at: int, byte: int) -> bool:
    return at < len(text) and text[at] == byte


@internal
def _after(text: Text, at: int, byte: int) -> int:
    """Behind ``byte`` and what is blank around it; -1 if it is not there."""
    at = _skip_blanks(text, at)
    return _skip_blanks(text, at + 1) if _is(text, at, byte) else -1


@internal
def _is_word(text: Text, at: int, end: int, word: Text) -> bool:
    if end - at != len(word) or end > len(text):
        return False
    for i in range(len(word)):  # noqa: SIM110
        if text[at + i] != word[i]:
            return False
    return True


@internal
def _whole(text: Text, at: int) -> tuple[int, np.uint64]:
    """(Where a whole number ends, its value); (-1, 0) if there is none of 64 bits without a sign."""
    first = at
    value = _NOTHING
    while _is_digit(text, at):
        digit = np.uint64(text[at] - _ZERO)
        if value > _TENTH or (value == _TENTH and digit > np.uint64(5)):
            return -1, _NOTHING
        value = value * np.uint64(10) + digit
        at += 1
    if at == first or (text[first] == _ZERO and at > first + 1):
        return -1, _NOTHING
    if at < len(text) and (text[at] == _DOT or text[at] | _LOWER == _E):
        return -1, _NOTHING
    return at, value


@internal
def _decimal(text: Text, at: int, scale: int) -> tuple[int, np.uint64]:
    """As ``_whole``, of a number with or without a fraction, times 10 ** scale; what is less than 1 is left out."""
    first = at
    value = _NOTHING
    while _is_digit(text, at) and at - first < MOST_DIGITS:
        value = value * np.uint64(10) + np.uint64(text[at] - _ZERO)
        at += 1
    n_before = at - first
    if n_before == 0 or n_before + scale > MOST_DIGITS or (text[first] == _ZERO and n_before > 1):
        return -1, _NOTHING
    n_after = 0
    if _is(text, at, _DOT):
        at += 1
        if not _is_digit(text, at):
            return -1, _NOTHING
        while _is_digit(text, at):
            if n_after < scale:
                value = value * np.uint64(10) + np.uint64(text[at] - _ZERO)
                n_after += 1
            at += 1
    if at < len(text) and text[at] | _LOWER == _E:
        return -1, _NOTHING
    for _ in range(scale - n_after):
        value *= np.uint64(10)
    return at, value


@internal
def _digits(text: Text, at: int) -> int:
    """Where digits end; -1 if there are none, or too many."""
    first = at
    while _is_digit(text, at):
        at += 1
    return at if 0 < at - first <= _MOST_DIGITS else -1


@internal
def _plain(text: Text, at: int) -> int:
    """Behind a string of ASCII without escapes; -1 if there is none."""
    if not _is(text, at, _QUOTE):
        return -1
    at += 1
    while at < len(text) and _SPACE <= text[at] < _DELETE and text[at] != _QUOTE and text[at] != _BACKSLASH:
        at += 1
    return at + 1 if _is(text, at, _QUOTE) else -1


@internal
def _string(text: Text, at: int) -> int:
    """Behind a string of ASCII, escapes in it; -1 if there is none."""
    if not _is(text, at, _QUOTE):
        return -1
    at += 1
    while at < len(text) and _SPACE <= text[at] < _DELETE and text[at] != _QUOTE:
        if text[at] == _BACKSLASH:
            at += 1
            if at == len(text):
                return -1
            if text[at] == _U:
                for i in range(1, 5):
                    if at + i >= len(text):
                        return -1
                    byte = text[at + i]
                    if not (_ZERO <= byte <= _NINE or 97 <= byte | _LOWER <= 102):
                        return -1
                at += 4
            else:
                is_known = False
                for known in _ESCAPED:
                    is_known |= text[at] == known
                if not is_known:
                    return -1
        at += 1
    return at + 1 if _is(text, at, _QUOTE) else -1


@internal
def _scalar(text: Text, at: int) -> int:
    """Behind a string, number or word whose value does not matter; -1 if it is anything else."""
    if at >= len(text):
        return -1
    if text[at] == _QUOTE:
        return _string(text, at)
    for word in (_TRUE, _FALSE, _NULL):
        if _is_word(text, at, at + len(word), word):
            return at + len(word)
    if text[at] == _MINUS:
        at += 1
    end = _digits(text, at)
    if end < 0 or (text[at] == _ZERO and end > at + 1):
        return -1
    if _is(text, end, _DOT):
        end = _digits(text, end + 1)
    if 0 <= end < len(text) and text[end] | _LOWER == _E:
        end += 1
        if _is(text, end, _PLUS) or _is(text, end, _MINUS):
            end += 1
        end = _digits(text, end)
    return end


@internal
def _key(text: Text, at: int) -> int:
    """Behind a name and its colon; -1 if there is none."""
    at = _string(text, at)
    return _after(text, at, _COLON) if at >= 0 else -1


@internal
def _value(text: Text, at: int) -> int:
    """Behind any value, which does not matter; -1 if there is none."""
    # A bit for each that is open, of which the last is the lowest: a list or an object.
    are_lists = depth = 0
    while True:
        is_list = _is(text, at, _OPEN_LIST)
        if is_list or _is(text, at, _OPEN):
            if depth == _DEEPEST:
                return -1
            are_lists, depth = are_lists << 1 | is_list, depth + 1
            at = _skip_blanks(text, at + 1)
            if not _is(text, at, _CLOSE_LIST if is_list else _CLOSE):
                if not is_list:
                    at = _key(text, at)
                    if at < 0:
                        return -1
                continue
        else:
            at = _scalar(text, at)
            if at < 0:
                return -1
        # A value has ended, or what is open is empty.
        while depth > 0:
            at = _skip_blanks(text, at)
            is_list = are_lists & 1 == 1
            if _is(text, at, _CLOSE_LIST if is_list else _CLOSE):
                at += 1
                are_lists, depth = are_lists >> 1, depth - 1
                continue
            at = _after(text, at, _COMMA)
            if at >= 0 and not is_list:
                at = _key(text, at)
            if at < 0:
                return -1
            break
        if depth == 0:
            return at


@internal
def _wholes(text: Text, at: int, keys: Numbers, n: int) -> tuple[int, int]:
    """(Behind a list of whole numbers, how many keys there are with it); -1 if it is anything else."""
    at = _after(text, at, _OPEN_LIST)
    if at < 0:
        return -1, n
    if _is(text, at, _CLOSE_LIST):
        return at + 1, n
    while True:
        at, key = _whole(text, at)
        if at < 0:
            return -1, n
        keys[n] = key
        n += 1
        if _is(text, at, _COMMA):
            at = _skip_blanks(text, at + 1)
            continue
        at = _skip_blanks(text, at)
        if _is(text, at, _CLOSE_LIST):
            return at + 1, n
        at = _after(text, at, _COMMA)
        if at < 0:
            return -1, n


@internal
def _wanted(text: Text, at: int, kind: int, scale: int) -> tuple[int, np.uint64]:
    if kind == TEXT:
        end = _plain(text, at)
        place = np.uint64(at + 1) << np.uint64(LENGTH_BITS) | np.uint64(max(end - at - 2, 0))
        return (end if end > at + 2 else -1), place
    if kind == DECIMAL:
        return _decimal(text, at, scale)
    return _whole(text, at) if kind == NUMBER else (-1, _NOTHING)


@released
def objects(
    text: Text, names: Text, ends: Ints, slots: Ints, found: Numbers, keys: Numbers, counts: Ints
) -> tuple[int, int]:
    """How many rows there are in whole lines, and how many keys their lists have; -1 if one is not of the usual form.

    ``names`` has the wanted names one after another, ``ends`` where each ends; ``slots`` (n, 2) what each is, and its
    power of ten. ``found`` (n, rows) takes their values, ``keys`` those of lists and ``counts`` how many each row has.
    """
    n_slots = len(slots)
    at = n = n_keys = 0
    all_found = (1 << n_slots) - 1
    while at < len(text):
        at = _skip_blanks(text, at)
        if _ends_line(text, at):
            at += 1
            continue
        at = _after(text, at, _OPEN)
        if at < 0:
            return -1, 0
        there = 0
        n_before = n_keys
        while True:
            end = _plain(text, at)
            if end < 0:
                return -1, 0
            slot, start = n_slots, 0
            for i in range(n_slots):
                if end - at - 2 == ends[i] - start and _is_word(text, at + 1, end - 1, names[start : ends[i]]):
                    slot = i
                    break
                start = ends[i]
            at = _after(text, end, _COLON)
            if at < 0:
                return -1, 0
            if slot == n_slots:
                at = _value(text, at)
            else:
                if there >> slot & 1:
                    return -1, 0
                there |= 1 << slot
                if slots[slot, 0] == LIST:
                    at, n_keys = _wholes(text, at, keys, n_keys)
                else:
                    at, value = _wanted(text, at, slots[slot, 0], slots[slot, 1])
                    found[slot, n] = value
            if at < 0:
                return -1, 0
            at = _skip_blanks(text, at)
            if _is(text, at, _CLOSE):
                break
            at = _after(text, at, _COMMA)
            if at < 0:
                return -1, 0
        at = _skip_blanks(text, at + 1)
        if there != all_found or not _ends_line(text, at):
            return -1, 0
        counts[n] = n_keys - n_before
        n += 1
        at += 1
    return n, n_keys
