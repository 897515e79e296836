"""Columns of times: whole numbers or fractions of a unit, dates with times of day, Arrow's own kinds of either."""

import re
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from workloads.readers.cells import quantity, scaled
from workloads.readers.kinds import DECIMAL, NUMBER, TEXT
from workloads.readers.raw import Piece
from workloads.readers.roles import Numbered, Role

TimeUnit = Literal["ns", "us", "ms", "s", "100ns", "filetime"]
POWERS = {"ns": 0, "us": 3, "ms": 6, "s": 9}
_TICK_NS = 100
FILETIME_EPOCH = 116_444_736_000_000_000
"""1970 in ticks of 100 ns since 1601."""
END_NS = 2**62
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Times(Role):
    """Times as ns: whole numbers or fractions of a unit, dates with times of day, Arrow's own kinds of either."""

    def __init__(self, path: Any, column: str, unit: TimeUnit = "ns") -> None:
        self._unit = unit
        self._power = POWERS.get(unit, 0)
        super().__init__(path, "time_ns", column, DECIMAL if self._power else NUMBER, self._power)
        self._epoch: int | None = None if unit == "filetime" else 0
        self._is_date: bool | None = None
        self._with_zone: bool | None = None

    def of(self, cells: Any, piece: Piece) -> npt.NDArray[np.int64]:
        """The times of some rows. Raises InputError on a cell that is none."""
        if isinstance(cells, np.ndarray):
            self._is_date = False
            # Of a decimal times its power of ten; of a whole number not yet.
            unit_ns = 1 if self.want.kind == DECIMAL else 10**self._power
            return self._ns(cells, piece, unit_ns)
        import pyarrow as pa

        expected = f"a time in {self._unit}, or a date with a time of day"
        cells = self._plain(cells, piece, expected)
        if pa.types.is_temporal(cells.type):
            return self._temporal(cells, piece)
        if pa.types.is_string(cells.type):
            if self._is_date is None and len(cells):
                self._is_date = _DATE.match(cells[0].as_py()) is not None
                if self._is_date:
                    self.want.kind = TEXT
            if self._is_date:
                return self._dates(cells, piece)
            if not self._power:
                expected = (
                    f"a whole number of {self._unit}; --time-unit says another unit; dates are 2024-01-31 10:00:00"
                )
            return self._ns(self._each(cells, piece, self._of_text, expected), piece, 1)
        if pa.types.is_floating(cells.type):
            values = cells.to_numpy(zero_copy_only=False).astype(np.float64) * 10**self._power
            good = (values >= 0) & (values < END_NS)
            if not self._power:
                good &= values == np.floor(values)
            if not good.all():
                row = int(np.flatnonzero(~good)[0])
                raise self.bad(piece, row, cells[row].as_py(), self._expected())
            return self._ns(np.rint(values).astype(np.uint64), piece, 1)
        found = self._numbers(cells, piece, self._expected())
        if found is None:
            raise InputError(f"{self._path}: column {self.want.column!r} holds {cells.type}; expected times (time_ns)")
        return self._ns(found, piece, 10**self._power)

    def _of_text(self, cell: str) -> int | None:
        return scaled(cell, self._power) if self._power else quantity(cell)

    def _expected(self) -> str:
        ticks = _TICK_NS if self._unit in ("100ns", "filetime") else 1
        end = (END_NS - 1) // (ticks * 10**self._power)
        epoch = self._epoch or 0
        return f"a number of {self._unit} from {epoch} to {end + epoch}"

    def _ns(self, values: Numbered, piece: Piece, unit_ns: int) -> npt.NDArray[np.int64]:
        if self._unit in ("100ns", "filetime"):
            if self._epoch is None and len(values):
                # Ticks since the start of a recording are no dates.
                self._epoch = FILETIME_EPOCH if int(values[0]) >= FILETIME_EPOCH else 0
            epoch = self._epoch or 0
            wrong = values < np.uint64(epoch)
            given, values, unit_ns = values, values - np.uint64(epoch), _TICK_NS
        else:
            given, wrong = values, np.zeros(len(values), bool)
        wrong |= values > np.uint64((END_NS - 1) // unit_ns)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            said: int | str = int(given[row])
            if self._power and unit_ns == 1:
                # As it is in the file.
                said = f"{Decimal(said).scaleb(-self._power).normalize():f}"
            raise self.bad(piece, row, said, self._expected())
        return (values * np.uint64(unit_ns)).astype(np.int64)

    def _temporal(self, cells: Any, piece: Piece) -> npt.NDArray[np.int64]:
        import pyarrow as pa

        kind = cells.type
        if pa.types.is_time(kind):
            cells = cells.cast(pa.time64("ns"))
        elif pa.types.is_duration(kind):
            cells = _cast(cells, pa.duration("ns"))
        elif pa.types.is_timestamp(kind):
            cells = _cast(cells, pa.timestamp("ns", kind.tz))
        elif pa.types.is_date(kind):
            cells = _cast(cells, pa.timestamp("ns"))
        else:
            cells = None
        if cells is None:
            raise InputError(
                f"{self._path}: column {self.want.column!r} holds {kind}, some of it too far from 1970; expected times "
                "that fit into ns (time_ns)"
            )
        values = cells.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return self._in_range(values, cells, piece)

    def _in_range(self, values: Any, cells: Any, piece: Piece) -> npt.NDArray[np.int64]:
        wrong = (values < 0) | (values >= END_NS)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise self.bad(piece, row, str(cells[row]), "a time from 1970 to 2116")
        return np.asarray(values, np.int64)

    def _dates(self, cells: Any, piece: Piece) -> npt.NDArray[np.int64]:
        import pyarrow as pa

        kinds = [pa.timestamp("ns", "UTC" if zone else None) for zone in (False, True)]
        for zone, kind in enumerate(kinds):
            made = _cast(cells, kind) if self._with_zone in (None, bool(zone)) else None
            if made is not None:
                self._with_zone = bool(zone) if len(cells) else self._with_zone
                return self._in_range(made.cast(pa.int64()).to_numpy(zero_copy_only=False), cells, piece)
        for row, cell in enumerate(cells.to_pylist()):
            if all(_cast(pa.array([cell]), kind) is None for kind in kinds):
                raise self.bad(piece, row, cell, "a date with a time of day, as in the first row")
        raise self.bad(piece, 0, cells[0].as_py(), "dates with a zone throughout, or without one")


def _cast(cells: Any, kind: Any) -> Any:
    """Cells as another type; None where some of them are none."""
    import pyarrow as pa

    try:
        return cells.cast(kind)
    except pa.ArrowInvalid:
        return None
