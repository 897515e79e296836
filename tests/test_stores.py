"""Results and traces in an object store: the code of all stores, over ``file:///``; and what a server refuses."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

import tierfetch
from experiments.command import app
from experiments.kept import MANIFEST
from experiments.stores.staging import Stage
from policies.models.places import fetch_model, models_folder, put_model
from simulator.errors import InputError
from simulator.stores import copies
from simulator.stores.address import Address, address_of
from simulator.stores.failing import StoreError
from simulator.stores.opening import file_system
from simulator.stores.store import Store
from workloads.readers.format import trace_path

CONFIG = """
name: tiny
workload: {source: {kind: periodic, period: 40, n_keys: 30, accesses: 200}}
arms: [none, next_n(n=2)]
seeds: [0, 1]
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(autouse=True)
def _copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERFETCH_STORES", str(tmp_path / "copies"))
    monkeypatch.setattr(copies, "_FETCHED", {})


def said(*words: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture(scope="module")
def stored(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that a command has put into a store; beside it what the machine kept of it."""
    top = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIERFETCH_STORES", str(top / "copies"))
        assert said("run", config, "--out", f"file://{top}/one", "--quiet") == (0, "")
    return top / "one"


@pytest.fixture
def store(stored: Path, tmp_path: Path) -> Path:
    shutil.copytree(stored, tmp_path / "one")
    return tmp_path / "one"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/a/b", Address("s3", "bucket", "a/b")),
        (Path("s3://bucket/a/b"), Address("s3", "bucket", "a/b")),
        ("gs://bucket/a//b/", Address("gs", "bucket", "a/b")),
        ("file:///tmp/a", Address("file", "", "tmp/a")),
        ("results/s3", None),
        ("C:/results", None),
        ("/a/s3:/b", None),
    ],
)
def test_an_address_is_told_from_a_path(text: str | Path, expected: Address | None) -> None:
    assert address_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ftp://host/a", "unknown scheme 'ftp'; expected s3://, gs://, file:/// or a local path"),
        ("s3://", "s3://: no bucket can be called ''; expected s3://BUCKET/NAME"),
        # As a Path has them.
        ("s3:", "s3://: no bucket can be called ''; expected s3://BUCKET/NAME"),
        ("s3:/b/a", "s3://b/a: no bucket"),
        ("file:", "file:///: names no folder; expected file:///FOLDER"),
        ("file:///", "file:///: names no folder; expected file:///FOLDER"),
        ("s3://b/a", "no bucket can be called 'b'"),
        ("s3:///a/../b", "'.' or '..'"),
        ("s3://bucket/a?endpoint_override=x", "options are environment variables"),
    ],
)
def test_a_bad_address_is_refused(text: str, expected: str) -> None:
    with pytest.raises(InputError) as found:
        address_of(text.replace("s3:///a", "s3://bucket/a"))
    assert expected in str(found.value)


def test_secrets_in_an_address_are_not_repeated() -> None:
    with pytest.raises(InputError) as found:
        address_of("s3://KEY:SECRET@bucket/a")
    assert "SECRET" not in str(found.value)
    assert "has credentials in it" in str(found.value)


def test_what_is_stored_is_what_a_folder_has(stored: Path, config: Path, tmp_path: Path) -> None:
    assert said("run", config, "--out", tmp_path / "local", "--quiet") == (0, "")
    here, there = files_of(tmp_path / "local"), files_of(stored)
    assert here.keys() == there.keys()
    timed = {"manifest.json", "runs.parquet"}
    assert {name for name in here if here[name] != there[name]} <= timed
    # What was uploaded is not kept twice.
    assert not list((stored.parent / "copies").rglob("accesses"))


def test_finished_runs_are_kept_and_not_fetched(store: Path, config: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")}
    assert said("run", config, "--out", f"file://{store}", "--quiet") == (0, "")
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")} == before
    assert not list((tmp_path / "copies").rglob("accesses"))


def test_more_seeds_take_what_is_there(store: Path, config: Path) -> None:
    row = json.loads((store / MANIFEST).read_text())["runs"]["none-0"]
    code, text = said("run", config, "--out", f"file://{store}", "--seeds", "0,1,2")
    assert code == 0
    assert "4 of 6 runs are finished already" in text
    assert f"Tables: file://{store}" in text
    runs = json.loads((store / MANIFEST).read_text())["runs"]
    assert len(runs) == 6
    assert runs["none-0"] == row


def test_what_is_damaged_in_the_store_is_made_again(store: Path, config: Path) -> None:
    path = store / "accesses" / "none-0.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    code, text = said("run", config, "--out", f"file://{store}")
    assert code == 0
    assert "3 of 4 runs are finished already" in text
    assert path.read_bytes() == whole


def test_a_place_of_another_config_is_refused(store: Path, config: Path) -> None:
    before = files_of(store)
    code, text = said("run", config, "--out", f"file://{store}", "--set", "workload.source.period=50")
    assert code == 2
    assert f"error: --out file://{store}: holds the results of another config" in text
    assert files_of(store) == before


def test_an_upload_that_is_broken_off_counts_for_nothing_and_goes_on(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, n_puts, put = tmp_path / "out", 0, Store.put

    def full(self: Store, name: str, path: Path) -> None:
        nonlocal n_puts
        n_puts += 1
        if n_puts > 6:
            raise StoreError(f"{self.address / name}: the store is full")
        put(self, name, path)

    monkeypatch.setattr(Store, "put", full)
    code, text = said("run", config, "--out", f"file://{out}", "--quiet")
    assert code == 2
    assert "the store is full. All is kept in " in text
    kept = Path(text.partition("All is kept in ")[2].partition(":")[0])
    assert len(json.loads((kept / MANIFEST).read_text())["runs"]) == 4
    assert not (out / MANIFEST).exists()
    # One run was whole before there was no room; the second was not.
    assert [path.name for path in (out / ".runs").iterdir()] == ["none-0.json"]
    assert "holds no results" in said("show", f"file://{out}")[1]
    monkeypatch.setattr(Store, "put", put)
    code, text = said("run", config, "--out", f"file://{out}")
    assert code == 0
    assert "4 of 4 runs are finished already" in text
    assert not list((out / ".runs").iterdir())
    # Those that were made are those that are there.
    monkeypatch.setenv("TIERFETCH_STORES", str(tmp_path / "others"))
    assert "4 of 4 runs are finished already" in said("run", config, "--out", f"file://{out}")[1]


def test_a_machine_that_dies_leaves_its_finished_runs(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(Stage, "_push", lambda self, part, *, keeps: None)
    assert said("run", config, "--out", f"file://{out}", "--quiet") == (0, "")
    assert not (out / MANIFEST).exists()
    monkeypatch.undo()
    monkeypatch.setenv("TIERFETCH_STORES", str(tmp_path / "another"))
    code, text = said("run", config, "--out", f"file://{out}")
    assert (code, "4 of 4 runs are finished already" in text) == (0, True)
    assert (out / MANIFEST).exists()


def test_readers_see_a_store_as_a_folder(store: Path, stored: Path, tmp_path: Path) -> None:
    url = f"file://{store}"
    for words in (("show",), ("export", "--csv")):
        assert said(words[0], url, *words[1:]) == said(words[0], stored, *words[1:])
    code, text = said("list", f"file://{store.parent}")
    assert code == 0
    assert f"{url}: tiny" in text
    assert "whole, 4 runs" in text
    assert "all that is compared of 2 arms came out the same" in said("compare", url, stored)[1]
    results = tierfetch.Results.open(url)
    assert len(results.accesses()) == 800
    # And again, of another: a copy is brought up to date.
    shutil.rmtree(store)
    assert "holds no results" in said("show", url)[1]


def test_a_damaged_object_is_not_read(store: Path) -> None:
    path = store / "accesses" / "none-0.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    code, text = said("show", f"file://{store}")
    assert code == 2
    assert f"error: file://{store}/accesses/none-0.parquet: is damaged, or was changed meanwhile" in text


def test_shards_of_a_store_are_merged_into_it(config: Path, tmp_path: Path, stored: Path) -> None:
    shards, merged = f"file://{tmp_path}/shards", f"file://{tmp_path}/merged"
    assert said("run", config, "--out", shards, "--shard", "1/2", "--quiet") == (0, "")
    code, text = said("merge", shards, "--out", merged)
    assert (code, "2 runs are missing" in text) == (2, True)
    assert said("run", config, "--out", shards, "--shard", "2/2", "--quiet") == (0, "")
    code, text = said("merge", shards, "--out", merged)
    assert code == 0
    assert f"4 runs of 1 experiment, 2 of them new: {merged}" in text
    here, there = files_of(tmp_path / "merged"), files_of(stored)
    assert {name for name in there if here.get(name) != there[name]} <= {"manifest.json", "runs.parquet"}


def test_python_runs_into_a_store(config: Path, tmp_path: Path, stored: Path) -> None:
    results = tierfetch.Experiment.load(config).run(out=f"file://{tmp_path}/out", progress=False)
    assert len(results.accesses()) == 800
    assert files_of(tmp_path / "out").keys() == files_of(stored).keys()


def test_a_trace_is_fetched_once_and_told_by_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("key,size\n" + "".join(f"{i % 7},4096\n" for i in range(50)))
    url = f"file://{path}"
    first = copies.local_file(url, "a trace")
    assert first is not None
    assert trace_path(url) == first
    assert first.name == "trace.csv"
    assert first.read_bytes() == path.read_bytes()
    monkeypatch.setattr(Store, "fetch", lambda *_: pytest.fail("fetched again"))
    copies._FETCHED.clear()
    assert copies.local_file(url, "a trace") == first
    monkeypatch.undo()
    path.write_text("key,size\n" + "1,4096\n")
    copies._FETCHED.clear()
    other = copies.local_file(url, "a trace")
    assert other != first
    code, text = said("misses", f"file://{tmp_path}/none.csv")
    assert (code, f"{tmp_path}/none.csv: no such object; expected a trace" in text) == (2, True)


def test_a_trace_that_changes_as_it_is_fetched_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("key\n1\n")
    fetch = Store.fetch

    def changing(self: Store, *what: object) -> object:
        found = fetch(self, *what)  # type: ignore[arg-type]
        path.write_text("key\n1\n2\n")
        return found

    monkeypatch.setattr(Store, "fetch", changing)
    with pytest.raises(InputError, match="was changed while it was fetched"):
        copies.local_file(f"file://{path}", "a trace")


def test_models_are_put_into_a_store_once_and_found_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERFETCH_MODELS", f"file://{tmp_path}/models")
    path = models_folder() / "lstm-1.safetensors"
    fetch_model(path)
    assert not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    put_model(path)
    assert (tmp_path / "models" / path.name).read_bytes() == b"weights"
    # Who comes second trains the same: what is there already stays.
    path.write_bytes(b"others")
    put_model(path)
    path.unlink()
    fetch_model(path)
    assert path.read_bytes() == b"weights"


def test_a_model_that_cannot_be_put_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").write_text("no folder")
    monkeypatch.setenv("TIERFETCH_MODELS", f"file://{tmp_path}/models")
    path = models_folder() / "lstm-1.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    with pytest.raises(InputError, match=rf"The model is kept as {path}: say the same again to upload it"):
        put_model(path)
    assert path.read_bytes() == b"weights"


class _Refusing(BaseHTTPRequestHandler):
    status, code = 403, "AccessDenied"

    def _answer(self) -> None:
        body = f"<Error><Code>{self.code}</Code><Message>no</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815

    def log_message(self, *what: object) -> None:
        pass


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Refusing]]:
    """A server that answers every request with an error."""

    class Refusing(_Refusing):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    file_system.cache_clear()
    yield Refusing
    server.shutdown()
    server.server_close()
    file_system.cache_clear()


def test_denied_access_is_said(refusing: type[_Refusing], config: Path) -> None:
    code, text = said("run", config, "--out", "s3://bucket/x")
    assert code == 2
    assert "error: s3://bucket/x: access is denied; expected credentials that may read, list and write there" in text


def test_missing_credentials_are_said(
    refusing: type[_Refusing], config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    code, text = said("run", config, "--out", "s3://bucket/x")
    assert code == 2
    assert "error: s3://bucket/x: no credentials were found" in text


def test_a_bucket_that_is_not_there_is_said(refusing: type[_Refusing]) -> None:
    refusing.status, refusing.code = 404, "NoSuchBucket"
    text = "error: s3://bucket/x: no such bucket bucket; expected one that is there: none is made\n"
    assert said("list", "s3://bucket/x") == (2, text)


@pytest.mark.parametrize(("status", "code"), [(507, "InsufficientStorage"), (403, "QuotaExceeded")])
def test_a_full_store_is_said(refusing: type[_Refusing], tmp_path: Path, status: int, code: str) -> None:
    refusing.status, refusing.code = status, code
    (tmp_path / "file").write_text("some")
    with pytest.raises(StoreError, match=r"s3://bucket/x: the store is full, or a quota is used up"):
        Store(Address("s3", "bucket", "")).put("x", tmp_path / "file")


def test_a_server_that_is_not_there_is_said_soon(refusing: type[_Refusing], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    code, text = said("show", "s3://bucket/x")
    assert code == 2
    assert "error: s3://bucket/x: http://127.0.0.1:9 cannot be reached (Could not connect to server)" in text


def test_a_wrong_endpoint_is_said(refusing: type[_Refusing], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "localhost:9000")
    assert said("show", "s3://bucket/x") == (
        2, "error: AWS_ENDPOINT_URL_S3=localhost:9000: expected http://HOST:PORT or https://HOST\n"
    )  # fmt: skip
