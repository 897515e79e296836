"""What hits, misses and writes take in the live cache itself, at the workload's pace, before anything is compared.

A preset says what the levels of a machine take. A cache adds its own: Python's rules, checksums, threads that are
woken. That is measured on other blocks than those that are validated, drawn at random, and fitted to nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from threading import Event
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.validation.pattern import Named, Pattern, Touch
from experiments.validation.standing_in import Wanted
from experiments.validation.walk import Walk
from live import TieredCache
from live.clients import Client, Stream, Versions
from live.driving import touch
from live.recorder import Recorder
from simulator.accounting import Rows
from simulator.errors import InputError
from simulator.policy import Outcome
from simulator.trace import READ

AT_LEAST = 30
"""So many of each kind are timed at least, to know them."""
_THERE = (Outcome.HIT, Outcome.HIT_PREFETCHED)
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


class Mix(NamedTuple):
    """What is to be done in a cache: ``patterns``, a client each, ``think_ns`` between the requests of each.

    ``keys`` are in the store. ``n_filled`` of them, a quarter at most, come into tier 0 before, which has room for
    ``capacity``: as many, if the run evicts. ``channels`` are the links'.
    """

    patterns: Sequence[Pattern]
    think_ns: int
    keys: Sequence[int]
    n_filled: int
    capacity: int
    channels: Sequence[int]


def probed(
    make: Callable[[Recorder, int], TieredCache], asking: Callable[[TieredCache], AbstractContextManager[Any]],
    mix: Mix, wanted: Wanted, rng: np.random.Generator,
) -> Costs:  # fmt: skip
    """Read and write as the patterns have it, then, if links have channels, beside blocks that are sent for.

    Args:
        make: A cache with so much room, over a store that has all keys, and is of no further use: what is written is
            anything.
        asking: Around accesses to it, such as an engine that asks a policy, or one that stands in for it.
        mix: What is done.
        wanted: Where it is left what is to be named at each access.
        rng: Draws the blocks.

    Raises:
        InputError: nothing hit, or nothing missed.
    """
    alone, at_once, most = Recorder(), Recorder(), max(mix.channels)
    n, is_stopped = sum(len(pattern.touches) for pattern in mix.patterns), Event()
    with make(alone, mix.capacity) as cache, asking(cache):
        touch(cache)
        walks = _walks(cache, mix, wanted, rng, is_stopped)
        writes = any(is_write for pattern in mix.patterns for *_, is_write, _ in pattern.stream.steps)
        for walk in walks:
            walk.fill(writes=writes)
        n_before = len(alone.rows("accesses"))
        with ThreadPoolExecutor(len(walks)) as pool, _stopping(is_stopped):
            pairs = zip(walks, mix.patterns, strict=True)
            for done in [pool.submit(walk.go, *pattern) for walk, pattern in pairs]:
                done.result()
        walks[0].go(*rare(mix.patterns))
    if most > 1:
        with make(at_once, mix.n_filled) as cache, asking(cache):
            touch(cache)
            (walk, *_) = _walks(cache, mix, wanted, rng, is_stopped)
            walk.fill(writes=False)
            walk.read_beside(n // 2, most)
    # Of a cold cache the first accesses tell nothing: each comes into an empty tier.
    rows, moves = alone.rows("accesses")[n_before:], alone.rows("transfers")
    hits, puts = (
        without_stalls(_latencies(chosen))
        for chosen in (
            rows[(rows["op"] == READ) & np.isin(rows["outcome"], _THERE)], rows[rows["op"] != READ]
        )
    )  # fmt: skip
    missed = rows[(rows["op"] == READ) & (rows["outcome"] == Outcome.MISS)]
    misses = without_stalls(_latencies(missed))
    if not len(hits) or not len(misses):
        raise InputError(
            f"the probe of the cache had {len(hits)} hits and {len(misses)} misses, with room for {mix.capacity} "
            "blocks in tier 0; expected a tier that holds more"
        )
    calls = calls_of(moves, int(rows["issued_ns"][0]))
    for cell, durations in calls_of(at_once.rows("transfers"), 0).items() if most > 1 else ():
        if len(durations) >= AT_LEAST and (cell not in calls or len(calls[cell]) < AT_LEAST):
            calls[cell] = durations
    calls = {
        cell: without_stalls(durations)
        for cell, durations in calls.items()
        if cell[2] == 1 or len(durations) >= AT_LEAST
    }
    return Costs(hits, puts, misses, calls, _rest_ns(missed, moves, mix.channels, calls, float(hits.mean())))


@contextmanager
def _stopping(is_stopped: Event) -> Iterator[None]:
    """Whatever is raised, Ctrl-C or what a client raises, the pool does not wait for all others to the end."""
    try:
        yield
    except BaseException:
        is_stopped.set()
        raise


def _walks(
    cache: TieredCache, mix: Mix, wanted: Wanted, rng: np.random.Generator, is_stopped: Event
) -> list[Walk]:  # fmt: skip
    """A client for each pattern, with keys of its own, and its part of the room."""
    n, versions = len(mix.patterns), Versions(are_shared=False)
    return [
        Walk(
            cache, Client(cache, pattern.stream, versions, mix.think_ns, cache.gpu, _unheard, is_stopped),
            mix.keys[i::n], max(mix.n_filled // n, 1), wanted, rng.spawn(1)[0],
        )
        for i, pattern in enumerate(mix.patterns)
    ]  # fmt: skip


def _unheard(first: int, last: int) -> None:
    """Nobody wants to know what is issued next."""


def rare(patterns: Sequence[Pattern]) -> Pattern:
    """Of hits and misses what is missing to so many that are to be measured."""
    touches = list[Touch]()
    for is_there in (True, False):
        n = sum(touch.is_there is is_there for pattern in patterns for touch in _reads(pattern))
        touches += [Touch(is_there, False, Named(0, 0), Named(0, 0))] * (AT_LEAST - n)
    numbers = np.arange(len(touches))
    return Pattern(
        Stream(patterns[0].stream.number, numbers, numbers, numbers, np.zeros(len(touches), np.uint8)), touches
    )


def _reads(pattern: Pattern) -> Iterator[Touch]:
    for start, end, is_write, _ in pattern.stream.steps:
        if not is_write:
            yield from pattern.touches[start:end]


def _rest_ns(
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
        known = _by_load(calls, link, n_channels)
        place = n_busy.clip(max=n_channels - 1) + rank
        first_ns += known[place.clip(max=n_channels - 1)]
        ahead_ns = np.maximum(ahead_ns, place // n_channels * known[-1])
        n_rounds = np.maximum(n_rounds, place // n_channels + 1)
    latency = _latencies(missed)
    is_meant = _are_no_stalls(latency) & (is_free if is_free.sum() >= AT_LEAST else True)
    beside_ns = latency - hit_ns - first_ns - ahead_ns
    return max(round(float(beside_ns[is_meant].sum() / n_rounds[is_meant].sum())), 0)


def _by_load(calls: Mapping[tuple[int, bool, int], Ints], link: int, n_channels: int) -> npt.NDArray[np.float64]:
    """The mean of a link's calls towards tier 0, by 1 to ``n_channels`` at once.

    Where so many at once were not seen, the most that was stands for them, as in a link's table.
    """
    found = np.zeros(n_channels)
    for i in range(n_channels):
        durations = calls.get((link, False, i + 1))
        found[i] = found[i - 1] if durations is None else durations.mean()
    return found


def _rank(missed: Rows) -> Ints:
    """The place of each among those of its stream that were issued at the same time."""
    order = np.lexsort((missed["access"], missed["issued_ns"], missed["stream"]))
    stream, issued_ns = missed["stream"][order], missed["issued_ns"][order]
    is_first = np.append(True, (stream[1:] != stream[:-1]) | (issued_ns[1:] != issued_ns[:-1]))[: len(order)]
    places = np.arange(len(order))
    found = np.zeros(len(order), np.int64)
    found[order] = places - np.maximum.accumulate(np.where(is_first, places, 0))
    return found


def _latencies(accesses: Rows) -> Ints:
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
