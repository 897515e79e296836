"""What a workload yields: batches of columns, never objects, so that any length streams in constant memory."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

READ, WRITE = 0, 1
COLUMNS: dict[str, Any] = {
    "time_ns": np.int64,
    "key": np.uint64,
    "size_bytes": np.int64,
    "stream": np.uint32,
    "request": np.uint64,
    "op": np.uint8,
}
MOST_BYTES = 2**40
"""What a block is smaller than."""
Features = Mapping[str, npt.NDArray[np.uint64]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Accesses in trace order, one array a column, all of one length.

    ``time_ns`` is the arrival (ignored in closed loop), ``key`` the block id in the workload's own
    numbering, ``stream`` a dense index of the issuer (``Workload.stream_ids`` has what the trace calls it), ``request``
    groups consecutive accesses of a stream that are issued together, and ``op`` is 0 for a read and 1 for a write.
    Requests have the trace's own numbers: other streams, and later requests of the same one, may use them too.
    ``features`` are further columns, such as a program counter or a layer, for policies that ask for them.
    """

    time_ns: npt.NDArray[np.int64]
    key: npt.NDArray[np.uint64]
    size_bytes: npt.NDArray[np.int64]
    stream: npt.NDArray[np.uint32]
    request: npt.NDArray[np.uint64]
    op: npt.NDArray[np.uint8]
    features: Features = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.key)

    def __getitem__(self, part: slice | npt.NDArray[Any]) -> "Batch":
        """Some of the accesses: a slice of them, or those that an array of places or of truths names."""
        features = {name: column[part] for name, column in self.features.items()}
        return Batch(**{name: getattr(self, name)[part] for name in COLUMNS}, features=features)


def make_batch(
    key: npt.ArrayLike, first_access: int = 0, *, features: Features | None = None, **columns: npt.ArrayLike
) -> Batch:
    """A batch from its keys; other columns default to time 0, 1 byte, stream 0, a request each, reads."""
    keys = np.asarray(key, dtype=np.uint64)
    n = len(keys)
    given = {
        "time_ns": np.zeros(n, np.int64),
        "size_bytes": np.ones(n, np.int64),
        "stream": np.zeros(n, np.uint32),
        "request": np.arange(first_access, first_access + n, dtype=np.uint64),
        "op": np.zeros(n, np.uint8),
        **columns,
        "key": keys,
    }
    extra = {name: _column(values, np.uint64, n) for name, values in (features or {}).items()}
    return Batch(**{name: _column(given[name], dtype, n) for name, dtype in COLUMNS.items()}, features=extra)


def _column(values: npt.ArrayLike, dtype: Any, n: int) -> npt.NDArray[Any]:
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values).astype(dtype, copy=False), n))


def with_features(batch: Batch, names: Collection[str]) -> Batch:
    """A batch with those of its features that are named."""
    if all(name in names for name in batch.features):
        return batch
    return replace(batch, features={name: column for name, column in batch.features.items() if name in names})


def concatenate(batches: list[Batch]) -> Batch:
    """One batch from several, in order, with the features that all have."""
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return make_batch([])
    batches = [batch for batch in batches if len(batch)] or batches[:1]
    common = [name for name in batches[0].features if all(name in batch.features for batch in batches)]
    features = {name: np.concatenate([batch.features[name] for batch in batches]) for name in common}
    columns = {name: np.concatenate([getattr(batch, name) for batch in batches]) for name in COLUMNS}
    return Batch(**columns, features=features)


def part(batches: Iterator[Batch], first: int, last: int | None = None) -> Iterator[Batch]:
    """The accesses ``first`` (included) to ``last`` (excluded) of a trace."""
    at = 0
    for batch in batches:
        low, high = max(first - at, 0), len(batch) if last is None else min(last - at, len(batch))
        at += len(batch)
        if low < high:
            yield batch[low:high]
        if last is not None and at >= last:
            return


class Workload(Protocol):
    """Anything that yields a trace. ``batches`` may be called again and yields the same accesses each time.

    All of its batches have the same features.
    """

    @property
    def n_streams(self) -> int:
        """How many streams issue them."""
        ...

    @property
    def stream_ids(self) -> npt.NDArray[np.uint64] | None:
        """The trace's own number of each stream, by index; None where the indices are the trace's own numbers.

        Of all streams once ``n_streams`` was asked for; before, perhaps only of those that were handed out so far.
        """
        ...

    def length(self) -> int:
        """How many accesses there are, in all."""
        ...

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start."""
        ...


def begins(batch: Batch, before: tuple[int, int] | None) -> npt.NDArray[np.bool_]:
    """Where a request begins in a batch; ``before`` is stream and request of the access ahead of it."""
    new = np.ones(len(batch), bool)
    # Streams may number their requests alike.
    new[1:] = (batch.request[1:] != batch.request[:-1]) | (batch.stream[1:] != batch.stream[:-1])
    if len(batch):
        new[0] = before != (int(batch.stream[0]), int(batch.request[0]))
    return new
