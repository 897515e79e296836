"""What a setting may be, in words: its type as somebody writes its values, and their range."""

from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Len, Lt, MaxLen, MinLen
from pydantic import BaseModel

from simulator.plugins import Registry
from simulator.units import parse_bytes, parse_bytes_per_s, parse_ns

_QUANTITIES = {parse_bytes: "size", parse_ns: "duration", parse_bytes_per_s: "bandwidth"}
_LARGE = 10_000


def type_text(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """A type as a user would write its values."""
    for said in metadata:
        if isinstance(said, Registry):
            return f"a {said.what}"
        if getattr(said, "func", None) in _QUANTITIES:
            return _QUANTITIES[said.func]
    origin = get_origin(annotation)
    if origin is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if origin is Annotated:
        return type_text(annotation.__origin__, annotation.__metadata__)
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(type_text(part) for part in get_args(annotation)))
    if origin is tuple:
        parts = ["..." if part is Ellipsis else type_text(part) for part in get_args(annotation)]
        return f"[{', '.join(parts)}]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"{{{', '.join(annotation.model_fields)}}}"
    return "null" if annotation is type(None) else str(getattr(annotation, "__name__", annotation))


def range_text(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """Between what its values lie, of quantities in their smallest unit; nothing where any will do."""
    said = list(metadata)
    if any(isinstance(one, Registry) for one in said):
        return ""
    if get_origin(annotation) is Annotated:
        return range_text(annotation.__origin__, [*annotation.__metadata__, *said])
    parts = [_bounds(said)]
    if get_origin(annotation) in (Union, UnionType):
        parts += [range_text(part) for part in get_args(annotation)]
    elif get_origin(annotation) is tuple:
        each = [range_text(part) for part in get_args(annotation) if part is not Ellipsis]
        if Ellipsis not in get_args(annotation):
            parts.append("; ".join(each) if any(each) else "")
        elif each[0]:
            parts.append(f"each {each[0]}")
    return ", ".join(dict.fromkeys(part for part in parts if part))


def _bounds(metadata: Iterable[Any]) -> str:
    low = high = length = ""
    for said in _flat(metadata):
        if isinstance(said, Ge):
            low = f"{_number(said.ge)} to"
        elif isinstance(said, Gt):
            low = f"above {_number(said.gt)}, to"
        elif isinstance(said, Le):
            high = _number(said.le)
        elif isinstance(said, Lt):
            high = f"below {_number(said.lt)}"
        elif isinstance(said, MinLen) and said.min_length:
            length = f"{said.min_length} or more" + length
        elif isinstance(said, MaxLen):
            length += f", {said.max_length} at most"
    if high.startswith("below"):
        low = low.replace(", to", ",").replace(" to", ",")
    if low and not high:
        low = low.replace(", to", "").replace(" to", " or more")
    if high and not low:
        high = high if high.startswith("below") else f"at most {high}"
    return ", ".join(part for part in (f"{low} {high}".strip(), length.strip(", ")) if part)


def _flat(metadata: Iterable[Any]) -> Iterable[Any]:
    for said in metadata:
        if isinstance(said, Interval | Len):
            yield from said
        elif hasattr(said, "metadata"):
            # A field of pydantic's, within a type.
            yield from said.metadata
        else:
            yield said


def _number(value: Any) -> str:
    """Short: a large power of two as such."""
    if isinstance(value, int) and abs(value) >= _LARGE:
        size = abs(value)
        sign = "-" if value < 0 else ""
        if size & (size - 1) == 0:
            return f"{sign}2^{size.bit_length() - 1}"
        return f"{value:,}"
    return str(value)
