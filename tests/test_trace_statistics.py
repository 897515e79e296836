"""Statistics of traces against what a few lines of plain Python find, and spatial samples against the whole."""

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.demand import misses_of
from simulator.trace import Batch, concatenate, make_batch
from tests.conftest import real_trace
from tests.reading import opened
from tests.strategies import ListWorkload, system
from workloads import stack_distance
from workloads.readers.binary_ids import BinaryIds
from workloads.sampling import PARTS, are_sampled, corrected_miss_ratio, parts_of, sample
from workloads.stack_distance import StackDistances
from workloads.statistics import Counts, statistics_of

KEYS = st.lists(st.sampled_from([0, 1, 2, 3, 7, 8, 2**63, 2**64 - 1]) | st.integers(0, 40), min_size=1, max_size=120)


def naive_distances(keys: Sequence[int]) -> list[int]:
    stack: list[int] = []
    found = []
    for key in keys:
        found.append(stack.index(key) if key in stack else -1)
        if key in stack:
            stack.remove(key)
        stack.insert(0, key)
    return found


def naive_entropy(values: Sequence[Any]) -> float:
    n = len(values)
    return -sum(count / n * math.log2(count / n) for count in Counter(values).values())


def pieces(batch: Batch, cuts: list[int]) -> list[Batch]:
    edges = sorted({0, len(batch), *(cut for cut in cuts if cut < len(batch))})
    return [batch[a:b] for a, b in itertools.pairwise(edges)]


@given(KEYS, st.integers(1, 30))
def test_distances_of_a_plain_stack(keys: list[int], step: int) -> None:
    """With a table and a tree so small that both grow, and times run out, all the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stack_distance, "_LEAST_KEYS", 4)
        patch.setattr(stack_distance, "_LEAST_TIMES", 64)
        distances = StackDistances()
    array = np.array(keys, np.uint64)
    found = [distances.of(array[at : at + step]).tolist() for at in range(0, len(keys), step)]
    assert list(itertools.chain(*found)) == naive_distances(keys)
    assert distances.n_keys == len(set(keys))


def test_times_run_out_many_times() -> None:
    """A long stream of few keys, whose times are numbered anew again and again."""
    keys = np.random.default_rng(1).zipf(1.2, 300_000) % 50
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stack_distance, "_LEAST_KEYS", 4)
        patch.setattr(stack_distance, "_LEAST_TIMES", 64)
        distances = StackDistances()
        found = np.concatenate([distances.of(keys[at : at + 999].astype(np.uint64)) for at in range(0, 300_000, 999)])
    assert found[-500:].tolist() == naive_distances(keys[-20_000:].tolist())[-500:]
    assert len(distances._tree) < 10_000


@pytest.mark.parametrize("capacity", [1, 7, 489, 4_897])
def test_distances_are_lru(capacity: int) -> None:
    """An LRU tier hits exactly where fewer other blocks than it holds came in between."""
    path = real_trace("cloudPhysicsIO.oracleGeneral.bin")
    trace = ListWorkload(concatenate(list(opened(path, "oracle_general", size="1 B").batches())))
    distances = StackDistances().of(trace.batch.key)
    missed = misses_of(trace, system(capacity), 0, 0)[1]
    assert (missed == ((distances < 0) | (distances >= capacity))).all()


@given(
    st.lists(
        st.tuples(
            st.integers(0, 9) | st.sampled_from([2**64 - 1]), st.integers(1, 5), st.integers(0, 2), st.integers(0, 1)
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 70),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_statistics_of_plain_loops(rows: list[tuple[int, int, int, int]], window: int, cuts: list[int]) -> None:
    keys, sizes, streams, ops = (list(column) for column in zip(*rows, strict=True))
    times = np.cumsum(sizes)
    numbers = np.arange(len(rows)) // 3 % 2
    batch = make_batch(keys, size_bytes=sizes, stream=streams, op=ops, time_ns=times, request=numbers)
    found = statistics_of(iter(pieces(batch, cuts)), window)
    summary = found.summary()
    first = {}
    for key, size in zip(keys, sizes, strict=True):
        first.setdefault(key, size)
    last: dict[int, int] = {}
    deltas = []
    for key, stream in zip(keys, streams, strict=True):
        if stream in last:
            deltas.append((key - last[stream] + 2**63) % 2**64 - 2**63)
        last[stream] = key
    # A request goes on past the accesses of other streams.
    last_request: dict[int, int] = {}
    n_requests = 0
    for i, stream in enumerate(streams):
        n_requests += last_request.get(stream) != numbers[i]
        last_request[stream] = numbers[i]
    expected = {
        "n_accesses": len(rows), "n_writes": sum(ops), "n_reads": len(rows) - sum(ops), "n_keys": len(first),
        "n_bytes": sum(sizes), "unique_bytes": sum(first.values()), "smallest_bytes": min(sizes),
        "largest_bytes": max(sizes), "n_streams": max(streams) + 1, "duration_ns": int(times[-1] - times[0]),
        "n_times": 1 + int(np.count_nonzero(np.diff(times))), "n_requests": n_requests, "delta_entropy_is_exact": True,
        "sample_rate": 1.0, "n_backwards": 0, "furthest_back_ns": 0,
        "n_resized": sum(len({s for k, s in zip(keys, sizes, strict=True) if k == key}) > 1 for key in first),
    }  # fmt: skip
    assert {name: summary[name] for name in expected} == expected
    assert summary["delta_entropy_bits"] == pytest.approx(naive_entropy(deltas) if deltas else 0.0, abs=1e-12)
    counts = Counter(deltas)
    assert {row["delta"]: row["n_accesses"] for row in found.deltas()} == dict(counts)
    windows = found.working_set()
    for i, row in enumerate(windows):
        part_ = keys[i * window : (i + 1) * window]
        before = set(keys[: i * window])
        sizes_of: dict[int, int] = {}
        for key, size in zip(part_, sizes[i * window : (i + 1) * window], strict=True):
            sizes_of.setdefault(key, size)
        assert row == {
            "window": i, "first_access": i * window, "n_accesses": len(part_),
            "n_writes": sum(ops[i * window : (i + 1) * window]), "n_keys": len(set(part_)),
            "working_set_bytes": sum(sizes_of.values()), "n_new_keys": len(set(part_) - before),
            "n_keys_so_far": len(before | set(part_)),
            "first_time_ns": times[i * window], "last_time_ns": times[i * window + len(part_) - 1],
        }  # fmt: skip
    assert len(windows) == -(-len(rows) // window)
    distances = naive_distances(keys)
    for row in found.reuse():
        low, high = row["distance_from"], row["distance_to"]
        inside = [d < 0 if low is None else low <= d <= high for d in distances]
        assert row["n_accesses"] == sum(inside)
        assert row["ratio"] == pytest.approx(sum(inside) / len(rows))
        if high is not None:
            assert row["lru_hit_ratio"] == pytest.approx(sum(0 <= d <= high for d in distances) / len(rows))
    assert sum(row["n_accesses"] for row in found.reuse()) == len(rows)


def test_counts_say_when_they_are_a_bound() -> None:
    counts = Counts(most=3)
    counts.add(np.array([5, 5, 1, 2, 2, 2]))
    assert counts.entropy_bits() == (pytest.approx(naive_entropy([5, 5, 1, 2, 2, 2])), True)
    counts.add(np.array([7, 7, 8, 5, 1, 1]))
    entropy, is_exact = counts.entropy_bits()
    assert not is_exact
    # 7, 7 and 8 are one value to it: less than there is.
    values = [5, 5, 5, 1, 1, 1, 2, 2, 2, 7, 7, 8]
    assert entropy == pytest.approx(naive_entropy([value if value < 7 else 7 for value in values]))
    assert entropy < naive_entropy(values)
    assert counts.n == 12
    assert counts.top(2) == [(1, 3), (2, 3)]


@given(st.integers(1, PARTS), st.integers(1, PARTS))
@settings(max_examples=30)
def test_samples_are_nested_shares_of_the_keys(one: int, other: int) -> None:
    keys = np.arange(20_000, dtype=np.uint64) * np.uint64(4096)
    small, large = are_sampled(keys, min(one, other)), are_sampled(keys, max(one, other))
    assert not (small & ~large).any()
    share = one / PARTS
    # Five standard deviations of a binomial share, and a key for rates of less than one.
    assert abs(are_sampled(keys, one).mean() - share) < 5 * math.sqrt(share * (1 - share) / len(keys)) + 1 / len(keys)


def test_a_sample_has_all_accesses_to_its_keys() -> None:
    keys = np.random.default_rng(0).integers(0, 500, 5_000)
    batch = make_batch(keys, time_ns=np.arange(5_000))
    kept = sample(batch, parts_of(0.2))
    assert kept.time_ns.tolist() == [i for i, key in enumerate(keys) if key in set(kept.key.tolist())]
    assert sample(batch, PARTS) is batch


def test_the_correction_by_hand() -> None:
    """A tenth of 1,000 accesses should be 100. The sample has 140, of which 30 missed: 40 are hits too many."""
    tenth = parts_of(0.1)
    assert corrected_miss_ratio(30, 1_000, tenth) == pytest.approx(0.3)
    assert corrected_miss_ratio(0, 1_000, tenth) == 0
    assert corrected_miss_ratio(1_000, 1_000, tenth) == 1
    assert corrected_miss_ratio(7, 10, PARTS) == 0.7


def lru_hits(batch: Batch, parts: int) -> dict[int, float]:
    found = statistics_of(iter([batch]), len(batch), parts).reuse()
    return {row["distance_to"]: row["lru_hit_ratio"] for row in found if row["distance_to"] is not None}


def test_sampled_reuse_of_a_real_trace() -> None:
    """LRU hit ratios where a distance is some blocks of the sample: off by some hundredths, and not to one side."""
    path = real_trace("cache2k_orm-busy.trace.xz")
    batch = concatenate(list(BinaryIds(path, 4, "big", block_bytes=1).batches()))[:1_000_000]
    exact, rate = lru_hits(batch, PARTS), 0.1
    errors = []
    for i in range(6):
        shifted = dataclasses.replace(batch, key=batch.key + np.uint64(i << 40))
        found = lru_hits(shifted, parts_of(rate))
        errors.append([found[d] - exact[d] for d in exact if d in found and d * rate > 8])
    assert all(len(of_one) > 5 for of_one in errors)
    assert max(abs(error) for of_one in errors for error in of_one) < 0.05
    assert abs(np.mean([np.mean(of_one) for of_one in errors])) < 0.01
