"""From scores to prefetches: the best classes, roll-out, horizons, thresholds, and predictions made beforehand."""

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from policies.given import Given
from policies.lstm.aim import pick_horizon
from policies.lstm.backends.eager import Eager
from policies.lstm.build import build_lstm as build
from policies.lstm.config import LstmConfig
from policies.lstm.policy import BatchedLstmPolicy
from policies.lstm.predictor import LstmPredictor
from policies.models.backend import DeviceTime
from policies.models.lanes import accesses_of
from policies.models.top import best, best_of_rows
from policies.timing import Timing
from simulator.errors import InputError
from simulator.policy import AccessRun

SMALL = {"kind": "lstm", "vocabulary": 32, "embedding": 16, "hidden": 16, "window": 6, "device": "cpu", "epochs": 12,
         "batch_size": 4, "learning_rate": 0.02}  # fmt: skip
CYCLE = np.tile(np.array([3, 1, 4, 15, 9, 2, 6], np.uint64), 150)
AFTER = dict(pairwise(CYCLE[:8].tolist()))


def config(**changes: Any) -> LstmConfig:
    return LstmConfig.model_validate({**SMALL, **changes})


def run_of(keys: list[int], streams: list[int]) -> AccessRun:
    return AccessRun(np.array(keys, np.uint64), np.array(streams, np.uint32), np.full(len(keys), 4, np.uint8))


def ahead(key: int, n: int) -> int:
    for _ in range(n):
        key = AFTER[key]
    return key


@given(st.integers(0, 2**16), st.lists(st.integers(1, 9), min_size=1, max_size=2), st.integers(1, 6), st.booleans())
def test_best_is_the_naive_best(seed: int, widths: list[int], k: int, ties: bool) -> None:
    """All pairs of known classes, sorted by probability, against the compiled selection; a temperature of 2."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(-2, 3, sum(widths)).astype(np.float32) if ties else rng.normal(0, 3, sum(widths))
    scores = scores.astype(np.float32)
    fields = [softmax(part.astype(np.float64) / 2) for part in np.split(scores, np.cumsum(widths)[:-1])]
    naive = sorted(
        (float(np.prod([field[c] for field, c in zip(fields, combination, strict=True)])) for combination in
         product(*(range(1, width) for width in widths))),
        reverse=True,
    )[:k]  # fmt: skip
    classes, confidences = np.empty((k, len(widths)), np.int64), np.empty(k)
    n = best(scores, np.array(widths, np.int64), 0.5, False, classes, confidences)
    assert n == len(naive)
    np.testing.assert_allclose(confidences[:n], naive, rtol=1e-5)
    assert len({tuple(row) for row in classes[:n].tolist()}) == n
    for row, confidence in zip(classes[:n].tolist(), confidences[:n].tolist(), strict=True):
        assert all(0 < c < width for c, width in zip(row, widths, strict=True))
        assert confidence == pytest.approx(np.prod([field[c] for field, c in zip(fields, row, strict=True)]), rel=1e-5)
    many = (np.empty((1, k, len(widths)), np.int32), np.empty((1, k)), np.empty(1, np.int64))
    best_of_rows(scores[None], np.array(widths, np.int64), 0.5, False, *many)
    assert many[2][0] == n
    np.testing.assert_array_equal(many[0][0, :n], classes[:n])


@pytest.mark.parametrize("encoding", ["key", "delta", "page_offset"])
@pytest.mark.parametrize("horizon", [1, 3])
def test_horizons_name_the_access_so_far_ahead(encoding: str, horizon: int) -> None:
    settings = config(encoding=encoding, horizons=[1, 3], page_blocks=4)
    predictor = LstmPredictor.trained([CYCLE], settings, horizon=horizon)
    for i in range(7):
        key, confidence = predictor.predict_next_key(CYCLE[i : i + 30].tolist())
        assert key == ahead(int(CYCLE[i + 29]), horizon)
        assert 0.5 < confidence <= 1
    with pytest.raises(ValueError, match="at least one key"):
        predictor.predict_next_key([])


def test_delta_predicts_keys_that_training_never_saw() -> None:
    predictor = LstmPredictor.trained([np.arange(0, 3000, 3, dtype=np.uint64)], config(encoding="delta"))
    key, confidence = predictor.predict_next_key([900_000, 900_003, 900_006, 900_009])
    assert key == 900_012
    assert confidence > 0.9


@pytest.mark.parametrize("inference", ["stateful", "window"])
def test_roll_out_walks_the_cycle(inference: str) -> None:
    """Three steps on, each less sure; and asking does not move the state that was asked."""
    settings = config(expand="rollout", degree=3, inference=inference)
    predictor = LstmPredictor.trained([CYCLE], settings)
    line = predictor.line()
    for i, key in enumerate(CYCLE[:40].tolist()):
        predictor.see(line, np.array([key], np.uint64))
        found = predictor.answer([line.ask()])[0]
        if i > 10:
            assert [k for k, _ in found] == [ahead(key, 1), ahead(key, 2), ahead(key, 3)]
            assert found[0][1] >= found[1][1] >= found[2][1] > 0.3
    plain = LstmPredictor.trained([CYCLE], settings.model_copy(update={"expand": "top_k", "degree": 1}))
    line = plain.line()
    plain.see(line, CYCLE[:40])
    assert plain.answer([line.ask()])[0][0][1] == pytest.approx(found[0][1], abs=1e-4)


@pytest.mark.parametrize("inference", ["stateful", "window"])
@pytest.mark.parametrize("encoding", ["key", "delta", "page_offset"])
@settings(max_examples=25)
@given(seed=st.integers(0, 99))
def test_predictions_made_beforehand_are_the_same(inference: str, encoding: str, seed: int) -> None:
    """Three streams of unequal length, shown in random runs: proposals and confidences equal those made one by one."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 40, 3)
    keys = {s: rng.choice(CYCLE[:7], n) for s, n in enumerate(lengths.tolist())}
    settings = {**SMALL, "inference": inference, "encoding": encoding, "page_blocks": 4, "degree": 3, "threshold": 0.2,
                "horizons": [1, 2], "horizon": 2, "epochs": 2}  # fmt: skip
    given_ = Given(lambda per_stream: [accesses_of(CYCLE)], seed=0, simulated=lambda per_stream: keys, n_streams=3)
    singly, beforehand = (
        build(LstmConfig.model_validate({**settings, "predictions": mode}), given_).policy
        for mode in ("one_by_one", "batched")
    )
    assert isinstance(beforehand, BatchedLstmPolicy)
    order = rng.permutation(np.repeat(np.arange(3), lengths))
    flat = np.empty(len(order), np.uint64)
    for s in range(3):
        flat[order == s] = keys[s]
    cuts = [0, *sorted(set(rng.integers(1, len(order), 12).tolist())), len(order)] if len(order) > 1 else [0, 1]
    for start, end in pairwise(sorted(set(cuts))):
        run = run_of(flat[start:end].tolist(), order[start:end].tolist())
        a, b = singly.decide([run]).answers[0], beforehand.decide([run]).answers[0]
        np.testing.assert_allclose(a.confidence, b.confidence, rtol=1e-3, atol=1e-5)
        clear = np.diff([*a.confidences, 0]) < -1e-4
        if clear.all() and all(abs(c - 0.2) > 1e-4 for c in a.confidences):
            assert list(a.keys) == list(b.keys)
            assert a.predicted_key == b.predicted_key
        np.testing.assert_allclose(a.confidences, b.confidences, rtol=1e-3, atol=1e-5)


def timing(**changes: Any) -> Timing:
    base: dict[str, Any] = {"fetch_ns": 1000, "lead_ns": lambda h: 300 * h, "wrong_ns": 250, "inference_ns": 0}
    return Timing(**{**base, "is_sync": False, **changes})


def test_the_horizon_leaves_time_for_inference_and_transfer() -> None:
    horizons = [1, 2, 4, 8]
    assert pick_horizon(horizons, timing(), 0) == 4
    assert pick_horizon(horizons, timing(), 200) == 4
    assert pick_horizon(horizons, timing(), 201) == 8
    assert pick_horizon(horizons, timing(), 10**6) == 8
    assert pick_horizon(horizons, timing(is_sync=True), 10**6) == 4
    assert pick_horizon(horizons, timing(lead_ns=lambda h: 5000 * h), 10) == 1


def test_the_cost_rule_breaks_even() -> None:
    """P * 1000 = (1 - p) * 250 at p = 0.2; where nothing is lost by it, everything is prefetched."""
    assert timing().break_even() == pytest.approx(0.2)
    assert timing(wrong_ns=0).break_even() == 0
    assert timing(fetch_ns=0).break_even() == 1


@pytest.mark.parametrize(("changes", "horizon", "threshold"), [({}, 1, 0.5), ({"rule": "cost"}, 1, 0.2)])
def test_rule_and_horizon_reach_the_policy(changes: dict[str, Any], horizon: int, threshold: float) -> None:
    built = build(config(**changes), Given(lambda per_stream: [accesses_of(CYCLE)], seed=0, timing=timing))
    assert built.details["horizon"] == horizon
    assert built.details["threshold"] == pytest.approx(threshold)
    built = build(
        config(horizons=[1, 4, 8], **changes),
        Given(lambda per_stream: [accesses_of(CYCLE)], seed=0, timing=lambda: timing(inference_ns=1400)),
    )
    assert built.details["horizon"] == 8
    assert built.policy.ahead.accesses == 8


def test_horizons_that_lead_nowhere_are_not_picked() -> None:
    far = {1: 10.0, 2: 80.0, 500: float("inf")}
    assert pick_horizon([1, 2, 500], timing(lead_ns=far.__getitem__), 0) == 2
    assert pick_horizon([500], timing(lead_ns=lambda h: float("inf")), 0) == 500
    built = build(config(horizons=[1, 2000]), Given(lambda per_stream: [accesses_of(CYCLE)], seed=0, timing=timing))
    assert built.details["horizon"] == 1
    with pytest.raises(InputError, match="2000 is further than any stream"):
        build(config(horizons=[1, 2000], horizon=2000), Given(lambda per_stream: [accesses_of(CYCLE)], seed=0))


def test_device_time_is_that_of_all_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three calls of a roll-out on a device that takes 7 ns for each; reading its clock is no host time."""
    calls: list[int] = []
    advance = Eager.advance

    def counted(self: Eager, *given: Any) -> Any:
        calls.append(7)
        return advance(self, *given)

    def taken(self: Eager) -> DeviceTime:
        device_ns = sum(calls)
        calls.clear()
        return DeviceTime(device_ns, 10**12)

    monkeypatch.setattr(Eager, "advance", counted)
    monkeypatch.setattr(Eager, "take_device_time", taken)
    settings = config(expand="rollout", degree=3, backend="eager")
    built = build(settings, Given(lambda per_stream: [accesses_of(CYCLE)], seed=0))
    for key in CYCLE[:20].tolist():
        decision = built.policy.decide([run_of([key], [0])])
    assert len(decision.answers[0].keys) == 3 or decision.answers[0].confidence < 1
    assert decision.device_ns == 21
    assert -(10**12) < decision.host_ns < 0
    assert built.warm_up[-1][1] % 7 == 0


def test_both_modes_take_the_same_place() -> None:
    """The weights and a state for each stream of the trace, however the predictions are made."""
    given_ = Given(lambda per_stream: [accesses_of(CYCLE)], seed=0, simulated=lambda p: {4: CYCLE[:9]}, n_streams=5)
    sizes = {build(config(predictions=mode), given_).policy.footprint_bytes for mode in ("one_by_one", "batched")}
    weights = LstmPredictor.trained([CYCLE], config()).n_bytes
    # Two vectors of 16 numbers a layer.
    assert sizes == {weights + 5 * 2 * 1 * 16 * 4}


def test_warm_up_calls_are_handed_over() -> None:
    built = build(config(), Given(lambda per_stream: [accesses_of(CYCLE)], seed=0))
    assert len(built.warm_up) >= 20
    assert all(host_ns > 0 for host_ns, _ in built.warm_up)
