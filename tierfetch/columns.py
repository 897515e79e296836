"""Arrays and tables from Python as a trace: columns of the schema, checked."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import PrivateAttr

from simulator.errors import InputError
from simulator.trace import COLUMNS, MOST_BYTES, WRITE, Batch, Workload, make_batch
from workloads.base import BATCH, Reuse, SourceSettings


class Held:
    """A trace that is in memory as a whole."""

    def __init__(self, batch: Batch, stream_ids: npt.NDArray[np.uint64] | None) -> None:
        self._batch = batch
        self.stream_ids = stream_ids
        self.n_streams = int(batch.stream.max(initial=0)) + 1

    def length(self) -> int:
        """How many accesses there are."""
        return len(self._batch)

    def batches(self) -> Iterator[Batch]:
        """The accesses, from the start."""
        for at in range(0, len(self._batch), BATCH):
            yield self._batch[at : at + BATCH]


class HeldConfig(SourceSettings):
    """A workload that was made already, in the place of one that a config says."""

    kind: Literal["held"] = "held"
    _workload: Workload = PrivateAttr()
    _has_times: bool = PrivateAttr()
    _reuse: Reuse = PrivateAttr()

    @classmethod
    def of(cls, workload: Workload, *, has_times: bool, reuse: Reuse) -> "HeldConfig":
        """The settings that stand for it."""
        made = cls()
        made._workload, made._has_times, made._reuse = workload, has_times, reuse
        return made

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> "HeldConfig":
        # Settings do not change, and what they hold may be large.
        return self

    def build(self, seed: int, name: str = "source") -> Workload:
        """The workload itself, whatever the seed."""
        return self._workload

    @property
    def depends_on_seed(self) -> bool:
        """It is as it is."""
        return False

    @property
    def has_times(self) -> bool:
        """Whether its accesses carry the times of their arrival."""
        return self._has_times

    @property
    def reuse(self) -> Reuse:
        """What of a request is of use where a block is missing."""
        return self._reuse


def of_keys(keys: Any, block_bytes: int) -> Held:
    """A trace of these keys, reads of one stream. Raises InputError if they are no whole numbers."""
    batch = make_batch(_checked("key", keys, 0, 2**64), size_bytes=block_bytes)
    _expect_some(len(batch))
    return Held(batch, None)


def of_table(table: Any, block_bytes: int) -> tuple[Held, bool]:
    """A trace of a table with a column ``key`` and any others of the schema, and whether it has times.

    Further columns of whole numbers are features. Streams may have any numbers. Without ``size_bytes`` all accesses
    have ``block_bytes``.

    Raises:
        InputError: a column is missing, or has values that it cannot have.
    """
    names = list(map(str, table.columns))
    if "key" not in names:
        raise InputError(f"trace: has no column 'key'; expected one beside {', '.join(names) or 'none'}")
    _expect_some(len(table))
    bounds = {"time_ns": (0, 2**62), "size_bytes": (1, MOST_BYTES), "op": (0, WRITE + 1)}
    found = {name: _checked(name, table[name], *bounds.get(name, (0, 2**64))) for name in names}
    features = {name: found[name].astype(np.uint64) for name in names if name not in COLUMNS}
    columns: dict[str, Any] = {"size_bytes": block_bytes}
    columns |= {name: found[name] for name in names if name in COLUMNS}
    ids = None
    if "stream" in columns:
        columns["stream"], ids = _dense(columns["stream"].astype(np.uint64))
    return Held(make_batch(columns.pop("key"), features=features, **columns), ids), "time_ns" in names


def _dense(streams: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint64]]:
    """Indices in the order in which streams first come, and what the trace calls them."""
    ids, first, index = np.unique(streams, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    place = np.empty(len(ids), np.uint32)
    place[order] = np.arange(len(ids), dtype=np.uint32)
    return place[index], ids[order]


def _checked(name: str, values: Any, least: int, beyond: int) -> npt.NDArray[Any]:
    """A column of whole numbers within bounds. Raises InputError with the first access that is not."""
    found = np.asarray(values)
    if found.ndim != 1:
        raise InputError(f"trace: {name} has {found.ndim} dimensions; expected one, a value an access")
    if found.dtype.kind not in "iu" and len(found):
        raise InputError(f"trace: {name} is of {found.dtype}, such as {found[0]!r}; expected whole numbers")
    if len(found) and (int(found.min()) < least or int(found.max()) >= beyond):
        bad = int(np.flatnonzero((found < least) | (found > beyond - 1))[0])
        raise InputError(f"trace: access {bad} has {name} {found[bad]}; expected from {least} to {beyond - 1}")
    return found


def _expect_some(n: int) -> None:
    if n == 0:
        raise InputError("trace: holds no access; expected at least one")
