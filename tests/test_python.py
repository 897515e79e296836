"""The package ``tierfetch``: what its calls give is what the commands give."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import tierfetch
from experiments import misses as misses_command
from experiments import run as run_command
from experiments import single
from policies.base import PolicySettings, TablePolicy
from policies.next_n import NextNPolicy
from tests.test_experiment import ROOT, config, write
from tierfetch import Experiment, InputError, Results, Trace, simulate

SCRIPT = """
import tierfetch

print("once")
results = tierfetch.Experiment.load("config.yaml").run(jobs=2, progress=False, out="out <i>")
print(results.best())
"""
ARMS = [
    {"name": "none", "policy": "none"},
    {"name": "next_n", "policy": "next_n(n=2)"},
    {"name": "wrong", "policy": {"kind": "next_n", "stride": -7}, "charge": {"kind": "fixed", "latency": "1 us"}},
]


def small(**changes: Any) -> dict[str, Any]:
    content = config(seeds=[3, 4, 5], arms=ARMS, output={"inferences": False}, **changes)
    content["workload"] = {
        "source": {"kind": "mixed", "accesses": 600, "block": "4 KiB", "n_keys": 400, "next_ratio": 0.8},
        "arrivals": {"kind": "closed", "think": "1 ms"},
    }
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a script ran an experiment in two processes that asks for nothing when it is imported."""
    folder = tmp_path_factory.mktemp("script")
    write(folder, small())
    (folder / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # The processes did not run the script again, and nothing was said that was not asked for.
    first, best = done.stdout.splitlines()
    assert first == "once"
    assert best.startswith("Lowest mean latency: next_n (")
    assert done.stderr == ""
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return Results.open(folder / "out <i>")


def test_tables_are_those_of_the_folder(results: Results) -> None:
    for name in ("runs", "comparisons", "attribution"):
        found = getattr(results, name)
        assert len(found) > 0
        assert list(found.columns) == pq.read_schema(results.folder / f"{name}.parquet").names
        assert getattr(results.arrow, name).num_rows == len(found)
    assert results.runs[["arm", "seed"]].values.tolist() == [[a["name"], s] for a in ARMS for s in (3, 4, 5)]
    for name in ("accesses", "prefetches", "windows"):
        found = getattr(results, name)(arm="next_n", seed=4)
        stored = pd.read_parquet(results.folder / name / "next_n-4.parquet")
        assert found.astype(object).where(found.notna(), None).equals(stored.astype(object).where(stored.notna(), None))
        assert set(found["arm"]) == {"next_n"}


def test_runs_are_chosen_by_name(results: Results) -> None:
    found = results.accesses(arm=["wrong", "none"], seed=np.int64(5), columns=["arm", "seed", "key"])
    assert list(found.columns) == ["arm", "seed", "key"]
    # In the order of the experiment, whatever was asked for first.
    assert found["arm"].drop_duplicates().tolist() == ["none", "wrong"]
    assert found["seed"].unique().tolist() == [5]
    assert len(found) == 2 * 600 == results.arrow.accesses(arm=("none", "wrong"), seed=5).count_rows()
    assert results.arms == ["none", "next_n", "wrong"]
    assert (results.seeds, results.baseline, results.name) == ([3, 4, 5], "none", "small")
    assert len(results.accesses()) == 9 * 600


def test_numbers_of_64_bits_stay_whole_where_some_are_missing(tmp_path: Path) -> None:
    key = 2**63 + 1
    trace = np.array([key, key + 1, key + 2] * 3, np.uint64)
    found = simulate(small()["system"], trace, "next_n", keep=["inferences", "prefetches"]).inferences
    assert found["next_key"].isna().any()
    assert set(found["next_key"].dropna()) <= {key, key + 1, key + 2}
    assert found["predicted_key"].dropna().iloc[0] == key + 1


def test_what_is_not_there_is_said(results: Results, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no arm 'lru'; expected one of none, next_n, wrong"):
        results.windows(arm="lru")
    with pytest.raises(InputError, match="has no seed 0; expected one of 3, 4, 5"):
        results.windows(seed=[3, 0])
    with pytest.raises(InputError, match=r"keeps no inferences of these runs \(output.inferences: false\)"):
        results.inferences()
    with pytest.raises(InputError, match=r"keeps no training .* \(none of these policies was trained\)"):
        results.training()
    with pytest.raises(InputError, match=r"by_phase\.parquet: no such table: the workload has no phases"):
        _ = results.by_phase
    with pytest.raises(InputError, match="columns: windows has no 'lru'; expected one of arm, seed, repeat, window"):
        results.windows(columns=["lru"])
    with pytest.raises(InputError, match=r"holds no results \(no manifest.json\)"):
        Results.open(tmp_path)


def test_the_best_is_that_of_the_tables(results: Results) -> None:
    best = results.best()
    means = results.runs.groupby("arm")["mean_latency_ns"].mean().sort_values()
    assert (best.arm, best.mean_latency_ns) == (means.index[0], pytest.approx(means.iloc[0]))
    assert best.is_settled
    html = results._repr_html_()
    assert "<td>none (baseline)</td>" in html
    assert f"<td>{means['next_n'] / 1e3:.0f} us</td>" in html
    # What a folder is called is no HTML.
    assert "out &lt;i&gt;" in html
    assert "<i>" not in html
    assert repr(results).startswith("<Results small: arms none, next_n, wrong; seeds 3, 4, 5; in ")


def test_a_run_in_memory_is_the_one_of_the_experiment(results: Results) -> None:
    content = small()
    books = simulate(
        content["system"], content["workload"]["source"], "next_n(n=2)", arrivals={"kind": "closed", "think": "1 ms"},
        seed=4, keep=["accesses", "windows"],
    )  # fmt: skip
    row = results.runs.query("arm == 'next_n' and seed == 4").iloc[0]
    for name, value in books.metrics.items():
        assert value == row[name] or (value is None and pd.isna(row[name])), name
    assert books.n_accesses == 600
    stored = results.accesses(arm="next_n", seed=4)
    assert books.accesses.drop(columns="arm").equals(stored.drop(columns="arm"))
    assert books.table("windows").num_rows == 1
    with pytest.raises(InputError, match=r"prefetches: no such rows were kept; expected simulate\(..., keep="):
        _ = books.prefetches


class Following(TablePolicy):
    """As next_n, in Python."""

    def __init__(self) -> None:
        super().__init__("tagged")

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """Nothing."""

    def want(self, key: int, stream: int) -> list[tuple[int, float]]:
        return [(key + 1, 1.0)]


class Plain:
    """The same in ten lines; it says what it was shown, and prints."""

    trigger = "tagged"
    needs = ("pc",)

    def __init__(self) -> None:
        self.pcs: list[int] = []

    def decide(self, run: Any) -> list[tuple[int, float]]:
        print("decides")  # noqa: T201 - what becomes of it is tested
        self.pcs += run["pc"].tolist()
        return [(int(run.key[-1]) + 1, 1.0)]


def test_any_form_of_a_policy_and_of_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    content, keys = small(), np.arange(200) % 70
    table = pd.DataFrame({"key": keys, "stream": 9, "pc": np.arange(200)})
    plain = Plain()
    system = content["system"]
    found = [
        simulate(system, Trace.of(keys, block="4 KiB"), "next_n").metrics,
        simulate(system, Trace.of(keys.tolist(), block=4096), {"kind": "next_n"}, engine="simpy").metrics,
        simulate(system, Trace.of(table, block="4 KiB"), NextNPolicy()).metrics,
        simulate(system, table.assign(size_bytes=4096), Following()).metrics,
        simulate(system, Trace.of(table, block="4 KiB").to_arrow(), plain).metrics,
    ]
    host = ("p50_inference_host_ns", "p99_inference_host_ns", "device", "backend")
    one, *others = [{name: value for name, value in metrics.items() if name not in host} for metrics in found]
    assert one["n_hit_prefetched"] > 50
    for other in others:
        assert other == one
    # It was shown the table's own column, and what it prints is mentioned once.
    assert plain.pcs == list(range(200))
    assert capsys.readouterr().out == "policy Plain prints: 'decides'; what else it prints is left out\n"


class Trained(Plain):
    """Knows what followed a key in the training part."""

    needs = ()

    def train(self, sequences: list[Any]) -> None:
        self.after = {a: b for one in sequences for a, b in zip(one.keys.tolist(), one.keys.tolist()[1:], strict=False)}

    def decide(self, run: Any) -> list[tuple[int, float]]:
        last = int(run.key[-1])
        return [(self.after[last], 1.0)] if last in self.after else []


def test_an_object_that_learns_is_judged_on_the_rest() -> None:
    keys = np.tile(np.random.default_rng(0).permutation(100), 4)
    trained = Trained()
    system = small()["system"]
    # Charged nothing: what it really takes on a busy machine would have some come too late.
    options: dict[str, Any] = {
        "arrivals": "closed(think=1 ms)",
        "charge": "free",
        "train_ratio": 0.5,
        "keep": ["windows"],
    }
    books = simulate(system, Trace.of(keys, block="4 KiB"), trained, **options)
    assert len(trained.after) == 100
    assert books.n_accesses == books.metrics["n_accesses"] == 200
    assert books.table("windows")["first_access"].to_pylist() == [200]
    # All but the first access, of which nobody could tell.
    assert books.metrics["n_hit_prefetched"] == 199


def test_streams_and_features_come_back_as_they_were() -> None:
    table = pd.DataFrame({"key": [5, 6, 5, 2**64 - 1], "stream": [70, 3, 3, 70], "layer": [1, 2, 3, 4]})
    table["time_ns"] = [0, 10, 10, 30]
    trace = Trace.of(table)
    assert next(trace.batches()).stream.tolist() == [0, 1, 1, 0]
    found = trace.to_pandas()
    assert found["stream"].tolist() == [70, 3, 3, 70]
    assert found["layer"].tolist() == [1, 2, 3, 4]
    assert found["key"].iloc[-1] == 2**64 - 1
    assert (len(trace), trace.has_times, trace.to_pandas(1, 3).index.tolist()) == (4, True, [1, 2])
    assert trace.info().summary["n_keys"] == 3
    open_loop = simulate(small()["system"], table, arrivals="open(speedup=2)", keep=["accesses"]).accesses
    assert open_loop["issued_ns"].tolist() == [0, 5, 5, 15]


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        ([1, -2, 3], "trace: access 1 has key -2; expected from 0 to 18446744073709551615"),
        ([1.5, 2.0], r"trace: key is of float64, such as .*1.5.*; expected whole numbers"),
        (["a", "b"], "trace: key is of <U1, such as .*'a'.*; expected whole numbers"),
        (np.zeros((2, 2), int), "trace: key has 2 dimensions; expected one, a value an access"),
        ([], "trace: holds no access"),
        (pd.DataFrame({"id": [1]}), "trace: has no column 'key'; expected one beside id"),
        (pd.DataFrame({"key": [1, 2], "op": [0, 2]}), "trace: access 1 has op 2; expected from 0 to 1"),
        (pd.DataFrame({"key": [1], "size_bytes": [0]}), "trace: access 0 has size_bytes 0; expected from 1 to"),
        (pd.DataFrame({"key": [1], "name": ["x"]}), "trace: name is of .*; expected whole numbers"),
        ({"kind": "zipf", "n_keys": 3}, "trace: zipf.accesses: is missing"),
        ("no_such.csv", "no_such.csv: no such file"),
        (3, r"trace: is of int; expected a path, keys, .* or a workload \(it lacks n_streams"),
    ],
)
def test_bad_traces(trace: Any, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        simulate(small()["system"], trace)


def test_bad_arguments() -> None:
    system, keys = small()["system"], np.arange(3)
    for arguments, expected in [
        ({"policy": "lru"}, "simulate: arms.0.policy: unknown kind 'lru'; expected one of 'none'"),
        ({"policy": Following}, r"policy: is the class Following; expected .* an object with decide\(self, run\)"),
        ({"policy": 3}, "policy: is of int; expected"),
        ({"charge": "free("}, r"free\(: .*; expected NAME or NAME\(setting=value, ...\)"),
        ({"charge": "dear"}, "simulate: arms.0.charge: unknown kind 'dear'; expected one of 'measured'"),
        ({"arrivals": "open"}, "'open' needs a trace with arrival times"),
        (
            {"keep": ["rows"]},
            "keep: 'rows' is no table; expected one of accesses, prefetches, inferences, transfers, windows",
        ),
        ({"policy": "lstm"}, "workload.train_ratio: is 0, but arm 'policy' learns; expected a share such as 0.5"),
    ]:
        with pytest.raises(InputError, match=expected):
            simulate(system, keys, **arguments)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"simulate: system.*'h101'.*expected.* h100-sxm-pcie5"):
        simulate("h101", keys)
    assert simulate("h100-sxm-pcie5", keys).n_accesses == 3
    with pytest.raises(InputError, match=r"simulate: system\.tiers: is missing"):
        simulate({"origin": {"kind": "store"}, "links": []}, keys)


def test_errors_are_those_of_the_command(tmp_path: Path) -> None:
    path = write(tmp_path, small())
    for key, value in [("arms.next_n.policy.n", "many"), ("arms.lru.policy.n", 2), ("sedes", [1])]:
        said = CliRunner().invoke(run_command.app, [str(path), "--set", f"{key}={value}"])
        assert said.exit_code == 2
        with pytest.raises(InputError) as raised:
            Experiment.load(path).with_(**{key: value})
        expected = said.output.removeprefix("error: ").replace(f"--set {key}={value}", "with_").splitlines()
        assert str(raised.value).splitlines() == expected
    with pytest.raises(InputError, match="no such file; expected a config"):
        Experiment.load(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="config: workload: is missing"):
        Experiment.load({key: value for key, value in small().items() if key != "workload"})
    with pytest.raises(InputError, match="jobs: -1; expected a number of processes, or 0 for one a core"):
        Experiment.load(path).run(jobs=-1)


def test_an_experiment_is_changed_by_making_another(tmp_path: Path) -> None:
    one = Experiment.load(small())
    two = one.with_(**{"arms.next_n.policy": {"kind": "stride", "degree": np.int64(8)}}, seeds=range(2))
    three = two.with_(**{"arms.next_n.policy.degree": 4})
    assert [one.config.arms[1].policy.kind, *(e.config.arms[1].policy.degree for e in (two, three))] == [  # type: ignore[attr-defined]
        "next_n", 8, 4,
    ]  # fmt: skip
    assert (one.config.seeds, three.config.seeds) == ((3, 4, 5), (0, 1))
    assert one.folder != two.folder != three.folder
    assert repr(three) == "<Experiment small: arms none, next_n, wrong; seeds 0, 1>"
    # The dict is the caller's still, and a file says the same.
    values = small()
    Experiment.load(values).with_(name="other")
    assert values == small()
    loaded = Experiment.load(write(tmp_path, values))
    assert loaded.config.model_dump() == one.config.model_dump()
    assert loaded.folder == one.folder


def test_a_shipped_config_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        Experiment.load("mixed").config.model_dump() == Experiment.load(ROOT / "configs/mixed.yaml").config.model_dump()
    )


def test_variants_are_chosen_by_name(tmp_path: Path) -> None:
    content = {**small(), "variants": [{"name": "a", "set": {"seeds": [1]}}, {"name": "b", "set": {}}]}
    assert Experiment.load(content, variant="a").with_(warm_up=10).config.seeds == (1,)
    with pytest.raises(InputError, match="expected one of a, b"):
        Experiment.load(content)
    with pytest.raises(InputError, match="config has no variant 'c'; expected one of a, b"):
        Experiment.load(content, variant="c")


def test_what_was_finished_before_an_interrupt_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment, out = Experiment.load(small()).with_(seeds=[0], arms=ARMS[:2]), tmp_path / "out"
    run_one = single.run_one

    def interrupted(experiment: Any, run: Any, *arguments: Any, **more: Any) -> Any:
        if run.arm.name == "next_n":
            raise KeyboardInterrupt
        return run_one(experiment, run, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(single, "run_one", interrupted)
        with pytest.raises(KeyboardInterrupt):
            experiment.run(out=out, progress=False)
    kept = Results.open(out)
    assert kept.runs["arm"].tolist() == kept.arms == ["none"]
    assert "<td>none (baseline)</td>" in kept._repr_html_()
    with pytest.raises(InputError, match=r"comparisons\.parquet: no such table: the experiment was not run to its end"):
        kept.best()
    capsys.readouterr()
    assert experiment.run(out=out).arms == ["none", "next_n"]
    said = capsys.readouterr().out
    assert "1 of 2 runs are finished already" in said
    assert "[1/1] arm next_n, seed 0: done in" in said
    # The closing table is the command's; here it is the result.
    assert "Lowest mean latency" not in said
    # Runs of other seeds stay in the table; what is compared are those that were asked for last.
    other = experiment.with_(seeds=[1]).run(out=out, progress=False)
    assert other.seeds == [0, 1]
    assert other.best().mean_latency_ns == other.runs.query("seed == 1")["mean_latency_ns"].min()
    assert other.best().mean_latency_ns != other.runs["mean_latency_ns"].min()
    assert "mean of seeds 1;" in other._repr_html_()


def test_settings_of_the_script_itself_cannot_go_to_processes(tmp_path: Path) -> None:
    class Own(PolicySettings):
        kind: str = "own"

    experiment = Experiment.load(small()).with_(**{"arms.next_n.policy": Own()})
    with pytest.raises(InputError, match=r"jobs: this experiment cannot be handed to other processes: .*Own"):
        experiment.run(jobs=2, progress=False, out=tmp_path / "out")


def test_misses_are_those_of_the_command(tmp_path: Path) -> None:
    line = "zipf(n_keys=200, exponent=0.9, accesses=3000, block=4 KiB)"
    arguments = [line, "--eviction", "lru,s3fifo(small_ratio=0.2)", "--fraction", "0.1,0.2", "--sample", "1,0.5"]
    done = CliRunner().invoke(misses_command.app, [*arguments, "--quiet", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    stored = pd.read_parquet(tmp_path / "misses.parquet").drop(columns=["accesses_per_s", "trace"])
    evictions = ["lru", "s3fifo(small_ratio=0.2)"]
    found = tierfetch.misses(line, evictions, fraction=np.array([0.1, 0.2]), sample=[1, 0.5])
    assert len(found) == 8
    pd.testing.assert_frame_equal(found.drop(columns=["accesses_per_s", "trace"]), stored)
    by_blocks = tierfetch.misses(np.arange(30) % 3, capacity=[2, "3"], unit_size=True)
    assert by_blocks["n_misses"].tolist() == [30, 3]
    for more, expected in [
        ({"eviction": "lrru"}, "--eviction: lrru: no such eviction"),
        ({"fraction": 2}, "--fraction 2: expected a number above 0 and at most 1"),
        ({"capacity": "3 apples"}, "--capacity 3 apples: "),
        ({"capacity": []}, "misses: got an empty list"),
    ]:
        with pytest.raises(InputError, match=expected):
            tierfetch.misses([1, 2, 3], **more)  # type: ignore[arg-type]


def test_a_file_is_read_as_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("t,obj,bytes,pc\n" + "".join(f"{i},{7 * (i % 3)},{100 + i % 3},{i}\n" for i in range(9)))
    columns = {"key": "obj", "size_bytes": "bytes", "time_ns": "t", "features": {"pc": "pc"}}
    trace = Trace.read(path, columns=columns, time_unit="ms")
    assert trace.head(2).to_dict("list") == {
        "time_ns": [0, 1_000_000], "key": [0, 7], "size_bytes": [100, 101], "stream": [0, 0], "request": [0, 1],
        "op": [0, 0], "pc": [0, 1],
    }  # fmt: skip
    assert trace.info(window=3).working_set["n_accesses"].tolist() == [3, 3, 3]
    assert trace.info().summary["unique_bytes"] == 303
    with pytest.raises(InputError, match="has no colour to choose"):
        Trace.read(path, columns=columns, colour="red")


def test_importing_it_costs_nothing() -> None:
    code = (
        "import sys, tierfetch\n"
        "print([m for m in ('torch', 'numba', 'pandas', 'numpy', 'pydantic', 'rich', 'pyarrow') if m in sys.modules])\n"
        "tierfetch.Experiment, tierfetch.Results, tierfetch.Trace\n"
        "print([m for m in ('torch', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_all_names_are_there() -> None:
    for name in tierfetch.__all__:
        found = getattr(tierfetch, name)
        assert found is not None
        if name in tierfetch._MODULE_OF:
            assert found is getattr(importlib.import_module(tierfetch._MODULE_OF[name]), name)
    assert set(tierfetch.__all__) <= set(dir(tierfetch))
    with pytest.raises(AttributeError, match="module 'tierfetch' has no attribute 'Experment'"):
        _ = tierfetch.Experment  # type: ignore[attr-defined]
    assert set(tierfetch.policies()) >= {"none", "lstm", "stride"}
    assert set(tierfetch.workloads()) & set(tierfetch.formats()) == set()
    assert tierfetch.evictions()["lru"]
    assert tierfetch.admissions()["size"]


def test_packages_are_typed() -> None:
    shipped = (ROOT / "pyproject.toml").read_text().split("include = [", 1)[1].split("]", 1)[0]
    packages = [name.strip().strip('"').rstrip("*") for name in shipped.split(",")]
    assert "tierfetch" in packages
    for package in packages:
        assert (ROOT / package / "py.typed").exists(), package
