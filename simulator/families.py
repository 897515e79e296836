"""Which block comes before each in its requests: for evictions that let go of the end of a prefix first."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.arrays import Ints
from simulator.trace import Batch, Workload, part


class Families(NamedTuple):
    """Keys (int64), each once, and the parent of each.

    A block's parent is the one read or written right before it in its request, the first time that there is one. Where
    keys say what a block was computed from, as those of KV caches do, it is always the same.
    """

    keys: Ints
    parents: Ints


def families_of(workload: Workload, first_access: int = 0) -> Families:
    """Read a whole trace; or what a workload says itself (``families``) that has no requests any more."""
    said = getattr(workload, "families", None)
    if said is not None:
        found: Families = said()
        return found
    batches = list(_without_sizes(part(workload.batches(), first_access)))
    keys, streams, requests = (np.concatenate(columns) for columns in zip(*batches, strict=True)) if batches else _NONE
    if workload.n_streams > 1:
        order = np.argsort(streams, kind="stable")
        keys, streams, requests = keys[order], streams[order], requests[order]
        # In the order of the trace again: who was first is asked below.
        place = order[1:]
    else:
        place = np.arange(1, len(keys))
    follows = (streams[1:] == streams[:-1]) & (requests[1:] == requests[:-1])
    child, parent, place = keys[1:][follows], keys[:-1][follows], place[follows]
    order = np.argsort(place, kind="stable")
    return _first(child[order], parent[order])


def families_within(keys: Ints, follows: npt.NDArray[np.bool_]) -> Families:
    """The same of one stream; ``follows`` says of each access whether the one before it is of its request."""
    at = np.flatnonzero(follows)
    return _first(keys[at], keys[at - 1])


def _first(child: Ints, parent: Ints) -> Families:
    # Whatever comes twice in a row in a request is not its own parent.
    other = child != parent
    child, parent = child[other], parent[other]
    keys, at = np.unique(child, return_index=True)
    return Families(keys, parent[at])


def _without_sizes(batches: Iterator[Batch]) -> Iterator[tuple[Any, Any, Any]]:
    for batch in batches:
        yield batch.key.view(np.int64), batch.stream, batch.request


_NONE = np.empty(0, np.int64), np.empty(0, np.uint32), np.empty(0, np.uint64)
