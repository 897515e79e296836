"""What the command line asks for, checked before anything is opened."""

from typing import Literal, NamedTuple

from experiments.calibration.facts import check_memory, region_bytes
from experiments.calibration.fit import Statistic
from experiments.calibration.levels import FILE, HBM, Level, levels_of
from experiments.calibration.outcome import Table
from experiments.calibration.ways import PLACES_AT_LEAST
from simulator.errors import InputError
from simulator.units import parse_bytes, parse_ns

_LARGEST = 256 << 20
_MOST_AT_ONCE = 256
_LONGEST_PACE = 10**9


class Asked(NamedTuple):
    """In bytes, seconds and whole numbers."""

    levels: list[Level]
    sizes: list[int]
    loads: list[int]
    n_rounds: int
    seconds: float
    region_bytes: int
    scratch_bytes: int
    device: str
    pageable: bool
    statistic: Statistic
    table: Table
    spreads: bool
    n_predictions: int
    pace_ns: int


def asked(
    tiers: str | None, block: str | None, at_once: str | None, rounds: int | None, seconds: float | None,
    region: str | None, scratch: str | None, *, device: str, is_quick: bool, pageable: bool, durations: Statistic,
    table: Literal["auto", "always", "never"], spread: bool | None = None, pace: str | None = None,
) -> Asked:  # fmt: skip
    """What is not said is as ``--quick`` or its absence has it. Raises InputError."""
    if spread and durations != "mean":
        raise InputError(
            f"--spread: its factors are of means; expected --durations mean beside it, got --durations {durations}"
        )
    levels = levels_of(tiers or _there(device))
    sizes = _sizes(block or ("4KiB,64KiB,1MiB" if is_quick else "4KiB,16KiB,64KiB,256KiB,1MiB,4MiB"))
    loads = _loads(at_once or ("1,4" if is_quick else "1,2,4,8"))
    if any(level.kind == FILE for level in levels):
        from live.file_systems import ALIGNMENT

        for n_bytes in sizes:
            if n_bytes % ALIGNMENT:
                raise InputError(
                    f"--block {n_bytes} B: expected multiples of {ALIGNMENT} B, as past the kernel's cache"
                )
    least = sizes[-1] * PLACES_AT_LEAST
    of_region = max(region_bytes() if region is None else _size("--region", region), least)
    # On a GPU's host there are two more such regions; and each lane has a buffer.
    check_memory(of_region * (3 if levels[0].kind == HBM else 1) + sizes[-1] * loads[-1])
    of_scratch = max(_size("--scratch", scratch or ("256MiB" if is_quick else "1GiB")), least)
    return Asked(
        levels, sizes, loads, rounds or (3 if is_quick else 5), seconds or (6.0 if is_quick else 60.0), of_region,
        of_scratch, device, pageable, durations, table,
        durations == "mean" if spread is None else spread, 200 if is_quick else 2000,
        0 if pace is None else _pace(pace),
    )  # fmt: skip


def _there(device: str) -> str:
    """What this machine has."""
    from policies.models.device import pick_device

    return f"{HBM},dram,file:." if pick_device(device).type == "cuda" else "dram,file:."


def _size(option: str, text: str) -> int:
    try:
        found = parse_bytes(text.strip())
    except ValueError as error:
        raise InputError(f"{option} {text}: {error}") from None
    if found < 1:
        raise InputError(f"{option} {text}: expected a size such as 1GiB")
    return found


def _pace(text: str) -> int:
    try:
        found = parse_ns(text.strip())
    except ValueError as error:
        raise InputError(f"--pace {text}: {error}") from None
    if not 0 < found <= _LONGEST_PACE:
        raise InputError(f"--pace {text}: expected a time above 0 and up to 1 s, such as '2 ms'")
    return found


def _sizes(text: str) -> list[int]:
    found = sorted({_size("--block", part) for part in text.split(",")})
    if len(found) < 2:
        raise InputError(f"--block {text}: expected two sizes or more: latency and bandwidth are told apart by them")
    if found[-1] > _LARGEST:
        raise InputError(f"--block {text}: expected at most 256MiB")
    return found


def _loads(text: str) -> list[int]:
    try:
        found = sorted({1, *(int(part) for part in text.split(","))})
    except ValueError:
        found = [0]
    if found[0] < 1 or found[-1] > _MOST_AT_ONCE:
        raise InputError(f"--at-once {text}: expected whole numbers from 1 to {_MOST_AT_ONCE}, such as 1,2,4,8")
    return found
