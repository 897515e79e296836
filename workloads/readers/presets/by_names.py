"""What presets of text tables have in common: a line of names, or none, and columns that only some files have."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from simulator.errors import InputError
from workloads.readers.layout import Layout
from workloads.readers.raw import RawTable
from workloads.readers.row_format import PresetFormat
from workloads.readers.text_table import Dialect, TextTable


def fitted(path: Path, layout: Layout, names: Sequence[str], optional: Sequence[str]) -> Layout:
    """A layout without those of the ``optional`` columns that a file does not have.

    Raises:
        InputError: it lacks another.
    """

    def there(column: str) -> bool:
        if column in names:
            return True
        if column in optional:
            return False
        raise InputError(f"{path}: has no column {column!r}; expected one among {', '.join(names) or 'none'}")

    found: dict[str, Any] = {
        name: tuple(column for column in getattr(layout, name) if there(column))
        for name in ("key", "size", "stream", "request")
    }
    for name in ("time", "op", "repeat"):
        column = getattr(layout, name)
        found[name] = column if column is not None and there(column) else None
    found["features"] = {name: column for name, column in layout.features.items() if there(column)}
    return replace(layout, **found)


class ByNames(PresetFormat):
    """A text table whose columns are known by the names in its first line.

    ``marks`` are names that a file of the format has, and no other format has together; ``optional`` are columns of
    the layout that may be missing.
    """

    marks: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[tuple[str, ...]] = ()
    separator: ClassVar[str] = ","

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By the names in its first line."""
        from workloads.readers.peek import first_fields

        return set(cls.marks) <= set(first_fields(path, cls.separator))

    def table(self) -> RawTable:
        """The rows."""
        return TextTable(self.file, Dialect(self.separator))

    def columns_of(self, names: Sequence[str]) -> Layout:
        """As published, without what this file does not have. Raises InputError if it lacks more."""
        return fitted(self.file, self.preset.layout, names, self.optional)

    @property
    def has_times(self) -> bool:
        """If this file has them."""
        if self.preset.layout.time not in self.optional:
            return super().has_times
        try:
            return self.columns_of(self.table().names()).time is not None
        except InputError:
            # Reading it says what is the matter.
            return False
