"""Whether what a command makes goes to a store, or what it reads lies in one.

For a local folder nothing else of this package is imported.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.stores.address import address_of

if TYPE_CHECKING:
    from experiments.callbacks import Callback
    from experiments.config import Experiment
    from experiments.run import How
    from experiments.shards import Share
    from experiments.stores.staging import Stage


def staged(out: str | PathLike[str] | None, experiments: Mapping[str, "Experiment"]) -> "Stage | None":
    """Where what goes to an address is made first; None: it goes to a folder.

    Raises:
        InputError: it is no address, or there is no such store.
    """
    address = None if out is None else address_of(out)
    if address is None:
        return None
    if not address.key:
        raise InputError(f"--out {address}: is a whole bucket; expected a name in it: {address}/NAME")
    from experiments.stores.staging import Stage

    return Stage(address, " ".join(f"{name} {one.folder_hash()}" for name, one in experiments.items()))


@contextmanager
def making(
    stage: "Stage | None", experiment: "Experiment", folder: Path, share: "Share | None", how: "How"
) -> "Iterator[list[Callback] | None]":
    """``Stage.making`` for what a command is told; without a stage there is nothing to do."""
    if stage is None:
        yield []
        return
    may_skip = how.by is None and not how.callbacks and (how.quiet or share is not None)
    with stage.making(experiment, folder, share, force=how.force, may_skip=may_skip) as callbacks:
        yield callbacks


@contextmanager
def place_of(
    experiment: "Experiment", out: str | PathLike[str], *, force: bool
) -> "Iterator[tuple[Path, list[Callback]]]":
    """The folder to make an experiment in, and what is to be told of its runs. Afterwards all is where ``out`` says.

    The folder keeps it, too, for who asked for it.

    Raises:
        InputError: ``out`` is an address, but none of a store, or what was made could not be uploaded.
    """
    stage = staged(out, {"": experiment})
    if stage is None:
        yield Path(out), []
        return
    with stage.making(experiment, stage.folder, force=force, keeps=True) as callbacks:
        yield stage.folder, callbacks or []


def here(folder: Path, *, tables_only: bool = False) -> Path:
    """A folder as it is; of an address, a copy of the results there, as a folder would hold them.

    Args:
        folder: What a command was told.
        tables_only: Without the tables of each run: ``experiments.folder.elsewhere`` says what these are.

    Raises:
        InputError: there is no such store, or what it has is damaged, or was changed meanwhile.
    """
    address = address_of(folder)
    if address is None:
        return folder
    from experiments.stores.reading import copied

    return copied(address, tables_only=tables_only)
