"""Rows a little out of order, put into order in bounded memory."""

from typing import Any

import numpy as np

Columns = dict[str, Any]
_PLACE = "place"


class LateRowError(Exception):
    """A row came more rows too late than was said."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row
        """Its number among all rows."""


def _ranks(rows: Any) -> Any:
    """Of each item the number of its row, whose items are one after another, from 0."""
    begins = np.zeros(len(rows), np.int64)
    begins[1:] = rows[1:] != rows[:-1]
    return np.cumsum(begins)


class Sorter:
    """Sorts rows by ``time_ns``, those of the same time as they come; a row may be up to ``bound`` rows too late.

    A row that comes i-th and belongs at place j < i is i - j rows too late. One that is a list is all of its items.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._kept: Columns = {}
        self._last_ns = -1
        self._n_in = self._n_out = 0

    def add(self, columns: Columns) -> Columns:
        """Some more rows, which ``row`` numbers; what is sure to be in order now.

        Raises:
            LateRowError: one of them is further out of order.
        """
        places = _ranks(columns["row"])
        columns = {**columns, _PLACE: self._n_in + places}
        self._n_in += int(places[-1]) + 1 if len(places) else 0
        if self._kept:
            columns = {name: np.concatenate([self._kept[name], column]) for name, column in columns.items()}
        order = np.argsort(columns["time_ns"], kind="stable")
        if len(order) and columns["time_ns"][order[0]] < self._last_ns:
            raise LateRowError(int(columns["row"][order[0]]))
        ranks = _ranks(columns[_PLACE][order])
        n_rows = int(ranks[-1]) + 1 if len(ranks) else 0
        n_out = int(np.searchsorted(ranks, max(n_rows - self._bound, 0)))
        rest = np.sort(order[n_out:])
        self._kept = {name: column[rest] for name, column in columns.items()}
        return self._out({name: column[order[:n_out]] for name, column in columns.items()})

    def rest(self) -> Columns:
        """What is left at the end. Raises LateRowError as ``add`` does."""
        if not self._kept:
            return {}
        order = np.argsort(self._kept["time_ns"], kind="stable")
        return self._out({name: column[order] for name, column in self._kept.items()})

    def _out(self, columns: Columns) -> Columns:
        places = columns.pop(_PLACE)
        ranks = _ranks(places)
        late = np.flatnonzero(places - (self._n_out + ranks) > self._bound)
        if len(late):
            raise LateRowError(int(columns["row"][late[0]]))
        if len(places):
            self._n_out += int(ranks[-1]) + 1
            self._last_ns = int(columns["time_ns"][-1])
        return columns
