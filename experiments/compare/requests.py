"""What a request took, from the ``accesses`` table of a run."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq


def request_latencies(folder: Path, arm: str, seed: int) -> npt.NDArray[np.float64] | None:
    """From the first issue of a request's accesses to the last completion, in ns, by first access; None: no table."""
    path = folder / "accesses" / f"{arm}-{seed}.parquet"
    if not path.exists():
        return None
    table = pq.read_table(path, columns=["access", "stream", "request", "issued_ns", "latency_ns"])
    access, stream, request, issued, latency = (table.column(i).to_numpy() for i in range(5))
    order = np.lexsort((access, request, stream))
    new = np.ones(len(order), bool)
    new[1:] = (request[order][1:] != request[order][:-1]) | (stream[order][1:] != stream[order][:-1])
    starts = np.flatnonzero(new)
    if len(starts) == 0:
        return np.empty(0)
    took = np.maximum.reduceat((issued + latency)[order], starts) - np.minimum.reduceat(issued[order], starts)
    return took[np.argsort(access[order][starts])].astype(float)
