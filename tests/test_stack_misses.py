"""LRU's misses by stack distances: those of a plain loop and of the engine, with any number of threads."""

import json
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.counting import count_of
from experiments.replayed import replayed
from experiments.stacked import lru_misses
from experiments.trace_input import trace_input
from simulator.residency.registry import EVICTIONS
from simulator.trace import make_batch
from tests.conftest import real_trace
from workloads import lru_misses as counting
from workloads import stack_distance
from workloads.lru_misses import InBlocks, InBytes, LruStack
from workloads.sampling import PARTS
from workloads.stack_distance import ResizedError

LRU = EVICTIONS.parse("lru")


def naive_misses(keys: list[int], sizes: list[int], capacity: int) -> int:
    """A cache of bytes in order of use: what is larger than it passes by."""
    held: OrderedDict[int, int] = OrderedDict()
    n = 0
    for key, size in zip(keys, sizes, strict=True):
        if key in held:
            held.move_to_end(key)
            continue
        n += 1
        if size > capacity:
            continue
        while sum(held.values()) + size > capacity:
            held.popitem(last=False)
        held[key] = size
    return n


def small(patch: pytest.MonkeyPatch) -> None:
    """Tables that grow, times that run out and chunks that end all the time."""
    patch.setattr(stack_distance, "_LEAST_KEYS", 4)
    patch.setattr(stack_distance, "_LEAST_TIMES", 64)
    patch.setattr(counting, "LEAST_CHUNK", 7)
    patch.setattr(counting, "KEYS_A_CHUNK", 1)


@given(
    st.lists(st.integers(0, 12) | st.sampled_from([2**64 - 1, 2**63]), min_size=1, max_size=150),
    st.lists(st.integers(1, 9), min_size=15, max_size=15),
    st.sampled_from([1, 2]),
    st.integers(1, 9),
    st.booleans(),
)
def test_counts_of_a_plain_loop(keys: list[int], size_of: list[int], n_jobs: int, step: int, one_size: bool) -> None:
    sizes = [3 if one_size else size_of[key % 15] for key in keys]
    capacities = [1, 2, 3, 5, 8, 9, 10, 17, 30, 100]
    batch = make_batch(keys, size_bytes=sizes)
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        pieces = (batch[at : at + step] for at in range(0, len(keys), step))
        found = lru_misses(pieces, capacities, min(sizes), max(sizes), n_jobs)
    assert found == {size: naive_misses(keys, sizes, size) for size in capacities}


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
def test_chunks_change_nothing(n_jobs: int) -> None:
    """Many keys, so that words and branches of the tree fill, and chunks of many lengths."""
    rng = np.random.default_rng(n_jobs)
    keys = (rng.zipf(1.1, 30_000) % 4_000).astype(np.uint64)
    sizes = (keys % np.uint64(7)).astype(np.int64) + 1
    found = []
    for jobs, least in ((1, 1), (n_jobs, 2_000)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stack_distance, "_LEAST_TIMES", 64)
            patch.setattr(counting, "KEYS_A_CHUNK", 0)
            stacks = [LruStack(InBlocks(), jobs, least), LruStack(InBytes([100, 1_000, 5_000]), jobs, least)]
            for at in range(0, len(keys), 777):
                for stack in stacks:
                    stack.add(keys[at : at + 777], sizes[at : at + 777])
            for stack in stacks:
                stack.finish()
        blocks, in_bytes = stacks
        assert blocks.n_keys == in_bytes.n_keys == len(np.unique(keys))
        assert in_bytes.n_bytes == int((np.unique(keys) % np.uint64(7) + np.uint64(1)).sum())
        found.append([*map(blocks.misses, (1, 10, 100, 1_000, 9_999)), *map(in_bytes.misses, (100, 1_000, 5_000))])
    assert found[0] == found[1]
    assert found[0] == sorted(found[0][:5], reverse=True) + found[0][5:]


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_a_size_that_changes_is_no_stack(n_jobs: int) -> None:
    """Also where it changes between two chunks, and where one of the two is too large for the capacity."""
    for keys, sizes in (([1, 1], [5, 6]), ([1, 2, 3, 4, 5, 6, 7, 8, 1], [5] * 8 + [90])):
        with pytest.MonkeyPatch.context() as patch:
            small(patch)
            pieces = (make_batch([key], size_bytes=[size]) for key, size in zip(keys, sizes, strict=True))
            with pytest.raises(ResizedError):
                lru_misses(pieces, [20], 5, max(sizes), n_jobs)


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("cloudPhysicsIO.oracleGeneral.bin", None),
        ("lirs_multi1.trace.gz", None),
        ("mooncake_conversation.jsonl", "1B"),
    ],
)
def test_counts_of_the_engine(name: str, block: str | None) -> None:
    """To the last miss, in blocks and in the trace's own bytes; in bytes alone where sizes change, which is said."""
    from experiments.reading_options import ReadingOptions

    given = trace_input(real_trace(name), ReadingOptions(block=block))
    for unit_size in (True, False):
        trace = replayed(given, PARTS, unit_size=unit_size)
        capacities = [max(round(trace.n_bytes * share), 1) for share in (0.001, 0.05, 0.3)]
        try:
            found, _ = trace.lru_misses(capacities, 2)
        except ResizedError:
            assert name.startswith("cloudPhysics")
            assert not unit_size
            continue
        expected = {size: count_of(trace, LRU, size, 0).n_misses for size in capacities}
        assert found == expected


def test_published_counts() -> None:
    for trace, name in (
        ("cloudphysics", "cloudPhysicsIO.oracleGeneral.bin"), ("lirs_multi1", "lirs_multi1.trace.gz"),
    ):  # fmt: skip
        published = json.loads(real_trace("golden_misses.json").read_text())[trace]["misses"]
        stack = LruStack(InBlocks(), 2, 10_000)
        for batch in trace_input(real_trace(name)).workload.batches():
            stack.add(batch.key, batch.size_bytes)
        stack.finish()
        assert {size: stack.misses(int(size)) for size in published} == {
            size: counts["lru"] for size, counts in published.items()
        }
