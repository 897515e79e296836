"""What was asked for, call by call, and how calls become a batch of accesses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from simulator.trace import READ, WRITE, Batch
from tierfetch.record.spaces import MOST_IDS, NONE, Space


class OnItsWay(Protocol):
    """Numbers that are being copied to the host."""

    def landed(self) -> npt.NDArray[Any]:
        """Them, once they are there."""
        ...


Taken = npt.NDArray[Any] | OnItsWay


@dataclass(slots=True)
class Call:
    """The ids that one call asked for, in order; writer and marks fill in time, request and stream.

    An id is of token ``place // per_token``; where there are ``offsets``, of the bag that begins at or before it, and
    with ``last_ends`` the last of these is no bag but where the ids end. Ids that are ``padding`` were not read.
    ``tokens`` says it all, where it is known. With ``distinct`` each id counts once. ``first`` is the row that id 0 is.
    What is at or behind ``n_read``, if that is said, is written; else all has the same ``op``.
    """

    space: Space
    ids: Taken
    n_ids: int
    per_token: int = 1
    offsets: Taken | None = None
    last_ends: bool = False
    padding: int | None = None
    tokens: npt.NDArray[np.uint64] | None = None
    distinct: bool = False
    first: int = 0
    op: int = READ
    n_read: int | None = None
    time_ns: int = 0
    request: int = 0
    stream: int = 0


class Streams:
    """The caller's numbers of streams, by index: in the order in which they came."""

    def __init__(self) -> None:
        self._index: dict[int, int] = {}

    def index(self, stream: int) -> int:
        """Of one."""
        return self._index.setdefault(stream, len(self._index))

    def ids(self) -> npt.NDArray[np.uint64]:
        """The number of each."""
        return np.array(list(self._index), np.uint64)


def batch_of(calls: Sequence[Call], streams: Streams) -> Batch:
    """Their accesses, in order. Raises ValueError on an id that can be none."""
    parts = [_ids_and_tokens(call) for call in calls]
    lengths = np.array([len(ids) for ids, _ in parts], np.int64)
    ids = np.concatenate([ids for ids, _ in parts]) if parts else np.empty(0, np.int64)

    def each(values: Sequence[int], dtype: Any) -> npt.NDArray[Any]:
        return np.repeat(np.array(values, dtype), lengths)

    wrong = (ids < 0) | (ids >= MOST_IDS)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        space = calls[int(np.searchsorted(np.cumsum(lengths), at, side="right"))].space
        raise ValueError(f"{space.kind} {space.name!r}: id {ids[at]}; expected 0 to {MOST_IDS - 1}")
    for call, (found, _) in zip(calls, parts, strict=True):
        call.space.n_accesses += len(found)
    op = each([call.op for call in calls], np.uint8)
    for call, end, length in zip(calls, np.cumsum(lengths).tolist(), lengths.tolist(), strict=True):
        if call.n_read is not None:
            op[end - length + call.n_read : end] = WRITE
    tables = [NONE if call.space.kind != "embedding" else call.space.number for call in calls]
    return Batch(
        time_ns=each([call.time_ns for call in calls], np.int64),
        key=np.bitwise_or(each([call.space.first_key for call in calls], np.uint64), ids.astype(np.uint64)),
        size_bytes=each([call.space.id_bytes for call in calls], np.int64),
        stream=each([streams.index(call.stream) for call in calls], np.uint32),
        request=each([call.request for call in calls], np.uint64),
        op=op,
        features={
            "table": each(tables, np.uint64),
            "layer": each([call.space.layer for call in calls], np.uint64),
            "token": np.concatenate([tokens for _, tokens in parts]) if parts else np.empty(0, np.uint64),
        },
    )


def _ids_and_tokens(call: Call) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    ids = _landed(call.ids).astype(np.int64, copy=False)
    if call.tokens is not None:
        tokens = call.tokens
    elif call.offsets is None:
        tokens = np.arange(len(ids), dtype=np.uint64) // np.uint64(call.per_token)
    else:
        offsets = _landed(call.offsets).astype(np.int64, copy=False)
        if call.last_ends:
            # What is behind the last bag belongs to none.
            ids, offsets = ids[: int(offsets[-1])], offsets[:-1]
        # Of bags that begin at one place all but the last are empty.
        tokens = (np.searchsorted(offsets, np.arange(len(ids)), side="right") - 1).astype(np.uint64)
    if call.padding is not None:
        read = ids != call.padding
        ids, tokens = ids[read], tokens[read]
    if call.distinct:
        first = np.sort(np.unique(ids, return_index=True)[1])
        ids, tokens = ids[first], tokens[first]
    return ids + call.first if call.first else ids, tokens


def _landed(taken: Taken) -> npt.NDArray[Any]:
    return taken if isinstance(taken, np.ndarray) else taken.landed()
