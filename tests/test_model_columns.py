"""Columns of the trace as inputs of a network: their classes, a model that is found again, and what they are worth."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tierfetch
from policies.given import Accesses, Given
from policies.models.codecs.columns import WithColumns
from policies.models.codecs.registry import CODECS, codec_of
from policies.models.encoder import Sizes
from simulator.errors import InputError
from simulator.policy import AccessRun
from tests.model_forms import SMALL, TRAIN, config


def test_classes_of_a_column_are_its_most_frequent_values() -> None:
    keys = np.array([5, 9, 5, 9, 5], np.uint64)
    columns = {"pc": np.array([7, 2**63, 7, 2**63, 1], np.uint64), "op": np.array([0, 1, 0, 0, 0], np.uint8),
               "position": np.array([0, -1, 0, 1, 0])}  # fmt: skip
    training = [Accesses(keys, np.zeros(5, bool), columns)]
    inner = CODECS["key"].learn([keys], Sizes(8))
    codec = WithColumns.beside(inner, ("pc", "position", "op"), training, limit=2)
    # Keys 5 and 9; of pc 7 and 2**63, of position 0 and -1, which is as often there as 1 and smaller as it is signed.
    assert codec.n_inputs == (3, 3, 3, 3)
    assert codec.n_outputs(1) == (3,)
    expected = [[1, 1, 1, 1], [2, 2, 0, 2], [1, 1, 1, 1], [2, 2, 2, 1], [1, 0, 1, 1]]
    assert codec.encode_all(training[0]).tolist() == expected
    again = codec_of("key", codec.vocabularies, ("pc", "position", "op"))
    one = {name: column[1:2] for name, column in columns.items()}
    assert isinstance(again, WithColumns)
    assert again.seen(np.array([4], np.uint64), 5, one).tolist() == [[0, *expected[1][1:]]]
    assert codec_of("key", codec.vocabularies).n_inputs == (3,)
    with pytest.raises(KeyError):
        codec_of("key", codec.vocabularies, ("layer",))


def planted(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Keys and program counters: which of eight blocks comes next only the program counter says."""
    pcs = np.random.default_rng(seed).integers(0, 8, n)
    blocks = np.array([3, 70, 11, 42, 25, 8, 90, 57])
    return np.concatenate([[0], blocks[pcs[:-1]]]).astype(np.uint64), pcs.astype(np.uint64) * np.uint64(64)


def test_a_kept_model_has_its_columns() -> None:
    """Found trained, it answers as it did; without the column it is another model."""
    keys, pcs = planted(400)

    def given_(per_stream: bool, needs: Any = ()) -> list[Accesses]:
        return [Accesses(keys, np.zeros(len(keys), bool), {name: {"pc": pcs}[name] for name in needs})]

    said = {"model": "lstm", "settings": {**SMALL, "dropout": 0.0}, "train": TRAIN, "backend": "eager"}
    one, two, blind = (config(**said, columns=columns).build(Given(given_, seed=0)) for columns in (["pc"], ["pc"], []))
    assert [built.details["model_was_cached"] for built in (one, two, blind)] == [False, True, False]
    assert (one.policy.needs, blind.policy.needs) == (("pc",), ())  # type: ignore[attr-defined]
    found = []
    for built in (one, two):
        answers = []
        for i in range(100, 140):
            zero = np.zeros(1, np.uint32), np.full(1, 4, np.uint8)
            answers.append(built.policy.decide([AccessRun(keys[i : i + 1], *zero, {"pc": pcs[i : i + 1]})]).answers[0])
        assert [list(answer.keys) for answer in answers] == [[int(key)] for key in keys[101:141]]
        found.append([answer.confidence for answer in answers])
    assert found[0] == found[1]


def test_a_trace_whose_next_block_the_program_counter_alone_tells(tmp_path: Path) -> None:
    """With it nearly all is a hit, without it an eighth is guessed; a trace that lacks it is refused."""
    rows = (f"{4096 * key},{pc}" for key, pc in zip(*(column.tolist() for column in planted(1200)), strict=True))
    (tmp_path / "loads.csv").write_text("\n".join(["id,ip", *rows]) + "\n")
    model = {
        "kind": "model", "model": "mlp", "context": {"window": 2}, "settings": {"hidden": 32, "dropout": 0.0},
        "train": {"epochs": 6}, "device": "cpu", "backend": "eager", "in_gpu_memory": False, "threshold": 0.0,
    }  # fmt: skip
    columns: dict[str, Any] = {"key": "id", "features": {"pc": "ip"}}
    source = {"kind": "table", "path": str(tmp_path / "loads.csv"), "columns": columns, "block": "4 KiB"}
    content = {
        "name": "pc", "seeds": [0],
        "workload": {"source": source, "arrivals": "closed(think=1 ms)", "train_ratio": 0.5},
        "system": {
            "tiers": [{"name": "hbm", "capacity": "8 KiB", "bandwidth": "2 TB/s"}],
            "links": [{"call": "100 us", "bandwidth": "25 GB/s"}], "origin": {"kind": "store"},
        },
        "arms": [
            "none", {"name": "blind", "policy": model, "charge": "free"},
            {"name": "sees", "policy": {**model, "columns": ["pc"]}, "charge": "free"},
        ],
    }  # fmt: skip
    runs = tierfetch.Experiment.load(content).run(out=tmp_path / "out", progress=False).runs.set_index("arm")
    assert runs.loc["sees", "hit_ratio"] > 0.99
    assert runs.loc["blind", "hit_ratio"] < 0.4
    del columns["features"]
    with pytest.raises(InputError, match="asks for the feature 'pc', which the trace does not have"):
        tierfetch.Experiment.load(content).run(out=tmp_path / "other", progress=False)


def test_columns_are_refused_where_they_cannot_be() -> None:
    ours = {"model": "gru", "train": {"epochs": 1}}
    with pytest.raises(ValueError, match="columns: go with an encoder of ours"):
        config(**ours, encoder="./enc.py:Enc", columns=["pc"])
    with pytest.raises(ValueError, match="columns: expected different names"):
        config(**ours, columns=["pc", "pc"])
