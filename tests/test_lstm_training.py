"""Training: what it learns from, how far, how sure it may be, and what is kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from policies.given import Accesses
from policies.lstm.config import LstmConfig
from policies.lstm.model import LstmModel
from policies.lstm.predictor import LstmPredictor
from policies.lstm.recipe import LstmRecipe
from policies.models.calibration import calibrate
from policies.models.codecs.base import IGNORE, UNKNOWN
from policies.models.codecs.registry import CODECS
from policies.models.lanes import accesses_of, chunks, encode
from policies.models.places import models_folder
from policies.models.scoring import scores_along
from policies.models.train import split, train, training_rows
from simulator.errors import InputError

CPU = torch.device("cpu")
SMALL = {"kind": "lstm", "vocabulary": 32, "embedding": 8, "hidden": 8, "window": 6, "epochs": 3, "device": "cpu"}
CYCLE = np.tile(np.array([3, 1, 4, 15, 9, 2, 6], np.uint64), 60)


def config(**changes: Any) -> LstmConfig:
    return LstmConfig.model_validate({**SMALL, **changes})


@given(
    lengths=st.lists(st.integers(2, 90), min_size=1, max_size=5),
    window=st.integers(1, 9),
    batch_size=st.integers(1, 5),
    inference=st.sampled_from(["stateful", "window"]),
    seed=st.integers(0, 99),
)
def test_an_epoch_visits_every_target_once(
    lengths: list[int], window: int, batch_size: int, inference: str, seed: int
) -> None:
    """And carried pieces follow on each other: the keys say where each access stands in which stream."""
    settings = config(window=window, batch_size=batch_size, inference=inference, vocabulary=10**6)
    sequences = [np.arange(1000 * i, 1000 * i + n, dtype=np.uint64) for i, n in enumerate(lengths)]
    codec = CODECS["key"].learn(sequences, settings)
    streams = encode([accesses_of(keys) for keys in sequences], codec, settings)
    seen: list[int] = []
    last: Any = None
    for inputs, targets, goes_on in chunks(streams, settings, np.random.default_rng(seed)):
        assert inputs.shape[:2] == targets.shape[:2]
        assert inputs.shape[1] == window
        assert inputs.shape[0] <= batch_size
        # A target is the access after its input: the classes of these keys are consecutive.
        real = targets[:, :, 0, 0] != IGNORE
        assert (targets[:, :, 0, 0][real] == inputs[:, :, 0][real] + 1).all()
        seen += targets[:, :, 0, 0][real].tolist()
        if goes_on:
            assert inference == "stateful"
            went_on = inputs[:, 0, 0] != 0
            assert (inputs[went_on, 0, 0] == last[went_on] + 1).all()
        last = inputs[:, -1, 0]
    wanted = [class_ for keys in sequences for class_ in codec.encode(keys[1:])[:, 0].tolist()]
    assert sorted(seen) == sorted(wanted)


def test_split_is_in_time_order() -> None:
    sequences = [
        Accesses(np.arange(first, first + 1000, dtype=np.uint64), np.arange(1000) % 2 == 0) for first in (0, 5000)
    ]
    fit, validation = split(sequences, config())
    assert [(len(part.keys), len(part.writes)) for part in fit] == [(900, 900)] * 2
    assert [(part.keys[0], part.keys[-1], part.writes.tolist()) for part in validation] == [
        (900, 999, [True, False] * 50),
        (5900, 5999, [True, False] * 50),
    ]
    short = [accesses_of(np.arange(70, dtype=np.uint64))]
    assert split(short, config()) == (short, [])


@pytest.mark.parametrize("encoding", sorted(CODECS))
def test_a_write_is_not_worth_a_prediction(encoding: str) -> None:
    """At each horizon the unknown stands where a write comes; with ``targets: all`` it does not."""
    keys = np.array([1, 2, 3, 4, 1, 2], np.uint64)
    writes = np.array([False, True, False, False, True, False])
    settings = config(encoding=encoding, horizons=[1, 2], page_blocks=4)
    codec = CODECS[encoding].learn([keys], settings)
    targets = encode([Accesses(keys, writes)], codec, settings)[0].targets
    every = encode([Accesses(keys, writes)], codec, config(**{**settings.model_dump(), "targets": "all"}))[0].targets
    for i, horizon in enumerate((1, 2)):
        for at in range(len(keys)):
            is_write = at + horizon < len(keys) and writes[at + horizon]
            expected = every[at, i].tolist()
            assert targets[at, i].tolist() == ([UNKNOWN, *expected[1:]] if is_write else expected)
            assert not is_write or (every[at, i] > 0).all()


def test_learns_a_cycle_and_says_so() -> None:
    trained = train(
        [np.tile(CYCLE, 3)], LstmRecipe(config(epochs=30, batch_size=4, learning_rate=0.02, patience=30)), 0, CPU
    )
    kept = trained.epochs[trained.kept_epoch - 1]
    assert kept.validation_top1_ratio == 1
    assert kept.validation_loss == min(row.validation_loss for row in trained.epochs)
    assert trained.epochs[0].loss > 3 * kept.loss
    rows = training_rows(trained, 1)
    assert [row["epoch"] for row in rows if row["is_kept"]] == [trained.kept_epoch]
    assert rows[trained.kept_epoch - 1]["temperature"] == trained.calibrations[1].temperature


def test_stops_when_nothing_is_gained_and_keeps_the_best() -> None:
    """Noise: the validation loss soon rises, while the training loss falls on."""
    keys = np.random.default_rng(0).integers(0, 30, 2000).astype(np.uint64)
    trained = train(
        [keys], LstmRecipe(config(epochs=60, hidden=32, learning_rate=0.02, patience=3, dropout=0.0)), 0, CPU
    )
    losses = [row.validation_loss for row in trained.epochs]
    assert len(losses) < 60
    assert len(losses) == trained.kept_epoch + 3
    assert losses[trained.kept_epoch - 1] == min(losses)


def test_carried_state_reaches_further_than_the_pieces() -> None:
    """What follows 0 depends on a mark up to 12 accesses before, in pieces of 6: near ones teach, far ones test."""
    rng = np.random.default_rng(3)
    marks, gaps = rng.integers(1, 3, 240), rng.integers(1, 12, 240)
    parts = [[mark, *[5] * gap, 0, mark + 10] for mark, gap in zip(marks, gaps, strict=True)]
    keys = np.concatenate(parts).astype(np.uint64)
    far = np.flatnonzero(keys == 0)[gaps > 6]
    right = {}
    for inference in ("stateful", "window"):
        settings = config(
            inference=inference, window=6, hidden=16, embedding=16, epochs=25, patience=25, learning_rate=0.02,
            batch_size=8, dropout=0.0,
        )  # fmt: skip
        trained = train([keys], LstmRecipe(settings), 0, CPU)
        scores = torch.cat(list(scores_along(trained.model, trained.codec.encode(keys), settings, CPU)))
        right[inference] = (scores[far].argmax(-1).numpy() == trained.codec.encode(keys)[far + 1, 0]).mean()
    assert right["window"] < 0.7
    assert right["stateful"] > 0.95


@pytest.mark.parametrize("inference", ["stateful", "window"])
def test_validation_sees_what_inference_sees(inference: str) -> None:
    """Scores along a sequence are those of the predictor, access by access."""
    settings = config(inference=inference, backend="eager", hidden=12)
    predictor = LstmPredictor.trained([CYCLE], settings)
    keys = CYCLE[:20]
    model = predictor.kept.trained.model
    along = torch.cat(list(scores_along(model, predictor.codec.encode(keys), settings, CPU, chunk=7))).numpy()
    line = predictor.line()
    for i in range(20):
        predictor.see(line, keys[i : i + 1])
        taken, _ = line.ask()
        np.testing.assert_allclose(
            predictor.backend.advance(taken.classes[None], [taken.state])[0], along[i], atol=1e-4
        )  # fmt: skip


def test_calibration_finds_the_temperature() -> None:
    """Outcomes drawn from a softmax, shown with scores three times too large: three is what they must be divided by."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (20_000, 6)).astype(np.float32)
    cumulative = np.cumsum(np.exp(scores) / np.exp(scores).sum(1, keepdims=True), axis=1)
    targets = (cumulative < rng.random((20_000, 1))).sum(1)[:, None]
    found = calibrate([scores * 3], targets)
    assert found.temperature == pytest.approx(3, rel=0.05)
    assert found.ece_after_ratio < 0.02 < found.ece_before_ratio
    # Positions without a target do not count; with too few others nothing is fitted.
    targets[100:] = IGNORE
    few = calibrate([scores[:140] * 3], np.concatenate([targets[:40], np.full((100, 1), IGNORE)]))
    assert few.temperature == 1


def test_expected_calibration_error_by_hand() -> None:
    """Three quarters sure of a known block each time and right half of the time: the error is a quarter."""
    scores = np.tile(np.array([-30.0, np.log(3), 0.0], np.float32), (100, 1))
    targets = np.tile(np.array([[1], [2]]), (50, 1))
    assert calibrate([scores], targets).ece_before_ratio == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize(
    ("n_streams", "length", "changes"),
    [
        (1, 700, {"horizons": [70]}),
        (8, 200, {"horizons": [32]}),
        (40, 3, {"validation_ratio": 0.5}),
        (1, 3, {}),
        (3, 60, {"window": 1, "inference": "window"}),
        (1, 900, {"window": 1, "inference": "window"}),
        (1, 900, {"window": 1}),
        (1, 900, {"vocabulary": 1}),
        (1, 900, {"encoding": "page_offset", "page_blocks": 1}),
    ],
)
def test_odd_but_legal(n_streams: int, length: int, changes: dict[str, Any]) -> None:
    """Whatever there is to learn from is learned from: an epoch is kept, and it is not the untrained network."""
    sequences = [np.tile(CYCLE, 3)[i : i + length] for i in range(n_streams)]
    settings = config(epochs=4, patience=2, **changes)
    trained = train(sequences, LstmRecipe(settings), 0, CPU)
    assert 1 <= trained.kept_epoch <= len(trained.epochs)
    assert sum(row["is_kept"] for row in training_rows(trained, settings.horizons[0])) == 1
    torch.manual_seed(0)
    untrained = torch.cat([w.detach().reshape(-1) for w in LstmModel(trained.codec, settings).parameters()])
    assert not torch.equal(torch.cat([w.detach().reshape(-1) for w in trained.model.parameters()]), untrained)


@pytest.mark.parametrize("inference", ["stateful", "window"])
def test_many_streams_are_not_padded_to_one_length(inference: str) -> None:
    """A thousand streams of 20 and one of 5,000: an epoch holds little more than their accesses."""
    sequences = [accesses_of(CYCLE[:20])] * 1000 + [accesses_of(np.tile(CYCLE, 12)[:5000])]
    settings = config(inference=inference, batch_size=16)
    codec = CODECS["key"].learn([CYCLE], settings)
    pieces = list(chunks(encode(sequences, codec, settings), settings, np.random.default_rng(0)))
    # One batch mixes the ends of the long one with short ones; padding all to its lanes would make it 1,500,000.
    assert sum(inputs.shape[0] * inputs.shape[1] for inputs, _, _ in pieces) < 2 * 25_000


def test_training_is_seeded() -> None:
    a, b, c = (train([CYCLE], LstmRecipe(config()), seed, CPU) for seed in (9, 9, 10))
    weights = [torch.cat([w.detach().reshape(-1) for w in t.model.parameters()]) for t in (a, b, c)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_divergence_is_an_error() -> None:
    with pytest.raises(InputError, match="diverged"):
        train([CYCLE], LstmRecipe(config(learning_rate=1e30, clip_norm=1e30, epochs=5)), 0, CPU)


def test_nothing_to_learn_from() -> None:
    with pytest.raises(InputError, match="no access of the training part has another 500 ahead"):
        train([CYCLE], LstmRecipe(config(horizons=[500])), 0, CPU)
    # One horizon that reaches too far does not spoil the other.
    assert train([CYCLE], LstmRecipe(config(horizons=[1, 500], epochs=1)), 0, CPU).kept_epoch == 1
    with pytest.raises(InputError, match="no stream of the training part has 3 accesses"):
        LstmPredictor.trained([np.array([1, 2], np.uint64)], config())


def test_models_are_kept_and_bad_ones_refused(tmp_path: Path) -> None:
    settings = config(hidden=9)
    first, again = (LstmPredictor.trained([CYCLE], settings, seed=3) for _ in range(2))
    assert (first.kept.was_cached, again.kept.was_cached) == (False, True)
    assert first.predict_next_key([3, 1]) == again.predict_next_key([3, 1])
    # As text: numbers that are none equal nothing.
    assert str(again.kept.trained.epochs) == str(first.kept.trained.epochs)
    assert str(again.kept.trained.calibrations) == str(first.kept.trained.calibrations)
    # What shapes the weights is in the hash; what does not, is not.
    assert LstmPredictor.trained([CYCLE], settings, seed=4).kept.hash != first.kept.hash
    assert LstmPredictor.trained([CYCLE], settings.model_copy(update={"threshold": 0.9}), seed=3).kept.was_cached
    path = models_folder() / f"lstm-{first.kept.hash}.safetensors"
    whole = path.read_bytes()

    def refused(message: str) -> None:
        with pytest.raises(InputError, match=message):
            LstmPredictor.trained([CYCLE], settings, seed=3)
        path.write_bytes(whole)

    path.write_bytes(whole[:-100])
    refused("is damaged")
    # One weight changed, its checksum not.
    path.write_bytes(whole[:-4] + b"\0\0\0\0")
    refused("its checksum differs")
    # Safetensors of somebody else.
    save_file({"weight": torch.zeros(3)}, path)
    refused("no model of tierfetch")
    # A model of ours for another run under this name.
    other = models_folder() / f"lstm-{LstmPredictor.trained([CYCLE], settings, seed=5).kept.hash}.safetensors"
    path.write_bytes(other.read_bytes())
    refused("holds another model: its hash")
    assert load_file(path)


def test_a_kept_model_has_its_config_beside_it() -> None:
    predictor = LstmPredictor.trained([CYCLE], config(hidden=10))
    from safetensors import safe_open

    with safe_open(str(predictor.kept.path), framework="pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["config"])["hidden"] == 10
    assert metadata["hash"] == predictor.kept.hash
    assert len(metadata["training_sha256"]) == 64
