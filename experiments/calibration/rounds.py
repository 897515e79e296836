"""Every size and load of every way, in rounds, each in an order of its own: what drifts favours none of them."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from experiments.calibration.timing import Timer
from experiments.calibration.ways import Way

if TYPE_CHECKING:
    import numpy as np

_FEWEST, _MOST = 4, 2000
_TRIED = 2
_SAY_EVERY_S = 10.0


class Cell(NamedTuple):
    """What is timed: calls of a way, of so many bytes, so many at once."""

    way: str
    n_bytes: int
    at_once: int


Measured = dict[Cell, list[list[int]]]
"""Durations in ns by round."""


def cells_of(ways: Sequence[Way], sizes: Sequence[int], loads: Sequence[int]) -> list[tuple[Way, Cell]]:
    """All there are."""
    return [
        (way, Cell(way.name, n_bytes, k))
        for way in ways for n_bytes in sizes for k in loads
        if k <= (way.most_at_once or k)
    ]  # fmt: skip


def measured(
    cells: Sequence[tuple[Way, Cell]], timer: Timer, n_rounds: int, seconds: float, rng: "np.random.Generator",
    told: Callable[[str], None],
) -> Measured:  # fmt: skip
    """The rounds. Each cell gets an even share of the ``seconds``, but a few calls, and not endlessly many.

    ``told`` hears after the first look how long it will take, and now and then how far it has come.
    """
    # How long each takes, and code and connections are warm after it.
    of_call: dict[Cell, float] = {}
    for way, cell in cells:
        started = time.perf_counter()
        timer.timed(way, cell.n_bytes, cell.at_once, _TRIED * cell.at_once)
        # The warm-up of each lane took its time, too.
        of_call[cell] = (time.perf_counter() - started) / ((_TRIED + 1) * cell.at_once)
    share = seconds / (n_rounds * max(len(cells), 1))
    n_calls = {cell: n_calls_of(share, took, cell.at_once) for cell, took in of_call.items()}
    expected = n_rounds * sum(n_calls[cell] * took for cell, took in of_call.items())
    told(f"{len(cells)} kinds of calls in {n_rounds} rounds, about {expected:.0f} s")
    found: Measured = {cell: [] for _, cell in cells}
    started = said = time.monotonic()
    for turn in range(n_rounds):
        for done, i in enumerate(rng.permutation(len(cells)).tolist()):
            way, cell = cells[i]
            found[cell].append(timer.timed(way, cell.n_bytes, cell.at_once, n_calls[cell]))
            if time.monotonic() - said >= _SAY_EVERY_S:
                said = time.monotonic()
                share_done = (turn * len(cells) + done + 1) / (n_rounds * len(cells))
                told(f"round {turn + 1} of {n_rounds}: {(said - started) * (1 / share_done - 1):.0f} s left")
    return found


def n_calls_of(share_s: float, call_s: float, at_once: int) -> int:
    """So many calls as fit into a share of the time, each lane a few."""
    return min(max(round(share_s / max(call_s, 1e-9)), _FEWEST * at_once), _MOST * at_once)
