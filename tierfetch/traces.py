"""A trace: a file of any known format, a generator, or what is in memory, with one face."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from simulator.errors import InputError
from simulator.trace import COLUMNS, MOST_BYTES, Batch, Workload, concatenate, part
from simulator.units import parse_bytes
from tierfetch.plain import plain
from workloads.base import DEFAULT_BLOCK, Reuse, SourceSettings

if TYPE_CHECKING:
    import pandas as pd

_MEMBERS = ("n_streams", "stream_ids", "length", "batches")


@dataclass(frozen=True)
class TraceInfo:
    """What is in a trace: ``summary`` by name, the working set by window, reuse distances, and what follows what."""

    summary: dict[str, Any]
    working_set: "pd.DataFrame"
    reuse: "pd.DataFrame"
    deltas: "pd.DataFrame"


class Trace:
    """Accesses in order, in batches of columns: memory does not grow with the trace. It is a ``Workload``.

    A batch's streams are indices; ``to_pandas``, ``to_arrow`` and ``head`` have the trace's own numbers.
    """

    def __init__(self, name: str, workload: Workload, *, has_times: bool = False, reuse: Reuse = "block") -> None:
        """``read`` and ``of`` make them."""
        self.name = name
        self.workload = workload
        self.has_times = has_times
        self.reuse: Reuse = reuse

    @classmethod
    def read(cls, path: "str | PathLike[str]", format: str = "auto", *, seed: int = 0, **settings: Any) -> "Trace":  # noqa: A002
        """A trace file, the workload of a config (``.yaml``), or a workload in a line, such as ``"zipf(...)"``.

        Args:
            path: The file, as given or in the folder that ``TIERFETCH_TRACES`` names.
            format: One of ``tierfetch.formats()``; ``auto`` tells it by the name or the first line.
            seed: Of a workload that draws at random.
            settings: What is said of the format, as in a config: ``columns={"key": "obj"}``, ``block="4 KiB"``,
                ``time_unit="ms"``.

        Raises:
            InputError: it is missing, its format cannot be told, or there is no such setting. What is bad in it shows
                when it is read.
        """
        from experiments.trace_input import source_for

        source, seed_of_config = source_for(Path(path), format, **plain(settings))
        return cls._built(Path(path).name, source, seed or seed_of_config)

    @classmethod
    def of(cls, data: Any, *, block: str | int = DEFAULT_BLOCK, seed: int = 0) -> "Trace":
        """What stands for a trace.

        Args:
            data: A Trace; a path or a workload in a line, as ``read`` takes them; settings of a workload, as a dict or
                an object; an array of keys; a DataFrame or a ``pyarrow.Table`` with a column ``key`` and any others of
                ``time_ns``, ``size_bytes``, ``stream``, ``request``, ``op``, whose further columns are features; or
                anything with the members of ``Workload``.
            block: The size of every access, of keys and of a table without ``size_bytes``: bytes, or text with a unit.
            seed: Of a workload that draws at random.

        Raises:
            InputError: it is none of these, or bad.
        """
        if isinstance(data, Trace):
            return data
        if isinstance(data, str | PathLike):
            return cls.read(data, seed=seed)
        if isinstance(data, Mapping):
            data = _settings(plain(data))
        if isinstance(data, SourceSettings):
            return cls._built(data.kind, data, seed)
        if all(hasattr(data, name) for name in _MEMBERS):
            return cls(type(data).__name__, data, has_times=bool(getattr(data, "has_times", False)))
        return cls._held(data, _block_bytes(block))

    @classmethod
    def _held(cls, data: Any, block_bytes: int) -> "Trace":
        from tierfetch.columns import of_keys, of_table

        if not isinstance(data, np.ndarray) and hasattr(data, "to_pandas"):
            data = data.to_pandas()
        if hasattr(data, "columns") and hasattr(data, "iloc"):
            held, has_times = of_table(data, block_bytes)
            return cls("table", held, has_times=has_times)
        if isinstance(data, np.ndarray | list | tuple | range) or hasattr(data, "__array__"):
            return cls("keys", of_keys(data, block_bytes))
        missing = [name for name in _MEMBERS if not hasattr(data, name)]
        raise InputError(
            f"trace: is of {type(data).__name__}; expected a path, keys, a DataFrame, settings of a workload, or a "
            f"workload (it lacks {', '.join(missing)})"
        )

    @classmethod
    def _built(cls, name: str, source: SourceSettings, seed: int) -> "Trace":
        return cls(name, source.build(seed), has_times=source.has_times, reuse=source.reuse)

    @property
    def n_streams(self) -> int:
        """How many streams issue accesses."""
        return self.workload.n_streams

    @property
    def stream_ids(self) -> npt.NDArray[np.uint64] | None:
        """The trace's own number of each stream, by index; None where the indices are these."""
        return self.workload.stream_ids

    def length(self) -> int:
        """How many accesses there are: of a file that does not say so, all of it is read."""
        return self.workload.length()

    def __len__(self) -> int:
        return self.length()

    def batches(self) -> Iterator[Batch]:
        """The accesses from the start, in batches. Raises InputError where the trace is bad."""
        return self.workload.batches()

    def to_arrow(self, first: int = 0, last: int | None = None) -> Any:
        """The accesses ``first`` (included) to ``last`` (excluded; None: the end) as a ``pyarrow.Table``."""
        import pyarrow as pa

        batch = concatenate(list(part(self.batches(), first, last)))
        columns: dict[str, Any] = {name: getattr(batch, name) for name in COLUMNS} | dict(batch.features)
        # Of all streams only once all was asked for.
        if len(batch) and self.n_streams and (ids := self.stream_ids) is not None:
            columns["stream"] = ids[batch.stream]
        return pa.table(columns)

    def to_pandas(self, first: int = 0, last: int | None = None) -> "pd.DataFrame":
        """As ``to_arrow``, as a DataFrame, with the number of each access as its index."""
        frame: pd.DataFrame = self.to_arrow(first, last).to_pandas()
        frame.index = frame.index + first
        return frame.rename_axis("access")

    def head(self, n: int = 5) -> "pd.DataFrame":
        """The first accesses."""
        return self.to_pandas(0, n)

    def info(self, window: int | None = None, sample: float = 1.0) -> TraceInfo:
        """What is in it, as ``tierfetch trace info`` has it: docs/traces.md.

        Args:
            window: Accesses of a window of the working set, by default a hundredth of the trace.
            sample: Tell keys apart in a spatial sample (SHARDS): memory grows with the distinct keys of it.

        Raises:
            InputError: the trace is bad or empty, or the sample is none.
        """
        import pandas as pd

        from experiments.trace_input import share_of
        from workloads.sampling import parts_of
        from workloads.statistics import statistics_of

        if window is not None and window < 1:
            raise InputError(f"window: {window}; expected a number of accesses")
        parts = parts_of(share_of(str(sample), "sample", "a rate"))
        n = self.length()
        if n == 0:
            raise InputError(f"{self.name}: has no access; expected at least one")
        found = statistics_of(self.batches(), window or -(-n // 100), parts)
        tables = (pd.DataFrame(rows) for rows in (found.working_set(), found.reuse(), found.deltas()))
        return TraceInfo({"trace": self.name, **found.summary()}, *tables)

    def __repr__(self) -> str:
        return f"<Trace {self.name}>"


def _block_bytes(block: str | int) -> int:
    try:
        n = parse_bytes(block) if isinstance(block, str) else int(block)
    except ValueError as error:
        raise InputError(f"block: {error}") from None
    if not 0 < n < MOST_BYTES:
        raise InputError(f"block: {block}; expected from 1 byte to less than 2**40")
    return n


def _settings(values: Any) -> SourceSettings:
    from experiments.loading import explain
    from workloads.registry import SOURCES

    try:
        return SOURCES.validate(values)
    except ValidationError as error:
        raise InputError(*explain("trace", error)) from None
