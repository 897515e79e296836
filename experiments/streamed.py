"""A table that grows with the trace as CSV, of one result or of a whole sweep: some rows at a time."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from experiments.written import whole

if TYPE_CHECKING:
    from experiments.results import KeptResults
    from experiments.variants import KeptVariants

_ROWS = 1 << 14


def stream(found: "KeptResults | KeptVariants", table: str, columns: str | None, out: Path | None) -> None:
    """Write it to a file, in place of what is there, or to the terminal.

    Raises:
        InputError: no run keeps the table, it lacks a column, or a file is damaged.
    """
    from experiments.aside import written_aside
    from experiments.datasets import dataset_of
    from experiments.export import chosen

    dataset = dataset_of(found.folder, table, found.parts(table, None), found.front)
    names = dataset.schema.names if columns is None else chosen(columns, dataset.schema.names)
    if out is None:
        _write(dataset, names, sys.stdout, found.folder / table)
        return
    with written_aside(out) as aside, aside.open("w", newline="") as file:
        _write(dataset, names, file, found.folder / table)


def _write(dataset: Any, names: list[str], file: IO[str], where: Path) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    for batch in _batches(dataset, names, where):
        of_columns = (map(whole, batch[name].to_pylist()) for name in names)
        writer.writerows(zip(*of_columns, strict=True))


def _batches(dataset: Any, names: list[str], where: Path) -> Iterator[Any]:
    from experiments.results import read_with

    # No more ahead than is needed: of wide tables each batch is megabytes.
    batches = dataset.to_batches(columns=names, batch_size=_ROWS, batch_readahead=1, fragment_readahead=1)
    while (batch := read_with(where, lambda: next(batches, None))) is not None:
        yield batch
