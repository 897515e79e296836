"""Requests told apart: runs of a stream's accesses with one number, which a trace may use again for later ones."""

import numpy as np
import numpy.typing as npt

from simulator.trace import Batch


class Requests:
    """Counts the requests of a trace, batch by batch, in the order of their first accesses."""

    def __init__(self, first: int = 0) -> None:
        self.n = first
        """The number that the next request gets."""
        # Of each stream so far: the number of its last request in the trace, and here (-1: it has not begun).
        self._own = np.zeros(0, np.uint64)
        self._counted = np.zeros(0, np.int64)

    def of(self, batch: Batch) -> npt.NDArray[np.uint64]:
        """The request of each access, counted from ``first``."""
        n = len(batch)
        if n == 0:
            return np.empty(0, np.uint64)
        n_unknown = int(batch.stream.max()) + 1 - len(self._own)
        if n_unknown > 0:
            self._own = np.append(self._own, np.zeros(n_unknown, np.uint64))
            self._counted = np.append(self._counted, np.full(n_unknown, -1))
        order = np.argsort(batch.stream, kind="stable")
        stream, own = batch.stream[order], batch.request[order]
        is_first = np.ones(n, bool)
        is_first[1:] = stream[1:] != stream[:-1]
        starts = is_first.copy()
        starts[1:] |= own[1:] != own[:-1]
        # The first access of a stream here may go on with the request of its last one before.
        at = np.flatnonzero(starts)
        goes_on = is_first[at] & (self._counted[stream[at]] >= 0) & (self._own[stream[at]] == own[at])
        counted = np.where(goes_on, self._counted[stream[at]], 0)
        counted[~goes_on] = self.n + np.argsort(np.argsort(order[at[~goes_on]]))
        found = counted[np.cumsum(starts) - 1]
        is_last = np.append(is_first[1:], True)
        self._own[stream[is_last]], self._counted[stream[is_last]] = own[is_last], found[is_last]
        self.n += int((~goes_on).sum())
        numbers = np.empty(n, np.uint64)
        numbers[order] = found.astype(np.uint64)
        return numbers
