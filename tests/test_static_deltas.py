"""The steps that were most used in the training part: counted as naively as can be, and what they are used for."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import static_deltas
from policies.given import Accesses, Given
from policies.registry import POLICIES
from policies.static_deltas import most_used
from policies.timing import Timing
from simulator.policy import AccessRun
from tests.test_experiment import call, only_lstm, write

KEYS = st.lists(st.sampled_from([0, 1, 2, 3, 5, 8, 2**63, 2**64 - 1]), max_size=30)


def naive(sequences: list[list[tuple[int, bool]]], window: int) -> list[tuple[int, float]]:
    counts: Counter[int] = Counter()
    for sequence in sequences:
        for i, (key, _) in enumerate(sequence):
            after = sequence[i + 1 : i + 1 + window]
            counts.update({(other - key + 2**63) % 2**64 - 2**63 for other, is_written in after if not is_written})
    del counts[0]
    n = max(sum(map(len, sequences)), 1)
    return [(step, count / n) for step, count in sorted(counts.items(), key=lambda x: (-x[1], abs(x[0]), x[0] < 0))]


@pytest.mark.parametrize("chunk", [1, 3, 1 << 15])
@settings(max_examples=100, deadline=None)
@given(keys=st.lists(KEYS, max_size=3), window=st.integers(1, 6), data=st.data())
def test_counts_are_those_of_a_loop(chunk: int, keys: list[list[int]], window: int, data: st.DataObject) -> None:
    """Once an access, in whatever pieces; a write needs no fetch; steps do not go from stream to stream."""
    sequences = [[(key, data.draw(st.booleans())) for key in stream] for stream in keys]
    given_ = [Accesses(np.array([k for k, _ in s], np.uint64), np.array([w for _, w in s], bool)) for s in sequences]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(static_deltas, "_CHUNK", chunk)
        steps, shares = most_used(given_, window)
    assert list(zip(steps.tolist(), shares.tolist(), strict=True)) == naive(sequences, window)


def policy(sequence: list[int], **said: Any) -> Any:
    accesses = Accesses(np.array(sequence, np.uint64), np.zeros(len(sequence), bool))
    # A prefetch pays from one in four on.
    timing = Timing(fetch_ns=300, lead_ns=lambda h: 0.0, wrong_ns=100, inference_ns=None, is_sync=False)
    given_ = Given(lambda per_stream: [accesses], 0, timing=lambda: timing)
    return POLICIES.validate({"kind": "static_deltas", **said}).build(given_).policy


def asked(it: Any, key: int) -> list[tuple[int, float]]:
    one = AccessRun(np.array([key], np.uint64), np.zeros(1, np.uint32), np.full(1, 4, np.uint8))
    answer = it.decide([one]).answers[0]
    return list(zip(answer.keys, answer.confidences, strict=True))


def test_what_it_wants() -> None:
    """By hand: of eight accesses four are followed by +1 within two, four by +11 and two by +10; others once.

    What is used more often comes first, then what is nearer; blocks beyond the end of the key space are left out.
    """
    sequence = [0, 1, 11, 12, 22, 23, 24, 15]
    assert Counter(b - a for a, b in pairwise(sequence)) == {1: 4, 10: 2, -9: 1}
    all_of_them = asked(policy(sequence, window=2, rule="threshold", threshold=0), 100)
    assert all_of_them[:3] == [(101, 4 / 8), (111, 4 / 8), (110, 2 / 8)]
    assert [key for key, _ in asked(policy(sequence, window=2), 100)] == [101, 111, 110]
    assert asked(policy(sequence, window=2, degree=1), 100) == [(101, 4 / 8)]
    assert asked(policy(sequence, window=2), 2**64 - 2) == [(2**64 - 1, 4 / 8)]
    assert asked(policy([]), 5) == []


def test_a_run_with_it_and_with_tables_that_are_warm(tmp_path: Path) -> None:
    """Both know the training part and nothing else, and cost nothing; without one they are refused."""
    content = only_lstm({"kind": "free"})
    content["arms"][1:] = [
        {"name": name, "policy": {"kind": kind, **said}}
        for name, kind, said in (
            ("static", "static_deltas", {"rule": "threshold"}),
            ("cold", "markov", {}),
            ("warm", "markov", {"start": "warm"}),
        )
    ]  # fmt: skip
    result = call(write(tmp_path, content), "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    rows = pd.read_parquet(tmp_path / "out" / "runs.parquet").set_index("arm")
    assert set(rows["latencies"]) == {"free"}
    assert rows.loc["warm", "n_issued"] > rows.loc["cold", "n_issued"] > 0
    for arm in ("static", "warm"):
        alone = {**content, "arms": [content["arms"][0], next(one for one in content["arms"] if one["name"] == arm)]}
        alone["workload"] = {**content["workload"], "train_ratio": 0}
        result = call(write(tmp_path, alone), "--out", tmp_path / "refused")
        assert result.exit_code == 2
        assert "train_ratio" in result.output
