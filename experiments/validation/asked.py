"""What the command line asks for, checked before anything is measured."""

from pathlib import Path
from typing import NamedTuple

from simulator.errors import InputError
from simulator.units import parse_bytes, parse_ns

ACCESSES, REPEATS, THINK = 20_000, 3, "1 ms"


class Asked(NamedTuple):
    """``block`` and ``think`` as the config has them if None, in bytes and ns; ``arms``: all that can if None."""

    n_accesses: int
    repeats: int
    block: int | None
    think: int | None
    arms: list[str] | None
    out: Path
    store: Path | None


def asked(
    accesses: int | None, repeats: int | None, block: str | None, think: str | None, arms: str | None, out: Path,
    store: Path | None,
) -> Asked:  # fmt: skip
    """The options' values. Raises InputError if one is no size, no time or no folder."""
    if store is not None and not store.is_dir():
        raise InputError(f"--store {store}: no such folder; expected one that is there")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file; expected a folder")
    return Asked(
        ACCESSES if accesses is None else accesses, REPEATS if repeats is None else repeats,
        None if block is None else _block(block), None if think is None else _time(think),
        None if arms is None else [name.strip() for name in arms.split(",")], out, store,
    )  # fmt: skip


def _block(text: str) -> int:
    from live.file_systems import ALIGNMENT

    try:
        found = parse_bytes(text.strip())
    except ValueError as error:
        raise InputError(f"--block {text}: {error}") from None
    if found < ALIGNMENT or found % ALIGNMENT:
        raise InputError(
            f"--block {text}: is {found} B; expected a multiple of {ALIGNMENT} B, which goes past the kernel's cache"
        )
    return found


def _time(text: str) -> int:
    try:
        return parse_ns(text.strip())
    except ValueError as error:
        raise InputError(f"--think {text}: {error}") from None
