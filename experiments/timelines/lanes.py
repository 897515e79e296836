"""Lanes for slices that overlap: those of a track must nest, so each gets one that is free."""

from heapq import heappop, heappush

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
OPEN = np.iinfo(np.int64).max
"""The end of what was not over at the end."""


def lanes_of(begins: Ints, ends: Ints, groups: Ints) -> Ints:
    """A lane for each slice, from 0 on in each group: the lowest in which the one before is over when it begins."""
    lanes = np.zeros(len(begins), np.int64)
    free: dict[int, list[int]] = {}
    busy: dict[int, list[tuple[int, int]]] = {}
    n: dict[int, int] = {}
    # What takes no time comes first of what begins at one time: it is over at once.
    order = np.lexsort((ends, begins))
    for i, begin, end, group in zip(
        order.tolist(), begins[order].tolist(), ends[order].tolist(), groups[order].tolist(), strict=True
    ):
        mine, taken = free.setdefault(group, []), busy.setdefault(group, [])
        while taken and taken[0][0] <= begin:
            heappush(mine, heappop(taken)[1])
        if mine:
            lane = heappop(mine)
        else:
            lane = n.get(group, 0)
            n[group] = lane + 1
        heappush(taken, (end, lane))
        lanes[i] = lane
    return lanes
