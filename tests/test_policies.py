"""One contract for every policy, and what is particular to each: with plain lists, no cache in sight."""

import math
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from policies.given import Given
from policies.lstm.lanes import accesses_of
from policies.next_n import NextNPolicy
from policies.registry import PolicyConfig, policies
from simulator.policy import AccessRun, Fate, Told, Trigger

CONFIG: Any = TypeAdapter(PolicyConfig)
SMALL = {"kind": "lstm", "vocabulary": 32, "embedding": 8, "hidden": 8, "window": 6, "epochs": 3, "device": "cpu"}
EXAMPLES: dict[str, dict[str, Any]] = {
    "none": {"kind": "none"},
    "next_n": {"kind": "next_n", "n": 3},
    "lstm": SMALL,
    "lstm, window": {**SMALL, "inference": "window", "degree": 3},
    "lstm, delta, eager": {**SMALL, "encoding": "delta", "backend": "eager", "degree": 2},
    "lstm, page and offset": {**SMALL, "encoding": "page_offset", "page_blocks": 4, "degree": 4},
    "lstm, roll-out": {**SMALL, "expand": "rollout", "degree": 3},
    "lstm, window, roll-out": {**SMALL, "inference": "window", "expand": "rollout", "degree": 3},
    "lstm, ahead": {**SMALL, "horizons": [1, 2, 4], "horizon": 2},
}
CYCLE = np.tile(np.array([3, 1, 4, 15, 9, 2, 6], np.uint64), 60)


def run_of(keys: list[int], stream: int = 0) -> AccessRun:
    n = len(keys)
    return AccessRun(np.array(keys, np.uint64), np.full(n, stream, np.uint32), np.full(n, 4, np.uint8))


def made(kind: str) -> Any:
    return CONFIG.validate_python(EXAMPLES[kind]).build(Given(lambda per_stream: [accesses_of(CYCLE)], seed=0)).policy


def test_every_policy_has_an_example() -> None:
    assert {example["kind"] for example in EXAMPLES.values()} == set(policies())


@pytest.mark.parametrize("kind", EXAMPLES)
def test_contract(kind: str) -> None:
    """Deterministic, instances share nothing, answers are well-formed, extreme keys do no harm."""
    runs = [run_of([3]), run_of([1, 4]), run_of([2**64 - 1]), run_of([0]), run_of([9, 2, 6, 3, 1, 4, 15, 9], stream=1)]
    first, second = made(kind), made(kind)
    expected = [list(first.decide([run]).answers) for run in runs]
    second.told(Told([3], [Fate.TIMELY]))
    found = [list(second.decide([run]).answers) for run in runs]
    for (a,), (b,) in zip(expected, found, strict=True):
        assert list(a.keys) == list(b.keys)
        assert list(a.confidences) == list(b.confidences)
        assert len(a.keys) == len(a.confidences)
        assert all(isinstance(key, int) and 0 <= key < 2**64 for key in a.keys)
        assert all(0 <= confidence <= 1 and math.isfinite(confidence) for confidence in a.confidences)
    assert first.footprint_bytes >= 0
    assert isinstance(first.trigger, Trigger)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_batch_answers_as_one_by_one(kind: str) -> None:
    runs = [run_of([3, 1]), run_of([4]), run_of([15, 9, 2]), run_of([6, 3], stream=1), run_of([1], stream=2)]
    runs.append(run_of([6]))
    one, many = made(kind), made(kind)
    singly = [one.decide([run]).answers[0] for run in runs]
    together = many.decide(runs).answers
    assert [list(a.keys) for a in singly] == [list(a.keys) for a in together]
    for a, b in zip(singly, together, strict=True):
        assert a.predicted_key == b.predicted_key
        np.testing.assert_allclose(a.confidences, b.confidences, rtol=1e-4)


def test_next_n() -> None:
    policy = NextNPolicy(3, stride=2)
    assert list(policy.decide([run_of([7, 10])]).answers[0].keys) == [12, 14, 16]
    assert list(policy.decide([run_of([2**64 - 3])]).answers[0].keys) == [2**64 - 1]
    assert list(NextNPolicy(2, stride=-1).decide([run_of([1])]).answers[0].keys) == [0]


def test_streams_have_windows_of_their_own() -> None:
    policy, alone = made("lstm"), made("lstm")
    for a, b in zip([3, 1, 4], [9, 2, 6], strict=True):
        policy.decide([run_of([a], stream=0)])
        policy.decide([run_of([b], stream=1)])
        alone.decide([run_of([a], stream=0)])
    assert policy.decide([run_of([15])]).answers[0].confidence == alone.decide([run_of([15])]).answers[0].confidence


def test_threshold_holds_back() -> None:
    config = CONFIG.validate_python({**SMALL, "threshold": 1.0})
    policy = config.build(Given(lambda per_stream: [accesses_of(CYCLE)], seed=0)).policy
    answer = policy.decide([run_of([3, 1, 4])]).answers[0]
    assert list(answer.keys) == []
    assert answer.predicted_key is not None


def test_every_decision_is_timed() -> None:
    policy = made("lstm")
    times = [policy.decide([run_of([3])]).host_ns for _ in range(20)]
    assert min(times) > 1000
    assert len(set(times)) > 10
