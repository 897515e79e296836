"""The results that a folder keeps, read from it alone: no config's file, no class from outside, no run."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.folder import LOCK, elsewhere
from experiments.kept import MANIFEST, RECEIPTS, Kept
from experiments.plan import Key, stem_of
from experiments.sweep_columns import SweepColumns, in_front, settings_of_arms
from simulator.errors import InputError

if TYPE_CHECKING:
    from experiments.datasets import Part

Row = dict[str, Any]
SIGNS = (LOCK, RECEIPTS, "runs.parquet")
"""Of which a folder of results has one beside its manifest, and what is left of one has two."""


class NotWholeError(InputError):
    """Runs are missing, or what is made of all of them: the experiment was not run to its end."""


class KeptResults:
    """An experiment that was run, to its end or not: what its manifest says of it, and its tables."""

    def __init__(self, folder: Path, kept: Kept) -> None:
        """``open`` makes them."""
        self.folder, self.kept, self._elsewhere = folder, kept, elsewhere(folder)
        config = kept.about["config"]
        self.name = str(kept.about["name"])
        self.arms = [str(arm["name"]) for arm in config["arms"]]
        """All that the experiment has, as it has them in order, with a finished run or not."""
        self.seeds: list[int] = list(config["seeds"])
        """Those that were asked for last; a folder may keep runs of others."""
        self.repeats, self.baseline = int(config["repeats"]), str(config["baseline"])
        self.warm_up, self.start = config["warm_up"], str(config["start"])
        _check_shape(kept)
        self.of_arms = settings_of_arms(kept.about)
        """Of arms that a sweep made: what each has of the swept keys."""
        order = {arm: i for i, arm in enumerate(self.arms)}
        kept.runs = dict(sorted(kept.runs.items(), key=lambda item: (order[item[0][0]], *item[0][1:])))

    @classmethod
    def open(cls, folder: Path) -> "KeptResults":
        """The results in a folder.

        Raises:
            InputError: there are none, or what says which is damaged.
        """
        if not (folder / MANIFEST).is_file():
            below = places_below(folder)
            some = (
                f", but below it {named([path.name for path in below])}; expected one of these folders" if below else ""
            )
            what = some or further_below(folder) or "; expected the folder of an experiment"
            raise InputError(f"{folder}: holds no results (no {MANIFEST}){what}")
        kept = Kept.load(folder)
        try:
            return cls(folder, kept)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{folder / MANIFEST}: is not as this version writes it ({error!r})") from None

    @property
    def rows(self) -> list[Row]:
        """The rows of ``runs`` that were asked for last."""
        return [found.row for (_, seed, n), found in self.kept.runs.items() if seed in self.seeds and n < self.repeats]

    @property
    def planned(self) -> list[str]:
        """The names of the runs that were asked for last."""
        # A manifest from before this was said has at least these.
        least = [stem_of(arm, seed) for arm in self.arms for seed in self.seeds]
        return list(self.kept.about.get("planned", least))

    def missing(self) -> list[str]:
        """Those of them that are not there with all their files, by their sizes; what is in these is not looked at."""
        whole = {stem_of(*key) for key in self.kept.runs if self._has_files(key)}
        return [run for run in self.planned if run not in whole]

    def _has_files(self, key: Key) -> bool:
        for name, (size, _) in self.kept.runs[key].files.items():
            path = self.folder / name
            if self._elsewhere.get(name) == size:
                continue
            if not path.is_file() or path.stat().st_size != size:
                return False
        return True

    @cached_property
    def swept(self) -> SweepColumns:
        """The keys of arms that a sweep made, as columns."""
        return SweepColumns({}, [self.of_arms])

    @property
    def front(self) -> dict[str, Any]:
        """The columns that tables have before their own, with their types in Arrow."""
        return self.swept.types

    @property
    def run_keys(self) -> list[Key]:
        """Of all finished runs."""
        return list(self.kept.runs)

    def said_of_arm(self, arm: str, *, is_shown: bool) -> Row:
        """What an arm that a sweep made has of the swept keys: as somebody would write it, where it is shown."""
        return dict(self.swept.texts_of_arm(0, arm)) if is_shown else self.swept.of(0, arm)

    def table(self, name: str) -> Any:
        """A table over all runs, as a ``pyarrow.Table``, with the swept keys of arms before its columns.

        Raises:
            InputError: it is not there, or damaged.
        """
        table = table_of(self.folder, name)
        if not self.swept.keys or "arm" not in table.schema.names:
            return table
        return in_front(table, self.swept.arrays(np.zeros(len(table), np.int64), table["arm"]))

    def parts(self, table: str, wanted: Collection[Key] | None) -> "Iterator[Part]":
        """The files of a table of the runs that are wanted, by their keys; None: of all."""
        from experiments.datasets import Part

        more = {arm: self.swept.of(0, arm) for arm in self.arms}
        for key, found in self.kept.runs.items():
            if wanted is None or key in wanted:
                for name in sorted(found.files):
                    if name.startswith(f"{table}/"):
                        yield Part(self.folder / name, key, more[key[0]])

    def compared(self) -> list[Row]:
        """The rows of ``comparisons``, of what was asked for last.

        Raises:
            NotWholeError: the experiment was not run to its end.
            InputError: the table is damaged.
        """
        rows: list[Row] = comparisons_of(self.folder, self.kept.about["config"]).to_pylist()
        return rows

    def check_whole(self) -> None:
        """Raises NotWholeError if runs are missing, so that nothing can be said of all."""
        if missing := self.missing():
            raise NotWholeError(
                f"{self.folder}: {len(missing)} of {len(self.planned)} runs are missing ({named(missing, 3)}); run the "
                "experiment again to have them made"
            )


def _check_shape(kept: Kept) -> None:
    """Raises ValueError where a manifest, however sealed, is not what a run leaves."""
    config, planned_ = kept.about["config"], kept.about.get("planned", [])
    for name in ("system", "workload", "output"):
        if not isinstance(config[name], dict):
            raise ValueError(f"config.{name}: {config[name]!r}")
    if not isinstance(planned_, list) or not all(isinstance(stem, str) for stem in planned_):
        raise ValueError(f"planned: {planned_!r}")
    for found in kept.runs.values():
        ns = found.row["mean_latency_ns"]
        if isinstance(ns, bool) or not isinstance(ns, int | float) or ns != ns:
            raise ValueError(f"mean_latency_ns: {ns!r}")


def places_below(folder: Path) -> list[Path]:
    """Folders of results right below one, in order."""
    if not folder.is_dir():
        return []
    found = (path.parent for path in folder.glob(f"*/{MANIFEST}") if path.is_file())
    # Other programs write a manifest.json, too.
    return in_order(path for path in found if any((path / sign).exists() for sign in SIGNS))


def further_below(folder: Path) -> str:
    """In words, the results two folders down, where ``tierfetch validate`` leaves both sides; '' without any."""
    found = [path for side in ("live", "cache", "machine") for path in places_below(folder / side)]
    names = named([str(path.relative_to(folder)) for path in found])
    return f", but below it {names}; expected one of these folders" if found else ""


def in_order(folders: Iterable[Path]) -> list[Path]:
    """Folders by their names, numbers in these by their size."""
    return sorted(folders, key=lambda path: _natural(path.name))


def _natural(name: str) -> list[tuple[bool, int, str]]:
    # Numbers before words.
    return [
        (False, int(part), "") if part.isdecimal() else (True, 0, part) for part in re.split(r"(\d+)", name) if part
    ]


def named(names: list[str], most: int = 5) -> str:
    """The first of many names."""
    return ", ".join([*names[:most], *(["..."] if len(names) > most else [])])


def comparisons_of(folder: Path, config: dict[str, Any]) -> Any:
    """The table ``comparisons``, if it is of these seeds and settings. Raises as ``KeptResults.compared``."""
    table = table_of(folder, "comparisons")
    of = json.loads((table.schema.metadata or {}).get(b"config", b"null"))
    if json.dumps(of, sort_keys=True) != json.dumps(config, sort_keys=True):
        raise NotWholeError(
            f"{folder / 'comparisons.parquet'}: is of other seeds or settings than were asked for last; "
            "run the experiment to its end to have it made"
        )
    return table


def check_table(folder: Path, name: str) -> Path:
    """Where a table over all runs is. Raises NotWholeError if it is not there."""
    path = folder / f"{name}.parquet"
    if not path.exists():
        why = "the workload has no phases" if name == "by_phase" else "the experiment was not run to its end"
        raise NotWholeError(f"{path}: no such table: {why}")
    return path


def table_of(folder: Path, name: str) -> Any:
    """A table over all runs, as a ``pyarrow.Table``. Raises InputError if it is not there, or damaged."""
    import pyarrow.parquet as pq

    path = check_table(folder, name)

    def read() -> Any:
        # Twice as fast as read_table, which counts where there are thousands.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read()

    return read_with(path, read)


def check_columns(path: Path, schema: Any, names: Iterable[str]) -> None:
    """Raises InputError if a table lacks one of the columns that this version writes."""
    for name in names:
        if name not in schema.names:
            raise InputError(
                f"{path}: has no column {name!r}: another version made it; run the experiment again with this one"
            )


def read_with(path: Path, read: Callable[[], Any]) -> Any:
    """What a call reads from a file. Raises InputError, which names it, if that is damaged."""
    import pyarrow as pa

    try:
        return read()
    except (pa.ArrowException, OSError) as error:
        text = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read: {text}; run the experiment again to have it made") from None
