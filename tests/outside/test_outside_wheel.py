"""All that people bring at once, with the wheel installed, far from the sources."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from policies.models.backends.onnx import exported
from policies.models.call import Runnable
from tests.outside.running import FAST, write
from tests.outside.test_outside_models import NETS_PY
from tests.outside.test_outside_others import BASE_36
from tests.outside.test_outside_policies import TEN_LINES

N_KEYS = 40
GENERATOR = """
    import numpy as np

    class Chase:
        def __init__(self, n: int, seed=0):
            self.n, self.seed = n, seed

        def batches(self):
            cycle = np.random.default_rng(self.seed).permutation(40)
            yield {"key": cycle[np.arange(self.n) % 40], "size_bytes": 4096}
    """
MODEL = {"kind": "model", "device": "cpu", "in_gpu_memory": False, "threshold": 0.0, "vocabulary": 64}
ARMS = {
    "none": "none",
    "next_n": "next_n(n=2)",
    "ten_lines": {"kind": "python", "class": "./mine.py:Next"},
    "package": {"kind": "brought_next", "degree": 1},
    "gru": {**MODEL, "model": "./nets.py:Net", "weights": "w.pt", "backend": "eager"},
    "pt2": {**MODEL, "model": "net.pt2"},
    "onnx": {**MODEL, "model": "net.onnx"},
    "answers": {"kind": "file", "path": "answers.parquet"},
}
FROM_PYTHON = """
import json

import tierfetch

experiment = tierfetch.Experiment.load("config.yaml")
results = experiment.run(out="out", progress=False)
runs = results.runs.set_index("arm")
one = experiment.with_(**{"workload.source": {"kind": "python", "class": "./base.py:Base36", "path": "t.b36"}})
read = one.with_(arms=["none", "next_n"], baseline="none").run(out="read", progress=False).runs
print(json.dumps([tierfetch.__file__, runs["n_issued"].to_dict(), read["n_accesses"].tolist()]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that a person has."""
    folder = tmp_path_factory.mktemp("far")
    write(folder, "mine.py", TEN_LINES)
    write(folder, "chase.py", GENERATOR)
    write(folder, "base.py", BASE_36)
    write(folder, "nets.py", NETS_PY)
    (folder / "t.b36").write_text("zz a1 b zz a1 q " * 50)
    space: dict[str, type[torch.nn.Module]] = {}
    exec(NETS_PY, space)
    torch.manual_seed(0)
    net = space["Net"]((N_KEYS + 1,), N_KEYS + 1).eval()
    torch.save(net.state_dict(), folder / "w.pt")
    with warnings.catch_warnings():
        # Torch's own, about its own GRU.
        warnings.simplefilter("ignore")
        example = torch.ones(1, 1, 1, dtype=torch.int64), torch.zeros(1, 1, 8)
        torch.export.save(torch.export.export(net, example), folder / "net.pt2")
    (folder / "net.onnx").write_bytes(exported(Runnable("net", net, None, None, 1, (N_KEYS + 1,))))
    _answers(folder, 0)
    (folder / "site" / "bring").mkdir(parents=True)
    write(folder / "site" / "bring", "__init__.py", TEN_LINES)
    info = folder / "site" / "bring-1.0.dist-info"
    info.mkdir()
    write(info, "METADATA", "Metadata-Version: 2.1\nName: bring\nVersion: 1.0\n")
    write(info, "entry_points.txt", "[tierfetch.policies]\nbrought_next = bring:Next\n")
    config = {
        "name": "far",
        "seeds": [0],
        "workload": {
            "source": {"kind": "python", "class": "./chase.py:Chase", "settings": {"n": 120}},
            "arrivals": {"kind": "closed", "think": "1 ms"},
            "train_ratio": 0.5,
        },
        "system": {
            "tiers": [{"name": "hbm", "capacity": "64 KiB", **FAST}],
            "links": [{"call": "5 us", **FAST}],
            "origin": {"kind": "store"},
            # On a slow machine, too, all are answered.
            "inference": {"mode": "sync"},
        },
        "arms": [{"name": name, "policy": policy} for name, policy in ARMS.items()],
    }
    config["arms"][-1]["charge"] = {"kind": "replay"}  # type: ignore[index]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_all_that_people_bring(installed: Path, folder: Path) -> None:
    # Machine code is that of the sources: it goes by what files hold.
    environment = {**os.environ, "PYTHONPATH": f"{installed}:{folder / 'site'}"}

    def call(*arguments: str) -> str:
        ran = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=folder, env=environment)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    command = [str(installed / "bin" / "tierfetch"), "run", "config.yaml", "--out", "out"]
    assert "Lowest mean latency" in call(*command, "--jobs", "1")
    runs = pd.read_parquet(folder / "out" / "runs.parquet").set_index("arm")
    assert runs.index.tolist() == list(ARMS)
    assert (runs.drop("none")["n_issued"] > 0).all()
    assert runs["latencies"].to_dict() == {
        **dict.fromkeys(ARMS, "free"), **dict.fromkeys(("gru", "pt2", "onnx"), "measured"), "answers": "replay",
    }  # fmt: skip
    # The same network in three forms.
    asked = [pd.read_parquet(folder / "out" / "inferences" / f"{arm}-0.parquet") for arm in ("gru", "pt2", "onnx")]
    guesses = [table[table["access"] >= 0].dropna(subset="predicted_key").set_index("access") for table in asked]
    both = pd.concat([table["predicted_key"] for table in guesses], axis=1, join="inner", keys=["gru", "pt2", "onnx"])
    assert len(both) > 40
    assert (both["gru"] == both["pt2"]).all()
    assert (both["gru"] == both["onnx"]).all()
    # Edited, they run again, and nothing else does; now from Python.
    times = _written(folder)
    for name, old, new in (("mine.py", "last + i", "last + 2 * i"), ("site/bring/__init__.py", "i, 1.0", "i + 1, 1.0")):
        (folder / name).write_text((folder / name).read_text().replace(old, new))
    torch.save({k: 2 * v for k, v in torch.load(folder / "w.pt", weights_only=True).items()}, folder / "w.pt")
    _answers(folder, 3)
    (folder / "again.py").write_text(FROM_PYTHON)
    where, issued, read = json.loads(call(sys.executable, "again.py").splitlines()[-1])
    assert where.startswith(str(installed))
    assert read == [150, 150]
    again = _written(folder)
    assert {arm for arm in ARMS if again[arm] != times[arm]} == {"ten_lines", "package", "gru", "answers"}
    assert all(runs.loc[arm, "n_issued"] != issued[arm] for arm in ("ten_lines", "package"))


def _written(folder: Path) -> dict[str, int]:
    """When the accesses of each arm's run were written."""
    return {arm: (folder / "out" / "accesses" / f"{arm}-0.parquet").stat().st_mtime_ns for arm in ARMS}


def _answers(folder: Path, step: int) -> None:
    keys = (np.arange(300) + step) % N_KEYS
    answers = {"access": np.arange(300), "key": keys, "latency_ns": np.full(300, 700)}
    pq.write_table(pa.table(answers), folder / "answers.parquet")
