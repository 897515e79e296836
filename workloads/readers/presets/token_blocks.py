"""Requests of which only the numbers of tokens are known, as requests for blocks of their own."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError
from workloads.readers.raw import Piece, RawTable, Want
from workloads.readers.roles import Quantities

MOST_BLOCKS = 1 << 22
"""That a request may have."""
_AT_ONCE = 1 << 20


class TokenTable:
    """Each row of ``table`` as two: a read of its prompt's blocks and a write of those that it generates.

    A request of p tokens that generates g has ceil(p / block_tokens) blocks, and ceil(g / block_tokens) more, numbered
    on from those of the request before: nothing is shared, since the trace does not say what is. The columns are
    ``blocks`` (a list), ``request``, ``op`` and the table's own.
    """

    def __init__(self, path: Path, table: RawTable, prompt: str, generated: str, block_tokens: int) -> None:
        self._path, self._table, self._tokens = path, table, block_tokens
        self._prompt, self._generated = prompt, generated

    def names(self) -> list[str]:
        """Its columns. Raises InputError if the file cannot be read."""
        return ["blocks", "request", "op", *self._table.names()]

    def n_rows(self) -> int | None:
        """Of a list a row: not known."""
        return None

    def pieces(self, wants: Sequence[Want]) -> Iterator[Piece]:
        """The rows. Raises InputError on a number of tokens that is none, or of too many."""
        roles = [Quantities(self._path, name, name) for name in (self._prompt, self._generated)]
        own = [want for want in wants if want.column not in ("blocks", "request", "op")]
        for want in wants:
            want.is_list = want.column == "blocks"
        first_request = first_block = 0
        for piece in self._table.pieces([*own, *(role.want for role in roles)]):
            tokens = [role.of(cells, piece) for role, cells in zip(roles, piece.columns[len(own) :], strict=True)]
            counts = np.stack([-(-some // self._tokens) for some in tokens], axis=1)
            totals = counts.sum(axis=1)
            if (counts > MOST_BLOCKS).any():
                row = int(np.flatnonzero((counts > MOST_BLOCKS).any(axis=1))[0])
                raise InputError(
                    f"{self._path}: {piece.where(row)}: {tokens[0][row]} and {tokens[1][row]} tokens; expected at most "
                    f"{MOST_BLOCKS:,} blocks of {self._tokens} of each"
                )
            ends = np.cumsum(totals)
            at = 0
            while at < piece.n_rows:
                # Not more blocks at once than memory is for.
                done = int(ends[at - 1]) if at else 0
                end = max(int(np.searchsorted(ends, done + _AT_ONCE, side="right")), at + 1)
                some = _part(piece, at, end, own)
                n = int(totals[at:end].sum())
                yield self._two_each(some, wants, counts[at:end], first_request, first_block, n)
                first_request, first_block, at = first_request + end - at, first_block + n, end

    def _two_each(
        self, piece: Piece, wants: Sequence[Want], counts: Any, first_request: int, first_block: int, n_blocks: int
    ) -> Piece:
        import pyarrow as pa

        n = piece.n_rows
        rows = np.repeat(np.arange(n), 2)
        own = iter(piece.columns)
        columns: list[Any] = []
        for want in wants:
            if want.column == "blocks":
                columns.append(np.arange(first_block, first_block + n_blocks).astype(np.uint64))
            elif want.column == "request":
                columns.append((first_request + rows).astype(np.uint64))
            elif want.column == "op":
                words = pa.array(["read", "write"])
                columns.append(
                    pa.DictionaryArray.from_arrays(pa.array(np.tile(np.arange(2, dtype=np.int32), n)), words)
                )
            else:
                cells = next(own)
                columns.append(cells[rows] if isinstance(cells, np.ndarray) else cells.take(pa.array(rows)))
        return Piece(columns, 2 * n, lambda row: piece.where(row // 2), counts.reshape(-1))


def _part(piece: Piece, start: int, end: int, own: Sequence[Want]) -> Piece:
    columns = [column[start:end] for column in piece.columns[: len(own)]]
    return Piece(columns, end - start, lambda row: piece.where(start + row))
