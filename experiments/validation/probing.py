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
    pause: Callable[[], None],
) -> Costs:  # fmt: skip
    """Read and write at random at the workload's pace, first alone, then beside blocks that are sent for.

    Args:
        make: A cache over a store that has all of ``keys``, and is of no further use: what is written is anything.
        keys: More than tier 0 has room for, or there are no misses to measure.
        capacity: Blocks that tier 0 has room for.
        n_channels: The most calls at once of any link.
        n: How many hits, and how many misses, are to be measured.
        seed: Of the draws.
        pause: Between two accesses.
    """
    alone, asked, at_once, rng = Recorder(), Recorder(), Recorder(), generator(seed, "probe")
    with make(alone) as cache:
        n_filled = _alone(cache, keys, capacity, n, rng, pause)
    with make(asked) as cache, PrefetchEngine(Silent(), cache):
        _alone(cache, keys, capacity, n // 2, rng, pause)
    if n_channels > 1:
        with make(at_once) as cache:
            _at_once(cache, keys, n_channels, n, rng, pause)
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
        if cell[2] > 1 and len(durations) >= _AT_LEAST:
            calls[cell] = durations
    moved = _moved_of(rows)
    rest_ns = float(misses.mean() - hits.mean() - moved) if len(misses) and len(hits) else 0.0
    return Costs(hits, puts, misses, calls, max(round(rest_ns), 0), asked_ns)


def _latencies(rows: Rows, outcome: Outcome, *, is_read: bool) -> Ints:
    found: Ints = rows[(rows["outcome"] == outcome) & ((rows["op"] == READ) == is_read)]["latency_ns"]
    return found


def _alone(
    cache: TieredCache, keys: Sequence[int], capacity: int, n: int, rng: np.random.Generator, pause: Callable[[], None]
) -> int:
    """Misses and hits in turn, now and then a write instead; returns how many accesses only filled the cache."""
    there: list[int] = []
    out = np.empty(cache.block, np.uint8)
    n_filled = min(capacity, len(keys))
    for key in rng.permutation(len(keys))[:n_filled].tolist():
        cache.get(keys[key], out)
        there.append(keys[key])
    for i in range(n):
        key = keys[int(rng.integers(len(keys)))]
        pause()
        cache.get(key, out)
        there.append(key)
        del there[:-capacity]
        pause()
        # Of those that have come in lately, so that it is there.
        key = there[-1 - int(rng.integers(-(-len(there) // 2)))]
        if i % _PUT_EVERY == 0:
            cache.put(key, out)
        else:
            cache.get(key, out)
    return n_filled


def _at_once(
    cache: TieredCache,
    keys: Sequence[int],
    n_channels: int,
    n: int,
    rng: np.random.Generator,
    pause: Callable[[], None],
) -> None:
    """Reads beside which others are sent for: one more, two more, and so on in turn, up to all channels."""
    out = np.empty(cache.block, np.uint8)
    for i in range(n):
        n_more = 1 + i % (n_channels - 1)
        key, *others = (keys[place] for place in rng.choice(len(keys), 1 + n_more, replace=False).tolist())
        pause()
        sent = cache.prefetch_async(others)
        cache.get(key, out)
        for future in sent:
            future.result()


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
