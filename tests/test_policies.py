"""One contract for every policy, and what is particular to each: with plain lists, no cache in sight."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from policies.config import PolicyConfig
from policies.lstm.codecs.base import UNKNOWN
from policies.lstm.codecs.delta import DeltaCodec
from policies.lstm.codecs.key import KeyCodec
from policies.lstm.config import LstmConfig
from policies.lstm.predictor import LstmPredictor
from policies.lstm.store import models_folder
from policies.next_n import NextNPolicy
from policies.registry import BUILDERS, Training, build
from simulator.errors import InputError
from simulator.policy import AccessRun, Fate, Told, Trigger

CONFIG: Any = TypeAdapter(PolicyConfig)
SMALL = {"kind": "lstm", "vocabulary": 32, "embedding": 8, "hidden": 8, "window": 6, "epochs": 3, "device": "cpu"}
EXAMPLES: dict[str, dict[str, Any]] = {"none": {"kind": "none"}, "next_n": {"kind": "next_n", "n": 3}, "lstm": SMALL}
CYCLE = np.tile(np.array([3, 1, 4, 15, 9, 2, 6], np.uint64), 60)


def run_of(keys: list[int], stream: int = 0) -> AccessRun:
    n = len(keys)
    return AccessRun(np.array(keys, np.uint64), np.full(n, stream, np.uint32), np.full(n, 4, np.uint8))


def made(kind: str) -> Any:
    return build(CONFIG.validate_python(EXAMPLES[kind]), Training(lambda per_stream: [CYCLE], seed=0)).policy


def test_every_policy_has_an_example() -> None:
    assert set(EXAMPLES) == set(BUILDERS)


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
    runs = [run_of([3, 1]), run_of([4]), run_of([15, 9, 2])]
    one, many = made(kind), made(kind)
    singly = [one.decide([run]).answers[0] for run in runs]
    together = many.decide(runs).answers
    assert [list(a.keys) for a in singly] == [list(a.keys) for a in together]


def test_next_n() -> None:
    policy = NextNPolicy(3, stride=2)
    assert list(policy.decide([run_of([7, 10])]).answers[0].keys) == [12, 14, 16]
    assert list(policy.decide([run_of([2**64 - 3])]).answers[0].keys) == [2**64 - 1]
    assert list(NextNPolicy(2, stride=-1).decide([run_of([1])]).answers[0].keys) == [0]


keys = st.lists(st.one_of(st.integers(0, 20), st.integers(2**64 - 3, 2**64 - 1)), min_size=2, max_size=40)


@given(keys, st.integers(1, 8))
def test_key_codec(values: list[int], limit: int) -> None:
    sequence = np.array(values, np.uint64)
    codec = KeyCodec.learn([sequence], limit)
    assert codec.n_classes <= limit + 1
    for key, class_ in zip(values, codec.encode(sequence).tolist(), strict=True):
        assert codec.decode(0, class_) == (None if class_ == UNKNOWN else key)
    if limit >= len(set(values)):
        assert codec.coverage([sequence]) == 1
    counts = sorted((values.count(v) for v in set(values)), reverse=True)
    assert codec.coverage([sequence]) == pytest.approx(sum(counts[:limit]) / len(values))


@given(keys)
def test_delta_codec(values: list[int]) -> None:
    sequence = np.array(values, np.uint64)
    codec = DeltaCodec.learn([sequence], 1000)
    classes = codec.encode(sequence).tolist()
    for last, key, class_ in zip(values, values[1:], classes, strict=False):
        decoded = codec.decode(last, class_)
        # A step over the end of the key space and one of the same size within it are one class.
        assert decoded == key or abs(key - last) >= 2**63
    assert codec.decode(2**64 - 1, int(codec.classes_of(np.array([1], np.uint64))[0])) is None


def test_delta_predicts_keys_that_training_never_saw() -> None:
    config = LstmConfig.model_validate({**SMALL, "encoding": "delta", "epochs": 20, "batch_size": 4})
    predictor = LstmPredictor.trained([np.arange(0, 3000, 3, dtype=np.uint64)], config)
    key, confidence = predictor.predict_next_key([900_000, 900_003, 900_006, 900_009])
    assert key == 900_012
    assert confidence > 0.9


def test_predict_next_key_learns_a_cycle() -> None:
    config = LstmConfig.model_validate({**SMALL, "epochs": 40, "batch_size": 4, "learning_rate": 0.02})
    predictor = LstmPredictor.trained([CYCLE], config)
    for i in range(7):
        key, confidence = predictor.predict_next_key(CYCLE[i : i + 6].tolist())
        assert key == CYCLE[i + 6]
        assert 0.5 < confidence <= 1
    with pytest.raises(ValueError, match="at least one key"):
        predictor.predict_next_key([])


def test_streams_have_windows_of_their_own() -> None:
    policy, alone = made("lstm"), made("lstm")
    for a, b in zip([3, 1, 4], [9, 2, 6], strict=True):
        policy.decide([run_of([a], stream=0)])
        policy.decide([run_of([b], stream=1)])
        alone.decide([run_of([a], stream=0)])
    assert policy.decide([run_of([15])]).answers[0].confidence == alone.decide([run_of([15])]).answers[0].confidence


def test_threshold_holds_back() -> None:
    policy = build(
        CONFIG.validate_python({**SMALL, "threshold": 1.0}), Training(lambda per_stream: [CYCLE], seed=0)
    ).policy
    answer = policy.decide([run_of([3, 1, 4])]).answers[0]
    assert list(answer.keys) == []
    assert answer.predicted_key is not None


def test_every_decision_is_timed() -> None:
    policy = made("lstm")
    times = [policy.decide([run_of([3])]).host_ns for _ in range(20)]
    assert min(times) > 1000
    assert len(set(times)) > 10


def test_models_are_kept_and_damaged_ones_refused() -> None:
    config = LstmConfig.model_validate({**SMALL, "hidden": 9})
    first = LstmPredictor.trained([CYCLE], config, seed=3)
    again = LstmPredictor.trained([CYCLE], config, seed=3)
    assert (first.was_cached, again.was_cached) == (False, True)
    assert first.predict_next_key([3, 1]) == again.predict_next_key([3, 1])
    # What shapes the weights is in the hash; what does not, is not.
    assert LstmPredictor.trained([CYCLE], config, seed=4).hash != first.hash
    assert LstmPredictor.trained([CYCLE], config.model_copy(update={"threshold": 0.9}), seed=3).was_cached
    path = models_folder() / f"lstm-{first.hash}.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"is damaged"):
        LstmPredictor.trained([CYCLE], config, seed=3)


def test_training_is_seeded() -> None:
    a, b = (
        LstmPredictor.trained([CYCLE], LstmConfig.model_validate({**SMALL, "threshold": t}), seed=9) for t in (0.1, 0.2)
    )
    assert a.predict_next_key([3, 1, 4]) == b.predict_next_key([3, 1, 4])
