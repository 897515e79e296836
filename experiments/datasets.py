"""The tables that grow with the trace as one dataset over many runs: no file is opened before rows are asked for.

Each file is a fragment that says which variant, arm, seed and repeat it is of, and what these have of the swept keys.
So a filter on any of them leaves the other files alone, and the values are columns although no file has them.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from experiments.plan import Key
from experiments.tables import SCHEMAS
from simulator.errors import InputError

_WHY_NONE = {
    "training": "none of these policies was trained",
    "requests": "the config has no system.requests",
    "updates": "none of these policies went on learning, or output.inferences: false",
}


class Part(NamedTuple):
    """A file of a table: whose run it is of, and its values of columns that it lacks, such as swept keys."""

    path: Path
    run: Key
    more: dict[str, Any]


def dataset_of(
    folder: Path, table: str, parts: Iterable[Part], types: dict[str, Any], *, coded: bool = False,
    filesystem: Any | None = None,
) -> Any:  # fmt: skip
    """A ``pyarrow.dataset.FileSystemDataset``; ``types`` are those of the columns that files lack, in their order.

    Names are text; ``coded``: dictionaries, as files have them. Those differ by file, which Arrow's own grouping
    refuses, and which a pandas frame needs for its categories.

    Raises:
        InputError: there is no file of that table, or one is missing.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds
    from pyarrow.fs import LocalFileSystem

    form, files = ds.ParquetFileFormat(), filesystem or LocalFileSystem()

    @cache
    def equal(name: str, value: Any) -> Any:
        # A filter on the arm is on text, whatever the column is stored as.
        return ds.field(name).is_null() if value is None else ds.field(name) == pa.scalar(value, types.get(name))

    of_variant: dict[int, Any] = {}
    fragments = []
    for part in parts:
        if not part.path.exists():
            raise InputError(f"{part.path}: is missing; run the experiment again to have it made")
        said = None
        # The values of all files of an arm are one object.
        if id(part.more) not in of_variant:
            for name, value in part.more.items():
                said = equal(name, value) if said is None else said & equal(name, value)
            of_variant[id(part.more)] = (said, part.more)
        said = of_variant[id(part.more)][0]
        for name, value in zip(("arm", "seed", "repeat"), part.run, strict=True):
            said = equal(name, value) if said is None else said & equal(name, value)
        fragments.append(form.make_fragment(str(part.path), files, said))
    if not fragments:
        why = _WHY_NONE.get(table, f"output.{table}: false")
        raise InputError(f"{folder}: keeps no {table} of these runs ({why})")
    own = [(field.name, field.type) for field in SCHEMAS[table] if field.name not in types]
    if not coded:
        own = [(name, pa.string() if pa.types.is_dictionary(type_) else type_) for name, type_ in own]
    schema = pa.schema([*types.items(), *own])
    return ds.FileSystemDataset(fragments, schema, form, files)
