"""Results that go to a store: made in a folder of this machine, and uploaded as each run ends."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.aside import discard
from experiments.callbacks import Callback, Ongoing
from experiments.exits import RunsDiedError, RunsFailedError
from experiments.kept import MANIFEST, RECEIPTS, Kept
from experiments.plan import key_of, stem_of
from experiments.stores.part import Part
from simulator.stores.address import Address
from simulator.stores.copies import copies_folder, forget_copy, name_copy
from simulator.stores.failing import StoreError
from simulator.stores.store import Store

if TYPE_CHECKING:
    from experiments.config import Experiment
    from experiments.shards import Share


class Stage:
    """A store's address and the folder in which what goes there is made."""

    def __init__(self, address: Address, hashes: str) -> None:
        """``chosen.staged`` makes them. Raises StoreError if the store does not answer, or has no such bucket."""
        self.store = Store.open(address)
        digest = hashlib.sha256(f"{address} {hashes}".encode()).hexdigest()[:16]
        self.folder = copies_folder() / "staging" / digest / address.name
        name_copy(self.folder, address)

    def part(self, folder: Path) -> Part:
        """The results in a folder of the stage."""
        below = folder.relative_to(self.folder).as_posix()
        return Part(self.store, "" if below == "." else below, folder)

    def pull(self, experiment: "Experiment", folder: Path) -> None:
        """Bring what the store has of an experiment into its folder. Raises InputError, StoreError."""
        part = self.part(folder)
        part.look()
        part.pull(experiment)

    @contextmanager
    def making(
        self, experiment: "Experiment", folder: Path, share: "Share | None" = None, *, force: bool = False,
        may_skip: bool = False, keeps: bool = False,
    ) -> Iterator[list[Callback] | None]:  # fmt: skip
        """What the store has is in the folder before, and what the folder has in the store afterwards.

        What is to be told of runs; None: all are finished in the store, and ``may_skip`` says that nobody needs them
        here. Of what is uploaded the tables of runs stay in the folder if it ``keeps`` them.

        Raises:
            InputError: the store has results of another config.
            StoreError: what was made could not be uploaded; it is kept in the folder.
        """
        part = self.part(folder)
        if not force:
            part.look()
            if may_skip and part.is_finished(experiment, share):
                part.pull_tables()
                yield None
                return
            part.pull(experiment)
        uploading = _Uploading(part)
        try:
            yield [uploading]
        except (RunsDiedError, RunsFailedError) as error:
            try:
                self._push(part, keeps=keeps)
            except StoreError as failed:
                raise type(error)(*error.args, f"error: {failed}") from None
            raise
        self._push(part, keeps=keeps)

    def _push(self, part: Part, *, keeps: bool) -> None:
        try:
            part.push()
        except (StoreError, OSError) as error:
            # Where it lies is to be said, not where it was to go.
            forget_copy(self.folder)
            raise StoreError(f"{error}. All is kept in {part.folder}: say the same again to upload it") from None
        if not keeps:
            part.drop()

    def push_all(self) -> None:
        """Upload all results in and below the folder. Raises StoreError."""
        for path in sorted({self.folder / MANIFEST, *self.folder.glob(f"*/{MANIFEST}")}):
            if path.is_file():
                self._push(self.part(path.parent), keeps=False)

    def pull_all(self) -> None:
        """Bring manifests and all tables of the store into the folder. Raises InputError, StoreError."""
        from experiments.stores.reading import bring

        discard(self.folder)
        bring(self.store, self.folder)


class _Uploading(Callback):
    """Uploads each run as it ends: between runs, so that none is measured meanwhile."""

    def __init__(self, part: Part) -> None:
        self._part, self._is_going = part, True

    def on_run_finished(self, experiment: Ongoing, row: dict[str, Any]) -> None:
        if not self._is_going:
            return
        run = Kept.one(self._part.folder, stem_of(*key_of(row)))
        try:
            self._part.put_run(run, f"{RECEIPTS}/{stem_of(*key_of(row))}.json")
        except (StoreError, OSError):
            # Told at the end, when all is tried once more: until then each would be waited for.
            self._is_going = False
