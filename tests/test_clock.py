"""What is said of a trace's clock and of its sizes, against plain loops."""

from itertools import pairwise

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from simulator.trace import Batch, concatenate, make_batch
from workloads.clock import Clock
from workloads.sizes import Ranges, Sizes

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=40)
CUTS = st.lists(st.integers(0, 40), max_size=5)


def batches_of(batch: Batch, cuts: list[int]) -> list[Batch]:
    """The same accesses in pieces, some of them empty."""
    return [batch[first:last] for first, last in pairwise([0, *sorted(min(c, len(batch)) for c in cuts), len(batch)])]


@given(ROWS, CUTS)
@example([(1, 0, 0), (1, 0, 0), (1, 1, 0), (0, 2, 0), (0, 3, 0)], [1, 2, 3, 4])
@example([(0, 0, 0), (2, 1, 0), (1, 2, 0), (1, 2, 1), (3, 3, 0)], [])
def test_the_clock_is_that_of_a_loop(rows: list[tuple[int, int, int]], cuts: list[int]) -> None:
    times, requests, streams = (np.array(column) for column in zip(*rows, strict=True))
    whole = make_batch(np.zeros(len(rows)), time_ns=times, request=requests, stream=streams)
    clock = Clock()
    for batch in batches_of(whole, cuts):
        clock.add(batch)
    n_ticks = burst = largest = n_backwards = furthest = 0
    latest, last = 0, None
    of_stream: dict[int, int] = {}
    for time, request, stream in rows:
        if time != last:
            n_ticks, burst = n_ticks + 1, 0
        # A request is where it begins, at whatever time its further accesses come, those of other streams between.
        burst += of_stream.get(stream) != request
        of_stream[stream] = request
        largest = max(largest, burst)
        n_backwards += last is not None and time < last
        latest = max(latest, time)
        furthest = max(furthest, latest - time)
        last = time
    assert (clock.n_ticks, clock.largest_burst) == (n_ticks, largest)
    assert (clock.n_backwards, clock.furthest_back_ns) == (n_backwards, furthest)
    assert clock.span_ns == latest - rows[0][0]
    assert (clock.first_ns, clock.last_ns) == (rows[0][0], rows[-1][0])


def test_a_trace_that_starts_late_is_not_ahead_of_itself() -> None:
    """Times before the first are counted from it, not from 0."""
    clock = Clock()
    clock.add(make_batch([1, 2, 3], time_ns=[100, 90, 120]))
    assert (clock.n_backwards, clock.furthest_back_ns, clock.span_ns) == (1, 10, 20)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=30), CUTS)
def test_sizes_are_those_of_a_loop(rows: list[tuple[int, int]], cuts: list[int]) -> None:
    whole = make_batch([key for key, _ in rows], size_bytes=[size for _, size in rows])
    ranges = Ranges()
    for batch in batches_of(whole, cuts):
        ranges.add(batch)
    of_key: dict[int, list[int]] = {}
    for key, size in rows:
        of_key.setdefault(key, []).append(size)
    widths = {key: max(sizes) - min(sizes) for key, sizes in of_key.items()}
    found = ranges.sizes()
    assert found.smallest == min(size for _, size in rows)
    assert found.n_resized == sum(width > 0 for width in widths.values())
    if found.widest is None:
        assert not any(widths.values())
    else:
        key, low, high = found.widest
        assert (low, high) == (min(of_key[key]), max(of_key[key]))
        assert high - low == max(widths.values())
    assert isinstance(found, Sizes)
    assert len(concatenate(batches_of(whole, cuts))) == len(rows)
