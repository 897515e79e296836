"""``tierfetch record vllm`` before a stand-in of vLLM: plugins, look-ups, several processes, other interfaces."""

import errno
import json
import os
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import pytest

from experiments import recorded_server
from simulator.errors import InputError
from simulator.trace import concatenate
from workloads.registry import SOURCES

# Modules that are called as vLLM's are, and do as much of what they do as the recorder touches.
PLUGINS = """
from importlib.metadata import entry_points
import os
def load_general_plugins():
    allowed = os.environ.get("VLLM_PLUGINS")
    for one in entry_points(group="vllm.general_plugins"):
        if allowed is None or one.name in allowed.split(","):
            one.load()()
"""
REQUEST = """
import hashlib
BLOCK = 4
def hashes_of(tokens):
    found, before = [], b""
    for end in range(BLOCK, len(tokens) + 1, BLOCK):
        before = hashlib.sha256(before + bytes(tokens[end - BLOCK : end])).digest()
        found.append(before)
    return found
class Request:
    def __init__(self, request_id, tokens):
        self.request_id, self.tokens, self.n_out, self.is_over = request_id, tokens, 0, False
        %s
    num_prompt_tokens = property(lambda self: len(self.tokens))
    num_output_tokens = property(lambda self: self.n_out)
    def is_finished(self):
        return self.is_over
"""
# Of later versions the request has its hashes; of earlier ones the manager makes them when it looks them up, as tuples.
LATER = """
class KVCacheManager:
    enable_caching = True
    def get_computed_blocks(self, request):
        return (), 0
    def free(self, request):
        pass
"""
EARLIER = """
from collections import defaultdict, namedtuple
from vllm.v1.request import hashes_of
BlockHash = namedtuple("BlockHash", "hash_value token_ids")
class KVCacheManager:
    def __init__(self):
        self.req_to_block_hashes = defaultdict(list)
    def get_computed_blocks(self, request):
        ids = [BlockHash(int.from_bytes(one, "big", signed=True), ()) for one in hashes_of(request.tokens)]
        self.req_to_block_hashes[request.request_id] = ids
        return [], 0
    def free(self, request):
        pass
"""
# Two engines, each a process of its own that loads plugins, as a server with data parallelism has them.
SERVE = """
import multiprocessing, os, sys, time
from vllm.plugins import load_general_plugins
def engine(rank):
    load_general_plugins()
    load_general_plugins()
    from vllm.v1.core.kv_cache_manager import KVCacheManager
    from vllm.v1.request import Request
    manager = KVCacheManager()
    time.sleep(0.2 * rank)
    for i, n in enumerate((9, 3, 17)):
        request = Request(f"cmpl-{i}", list(range(n)))
        manager.get_computed_blocks(request)
        manager.free(request)  # it makes room for others
        assert manager.get_computed_blocks(request) is not None
        request.n_out, request.is_over = 10 + i, i < 2
        if i < 2:
            manager.free(request)
    if "wait" in sys.argv:
        print("ready", flush=True)
        time.sleep(60)
    if "die" in sys.argv:
        os._exit(9)
if __name__ == "__main__":
    load_general_plugins()
    processes = [multiprocessing.get_context("spawn").Process(target=engine, args=(rank,)) for rank in range(2)]
    if "wait" in sys.argv:
        engine(0)
    else:
        for one in processes: one.start()
        for one in processes: one.join()
    print("served")
    sys.exit(5 if "fail" in sys.argv else 0)
"""
NEW_REQUEST = REQUEST % "self.block_hashes = hashes_of(tokens)"


def server(folder: Path, manager: str = LATER, request: str = NEW_REQUEST) -> Path:
    files = {
        "vllm/__init__.py": "__version__ = '0.99.1'", "vllm/v1/__init__.py": "", "vllm/v1/core/__init__.py": "",
        "vllm/plugins.py": PLUGINS, "vllm/v1/request.py": request, "vllm/v1/core/kv_cache_manager.py": manager,
        "serve.py": SERVE,
    }  # fmt: skip
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "serve.py"


def command(out: Path, *rest: object) -> list[str]:
    return [sys.executable, "-m", "tierfetch", "record", "vllm", "--out", str(out), "--", *map(str, rest)]


def surroundings(folder: Path, **more: str) -> dict[str, str]:
    root = Path(__file__).parents[1]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(folder)]), **more}


def record(folder: Path, *arguments: str, out: str = "trace.jsonl", **more: str) -> Any:
    return run(folder, command(folder / out, sys.executable, folder / "serve.py", *arguments), **more)


def run(folder: Path, said: list[str], **more: str) -> Any:
    environment = surroundings(folder, **more)
    return subprocess.run(said, env=environment, capture_output=True, text=True, timeout=100, check=False)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("manager", "request_"), [(LATER, NEW_REQUEST), (EARLIER, REQUEST % "")], ids=["later", "earlier"]
)
def test_requests_of_all_processes_are_one_trace(tmp_path: Path, manager: str, request_: str) -> None:
    """Each once, however often it is looked up; in order of time; ids are 64 bits of hashes; no file is left."""
    server(tmp_path, manager, request_)
    found = record(tmp_path)
    assert found.returncode == 0, found.stderr
    assert found.stdout == "served\n"
    assert "4 requests for 12 blocks of 4 tokens; 2 without a whole block are left out." in found.stderr
    read = rows(tmp_path / "trace.jsonl")
    assert [set(row) for row in read] == [{"timestamp", "input_length", "output_length", "hash_ids"}] * 4
    # 17 tokens are 4 blocks, of which the first two are those of 9 tokens; the last request has not ended.
    assert sorted((row["input_length"], len(row["hash_ids"]), row["output_length"]) for row in read) == [
        (9, 2, 10), (9, 2, 10), (17, 4, 0), (17, 4, 0),
    ]  # fmt: skip
    assert [row["timestamp"] for row in read] == sorted(row["timestamp"] for row in read)
    assert len({tuple(row["hash_ids"][:2]) for row in read}) == 1
    assert read[0]["hash_ids"][0] == int.from_bytes(sha256(bytes(range(4))).digest()[-8:], "big")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["serve.py", "trace.jsonl", "vllm"]
    workload = SOURCES.validate({"kind": "mooncake", "path": str(tmp_path / "trace.jsonl"), "block": "1 B"}).build(0)
    keys = concatenate(list(workload.batches())).key.tolist()
    assert keys == [key for row in read for key in row["hash_ids"]]


def test_a_look_up_for_other_machines_counts(tmp_path: Path) -> None:
    """It does not ask the usual one, or does: a request is recorded once."""
    more = """    def get_computed_blocks_for_connector(self, request):
        return (self.get_computed_blocks(request) if len(request.tokens) > 9 else ()), 0, 0, False
"""
    serve = server(tmp_path, LATER + more)
    serve.write_text(serve.read_text().replace("get_computed_blocks(", "get_computed_blocks_for_connector("))
    assert record(tmp_path).returncode == 0
    assert len(rows(tmp_path / "trace.jsonl")) == 4


@pytest.mark.parametrize(("word", "code"), [("fail", 5), ("die", 0)])
def test_how_the_command_ends(tmp_path: Path, word: str, code: int) -> None:
    """Its exit code is handed on, and a process that dies leaves what it has written."""
    server(tmp_path)
    found = record(tmp_path, word)
    assert found.returncode == code
    assert len(rows(tmp_path / "trace.jsonl")) == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_the_commands_and_the_trace_is_written(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM is handed on; Ctrl-C is for both, and ends what is recorded, not who records."""
    server(tmp_path)
    said = command(tmp_path / "trace.jsonl", sys.executable, tmp_path / "serve.py", "wait")
    with subprocess.Popen(
        said, env=surroundings(tmp_path), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert process.wait(60) == 128 + number
    assert len(rows(tmp_path / "trace.jsonl")) == 2


def test_plugins_that_are_chosen_are_not_chosen_away(tmp_path: Path) -> None:
    server(tmp_path)
    assert record(tmp_path, VLLM_PLUGINS="another").returncode == 0
    assert len(rows(tmp_path / "trace.jsonl")) == 4


@pytest.mark.parametrize(
    ("manager", "request_", "problem"),
    [
        ("", NEW_REQUEST, "vllm 0.99.1: has no vllm.v1.core.kv_cache_manager.KVCacheManager; known: vLLM's V1 engine"),
        (LATER.replace("get_computed", "find_computed"), NEW_REQUEST, "has no KVCacheManager.get_computed_blocks;"),
        (LATER.replace("def free", "def let_go"), NEW_REQUEST, "has no KVCacheManager.free;"),
        (LATER, REQUEST % "", "has neither;"),
        (LATER.replace("True", "False"), NEW_REQUEST, "expected --enable-prefix-caching"),
        (LATER, REQUEST % "self.block_hashes = [hashes_of(tokens)]", "a block's hash is of type list;"),
    ],
)
def test_another_interface_is_said(tmp_path: Path, manager: str, request_: str, problem: str) -> None:
    server(tmp_path, manager, request_)
    found = record(tmp_path)
    assert found.returncode == 2
    assert [line for line in found.stderr.splitlines() if line.startswith("error: ") and problem in line]
    assert not (tmp_path / "trace.jsonl").exists()


def test_where_nothing_can_be_recorded(tmp_path: Path) -> None:
    """No vLLM in the command; no such command; a trace that is there; no folder for it."""
    for rest, code, said in (
        ([sys.executable, "-c", "print('hello')"], 0, "No request was recorded. Nothing was written"),
        (["no-such-server"], 2, "error: no-such-server: No such file or directory; expected a command"),
    ):
        found = run(tmp_path, command(tmp_path / "t.jsonl", *rest))
        assert (found.returncode, said in found.stderr) == (code, True), found.stderr
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "t.jsonl").write_text("kept")
    (tmp_path / "folder").mkdir()
    for out, said in (
        ("t.jsonl", "is there already"),
        ("no/t.jsonl", "no such folder"),
        ("folder", "is a folder; expected the name of a file"),
    ):
        found = run(tmp_path, command(tmp_path / out, "true"))
        assert found.returncode == 2
        assert said in found.stderr
    assert (tmp_path / "t.jsonl").read_text() == "kept"


def test_what_cannot_be_written_is_kept_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk, after hours of serving: the lines of the server's processes are there, and it is said where."""
    serve = server(tmp_path)

    def full(path: Path) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(recorded_server, "written_aside", full)
    with pytest.raises(InputError, match=r"No space left on device; the lines of each process are left in ") as raised:
        recorded_server.record(tmp_path / "t.jsonl", [sys.executable, str(serve)], force=False)
    folder = Path(str(raised.value).rpartition(" left in ")[2])
    assert sum(file.read_text().count('"hash_ids"') for file in folder.glob("requests-*")) == 6
