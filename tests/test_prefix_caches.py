"""Caches of prefixes: families of blocks, and hits by prefix against loops that know nothing of tiers."""

import json
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.prefix_loops import fifo, lru, optimal, radix_lru
from policies.none import NonePolicy
from simulator.config import Closed
from simulator.demand import misses_of
from simulator.engine import Engine
from simulator.evictions.of_system import parents_of
from simulator.families import families_of
from simulator.model.model import Model
from simulator.policy import Outcome
from simulator.trace import make_batch
from tests.strategies import FREE, ListWorkload, books, system

CLOSED = Closed.model_validate({"kind": "closed"})
LOOPS = {"fifo": fifo, "lru": lru, "leaf_lru": radix_lru, "belady": partial(optimal, passes_by=False)}
AT_ONCE = {"fifo": partial(fifo, at_once=True), "lru": partial(lru, at_once=True), "leaf_lru": radix_lru}


def prompts_of(choices: list[list[int]]) -> list[list[int]]:
    """Prompts as paths in a tree, whose nodes are numbered as they come to be: equal keys have equal prefixes."""
    nodes: dict[tuple[int, ...], int] = {}
    return [
        [nodes.setdefault(tuple(path[: i + 1]), len(nodes)) for i in range(len(path))] for path in choices
    ]  # fmt: skip


PROMPTS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=60).map(prompts_of)


def workload_of(prompts: list[list[int]]) -> ListWorkload:
    request = np.repeat(np.arange(len(prompts)), [len(keys) for keys in prompts])
    return ListWorkload(make_batch([key for keys in prompts for key in keys], request=request), batch_size=7)


def hits_by_prefix(prompts: list[list[int]], missed: Any) -> list[int]:
    """Of each prompt the blocks before the first that was missed."""
    found, at = [], 0
    for keys in prompts:
        wrong = np.flatnonzero(missed[at : at + len(keys)])
        found.append(int(wrong[0]) if len(wrong) else len(keys))
        at += len(keys)
    return found


@pytest.mark.parametrize("eviction", LOOPS)
@settings(max_examples=200, deadline=None)
@given(prompts=PROMPTS, capacity=st.integers(6, 40))
def test_hits_by_prefix_are_a_plain_loops(eviction: str, prompts: list[list[int]], capacity: int) -> None:
    """No prompt is longer than the cache: where one is, an engine keeps its head, and a tier takes all in."""
    missed = misses_of(workload_of(prompts), system(capacity, eviction=eviction), 0, 0)[1]
    assert hits_by_prefix(prompts, missed) == LOOPS[eviction](prompts, capacity)


@pytest.mark.parametrize("engine", [Engine, Model])
@pytest.mark.parametrize("eviction", AT_ONCE)
@settings(max_examples=100, deadline=None)
@given(prompts=PROMPTS, capacity=st.integers(6, 30))
@example(prompts=[[0, 1, 2, 3, 4, 5], [6], [0, 1, 2, 3, 4, 5], [6], [0]], capacity=6)
def test_the_hits_of_a_run_are_a_plain_loops(
    engine: Any, eviction: str, prompts: list[list[int]], capacity: int
) -> None:
    """With reuse of prefixes, a request at a time: hits less those that lie behind a missing block."""
    ledger = books()
    machine = system(capacity, eviction=eviction)
    engine(machine, CLOSED, workload_of(prompts), NonePolicy(), FREE, ledger, prefix_reuse=True).run()
    expected = AT_ONCE[eviction](prompts, capacity)
    assert ledger.n_outcomes[Outcome.HIT] - ledger.n_hits_behind == sum(expected)


THEIRS = {"fifo": fifo, "lru": radix_lru, "optimal": partial(optimal, passes_by=True)}


@pytest.mark.parametrize("policy", THEIRS)
@settings(max_examples=200, deadline=None)
@given(prompts=PROMPTS, capacity=st.integers(1, 12))
def test_loops_are_those_of_the_package(policy: str, prompts: list[list[int]], capacity: int) -> None:
    """Where it is installed: its hits, of all prompts, also where one is longer than the cache."""
    trace = pytest.importorskip("kvcache_sim.trace")
    from kvcache_sim.plan import build_execution_plan
    from kvcache_sim.policies import simulate_policy

    # It counts only what comes after the cache was filled for the first time: a prompt that fills it comes first.
    first = list(range(-capacity, 0))
    rows = [{"hash_ids": keys, "input_length": 1, "block_size": 1, "block_tokens": [1] * len(keys)} for keys in
            [first, *prompts]]  # fmt: skip
    read = trace.parse_trace_lines(map(json.dumps, rows))
    result = simulate_policy(build_execution_plan(read, 1.5 / len(rows)), policy, capacity)
    assert result.measurementMode == "fixed_window"
    assert result.hitTokens == sum(THEIRS[policy]([first, *prompts], capacity))


BATCHES = st.builds(
    lambda rows: make_batch(
        [key for key, _, _ in rows], stream=[stream for _, stream, _ in rows], request=[r for _, _, r in rows]
    ),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2), st.integers(0, 2)), max_size=40),
)


@settings(max_examples=200, deadline=None)
@given(batch=BATCHES, size=st.integers(1, 9), first=st.integers(0, 5))
@example(batch=make_batch([5, 5, 6], request=[0, 0, 0]), size=9, first=0)
def test_families_are_those_of_a_plain_loop(batch: Any, size: int, first: int) -> None:
    """Streams side by side, requests with the same numbers, blocks that come twice in a row: the same parents."""
    trace = ListWorkload(batch, size)
    found = families_of(trace, first)
    parents = parents_of(trace, first)
    assert dict(zip(found.keys.tolist(), found.parents.tolist(), strict=True)) == parents
    assert len(found.keys) == len(parents)
