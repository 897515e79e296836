"""What hits, misses and writes take in the live cache itself, at the workload's pace, before anything is compared.

A preset says what the levels of a machine take. A cache adds its own: Python's rules, checksums, threads that are
woken. That is measured on other accesses than those that are validated, drawn at random, and fitted to nothing.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from live import TieredCache
from live.recorder import Recorder
from simulator.accounting import Rows
from simulator.errors import InputError
from simulator.policy import AccessRun, Answer, Decision, Outcome, Parts, Policy, Told, hears, recalls
from simulator.seeds import generator
from simulator.trace import READ

_PUT_EVERY, _AT_LEAST, _N_KNOWN = 4, 30, 4
_STALL = 30
"""What takes so many times the median is the machine's stall: how often it has one, a short probe cannot tell."""
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


def together(costs: Sequence[Costs]) -> Costs:
    """Those of several probes as of one."""
    cells = dict.fromkeys(cell for one in costs for cell in one.calls)
    hits, puts, misses = (np.concatenate(of_all) for of_all in zip(*(one[:3] for one in costs), strict=True))
    return Costs(
        hits, puts, misses,
        {cell: np.concatenate([one.calls[cell] for one in costs if cell in one.calls]) for cell in cells},
        round(sum(one.rest_ns for one in costs) / len(costs)),
    )  # fmt: skip


class InPlace:
    """A policy that is really asked, and takes the time that it takes; in place of its blocks others are sent for.

    They are as many as ``n_sent`` of an answer in the mean, drawn from ``keys``: what moves beside accesses disturbs
    them, and what a policy wants after accesses at random is not what it wants after those of the workload.
    """

    def __init__(self, policy: Policy, keys: Sequence[int], n_sent: float, rng: np.random.Generator) -> None:
        self._policy, self._keys, self._n_sent, self._rng = policy, keys, n_sent, rng
        self.trigger, self.ahead, self.footprint_bytes = policy.trigger, policy.ahead, policy.footprint_bytes
        self.needs: tuple[str, ...] = getattr(policy, "needs", ())
        self.hears, self.recalls = hears(policy), recalls(policy)
        parts: Parts | None = getattr(policy, "parts", None)
        if parts is not None:
            # What answers at once is asked within the access (R44), and that is part of what the access takes. What it
            # wants after accesses at random is not in the probe's store, or little of it.
            self.parts = Parts(parts.at_once, InPlace(parts.later, keys, n_sent, rng))

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """As it decides, with other blocks."""
        decision = self._policy.decide(runs)
        return replace(decision, answers=[self._in_place(answer) for answer in decision.answers])

    def _in_place(self, answer: Answer) -> Answer:
        n = int(self._n_sent + self._rng.random())
        keys = [self._keys[place] for place in self._rng.integers(len(self._keys), size=n).tolist()]
        return Answer(keys, [1.0] * n, answer.predicted_key, answer.confidence)

    def told(self, told: Told) -> None:
        """What it hears."""
        self._policy.told(told)


def probed(
    make: Callable[[Recorder], TieredCache], asking: Callable[[TieredCache], AbstractContextManager[Any]],
    keys: Sequence[int], capacity: int, n_channels: int, n: int, seed: int, pause: Callable[[], None],
    n_together: int = 1, *, hit_share: float = 0.5, is_written: bool = True,
) -> Costs:  # fmt: skip
    """Read and write at random at the workload's pace, first alone, then beside blocks that are sent for.

    Args:
        make: A cache over a store that has all of ``keys``, and is of no further use: what is written is anything.
        asking: Around accesses to it, such as an engine that asks a policy.
        keys: More than tier 0 has room for, or there are no misses to measure.
        capacity: Blocks that tier 0 has room for.
        n_channels: The most calls at once of any link.
        n: How many accesses are measured alone, and half as many reads beside others.
        seed: Of the draws.
        pause: Between two requests.
        n_together: Blocks that a request reads.
        hit_share: Of the accesses, as of the workload's: after a longer pause of disk or processor all takes longer.
        is_written: Whether blocks are written, too: write-backs disturb reads.

    Raises:
        InputError: nothing hit, or nothing missed.
    """
    alone, at_once, rng = Recorder(), Recorder(), generator(seed, "probe")
    some = _Some(keys, capacity, rng, pause, puts=is_written)
    with make(alone) as cache, asking(cache):
        n_filled = some.fill(cache)
        some.read(cache, n, n_together, hit_share)
    if n_channels > 1:
        with make(at_once) as cache, asking(cache):
            some.fill(cache)
            some.read_beside(cache, n // 2, n_channels)
    # Of a cold cache the first accesses tell nothing: each comes into an empty tier.
    rows = alone.rows("accesses")[n_filled:]
    hits, misses, puts = (
        _latencies(rows, outcome, is_read=is_read)
        for outcome, is_read in ((Outcome.HIT, True), (Outcome.MISS, True), (Outcome.HIT, False))
    )
    calls = calls_of(alone.rows("transfers"), int(rows["issued_ns"][0]))
    for cell, durations in calls_of(at_once.rows("transfers"), 0).items() if n_channels > 1 else ():
        if len(durations) >= _AT_LEAST and (cell not in calls or len(calls[cell]) < _AT_LEAST):
            calls[cell] = durations
    calls = {
        cell: _without_stalls(durations)
        for cell, durations in calls.items()
        if cell[2] == 1 or len(durations) >= _AT_LEAST
    }
    rest_ns = float(misses.mean() - hits.mean() - _moved_of(rows)) if len(misses) and len(hits) else 0.0
    if not len(hits) or not len(misses):
        raise InputError(
            f"the probe of the cache had {len(hits)} hits and {len(misses)} misses, with room for {capacity} blocks in "
            "tier 0; expected a tier that holds more"
        )
    return Costs(hits, puts, misses, calls, max(round(rest_ns), 0))


class _Some:
    """Accesses at random: blocks that came in lately, which are there, and any."""

    def __init__(
        self, keys: Sequence[int], capacity: int, rng: np.random.Generator, pause: Callable[[], None], *, puts: bool
    ) -> None:  # fmt: skip
        self._keys, self._capacity, self._rng, self._pause, self._puts = keys, capacity, rng, pause, puts
        self._there: list[int] = []

    def fill(self, cache: TieredCache) -> int:
        """Reads until tier 0 is full, and some of each kind, so that all code is loaded; how many they were."""
        n = min(self._capacity, len(self._keys))
        self._there = [self._keys[place] for place in self._rng.permutation(len(self._keys))[:n].tolist()]
        for key in [*self._there, *self._there[-_N_KNOWN:]]:
            cache.get_many([key])
        if not self._puts:
            return n + min(n, _N_KNOWN)
        for key in self._there[-_N_KNOWN:]:
            cache.put(key, np.empty(cache.block, np.uint8))
        return n + 2 * min(n, _N_KNOWN)

    def _any(self) -> int:
        return self._keys[int(self._rng.integers(len(self._keys)))]

    def _absent(self, cache: TieredCache) -> int:
        while (key := self._any()) in cache:
            pass
        return key

    def _one_there(self) -> int:
        """Of those that came in last, half of what there is room for."""
        return self._there[-1 - int(self._rng.integers(-(-len(self._there) // 2)))]

    def read(self, cache: TieredCache, n: int, n_together: int, hit_share: float) -> None:
        """Requests that read so many blocks, of which that share is there; now and then a write."""
        for i in range(-(-n // n_together)):
            are_there = self._rng.random(n_together) < hit_share
            wanted = [self._one_there() if there else self._absent(cache) for there in are_there]
            self._pause()
            cache.get_many(dict.fromkeys(wanted))
            self._there += wanted
            del self._there[: -self._capacity]
            if self._puts and i % _PUT_EVERY == 0:
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
    chosen = rows[(rows["outcome"] == outcome) & ((rows["op"] == READ) == is_read)]
    # What waits for an answer (R13) is charged that by the model itself.
    return _without_stalls(chosen["latency_ns"] - chosen["inference_ns"])


def _without_stalls(durations: Ints) -> Ints:
    return durations[durations <= _STALL * np.median(durations)] if len(durations) else durations


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
    moved = missed["transfer_ns"][missed["latency_ns"] <= _STALL * np.median(missed["latency_ns"])]
    return float(moved.mean()) if len(moved) else 0.0
