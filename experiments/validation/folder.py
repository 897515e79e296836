"""The folder of a validation: what stands in it is nobody else's, and one process at a time writes to it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from experiments.aside import written_aside
from experiments.folder import LOCK, check_folder, empty, locked, missing
from simulator.errors import InputError

LIVE, CACHE, MACHINE = "live", "cache", "machine"
TABLE, TEXT, PRESET = "validation.parquet", "validation.json", "machine.yaml"


def check_place(out: Path, *, is_forced: bool) -> None:
    """Raises InputError if a validation would replace something there, or with ``is_forced`` what none has left."""
    there = [name for name in (LIVE, CACHE, MACHINE, TABLE, TEXT, PRESET) if os.path.lexists(out / name)]
    if there and not is_forced:
        what = "has a validation already" if TEXT in there and LIVE in there else f"holds {', '.join(there)} already"
        raise InputError(f"--out {out}: {what}; expected another folder, or --force")
    for name in there:
        is_side = name in (LIVE, CACHE, MACHINE)
        if (out / name).is_dir() != is_side:
            what, expected = ("no folder", "a folder") if is_side else ("a folder", "a file")
            raise InputError(f"--out {out}: {name} is {what}; expected {expected}, as a validation leaves it")
    for of_repeat in _of_repeats(out):
        check_folder(of_repeat, force=True)


@contextmanager
def begun(out: Path, n_repeats: int, preset: str) -> Iterator[None]:
    """Nothing of an earlier validation stands beside this one's runs, and the preset is there.

    Raises:
        InputError: another process is writing to it.
    """
    made = missing(out)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            stack.enter_context(locked(out))
            for name in (TABLE, TEXT):
                (out / name).unlink(missing_ok=True)
            for old in _of_repeats(out):
                if int(old.name[1:]) >= n_repeats:
                    empty(old, [old])
            # First, and renamed: it may be the very file that --machine names.
            with written_aside(out / PRESET) as aside:
                aside.write_text(preset)
            yield
    except BaseException:
        _leave(out, made)
        raise


def _leave(out: Path, made: list[Path]) -> None:
    """Where no run was begun nothing stays of a folder that was made for it."""
    if out in made and not (out / LIVE).exists():
        with suppress(OSError):
            for name in (PRESET, LOCK):
                (out / name).unlink(missing_ok=True)
            for path in made:
                path.rmdir()


def _of_repeats(out: Path) -> list[Path]:
    return [
        path for side in (LIVE, CACHE, MACHINE) for path in (out / side).glob("r[0-9]*") if path.name[1:].isdecimal()
    ]
