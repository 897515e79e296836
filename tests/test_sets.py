"""``target: set``: what is wanted, what a network is taught by it and held against, and what it answers then."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

from policies.given import Accesses, Given
from policies.lstm.build import build_lstm
from policies.lstm.config import LstmConfig
from policies.lstm.recipe import LstmRecipe
from policies.models.codecs.base import IGNORE, UNKNOWN
from policies.models.codecs.registry import CODECS
from policies.models.lanes import Encoded, encode
from policies.models.sets import calibrate_set, loss_of, right_of, set_controls, surest
from policies.models.start import start_at_frequencies
from policies.models.top import Choosing
from policies.models.train import train
from simulator.policy import AccessRun
from tests.model_forms import AFTER, CYCLE, TRAIN, answers, built
from tests.test_models import same

CPU = torch.device("cpu")
SMALL = {"kind": "lstm", "vocabulary": 64, "embedding": 16, "hidden": 16, "window": 6, "device": "cpu", "epochs": 10,
         "batch_size": 4, "learning_rate": 0.02, "layers": 1, "target": "set"}  # fmt: skip


def config(**changes: Any) -> LstmConfig:
    return LstmConfig.model_validate({**SMALL, **changes})


def reads(keys: Any) -> Accesses:
    return Accesses(np.asarray(keys, np.uint64), np.zeros(len(keys), bool))


def rounds(n: int, seed: int = 0) -> list[int]:
    """Six blocks in any order, then the six of another place, and so on round four places."""
    rng = np.random.default_rng(seed)
    return [1000 * (i % 4) + int(k) for i in range(n) for k in rng.permutation(6)]


def run_of(key: np.uint64) -> AccessRun:
    return AccessRun(np.array([key], np.uint64), np.zeros(1, np.uint32), np.full(1, 4, np.uint8))


@settings(max_examples=30)
@given(
    stream=st.lists(st.tuples(st.integers(0, 7), st.booleans()), min_size=1, max_size=30),
    encoding=st.sampled_from(["key", "delta"]),
    horizons=st.sampled_from([(1,), (3,), (2, 5)]),
    only_reads=st.booleans(),
)
def test_sets_are_what_a_loop_finds(stream: Any, encoding: str, horizons: tuple[int, ...], only_reads: bool) -> None:
    # Far up: steps backwards wrap round in 64 bits.
    keys = [2**64 - 10 + key for key, _ in stream]
    said = config(encoding=encoding, horizons=horizons, vocabulary=5, targets="reads" if only_reads else "all")
    codec = CODECS[encoding].learn([np.array(keys, np.uint64)], said)
    sequence = Accesses(np.array(keys, np.uint64), np.array([is_write for _, is_write in stream]))
    found = encode([sequence], codec, said)
    if len(stream) < 2:
        assert not found
        return
    for h, horizon in enumerate(horizons):
        for i, row in enumerate(found[0].targets[:, h].tolist()):
            if i + horizon >= len(keys):
                assert set(row) == {IGNORE}
                continue
            wanted = {
                keys[j] for j in range(i + 1, i + horizon + 1)
                if keys[j] != keys[i] and not (only_reads and stream[j][1])
            }  # fmt: skip
            named = [codec.decode(keys[i], [c], horizon) for c in row if c != UNKNOWN]
            assert len(named) == len(set(named))
            assert set(named) <= wanted
            steps = {(key - keys[i]) % 2**64 if encoding == "delta" else key for key in wanted}
            values = codec.vocabularies["key" if encoding == "key" else f"delta_{horizon}"].tolist()
            assert len(named) == len(steps & set(values))


def test_the_vocabulary_has_the_steps_that_are_most_used_within_the_horizon() -> None:
    """Steps of 1, 1, 1, 5: within two accesses 1 comes after three of four; two on it is 2 after half of them, or 6."""
    keys = np.cumsum(np.tile([1, 1, 1, 5], 50)).astype(np.uint64)
    codec = CODECS["delta"].learn([keys], config(encoding="delta", horizons=[2], vocabulary=1))
    assert codec.vocabularies["delta_2"].tolist() == [1]


def test_the_loss_is_that_of_zeros_and_ones() -> None:
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(0, 2, (3, 4, 6)).astype(np.float32))
    sets = torch.zeros((3, 4, 3), dtype=torch.int64)
    sets[0, 0] = torch.tensor([0, 2, 5])
    sets[1, 2] = torch.tensor([1, 2, 3])
    sets[2, :] = IGNORE
    came = torch.zeros(2, 4, 6)
    came[0, 0, [2, 5]], came[1, 2, [1, 2, 3]] = 1, 1
    wanted = binary_cross_entropy_with_logits(scores[:2, :, 1:], came[..., 1:], reduction="sum") / 8
    assert float(loss_of(scores, sets)) == pytest.approx(float(wanted), rel=1e-5)
    assert float(loss_of(scores[2:], sets[2:])) == 0


def test_precision_by_hand() -> None:
    """Of seven known classes 7 is the best, then 6 and so on; the unknown has the highest score and is no answer."""
    scores = torch.tensor([[9.0, 1, 2, 3, 4, 5, 6, 7]]).repeat(3, 1)
    sets = torch.tensor([[0, 7, 3], [0, 1, 2], [IGNORE] * 3])
    assert right_of(scores, sets) == (2, 1, pytest.approx(2 / 5))


def test_controls_by_hand() -> None:
    """After class 1 come 2 and 3 (two of two times), after 2 come 4 and 5 (three of three), after 3 once 4 and 7.

    Four accesses ask, so the four surest guesses count. Of all, 4 each time: it comes twice. After each class, 4 and 5
    are the surest, then 2 and 3: 4 and 2 come. What came once of once is not as sure, and after 9 nothing ever came.
    """
    inputs = np.array([[1], [1], [2], [2], [2], [3], [3]])
    targets = np.array([[2, 3], [2, 3], [4, 5], [4, 5], [4, 5], [4, 7], [IGNORE] * 2])[:, None]
    asked = Encoded(np.array([[1], [2], [3], [9]]), np.array([[2, 7], [4, 6], [0, 2], [0, 4]])[:, None])
    blind, tables = set_controls([Encoded(inputs, targets)], [asked], 0)
    assert blind == {"the commonest set": 0.5}
    assert tables == {"a Markov table of sets": 0.5}


def test_the_surest_guesses_are_as_many_as_accesses() -> None:
    """Two accesses: of four guesses the best two are both the first's, and one of them comes. None is worth nothing."""
    guesses, sets = np.array([[1, 2], [3, 4]]), np.array([[2, 5], [3, 4]])
    assert surest(guesses, np.array([[0.9, 0.8], [0.7, 0.6]]), sets) == 0.5
    assert surest(np.array([[UNKNOWN, 2], [3, 4]]), np.array([[0.9, 0.1], [0.7, 0.6]]), sets) == 1


def test_calibration_finds_the_temperature_of_sigmoids() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(-1, 2, (20_000, 6)).astype(np.float32)
    came = rng.random(scores.shape) < 1 / (1 + np.exp(-scores))
    sets = np.where(came, np.arange(6), UNKNOWN)
    found = calibrate_set(scores * 3, sets)
    assert found.temperature == pytest.approx(3, rel=0.05)
    assert found.ece_after_ratio < 0.02 < found.ece_before_ratio
    sets[40:] = IGNORE
    assert calibrate_set(scores * 3, sets).temperature == 1


def test_training_starts_at_the_shares_of_all_classes() -> None:
    said = config(encoding="key", horizons=[4])
    part = reads(rounds(50))
    recipe = LstmRecipe(said)
    codec = recipe.learn([part])
    model = recipe.network(codec)
    encoded = encode([part], codec, said)
    start_at_frequencies(model, encoded, said)
    sets = encoded[0].targets[:, 0]
    share = (sets[: len(sets) - 4] == 5).any(axis=1).mean()
    assert float(torch.sigmoid(model.head.bias[5].detach())) == pytest.approx(share, abs=0.01)


def test_it_learns_what_comes_soon_where_the_next_cannot_be_told() -> None:
    """All blocks of a place come in any order: the sixth access on is of the next place, and which one it is is open.

    A sixth of all guesses at the next access are right; of the set all are, as long as the place goes on.
    """
    part = reads(rounds(250))
    said = config(encoding="delta", horizons=[12])
    trained = train([part], LstmRecipe(said), 0, CPU)
    standing = trained.standings[12]
    assert standing is not None
    assert standing.named_ratio > 0.85
    assert not standing.is_constant
    assert trained.epochs[-1].validation_top1_ratio > 0.9
    assert trained.calibrations[12].ece_after_ratio < 0.1


@pytest.mark.parametrize(("inference", "encoding"), [("stateful", "key"), ("window", "delta")])
def test_all_ways_to_ask_say_the_same(inference: str, encoding: str) -> None:
    """One by one by PyTorch, by compiled code, and beforehand: several blocks, each more likely than not, at once."""
    keys = np.array(rounds(12, seed=1), np.uint64)
    given_ = Given(lambda per_stream: [reads(rounds(150))], seed=0, simulated=lambda per_stream: {0: keys})
    said = {"encoding": encoding, "horizons": [12], "degree": 6, "threshold": 0.2, "inference": inference}
    policies = [
        build_lstm(config(**said, **way), given_).policy
        for way in ({"backend": "eager"}, {"backend": "compiled"}, {"predictions": "batched"})
    ]
    sums = []
    for i in range(len(keys)):
        run = run_of(keys[i])
        first, *others = (policy.decide([run]).answers[0] for policy in policies)
        for other in others:
            np.testing.assert_allclose(first.confidences, other.confidences, rtol=1e-3, atol=1e-4)
            if np.all(np.diff([*first.confidences, 0.0]) < -1e-3):
                assert list(first.keys) == list(other.keys)
        sums.append(sum(first.confidences))
        assert (np.diff(first.confidences) <= 0).all()
    # As shares of one they could not be.
    assert np.mean(sums[12:]) > 1.5


def test_the_best_of_a_set_have_a_sigmoid_each() -> None:
    choosing = Choosing(np.array([4], np.int64), 0.5, 3, is_set=True)
    classes, sure = choosing.of(np.array([50, -2, 6, 0], np.float32))
    assert classes.ravel().tolist() == [2, 3, 1]
    np.testing.assert_allclose(sure, 1 / (1 + np.exp([-3.0, 0, 1])))
    # Not one of them is a number where one score is none: the unknown's, too.
    for spoilt in ([np.nan, 1, 2, 3], [0, 1, np.nan, 3]):
        assert np.isnan(choosing.of(np.array(spoilt, np.float32))[1]).all()


def test_any_network_may_learn_sets() -> None:
    """Trained here, by another backend, and from its weights: all blocks that come within three, and none twice."""
    said = {
        "model": "mlp", "context": {"window": 3}, "encoder": "delta", "target": "set", "horizon": 3, "degree": 5,
        "settings": {"dropout": 0.0},
    }  # fmt: skip
    made, onnx = (built(**said, train={**TRAIN, "batch_size": 8}, backend=name) for name in ("eager", "onnx"))
    kept = str(made.model_file)
    loaded = built(**said, weights=kept, vocabularies=kept, temperature=made.details["temperature"], backend="eager")
    found = answers(made)
    same(found, answers(onnx))
    same(found, answers(loaded))
    for key, (keys, sure) in list(zip(CYCLE.tolist(), found, strict=False))[12:]:
        second = AFTER[AFTER[key]]
        assert set(keys) == {AFTER[key], second, AFTER[second]}
        assert min(sure) > 0.5
    # Its best guess is held against the access that comes next.
    assert made.policy.ahead.accesses == 1
    assert made.details["beats_control"] is False
    assert made.details["control"] == "a Markov table of sets"
