"""Several variants of one experiment below one folder, as ``tierfetch run CONFIG --out FOLDER`` leaves them: as one.

Nothing but the results themselves says which there are and what tells them apart: each holds its whole config, and what
these set differently is a column. So variants may be added, made elsewhere, or removed, and there may be thousands.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.differences.settings import ABSENT, differing, judged, value_text
from experiments.kept import MANIFEST
from experiments.plan import Key
from experiments.results import (
    KeptResults,
    NotWholeError,
    Row,
    check_table,
    comparisons_of,
    further_below,
    in_order,
    named,
    places_below,
    table_of,
)
from experiments.several import AtOnce, Opened, Shared, files_of, opened_of
from experiments.sweep_columns import SweepColumns, in_front
from simulator.errors import InputError

if TYPE_CHECKING:
    from experiments.datasets import Part

VARIANT = "variant"


class KeptVariants:
    """The results of all variants below a folder, by their names."""

    def __init__(self, folder: Path, of: Mapping[str, KeptResults], variants: Sequence[Opened], runs: AtOnce) -> None:
        """``open`` makes them."""
        self.folder, self.of, self.variants = folder, of, variants
        self._runs = runs
        first = variants[0]
        self.name = first.name.removesuffix(f"-{first.folder.name}")
        self.keys = swept([variant.config for variant in variants])
        """What the variants set differently, by dotted keys: what each says, in their order."""
        self.swept = SweepColumns(self.keys, [variant.of_arms for variant in variants])
        """The same as columns, and those of arms that a sweep made."""
        self._places = {variant.folder.name: place for place, variant in enumerate(variants)}

    @classmethod
    def open(cls, folder: Path) -> "KeptVariants":
        """The variants below a folder.

        Raises:
            InputError: there are none, they are no variants of one experiment, or one is damaged.
        """
        below = places_below(folder)
        if not below:
            what = further_below(folder) or "; expected the folder of an experiment, or of its variants"
            raise InputError(f"{folder}: holds no results (no {MANIFEST}){what}")
        return cls.of_these(folder, below)

    @classmethod
    def of_these(cls, folder: Path, below: Sequence[Path]) -> "KeptVariants":
        """Those of some folders below one. Raises InputError as ``open``."""
        variants, runs, shared = [], AtOnce(), Shared()
        of = _Lazily(in_order(below))
        for place, kept in enumerate(of.values()):
            variants.append(opened_of(kept, shared))
            runs.add(place, [found.row for found in kept.kept.runs.values()])
        names = {base_of(variant.name, variant.folder) for variant in variants}
        if None in names or len(names) > 1:
            raise InputError(
                f"{folder}: holds no results (no {MANIFEST}), but below it {named(list(of))}, no variants of one "
                "experiment; expected one of these folders"
            )
        return cls(folder, of, variants, runs)

    def settings(self, variant: str) -> Row:
        """What tells a variant from the others: numbers of bytes, ns and bytes/s; settings of a kind in a line."""
        return {key: values[self._places[variant]] for key, values in self.columns().items()}

    def settings_text(self, variant: str) -> dict[str, str]:
        """The same as somebody would write it."""
        return {key: value_text(values[self._places[variant]]) for key, values in self.keys.items()}

    def texts_of_arm(self, variant: str, arm: str) -> dict[str, str]:
        """What an arm that a sweep made has of the swept keys, as somebody would write it."""
        return self.swept.texts_of_arm(self._places[variant], arm)

    def baseline_of(self, variant: str) -> str:
        """The arm that a variant's others are compared with."""
        return str(self.variants[self._places[variant]].config["baseline"])

    def columns(self) -> dict[str, list[Any]]:
        """A column for each key: of one type, text if there are several."""
        return self.swept.of_variants

    @cached_property
    def names(self) -> list[str]:
        """Of the variants, in their order."""
        return [variant.folder.name for variant in self.variants]

    @property
    def front(self) -> dict[str, Any]:
        """The columns that tables have before their own, with their types in Arrow."""
        import pyarrow as pa

        return {VARIANT: pa.string(), **self.swept.types}

    @property
    def run_keys(self) -> list[Key]:
        """Of all finished runs that any variant has."""
        return list(dict.fromkeys(key for variant in self.variants for key in variant.files))

    def table(self, name: str) -> Any:
        """A table of all variants, as a ``pyarrow.Table``, with the name and the settings of each before its columns.

        Raises:
            NotWholeError: one of them was not run to its end, or none has such a table.
            InputError: one is damaged.
        """
        import pyarrow as pa

        if name == "runs":
            # What each manifest says of its runs, whose seal was checked: the table is written from there.
            for variant in self.variants:
                check_table(variant.folder, name)
            found = self._runs
        else:
            found = AtOnce()
            for place, variant in enumerate(self.variants):
                try:
                    found.take(place, _comparable(variant, name))
                except NotWholeError:
                    if name != "by_phase":
                        raise
                    # Some workloads have no phases.
                    continue
        table, places = found.whole()
        if table is None:
            raise NotWholeError(f"{self.folder}: no table {name}: the workloads have no phases")
        arms = table["arm"] if "arm" in table.schema.names else None
        front = {VARIANT: pa.array(self.names).take(pa.array(places)), **self.swept.arrays(places, arms)}
        return in_front(table, front)

    def parts(self, table: str, wanted: Collection[Key] | None) -> "Iterator[Part]":
        """The files of a table of the runs that are wanted, by their keys; None: of all."""
        from experiments.datasets import Part

        for place, variant in enumerate(self.variants):
            more = {
                arm: {VARIANT: variant.folder.name, **self.swept.of(place, arm)}
                for arm in dict.fromkeys(key[0] for key in variant.files)
            }
            for key, files in variant.files.items():
                if wanted is None or key in wanted:
                    for name in files_of(key, files, table):
                        yield Part(variant.folder / name, key, more[key[0]])

    def check_whole(self) -> None:
        """Raises NotWholeError if runs of a variant are missing."""
        for kept in self.of.values():
            kept.check_whole()

    def summary(self) -> list[Row]:
        """A row for each variant and arm: its settings, and what matters most.

        Raises:
            NotWholeError: runs of a variant are missing.
        """
        from experiments.report import summary

        rows = []
        for place, (variant, kept) in enumerate(self.of.items()):
            kept.check_whole()
            of_arm: dict[str, list[Row]] = {arm: [] for arm in kept.arms}
            for row in kept.rows:
                of_arm[row["arm"]].append(row)
            rows += [
                {VARIANT: variant, **self.swept.of(place, row["arm"]), **row}
                for row in summary(of_arm, kept.compared())
            ]
        return rows


class _Lazily(Mapping[str, KeptResults]):
    """Results by the names of their folders, read when they are asked for; the last ones are kept."""

    _MOST = 32

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = {path.name: path for path in folders}
        self._kept: dict[str, KeptResults] = {}

    def __getitem__(self, name: str) -> KeptResults:
        if name not in self._kept:
            found = KeptResults.open(self._folders[name])
            if len(self._kept) >= self._MOST:
                del self._kept[next(iter(self._kept))]
            self._kept[name] = found
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._folders)

    def __len__(self) -> int:
        return len(self._folders)


def opened(folder: Path) -> KeptResults | KeptVariants:
    """The results in a folder, or the variants below it.

    Raises:
        InputError: there are none, or they are damaged, or no variants of one experiment.
    """
    return KeptResults.open(folder) if (folder / MANIFEST).is_file() else KeptVariants.open(folder)


def one_of(folder: Path, variant: str | None) -> Path:
    """The folder of one variant; of a result that is one by itself, that. Raises InputError if it is not said which."""
    if (folder / MANIFEST).is_file():
        if variant is not None:
            raise InputError(f"--variant {variant}: {folder} is one result, without variants; expected no --variant")
        return folder
    names = [path.name for path in places_below(folder)]
    if variant in names:
        return folder / str(variant)
    if variant is not None:
        close = get_close_matches(variant, names, 1)
        meant = f"did you mean {close[0]!r}?" if close else f"expected one of {named(names, 8) or 'none'}"
        raise InputError(f"--variant {variant}: {folder} has none of that name; {meant}")
    if names:
        raise InputError(
            f"{folder}: has {len(names)} variant{'s' * (len(names) > 1)}, {named(names, 8)}; expected --variant with "
            f"one of them, or its folder, such as {folder / names[0]}"
        )
    # What opens it says what is wrong.
    return folder


def base_of(name: str, folder: Path) -> str | None:
    """What the experiment is called of which one of a name in a folder is a variant; None: of none, by these two."""
    base = name.removesuffix(f"-{folder.name}")
    return base if base != name and base else None


def swept(configs: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """What configs set differently, by key. Arms that some alone have are rows of these, and no setting."""
    found = differing([judged(config) for config in configs])
    # Their names may have dots.
    arms = {f"arms.{arm['name']}" for config in configs for arm in config.get("arms", ())}
    return {key: values for key, values in found.items() if not (key in arms and ABSENT in values)}


def short(keys: Sequence[str]) -> dict[str, str]:
    """Keys as they may be called beside each other: an arm's by its name, others by their last parts."""
    found = {}
    for key in keys:
        parts = key.split(".")
        ends = (".".join(parts[-n:]) for n in range(min(2, len(parts)), len(parts) + 1))
        of_others = [other for other in keys if other != key]
        found[key] = (
            ".".join(parts[1:])
            if parts[0] == "arms"
            else next(end for end in ends if not any(f".{other}".endswith(f".{end}") for other in of_others))
        )
    return found


def _comparable(variant: Opened, name: str) -> Any:
    if name == "comparisons":
        # Not those of other seeds than were asked for last.
        return comparisons_of(variant.folder, variant.config)
    return table_of(variant.folder, name)
