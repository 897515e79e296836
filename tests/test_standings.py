"""What is made of runs on several slices of a trace: planted latencies, and figures worked by hand."""

from typing import Any

import numpy as np
import pytest

from benchmarks import standings
from benchmarks.standing_tables import Learned, tables
from benchmarks.verdicts import Slice, best_of, mean_share
from benchmarks.verdicts import standings as judge
from experiments.charges import ChargeConfig
from experiments.compare.verdict import BETTER, NOT_SHOWN, TOO_FEW, WORSE
from policies.registry import POLICIES

NOISE = np.random.default_rng(1).normal(100, 5, 400)
# By slice: `none` is 100, so that means are shares in hundredths; of `learned` two seeds whose mean is what counts.
MEANS: dict[str, list[list[float]]] = {
    "none": [[100], [100], [100]],
    "oracle": [[10], [20], [30]],
    "next": [[50], [60], [70]],
    "markov": [[20], [95], [70]],
    "learned.free": [[30, 50], [40], [40]],
    "learned.10us": [[20], [20], [20]],
    "learned.measured": [[60], [61], [59]],
    "sure": [[40], [50], [60]],
}


def planted(first: int = 0, last: int = 3, **requests: list[Any]) -> list[Slice]:
    return [
        Slice(i * 100, {arm: means[i] for arm, means in MEANS.items()}, {
            arm: requests.get(arm.partition(".")[0], [NOISE] * len(means[i])) for arm, means in MEANS.items()
        })
        for i in range(first, last)
    ]  # fmt: skip


def test_slices_count_alike_and_seeds_within_them() -> None:
    slices = planted()
    assert mean_share(slices, "learned.free") == pytest.approx(0.4)  # (40 + 40 + 40) / 3, not (30 + 50 + 40 + 40) / 4
    assert best_of(slices, ["none", "next", "markov"]) == "next"  # 0.6 beside 0.617; markov has the best single slice


def test_an_interval_and_a_verdict_worked_by_hand() -> None:
    """Differences of -0.1, -0.2, -0.3: the mean -0.2, its error 0.1 / sqrt(3), times 4.3027 of two degrees: 0.2484."""
    free, sure, measured = judge(planted(), ["learned.free", "sure", "learned.measured"], "next")
    assert (free.against.low, free.against.high) == pytest.approx((-0.4484, 0.0484), abs=1e-4)
    assert free.over_best == pytest.approx(0.4 / 0.6)
    assert free.possible == pytest.approx(0.6 / 0.8)
    assert (free.least, free.most) == (0.3, 0.5)
    assert free.verdict == TOO_FEW
    # Always the same difference: no slice tells of another one.
    assert (sure.against.mean, sure.verdict) == (pytest.approx(-0.1), BETTER)
    assert measured.verdict == TOO_FEW
    [others] = judge(planted(), ["learned.measured"], "sure")
    assert others.over_best == pytest.approx(1.2)


def test_runs_are_judged_by_their_requests() -> None:
    slices = planted(next=[NOISE], learned=[NOISE - 10, NOISE], sure=[NOISE + 10])
    free, sure = judge(slices, ["learned.free", "sure"], "next")
    assert free.by_request == {BETTER: 3, WORSE: 0, NOT_SHOWN: 3, TOO_FEW: 0}
    assert sure.by_request == {BETTER: 0, WORSE: 3, NOT_SHOWN: 0, TOO_FEW: 0}
    # Too few to say how they depend on each other.
    [few] = judge(planted(next=[NOISE[:100]], sure=[NOISE[:100] - 10]), ["sure"], "next")
    assert few.by_request[TOO_FEW] == 3


def test_one_slice_has_its_seeds() -> None:
    """0.3 and 0.5: the mean 0.4, the error 0.1, times 12.706 of one degree."""
    free, sure = judge(planted(last=1), ["learned.free", "sure"], "next")
    assert (free.share.low, free.share.high) == pytest.approx((0.4 - 1.2706, 0.4 + 1.2706), abs=1e-4)
    assert np.isnan(sure.share.low)
    assert sure.verdict == TOO_FEW


def test_the_tables() -> None:
    about: dict[str, Any] = {"trace": "t", "first": 100, "arm": "learned", "control": "the next block", "n_restarts": 1}
    about |= {"control_ratio": 0.25, "judged_ratio": 0.5, "named_ratio": 0.125}
    models = [
        Learned(**about, beats_control=False, is_held_back=True),
        Learned(**about | {"named_ratio": 0.375}, beats_control=True, is_held_back=False),
    ]
    text = tables({"t": planted()}, ["none", "next", "markov"], models)
    # What is charged 10 us is neither uncharged nor measured, though it is the fastest.
    line = "| t | 3 | 0.200 | next 0.600 | 0.50 | learned 0.400 | 0.667 [0.253, 1.081] | 0.75 | learned 0.600 | 1.000 "
    assert line in text
    assert "| next | **0.600** |" in text
    assert "| markov | 0.617 |" in text
    rows = [line.split(" | ")[:3] for line in text[text.index("### t") :].splitlines() if line.startswith("| ")]
    assert [row[:2] for row in rows[1:5]] == [
        ["| learned", "10us"], ["| learned", "free"], ["| sure", "free"], ["| learned", "measured"]
    ]  # fmt: skip
    assert "| t | 100 | learned | 0.125, 0.375 | the next block | 0.250 | 1 of 2 | 1 of 2 | 2 | 0.500, 0.500 |" in text


@pytest.mark.parametrize(
    ("length", "expected"),
    [(15_858, [0]), (45_000, [0, 22_500]), (60_000, [0, 20_000, 40_000]), (300_000, [0, 100_000, 200_000])],
)
def test_slices_do_not_overlap(length: int, expected: list[int]) -> None:
    assert standings.firsts(length, 3) == expected


def test_every_arm_can_be_had() -> None:
    from pydantic import TypeAdapter

    charge = TypeAdapter[Any](ChargeConfig)
    for policy, charged in (standings.drawn_from_nothing() | standings.charged(standings.TRAINED)).values():
        assert POLICIES.validate(policy).kind == policy["kind"]
        charge.validate_python(charged)
