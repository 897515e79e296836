"""Encodings as compiled code has them: an access becomes classes, and classes become a key (``models.codecs``)."""

from typing import Any

import numpy as np

from policies.models.codecs.base import UNKNOWN, Codec
from policies.models.codecs.delta import DeltaCodec
from policies.models.codecs.delta_offset import DeltaOffsetCodec
from policies.models.codecs.key import KeyCodec
from policies.models.codecs.page_offset import PageOffsetCodec
from simulator.arrays import Ints, minus, plus, quotient, remainder, times
from simulator.compiled import address_of, internal, ints_at
from simulator.records.record import Record

KEY, DELTA, DELTA_OFFSET, PAGE_OFFSET = range(4)
_KINDS: dict[type[Codec], int] = {
    KeyCodec: KEY,
    DeltaCodec: DELTA,
    DeltaOffsetCodec: DELTA_OFFSET,
    PageOffsetCodec: PAGE_OFFSET,
}
_NOT_SIGNED = -(2**63)


class Coding(Record):
    """An encoding: addresses of the values that are classes as they come in and as they are predicted, sorted.

    An access has ``n_fields``, a prediction ``n_meant``.
    """

    kind: int
    n_fields: int
    n_meant: int
    known: int
    n_known: int
    meant: int
    page_blocks: int


def write_coding(to: Coding, codec: Codec, horizon: int) -> tuple[Any, ...]:
    """Set it for a codec at a horizon; arrays that must live as long. Raises KeyError for another kind of codec."""
    kind = _KINDS[type(codec)]
    steps = ("delta_1", f"delta_{horizon}")
    names = {KEY: ("key", "key"), DELTA: steps, DELTA_OFFSET: steps, PAGE_OFFSET: ("page", "page")}[kind]
    known, meant = (np.ascontiguousarray(codec.vocabularies[name], np.uint64).view(np.int64).copy() for name in names)
    to.kind, to.n_fields, to.n_meant = kind, len(codec.n_inputs), len(codec.n_outputs(horizon))
    to.known, to.n_known, to.meant = address_of(known), len(known), address_of(meant)
    to.page_blocks = int(codec.vocabularies["page_blocks"][0]) if "page_blocks" in codec.vocabularies else 1
    return known, meant


@internal
def _class_of(coding: Coding, value: int) -> int:
    """1 to n, or UNKNOWN, as ``codecs.base.classes_of``; values are unsigned."""
    known = ints_at(coding.known)
    first, end = 0, coding.n_known
    while first < end:
        middle = (first + end) // 2
        if (known[middle] ^ _NOT_SIGNED) < (value ^ _NOT_SIGNED):
            first = middle + 1
        else:
            end = middle
    return first + 1 if first < coding.n_known and known[first] == value else UNKNOWN


@internal
def encode(coding: Coding, key: int, last_key: int, is_first: bool, classes: Ints) -> None:
    """The classes (fields,) of an access that follows on one to ``last_key``, or on none."""
    if coding.kind in (DELTA, DELTA_OFFSET):
        classes[0] = UNKNOWN if is_first else _class_of(coding, minus(key, last_key))
        if coding.kind == DELTA_OFFSET:
            classes[1] = remainder(key, coding.page_blocks) + 1
    elif coding.kind == KEY:
        classes[0] = _class_of(coding, key)
    else:
        classes[0] = _class_of(coding, quotient(key, coding.page_blocks))
        classes[1] = remainder(key, coding.page_blocks) + 1


@internal
def decode(coding: Coding, last_key: int, first: int, second: int, key: Ints) -> bool:
    """Write the key that predicted classes mean after ``last_key``; False if they mean none."""
    if first == UNKNOWN or (coding.n_meant == 2 and second == UNKNOWN):
        return False
    value = ints_at(coding.meant)[first - 1]
    if coding.kind == KEY:
        key[0] = value
        return True
    if coding.kind in (DELTA, DELTA_OFFSET):
        key[0] = plus(last_key, value)
        # As unsigned numbers: to go on must not make smaller, nor to go back larger.
        is_larger = (key[0] ^ _NOT_SIGNED) > (last_key ^ _NOT_SIGNED)
        return value == 0 or is_larger == (value > 0)
    key[0] = plus(times(value, coding.page_blocks), second - 1)
    # A page that holds keys has none beyond the last one but at its end.
    return quotient(key[0], coding.page_blocks) == value
