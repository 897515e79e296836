"""Quantities with units to integers, once, at the edge (rule R1)."""

import os
import re
from decimal import Decimal

NS_PER_S = 1_000_000_000
MIB = 2**20
PPM = 1_000_000

LONGEST_NS = 10**15
"""The longest duration that a config may name, some 11 days; and the longest that anything may take at once."""
LATEST_NS = 2**61
"""How far the simulated clock goes, some 73 years: from there no duration leads beyond 64 bits."""

_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ]+(?:/s)?)\s*")
BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9}
BYTES_PER_S = {f"{unit}/s": factor for unit, factor in BYTES.items()}


def ceil_div(numerator: int, denominator: int) -> int:
    """The model's one division: rounds up, so that nothing takes less time than it should."""
    return -(-numerator // denominator)


def _parse(text: object, units: dict[str, int], what: str, example: str) -> int:
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in units:
        known = ", ".join(units)
        raise ValueError(f"expected {what} as a string with a unit ({known}), such as {example!r}; got {text!r}")
    value = Decimal(match[1]) * units[match[2]]
    if value != value.to_integral_value():
        raise ValueError(f"{text!r} is not a whole number of the smallest unit ({next(iter(units))})")
    if value >= 2**62:
        raise ValueError(f"{text!r} is too large")
    return int(value)


def parse_bytes(text: object) -> int:
    """Bytes from a string such as "64 MiB". Raises ValueError on anything else."""
    return _parse(text, BYTES, "a size", "64 MiB")


def parse_ns(text: object) -> int:
    """Nanoseconds from a string such as "7 us". Raises ValueError on anything else."""
    ns = _parse(text, NS, "a duration", "7 us")
    if ns > LONGEST_NS:
        raise ValueError(f"{text!r} is too long; expected at most {LONGEST_NS // NS_PER_S} s")
    return ns


def parse_bytes_per_s(text: object) -> int:
    """Bytes per second from a string such as "25 GB/s". Raises ValueError on anything else."""
    return _parse(text, BYTES_PER_S, "a bandwidth", "25 GB/s")


def transfer_ns(n_bytes: int, bytes_per_s: int) -> int:
    """Time to move ``n_bytes``, in ns, rounded up."""
    # ceil_div written out: this runs once a transfer, and a call costs as much as the division.
    return -(-n_bytes * NS_PER_S // bytes_per_s)


def path_text(text: str) -> str:
    """A path, as text. Raises ValueError if no file can be called so."""
    try:
        is_name = bool(text) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        is_name = False
    if not is_name:
        raise ValueError(f"expected a path; got {text!r}, which no file can be called")
    return text
