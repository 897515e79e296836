"""Compiled prefetch policies against the same in plain Python, answer by answer; and their tables against a dict."""

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import rows
from policies.base import CompiledPolicy
from policies.given import Given
from policies.registry import policies
from simulator.answers import distinct
from simulator.arrays import NONE, Ints, signed
from simulator.compiled import compiled
from simulator.policy import AccessRun
from tests.naive_policies import NAIVE

TRIGGERS = st.sampled_from(["miss", "tagged", "access"])
SETTINGS: dict[str, Any] = {
    "next_n": st.fixed_dictionaries(
        {"n": st.integers(1, 40), "stride": st.sampled_from([1, -1, 2, 7, 2**62, -(2**62)]), "trigger": TRIGGERS}
    ),
    "stride": st.fixed_dictionaries(
        {
            "entries": st.integers(1, 4), "degree": st.integers(1, 5), "counter_bits": st.integers(1, 4),
            "start": st.integers(0, 9), "threshold": st.floats(0, 1), "trigger": TRIGGERS,
        }
    ),
}  # fmt: skip
# Near the ends of the key space, and few, so that histories repeat.
KEYS = st.one_of(st.integers(0, 12), st.integers(2**64 - 6, 2**64 - 1), st.integers(2**63 - 3, 2**63 + 3))


@st.composite
def runs(draw: st.DrawFn) -> list[AccessRun]:
    """What several questions show: steady strides of some streams, and noise."""
    found = []
    at = {stream: draw(KEYS) for stream in range(6)}
    steps = {stream: draw(st.sampled_from([0, 1, -1, 3, 2**40])) for stream in range(6)}
    for _ in range(draw(st.integers(1, 12))):
        n = draw(st.integers(1, 5))
        streams = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
        keys = []
        for stream in streams:
            at[stream] = draw(KEYS) if draw(st.integers(0, 5)) == 0 else (at[stream] + steps[stream]) % 2**64
            keys.append(at[stream])
        outcomes = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
        found.append(AccessRun(np.array(keys, np.uint64), np.array(streams, np.uint32), np.array(outcomes, np.uint8)))
    return found


def test_every_compiled_policy_has_a_twin() -> None:
    built = {
        kind: config.model_validate({"kind": kind}).build(Given(lambda _: [], 0)).policy
        for kind, config in policies().items()
        if kind in SETTINGS
    }
    assert all(isinstance(policy, CompiledPolicy) for policy in built.values())
    assert set(SETTINGS) == set(NAIVE)


@pytest.mark.parametrize("kind", SETTINGS)
@settings(max_examples=150, deadline=None)
@given(data=st.data(), shown=runs())
def test_equals_its_twin(kind: str, data: st.DataObject, shown: list[AccessRun]) -> None:
    config = policies()[kind].model_validate({"kind": kind, **data.draw(SETTINGS[kind])})
    ours, theirs = config.build(Given(lambda _: [], 0)).policy, NAIVE[kind](config)
    assert ours.trigger == theirs.trigger
    for run in shown:
        found, expected = ours.decide([run]).answers[0], theirs.decide([run]).answers[0]
        assert list(found.keys) == list(expected.keys)
        assert list(found.confidences) == list(expected.confidences)
        assert found.predicted_key == expected.predicted_key


@compiled
def _call(p: Ints, what: int, key: int, value: int) -> int:
    row = rows.put(p, 0, key) if what == 0 else rows.use(p, 0, key) if what == 1 else rows.peek(p, 0, key)
    if row == NONE:
        return NONE
    if what == 0:
        p[row + rows.FIELDS] = value
    found = p[row + rows.FIELDS]
    if what == 3:
        rows.remove(p, 0, row)
    return found


@given(st.integers(1, 6), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 99)), max_size=80))
def test_rows_are_an_ordered_dict(entries: int, steps: list[tuple[int, int, int]]) -> None:
    p = rows.state(rows.words(entries, 1))
    rows.setup(p, 0, entries, 1)
    twin: OrderedDict[int, int] = OrderedDict()
    for what, number, value in steps:
        key = signed(2**64 - number)
        found = _call(p, what, key, value)
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
