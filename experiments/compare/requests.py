"""What a request took, from the ``accesses`` table of a run."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from experiments.plan import stem_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
COLUMNS = ["access", "stream", "request", "issued_ns", "latency_ns"]


def request_latencies(folder: Path, arm: str, seed: int, repeat: int = 0) -> Floats | None:
    """From the first issue of a request's accesses to the last completion, in ns, by first access; None: no table.

    A trace may use a request's number again: a request is a run of accesses of its stream with one number.
    """
    path = folder / "accesses" / f"{stem_of(arm, seed, repeat)}.parquet"
    if not path.exists():
        return None
    table = pq.read_table(path, columns=COLUMNS, page_checksum_verification=True)
    return latencies_of(*(table.column(name).to_numpy() for name in COLUMNS))[0]


def latencies_of(access: Ints, stream: Ints, request: Ints, issued: Ints, latency: Ints) -> tuple[Floats, Ints]:
    """What each request took, in ns, and its first access, in the order of these, from accesses in any order."""
    if len(access) == 0:
        return np.empty(0), np.empty(0, np.int64)
    ended = issued + latency
    order = np.lexsort((access, stream))
    new = np.ones(len(order), bool)
    new[1:] = (request[order][1:] != request[order][:-1]) | (stream[order][1:] != stream[order][:-1])
    new[1:] |= _is_left_out_between(access, order) & _is_issued_after(issued[order], ended[order])
    starts = np.flatnonzero(new)
    took = np.maximum.reduceat(ended[order], starts) - np.minimum.reduceat(issued[order], starts)
    first = np.minimum.reduceat(access[order], starts)
    return took[np.argsort(first)].astype(float), np.sort(first)


def _is_left_out_between(access: Ints, order: Ints) -> npt.NDArray[np.bool_]:
    """Of neighbours in ``order``, whether the table lacks an access between them, as one of some rows may."""
    place = np.empty(len(access), np.int64)
    place[np.argsort(access)] = np.arange(len(access))
    n_before = (access - place)[order]
    found: npt.NDArray[np.bool_] = n_before[1:] != n_before[:-1]
    return found


def _is_issued_after(issued: Ints, ended: Ints) -> npt.NDArray[np.bool_]:
    """Of neighbours, whether the second was issued when the first was over: requests of a closed loop are apart so."""
    return (issued[1:] >= ended[:-1]) & (issued[1:] > issued[:-1])
