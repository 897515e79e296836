"""Several results on one page: which they are, and what differs between them, as ``tierfetch compare`` says it."""

import io
from collections.abc import Sequence
from pathlib import Path

from experiments.kept import MANIFEST
from simulator.errors import InputError

_MOST = 12
_WIDTH, _MOST_ACCESSES = 110, 5


def spread_out(folders: Sequence[Path]) -> list[Path]:
    """The results themselves, of a folder with several variants each of these.

    Raises:
        InputError: there are more than a page can have.
    """
    from experiments.results import places_below

    found: list[Path] = []
    for folder in folders:
        below = [] if (folder / MANIFEST).is_file() else places_below(folder)
        if len(below) > _MOST:
            raise InputError(
                f"{folder}: has {len(below):,} variants; expected at most {_MOST} on a page, such "
                f"as {below[0]} {below[1]}"
            )
        found += below or [folder]
    return found


def what_differs(folders: Sequence[Path]) -> str:
    """Each experiment against the first one; nothing if there is but one. Folders of bounds have no runs."""
    from rich.console import Console

    from experiments.differences.sets import compared, print_all

    of = [folder for folder in folders if (folder / MANIFEST).is_file() and not (folder / "bounds.parquet").is_file()]
    if len(of) < 2:
        return ""
    text = io.StringIO()
    try:
        print_all(Console(file=text, width=_WIDTH, color_system=None), compared(of, [], _MOST_ACCESSES))
    except InputError as error:
        # The page has what each of them says all the same.
        return f"They cannot be compared: {'; '.join(map(str, error.args))}"
    return text.getvalue().strip("\n")
