"""A compiled parser of requests as JSON lines. What is bad or of an unusual form it does not judge: it returns -1.

It accepts a part of what ``json.loads`` does, and gives the same values for it.
"""

import numpy as np
import numpy.typing as npt

from simulator.arrays import Ints
from simulator.compiled import internal, released

Text = npt.NDArray[np.uint8]
Keys = npt.NDArray[np.uint64]

_NEWLINE, _TAB, _RETURN, _SPACE, _DELETE = 10, 9, 13, 32, 127
_QUOTE, _PLUS, _COMMA, _MINUS, _DOT, _ZERO, _NINE, _COLON, _E = (ord(character) for character in '"+,-.09:e')
_OPEN, _CLOSE, _OPEN_LIST, _CLOSE_LIST, _BACKSLASH = (ord(character) for character in "{}[]\\")
_LOWER = 32
# Python refuses whole numbers of thousands of digits.
_MOST_DIGITS = 1000
_TENTH = np.uint64((2**64 - 1) // 10)
_TIMESTAMP, _HASH_IDS, _TRUE, _FALSE, _NULL = (
    np.frombuffer(word, np.uint8) for word in (b"timestamp", b"hash_ids", b"true", b"false", b"null")
)
SHORTEST_REQUEST = len('{"timestamp":0,"hash_ids":[]}')


@internal
def _ends_line(text: Text, at: int) -> bool:
    return at == len(text) or text[at] == _NEWLINE


@internal
def _is_digit(text: Text, at: int) -> bool:
    return at < len(text) and _ZERO <= text[at] <= _NINE


@internal
def _skip_blanks(text: Text, at: int) -> int:
    while at < len(text) and (text[at] == _SPACE or text[at] == _TAB or text[at] == _RETURN):
        at += 1
    return at


@internal
def _after(text: Text, at: int, byte: int) -> int:
    """Behind ``byte`` and what is blank around it; -1 if it is not there."""
    at = _skip_blanks(text, at)
    if at == len(text) or text[at] != byte:
        return -1
    return _skip_blanks(text, at + 1)


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
    value = np.uint64(0)
    while _is_digit(text, at):
        digit = np.uint64(text[at] - _ZERO)
        if value > _TENTH or (value == _TENTH and digit > np.uint64(5)):
            return -1, np.uint64(0)
        value = value * np.uint64(10) + digit
        at += 1
    if at == first or (text[first] == _ZERO and at > first + 1):
        return -1, np.uint64(0)
    if at < len(text) and (text[at] == _DOT or text[at] | _LOWER == _E):
        return -1, np.uint64(0)
    return at, value


@internal
def _digits(text: Text, at: int) -> int:
    """Where digits end; -1 if there are none, or too many."""
    first = at
    while _is_digit(text, at):
        at += 1
    return at if 0 < at - first <= _MOST_DIGITS else -1


@internal
def _string(text: Text, at: int) -> int:
    """Behind a string of ASCII without escapes; -1 if there is none."""
    if at >= len(text) or text[at] != _QUOTE:
        return -1
    at += 1
    while at < len(text) and _SPACE <= text[at] < _DELETE and text[at] != _QUOTE and text[at] != _BACKSLASH:
        at += 1
    return at + 1 if at < len(text) and text[at] == _QUOTE else -1


@internal
def _value(text: Text, at: int) -> int:
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
    if end < len(text) and text[end] == _DOT:
        end = _digits(text, end + 1)
    if 0 <= end < len(text) and text[end] | _LOWER == _E:
        end += 1
        if end < len(text) and (text[end] == _PLUS or text[end] == _MINUS):
            end += 1
        end = _digits(text, end)
    return end


@internal
def _wholes(text: Text, at: int, keys: Keys, n: int) -> tuple[int, int]:
    """(Behind a list of whole numbers, how many keys there are with it); -1 if it is anything else."""
    at = _after(text, at, _OPEN_LIST)
    if at < 0:
        return -1, n
    if at < len(text) and text[at] == _CLOSE_LIST:
        return at + 1, n
    while True:
        at, key = _whole(text, at)
        if at < 0:
            return -1, n
        keys[n] = key
        n += 1
        at = _skip_blanks(text, at)
        if at < len(text) and text[at] == _CLOSE_LIST:
            return at + 1, n
        at = _after(text, at, _COMMA)
        if at < 0:
            return -1, n


@released
def requests(text: Text, keys: Keys, times: Ints, counts: Ints, end_ms: int) -> tuple[int, int]:
    """How many blocks and requests there are in whole lines; -1 blocks if a line is no plain request.

    ``keys`` takes the blocks (one for two bytes, and one more), ``times`` and ``counts`` (one for
    ``SHORTEST_REQUEST`` bytes, and one more) the time of each request, below ``end_ms``, and its number of blocks.
    """
    at = n_keys = n = 0
    while at < len(text):
        at = _skip_blanks(text, at)
        if _ends_line(text, at):
            at += 1
            continue
        at = _after(text, at, _OPEN)
        first = n_keys
        has_time = has_blocks = False
        while at >= 0:
            end = _string(text, at)
            if end < 0:
                return -1, 0
            is_time, is_blocks = _is_word(text, at + 1, end - 1, _TIMESTAMP), _is_word(text, at + 1, end - 1, _HASH_IDS)
            at = _after(text, end, _COLON)
            if at < 0 or (is_time and has_time) or (is_blocks and has_blocks):
                return -1, 0
            if is_time:
                at, time = _whole(text, at)
                if at < 0 or time >= np.uint64(end_ms):
                    return -1, 0
                times[n] = np.int64(time)
                has_time = True
            elif is_blocks:
                at, n_keys = _wholes(text, at, keys, n_keys)
                has_blocks = True
            else:
                at = _value(text, at)
            if at < 0:
                return -1, 0
            at = _skip_blanks(text, at)
            if at < len(text) and text[at] == _CLOSE:
                break
            at = _after(text, at, _COMMA)
        if at < 0 or not (has_time and has_blocks):
            return -1, 0
        at = _skip_blanks(text, at + 1)
        if not _ends_line(text, at):
            return -1, 0
        counts[n] = n_keys - first
        n += 1
        at += 1
    return n_keys, n
