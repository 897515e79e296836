"""Bad input: exit code 2, one clear message, no traceback, nothing half-written."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.test_experiment import call, config, lstm_arm, only_lstm, table, write

NONE = {"name": "none", "policy": {"kind": "none"}}


def refuse(tmp_path: Path, content: dict[str, Any], *expected: str, arguments: tuple[str, ...] = ()) -> str:
    path = write(tmp_path, content)
    result = call(path, "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    message = result.stderr
    for text in expected:
        assert text in message, message
    left = [p for p in (tmp_path / "out").rglob("*") if p.suffix in {".part", ".parquet"}]
    assert left == []
    return str(message)


def with_source(source: dict[str, Any], **changes: Any) -> dict[str, Any]:
    content = config(seeds=[0], arms=[NONE], **changes)
    content["workload"] = {"source": source}
    return content


def test_missing_config(tmp_path: Path) -> None:
    result = call(tmp_path / "nowhere.yaml")
    assert result.exit_code == 2
    assert "nowhere.yaml: no such file" in result.stderr


def test_missing_trace(tmp_path: Path) -> None:
    refuse(tmp_path, with_source({"kind": "ids", "path": str(tmp_path / "gone.txt")}), "gone.txt", "no such file")


@pytest.mark.parametrize(
    ("kind", "name"), [("ids", "t.txt"), ("oracle_general", "t.bin"), ("vscsi", "t.vscsi"), ("mooncake", "t.jsonl")]
)
def test_empty_trace(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    source = {"kind": kind, "path": str(tmp_path / name), "block": "4 KiB"}
    refuse(tmp_path, with_source(source), name, "is empty")


def test_truncated_record(tmp_path: Path) -> None:
    (tmp_path / "t.bin").write_bytes(b"\1" * 24 * 3 + b"\1" * 10)
    source = {"kind": "oracle_general", "path": str(tmp_path / "t.bin"), "block": "4 KiB"}
    refuse(tmp_path, with_source(source), "t.bin: record 3 is truncated: 10 bytes, expected 24")


def test_truncated_archive(tmp_path: Path) -> None:
    import gzip

    (tmp_path / "t.gz").write_bytes(gzip.compress(b"1\n2\n3\n" * 1000)[:-12])
    refuse(tmp_path, with_source({"kind": "ids", "path": str(tmp_path / "t.gz")}), "t.gz: damaged")


def test_broken_json_line(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"timestamp": 0, "hash_ids": [1]}\n{"timestamp": 1, "hash_\n')
    source = {"kind": "mooncake", "path": str(tmp_path / "t.jsonl"), "block": "4 KiB"}
    refuse(tmp_path, with_source(source), "t.jsonl: line 2: is not JSON")


def test_negative_id(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1\n2\n-3\n")
    refuse(tmp_path, with_source({"kind": "ids", "path": str(tmp_path / "t.txt")}), "line 3", "'-3'")


def test_zero_size(tmp_path: Path) -> None:
    import struct

    (tmp_path / "t.bin").write_bytes(struct.pack("<IQIq", 0, 7, 10, -1) + struct.pack("<IQIq", 0, 8, 0, -1))
    refuse(
        tmp_path,
        with_source({"kind": "oracle_general", "path": str(tmp_path / "t.bin")}),
        "record 1: column 'size' is 0; expected a whole number from 1 to",
    )


def test_negative_size(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("block,bytes\n1,100\n2,-5\n")
    source = {"kind": "table", "path": str(tmp_path / "t.csv"), "columns": {"key": "block", "size_bytes": "bytes"}}
    refuse(tmp_path, with_source(source), "t.csv: line 3: column 'bytes' is '-5'; expected a whole number")


def test_capacity_smaller_than_a_block(tmp_path: Path) -> None:
    content = config(seeds=[0], arms=[NONE])
    content["system"]["tiers"][0]["capacity"] = "1 KiB"
    # All of them pass by: that is no error, but it is said.
    result = call(write(tmp_path, content), "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "Blocks larger than tier 0 pass by: 600 misses were of such." in result.output


def test_unknown_policy(tmp_path: Path) -> None:
    arms = [{"name": "x", "policy": {"kind": "lstn"}}]
    refuse(tmp_path, config(arms=arms, baseline="x"), "arms.0.policy", "'lstn'", "'none', 'next_n', 'obl'")


def test_a_throttle_upside_down_and_a_flood(tmp_path: Path) -> None:
    throttle = {"kind": "fdp", "policy": {"kind": "next_n"}, "accuracy_high": 0.1, "accuracy_low": 0.4}
    refuse(tmp_path, config(arms=[{"name": "x", "policy": throttle}], baseline="x"), "accuracy_low: expected at most")
    flood = {"kind": "next_n", "n": 10**12}
    refuse(tmp_path, config(arms=[{"name": "x", "policy": flood}], baseline="x"), "arms.0.policy.next_n.n", "65536")


def test_misspelt_key(tmp_path: Path) -> None:
    content = config()
    content["system"]["placment"] = "inclusive"
    refuse(tmp_path, content, "system.placment", "did you mean 'placement'?")


@pytest.mark.parametrize("value", ["64", "64 ms", "sixty MiB", 64, "-1 MiB", "0.3 B", "0 B"])
def test_wrong_unit(tmp_path: Path, value: Any) -> None:
    content = config()
    content["system"]["tiers"][0]["capacity"] = value
    refuse(tmp_path, content, "system.tiers.0.capacity", str(value).split()[0])


def test_duplicate_arm(tmp_path: Path) -> None:
    refuse(tmp_path, config(arms=[NONE, NONE]), "arms: 'none' is there 2 times")


def test_duplicate_key(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("name: a\nseeds: [0]\nname: b\n")
    result = call(path)
    assert result.exit_code == 2
    assert "line 3" in result.stderr
    assert "'name' is there twice" in result.stderr


def test_baseline_is_no_arm(tmp_path: Path) -> None:
    refuse(tmp_path, config(baseline="nobody"), "baseline: 'nobody' is no arm; expected one of none, next_n, lstm")


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        result = call(write(tmp_path, config(seeds=[0], arms=[NONE])), "--out", out)
        assert result.exit_code == 2, result.output
        assert str(out) in result.stderr


def test_folder_of_another_config(tmp_path: Path) -> None:
    content = config(seeds=[0], arms=[NONE])
    assert call(write(tmp_path, content), "--out", tmp_path / "out").exit_code == 0
    content["system"]["tiers"][0]["capacity"] = "200 KiB"
    result = call(write(tmp_path, content), "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "another config" in result.stderr
    assert len(table(tmp_path / "out", "runs.parquet")) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["workload"]["source"].update(accesses=1000),
        lambda c: c["system"]["tiers"][0].update(capacity="80 KiB"),
        lambda c: c["arms"][1]["policy"].update(threshold=0.9),
        lambda c: c.update(seeds=[5]),
    ],
)
def test_replay_of_another_run(tmp_path: Path, change: Any) -> None:
    (tmp_path / "recorded").mkdir()
    recorded = write(tmp_path / "recorded", only_lstm({"kind": "measured"}))
    assert call(recorded, "--out", tmp_path / "recording", "--seeds", "0,5").exit_code == 0
    content = only_lstm({"kind": "replay", "source": str(tmp_path / "recording")})
    change(content)
    if content["seeds"] == [5]:
        file = tmp_path / "recording" / "inferences" / "lstm-0.parquet"
        content["arms"][1] = lstm_arm({"kind": "replay", "source": str(file)})
    refuse(tmp_path, content, "arms.lstm.charge.source", "does not fit this run")


def test_replay_of_nothing(tmp_path: Path) -> None:
    content = only_lstm({"kind": "replay", "source": str(tmp_path / "gone")})
    refuse(tmp_path, content, "gone", "no such file")
    (tmp_path / "gone.parquet").write_text("no table")
    content = only_lstm({"kind": "replay", "source": str(tmp_path / "gone.parquet")})
    refuse(tmp_path, content, "gone.parquet", "is no table of inferences")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here, so asking for it is no error")
def test_cuda_without_a_gpu(tmp_path: Path) -> None:
    arm = lstm_arm({"kind": "measured"})
    arm["policy"]["device"] = "cuda"
    refuse(tmp_path, config(arms=[NONE, arm], seeds=[0]), "'cuda', but torch finds no CUDA device", arguments=())


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("system.tiers.7.capacity=1 MiB", "system.tiers.7"),
        ("nonsense", "expected key.path=value"),
        ("system.tiers.0.capacity=1 MB/s", "system.tiers.0.capacity"),
        ("workload.arrivals={kind: open}", "needs a trace with arrival times"),
        ("workload.train_ratio=0", "arm 'lstm' learns"),
        ("arms.lstm.policy.horizons=[2, 1]", "expected different numbers in rising order"),
        ("arms.lstm.policy.horizon=3", "3 is none of horizons [1]"),
        ("arms.lstm.policy.encoding=keys", "arms.2.policy.lstm.encoding"),
        ("arms.lstm.policy={kind: lstm, expand: rollout, horizons: [1, 2]}", "'rollout' walks access by access"),
        ("arms.lstm.policy={kind: lstm, expand: rollout, predictions: batched}", "expected top_k"),
        ("arms.lstm.policy={kind: lstm, expand: rollout, target: set}", "expected target: access"),
        ("arms.lstm.policy={kind: lstm, encoding: page_offset, target: set}", "goes with encoding: key or delta"),
        ("arms.lstm.policy={kind: model, model: gru, train: {}, encoder: page_offset, target: set}", "a block each"),
        ("arms.lstm.policy.backend=cuda_graph", "'cuda_graph' goes with device: cuda"),
        ("arms.lstm.policy={kind: lstm, device: cuda, backend: onnx}", "'onnx' runs on the CPU"),
        ("arms.lstm.policy={kind: lstm, predictions: batched}", "expected sampled, replay, fixed or free"),
        ("arms.lstm.policy.validation_ratio=0.9", "validation_ratio"),
    ],
)
def test_bad_override(tmp_path: Path, override: str, expected: str) -> None:
    refuse(tmp_path, config(), expected, arguments=("--set", override))


PINNED = "system.tiers.0.eviction=pinned"
EXPERTS = "workload.source={kind: moe_experts, accesses: 600, block: 4 KiB}"


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ((PINNED, "workload.train_ratio=0"), "pinned counts what comes before the judged accesses"),
        ((EXPERTS, "arms.next_n.policy=expert_gate(experts=4)"), "arms.next_n.policy.experts: 4; expected 8"),
        ((EXPERTS[:-1] + ", first_key: 12}", "arms.next_n.policy=expert_gate"), "12; expected a multiple of 8"),
        (("arms.next_n.policy=gate(policy=expert_gate)",), "'pointer_chase' does not say how many experts"),
    ],
)
def test_arms_that_do_not_fit_the_workload(tmp_path: Path, sets: tuple[str, ...], expected: str) -> None:
    arms = [NONE, {"name": "next_n", "policy": {"kind": "next_n"}}]
    refuse(tmp_path, config(arms=arms), expected, arguments=tuple(part for one in sets for part in ("--set", one)))


def test_arms_that_fit_the_workload(tmp_path: Path) -> None:
    """A list of keys needs no training part, nor what comes before in a warm-up; a gate has the model's experts."""
    arms = [NONE, {"name": "gate", "policy": "expert_gate"}, {"name": "same", "policy": "expert_gate(experts=8)"}]
    path = write(tmp_path, config(arms=arms, seeds=[0]))
    for i, sets in enumerate(((f"{PINNED}(keys=[3])", "workload.train_ratio=0"), (PINNED, "warm_up=0.2"))):
        more = ("--set", EXPERTS, *(part for one in sets for part in ("--set", one)))
        assert call(path, "--out", tmp_path / str(i), *more).exit_code == 0
        latency = table(tmp_path / str(i), "runs.parquet").set_index("arm")["mean_latency_ns"]
        assert latency["gate"] == latency["same"] < latency["none"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("next_turn", "asks for the feature 'session', which the trace does not have"),
        ("gate(policy=next_turn(session=user))", "asks for the feature 'user'"),
        (
            {"kind": "model", "model": "gru", "columns": ["pc"], "train": {"epochs": 1}, "in_gpu_memory": False},
            "asks for the feature 'pc'",
        ),
        ("selector(experts=[next_n, lstm])", "policy.experts.1: 'lstm' is learned; expected policies of tables"),
    ],
)
def test_what_is_wrong_with_the_last_arm_is_found_before_the_first_runs(
    tmp_path: Path, policy: Any, expected: str
) -> None:
    content = config(arms=[NONE, {"name": "last", "policy": policy}])
    path = write(tmp_path, content)
    for more in ((), ("--dry-run",)):
        result = call(path, "--out", tmp_path / "out", *more)
        assert result.exit_code == 2
        assert expected in result.stderr
    assert not (tmp_path / "out").exists()


def test_times_that_go_backwards(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("k,t\n1,100\n2,50\n")
    source = {"kind": "table", "path": str(tmp_path / "t.csv"), "columns": {"key": "k", "time_ns": "t"}}
    content = with_source(source)
    content["workload"]["arrivals"] = {"kind": "open"}
    refuse(tmp_path, content, "goes backwards at access 1")


def test_bad_seeds(tmp_path: Path) -> None:
    refuse(tmp_path, config(), "--seeds a: expected whole numbers", arguments=("--seeds", "a"))
