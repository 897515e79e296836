"""What ``--tiers`` names: the levels of a machine, fastest first; the last one holds everything."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from simulator.errors import InputError

HBM, DRAM, FILE, REMOTE = "hbm", "dram", "file", "remote"
_EXPECTED = "expected hbm, dram, file:PATH (a folder for a scratch file, or what is to be read) or an http(s) URL"


class Level(NamedTuple):
    """``name`` is that of its tier in the preset; ``target`` a path or a URL, nothing of memory."""

    kind: str
    name: str
    target: str = ""


def levels_of(text: str) -> list[Level]:
    """The levels that are named, by commas. Raises InputError where they are none that can be measured."""
    found: list[Level] = []
    for part in (part.strip() for part in text.split(",")):
        kind, _, target = part.partition(":")
        if part in (HBM, DRAM):
            found.append(Level(part, part))
        elif kind == FILE and target:
            n = sum(level.kind == FILE for level in found)
            found.append(Level(FILE, f"{FILE}{n + 1}" if n else FILE, target))
        elif kind in ("http", "https"):
            found.append(Level(REMOTE, REMOTE, part))
        else:
            raise InputError(f"--tiers {text}: {part!r} is no level; {_EXPECTED}")
    _check(found, text)
    return found


def _check(levels: Sequence[Level], text: str) -> None:
    kinds = [level.kind for level in levels]
    if len(levels) < 2:
        raise InputError(f"--tiers {text}: expected two levels or more, such as dram,file:/mnt/nvme")
    order = [HBM, DRAM, FILE, REMOTE]
    for upper, lower in pairwise(kinds):
        if order.index(upper) > order.index(lower) or (upper == lower and upper != FILE):
            raise InputError(f"--tiers {text}: {lower} does not go below {upper}; expected {', '.join(order)} in order")
    if kinds[0] == HBM and kinds[1] != DRAM:
        raise InputError(f"--tiers {text}: what goes to a GPU goes through host memory; expected hbm,dram,...")
    if kinds[0] not in (HBM, DRAM):
        raise InputError(f"--tiers {text}: accesses are served from memory; expected hbm or dram first")
    for level in levels[:-1]:
        if level.kind == FILE and (path := Path(level.target)).exists() and not path.is_dir():
            raise InputError(
                f"--tiers file:{path}: is there, so that it is only read, and what comes from below could not be "
                "written to it; expected a folder"
            )
