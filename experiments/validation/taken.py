"""What hits, misses and calls took, from the rows of a recorder."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.accounting import Rows

AT_LEAST = 30
"""So many of each kind are timed at least, to know them."""
_STALL = 30
"""What takes so many times the median is the machine's stall: how often it has one, a short probe cannot tell."""
Ints = npt.NDArray[np.int64]


class Costs(NamedTuple):
    """In ns, one for each of many. ``calls`` are by link, whether it goes down, and calls at once, that one included.

    ``rest_ns`` is what each call of a miss takes beside usual ones, and beside what a hit takes: to begin it, to hand
    it over, and to be woken.
    """

    hits: Ints
    puts: Ints
    misses: Ints
    calls: dict[tuple[int, bool, int], Ints]
    rest_ns: int


def together(costs: Sequence[Costs]) -> Costs:
    """Those of several probes as of one."""
    cells = dict.fromkeys(cell for one in costs for cell in one.calls)
    hits, puts, misses = (np.concatenate(of_all) for of_all in zip(*(one[:3] for one in costs), strict=True))
    return Costs(
        hits, puts, misses,
        {cell: np.concatenate([one.calls[cell] for one in costs if cell in one.calls]) for cell in cells},
        round(sum(one.rest_ns for one in costs) / len(costs)),
    )  # fmt: skip


def rest_ns(
    missed: Rows, transfers: Rows, channels: Sequence[int], calls: Mapping[tuple[int, bool, int], Ints], hit_ns: float
) -> int:
    """What each call of a miss takes beside a usual one, and beside what a hit takes, in the mean.

    Its own call is not the usual one: those of prefetches come when the machine is awake. Of misses that are issued
    together as many as there are channels go over a link at once, and the others wait for as many calls as are ahead
    of them, as they do in the model. Misses that find all channels taken by others are left out, if there are enough.
    """
    rank = _rank(missed)
    is_free, n_rounds = np.ones(len(missed), bool), np.ones(len(missed), np.int64)
    first_ns, ahead_ns = np.zeros(len(missed)), np.zeros(len(missed))
    for link, n_channels in enumerate(channels):
        mine = transfers[transfers["link"] == link]
        n_begun, n_ended = (
            np.searchsorted(np.sort(mine[name]), missed["issued_ns"], side="right")
            for name in ("started_ns", "ended_ns")
        )
        n_busy = n_begun - n_ended
        is_free &= n_busy < n_channels
        means = by_load(calls, link, is_down=False)
        known = np.array([nearest(means, load) for load in range(1, n_channels + 1)])
        place = n_busy.clip(max=n_channels - 1) + rank
        first_ns += known[place.clip(max=n_channels - 1)]
        ahead_ns = np.maximum(ahead_ns, place // n_channels * known[-1])
        n_rounds = np.maximum(n_rounds, place // n_channels + 1)
    latency = latencies(missed)
    is_meant = _are_no_stalls(latency) & (is_free if is_free.sum() >= AT_LEAST else True)
    beside_ns = latency - hit_ns - first_ns - ahead_ns
    return max(round(float(beside_ns[is_meant].sum() / n_rounds[is_meant].sum())), 0)


def by_load(calls: Mapping[tuple[int, bool, int], Ints], link: int, *, is_down: bool) -> dict[int, float]:
    """The mean of what a link's calls took, by calls at once."""
    return {load: float(taken.mean()) for (of, down, load), taken in calls.items() if (of, down) == (link, is_down)}


def nearest(means: Mapping[int, float], load: int) -> float:
    """Where so many at once were not seen, the most that was stands for them; 0 where none was alone."""
    return means[max(one for one in means if one <= load)] if 1 in means else 0.0


def _rank(missed: Rows) -> Ints:
    """The place of each among those of its stream that were issued at the same time."""
    order = np.lexsort((missed["access"], missed["issued_ns"], missed["stream"]))
    stream, issued_ns = missed["stream"][order], missed["issued_ns"][order]
    is_first = np.append(True, (stream[1:] != stream[:-1]) | (issued_ns[1:] != issued_ns[:-1]))[: len(order)]
    places = np.arange(len(order))
    found = np.zeros(len(order), np.int64)
    found[order] = places - np.maximum.accumulate(np.where(is_first, places, 0))
    return found


def latencies(accesses: Rows) -> Ints:
    """What each took but for the wait for an answer."""
    # What waits for an answer (R13) is charged that by the model itself.
    found: Ints = accesses["latency_ns"] - accesses["inference_ns"]
    return found


def without_stalls(durations: Ints) -> Ints:
    """All but what the machine, and not the cache, took."""
    return durations[_are_no_stalls(durations)]


def _are_no_stalls(durations: Ints) -> npt.NDArray[np.bool_]:
    return durations <= _STALL * np.median(durations) if len(durations) else np.zeros(0, bool)


def calls_of(transfers: Rows, since_ns: int) -> dict[tuple[int, bool, int], Ints]:
    """What calls took that began from then on, by link, direction, and how many were on the link as they began."""
    found: dict[tuple[int, bool, int], list[int]] = {}
    for link in np.unique(transfers["link"]).tolist():
        of_link = transfers[transfers["link"] == link]
        began, ended = of_link["started_ns"], np.sort(of_link["ended_ns"])
        # Those that have begun, itself included, less those that have ended.
        n_at_once = np.arange(1, len(of_link) + 1) - np.searchsorted(ended, began, side="right")
        for row, n in zip(of_link, n_at_once.tolist(), strict=True):
            if row["started_ns"] >= since_ns:
                taken = int(row["ended_ns"] - row["started_ns"])
                found.setdefault((link, bool(row["is_down"]), n), []).append(taken)
    return {cell: np.array(durations, np.int64) for cell, durations in found.items()}
