"""Several variants of one experiment below one folder, as ``tierfetch run CONFIG --out FOLDER`` leaves them: as one.

Nothing but the results themselves says which there are and what tells them apart: each holds its whole config, and what
these set differently is a column. So variants may be added, made elsewhere, or removed, and there may be thousands.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.differences.settings import ABSENT, differing, judged, number_of, value_text
from experiments.kept import MANIFEST
from experiments.results import KeptResults, NotWholeError, Row, in_order, named, places_below, table_of
from simulator.errors import InputError

VARIANT = "variant"


class KeptVariants:
    """The results of all variants below a folder, by their names."""

    def __init__(self, folder: Path, of: dict[str, KeptResults]) -> None:
        """``open`` makes them."""
        self.folder, self.of = folder, of
        first, kept = next(iter(of.items()))
        self.name = kept.name.removesuffix(f"-{first}")
        self.keys = swept([kept.kept.about["config"] for kept in of.values()])
        """What the variants set differently, by dotted keys: what each says, in their order."""
        self._columns = {key: _of_one_type(values) for key, values in self.keys.items()}
        self._places = {variant: place for place, variant in enumerate(of)}

    @classmethod
    def open(cls, folder: Path) -> "KeptVariants":
        """The variants below a folder.

        Raises:
            InputError: there are none, they are no variants of one experiment, or one is damaged.
        """
        below = places_below(folder)
        if not below:
            raise InputError(
                f"{folder}: holds no results (no {MANIFEST}); expected the folder of an experiment, or of its variants"
            )
        return cls.of_these(folder, below)

    @classmethod
    def of_these(cls, folder: Path, below: Sequence[Path]) -> "KeptVariants":
        """Those of some folders below one. Raises InputError as ``open``."""
        of = {path.name: KeptResults.open(path) for path in in_order(below)}
        names = {base_of(kept) for kept in of.values()}
        if None in names or len(names) > 1:
            raise InputError(
                f"{folder}: holds no results (no {MANIFEST}), but below it {named(list(of))}, no variants of one "
                "experiment; expected one of these folders"
            )
        return cls(folder, of)

    def settings(self, variant: str) -> Row:
        """What tells a variant from the others: numbers of bytes, ns and bytes/s; settings of a kind in a line."""
        return {key: values[self._places[variant]] for key, values in self.columns().items()}

    def settings_text(self, variant: str) -> dict[str, str]:
        """The same as somebody would write it."""
        return {key: value_text(values[self._places[variant]]) for key, values in self.keys.items()}

    def columns(self) -> dict[str, list[Any]]:
        """A column for each key: of one type, text if there are several."""
        return self._columns

    def table(self, name: str) -> Any:
        """A table of all variants, as a ``pyarrow.Table``, with the name and the settings of each before its columns.

        Raises:
            NotWholeError: one of them was not run to its end, or none has such a table.
            InputError: one is damaged.
        """
        import pyarrow as pa

        columns, tables = self.columns(), []
        for place, (variant, kept) in enumerate(self.of.items()):
            try:
                table = _comparable(kept, name)
            except NotWholeError:
                if name != "by_phase":
                    raise
                # Some workloads have no phases.
                continue
            of_all = {VARIANT: variant, **{key: values[place] for key, values in columns.items()}}
            tables.append(_with(table, of_all, {key: pa.array(values).type for key, values in columns.items()}))
        if not tables:
            raise NotWholeError(f"{self.folder}: no table {name}: the workloads have no phases")
        return pa.concat_tables(tables, promote_options="permissive")

    def check_whole(self) -> None:
        """Raises NotWholeError if runs of a variant are missing."""
        for kept in self.of.values():
            kept.check_whole()

    def summary(self) -> list[Row]:
        """A row for each variant and arm: its settings, and what matters most."""
        from experiments.report import summary

        rows = []
        for variant, kept in self.of.items():
            of_arm: dict[str, list[Row]] = {arm: [] for arm in kept.arms}
            for row in kept.rows:
                of_arm[row["arm"]].append(row)
            rows += [{VARIANT: variant, **self.settings(variant), **row} for row in summary(of_arm, kept.compared())]
        return rows


def opened(folder: Path) -> KeptResults | KeptVariants:
    """The results in a folder, or the variants below it.

    Raises:
        InputError: there are none, or they are damaged, or no variants of one experiment.
    """
    return KeptResults.open(folder) if (folder / MANIFEST).is_file() else KeptVariants.open(folder)


def base_of(kept: KeptResults) -> str | None:
    """What the experiment is called of which these are a variant; None: of none, by its name and its folder's."""
    base = kept.name.removesuffix(f"-{kept.folder.name}")
    return base if base != kept.name and base else None


def swept(configs: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """What configs set differently, by key. Arms that some alone have are rows of these, and no setting."""
    found = differing([judged(config) for config in configs])
    return {
        key: values
        for key, values in found.items()
        if not (key.count(".") == 1 and key.startswith("arms.") and ABSENT in values)
    }


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


def _of_one_type(values: list[Any]) -> list[Any]:
    numbers = [number_of(value) for value in values]
    types = {type(value) for value in numbers if value is not None}
    if types <= {int, float} or len(types) <= 1:
        return numbers
    return [None if value is ABSENT or value is None else value_text(value) for value in values]


def _comparable(kept: KeptResults, name: str) -> Any:
    if name == "comparisons":
        # Not those of other seeds than were asked for last.
        kept.compared()
    return table_of(kept.folder, name)


def _with(table: Any, of_all: Row, types: dict[str, Any]) -> Any:
    """A table with columns of one value in front; what it has itself, such as ``start``, stays its own."""
    import pyarrow as pa

    n, names = len(table), table.schema.names
    front = {
        name: pa.repeat(pa.scalar(value, types.get(name)), n) for name, value in of_all.items() if name not in names
    }
    # Of no type where all is null: in another variant it may be text.
    own = {
        name: pa.nulls(n) if column.null_count == n else column
        for name, column in zip(names, table.columns, strict=True)
    }
    return pa.table(front | own)
