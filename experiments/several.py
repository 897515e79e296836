"""What is kept in memory of thousands of results: little of each, what they have alike once, and rows as columns."""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.plan import Key, stem_of
from experiments.results import KeptResults, Row

_AT_ONCE = 256
_INDICES = npt.NDArray[np.int64]


class Opened(NamedTuple):
    """What a manifest says that was opened: no rows, and of each run which tables have a file."""

    folder: Path
    name: str
    config: dict[str, Any]
    of_arms: dict[str, Row]
    files: dict[Key, tuple[str, ...]]
    """Of each finished run, its files but for the part of their names that is the run's."""

    @property
    def arms(self) -> list[str]:
        """Those with a finished run, as the experiment has them in order."""
        return list(dict.fromkeys(key[0] for key in self.files))


class Shared:
    """Values that are equal as one: configs of a sweep differ in a few places, and so does what their runs leave."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def of(self, value: Any) -> Any:
        """The same value, in place of which the first one stands that was equal to it, down to its parts."""
        if not isinstance(value, dict | list):
            # 1 is no 1.0, and True no 1.
            return self._known.setdefault((type(value), value), value)
        # As text: what was seen before is not gone through again.
        text = hashlib.blake2b(json.dumps(value).encode(), digest_size=16).digest()
        if text not in self._known:
            self._known[text] = (
                {sys.intern(name): self.of(part) for name, part in value.items()}
                if isinstance(value, dict)
                else [self.of(part) for part in value]
            )
        return self._known[text]


def opened_of(kept: KeptResults, shared: Shared) -> Opened:
    """What stays of results once they have been looked at."""
    files = {}
    for key, found in kept.kept.runs.items():
        n = len(stem_of(*key))
        # Of accesses/lru-0.parquet the rest.
        parts = (name.partition("/") for name in sorted(found.files))
        files[key] = shared.of(tuple(f"{table}/{file[n:]}" for table, _, file in parts))
    config = shared.of(kept.kept.about["config"])
    return Opened(kept.folder, kept.name, config, shared.of(kept.of_arms), files)


def files_of(key: Key, files: Sequence[str], table: str) -> Iterator[str]:
    """The names of a run's files of a table, below its folder."""
    for name in files:
        folder, _, suffix = name.partition("/")
        if folder == table:
            yield f"{folder}/{stem_of(*key)}{suffix}"


class AtOnce:
    """Small tables of many variants as one: put together some at a time, as a column a table costs more than its rows.

    Where all is null in one, another one's type is the column's; so is the wider of two numbers.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[int, Row]] = []
        self._tables: list[tuple[int, Any]] = []
        self._n_rows = 0
        self._whole: list[Any] = []
        self._places: list[_INDICES] = []

    def add(self, place: int, rows: Sequence[Row]) -> None:
        """The rows of a variant, by its place."""
        self._rows += [(place, row) for row in rows]
        if len(self._rows) >= _AT_ONCE * 8:
            self._pack_rows()

    def take(self, place: int, table: Any) -> None:
        """The table of a variant, by its place."""
        self._tables.append((place, table.replace_schema_metadata(None)))
        self._n_rows += len(table)
        if len(self._tables) >= _AT_ONCE or self._n_rows > 1 << 16:
            self._pack_tables()

    def whole(self) -> tuple[Any, _INDICES]:
        """All of it, None if there is nothing, and the place of each row's variant."""
        import pyarrow as pa

        self._pack_rows()
        self._pack_tables()
        if not self._whole:
            return None, np.zeros(0, np.int64)
        found = pa.concat_tables(self._whole, promote_options="permissive")
        for i, field in enumerate(found.schema):
            if pa.types.is_null(field.type):
                # As in a table of its own.
                found = found.set_column(i, field.name, pa.nulls(len(found), pa.float64()))
        return found, np.concatenate(self._places)

    def _pack_rows(self) -> None:
        from experiments.tables import columns_of_rows

        if self._rows:
            table = columns_of_rows([row for _, row in self._rows])
            self._whole.append(_nulls_of_no_type(table))
            self._places.append(np.array([place for place, _ in self._rows], np.int64))
            self._rows = []

    def _pack_tables(self) -> None:
        import pyarrow as pa

        if not self._tables:
            return
        of_schema: dict[Any, list[int]] = {}
        for i, (_, table) in enumerate(self._tables):
            of_schema.setdefault(table.schema, []).append(i)
        parts, order = [], []
        for these in of_schema.values():
            # One schema has one meaning of what is null: told once for all of its tables.
            parts.append(_nulls_of_no_type(pa.concat_tables(self._tables[i][1] for i in these)))
            order += these
        lengths = [len(table) for _, table in self._tables]
        ends = np.cumsum([0, *lengths])
        table = pa.concat_tables(parts, promote_options="permissive").combine_chunks()
        if len(parts) > 1:
            now = np.concatenate([np.arange(ends[i], ends[i + 1]) for i in order])
            table = table.take(pa.array(np.argsort(now)))
        self._whole.append(table)
        self._places.append(np.repeat(np.array([place for place, _ in self._tables], np.int64), lengths))
        self._tables, self._n_rows = [], 0


def _nulls_of_no_type(table: Any) -> Any:
    import pyarrow as pa

    n = len(table)
    columns: Mapping[str, Any] = {
        name: pa.nulls(n) if column.null_count == n else column
        for name, column in zip(table.schema.names, table.columns, strict=True)
    }
    return pa.table(dict(columns))
