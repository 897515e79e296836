"""What is counted along a timeline: what waits, what is on its way, and how many accesses hit."""

from typing import Any

import numpy as np
import pyarrow as pa

from experiments.timelines.drawing import NONE, Drawing, ints, places
from experiments.timelines.events import Counter
from experiments.timelines.lanes import OPEN, Ints
from experiments.timelines.span import Span
from experiments.timelines.tracks import Group


def counters_of(drawing: Drawing) -> list[Counter]:
    """All that the tables allow."""
    found = [_hit_ratio(drawing), *_of_tiers(drawing)] if drawing.rows.has("windows") else []
    if "prefetches" in drawing.tables:
        slices = drawing.slices["prefetches"]
        found.append(_count(drawing, Group.PREFETCHES, "prefetches in flight", "blocks", slices.begins, slices.ends))
    if "inferences" in drawing.tables:
        slices = drawing.slices["inferences"]
        started = ints(drawing.tables["inferences"]["started_ns"], OPEN)
        until = np.minimum(started, slices.ends)
        found.append(_count(drawing, Group.QUESTIONS, "questions waiting", "questions", slices.begins, until))
    if "requests" in drawing.tables:
        begins = drawing.slices["requests"].begins
        until = begins + ints(drawing.tables["requests"]["waiting_ns"])
        found.append(_count(drawing, Group.REQUESTS, "requests waiting", "requests", begins, until))
    if "transfers" in drawing.tables:
        found += _of_links(drawing)
    return found


def _of_tiers(drawing: Drawing) -> list[Counter]:
    """How full each tier is, as each window begins."""
    windows = drawing.rows.read("windows")
    if "used_bytes" not in windows.column_names:
        # Results from before it was kept.
        return []
    begun, span = ints(windows["begun_ns"]), drawing.span
    order = np.argsort(begun, kind="stable")
    # That of the window before is what a tier has at the span's beginning.
    first = max(int(np.searchsorted(begun[order], span.from_ns, side="right")) - 1, 0)
    order = order[first : int(np.searchsorted(begun[order], span.to_ns))]
    times = np.maximum(begun[order], span.from_ns)
    used = np.array(windows["used_bytes"].to_pylist(), np.int64).reshape(len(windows), -1)[order]
    return [
        Counter(drawing.tracks.of(f"{tier.name}: bytes used", Group.TIERS, unit="bytes"), times, used[:, i])
        for i, tier in enumerate(drawing.rows.system.tiers)
    ]


def _of_links(drawing: Drawing) -> list[Counter]:
    table, slices = drawing.tables["transfers"], drawing.slices["transfers"]
    links = table["link"].cast(pa.string()).to_numpy(zero_copy_only=False)
    sizes, queued = ints(table["size_bytes"]), ints(table["queued_ns"])
    found = []
    for i, link in enumerate(drawing.rows.system.link_names()):
        mine = links == link
        if mine.any():
            group = Group.LINKS + i
            begins, ends = slices.begins[mine], slices.ends[mine]
            found.append(_count(drawing, group, f"{link}: bytes in flight", "bytes", begins, ends, sizes[mine]))
            found.append(_count(drawing, group, f"{link}: blocks waiting", "blocks", queued[mine], begins))
    return found


def _count(
    drawing: Drawing, group: int, name: str, unit: str, begins: Ints, ends: Ints, weights: Ints | None = None
) -> Counter:
    return Counter(drawing.tracks.of(name, group, unit=unit), *steps(drawing.span, begins, ends, weights))


def steps(span: Span, begins: Ints, ends: Ints, weights: Ints | None = None) -> tuple[Ints, Ints]:
    """How much lasts at each time of a span at which that changes, and at its beginning."""
    weights = np.ones(len(begins), np.int64) if weights is None else weights
    over = ends != OPEN
    times = np.concatenate([begins, ends[over]])
    order = np.argsort(times, kind="stable")
    times, sums = times[order], np.cumsum(np.concatenate([weights, -weights[over]])[order])
    # What happens at one time is one step.
    last = np.flatnonzero(np.append(times[1:] != times[:-1], True)) if len(times) else np.zeros(0, np.int64)
    times, sums = times[last], sums[last]
    # Nor is it one if nothing changes.
    changes = np.diff(sums, prepend=0) != 0
    times, sums = times[changes], sums[changes]
    before = int(np.searchsorted(times, span.from_ns, side="right"))
    until = int(np.searchsorted(times, span.to_ns))
    at_first = sums[before - 1] if before else 0
    return np.append(span.from_ns, times[before:until]), np.append(at_first, sums[before:until])


def _hit_ratio(drawing: Drawing) -> Counter:
    windows = drawing.rows.read("windows")
    accesses: Any = ints(drawing.tables["accesses"]["access"])
    at = places(accesses, ints(windows["first_access"]))
    there = np.flatnonzero(at != NONE)
    times = drawing.slices["accesses"].begins[at[there]]
    of_outcome = {name: ints(windows[name])[there] for name in windows.column_names if name.startswith("n_")}
    hits = of_outcome["n_hit"] + of_outcome["n_hit_prefetched"]
    # Streams overtake each other, and windows are of the trace's order.
    order = np.argsort(times, kind="stable")
    values = hits / np.maximum(sum(of_outcome.values()), 1)
    return Counter(drawing.tracks.of("hit ratio by window", Group.ACCESSES, unit="ratio"), times[order], values[order])
