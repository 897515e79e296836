"""What is wanted of a network with ``target: set``: the classes of all blocks that are needed soon, as rows."""

import numpy as np
import numpy.typing as npt

from policies.given import Accesses
from policies.models.codecs.base import IGNORE, UNKNOWN, Classes, Codec


def sets_of(sequence: Accesses, codec: Codec, horizon: int, width: int, *, reads_alone: bool) -> Classes:
    """(n, ``width``): the classes of what comes within ``horizon`` accesses, once each; IGNORE where less come.

    Not the block that is there now, nor writes with ``reads_alone``.
    """
    keys, n = sequence.keys, len(sequence.keys)
    found = np.full((n, width), IGNORE, np.int64)
    n_whole = n - horizon
    if n_whole <= 0:
        return found
    sets = np.full((n_whole, width), UNKNOWN, np.int64)
    for lag in range(1, horizon + 1):
        classes = codec.classes_ahead(keys, lag, horizon)[:n_whole]
        is_none = keys[lag : lag + n_whole] == keys[:n_whole]
        if reads_alone:
            is_none |= sequence.writes[lag : lag + n_whole]
        sets[:, lag - 1] = np.where(is_none, UNKNOWN, classes)
    sets.sort(axis=1)
    sets[:, 1:][sets[:, 1:] == sets[:, :-1]] = UNKNOWN
    found[:n_whole] = sets
    return found


def shares_of(sets: Classes, n_classes: int) -> npt.NDArray[np.float64]:
    """The share of accesses that each class comes within (``n_classes``,), half an access more each; sets (n, W)."""
    kept = sets[sets[:, 0] != IGNORE]
    counts = np.bincount(kept[kept != UNKNOWN], minlength=n_classes) + 0.5
    shares: npt.NDArray[np.float64] = counts / (len(kept) + 1)
    return shares
