"""Rows a little out of order, put into order in bounded memory."""

from typing import Any

import numpy as np

Columns = dict[str, Any]


class LateRowError(Exception):
    """A row came more rows too late than was said."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row
        """Its number among all rows."""


class Sorter:
    """Sorts rows by ``time_ns``, those of the same time as they come; a row may be up to ``bound`` rows too late."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._kept: Columns = {}
        self._last_ns = -1

    def add(self, columns: Columns) -> Columns:
        """Some more rows, which ``row`` numbers; what is sure to be in order now.

        Raises:
            LateRowError: one of them should have come before what was handed out.
        """
        if self._kept:
            columns = {name: np.concatenate([self._kept[name], column]) for name, column in columns.items()}
        order = np.argsort(columns["time_ns"], kind="stable")
        if len(order) and columns["time_ns"][order[0]] < self._last_ns:
            raise LateRowError(int(columns["row"][order[0]]))
        n_out = max(len(order) - self._bound, 0)
        if n_out:
            self._last_ns = int(columns["time_ns"][order[n_out - 1]])
        rest = np.sort(order[n_out:])
        self._kept = {name: column[rest] for name, column in columns.items()}
        return {name: column[order[:n_out]] for name, column in columns.items()}

    def rest(self) -> Columns:
        """What is left at the end."""
        order = np.argsort(self._kept["time_ns"], kind="stable") if self._kept else None
        return {} if order is None else {name: column[order] for name, column in self._kept.items()}
