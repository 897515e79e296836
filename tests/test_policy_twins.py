"""Compiled prefetch policies against the same in plain Python, answer by answer; and their tables against a dict."""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from policies import rows
from policies.base import CompiledPolicy
from policies.given import Accesses, Given
from policies.registry import POLICIES
from simulator.answers import distinct
from simulator.arrays import NONE, signed
from simulator.charge import fixed
from simulator.compiled import address_of, compiled, ints_at
from simulator.config import Arrivals
from simulator.engine import Engine
from simulator.policy import AccessRun, Fate, Told
from simulator.trace import READ, WRITE, make_batch
from tests.naive_policies import NAIVE
from tests.strategies import ListSink, ListWorkload, arrivals, books, systems

TRIGGERS = st.sampled_from(["miss", "tagged", "access"])
SETTINGS: dict[str, Any] = {
    "next_n": st.fixed_dictionaries(
        {"n": st.integers(1, 40), "stride": st.sampled_from([1, -1, 2, 7, 2**62, -(2**62)]), "trigger": TRIGGERS}
    ),
    "obl": st.fixed_dictionaries({"run": st.integers(1, 4), "streams": st.integers(1, 3), "trigger": TRIGGERS}),
    "stream_buffers": st.fixed_dictionaries(
        {"buffers": st.integers(1, 4), "depth": st.integers(1, 6), "trigger": TRIGGERS}
    ),
    "stride": st.fixed_dictionaries(
        {
            "entries": st.integers(1, 4), "degree": st.integers(1, 5), "counter_bits": st.integers(1, 4),
            "counter_start": st.integers(0, 9), "threshold": st.floats(0, 1), "trigger": TRIGGERS,
        }
    ),
}  # fmt: skip
SETTINGS |= {
    "markov": st.fixed_dictionaries(
        {
            "entries": st.integers(1, 8), "successors": st.integers(1, 4),
            "order": st.sampled_from(["recency", "frequency"]), "trigger": TRIGGERS,
        }
    ),
    "ghb": st.fixed_dictionaries(
        {
            "index": st.sampled_from(["global", "stream"]), "entries": st.integers(1, 24),
            "index_entries": st.integers(1, 4), "degree": st.integers(1, 9), "trigger": TRIGGERS,
        }
    ),
    "dcpt": st.fixed_dictionaries(
        {
            "entries": st.integers(1, 4), "deltas": st.integers(3, 9), "delta_bits": st.sampled_from([2, 4, 12, 62]),
            "in_flight": st.integers(1, 6), "trigger": TRIGGERS,
        }
    ),
    "sms": st.fixed_dictionaries(
        {
            "region_blocks": st.sampled_from([2, 3, 8, 100]), "filter_entries": st.integers(1, 3),
            "accumulation_entries": st.integers(1, 3), "history_entries": st.integers(1, 6), "trigger": TRIGGERS,
        }
    ),
    "best_offset": st.fixed_dictionaries(
        {
            "score_max": st.integers(1, 5), "round_max": st.integers(1, 5), "bad_score": st.integers(0, 2),
            "max_offset": st.integers(1, 9), "recent": st.integers(1, 9), "delay": st.integers(0, 3),
            "degree": st.integers(1, 4), "trigger": TRIGGERS,
        }
    ),
    "linux_readahead": st.fixed_dictionaries(
        {"max_blocks": st.sampled_from([2, 3, 5, 8, 32, 40, 128]), "files": st.integers(1, 4), "trigger": TRIGGERS}
    ),
    "leap": st.fixed_dictionaries(
        {
            "history": st.integers(2, 17), "split": st.integers(1, 5), "max_window": st.integers(1, 9),
            "trigger": TRIGGERS,
        }
    ),
    "isb": st.fixed_dictionaries(
        {
            "chunk": st.integers(2, 9), "counter_bits": st.integers(1, 3), "degree": st.integers(1, 5),
            "entries": st.integers(1, 20), "streams": st.integers(1, 4), "trigger": TRIGGERS,
        }
    ),
    "amp": st.fixed_dictionaries(
        {
            "streams": st.integers(1, 5), "run": st.integers(1, 3), "degree": st.integers(1, 6),
            "asynchronous_above": st.integers(1, 5), "max_degree": st.integers(1, 9), "trigger": TRIGGERS,
        }
    ),
    "spp": st.fixed_dictionaries(
        {
            "page_blocks": st.sampled_from([2, 3, 8, 100]), "signature_entries": st.integers(1, 5),
            "pattern_entries": st.integers(1, 9), "deltas": st.integers(1, 4),
            "threshold": st.one_of(st.just(0.0), st.floats(0, 1)), "max_depth": st.integers(1, 6),
            "crossings": st.integers(1, 4), "trigger": TRIGGERS,
        }
    ),
    "mithril": st.fixed_dictionaries(
        {
            "lookahead": st.integers(1, 12), "min_support": st.integers(1, 3), "max_support": st.integers(3, 5),
            "confidence": st.integers(0, 3), "successors": st.integers(1, 3), "recording_entries": st.integers(1, 12),
            "mining_entries": st.integers(2, 7), "entries": st.integers(1, 12), "trigger": TRIGGERS,
        }
    ),
    "probability_graph": st.fixed_dictionaries(
        {
            "lookahead": st.integers(1, 9), "min_probability": st.floats(0.01, 1), "degree": st.integers(1, 5),
            "entries": st.integers(1, 15), "successors": st.integers(1, 6), "trigger": TRIGGERS,
        }
    ),
    "pythia": st.fixed_dictionaries(
        {
            "page_blocks": st.sampled_from([2, 3, 8, 100]), "page_entries": st.integers(1, 4),
            "queue": st.integers(2, 9), "actions": st.sampled_from([[1, 0], [1, 2, -1, 0, 5], [3, 1, 1, 7]]),
            "planes": st.integers(1, 3), "tiles": st.integers(1, 5), "alpha": st.sampled_from([0.01, 0.5, 1.0]),
            "gamma": st.sampled_from([0, 0.5]), "epsilon": st.sampled_from([0, 0.1, 1]),
            "crowded": st.sampled_from([0, 0.01, 0.5]), "max_degree": st.integers(1, 6), "trigger": TRIGGERS,
        }
    ),
}  # fmt: skip
EXPERTS = st.lists(
    st.one_of(*[drawn.map(lambda said, kind=kind: {"kind": kind, **said}) for kind, drawn in SETTINGS.items()]),
    min_size=1, max_size=3,
)  # fmt: skip
SETTINGS["hybrid"] = st.fixed_dictionaries(
    {
        "experts": EXPERTS, "window": st.integers(1, 20), "weight": st.sampled_from([0.01, 0.3, 1.0]),
        "prior": st.floats(0, 1), "degree": st.integers(1, 9), "rule": st.just("threshold"),
        "threshold": st.sampled_from([0, 0.1, 0.3, 0.6]),
    }
)  # fmt: skip
SETTINGS["selector"] = st.fixed_dictionaries(
    {
        "experts": EXPERTS, "step": st.sampled_from([1, 3, 10]), "gamma": st.sampled_from([0.3, 0.9, 1.0]),
        "c": st.sampled_from([0, 0.04, 1.0]), "late": st.sampled_from([0, 0.6]), "wrong": st.sampled_from([0.1, 1.0]),
        "owners": st.sampled_from([2, 50]),
    }
)  # fmt: skip
# Near the ends of the key space, and few, so that histories repeat.
KEYS = [*range(13), *range(2**64 - 6, 2**64), *range(2**63 - 3, 2**63 + 4)]
STEPS = [0, 1, 1, 1, -1, 2, 3, 5, -7, 2**40, 2**62, -(2**63)]


def _walk(chance: Random, keys: list[int]) -> Iterator[int]:
    """The keys of a stream: a few steps or a few keys again and again, with noise."""
    steps = [1] if chance.random() < 0.3 else chance.choices(STEPS, k=chance.choice([1, 1, 2, 3]))
    tour = chance.choices(keys, k=chance.randint(2, 6)) if chance.random() < 0.4 else []
    noise = chance.choice([0, 0.05, 0.3])
    key = chance.choice(keys)
    for i in count():
        key = tour[i % len(tour)] if tour else (key + steps[i % len(steps)]) % 2**64
        if chance.random() < noise:
            key = chance.choice(keys)
        yield key


@st.composite
def runs(draw: st.DrawFn) -> list[AccessRun]:
    """What several questions show: streams that walk, each in its own way, and take turns."""
    chance = Random(draw(st.integers(0, 2**32)))
    n_streams, longest = chance.randint(1, 6), chance.choice([1, 1, 5])
    keys = chance.sample(KEYS, chance.choice([4, 8, len(KEYS)]))
    walks = [_walk(chance, keys) for _ in range(n_streams)]
    found = []
    for _ in range(draw(st.sampled_from([1, 4, 10, 30, 60, 100, 150, 200]))):
        streams = chance.choices(range(n_streams), k=chance.randint(1, longest))
        shown = [next(walks[stream]) for stream in streams]
        outcomes = chance.choices(range(5), weights=[2, 1, 1, 1, 5], k=len(shown))
        ops = chance.choices([READ, WRITE], weights=[3, 1], k=len(shown))
        found.append(
            AccessRun(
                np.array(shown, np.uint64), np.array(streams, np.uint32), np.array(outcomes, np.uint8),
                {"op": np.array(ops, np.uint8)},
            )
        )  # fmt: skip
    return found


def _built(kind: str, settings_: dict[str, Any]) -> tuple[Any, Any]:
    config = POLICIES.validate({"kind": kind, **settings_})
    return config.build(Given(lambda _: [], 0)).policy, NAIVE[kind](config)


def test_every_twin_has_a_compiled_policy() -> None:
    said = {kind: {"experts": [{"kind": "next_n"}]} for kind in ("hybrid", "selector")}
    assert all(isinstance(_built(kind, said.get(kind, {}))[0], CompiledPolicy) for kind in NAIVE)
    assert set(SETTINGS) == set(NAIVE)


@pytest.mark.parametrize("kind", SETTINGS)
@settings(max_examples=40, deadline=None)
@given(data=st.data(), shown=runs(), seed=st.integers(0, 2**32))
def test_warmed_it_equals_its_twin(kind: str, data: st.DataObject, shown: list[AccessRun], seed: int) -> None:
    """Which is shown the training part access by access, each as a miss, and asked after each."""
    keys, streams, ops = (np.concatenate([run[name] for run in shown]) for name in ("key", "stream", "op"))
    accesses = Accesses(keys, ops == WRITE, {"stream": streams})
    config: Any = POLICIES.validate({"kind": kind, "start": "warm", **data.draw(SETTINGS[kind])})
    ours, theirs = config.build(Given(lambda per_stream, needs=(): [accesses], 0)).policy, NAIVE[kind](config)
    theirs.learn_all(keys, streams, ops == WRITE)
    for run in data.draw(runs()):
        found, expected = ours.decide([run]).answers[0], theirs.decide([run]).answers[0]
        assert list(found.keys) == list(expected.keys)
        assert list(found.confidences) == list(expected.confidences)


@pytest.mark.parametrize("kind", SETTINGS)
@settings(max_examples=150, deadline=None)
@given(data=st.data(), shown=runs(), seed=st.integers(0, 2**32))
def test_equals_its_twin(kind: str, data: st.DataObject, shown: list[AccessRun], seed: int) -> None:
    ours, theirs = _built(kind, data.draw(SETTINGS[kind]))
    assert (ours.trigger, ours.ahead) == (theirs.trigger, theirs.ahead)
    chance, wanted = Random(seed), [0]
    for run in shown:
        found, expected = ours.decide([run]).answers[0], theirs.decide([run]).answers[0]
        assert list(found.keys) == list(expected.keys)
        assert list(found.confidences) == list(expected.confidences)
        assert found.predicted_key == expected.predicted_key
        wanted += found.keys
        while wanted and chance.random() < 0.8:
            told = Told([wanted.pop(0)], [chance.choice(list(Fate))])
            ours.told(told)
            theirs.told(told)


@pytest.mark.parametrize("kind", SETTINGS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), shown=runs(), machine=systems(), arrival=arrivals(), cost=st.sampled_from([0, 60]))
def test_runs_as_its_twin(
    kind: str, data: st.DataObject, shown: list[AccessRun], machine: Any, arrival: Any, cost: int
) -> None:
    """The engine asks one without Python, the other with it; both hear the same fates."""
    keys, streams, ops = (np.concatenate([run[name] for run in shown]) for name in ("key", "stream", "op"))
    batch = make_batch(keys, stream=streams, op=ops, time_ns=np.arange(len(keys)) * 50)
    found = []
    for policy in _built(kind, data.draw(SETTINGS[kind])):
        sink = ListSink()
        ledger = books(sink)
        arriving = TypeAdapter(Arrivals).validate_python(arrival)
        Engine(machine, arriving, ListWorkload(batch), policy, fixed(cost), ledger).run()
        counts = (ledger.n_fates, ledger.n_rejected, ledger.n_proposed, ledger.n_issued, ledger.n_outcomes)
        found.append((*map(str, counts), sink.accesses()))
    assert found[0] == found[1]


@compiled
def _call(memory: int, what: int, key: int, value: int) -> int:
    state = ints_at(memory)
    row = rows.put(state, 0, key) if what == 0 else rows.use(state, 0, key) if what == 1 else rows.peek(state, 0, key)
    if row == NONE:
        return NONE
    if what == 0:
        state[row + rows.FIELDS] = value
    found = state[row + rows.FIELDS]
    if what == 3:
        rows.remove(state, 0, row)
    return found


@given(st.integers(1, 6), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 99)), max_size=80))
def test_rows_are_an_ordered_dict(entries: int, steps: list[tuple[int, int, int]]) -> None:
    p = rows.state(rows.words(entries, 1))
    rows.setup(p, 0, entries, 1)
    twin: OrderedDict[int, int] = OrderedDict()
    for what, number, value in steps:
        key = signed(2**64 - number)
        found = _call(address_of(p), what, key, value)
        if what == 0:
            if key not in twin and len(twin) == entries:
                twin.popitem(last=False)
            twin[key] = value
        assert found == twin.get(key, NONE)
        if what < 2 and key in twin:
            twin.move_to_end(key)
        elif what == 3:
            twin.pop(key, None)


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(0, 9))
def test_distinct_keeps_the_first_of_each(wanted: list[int], key: int) -> None:
    keys, confidences = np.array(wanted, np.int64), np.arange(len(wanted), dtype=float)
    n = distinct(key, keys, confidences, len(wanted))
    firsts = {k: i for i, k in reversed(list(enumerate(wanted))) if k != key}
    expected = sorted(firsts.items(), key=lambda item: item[1])
    assert list(zip(keys[:n].tolist(), confidences[:n].tolist(), strict=True)) == [(k, float(i)) for k, i in expected]
