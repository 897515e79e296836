"""Flows: from the access that asks to its question, to what it brings, over each link, to the first use.

A flow has a number of its own for each question, prefetch and missed access. What it would pass through that is not
drawn is left out; what is drawn alone has none.
"""

from typing import Any

import numpy as np

from experiments.timelines.drawing import NONE, Drawing, ints, places
from experiments.timelines.events import Flows
from experiments.timelines.lanes import Ints

_OF_PREFETCH, _OF_QUESTION, _OF_MISS = (kind << 60 for kind in (1, 2, 3))
Pairs = list[tuple[Ints, Ints]]


def add_flows(drawing: Drawing) -> None:
    """Give the slices of a drawing their flows."""
    begun: dict[str, Pairs] = {what: [] for what in drawing.slices}
    ended: dict[str, Pairs] = {what: [] for what in drawing.slices}
    _from_accesses(drawing, begun)
    _of_prefetches(drawing, begun, ended)
    for what, slices in drawing.slices.items():
        slices.begin_flows = Flows(len(slices), begun[what])
        slices.end_flows = Flows(len(slices), ended[what])


def _column(drawing: Drawing, table: str, name: str) -> Ints:
    return ints(drawing.tables[table][name])


def _join(known: Ints, wanted: Ints) -> tuple[Ints, Ints]:
    """Pairs of places: of what is known, and of what was wanted."""
    at = places(known, np.where(wanted < 0, np.iinfo(np.int64).min, wanted))
    rows = np.flatnonzero(at != NONE)
    return at[rows], rows


def _from_accesses(drawing: Drawing, begun: dict[str, Pairs]) -> None:
    accesses = _column(drawing, "accesses", "access")
    if "inferences" in drawing.tables:
        at, rows = _join(accesses, _column(drawing, "inferences", "access"))
        ids = _column(drawing, "inferences", "inference")[rows] | _OF_QUESTION
        begun["accesses"].append((at, ids))
        begun["inferences"].append((rows, ids))
    if "transfers" in drawing.tables:
        at, rows = _join(accesses, _column(drawing, "transfers", "access"))
        begun["transfers"].append((rows, accesses[at] | _OF_MISS))
        once = np.unique(at)
        begun["accesses"].append((once, accesses[once] | _OF_MISS))


def _of_prefetches(drawing: Drawing, begun: dict[str, Pairs], ended: dict[str, Pairs]) -> None:
    if "prefetches" not in drawing.tables:
        return
    numbers = _column(drawing, "prefetches", "prefetch")
    ids: Any = numbers | _OF_PREFETCH
    begun["prefetches"].append((np.arange(len(numbers)), ids))
    if "inferences" in drawing.tables:
        at, rows = _join(_column(drawing, "inferences", "inference"), _column(drawing, "prefetches", "inference"))
        begun["inferences"].append((at, ids[rows]))
    if "transfers" in drawing.tables:
        at, rows = _join(numbers, _column(drawing, "transfers", "prefetch"))
        begun["transfers"].append((rows, ids[at]))
    # At its end, which comes after all of that: a late prefetch is met before it moves.
    at, rows = _join(_column(drawing, "accesses", "access"), _column(drawing, "prefetches", "first_used_access"))
    ended["accesses"].append((at, ids[rows]))
