"""The part of the trace that is in memory, row by row: filled, chained by streams, moved up."""

import numpy as np
import numpy.typing as npt

from simulator.arrays import NONE, Ints
from simulator.compiled import compiled, ints_at
from simulator.records.rows import trace_row
from simulator.records.run import run_at
from simulator.streams import stream_of


@compiled
def fill(
    window: int, first: int, time: Ints, key: Ints, size: Ints, stream: npt.NDArray[np.uint32],
    request: Ints, op: npt.NDArray[np.uint8], next_use: Ints, answers: Ints,
) -> None:  # fmt: skip
    """Write accesses into rows of the window, which lies at that address, from ``first`` on."""
    rows = ints_at(window)
    for i in range(len(key)):
        row = trace_row(rows, first + i)
        row.key, row.size, row.stream, row.request = key[i], size[i], stream[i], request[i]
        row.op, row.time_ns = op[i], time[i]
        row.follower = answers[i] if len(answers) > 0 else NONE
        row.next_use = next_use[i] if len(next_use) > 0 else 0


@compiled
def link(window: int, first: int, n: int, machine: int) -> None:
    """Chain the accesses from ``first`` on, of ``n``, to the last ones of their streams; both by their addresses."""
    rows, run = ints_at(window), run_at(machine)
    for at in range(first, n):
        stream = stream_of(run, trace_row(rows, at).stream)
        if stream.last != NONE:
            trace_row(rows, stream.last).follower = at
        if stream.next == NONE:
            stream.next = at
        stream.last = at


@compiled
def move_up(window: int, n: int, machine: int, by: int) -> None:
    """The first ``n`` rows of the window were ``by`` rows further on; both by their addresses."""
    rows, run = ints_at(window), run_at(machine)
    for at in range(n):
        row = trace_row(rows, at)
        if row.follower != NONE:
            row.follower -= by
    for i in range(run.n_streams):
        stream = stream_of(run, i)
        if stream.next != NONE:
            stream.next -= by
        # A last access that was dropped has no place any more; its stream's next one is found by ``link``.
        stream.last = max(stream.last - by, NONE) if stream.last != NONE else NONE
