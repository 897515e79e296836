"""The tables of one run as Arrow: of each, the columns and the rows that are asked for."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from experiments.overrides import override
from experiments.plan import Key, stem_of
from experiments.results import KeptResults, check_columns, read_with
from experiments.tables import SCHEMAS
from simulator.config import System
from simulator.errors import InputError

ASKS_FOR = {
    "accesses": "--set output.accesses=true",
    "prefetches": "--set output.prefetches=true",
    "inferences": "--set output.inferences=true",
    "transfers": "--set output.transfers=true",
}
"""What a run has to be given to keep a table that a config may leave out."""

# What is asked for only where it is there: tables of an earlier version have no more.
_OLD = {"windows": [name for name in SCHEMAS["windows"].names if name not in ("begun_ns", "used_bytes")]}


class RunRows:
    """What a folder of results keeps of one run; rows are read when they are asked for."""

    def __init__(self, kept: KeptResults, key: Key) -> None:
        """``open`` makes them."""
        self.kept, self.key = kept, key
        self._files = {name.split("/")[0]: kept.folder / name for name in kept.kept.runs[key].files}

    @classmethod
    def open(cls, folder: Path, arm: str | None, seed: int | None, repeat: int) -> "RunRows":
        """Of a run; where there is one arm or one seed alone, it need not be said.

        Raises:
            InputError: there are no results, or not that run.
        """
        kept = KeptResults.open(folder)
        said: list[Any] = []
        for place, (name, value) in enumerate((("arm", arm), ("seed", seed), ("repeat", repeat))):
            # Seeds of the arm that was said: not every arm has all of them.
            there = list(dict.fromkeys(key[place] for key in kept.kept.runs if list(key[:place]) == said))
            found = there[0] if value is None and len(there) == 1 else value
            if found not in there:
                got = "is missing" if found is None else f"{found}: there is none"
                raise InputError(f"{folder}: --{name} {got}; expected one of {', '.join(map(str, there)) or 'none'}")
            said.append(found)
        return cls(kept, (said[0], said[1], said[2]))

    @property
    def name(self) -> str:
        """As its files are called."""
        return stem_of(*self.key)

    @cached_property
    def system(self) -> System:
        """As the arm has it, but for who is evicted and admitted: that may be a class from outside."""
        config = self.kept.kept.about["config"]
        raw = {"system": json.loads(json.dumps(config["system"]))}
        for path, value in next(arm for arm in config["arms"] if arm["name"] == self.key[0])["set"].items():
            override(raw, path, value)
        for tier in raw["system"]["tiers"]:
            tier |= {"eviction": "lru", "admission": {"kind": "all"}}
        return System.model_validate(raw["system"])

    @property
    def levels(self) -> list[str]:
        """The names of the tiers, and the origin."""
        return [*(tier.name for tier in self.system.tiers), "origin"]

    def has(self, table: str) -> bool:
        """Whether the run keeps a table."""
        return table in self._files

    def need(self, table: str, what: str) -> None:
        """Raises InputError, which says how to have a table made, where the run keeps none."""
        if not self.has(table):
            how = f"run it again with {ASKS_FOR[table]}" if table in ASKS_FOR else f"this run has no {table}"
            raise InputError(f"{self.kept.folder}: keeps no {table} of {self.name}, which {what} needs; {how}")

    @cached_property
    def _datasets(self) -> dict[str, Any]:
        return {}

    def _dataset(self, table: str) -> Any:
        if table not in self._datasets:
            path = self._files[table]
            if not path.is_file():
                raise InputError(f"{path}: is missing, or no file; run the experiment again to have it made")
            found = read_with(path, lambda: ds.dataset(str(path), format="parquet"))
            check_columns(path, found.schema, _OLD.get(table, SCHEMAS[table].names))
            self._datasets[table] = found
        return self._datasets[table]

    def read(self, table: str, columns: Sequence[str] | None = None, where: Any = None, most: int | None = None) -> Any:
        """Rows as a ``pyarrow.Table``: those where an expression holds, and no more than ``most``; in order."""
        dataset = self._dataset(table)
        names = [name for name in dataset.schema.names if name not in ("arm", "seed", "repeat")]
        wanted = list(columns) if columns is not None else names
        # Columns that are asked for by name need not be in tables of an earlier version.
        wanted = [name for name in wanted if name in names]

        def rows() -> Any:
            if most is not None:
                return dataset.head(most, columns=wanted, filter=where)
            return dataset.to_table(columns=wanted, filter=where)

        return read_with(self._files[table], rows)

    def count(self, table: str) -> int:
        """How many rows there are."""
        n: int = read_with(self._files[table], self._dataset(table).count_rows)
        return n

    def one(self, table: str, **equal: int) -> dict[str, Any] | None:
        """The row with these values, if there is one."""
        found = self.read(table, where=all_equal(equal)).slice(0, 1).to_pylist()
        return found[0] if found else None

    def latest(self, table: str, what: Any) -> int | None:
        """The largest value of an expression over all rows; None where there is none."""
        dataset = self._dataset(table)

        def found() -> int | None:
            # Batch by batch: there may be any number of rows.
            latest = (pc.max(batch["what"]).as_py() for batch in dataset.to_batches(columns={"what": what}))
            return max((value for value in latest if value is not None), default=None)

        latest: int | None = read_with(self._files[table], found)
        return latest

    def access(self, number: int) -> dict[str, Any]:
        """The row of an access. Raises InputError if there is none."""
        return self._of("accesses", "access", number)

    def prefetch(self, number: int) -> dict[str, Any]:
        """The row of a prefetch. Raises InputError if there is none."""
        return self._of("prefetches", "prefetch", number)

    def _of(self, table: str, name: str, number: int) -> dict[str, Any]:
        self.need(table, f"--{name}")
        found = self.one(table, **{name: number}) if -(1 << 63) <= number < 1 << 63 else None
        if found is None:
            numbers = self.read(table, [name])[name]
            low, high = (value.as_py() for value in pc.min_max(numbers).values())
            there = "there is none" if low is None else f"expected one from {low} to {high}"
            some = "" if low is None or high - low + 1 == len(numbers) else ", of those that have a row"
            raise InputError(f"--{name} {number}: {self.name} has no such row; {there}{some}")
        return found

    def some(self, table: str, where: Any, most: int | None = None) -> list[dict[str, Any]]:
        """Rows where an expression holds."""
        rows: list[dict[str, Any]] = self.read(table, where=where, most=most).to_pylist()
        return rows


def all_equal(values: dict[str, int]) -> Any:
    """The expression that all columns have these values."""
    found = None
    for name, value in values.items():
        one = ds.field(name) == pa.scalar(value, pa.uint64() if value >= 1 << 63 else None)
        found = one if found is None else found & one
    return found
