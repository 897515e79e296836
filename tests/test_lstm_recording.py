"""Recordings: replayed to the byte, refused when changed, on a machine without what made them; and nothing leaks."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open

from policies.lstm.backends.eager import Eager
from policies.models.backend import Backend
from simulator.charge import Cost, Replay
from simulator.errors import InputError
from simulator.policy import Answer, Decision
from tests.test_experiment import call, config, lstm_arm, only_lstm, write

TABLES = ("accesses", "prefetches", "inferences", "windows", "training")
AHEAD = {"horizons": [1, 2, 4], "degree": 2, "epochs": 4}


def with_policy(charge: dict[str, Any], **policy: Any) -> dict[str, Any]:
    content = only_lstm(charge)
    content["arms"][1]["policy"].update(AHEAD, **policy)
    return content


def run(folder: Path, name: str, content: dict[str, Any]) -> Path:
    result = call(write(folder, content, f"{name}.yaml"), "--out", folder / name)
    assert result.exit_code == 0, result.output
    return folder / name


def refused(folder: Path, content: dict[str, Any], *expected: str) -> None:
    result = call(write(folder, content, "refused.yaml"), "--out", folder / "refused", "--force")
    assert result.exit_code == 2, result.output
    for text in ("error: ", *expected):
        assert text in result.stderr
    assert "Traceback" not in result.output


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("recorded"), "out", with_policy({"kind": "measured"}))


@pytest.fixture
def copied(recorded: Path, tmp_path: Path) -> Path:
    """A recording that a test may spoil."""
    return Path(shutil.copytree(recorded, tmp_path / "recording"))


def replay(source: Path) -> dict[str, Any]:
    return with_policy({"kind": "replay", "source": str(source)})


def test_a_replay_gives_the_same_tables_to_the_byte(recorded: Path, tmp_path: Path) -> None:
    first = run(tmp_path, "first", replay(recorded))
    # A replay is a recording too.
    again = run(tmp_path, "again", replay(first))
    for name in TABLES:
        original, a, b = (pq.read_table(folder / name / "lstm-0.parquet") for folder in (recorded, first, again))
        assert original.num_rows > 0
        assert a.equals(original, check_metadata=False)
        assert b.equals(original, check_metadata=False)
    # Where the latencies were measured stands in each, whatever the machine that replays them.
    told = [pq.read_metadata(out / "inferences" / "lstm-0.parquet").metadata for out in (recorded, first, again)]
    assert len({metadata[b"provenance"] for metadata in told}) == 1
    assert json.loads(told[0][b"provenance"])["torch"] == str(torch.__version__)
    same = run(tmp_path, "same", replay(recorded))
    for name in TABLES:
        assert (first / name / "lstm-0.parquet").read_bytes() == (same / name / "lstm-0.parquet").read_bytes()
    runs = pd.read_parquet(first / "runs.parquet").set_index("arm")
    assert runs.loc["lstm", "device"] == "cpu (recorded)"
    assert runs.loc["lstm", "latencies_backend"] in ("compiled", "onnx", "eager")


def test_the_first_calls_are_recorded_and_marked(recorded: Path) -> None:
    inferences = pd.read_parquet(recorded / "inferences" / "lstm-0.parquet")
    first = inferences[inferences["status"] == "warm_up"]
    assert len(first) >= 20
    assert (first["host_ns"] > 0).all()
    assert (first["charged_ns"] == 0).all()
    assert (first["batch"] == -1).all()
    assert first["asked_ns"].isna().all()
    runs = pd.read_parquet(recorded / "runs.parquet").set_index("arm")
    assert runs.loc["lstm", "n_asked"] == len(inferences) - len(first)


def rewrite(path: Path, table: pa.Table, **metadata: str) -> None:
    """A table in place of another, with the other's metadata but for what is given."""
    kept = dict(pq.read_metadata(path).metadata)
    kept.pop(b"ARROW:schema", None)
    for key, value in metadata.items():
        assert kept[key.encode()] != value.encode()
        kept[key.encode()] = value.encode()
    pq.write_table(table.replace_schema_metadata(kept), path)


def test_what_is_only_rewritten_is_accepted(copied: Path, tmp_path: Path) -> None:
    path = copied / "inferences" / "lstm-0.parquet"
    rewrite(path, pq.read_table(path))
    run(tmp_path, "again", replay(copied))


@pytest.mark.parametrize(
    ("column", "value"),
    [("charged_ns", 12345), ("host_ns", 1), ("predicted_key", 3), ("status", "warm_up"), ("n_proposed", 9)],
)
def test_a_changed_recording_is_refused(copied: Path, tmp_path: Path, column: str, value: Any) -> None:
    path = copied / "inferences" / "lstm-0.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index(column)
    values = table[column].to_pylist()
    assert values[len(values) // 2] != value
    values[len(values) // 2] = value
    field = table.schema.field(at)
    changed = pa.array(values) if column != "status" else pa.array(values).dictionary_encode()
    rewrite(path, table.set_column(at, field, changed.cast(field.type)))
    refused(tmp_path, replay(copied), "lstm-0.parquet", "was changed after it was recorded")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("device", "cuda: NVIDIA H100"),
        ("model_hash", "0" * 24),
        ("backend", "somewhere"),
        ("horizon", "7"),
        ("provenance", "{}"),
    ],
)
def test_changed_metadata_is_refused(copied: Path, tmp_path: Path, key: str, value: str) -> None:
    path = copied / "inferences" / "lstm-0.parquet"
    rewrite(path, pq.read_table(path), **{key: value})
    refused(tmp_path, replay(copied), "was changed after it was recorded")


def test_a_changed_model_is_refused(copied: Path, tmp_path: Path) -> None:
    path = copied / "models" / "lstm-0.safetensors"
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(bytes(content))
    refused(tmp_path, replay(copied), "lstm-0.safetensors", "checksum differs")


def test_another_run_is_refused(recorded: Path, tmp_path: Path) -> None:
    content = replay(recorded)
    content["arms"][1]["policy"]["degree"] = 1
    refused(tmp_path, content, "does not fit this run")


def test_latencies_of_other_work_are_not_drawn(recorded: Path, tmp_path: Path) -> None:
    content = with_policy({"kind": "sampled", "source": str(recorded)}, hidden=24)
    refused(tmp_path, content, "latencies of other work")
    # What does not change the work of an inference may differ.
    run(tmp_path, "drawn", with_policy({"kind": "sampled", "source": str(recorded)}, threshold=0.9))


def test_a_recording_in_the_place_of_another_is_run_again(copied: Path, tmp_path: Path) -> None:
    first = run(tmp_path, "replayed", replay(copied))
    before = pd.read_parquet(first / "runs.parquet").set_index("arm").loc["lstm", "mean_inference_charged_ns"]
    assert call(tmp_path / "replayed.yaml", "--out", first).output.count("2 of 2 runs are finished already") == 1
    again = write(tmp_path, with_policy({"kind": "measured"}), "again.yaml")
    shutil.rmtree(copied)
    assert call(again, "--out", copied).exit_code == 0
    result = call(tmp_path / "replayed.yaml", "--out", first)
    assert result.exit_code == 0
    assert "1 of 2 runs are finished already" in result.output
    after = pd.read_parquet(first / "runs.parquet").set_index("arm").loc["lstm", "mean_inference_charged_ns"]
    assert after != before


def test_latencies_that_were_not_measured_are_not_drawn(tmp_path: Path) -> None:
    source = run(tmp_path, "free", with_policy({"kind": "free"}, predictions="batched"))
    content = with_policy({"kind": "sampled", "source": str(source)})
    refused(tmp_path, content, "holds no timed inference to draw from")


@contextmanager
def elsewhere(folder: Path, kind: type[Backend]) -> Iterator[None]:
    """A machine with a GPU: its model has a hash that training here would not give, its backend is not here."""
    with pytest.MonkeyPatch.context() as there:
        there.setattr("policies.models.store.model_hash", lambda *_: "a" * 24)
        there.setattr("policies.models.predictor.device_name", lambda place: "cuda: NVIDIA H100")
        there.setattr("policies.lstm.backends.registry.BACKENDS.kinds", (kind,))
        there.setattr(kind, "name", "cuda_graph")
        there.setenv("TIERFETCH_MODELS", str(folder / "its-models"))
        yield
    shutil.rmtree(folder / "its-models")


def test_a_recording_of_another_machine(tmp_path: Path) -> None:
    """By another backend's arithmetic: confidences may differ in the last digits."""
    with elsewhere(tmp_path, Eager):
        theirs = run(tmp_path, "theirs", with_policy({"kind": "measured"}, backend="auto"))
    ours = run(tmp_path, "ours", with_policy({"kind": "replay", "source": str(theirs)}, device="cpu"))
    for name in ("accesses", "prefetches", "windows"):
        a, b = (pq.read_table(folder / name / "lstm-0.parquet") for folder in (theirs, ours))
        assert (
            a.drop_columns("confidence").equals(b.drop_columns("confidence"), check_metadata=False)
            if (name == "prefetches")
            else a.equals(b, check_metadata=False)
        )
    row = pd.read_parquet(ours / "runs.parquet").set_index("arm").loc["lstm"]
    assert row["device"] == "cuda: NVIDIA H100 (recorded)"
    assert row["model_hash"] == "a" * 24
    shutil.rmtree(theirs / "models")
    refused(tmp_path, replay(theirs), "was recorded with model aaaa", "expected the whole folder of results")


class Coarse(Eager):
    """Scores in steps of a quarter: many are equal, and the smaller class is in front more often than here."""

    def advance(self, classes: Any, states: Any) -> Any:
        """Rounded."""
        return np.round(super().advance(classes, states) * 4) / 4


def test_recorded_decisions_are_taken_as_they_are(tmp_path: Path) -> None:
    """What computing refuses: a tie that is broken otherwise. All tables are the same, by both engines."""
    said = {"vocabulary": 12, "rule": "threshold", "threshold": 0.01, "epochs": 2}
    content = with_policy({"kind": "measured"}, backend="auto", **said)
    with elsewhere(tmp_path, Coarse):
        theirs = run(tmp_path, "theirs", content)
    again = with_policy({"kind": "replay", "source": str(theirs)}, **said)
    refused(tmp_path, again, "or this machine's arithmetic differs")
    again["arms"][1]["charge"]["decisions"] = "recorded"
    ours = run(tmp_path, "ours", again)
    again["engine"] = "simpy"
    model = run(tmp_path, "model", again)
    for name in (*TABLES, "decisions"):
        original, a, b = (pq.read_table(folder / name / "lstm-0.parquet") for folder in (theirs, ours, model))
        assert a.equals(original, check_metadata=False), name
        assert b.equals(original, check_metadata=False), name
    decided = pd.read_parquet(ours / "decisions" / "lstm-0.parquet")
    inferences = pd.read_parquet(ours / "inferences" / "lstm-0.parquet").query("batch >= 0").sort_values("inference")
    assert (decided["keys"].map(len).to_numpy() == inferences["n_proposed"].to_numpy())[:-5].all()
    assert (decided["keys"].map(len) == 2).any()
    # They are under the seal of the inferences.
    path = theirs / "decisions" / "lstm-0.parquet"
    table = pq.read_table(path)
    keys = [[key + 1 for key in row] for row in table["keys"].to_pylist()]
    at = table.schema.get_field_index("keys")
    rewrite(path, table.set_column(at, table.schema.field(at), pa.array(keys, table.schema.field(at).type)))
    refused(tmp_path, again, "decisions/lstm-0.parquet", "was changed after it was recorded")
    path.unlink()
    refused(tmp_path, again, "decisions/lstm-0.parquet: no such file", "decisions: recomputed")


def test_a_replay_checks_what_was_predicted() -> None:
    """Latencies belong to the work that they were measured on: another guess means other work."""
    charge = Replay(
        [Cost(5, 4, 3, 2), Cost(7, 6, 0, 5), Cost(9, 9, 9, 9)],
        [[(11, 0)], [(12, 2), (None, 0)], [(13, 1)]],
        "recording",
    )
    assert charge(Decision([Answer(predicted_key=11)], 100, 100)) == (5, 4, 3, 2)
    assert charge(Decision([Answer([12, 9], [1, 1], 12), Answer()], 100, 100)) == (7, 6, 0, 5)
    with pytest.raises(InputError, match=r"recording: inference 2 answered .*13, 1.* but here it is .*14, 1"):
        charge(Decision([Answer([14], [1.0], 14)]))
    with pytest.raises(InputError, match=r"here it is .*13, 2"):
        charge(Decision([Answer([13, 14], [1.0, 1.0], 13)]))
    with pytest.raises(InputError, match="holds 3 recorded inferences, but the run made 2"):
        charge.finish()
    charge(Decision([Answer([13], [1.0], 13)]))
    with pytest.raises(InputError, match="the run needs more"):
        charge(Decision([Answer(predicted_key=15)]))


def test_predictions_made_beforehand_replay_as_those_made_one_by_one(recorded: Path, tmp_path: Path) -> None:
    content = replay(recorded)
    content["arms"][1]["policy"]["predictions"] = "batched"
    out = run(tmp_path, "batched", content)
    for name in ("accesses", "windows"):
        a, b = (pq.read_table(folder / name / "lstm-0.parquet") for folder in (recorded, out))
        assert a.equals(b, check_metadata=False)
    a, b = (pq.read_table(folder / "prefetches" / "lstm-0.parquet") for folder in (recorded, out))
    assert a.drop_columns("confidence").equals(b.drop_columns("confidence"), check_metadata=False)
    np.testing.assert_allclose(a["confidence"].to_numpy(), b["confidence"].to_numpy(), atol=1e-4)


def test_batched_predictions_have_no_time_of_their_own(tmp_path: Path) -> None:
    refused(tmp_path, with_policy({"kind": "measured"}, predictions="batched"), "predictions", "sampled")


@pytest.mark.parametrize("target", ["access", "set"])
def test_no_leak(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The judged part poisoned: vocabulary, weights, temperature, controls, horizon and threshold come out the same."""
    rng = np.random.default_rng(5)
    learned = np.tile(rng.permutation(40), 20)
    found = {}
    for name, judged in (("clean", np.tile(learned[:40], 20)), ("poisoned", rng.integers(10**6, 2 * 10**6, 800))):
        ids = tmp_path / f"{name}.txt"
        ids.write_text("\n".join(map(str, [*learned, *judged])) + "\n")
        monkeypatch.setenv("TIERFETCH_MODELS", str(tmp_path / f"models-{name}"))
        content = config(seeds=[0], arms=[lstm_arm({"kind": "free"})], baseline="lstm")
        content["workload"]["source"] = {"kind": "ids", "path": str(ids), "block": "4 KiB"}
        content["arms"][0]["policy"].update(AHEAD, rule="cost", target=target)
        out = run(tmp_path, name, content)
        row = pd.read_parquet(out / "runs.parquet").iloc[0]
        assert not row["model_was_cached"]
        with safe_open(str(out / "models" / "lstm-0.safetensors"), framework="np") as file:
            extra = json.loads(file.metadata()["extra"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        found[name] = (
            tensors,
            extra["calibrations"],
            extra["standings"],
            extra["kept_epoch"],
            row["horizon"],
            row["threshold"],
        )
        assert row["trace_sha256"]
    clean, poisoned = found["clean"], found["poisoned"]
    assert clean[0].keys() == poisoned[0].keys()
    for key in clean[0]:
        np.testing.assert_array_equal(clean[0][key], poisoned[0][key])
    assert "codec.key" in clean[0]
    assert clean[1:] == poisoned[1:]


def test_came_true_looks_as_far_as_the_horizon(tmp_path: Path) -> None:
    """Three ahead on a pointer chase: the guess is compared with the third access from now, and is right."""
    out = run(tmp_path, "far", with_policy({"kind": "free"}, horizons=[3], epochs=20))
    inferences = pq.read_table(out / "inferences" / "lstm-0.parquet")
    inferences = inferences.filter(pc.equal(inferences["status"], "answered")).to_pandas()
    accesses = pd.read_parquet(out / "accesses" / "lstm-0.parquet").set_index("access")["key"]
    known = inferences[inferences["next_key"].notna()]
    assert len(known) == len(inferences) - 3
    assert (accesses.loc[known["access"] + 3].to_numpy() == known["next_key"].to_numpy()).all()
    assert known["came_true"].astype(bool).mean() > 0.9
