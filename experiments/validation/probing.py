"""What hits, misses and writes take in the live cache itself, at the workload's pace, before anything is compared.

A preset says what the levels of a machine take. A cache adds its own: Python's rules, checksums, threads that are
woken. That is measured on other accesses than those that are validated, drawn at random, and fitted to nothing.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from live import PrefetchEngine, TieredCache
from live.recorder import Recorder
from simulator.accounting import Rows
from simulator.policy import AccessRun, Ahead, Answer, Decision, Outcome, Told, Trigger
from simulator.seeds import generator
from simulator.trace import READ

_PUT_EVERY, _AT_LEAST = 4, 30
Ints = npt.NDArray[np.int64]


class Costs(NamedTuple):
    """In ns, one for each of many. ``calls`` are by link, whether it goes down, and calls at once, that one included.

    ``rest_ns`` is what a miss takes beside its calls and what a hit takes, in the mean: to begin it, and to be woken.
    """

    hits: Ints
    puts: Ints
    misses: Ints
    calls: dict[tuple[int, bool, int], Ints]
    rest_ns: int
    asked_ns: int
    """What a hit takes longer, by medians, where a policy is asked at each: to note it, and put the question."""


class Silent:
    """A policy that is asked at every access, and wants nothing."""

    trigger, ahead, footprint_bytes = Trigger.ACCESS, Ahead(1), 0

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """At once."""
        return Decision([Answer() for _ in runs])

    def told(self, told: Told) -> None:
        """Nothing comes of it."""


def probed(
    make: Callable[[Recorder], TieredCache], keys: Sequence[int], capacity: int, n_channels: int, n: int, seed: int,
    pause: Callable[[], None], n_together: int = 1,
) -> Costs:  # fmt: skip
    """Read and write at random at the workload's pace, first alone, then beside blocks that are sent for.

    Args:
        make: A cache over a store that has all of ``keys``, and is of no further use: what is written is anything.
        keys: More than tier 0 has room for, or there are no misses to measure.
        capacity: Blocks that tier 0 has room for.
        n_channels: The most calls at once of any link.
        n: How many hits, and how many misses, are to be measured.
        seed: Of the draws.
        pause: Between two requests.
        n_together: Blocks that a request reads.
    """
    alone, asked, at_once, rng = Recorder(), Recorder(), Recorder(), generator(seed, "probe")
    some = _Some(keys, capacity, rng, pause)
    with make(alone) as cache:
        n_filled = some.fill(cache)
        some.read(cache, n, n_together)
    with make(asked) as cache, PrefetchEngine(Silent(), cache):
        some.fill(cache)
        some.read(cache, n // 2, n_together)
    if n_channels > 1:
        with make(at_once) as cache:
            some.fill(cache)
            some.read_beside(cache, n, n_channels)
    # Of a cold cache the first accesses tell nothing: each comes into an empty tier.
    rows = alone.rows("accesses")[n_filled:]
    hits, misses, puts = (
        _latencies(rows, outcome, is_read=is_read)
        for outcome, is_read in ((Outcome.HIT, True), (Outcome.MISS, True), (Outcome.HIT, False))
    )
    of_asked = _latencies(asked.rows("accesses")[n_filled:], Outcome.HIT, is_read=True)
    # Medians: of some hundred hits a single one that was held up would decide a difference of means.
    asked_ns = round(max(float(np.median(of_asked) - np.median(hits)), 0)) if len(of_asked) and len(hits) else 0
    since_ns = int(rows["issued_ns"][0])
    calls = calls_of(alone.rows("transfers"), since_ns)
    for cell, durations in calls_of(at_once.rows("transfers"), 0).items() if n_channels > 1 else ():
        if len(durations) >= _AT_LEAST and (cell not in calls or len(calls[cell]) < _AT_LEAST):
            calls[cell] = durations
    calls = {cell: durations for cell, durations in calls.items() if cell[2] == 1 or len(durations) >= _AT_LEAST}
    rest_ns = float(misses.mean() - hits.mean() - _moved_of(rows)) if len(misses) and len(hits) else 0.0
    return Costs(hits, puts, misses, calls, max(round(rest_ns), 0), asked_ns)


class _Some:
    """Accesses at random: blocks that came in lately, which are there, and any."""

    def __init__(
        self, keys: Sequence[int], capacity: int, rng: np.random.Generator, pause: Callable[[], None]
    ) -> None:  # fmt: skip
        self._keys, self._capacity, self._rng, self._pause = keys, capacity, rng, pause
        self._there: list[int] = []

    def fill(self, cache: TieredCache) -> int:
        """Reads until tier 0 is full; how many they were."""
        n = min(self._capacity, len(self._keys))
        self._there = [self._keys[place] for place in self._rng.permutation(len(self._keys))[:n].tolist()]
        for key in self._there:
            cache.get(key)
        return n

    def _any(self) -> int:
        return self._keys[int(self._rng.integers(len(self._keys)))]

    def _one_there(self) -> int:
        """Of those that came in last, half of what there is room for."""
        return self._there[-1 - int(self._rng.integers(-(-len(self._there) // 2)))]

    def read(self, cache: TieredCache, n: int, n_together: int) -> None:
        """Requests until there were so many misses and hits, half of what they read each; now and then a write."""
        for i in range(-(-2 * n // n_together)):
            self._pause()
            # Each other one is there; with one in a request, of each other request.
            wanted = [self._any() if (i + place) % 2 else self._one_there() for place in range(n_together)]
            cache.get_many(dict.fromkeys(wanted))
            self._there += wanted
            del self._there[: -self._capacity]
            if i % _PUT_EVERY == 0:
                self._pause()
                cache.put(self._one_there(), np.empty(cache.block, np.uint8))

    def read_beside(self, cache: TieredCache, n: int, n_channels: int) -> None:
        """Reads beside which others are sent for: one more, two more, and so on in turn, up to all channels."""
        for i in range(n):
            key, *others = {self._any() for _ in range(2 + i % (n_channels - 1))}
            self._pause()
            sent = cache.prefetch_async(others)
            cache.get(key)
            for future in sent:
                future.result()


def _latencies(rows: Rows, outcome: Outcome, *, is_read: bool) -> Ints:
    found: Ints = rows[(rows["outcome"] == outcome) & ((rows["op"] == READ) == is_read)]["latency_ns"]
    return found


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


def _moved_of(accesses: Rows) -> float:
    """What the calls of a miss took together, in the mean."""
    missed = accesses[(accesses["outcome"] == Outcome.MISS) & (accesses["op"] == READ)]
    return float(missed["transfer_ns"].mean()) if len(missed) else 0.0
