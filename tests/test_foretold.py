"""Policies that are told what comes: which blocks of which requests, and how often they are right."""

from typing import Any

import numpy as np
import pytest

from policies.given import Demand, Given
from policies.registry import POLICIES
from simulator.policy import AccessRun

# Stream 0 has the requests 10, 12 and 14, stream 1 has 11 and 13; of request 12 the second block is written.
KEYS = [0, 1, 100, 4, 5, 101, 102, 8]
STREAM = [0, 0, 1, 0, 0, 1, 1, 0]
REQUEST = [0, 0, 1, 2, 2, 3, 3, 4]
READS = [True, True, True, True, False, True, True, True]


def policy(kind: str, n: int = 1, **settings: Any) -> Any:
    known = Demand(
        np.array(KEYS * n, np.uint64), np.array(STREAM * n, np.uint32), np.array(READS * n),
        requests=np.concatenate([np.array(REQUEST) + 5 * i for i in range(n)]),
    )  # fmt: skip
    given = Given(lambda per_stream, needs=(): [], 7, future=lambda: known)
    return POLICIES.validate({"kind": kind, **settings}).build(given).policy


def answers(of: Any, n: int = 1) -> list[list[int]]:
    runs = [
        AccessRun(np.array([key], np.uint64), np.array([stream], np.uint32), np.array([4], np.uint8))
        for key, stream in zip(KEYS * n, STREAM * n, strict=True)
    ]
    return [list(answer.keys) for answer in of.decide(runs).answers]


def test_lookahead_wants_the_reads_of_the_streams_next_request() -> None:
    # Asked with the first block of a request alone; the last of a stream has nothing behind it.
    assert answers(policy("lookahead")) == [[4], [], [101, 102], [8], [], [], [], []]
    assert answers(policy("lookahead", requests=2)) == [[4, 8], [], [101, 102], [8], [], [], [], []]


def test_accesses_that_come_together_are_counted_all() -> None:
    run = AccessRun(np.array(KEYS[:4], np.uint64), np.array(STREAM[:4], np.uint32), np.full(4, 4, np.uint8))
    assert list(policy("lookahead").decide([run]).answers[0].keys) == [8]


def test_a_request_whose_own_question_was_superseded_is_answered_all_the_same() -> None:
    # Shown with the second access of request 12, whose first one is in the same run.
    run = AccessRun(np.array(KEYS[:5], np.uint64), np.array(STREAM[:5], np.uint32), np.full(5, 4, np.uint8))
    assert list(policy("lookahead").decide([run]).answers[0].keys) == [8]


def test_a_gate_that_is_always_right_is_a_lookahead() -> None:
    assert answers(policy("expert_gate", experts=8, accuracy=[1.0, 1.0])) == answers(policy("lookahead", requests=2))


def test_a_gate_is_right_as_often_as_it_is_said() -> None:
    n = 600
    near = answers(policy("expert_gate", n, experts=50, accuracy=[0.8]), n)
    truth = answers(policy("lookahead", n), n)
    # As many as there will be, none twice; a wrong one is of the same layer.
    assert [[key // 50 for key in sorted(one)] for one in near] == [[key // 50 for key in sorted(one)] for one in truth]
    assert all(len(set(one)) == len(one) for one in near)
    n_right = sum(len(set(one) & set(other)) for one, other in zip(near, truth, strict=True))
    assert n_right / sum(map(len, truth)) == pytest.approx(0.8, abs=0.03)
    # Two layers ahead as often as is said for that.
    far = answers(policy("expert_gate", n, experts=50, accuracy=[1.0, 0.3]), n)
    further = answers(policy("lookahead", n, requests=2), n)
    behind = [(one[len(first) :], other[len(first) :]) for one, other, first in zip(far, further, truth, strict=True)]
    n_right = sum(len(set(one) & set(other)) for one, other in behind)
    assert n_right / sum(len(other) for _, other in behind) == pytest.approx(0.3, abs=0.04)


def test_a_seed_is_one_gate() -> None:
    gates = [policy("expert_gate", 20, experts=50, accuracy=[0.5]) for _ in range(2)]
    assert answers(gates[0], 20) == answers(gates[1], 20)


def test_a_wrong_guess_is_a_key_whatever_the_group() -> None:
    # The group of the largest key ends with it; of a group of any size nothing is listed.
    known = Demand(np.array([2**64 - 1, 2**64 - 2], np.uint64), np.zeros(2, np.uint32), np.ones(2, bool))
    given = Given(lambda per_stream, needs=(): [], 7, future=lambda: known)
    for experts in (10, 2**48):
        gate = POLICIES.validate({"kind": "expert_gate", "experts": experts, "accuracy": [0.0]}).build(given).policy
        run = AccessRun(known.keys[:1], known.stream[:1], np.array([4], np.uint8))
        (guess,) = gate.decide([run]).answers[0].keys
        assert guess != 2**64 - 2
        assert 2**64 - 2 - (2**64 - 2) % experts <= guess < 2**64
