"""Rows of the tables, in pieces, and what goes into them (rule R35)."""

import struct
from collections import Counter

import numpy as np

from simulator.accounting import Books
from simulator.distribution import Distribution
from simulator.records.rows import AccessRow, InferenceRow, PrefetchRow, RequestRow, TransferRow

PIECE = 1024
"""Rows that are handed on together."""
_UINT64 = 2**64
_DTYPES = {"accesses": AccessRow.dtype, "prefetches": PrefetchRow.dtype, "inferences": InferenceRow.dtype,
           "requests": RequestRow.dtype, "transfers": TransferRow.dtype}  # fmt: skip


def signed(key: int) -> int:
    """The bits of a uint64 as the int64 that rows hold."""
    return key - _UINT64 if key >= _UINT64 // 2 else key


def bits(value: float) -> int:
    """The bits of a float64 as the int64 that rows hold."""
    return int(struct.unpack("q", struct.pack("d", value))[0])


def drawn(request: int, stream: int) -> int:
    """The number that a request draws: 53 bits, the same in every run (rule R35)."""
    x = (request + stream * 0x9E3779B97F4A7C1) % _UINT64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % _UINT64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % _UINT64
    return (x ^ (x >> 31)) % 2**53


def distribution(counts: Counter[int]) -> Distribution:
    """Values and how often each of them came."""
    pairs = np.array(list(counts.items()), np.int64).reshape(-1, 2)
    return Distribution(pairs, sum(value * n for value, n in counts.items()))


class Rows:
    """Takes rows as values by column, and hands them to the books in pieces, in the order of their coming."""

    def __init__(self, books: Books) -> None:
        self._add = {
            "accesses": books.add_accesses, "prefetches": books.add_prefetches, "inferences": books.add_questions,
            "requests": books.add_requests, "transfers": books.add_transfers,
        }  # fmt: skip
        self._rows: dict[str, list[dict[str, int]]] = {table: [] for table in self._add if books.takes(table)}
        self.keeps_accesses = "accesses" in self._rows

    def add(self, table: str, row: dict[str, int]) -> None:
        """One more, unless nobody wants rows of that table."""
        rows = self._rows.get(table)
        if rows is not None:
            rows.append(row)
            if len(rows) == PIECE:
                self._hand_on(table)

    def _hand_on(self, table: str) -> None:
        rows = self._rows[table]
        if rows:
            made = np.empty(len(rows), _DTYPES[table])
            for name in made.dtype.names or ():
                made[name] = [row[name] for row in rows]
            self._add[table](made)
            rows.clear()

    def hand_on_all(self) -> None:
        """What is left, at the end."""
        for table in self._rows:
            self._hand_on(table)
