"""The compact form of a trace: Parquet with a column for each of ``simulator.trace.COLUMNS``, nothing left to decode.

Keys, streams and requests are kept as the reader of the original gave them; what an original lacks is a constant
column, which takes no room. The file's description says how many accesses and streams there are, and what the original
called its streams: nobody has to count. Features, where there are any, are further columns (``feature.NAME``, uint64),
which the description names. Files of version 1 do not know what streams were called; they are read as if it were the
indices. Those before version 3 do not say what of a request is of use; they are read as if each block were. Those
before version 4 have no features, and sizes of 32 bits.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.trace import COLUMNS, MOST_BYTES, Batch
from workloads.base import Reuse
from workloads.readers.files import BROKEN, RECORDS, FileWorkload
from workloads.readers.format import FormatSettings

# Arrow is imported where it is used: it takes as long as all the rest, and a config can be read without it.
ABOUT = b"tierfetch_trace"
"""Under which name the file's metadata has the description."""
VERSIONS = 1, 2, 3, 4
"""Of the form. The last is what is written."""
# Of the description, which has a number for each stream: Arrow would refuse one of some millions.
_LONGEST_TEXT = 2**31 - 1


@dataclass(frozen=True)
class About:
    """What a compact trace says of itself: where it is from, and what is in it."""

    source: str
    source_sha256: str | None
    n_accesses: int
    n_streams: int
    has_times: bool
    stream_ids: list[int] | None = None
    reuse: Reuse = "block"
    features: list[str] = field(default_factory=list)
    hashed: dict[str, str] = field(default_factory=dict)
    """Of each column of the original whose text was hashed: what it is for."""


class CompactConfig(FormatSettings):
    """What ``tierfetch trace convert`` wrote, with everything that the original's reader found."""

    kind: Literal["compact"]
    name_parts: ClassVar[tuple[str, ...]] = (".parquet",)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it says so of itself: a table may have such a name, too."""
        return super().recognises(path) and about(path) is not None

    def build(self, seed: int, name: str = "source") -> "Compact":
        """The trace."""
        return Compact(self.file)

    @property
    def has_times(self) -> bool:
        """If the original had."""
        described = about(self.file)
        # Of a file that is none the reader says so.
        return described is None or described.has_times

    @property
    def reuse(self) -> Reuse:
        """As of the original."""
        described = about(self.file)
        return "block" if described is None else described.reuse


def about(path: Path) -> About | None:
    """What a file says of itself, or None if it is no compact trace.

    Raises:
        InputError: it is one that this version cannot read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if not path.is_file():
            return None
        with pq.ParquetFile(path, thrift_string_size_limit=_LONGEST_TEXT) as file:
            described = (file.metadata.metadata or {}).get(ABOUT)
    except (pa.ArrowException, OSError):
        return None
    if described is None:
        return None
    damaged = InputError(f"{path}: its description as a compact trace is damaged; convert the trace again")
    try:
        fields = json.loads(described)
        version = fields.pop("version")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged from None
    if version not in VERSIONS:
        expected = f"at most {VERSIONS[-1]}"
        raise InputError(f"{path}: a compact trace of version {version}; expected {expected}: convert the trace again")
    try:
        found = About(**fields)
        ids = found.stream_ids
        if found.reuse not in get_args(Reuse):
            raise damaged
        names = found.features
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or len(set(names)) != len(names):
            raise damaged
        if ids is not None and len(set(np.array(ids, np.uint64).tolist())) != found.n_streams:
            raise damaged
    except (ValueError, TypeError, OverflowError):
        raise damaged from None
    return found


class Compact(FileWorkload):
    """A trace that ``experiments.trace convert`` wrote. Raises InputError where it is none."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._about: About | None = None

    def _described(self) -> About:
        if self._about is None:
            if not self.path.is_file():
                raise InputError(f"{self.path}: no such file; expected a compact trace")
            self._about = about(self.path)
            if self._about is not None:
                self.reading.hashed = self._about.hashed
        if self._about is None:
            raise InputError(f"{self.path}: is no compact trace; expected a file that `tierfetch trace convert` wrote")
        return self._about

    def _read(self) -> Iterator[Batch]:
        """The trace. Raises InputError if the file is damaged, or is not what it says of itself."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from workloads.readers.compact_writer import column_of, schema_of

        described, n = self._described(), 0
        n_expected, of_features = described.n_accesses, {name: column_of(name) for name in described.features}
        schemas = [schema_of(described.features, size_bits=bits) for bits in (64, 32)]
        try:
            with pq.ParquetFile(self.path, thrift_string_size_limit=_LONGEST_TEXT) as file:
                if not any(file.schema_arrow.equals(schema) for schema in schemas):
                    raise InputError(f"{self.path}: has columns {file.schema_arrow}; expected {schemas[0]}")
                # Several batches' worth at once: to begin each takes time.
                for piece in file.iter_batches(4 * RECORDS):
                    columns = {name: piece.column(name).to_numpy() for name in COLUMNS}
                    columns["size_bytes"] = columns["size_bytes"].astype(np.int64, copy=False)
                    self._check(columns, n)
                    n += len(piece)
                    features = {name: piece.column(column).to_numpy() for name, column in of_features.items()}
                    yield Batch(**columns, features=features)
        except (pa.ArrowException, *BROKEN) as error:
            raise InputError(f"{self.path}: damaged after {n} accesses: {error}") from None
        if n != n_expected:
            raise InputError(f"{self.path}: has {n} accesses; expected {n_expected}, as it says of itself")

    def _check(self, columns: dict[str, Any], first: int) -> None:
        n_streams = self._described().n_streams
        for name, low, high in (
            ("time_ns", 0, 2**62),
            ("size_bytes", 1, MOST_BYTES),
            ("op", 0, 2),
            ("stream", 0, n_streams),
        ):
            values = columns[name]
            # What has no sign is not below 0.
            is_low = len(values) > 0 and (low > 0 or values.dtype.kind == "i") and int(values.min()) < low
            if is_low or int(values.max(initial=0)) >= high:
                bad = int(np.flatnonzero((values < low) | (values.astype(np.int64) >= high))[0])
                raise InputError(
                    f"{self.path}: access {first + bad}: {name} is {values[bad]}; expected {low} to {high - 1}"
                )

    def notes_of_ids(self) -> list[str]:
        """What was hashed when it was converted. Raises InputError if it is no compact trace."""
        self._described()
        return super().notes_of_ids()

    @property
    def stream_ids(self) -> npt.NDArray[np.uint64] | None:
        """The original's number of each stream; None where those are the indices."""
        ids = self._described().stream_ids
        return None if ids is None else np.array(ids, np.uint64)

    def _known_length(self) -> int | None:
        return self._described().n_accesses

    def _known_streams(self) -> int | None:
        return self._described().n_streams
