"""One folder of results and its place in a store: what each has, brought from one to the other.

In the store as in a folder, the manifest, or the small file that a finished run has until there is one, says which runs
there are, with the SHA-256 of each of their files. It is written after these files, so that what was broken off counts
for nothing.
"""

import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.aside import discard, written_aside
from experiments.folder import ELSEWHERE, OF_RUNS, OURS, TABLES, about, clear, say_elsewhere
from experiments.kept import MANIFEST, RECEIPTS, Done, Finished, Kept, digest_of
from experiments.plan import planned
from simulator.errors import InputError
from simulator.stores.address import Address
from simulator.stores.copies import name_copy, tell
from simulator.stores.failing import NoObjectError, StoreError
from simulator.stores.store import Found, Store

if TYPE_CHECKING:
    from experiments.config import Experiment
    from experiments.shards import Share

N_AT_ONCE = 8
TOP = tuple(name for name in TABLES if "/" not in name)
"""Tables over all runs."""
Digests = dict[str, tuple[int, str]]


class Part:
    """Results at a name below a store's address, and the folder that stands for them here."""

    def __init__(self, store: Store, below: str, folder: Path) -> None:
        self.store = Store(store.address / below) if below else store
        self.folder = folder
        self.address: Address = self.store.address
        self.there: dict[str, Found] = {}
        self.kept = Kept(folder)
        self._said: dict[str, bytes] = {}
        self._same: Digests = {}
        """What the store is known to have, by its digest."""

    def look(self, listed: Mapping[str, Found] | None = None) -> None:
        """Find what the store has. Raises InputError if its manifest is damaged, StoreError if it does not answer."""
        self.there = dict(self.store.listed() if listed is None else listed)
        with tempfile.TemporaryDirectory(prefix="tierfetch-") as scratch:
            place = Path(scratch)
            name_copy(place, self.address)
            names = [name for name in self.there if name == MANIFEST or _is_receipt(name)]
            with ThreadPoolExecutor(N_AT_ONCE) as threads:
                read = dict(zip(names, threads.map(self._read, names), strict=True))
            self._said = {name: content for name, content in read.items() if content is not None}
            _write_all(self._said, place)
            self.kept = Kept.load(place)
        self._same = {name: said for run in self.kept.runs.values() for name, said in run.files.items()}

    def pull(self, experiment: "Experiment") -> None:
        """Bring runs that the store has, and the folder has not, into the folder.

        What is damaged in the store is left out: its run is made again.

        Raises:
            InputError: the store has results of another config.
        """
        from experiments.making_runs import metadata
        from experiments.tables import make_folder

        of = self.kept.about.get("config_hash", experiment.folder_hash())
        if of != experiment.folder_hash():
            raise InputError(
                f"--out {self.address}: holds the results of another config ({of}, this one is "
                f"{experiment.folder_hash()}); expected a new place, or --force to replace them"
            )
        here = self._kept_here()
        # What is here of it is part of a whole again.
        discard(self.folder / ELSEWHERE)
        wanted = [run for key, run in self.kept.runs.items() if self._is_wanted(here.runs.get(key), run, here)]
        if not wanted:
            return
        make_folder(self.folder)
        fetched = self._fetch([name for run in wanted for name in run.files])
        for run in wanted:
            damaged = [name for name, said in run.files.items() if fetched.get(name) != said]
            for name in damaged:
                del self._same[name]
            if not damaged:
                here.add(run.hash, Done(run.row, run.files))
        if here.runs and not here.about:
            rows = [run.row for run in here.runs.values()]
            here.write(self.kept.about or about(experiment, {}, metadata(experiment, rows)))

    def _kept_here(self) -> Kept:
        if not (self.folder / MANIFEST).exists():
            # Nothing, or what was broken off as it was fetched.
            clear(self.folder)
        try:
            return Kept.load(self.folder)
        except InputError:
            # The store is what counts: this is a copy, or was never finished.
            clear(self.folder)
            return Kept(self.folder)

    @staticmethod
    def _is_wanted(has: Finished | None, run: Finished, here: Kept) -> bool:
        if has is None:
            return True
        # What is here and another run was made since, and could not be uploaded.
        return has.hash == run.hash and (has.files != run.files or here.damage(has) is not None)

    def pull_tables(self) -> None:
        """Bring the manifest and the tables over all runs, without those of each run."""
        from experiments.tables import make_folder

        make_folder(self.folder)
        self._fetch(TOP)
        _write_all(self._said, self.folder)
        self.drop()

    def bring_all(self, seen: Mapping[str, Found], *, tables_only: bool) -> None:
        """Make the folder a copy of what the store has; ``seen``: what it had of tables when that was done last.

        Raises:
            InputError: a file is not what the manifest says.
        """
        from experiments.tables import make_folder

        make_folder(self.folder)
        files = {name: said for run in self.kept.runs.values() for name, said in run.files.items()}
        is_same = _content(self.folder / MANIFEST) == self._said.get(MANIFEST)
        right = {name for name, said in files.items() if _is_right(self.folder / name, said, trusts_size=is_same)}
        for table in (*OF_RUNS, "models"):
            for path in (self.folder / table).glob("*"):
                if f"{table}/{path.name}" not in right:
                    discard(path)
        tops = [name for name in TOP if not is_same or seen.get(name) != self.there.get(name)]
        for name in tops:
            discard(self.folder / name)
        wanted = [] if tables_only else [name for name in files if name not in right]
        for name, said in self._fetch([*tops, *wanted]).items():
            if name in files and said != files[name]:
                discard(self.folder / name)
                raise InputError(
                    f"{self.address / name}: is damaged, or was changed meanwhile (its checksum differs); say the same "
                    "again, or run the experiment again"
                )
        discard(self.folder / RECEIPTS)
        discard(self.folder / ELSEWHERE)
        if tables_only:
            say_elsewhere(self.folder, {name: size for name, (size, _) in files.items() if self._has(name, size)})
        # Last, so that a copy that was broken off is made again.
        _write_all(self._said, self.folder)

    def is_finished(self, experiment: "Experiment", share: "Share | None") -> bool:
        """Whether the store has all that a command is to make, made of what it would be made of now."""
        from experiments.making_runs import hash_of
        from experiments.settling import cut_of
        from workloads.readers.files import sha256

        told = self.kept.about
        if told.get("config") != experiment.model_dump(mode="json") or MANIFEST not in self.there:
            return False
        if share is None and not {"runs.parquet", "comparisons.parquet", "attribution.parquet"} <= self.there.keys():
            return False
        runs = [run for run in planned(experiment) if share is None or run.key in share.keys]
        found = [self.kept.runs.get(run.key) for run in runs]
        if not all(one is not None and self._has_files(one) for one in found):
            return False
        traces = {str(path): sha256(path) for path in experiment.workload.source.files()}
        cuts = {run.seed: cut_of(experiment, run.seed).n_accesses for run in runs}
        return all(
            one is not None and one.hash == hash_of(experiment, run, cuts[run.seed], traces)
            for run, one in zip(runs, found, strict=True)
        )

    def _has_files(self, run: Finished) -> bool:
        return all(self._has(name, size) for name, (size, _) in run.files.items())

    def _has(self, name: str, size: int) -> bool:
        return name in self.there and self.there[name].size == size

    def put_run(self, run: Finished, receipt: str) -> None:
        """Upload a finished run: what says that it is one last. Raises StoreError."""
        self._put([name for name, said in run.files.items() if self._same.get(name) != said])
        self.store.put(receipt, self.folder / receipt)
        self._same.update(run.files)

    def push(self) -> None:
        """Make the store's objects those of the folder: the manifest after all that it lists. Raises StoreError."""
        kept = Kept.load(self.folder)
        of_runs: Digests = {name: said for run in kept.runs.values() for name, said in run.files.items()}
        sizes = {
            name: (self.folder / name).stat().st_size for name in (*of_runs, *TOP) if (self.folder / name).exists()
        }
        there = self.store.listed()
        self._put(
            name for name, size in sizes.items()
            if name in TOP or name not in there or there[name].size != size or self._same.get(name) != of_runs[name]
        )  # fmt: skip
        there = self.store.listed()
        for name, size in sizes.items():
            if name not in there or there[name].size != size:
                raise StoreError(f"{self.address / name}: was written, and is not there as written; say the same again")
        self._put([MANIFEST])
        self._same = of_runs
        # Runs of before, which readers would pass by; and small files that the manifest stands for.
        gone = [name for name in there if name.partition("/")[0] in OURS and name not in sizes and name != MANIFEST]
        with ThreadPoolExecutor(N_AT_ONCE) as threads:
            list(threads.map(self.store.remove, gone))

    def drop(self) -> None:
        """Remove the tables of runs from the folder, which the store has."""
        say_elsewhere(self.folder, {name: size for name, (size, _) in self._same.items()})
        for name in (*OF_RUNS, "models"):
            discard(self.folder / name)

    def _read(self, name: str) -> bytes | None:
        """None: one of a run that has been listed in the manifest meanwhile."""
        try:
            return self.store.read(name)
        except NoObjectError:
            return None

    def _put(self, names: Iterable[str]) -> None:
        with ThreadPoolExecutor(N_AT_ONCE) as threads:
            list(threads.map(lambda name: self.store.put(name, self.folder / name), names))

    def _fetch(self, names: Iterable[str]) -> Digests:
        """Fetch objects into the folder; what there is of them, with their digests."""
        names = [name for name in names if name in self.there]
        n_all, n_done = sum(self.there[name].size for name in names), 0

        def fetch(name: str) -> tuple[str, tuple[int, str]]:
            return name, self.store.fetch(name, self.folder / name)

        found: Digests = {}
        with ThreadPoolExecutor(N_AT_ONCE) as threads:
            for name, said in threads.map(fetch, names):
                found[name] = said
                n_done += said[0]
                tell(str(self.address), n_done, n_all)
        return found


def _is_receipt(name: str) -> bool:
    folder, _, rest = name.partition("/")
    return folder == RECEIPTS and rest.endswith(".json") and "/" not in rest


def _write_all(said: Mapping[str, bytes], folder: Path) -> None:
    # The manifest last: it says of the others that they are there.
    for name in sorted(said, key=lambda name: name == MANIFEST):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with written_aside(folder / name) as aside:
            aside.write_bytes(said[name])


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _is_right(path: Path, said: tuple[int, str], *, trusts_size: bool) -> bool:
    if not path.is_file() or path.stat().st_size != said[0]:
        return False
    return trusts_size or digest_of(path) == said
