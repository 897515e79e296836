"""A call in a process of its own, so that its memory is its own and nobody's caches are warm with another's."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

Prepare = Callable[..., Callable[[], Any]]


class Timed(NamedTuple):
    """CPU seconds of the call and of programs that it ran, the peak memory of a process in bytes, what it returned."""

    seconds: float
    peak_memory_bytes: int
    result: Any


def _cpu_s() -> float:
    """CPU time, not the wall's: less noisy where cores are shared."""
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + others.ru_utime + others.ru_stime


def _child(pipe: Any, prepare: Prepare, arguments: tuple[Any, ...]) -> None:
    call = prepare(*arguments)
    start = _cpu_s()
    result = call()
    seconds = _cpu_s() - start
    most_kib = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    pipe.send(Timed(seconds, most_kib * 1024, result))


def alone(prepare: Prepare, *arguments: Any) -> Timed:
    """``prepare(*arguments)`` makes the call; only the call is timed."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_child, args=(there, prepare, arguments))
    process.start()
    there.close()
    timed: Timed = here.recv()
    process.join()
    return timed
