"""One's own network in a whole experiment: from a state_dict, torch.export and ONNX; recorded, replayed, edited."""

import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import yaml

import tierfetch
from policies.models.backends.onnx import exported
from policies.models.call import Runnable
from tests.test_experiment import call, config, write

NETS_PY = '''
import torch
from torch import nn


class Net(nn.Module):
    """A GRU over keys."""

    def __init__(self, n_inputs, n_scores, hidden: int = 8):
        super().__init__()
        self.embedding = nn.Embedding(n_inputs[0], hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.head = nn.Linear(hidden, n_scores)

    def forward(self, classes, state=None):
        output, state = self.gru(self.embedding(classes[..., 0]), state)
        return self.head(output), state


class Sickens(Net):
    """Fails after a while."""

    n = 0

    def forward(self, classes, state=None):
        self.n += 1
        print("how I feel:", self.n)
        if self.n > 150:
            raise ArithmeticError("too many questions")
        return super().forward(classes, state)
'''
N_KEYS = 40
POLICY: dict[str, Any] = {"kind": "model", "device": "cpu", "in_gpu_memory": False, "threshold": 0.0, "vocabulary": 64}
OF_CLASS = {**POLICY, "model": "./nets.py:Net", "weights": "w.pt", "backend": "eager"}


def experiment(*arms: dict[str, Any], **changes: Any) -> dict[str, Any]:
    plain = [{"name": name, "policy": {"kind": name}} for name in ("none", "next_n")]
    content = config(arms=[*plain, *arms], seeds=[0], **changes)
    content["workload"]["source"] = {"kind": "pointer_chase", "accesses": 800, "block": "4 KiB", "n_keys": N_KEYS}
    # On a machine that is busy, too, all are answered.
    content["system"]["inference"] = {"mode": "sync"}
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beside the config: a class, weights that it never learned here, the same exported."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "nets.py").write_text(NETS_PY)
    space: dict[str, Any] = {}
    exec(NETS_PY, space)
    torch.manual_seed(0)
    net = space["Net"]((N_KEYS + 1,), N_KEYS + 1).eval()
    torch.save(net.state_dict(), folder / "w.pt")
    classes, state = torch.ones(1, 1, 1, dtype=torch.int64), torch.zeros(1, 1, 8)
    with warnings.catch_warnings():
        # Torch's own, about its own GRU.
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(net, (classes, state)), folder / "net.pt2")
    (folder / "net.onnx").write_bytes(exported(Runnable("net", net, None, None, 1, (N_KEYS + 1,))))
    return folder


ARMS = [
    {"name": "state", "policy": OF_CLASS},
    {"name": "exported", "policy": {**POLICY, "model": "net.pt2"}},
    {"name": "onnx", "policy": {**POLICY, "model": "./net.onnx"}},
    {"name": "trained", "policy": {**POLICY, "model": "./nets.py:Net", "backend": "eager", "train": {"epochs": 2}}},
]


@pytest.fixture(scope="module")
def recorded(folder: Path) -> Path:
    """All of them, each measured."""
    result = call(write(folder, experiment(*ARMS)), "--out", folder / "out")
    assert result.exit_code == 0, result.output
    return folder / "out"


def runs_of(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "runs.parquet").set_index("arm")


def test_every_form_is_measured_and_guesses_the_same(recorded: Path) -> None:
    runs = runs_of(recorded)
    names = [arm["name"] for arm in ARMS]
    assert (runs.loc[names, "latencies"] == "measured").all()
    assert (runs.loc[names, "device"] == "cpu").all()
    assert runs.loc[names, "latencies_backend"].tolist() == ["eager", "eager", "onnx", "eager"]
    assert runs.loc[names, "model_hash"].nunique() == len(names)
    assert (runs.loc[names, "p50_inference_charged_ns"] > 1000).all()
    guesses = {}
    for name in names:
        rows = pd.read_parquet(recorded / "inferences" / f"{name}-0.parquet")
        assert (rows["status"] == "warm_up").sum() == 50
        guesses[name] = rows[rows["status"] == "answered"].set_index("access")["predicted_key"]
    table = pd.DataFrame(guesses).dropna()
    assert len(table) > 50
    assert (table["state"] == table["exported"]).all()
    assert (table["state"] == table["onnx"]).all()
    assert (table["state"] != table["trained"]).any()
    assert (recorded / "models" / "trained-0.safetensors").exists()
    assert pq.read_table(recorded / "training" / "trained-0.parquet").num_rows == 2


def test_a_replay_gives_the_same_tables(recorded: Path, folder: Path) -> None:
    """Of a model from files and of one that was trained; latencies of other work are not drawn."""
    charge = {"kind": "replay", "source": str(recorded)}
    replayed = [{**ARMS[0], "charge": charge}, {**ARMS[3], "charge": charge}]
    result = call(write(folder, experiment(*replayed), "replay.yaml"), "--out", folder / "replayed")
    assert result.exit_code == 0, result.output
    for name, table in (("state", "accesses"), ("state", "inferences"), ("trained", "prefetches")):
        a, b = (pq.read_table(out / table / f"{name}-0.parquet") for out in (recorded, folder / "replayed"))
        assert a.equals(b, check_metadata=False)
    assert runs_of(folder / "replayed").loc["state", "device"] == "cpu (recorded)"
    drawn = {**ARMS[1], "name": "other", "charge": {"kind": "sampled", "source": str(recorded), "arm": "onnx"}}
    result = call(write(folder, experiment(drawn), "drawn.yaml"), "--out", folder / "drawn")
    assert result.exit_code == 2
    assert "latencies of other work" in result.stderr


def test_an_edited_class_runs_again(recorded: Path, folder: Path, tmp_path: Path) -> None:
    for name in ("nets.py", "w.pt", "net.pt2", "net.onnx", "config.yaml"):
        shutil.copy(folder / name, tmp_path / name)
    shutil.copytree(recorded, tmp_path / "out")
    command = (tmp_path / "config.yaml", "--out", tmp_path / "out")
    assert "6 of 6 runs are finished already" in call(*command).output
    (tmp_path / "nets.py").write_text(NETS_PY.replace("A GRU over keys", "A GRU over all keys"))
    # Two processes make those two; what is timed goes alone.
    assert "4 of 6 runs are finished already" in call(*command, "--jobs", 2).output


def test_from_python(recorded: Path, folder: Path) -> None:
    """The same config finds the finished runs; with other settings a model is run."""
    experiment_ = tierfetch.Experiment.load(folder / "config.yaml")
    assert len(experiment_.run(out=recorded, progress=False).runs) == 6
    changed = experiment_.with_(
        **{"arms.state.policy.degree": 2, "arms.exported.policy": "none", "arms.trained.policy": "none"}
    )
    runs = changed.run(out=folder / "from-python", progress=False).runs.set_index("arm")
    assert runs.loc["state", "latencies"] == "measured"
    assert runs.loc["state", "n_proposed"] > 1.5 * runs.loc["onnx", "n_proposed"]


def test_one_that_does_not_fit_ends_with_one_line_and_nothing_run(folder: Path) -> None:
    arm = {"name": "few", "policy": {**OF_CLASS, "vocabulary": 20}}
    result = call(write(folder, experiment(arm), "few.yaml"), "--out", folder / "few")
    assert result.exit_code == 2
    assert "policy.weights: " in result.stderr
    assert "embedding.weight is (41, 8), not (21, 8)" in result.stderr
    assert "Traceback" not in result.output


def test_one_that_fails_in_the_run_ends_it_alone(folder: Path) -> None:
    arm = {"name": "sickens", "policy": {**OF_CLASS, "model": "./nets.py:Sickens"}}
    result = call(write(folder, experiment(arm), "sickens.yaml"), "--out", folder / "sickens")
    assert result.exit_code == 4
    assert "arm sickens, seed 0, access " in result.stderr
    assert "ArithmeticError: too many questions" in result.stderr
    assert "nets.py:29 in forward" in result.stderr
    # What it prints meanwhile is passed on once.
    assert result.stdout.count("prints: 'how I feel:") == 1
    assert len(list((folder / "sickens" / "accesses").iterdir())) == 2


def test_the_example_of_the_page_runs(tmp_path: Path) -> None:
    """Its files as they stand there, and its encoder, trained with; both networks find the cycle."""
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    for name, content in re.findall(r"^```\w+\n# (\S+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(content)
    content = yaml.safe_load((tmp_path / "models.yaml").read_text())
    mine = next(arm for arm in content["arms"] if arm["name"] == "mine")
    content["arms"].append({"name": "by_page", "policy": {**mine["policy"], "encoder": "./enc.py:ByPage"}})
    for arm in content["arms"]:
        if arm["policy"]["kind"] == "model":
            # The first is the usual one where nothing is timed, and the machine of a test is busy.
            arm |= {"charge": {"kind": "fixed", "latency": "50 us"}}
    result = call(write(tmp_path, content), "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    runs = runs_of(tmp_path / "out")
    assert runs.loc["mine", "hit_ratio"] > 0.9
    assert runs.loc["mlp", "hit_ratio"] > 0.9
    assert runs.loc["by_page", "n_issued"] > 0
    assert runs.loc["none", "hit_ratio"] < 0.1


def test_what_a_network_raises_in_training_is_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(
        NETS_PY + "\n\nclass Untrained(Net):\n    def forward(self, *_):\n        exit(3)\n"
    )
    policy = {"kind": "model", "model": "./nets.py:Untrained", "train": {"epochs": 1}, "in_gpu_memory": False}
    described = experiment({"name": "mine", "policy": policy})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(described))
    result = call(tmp_path / "config.yaml", "--out", tmp_path / "out", "--quiet")
    assert result.exit_code == 4, result.output
    assert "arm mine, seed 0: policy model ./nets.py:Untrained: in training: SystemExit: 3" in result.stderr
    assert "nets.py:" in result.stderr
