"""Look-ups in embedding tables, as PyTorch saves them: (indices, offsets, lengths)."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simulator.errors import InputError
from workloads.readers.files import open_binary
from workloads.readers.peek import first_bytes
from workloads.readers.ranges import GROUP_BITS
from workloads.readers.raw import Piece, Want

_AT_ONCE = 1 << 20
_SAVED = (b"PK", b"\x80")
"""What files of torch.save begin with: a zip, or before version 1.6 a pickle."""


def _where(sample: int, n_tables: int, row: int) -> str:
    return f"sample {sample + row // n_tables}, table {row % n_tables}"


class BagTable:
    """A row a bag: what one sample looks up in one table, sample by sample and in each by the order of tables.

    Columns are ``keys`` (a list: table * 2**44 + index), ``table`` and ``request``. ``requests`` says what is asked for
    at once: a ``sample`` over all tables, or each ``bag``.
    """

    def __init__(self, path: Path, requests: Literal["sample", "bag"]) -> None:
        self._path = path
        self._requests = requests

    def names(self) -> list[str]:
        """They are the same for all."""
        return ["keys", "table", "request"]

    def n_rows(self) -> int | None:
        """Not known."""
        return None

    def _bad(self, what: str) -> InputError:
        return InputError(
            f"{self._path}: {what}; expected (indices, offsets, lengths), whole numbers of shapes [sum of lengths], "
            "[tables * samples + 1] and [tables, samples]"
        )

    def _loaded(self) -> tuple[Any, Any, Any]:
        """The three arrays. Raises InputError if the file has anything else."""
        start = first_bytes(self._path, 2)
        if not start.startswith(_SAVED):
            raise self._bad("is no file of torch.save")
        try:
            import torch
        except ImportError:
            raise InputError(f"{self._path}: is read by PyTorch, which is not installed; expected it (torch)") from None
        try:
            if self._path.suffix == ".pt":
                # Pages of the file as they are needed, of a zip.
                found = torch.load(self._path, map_location="cpu", weights_only=True, mmap=start == _SAVED[0])
            else:
                with open_binary(self._path) as file:
                    found = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # What a damaged file makes it raise is anything.
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise self._bad(f"cannot be loaded ({said[0]})") from None
        if not isinstance(found, tuple | list) or len(found) != 3:
            raise self._bad(f"has {type(found).__name__}")
        for part in found:
            if not isinstance(part, torch.Tensor) or part.dtype not in (torch.int64, torch.int32):
                raise self._bad(f"has {getattr(part, 'dtype', type(part).__name__)}")
        indices, offsets, lengths = (part.contiguous().numpy() for part in found)
        shapes = ", ".join(str(list(part.shape)) for part in (indices, offsets, lengths))
        if indices.ndim != 1 or offsets.ndim != 1 or lengths.ndim != 2 or len(offsets) != lengths.size + 1:
            raise self._bad(f"has shapes {shapes}")
        ends = int(offsets[0]), int(offsets[-1])
        if ends != (0, len(indices)) or not (np.diff(offsets) == lengths.reshape(-1)).all() or (lengths < 0).any():
            raise self._bad(f"has offsets from {ends[0]} to {ends[1]} of {len(indices)} indices, or other lengths")
        return indices, offsets, lengths

    def pieces(self, wants: Sequence[Want]) -> Iterator[Piece]:
        """The rows. Raises InputError if the file is damaged, or has an index that is none."""
        for want in wants:
            want.is_list = want.column == "keys"
        indices, offsets, lengths = self._loaded()
        n_tables, n_samples = lengths.shape
        starts = offsets[:-1].reshape(n_tables, n_samples)
        mean = max(len(indices) // max(n_samples, 1), n_tables, 1)
        step = max(_AT_ONCE // mean, 1)
        tables = np.arange(n_tables, dtype=np.uint64)
        for sample in range(0, n_samples, step):
            end = min(sample + step, n_samples)
            counts = lengths[:, sample:end].T.reshape(-1).astype(np.int64)
            firsts = starts[:, sample:end].T.reshape(-1).astype(np.int64)
            within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
            found = indices[np.repeat(firsts, counts) + within].astype(np.int64)
            of_tables = np.tile(tables, end - sample)
            wrong = (found < 0) | (found >= 1 << GROUP_BITS)
            if wrong.any():
                at = int(np.flatnonzero(wrong)[0])
                bag = int(np.searchsorted(np.cumsum(counts), at, side="right"))
                raise InputError(
                    f"{self._path}: sample {sample + bag // n_tables}, table {bag % n_tables}: index {found[at]}; "
                    f"expected 0 to 2**{GROUP_BITS} - 1"
                )
            n = len(counts)
            requests = np.arange(sample * n_tables, sample * n_tables + n, dtype=np.uint64)
            columns = {
                "keys": np.repeat(of_tables << np.uint64(GROUP_BITS), counts) | found.astype(np.uint64),
                "table": of_tables,
                "request": requests if self._requests == "bag" else requests // np.uint64(n_tables),
            }
            yield Piece(
                [columns[want.column] for want in wants],
                n,
                partial(_where, sample, n_tables),
                counts,
            )
