"""Runs on Ray: the same results as in one process, whatever dies on the way. One cluster for all, on this machine."""

import os
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import tierfetch
from benchmarks.campaign.folders import asides, differences
from experiments.clusters import on_ray
from experiments.clusters.address import parse
from experiments.clusters.joined import Cluster, joined, start
from experiments.clusters.orders import Code
from experiments.exits import RunsDiedError
from experiments.kept import Kept
from experiments.loading import load, load_all
from experiments.making import make
from experiments.many import run_many
from experiments.run import How
from simulator.errors import InputError
from tests.test_experiment import LSTM, call, config, write

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'tierfetch[ray]'")
NAMED: dict[str, Any] = {"accesses": False, "prefetches": False, "inferences": False}


def untimed(**changes: Any) -> dict[str, Any]:
    """Two arms that need one and the same model, and one that needs none."""
    policy = {**LSTM, "epochs": 2, "in_gpu_memory": False}
    arms: list[dict[str, Any]] = [
        {"name": "none", "policy": {"kind": "none"}},
        *({"name": name, "policy": policy, "charge": {"kind": "fixed", "latency": f"{n} us"}} for name, n in
          (("soon", 80), ("late", 8000))),
    ]  # fmt: skip
    return config(**{"arms": arms, "seeds": [0], **changes})


def test_nothing_of_ray_without_the_option(tmp_path: Path) -> None:
    assert call(write(tmp_path, config(arms=[{"name": "none", "policy": {"kind": "none"}}])), "--quiet").exit_code == 0
    assert "ray" not in sys.modules


@pytest.mark.parametrize("text", ["slurm", "ray://host", "host:0", "host:70000", "ray://:10001"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InputError, match=f"--cluster {text}: expected ray"):
        parse(text)


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.clusters.joined.need", lambda *_: None)
    found = call(write(tmp_path, config()), "--out", tmp_path / "out", "--cluster", "ray://127.0.0.1:1")
    assert found.exit_code == 2
    assert found.output.startswith("error: --cluster ray://127.0.0.1:1: cannot be reached (Connection refused)")
    assert not (tmp_path / "out").exists()


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.extras.find_spec", lambda name: None)
    found = call(write(tmp_path, config()), "--out", tmp_path / "out", "--cluster", "ray")
    assert found.exit_code == 2
    assert found.output == "error: ray: not installed; expected the extra: pip install 'tierfetch[ray]'\n"


class _Slow:
    """A Ray whose processes are too slow to start; the last ones are not."""

    def __init__(self, n_slow: int) -> None:
        self.n_slow, self.n_ended, self.n_begun = n_slow, 0, 0

    def kill_all_processes(self, *, check_alive: bool) -> None:
        self.n_ended += 1

    def init(self, **_: Any) -> None:
        self.n_begun += 1
        if self.n_begun <= self.n_slow:
            raise Exception("The current node timed out during startup.\nIts log is long.")

    def shutdown(self) -> None:
        """It has nothing left that it knows of."""


def test_a_ray_that_is_slow_to_start_is_started_again() -> None:
    slow = _Slow(2)
    start(slow)
    assert (slow.n_begun, slow.n_ended) == (3, 2)


def test_a_ray_that_does_not_start() -> None:
    slow = _Slow(99)
    with pytest.raises(InputError) as refused:
        start(slow)
    (line,) = str(refused.value).splitlines()
    assert line.startswith("--cluster ray: Ray does not start on this machine, tried 3 times: Its log is long.; expect")
    assert (slow.n_begun, slow.n_ended) == (3, 3)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Its workers keep models elsewhere than the driver does, where they have not got the driver's folder."""
    models = os.environ["TIERFETCH_MODELS"]
    os.environ["TIERFETCH_MODELS"] = str(tmp_path_factory.mktemp("theirs"))
    with joined("ray", 2) as found:
        os.environ["TIERFETCH_MODELS"] = models
        assert found is not None
        yield found


def made(path: Path, out: Path, cluster: Cluster | None = None) -> list[dict[str, Any]]:
    return make(load(path)[""], out, quiet=True, cluster=cluster).rows


@needs_ray
@pytest.mark.parametrize("is_shared", [True, False])
def test_the_same_as_in_one_process(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, is_shared: bool
) -> None:
    """Also where nobody has the driver's disk: the trace goes there, models and files come back."""
    monkeypatch.setattr(on_ray, "on_ray", partial(on_ray.on_ray, is_shared=is_shared))
    path = write(tmp_path, untimed(name=f"shared-{is_shared}"))
    for name, where in (("here", None), ("there", cluster)):
        # Each trains anew.
        monkeypatch.setenv("TIERFETCH_MODELS", str(tmp_path / f"models-{name}"))
        rows = made(path, tmp_path / name, where)
    assert differences(tmp_path / "there", tmp_path / "here") == []
    assert [row["model_was_cached"] for row in rows if row["arm"] != "none"] == [True, True]
    assert len(list((tmp_path / "models-there").glob("*.safetensors"))) == 1
    assert not (tmp_path / "there" / ".shared").exists()


@needs_ray
def test_nothing_runs_beside_what_is_measured(tmp_path: Path, cluster: Cluster) -> None:
    """Neither of its own experiment nor of another that is made at the same time."""
    source = {"kind": "random", "accesses": 20_000, "n_keys": 100, "block": "4 KiB"}
    workload = {**config()["workload"], "source": source}
    measured = {"name": "measured", "policy": {"kind": "next_n"}, "charge": {"kind": "measured"}}
    common: dict[str, Any] = {"workload": workload, "engine": "simpy", "output": NAMED}
    paths = [
        write(tmp_path, config(name=name, arms=[untimed()["arms"][0], *more], **common), f"{name}.yaml")
        for name, more in (("a", [measured]), ("b", []))
    ]
    experiments = [load(path, [], list(range(3 + 5 * i)), None)[""] for i, path in enumerate(paths)]
    with ThreadPoolExecutor() as threads:
        both = list(
            threads.map(lambda one: make(one, tmp_path / one.name, quiet=True, cluster=cluster).rows, experiments)
        )
    rows = [row for rows in both for row in rows]
    alone = [row for row in rows if row["latencies"] == "measured"]
    assert len(alone) == 3

    def beside(row: dict[str, Any]) -> int:
        return sum(one["began_s"] < row["ended_s"] and row["began_s"] < one["ended_s"] for one in rows) - 1

    assert [beside(row) for row in alone] == [0, 0, 0]
    # Others were: else nothing is said by that.
    assert any(beside(row) for row in rows)
    assert {row["host"] for row in rows} == {os.uname().nodename}


KILLS = """
import os, signal
from pathlib import Path

class Always:
    file, most = "always", 9

    def decide(self, run):
        path = Path(__file__).with_name(self.file)
        n = len(path.read_text()) if path.exists() else 0
        if n < self.most:
            path.write_text("x" * (n + 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return []

class Once(Always):
    file, most = "once", 1
"""
SLOW = """
import time
from pathlib import Path

class Slow:
    n = 0

    def __init__(self, seed):
        self.waits = seed == 4 and Path(__file__).with_name("wait").exists()

    def decide(self, run):
        if self.waits:
            self.waits = False
            time.sleep(5)
        return []
"""


@needs_ray
def test_what_kills_its_process(tmp_path: Path, cluster: Cluster) -> None:
    """Once: it is made again. Each time: it is set aside, all others are kept, and next time it alone is made."""
    (tmp_path / "kills.py").write_text(KILLS)
    arms = [
        "none",
        *(
            {
                "name": name.lower(),
                "policy": {"kind": "python", "class": f"./kills.py:{name}"},
                "charge": {"kind": "free"},
            }
            for name in ("Always", "Once")
        ),
    ]
    path = write(tmp_path, config(arms=arms, seeds=[0]))
    with pytest.raises(RunsDiedError, match=r"^arm always, seed 0 \(killed, or it crashed on .*\): the process died 3"):
        made(path, tmp_path / "out", cluster)
    assert (tmp_path / "always").read_text() == "xxx"
    assert sorted(Kept.load(tmp_path / "out").runs) == [("none", 0, 0), ("once", 0, 0)]
    assert asides(tmp_path) == []


@needs_ray
def test_a_node_with_other_code(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    path, here = write(tmp_path, untimed()), Code.here()
    for other, said in (
        (here._replace(hash="other"), f"other code of tierfetch ({here.hash}); expected that of here (other)"),
        (Code(here.hash, {**here.versions, "numpy": "9"}), f"has numpy {here.versions['numpy']}; expected numpy 9, as"),
    ):
        monkeypatch.setattr(Code, "here", lambda other=other: other)
        with pytest.raises(InputError) as found:
            made(path, tmp_path / "out", cluster)
        assert said in str(found.value)
        assert not (tmp_path / "out").exists()


@needs_ray
def test_a_full_store(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.exceptions import ObjectStoreFullError

    put = cluster.ray.put

    def is_full(thing: Any) -> Any:
        if isinstance(thing, dict):
            raise ObjectStoreFullError("full")
        return put(thing)

    monkeypatch.setattr(cluster.ray, "put", is_full)
    monkeypatch.setattr(on_ray, "on_ray", partial(on_ray.on_ray, is_shared=False))
    with pytest.raises(InputError, match=r"^--cluster ray: the object store is full; expected a larger one"):
        made(write(tmp_path, untimed()), tmp_path / "out", cluster)
    assert not (tmp_path / "out").exists()


@needs_ray
def test_from_python(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call joins the cluster and leaves it."""
    asked: list[Any] = []

    @contextmanager
    def there(text: str | None, jobs: int | None) -> Iterator[Cluster]:
        asked.append((text, jobs))
        yield cluster

    monkeypatch.setattr("experiments.clusters.joined.joined", there)
    path = write(tmp_path, config(arms=["none"], seeds=[0, 1]))
    found = tierfetch.Experiment.load(path).run(cluster="ray", progress=False, out=tmp_path / "there")
    assert asked == [("ray", None)]
    made(path, tmp_path / "here")
    assert differences(tmp_path / "there", tmp_path / "here") == []
    assert len(found.runs) == 2


def test_from_python_what_is_no_cluster(tmp_path: Path) -> None:
    experiment = tierfetch.Experiment.load(write(tmp_path, config()))
    wrong: Any
    for wrong, said in ((3, "cluster: 3; expected ray"), ("slurm", "--cluster slurm: expected ray")):
        with pytest.raises(InputError, match=said):
            experiment.run(cluster=wrong, progress=False, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@needs_ray
def test_a_sweep_goes_on_where_one_run_kills_and_says_who_straggles(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An experiment with a run that kills three workers is told of at the end, all others are made."""
    monkeypatch.setattr(on_ray, "_STRAGGLES_FROM_S", 0.5)
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "kills.py").write_text(KILLS)
    arms = [
        "none",
        {"name": "slow", "policy": {"kind": "python", "class": "./slow.py:Slow"}, "charge": {"kind": "free"}},
        {"name": "kills", "policy": {"kind": "python", "class": "./kills.py:Always"}, "charge": {"kind": "free"}},
    ]
    sweep = {"system.origin.latency": ["100 us", "200 us"]}
    content = {**config(arms=arms[:2], seeds=[0, 1, 2, 3, 4]), "sweep": sweep}
    deadly = {**config(arms=[arms[0], arms[2]], seeds=[0], name="deadly"), "sweep": sweep}
    plain, bad = write(tmp_path, content), write(tmp_path, deadly, "deadly.yaml")
    run_many(load_all(plain), tmp_path / "one", How(quiet=True), None, "x")
    (tmp_path / "wait").touch()
    monkeypatch.setattr("experiments.clusters.joined.joined", lambda *_: nullcontext(cluster))
    run_many(load_all(plain), tmp_path / "ray", How(cluster="ray"), None, "x")
    for name in ("latency-100us", "latency-200us"):
        assert differences(tmp_path / "ray" / name, tmp_path / "one" / name) == []
    assert re.search(r"latency-.00us: \[\d+/10\] arm slow, seed 4: straggles on ", capsys.readouterr().out)
    with pytest.raises(RunsDiedError) as found:
        run_many(load_all(bad), tmp_path / "out", How(cluster="ray", quiet=True), None, "x")
    # Whichever was given up first.
    first, second = sorted(line.removeprefix("error: ") for line in found.value.args)
    assert first.startswith("latency-100us: arm kills, seed 0 (killed, or it crashed on ")
    assert second.startswith("latency-200us: arm kills, seed 0 (killed, or it crashed on ")
    # Three times each; those of both may have counted at once.
    assert 3 <= len((tmp_path / "always").read_text()) <= 6
    for name in ("latency-100us", "latency-200us"):
        assert sorted(Kept.load(tmp_path / "out" / name).runs) == [("none", 0, 0)]
