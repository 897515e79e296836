"""Results that lie in a store, read: what a command needs of them is copied to this machine, and checked."""

import json
import os
from pathlib import Path

from filelock import FileLock

from experiments.aside import discard
from experiments.kept import MANIFEST
from experiments.stores.part import TOP, Part
from simulator.stores.address import Address
from simulator.stores.copies import copy_of
from simulator.stores.store import Found, Store

_SEEN = ".seen.json"


def copied(address: Address, *, tables_only: bool) -> Path:
    """The copy of the results at and below an address, brought up to date. Raises as ``chosen.here``."""
    store = Store.open(address)
    copy = copy_of("results", address)
    copy.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(copy.parent / ".lock"):
        bring(store, copy, tables_only=tables_only)
    return copy


def bring(store: Store, copy: Path, *, tables_only: bool = False) -> None:
    """Make a folder a copy of the results at and below an address. Raises as ``chosen.here``."""
    listed = store.listed()
    tops = sorted(name.rpartition("/")[0] for name in listed if name.rpartition("/")[2] == MANIFEST)
    tops = [top for top in tops if all(_is_plain(part) for part in top.split("/")) or not top]
    for path in list(copy.rglob(MANIFEST)):
        if path.parent.relative_to(copy).as_posix().removeprefix(".") not in tops:
            discard(path.parent)
    for top in tops:
        below = {name.removeprefix(f"{top}/"): found for name, found in listed.items()
                 if not top or name.startswith(f"{top}/")}  # fmt: skip
        _bring_one(Part(store, top, copy / top), below, tables_only=tables_only)


def _bring_one(part: Part, listed: dict[str, Found], *, tables_only: bool) -> None:
    part.look(listed)
    part.bring_all(_seen(part.folder), tables_only=tables_only)
    (part.folder / _SEEN).write_text(json.dumps({name: listed[name] for name in (*TOP, MANIFEST) if name in listed}))
    written_ns = listed[MANIFEST].modified_ns
    os.utime(part.folder / MANIFEST, ns=(written_ns, written_ns))


def _seen(folder: Path) -> dict[str, Found]:
    try:
        return {name: Found(*said) for name, said in json.loads((folder / _SEEN).read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _is_plain(part: str) -> bool:
    return part not in ("", ".", "..") and not {"\\", "\0"} & {*part}
