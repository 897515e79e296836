"""What hits, misses and writes take in the live cache itself, at the workload's pace, before anything is compared.

A preset says what the levels of a machine take. A cache adds its own: Python's rules, checksums, threads that are
woken. That is measured on other blocks than those that are validated, drawn at random, and fitted to nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from threading import Event
from typing import Any, NamedTuple

import numpy as np

from experiments.validation.pattern import Named, Pattern, Touch
from experiments.validation.standing_in import Wanted
from experiments.validation.taken import AT_LEAST, Costs, calls_of, latencies, rest_ns, without_stalls
from experiments.validation.walk import Walk
from live import TieredCache
from live.clients import Client, Stream, Versions
from live.driving import touch
from live.recorder import Recorder
from simulator.errors import InputError
from simulator.policy import Outcome
from simulator.trace import READ

_THERE = (Outcome.HIT, Outcome.HIT_PREFETCHED)


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
        without_stalls(latencies(chosen))
        for chosen in (
            rows[(rows["op"] == READ) & np.isin(rows["outcome"], _THERE)], rows[rows["op"] != READ]
        )
    )  # fmt: skip
    missed = rows[(rows["op"] == READ) & (rows["outcome"] == Outcome.MISS)]
    misses = without_stalls(latencies(missed))
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
    return Costs(hits, puts, misses, calls, rest_ns(missed, moves, mix.channels, calls, float(hits.mean())))


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
