"""From the columns of a raw table to those of a trace, by a layout: the one way for all formats with rows."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.trace import MOST_BYTES, Batch, make_batch
from workloads.readers.columns import Indices
from workloads.readers.layout import BOTH, READ, SKIP, UNKNOWN, WRITE, Layout
from workloads.readers.ranges import MOST_BLOCKS, Keys, touched
from workloads.readers.raw import Piece, RawTable, RowError
from workloads.readers.reading import Reading
from workloads.readers.roles import END_BYTES, Ids, Quantities, Role, Words
from workloads.readers.several import Several
from workloads.readers.sorting import Columns, LateRowError, Sorter
from workloads.readers.times import Times

_MOST_WORDS = 20
_AT_ONCE = 1 << 20
_MOST_REPEATS = 1 << 32
_MOST_COUNTED = 1 << 26
_NAMES = {READ: "read", WRITE: "write", SKIP: "skipped", BOTH: "read and write", UNKNOWN: "unknown"}


class _UnknownWordError(RowError):
    """An operation word that nobody has said the meaning of."""


class TooLateError(InputError):
    """A row that is further out of order than was said."""


class Rows:
    """One pass over a raw table, by a layout.

    A row without a request column is a request of its own: all blocks that it touches, or lists.
    """

    def __init__(self, path: Path, layout: Layout, streams: Indices, default_bytes: int = 1) -> None:
        """``streams`` numbers streams over all passes; ``default_bytes`` is the size where nothing says one."""
        self._path, self._layout, self._streams = path, layout, streams
        self._default_bytes = default_bytes
        self.reading = Reading()
        self._ids = {
            name: Several(path, name, [Ids(path, name, column, keys) for column in columns], spreads=layout.spreads)
            for name, columns, keys in (
                ("key", layout.key, layout.keys),
                ("stream", layout.stream, layout.streams),
                ("request", layout.request, "auto"),
            )
            if columns
        }
        self._features = {
            name: Ids(path, name, column, layout.feature_keys) for name, column in layout.features.items()
        }
        self._time = Times(path, layout.time, layout.time_unit) if layout.time is not None else None
        self._sizes = [Quantities(path, "size_bytes", column, layout.size_unit) for column in layout.size]
        self._repeat = Quantities(path, "repeat", layout.repeat) if layout.repeat is not None else None
        self._words = Words(path, layout.op, layout.words) if layout.op is not None else None
        self._sorter = Sorter(layout.sort_rows) if layout.sort_rows else None
        self._n_rows = self._n_requests = self._n_made = 0

    def keep_texts(self) -> None:
        """Remember the text of each key that is hashed."""
        for role in self._ids["key"].roles:
            role.texts = {}

    @property
    def key_texts(self) -> dict[int, str]:
        """The text of each key that was hashed; nothing where a key is of several columns."""
        roles = self._ids["key"].roles
        texts = roles[0].texts if len(roles) == 1 else None
        return {} if texts is None else texts

    def batches(self, table: RawTable) -> Iterator[Batch]:
        """The trace. Raises InputError where a row does not fit; what is before it has been yielded."""
        roles: list[Role] = [role for several in self._ids.values() for role in several.roles]
        roles += [*self._features.values(), *self._sizes]
        roles += [role for role in (self._time, self._repeat, self._words) if role is not None]
        try:
            yield from self._pieces(table, roles)
        except TooLateError:
            raise
        except InputError:
            # What waits for rows that might belong ahead of it is good.
            if self._sorter is not None:
                yield from self._made(self._sorted(None))
            raise
        if self._sorter is not None:
            yield from self._made(self._sorted(None))

    def _pieces(self, table: RawTable, roles: list[Role]) -> Iterator[Batch]:
        """The rows that are in order by then."""
        for piece in table.pieces([role.want for role in roles]):
            for why, n in piece.left_out.items():
                self.reading.skip(why, n)
                self.reading.n_rows += n
            if not piece.n_rows:
                continue
            columns, failed = self._good(piece, roles)
            yield from self._made(columns if self._sorter is None else self._sorted(columns))
            if isinstance(failed, _UnknownWordError):
                raise self._unknown(table)
            if failed is not None:
                raise failed

    def _good(self, piece: Piece, roles: list[Role]) -> tuple[Columns, RowError | None]:
        """The columns of a piece, up to a row that is wrong; and what is wrong with that."""
        failed = None
        while True:
            reading = copy.deepcopy(self.reading)
            counts = None if self._words is None else dict(self._words.counts)
            try:
                return self._columns(piece, roles), failed
            except RowError as error:
                # Another role may find an earlier row. What was counted so far is counted again.
                vars(self.reading).update(vars(reading))
                if self._words is not None and counts is not None:
                    self._words.counts = counts
                failed = error
                piece = piece.head(error.row, [role.want.is_list for role in roles])
            if piece.n_rows == 0:
                return {}, failed

    def _columns(self, piece: Piece, roles: list[Role]) -> Columns:
        values = {role: role.of(cells, piece) for role, cells in zip(roles, piece.columns, strict=True)}
        columns: Columns = {"row": np.arange(piece.n_rows)}
        for name, several in self._ids.items():
            columns |= {f"{name} {i}": values[role] for i, role in enumerate(several.roles)}
        columns |= {f"feature {name}": values[role] for name, role in self._features.items()}
        if self._sizes:
            columns["size_bytes"] = total = values[self._sizes[0]]
            for size in self._sizes[1:]:
                # Each is less than that: two fit into 64 bits, and more would not.
                columns["size_bytes"] = total = np.minimum(total + values[size], END_BYTES)
        elif self._layout.access_bytes:
            columns["size_bytes"] = np.full(piece.n_rows, self._layout.access_bytes, np.int64)
        for name, role in (("time_ns", self._time), ("repeat", self._repeat), ("op", self._words)):
            if role is not None:
                columns[name] = values[role]
        columns = self._kept(self._listed(columns, piece), piece)
        for name, several in self._ids.items():
            parts = [columns.pop(f"{name} {i}") for i in range(len(several.roles))]
            if name == "key" and self._layout.splits:
                first, last = self._blocks(parts[-1], columns["size_bytes"], piece, columns["row"])
                columns["n_blocks"] = last - first
                # The last is the one that might not fit.
                parts[-1] = last
            if parts:
                columns[name] = several.of(parts, piece, columns["row"])
            if name == "key" and self._layout.splits:
                columns["key"] = columns["key"] - columns["n_blocks"]
            # Steps are still to be seen in a key whose last column is a number.
            what = name if several.hashed or len(several.roles) == 1 else f"part of a {name}"
            self.reading.hashed |= {role.want.column: what for role in several.roles if role.hashed}
        columns["row"] = columns["row"] + self._n_rows
        self._n_rows += piece.n_rows
        self.reading.n_rows += piece.n_rows
        return columns

    def _sorted(self, columns: Columns | None) -> Columns:
        """Rows that are in order now, of these and earlier ones; None: those that are left."""
        assert self._sorter is not None
        try:
            if columns is None:
                return self._sorter.rest()
            return self._sorter.add(columns) if columns else {}
        except LateRowError as late:
            raise TooLateError(
                f"{self._path}: row {late.row + 1}: comes more than {self._layout.sort_rows:,} rows too late by its "
                "time; expected rows at most that far out of order (--sort)"
            ) from None

    def _listed(self, columns: Columns, piece: Piece) -> Columns:
        """A row that is a list of blocks as a row each: what is said of the list holds for each."""
        if piece.counts is None:
            return columns
        if "repeat" in columns:
            raise InputError(f"{self._path}: has lists of blocks; expected no repetition of them (columns.repeat)")
        last = self._ids["key"].roles[-1].want
        if not last.is_list:
            raise InputError(f"{self._path}: has lists in another column than the key's, {last.column!r}")
        if "request" not in self._ids:
            columns["request"] = self._n_rows + columns["row"].astype(np.uint64)
        lists = f"key {len(self._ids['key'].roles) - 1}"
        rows = np.repeat(columns["row"], piece.counts)
        return {name: values if name == lists else values[rows] for name, values in columns.items()}

    def _kept(self, columns: Columns, piece: Piece) -> Columns:
        """The rows that are accesses. Raises InputError on a size that nobody said what to do with."""
        keep = np.ones(len(columns["row"]), bool)

        def skip(those: Any, why: str) -> None:
            nonlocal keep
            self.reading.skip(why, int((keep & those).sum()))
            keep &= ~those

        if self._words is not None:
            known = self._words
            self.reading.words = {word: (_NAMES[known.meaning(word)], n) for word, n in known.counts.items()}
            if (columns["op"] == UNKNOWN).any():
                row = int(columns["row"][np.flatnonzero(columns["op"] == UNKNOWN)[0]])
                raise _UnknownWordError(row, "an unknown word")
            skip(columns["op"] == SKIP, "whose operation is to be skipped")
        if "repeat" in columns:
            counts = columns["repeat"]
            if (counts >= _MOST_REPEATS).any():
                at = int(np.flatnonzero(counts >= _MOST_REPEATS)[0])
                row = int(columns["row"][at])
                raise RowError(
                    row,
                    f"{self._path}: {piece.where(row)}: column {self._layout.repeat!r} is {counts[at]}; expected a "
                    f"whole number from 0 to {_MOST_REPEATS - 1} (repeat)",
                )
            skip(counts == 0, "repeated 0 times")
        if "size_bytes" in columns and (self._layout.fixed is None or self._layout.splits):
            sizes = columns["size_bytes"]
            if self._layout.empty == "skip":
                skip(sizes == 0, "of size 0")
            elif self._layout.empty == "min":
                columns["size_bytes"] = sizes = np.maximum(sizes, 1)
            most = END_BYTES if self._layout.splits else MOST_BYTES
            wrong = keep & ((sizes == 0) | (sizes >= most))
            if wrong.any():
                at = int(np.flatnonzero(wrong)[0])
                raise RowError(
                    int(columns["row"][at]),
                    f"{self._path}: {piece.where(int(columns['row'][at]))}: column {'+'.join(self._layout.size)!r} is "
                    f"{sizes[at]}; expected a whole number from 1 to {most - 1} (size_bytes)"
                    + ("; --empty skip leaves such rows out, --empty min takes 1 byte" if sizes[at] == 0 else ""),
                )
        return columns if keep.all() else {name: values[keep] for name, values in columns.items()}

    def _blocks(self, offsets: Keys, sizes: Any, piece: Piece, rows: Any) -> tuple[Keys, Keys]:
        """The first and the last block of ranges of bytes."""
        if self._ids["key"].hashed:
            raise InputError(
                f"{self._path}: column {self._layout.key[-1]!r} is text; expected offsets, which --block splits (key)"
            )
        unit, block = np.uint64(self._layout.offset_unit), np.uint64(self._layout.block or 1)
        wrong = offsets > np.uint64(2**64 - 1) // unit
        starts = np.where(wrong, np.uint64(0), offsets) * unit
        ends = starts + sizes.astype(np.uint64) - np.uint64(1)
        wrong |= ends < starts
        first, last = starts // block, ends // block
        wrong |= last - first >= np.uint64(MOST_BLOCKS)
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise RowError(
                int(rows[at]),
                f"{self._path}: {piece.where(int(rows[at]))}: {sizes[at]} bytes from {int(offsets[at]) * int(unit)} "
                f"on; expected a range that ends below 2**64 and touches at most {MOST_BLOCKS:,} blocks",
            )
        return first, last

    def _made(self, columns: Columns) -> Iterator[Batch]:
        if not columns or not len(columns["row"]):
            return
        del columns["row"]
        for some in self._repeated(columns):
            yield from self._split(some)

    def _split(self, columns: Columns) -> Iterator[Batch]:
        n = len(columns["key"])
        if "request" not in columns:
            columns["request"] = self._n_requests + np.arange(n, dtype=np.uint64)
        self._n_requests += n
        if "n_blocks" not in columns:
            yield self._batch(columns)
            return
        first = columns.pop("key")
        last = first + columns.pop("n_blocks")
        columns["size_bytes"] = np.full(n, self._layout.block, np.int64)
        for rows, keys, counts in touched(first, last):
            of_rows = {name: np.repeat(values[rows], counts) for name, values in columns.items()}
            yield self._batch({"key": keys, **of_rows})

    def _repeated(self, columns: Columns) -> Iterator[Columns]:
        """Rows that stand for several accesses as so many rows, some at once, so that memory is bounded."""
        counts = columns.pop("repeat", None)
        # A load and a store of one place.
        both = columns["op"] == BOTH if "op" in columns else np.zeros(0, bool)
        if not both.any() and (counts is None or (counts == 1).all()):
            yield columns
            return
        n_each = np.where(both, 2, 1) if len(both) else 1
        ends = np.cumsum(n_each if counts is None else n_each * counts)
        n = int(ends[-1])
        for first in range(0, n, _AT_ONCE):
            places = np.arange(first, min(first + _AT_ONCE, n))
            rows = np.searchsorted(ends, places, side="right")
            some = {name: values[rows] for name, values in columns.items()}
            if both.any():
                is_second = (places - np.where(rows > 0, ends[rows - 1], 0)) % 2 == 1
                some["op"] = np.where(both[rows], np.where(is_second, WRITE, READ), some["op"])
            yield some

    def _batch(self, columns: Columns) -> Batch:
        if "stream" in columns:
            columns["stream"] = self._streams.of(columns["stream"])
        if self._layout.fixed is not None:
            columns["size_bytes"] = self._layout.fixed
        elif "size_bytes" not in columns:
            columns["size_bytes"] = self._layout.block or self._default_bytes
        features = {name[8:]: columns.pop(name) for name in list(columns) if name.startswith("feature ")}
        made = make_batch(columns.pop("key"), self._n_made, features=features, **columns)
        self._n_made += len(made)
        return made

    def _unknown(self, table: RawTable) -> InputError:
        """Of all words that nobody said the meaning of, with how many rows each has."""
        assert self._layout.op is not None
        words, n = Words(self._path, self._layout.op, self._layout.words), 0
        try:
            for piece in table.pieces([words.want]):
                words.of(piece.columns[0], piece)
                n += piece.n_rows
                if n >= _MOST_COUNTED:
                    break
        except InputError:
            # What is damaged behind the words is another matter.
            pass
        unknown = {word: count for word, count in words.counts.items() if words.meaning(word) == UNKNOWN}
        shown = sorted(unknown.items(), key=lambda item: -item[1])[:_MOST_WORDS]
        listed = ", ".join(f"{word[:40]!r} ({count:,})" for word, count in shown)
        more = f" and {len(unknown) - len(shown)} more" if len(unknown) > len(shown) else ""
        return InputError(
            f"{self._path}: column {self._layout.op!r}: {listed}{more} in {n:,} rows: reads or writes? expected known "
            "words (op); --ops, or ops of a source, says what others mean, such as 'read=get,1 write=put,0 skip=delete'"
        )
