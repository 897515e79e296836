"""What readers share: opening plain and compressed files, fixed-size records, counting, and clear errors."""

import bz2
import gzip
import hashlib
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.trace import Batch
from workloads.readers.ahead import ahead
from workloads.readers.reading import Reading

RECORDS = 1 << 16


def _open_plain(path: Path) -> BinaryIO:
    return path.open("rb")


class _Sips(io.FileIO):
    """A file that hands out a little at a time: Arrow unpacks all that it is handed before it hands on any of that."""

    _MOST = 1 << 13

    def read(self, size: int | None = -1) -> bytes:
        """Fewer bytes than were asked for, mostly."""
        return super().read(self._MOST if size is None or size < 0 else min(size, self._MOST))


def _open_zst(path: Path) -> BinaryIO:
    """Frames one after another; one that is cut off is an OSError, as Arrow reads them."""
    import pyarrow as pa

    # Opened by Python, whose errors say what is wrong with a path; Arrow's stream has no lines of its own.
    return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(_Sips(path), "zstd"), 1 << 20))


_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".bz2": bz2.open,
    ".zst": _open_zst,
}
BROKEN = (EOFError, OSError, lzma.LZMAError, zlib.error)
"""What unpacking a damaged file raises."""


def open_binary(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked by its ending (.gz, .xz, .bz2, .zst).

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    check_regular(path)
    try:
        return cast(BinaryIO, _OPENERS.get(path.suffix, _open_plain)(path))
    except OSError as error:
        raise _unreadable(path, error) from None


def check_regular(path: Path, what: str = "a trace file") -> None:
    """A pipe or a device has no end, or can be read once: inputs are files. Raises InputError if this one is none."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected {what}")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is a pipe or a device; expected {what}")


def _unreadable(path: Path, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file; expected a trace (TIERFETCH_TRACES names the folder to look in)")
    return InputError(f"{path}: cannot be read: {error.strerror or error}")


def read_records(path: Path, dtype: Any, header_bytes: int = 0) -> Iterator[Any]:
    """Arrays of fixed-size records, which begin behind a header.

    Raises:
        InputError: the file is missing, empty, damaged or ends in the middle of a record.
    """
    size = np.dtype(dtype).itemsize
    n_records = 0
    with open_binary(path) as file:
        while True:
            try:
                if header_bytes and n_records == 0:
                    file.read(header_bytes)
                piece = file.read(RECORDS * size)
            except BROKEN as error:
                raise InputError(f"{path}: damaged after {n_records} records: {error}") from None
            if len(piece) % size:
                raise InputError(
                    f"{path}: record {n_records + len(piece) // size} is truncated: "
                    f"{len(piece) % size} bytes, expected {size}"
                )
            if not piece:
                break
            n_records += len(piece) // size
            yield np.frombuffer(piece, dtype)
    if n_records == 0:
        raise InputError(f"{path}: is empty; expected at least one record")


def count_records(path: Path, dtype: Any, header_bytes: int = 0) -> int | None:
    """How many fixed-size records a plain file has, from its size; None if it is packed, missing, empty or cut off."""
    try:
        if path.suffix in _OPENERS or not path.is_file():
            return None
        n_records, rest = divmod(path.stat().st_size - header_bytes, np.dtype(dtype).itemsize)
    except OSError:
        # Reading it says what is the matter.
        return None
    return None if rest or n_records <= 0 else n_records


def sha256(path: Path) -> str:
    """The hash of a file's bytes as they are on disk. Raises InputError if it cannot be read."""
    check_regular(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None


class FileWorkload:
    """A trace in a file, decoded a batch ahead on a thread of its own.

    Its length and streams are what the file's own size or description says; where that says nothing, they are counted
    by reading it once, when first asked for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._counted: tuple[int, int] | None = None
        self.reading = Reading()
        """What was read so far, and how."""

    def notes_of_ids(self) -> list[str]:
        """What was hashed, a line each. Raises InputError if that takes reading the file and it is bad."""
        return [f"{self.path}: {line}" for line in self.reading.of_ids()]

    def notes(self) -> list[str]:
        """What somebody should know who did not ask, of the last time that it was read: a line each."""
        return [f"{self.path}: {line}" for line in (*self.reading.of_ids(), *self.reading.of_rows())]

    def _count(self) -> tuple[int, int]:
        if self._counted is None:
            n, n_streams = 0, 1
            for batch in self.batches():
                n += len(batch)
                n_streams = max(n_streams, int(batch.stream.max(initial=0)) + 1)
            if n == 0:
                raise InputError(f"{self.path}: has no access; expected at least one")
            self._counted = n, n_streams
        return self._counted

    def length(self) -> int:
        """How many accesses there are. Raises InputError if that takes reading the file and it is bad."""
        known = self.known_length()
        return self._count()[0] if known is None else known

    def known_length(self) -> int | None:
        """How many accesses there are if that can be told without decoding, else None."""
        return self._counted[0] if self._counted is not None else self._known_length()

    @property
    def stream_ids(self) -> npt.NDArray[np.uint64] | None:
        """The trace's own number of each stream; None where those are the indices."""
        return None

    @property
    def n_streams(self) -> int:
        """How many streams issue them. Raises InputError if that takes reading the file and it is bad."""
        known = self._known_streams() if self._counted is None else None
        return self._count()[1] if known is None else known

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start, at most ``RECORDS`` accesses at once. Raises InputError where it is bad."""
        # Views, so that large pieces cost nothing, and what reads them sees batches of a size that caches hold.
        with closing(ahead(self._read())) as read:
            for batch in read:
                for at in range(0, len(batch), RECORDS):
                    yield batch[at : at + RECORDS]

    def _read(self) -> Iterator[Batch]:
        """The trace, from its start, in batches of any size. Raises InputError where it is bad."""
        raise NotImplementedError

    def _known_length(self) -> int | None:
        """The number of accesses if it can be told without decoding, exactly; None if not, or if all is not well."""
        return None

    def _known_streams(self) -> int | None:
        """The number of streams if it can be told without decoding."""
        return 1


def files_in(workload: Any) -> list[FileWorkload]:
    """The files that a workload reads: itself, or those of what it is made of."""
    if isinstance(workload, FileWorkload):
        return [workload]
    return [file for part in getattr(workload, "made_of", ()) for file in files_in(part)]
