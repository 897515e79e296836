"""A trained model beside what needs no network: counted as a loop counts, announced where it is no better."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from policies.given import Accesses
from policies.lstm.config import LstmConfig
from policies.lstm.recipe import LstmRecipe
from policies.models.codecs.base import IGNORE, UNKNOWN
from policies.models.codecs.registry import CODECS
from policies.models.controls import Standing, class_controls, constant, key_controls, least_confidence
from policies.models.lanes import encode
from policies.models.start import start_at_frequencies
from policies.models.train import train
from tests.test_experiment import call, config, lstm_arm, write

CPU = torch.device("cpu")
streams = st.lists(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=30), min_size=1, max_size=3
)  # fmt: skip


def accesses(stream: list[tuple[int, bool]]) -> Accesses:
    # Far up: steps backwards wrap round in 64 bits, and keys do not fit into signed ones.
    keys = np.array([2**64 - 10 + key for key, _ in stream], np.uint64)
    return Accesses(keys, np.array([is_write for _, is_write in stream]))


def first_most(counts: Counter[Any]) -> Any:
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None


def table(pairs: Iterable[tuple[Hashable, Any]]) -> dict[Hashable, Any]:
    after: dict[Hashable, Counter[Any]] = {}
    for before, what in pairs:
        after.setdefault(before, Counter())[what] += 1
    return {before: first_most(counts) for before, counts in after.items()}


def share(right: list[bool]) -> float:
    return sum(right) / len(right) if right else 0.0


@given(fit=streams, validation=streams, horizon=st.integers(1, 3), reads_alone=st.booleans())
def test_key_controls_count_as_a_loop_does(fit: Any, validation: Any, horizon: int, reads_alone: bool) -> None:
    def along(parts: Any) -> list[tuple[int, int, bool]]:
        return [
            (part[i][0], part[i + horizon][0], not (reads_alone and part[i + horizon][1]))
            for part in parts for i in range(len(part) - horizon)
        ]  # fmt: skip

    learned = [(a, b) for a, b, worth in along(fit) if worth]
    asked = along(validation)
    blind, tables = key_controls(
        [accesses(part) for part in fit], [accesses(part) for part in validation], horizon, reads_alone=reads_alone
    )
    if not learned or not asked:
        assert tables == {}
        return
    step = first_most(Counter(b - a for a, b in learned))
    follows = table(learned)
    assert blind == {
        "the commonest step": pytest.approx(share([worth and b - a == step for a, b, worth in asked])),
        "the next block": pytest.approx(share([worth and b - a == horizon for a, b, worth in asked])),
    }
    right = share([worth and follows.get(a) == b for a, b, worth in asked])
    assert tables == {"a Markov table of keys": pytest.approx(right)}


@given(
    fit=streams, validation=streams, encoding=st.sampled_from(sorted(CODECS)), vocabulary=st.integers(1, 8),
    targets=st.sampled_from(["reads", "all"]), head=st.integers(0, 1),
)  # fmt: skip
def test_class_controls_count_as_a_loop_does(
    fit: Any, validation: Any, encoding: str, vocabulary: int, targets: str, head: int
) -> None:
    settings = LstmConfig.model_validate(
        {"kind": "lstm", "encoding": encoding, "vocabulary": vocabulary, "page_blocks": 4, "targets": targets,
         "horizons": [1, 2]}
    )  # fmt: skip
    parts = [[accesses(stream) for stream in part] for part in (fit, validation)]
    codec = CODECS[encoding].learn([sequence.keys for sequence in parts[0]], settings)
    encoded = [encode(part, codec, settings) for part in parts]
    rows = [
        [
            (tuple(before), tuple(after))
            for stream in part
            for before, after in zip(stream.inputs.tolist(), stream.targets[:, head].tolist(), strict=True)
            if IGNORE not in after
        ]
        for part in encoded
    ]
    learned = [(before, after) for before, after in rows[0] if UNKNOWN not in after]
    common, follows = first_most(Counter(after for _, after in learned)), table(learned)
    blind, tables = class_controls(encoded[0], encoded[1], head)
    known = [(before, after, UNKNOWN not in after) for before, after in rows[1]]
    assert blind["the commonest class"] == pytest.approx(share([ok and after == common for _, after, ok in known]))
    if known:
        right = share([ok and follows.get(before) == after for before, after, ok in known])
        assert tables == {"a Markov table of classes": pytest.approx(right)}


def test_one_guess_at_one_confidence() -> None:
    one, sure = np.full((1000, 1), 3), np.full(1000, 0.2)
    assert constant(one, sure)
    few = one.copy()
    few[:10] = 4
    assert constant(few, sure)
    few[:11] = 4
    assert not constant(few, sure)
    assert not constant(one, np.where(np.arange(1000) < 500, 0.2, 0.3))


def test_what_holds_back() -> None:
    """A cost rule, of a model that is blind; a table that is better holds nothing back, and a threshold is yours."""
    good = Standing(0.5, "a Markov table of keys", 0.6, 0.4, is_constant=False)
    assert (good.beats_control, good.is_blind) == (False, False)
    for blind in (Standing(0.4, "", 0.4, 0.4, is_constant=False), Standing(0.9, "", 0.1, 0.1, is_constant=True)):
        assert (blind.beats_control, blind.is_blind) == (False, True)
        assert least_confidence("cost", 0.5, lambda: 0.2, blind) == math.inf
        assert least_confidence("threshold", 0.5, lambda: 0.2, blind) == 0.5
    assert least_confidence("cost", 0.5, lambda: 0.2, good) == 0.2
    assert least_confidence("cost", 0.5, lambda: 0.2, None) == 0.2
    assert Standing(0.61, "", 0.6, 0.4, is_constant=False).beats_control


MODEL = {"kind": "model", "model": "gru", "settings": {"hidden": 8}, "device": "cpu"}


@pytest.mark.parametrize("kind", ["lstm", "model"])
@pytest.mark.parametrize("rule", ["cost", "threshold"])
def test_a_model_that_learned_nothing_is_announced(tmp_path: Path, kind: str, rule: str) -> None:
    """So small a rate that its weights stay: said in the terminal and in ``runs``; the cost rule asks for nothing."""
    content = config(seeds=[0], arms=[lstm_arm({"kind": "free"})], baseline="lstm")
    # Three steps of four are the same: a constant would be right often enough to pay.
    ids = tmp_path / "ids.txt"
    rng = np.random.default_rng(0)
    ids.write_text("\n".join(map(str, np.cumsum(np.where(rng.random(1600) < 0.75, 1, rng.integers(2, 9, 1600))))))
    content["workload"]["source"] = {"kind": "ids", "path": str(ids), "block": "4 KiB"}
    training = {"epochs": 1, "learning_rate": 1e-9}
    wanted = {"rule": rule, "threshold": 0.0, "degree": 1}
    if kind == "lstm":
        content["arms"][0]["policy"].update(training, **wanted, encoding="delta")
    else:
        content["arms"][0]["policy"] = MODEL | wanted | {"encoder": "delta", "train": training}
    result = call(write(tmp_path, content, "run.yaml"), "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    row = pd.read_parquet(tmp_path / "out" / "runs.parquet").iloc[0]
    assert row["beats_control"] == False  # noqa: E712 - not None
    assert row["control"].startswith(("the ", "a Markov"))
    assert row["control_top1_ratio"] > 0.6
    assert "no better than its controls" in " ".join(result.output.split())
    is_held = rule == "cost"
    assert (row["threshold"] == math.inf) == is_held
    assert (row["n_proposed"] == 0) == is_held
    assert ("asks for nothing" in " ".join(result.output.split())) == is_held


def test_training_is_the_same_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ran before in this process, and however many threads it had."""
    keys = np.tile(np.random.default_rng(2).permutation(50).astype(np.uint64), 30)
    settings = LstmConfig.model_validate({"kind": "lstm", "hidden": 16, "embedding": 16, "epochs": 3})
    before = torch.get_num_threads()
    found = []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            torch.rand(n_threads)
            found.append(train([keys], LstmRecipe(settings), 5, CPU))
        other = train([keys], LstmRecipe(settings), 6, CPU)
    finally:
        torch.set_num_threads(before)
    one, two = found
    for name, weight in one.model.state_dict().items():
        assert torch.equal(weight, two.model.state_dict()[name])
        assert not torch.equal(weight, other.model.state_dict()[name])
    assert (one.calibrations, one.standings) == (two.calibrations, two.standings)


RING = np.tile(np.concatenate([np.arange(first, first + 4) for first in range(0, 80, 8)]), 25).astype(np.uint64)
"""Three steps of four are +1, and where the fourth comes only the key says: a table of keys knows everything."""


def test_what_came_out_blind_is_trained_again() -> None:
    """At so small a rate all attempts are blind, and from other weights each; at a real one the first is kept."""
    small = {"kind": "lstm", "encoding": "delta", "hidden": 16, "embedding": 16, "dropout": 0.0, "window": 8}
    stuck = LstmConfig.model_validate({**small, "epochs": 1, "learning_rate": 1e-9})
    tried: list[torch.Tensor] = []

    class Watched(LstmRecipe):
        def network(self, codec: Any) -> Any:
            model = super().network(codec)
            tried.append(model.head.weight.detach().clone())
            return model

    trained = train([RING], Watched(stuck), 0, CPU)
    standing = trained.standings[1]
    assert standing is not None
    assert (standing.is_blind, standing.has_context, trained.n_restarts) == (True, True, 2)
    assert standing.control == "a Markov table of keys"
    assert standing.control_ratio == 1
    assert len(tried) == 3
    assert not torch.equal(tried[0], tried[1])
    assert not torch.equal(tried[1], tried[2])
    learned = train([RING], LstmRecipe(LstmConfig.model_validate({**small, "epochs": 15})), 0, CPU)
    assert learned.n_restarts == 0
    assert learned.standings[1] is not None
    assert not learned.standings[1].is_blind


def test_training_starts_at_the_frequencies() -> None:
    settings = LstmConfig.model_validate({"kind": "lstm", "encoding": "page_offset", "page_blocks": 4, "hidden": 8})
    keys = np.array([0, 1, 5, 0, 1, 5, 9, 0], np.uint64)
    recipe = LstmRecipe(settings)
    codec = recipe.learn([Accesses(keys, np.zeros(8, bool))])
    model = recipe.network(codec)
    start_at_frequencies(model, encode([Accesses(keys, np.zeros(8, bool))], codec, settings), settings)
    bias = model.head.bias.detach()
    # After the first access: pages 0, 1, 0, 0, 1, 2, 0 and offsets 1, 1, 0, 1, 1, 1, 0; class 0 is the unknown.
    for (first, end), counts in zip(model.spans[1], ([0, 4, 2, 1], [0, 2, 5, 0, 0]), strict=True):
        shares = (np.array(counts) + 0.5) / (7 + 0.5 * len(counts))
        np.testing.assert_allclose(torch.exp(bias[first:end]).numpy(), shares, rtol=1e-5)
