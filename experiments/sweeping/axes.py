"""The values that a swept key takes: a list, a range such as ``1..8``, ``log(1 us, 1 ms, 7)`` or ``linear(...)``."""

import math
import re
from collections.abc import Callable
from typing import Any

from simulator.one_line import split
from simulator.units import parse_bytes, parse_bytes_per_s, parse_ns

MOST_VALUES, _LONGEST = 100_000, 15
_RANGE = re.compile(r"\s*(-?[0-9]+)\s*\.\.\s*(-?[0-9]+)\s*(?:\.\.\s*([0-9]+)\s*)?")
_SPACED = re.compile(r"\s*(log|linear)\s*\((.*)\)\s*", re.DOTALL)
_UNITS: tuple[tuple[Callable[[object], int], str], ...] = (
    (parse_ns, "ns"), (parse_bytes, "B"), (parse_bytes_per_s, "B/s"),
)  # fmt: skip
EXPECTED = "a list of values, a range such as 1..8 or 0..64..8, log(FROM, TO, N) or linear(FROM, TO, N)"


def values_of(said: Any, *, may_repeat: bool = False) -> list[Any]:
    """What a key takes in turn. Raises ValueError if nothing, or the same twice where it must not."""
    values = said if isinstance(said, list) else _of_text(said) if isinstance(said, str) else None
    if values is None:
        raise ValueError(f"got {said!r}; expected {EXPECTED}")
    if not values:
        raise ValueError("has no values; expected at least one")
    seen: set[str] = set()
    for value in values:
        # Quantities by what they amount to. To Python true is 1, which to a config it is not.
        amount = repr(amount_of(value))
        if amount in seen and not may_repeat:
            raise ValueError(f"{value!r} is there twice; expected each value once")
        seen.add(amount)
    return values


def _of_text(text: str) -> list[Any] | None:
    if found := _RANGE.fullmatch(text):
        first, last, step = int(found[1]), int(found[2]), int(found[3] or 1)
        if step == 0 or last < first:
            raise ValueError(f"{text!r} is empty; expected a range that goes up, in steps of 1 or more")
        n = (last - first) // step + 1
        if n > MOST_VALUES:
            raise ValueError(f"{text!r} has {n:,} values; expected at most {MOST_VALUES:,}")
        return list(range(first, last + 1, step))
    if found := _SPACED.fullmatch(text):
        return _spaced(text, found[1], split(found[2]))
    return None


def _spaced(text: str, how: str, parts: list[str]) -> list[Any]:
    if len(parts) != 3 or not re.fullmatch("[0-9]+", parts[2]) or not 2 <= int(parts[2]) <= MOST_VALUES:
        raise ValueError(f"{text!r}: expected {how}(FROM, TO, N) with N from 2 to {MOST_VALUES:,}")
    n = int(parts[2])
    (first, unit), (last, other) = _quantity(parts[0]), _quantity(parts[1])
    if {unit, other} == {"int", "float"}:
        unit = other = "float"
    if unit != other:
        raise ValueError(f"{text!r}: {parts[0]} and {parts[1]} are of different kinds; expected two of one")
    if not first < last or (how == "log" and first <= 0):
        raise ValueError(f"{text!r}: expected a first value below the last" + ", above 0" * (how == "log"))
    low, high = (math.log(first), math.log(last)) if how == "log" else (first, last)
    steps = [low + (high - low) * i / (n - 1) for i in range(n)]
    spaced = [math.exp(step) for step in steps] if how == "log" else [float(step) for step in steps]
    # The ends are as they were said, not as they come back from a logarithm.
    spaced[0], spaced[-1] = float(first), float(last)
    if unit == "float":
        return spaced
    # Of whole numbers, neighbours may be the same one.
    whole = list(dict.fromkeys(round(value) for value in spaced))
    return whole if unit == "int" else [f"{value} {unit}" for value in whole]


def _quantity(text: str) -> tuple[float, str]:
    """A number, and what it is of. Raises ValueError if it is none."""
    if re.fullmatch(r"[+-]?[0-9]+", text):
        if len(text) > _LONGEST:
            raise ValueError(f"{text[:_LONGEST]}...: is too large; expected a number of at most {_LONGEST} digits")
        return int(text), "int"
    for parse, unit in _UNITS:
        try:
            return parse(text), unit
        except ValueError:
            continue
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < 1e300:
        raise ValueError(f"{text!r} is no number and no quantity; expected such as 8, 0.5, 7 us, 4 GiB or 25 GB/s")
    return value, "float"


def number_of(value: Any) -> Any:
    """A quantity as a number of its smallest unit; anything else as it is."""
    return amount_of(value)[0]


def amount_of(value: Any) -> tuple[Any, str]:
    """The same, and what it is of, "" if it is no quantity."""
    if isinstance(value, str):
        for parse, unit in _UNITS:
            try:
                return parse(value), unit
            except ValueError:
                continue
    return value, ""
