"""The same against a server that speaks S3, on this machine: ``make test-s3`` installs moto, and is what runs it."""

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import tierfetch
from experiments.command import app
from experiments.kept import MANIFEST
from simulator.stores import copies
from simulator.stores.address import Address
from simulator.stores.failing import StoreError
from simulator.stores.opening import file_system
from simulator.stores.store import Store

pytest.importorskip("moto.server", reason="needs moto: make test-s3")

CONFIG = """
name: tiny
workload: {source: {kind: periodic, period: 40, n_keys: 30, accesses: 400}}
arms: [none, next_n(n=2)]
seeds: [0, 1]
"""
LSTM = """
name: learned
workload: {source: {kind: periodic, period: 40, n_keys: 30, accesses: 1000}}
arms: [none, lstm]
seeds: [0]
"""
BUCKET = Address("s3", "bucket", "")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    made = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    made.start()
    host, port = made.get_host_and_port()
    yield f"http://{host}:{port}"
    made.stop()


@pytest.fixture(autouse=True)
def s3(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty bucket, as the environment says."""
    from pyarrow import fs

    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (
        ("AWS_ENDPOINT_URL", server), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_EC2_METADATA_DISABLED", "true"), ("TIERFETCH_STORES", str(tmp_path / "copies")),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(copies, "_FETCHED", {})
    file_system.cache_clear()
    made = fs.S3FileSystem(
        region="us-east-1", scheme="http", endpoint_override=server.removeprefix("http://"),
        allow_bucket_creation=True, allow_bucket_deletion=True,
    )  # fmt: skip
    made.create_dir("bucket")
    made.delete_dir_contents("bucket")


def said(*words: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


def config(tmp_path: Path, text: str = CONFIG) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return path


def objects() -> dict[str, bytes]:
    store = Store.open(BUCKET)
    return {name: store.read(name) for name in store.listed()}


def test_a_run_goes_to_the_store_whole_and_is_read_there(tmp_path: Path) -> None:
    path = config(tmp_path)
    assert said("run", path, "--out", "s3://bucket/a/one", "--quiet") == (0, "")
    assert said("run", path, "--out", tmp_path / "local", "--quiet") == (0, "")
    there = objects()
    local = {
        f"a/one/{file.relative_to(tmp_path / 'local')}": file.read_bytes()
        for file in (tmp_path / "local").rglob("*")
        if file.is_file() and file.name != ".lock"
    }
    assert there.keys() == local.keys()
    assert {name.rpartition("/")[2] for name in local if there[name] != local[name]} == {MANIFEST, "runs.parquet"}
    code, text = said("list", "s3://bucket")
    assert (code, "s3://bucket/a/one: tiny" in text, "whole, 4 runs" in text) == (0, True, True)
    assert said("show", "s3://bucket/a/one") == said("show", tmp_path / "local")
    assert "4 of 4 runs are finished already" in said("run", path, "--out", "s3://bucket/a/one")[1]
    assert objects() == there | {"a/one/runs.parquet": objects()["a/one/runs.parquet"]}
    assert len(tierfetch.Results.open("s3://bucket/a/one").accesses()) == 1600


def test_a_sweep_in_shards_is_merged_in_the_store(tmp_path: Path) -> None:
    path = config(tmp_path)
    sweep = ("--sweep", "workload.source.period=20,40,60", "--quiet")
    assert said("run", path, "--out", "s3://bucket/whole", *sweep, "--jobs", 2) == (0, "")
    for shard in ("2/3", "1/3", "3/3"):
        assert said("run", path, "--out", "s3://bucket/shards", "--shard", shard, *sweep) == (0, "")
    code, text = said("merge", "s3://bucket/shards", "--out", "s3://bucket/merged")
    assert code == 0
    assert "12 runs of 3 experiments, 12 of them new: s3://bucket/merged" in text
    there = objects()
    whole = {name.removeprefix("whole/"): content for name, content in there.items() if name.startswith("whole/")}
    merged = {name.removeprefix("merged/"): content for name, content in there.items() if name.startswith("merged/")}
    assert whole.keys() == merged.keys()
    differ = {name.rpartition("/")[2] for name in whole if whole[name] != merged[name]}
    assert differ <= {MANIFEST, "runs.parquet"}
    runs = tierfetch.Results.open("s3://bucket/merged").runs
    assert len(runs) == 12
    assert set(runs["variant"]) == {"period-20", "period-40", "period-60"}


def test_runs_that_no_manifest_lists_are_found_by_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path)
    put = Store.put

    def breaking(self: Store, name: str, file: Path) -> None:
        if name == "accesses/next_n-0.parquet":
            raise StoreError("the store is full")
        put(self, name, file)

    monkeypatch.setattr(Store, "put", breaking)
    assert said("run", path, "--out", "s3://bucket/one", "--quiet")[0] == 2
    names = {name.removeprefix("one/") for name in objects()}
    assert MANIFEST not in names
    assert {name for name in names if name.startswith(".runs/")} == {".runs/none-0.json", ".runs/none-1.json"}
    monkeypatch.setattr(Store, "put", put)
    monkeypatch.setenv("TIERFETCH_STORES", str(tmp_path / "another"))
    code, text = said("run", path, "--out", "s3://bucket/one")
    assert (code, "2 of 4 runs are finished already" in text) == (0, True)
    names = {name.removeprefix("one/") for name in objects()}
    assert MANIFEST in names
    assert not {name for name in names if name.startswith(".runs/")}


def test_writing_over_a_run_leaves_nothing_of_it(tmp_path: Path) -> None:
    path = config(tmp_path)
    assert said("run", path, "--out", "s3://bucket/one", "--quiet") == (0, "")
    words = ("--set", "arms=[none]", "--seeds", "0", "--quiet")
    assert said("run", path, "--out", "s3://bucket/one", *words)[0] == 2
    assert said("run", path, "--out", "s3://bucket/one", *words, "--force") == (0, "")
    there = objects()
    assert {name for name in there if "next_n" in name or "-1" in name} == set()
    assert list(json.loads(there[f"one/{MANIFEST}"])["runs"]) == ["none-0"]


def test_a_trace_is_read_from_the_store(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("key\n" + "".join(f"{i * 7 % 50}\n" for i in range(300)))
    Store.open(BUCKET).put("traces/trace.csv", trace)
    source = "{kind: table, path: PATH, columns: {key: key}, size: 4 KiB}"
    text = f"name: t\nworkload: {{source: {source}}}\narms: [none]\nseeds: [0]\n"
    far, near = tmp_path / "far.yaml", tmp_path / "near.yaml"
    far.write_text(text.replace("PATH", "s3://bucket/traces/trace.csv"))
    near.write_text(text.replace("PATH", str(trace)))
    assert said("run", far, "--out", tmp_path / "far", "--quiet") == (0, "")
    assert said("run", near, "--out", tmp_path / "near", "--quiet") == (0, "")
    name = "accesses/none-0.parquet"
    import pyarrow.parquet as pq

    assert pq.read_table(tmp_path / "far" / name).equals(pq.read_table(tmp_path / "near" / name))
    made = json.loads((tmp_path / "far" / MANIFEST).read_text())
    assert made["traces_sha256"] == json.loads((tmp_path / "near" / MANIFEST).read_text())["traces_sha256"]


def test_a_model_is_trained_once_for_all_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = config(tmp_path, LSTM)
    monkeypatch.setenv("TIERFETCH_MODELS", "s3://bucket/models")
    assert said("run", path, "--out", tmp_path / "first", "--quiet") == (0, "")
    names = [name for name in objects() if name.startswith("models/lstm-")]
    assert len(names) == 1
    monkeypatch.setenv("TIERFETCH_STORES", str(tmp_path / "another"))
    assert said("run", path, "--out", tmp_path / "second", "--quiet") == (0, "")
    was_cached = [
        tierfetch.Results.open(tmp_path / name).runs["model_was_cached"].iloc[-1] for name in ("first", "second")
    ]
    assert was_cached == [False, True]
    Store.open(BUCKET).write(names[0], b"no model")
    monkeypatch.setenv("TIERFETCH_STORES", str(tmp_path / "third"))
    code, text = said("run", path, "--out", tmp_path / "third", "--quiet")
    assert (code, f"s3://bucket/{names[0]}: is damaged or no model" in text) == (2, True)


def test_a_bucket_that_is_not_there_is_said(tmp_path: Path) -> None:
    code, text = said("run", config(tmp_path), "--out", "s3://another/one")
    assert (code, "s3://another/one: no such bucket another" in text) == (2, True)


def test_two_put_the_same_name_and_one_of_them_is_there(tmp_path: Path) -> None:
    store = Store.open(BUCKET)
    contents = [bytes([i]) * (6 << 20) for i in range(4)]
    threads = [threading.Thread(target=store.write, args=("x", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read("x") in contents
