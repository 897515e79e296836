"""A call in a process of its own, so that its memory is its own and nobody's caches are warm with another's."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

Prepare = Callable[..., Callable[[], Any]]


class Timed(NamedTuple):
    """CPU seconds of the call, the peak memory of its process in bytes, and what it returned."""

    seconds: float
    peak_memory_bytes: int
    result: Any


def _child(pipe: Any, prepare: Prepare, arguments: tuple[Any, ...]) -> None:
    call = prepare(*arguments)
    # CPU time, not the wall's: less noisy where cores are shared.
    start = time.process_time()
    result = call()
    seconds = time.process_time() - start
    pipe.send(Timed(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, result))


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
