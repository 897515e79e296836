"""Requests and streams as marked, threads side by side, and what is left when something goes wrong."""

import errno
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

import tierfetch
from simulator.errors import InputError
from tests.recorded import legend_of, rows_of
from tierfetch.record import writing
from workloads.readers.compact_writer import CompactWriter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.parquet"


@pytest.fixture
def table() -> nn.Embedding:
    return nn.Embedding(1000, 2)


def ids(*of: int) -> torch.Tensor:
    return torch.tensor(of)


def test_requests_and_streams(path: Path, table: nn.Embedding) -> None:
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        table(ids(1))
        with r.request(7, stream=70):
            table(ids(2))
            table(ids(3, 4))
            with r.request(8):
                table(ids(5))
            table(ids(6))
        table(ids(7))
        with r.stream(3):
            table(ids(8))
            with r.request():
                table(ids(9))
                table(ids(10))
        r.request(100)
        table(ids(11))
        table(ids(12))
        r.stream(5)
        table(ids(13))
    rows = rows_of(path)
    assert rows["request"].tolist() == [0, 7, 7, 7, 8, 7, 9, 10, 11, 11, 100, 100, 101]
    assert rows["stream"].tolist() == [0, 70, 70, 70, 70, 70, 0, 3, 3, 3, 0, 0, 5]
    # Indices by first appearance.
    assert tierfetch.Trace.read(path).stream_ids.tolist() == [0, 70, 3, 5]  # type: ignore[union-attr]


def test_a_number_does_not_go_on_with_another_request(path: Path, table: nn.Embedding) -> None:
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        table(ids(1))
        with pytest.raises(ValueError, match="request 0 of stream 0: the call before, in no request, got this number"):
            r.request(0)
        with r.request(0, stream=1):
            table(ids(2))
        with r.request(0):
            table(ids(3))
    assert rows_of(path)["request"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("mark", [-1, 2**64, 1.0, "a", True, None])
def test_marks_are_numbers(path: Path, table: nn.Embedding, mark: Any) -> None:
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        table(ids(1))
        expected = r"=.*; expected a whole number from 0 to 2\*\*64 - 1"
        with pytest.raises((TypeError, ValueError), match=f"stream{expected}"):
            r.stream(mark)
        if mark is not None:
            with pytest.raises((TypeError, ValueError), match=f"request{expected}"):
                r.request(mark)


def test_threads_side_by_side(path: Path, table: nn.Embedding, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own marks; calls stay whole, and each thread's in its order, whatever the pieces."""
    monkeypatch.setattr(writing, "_PIECE_IDS", 17)
    monkeypatch.setattr(writing, "MOST_IDS", 40)
    n_calls = 200

    def serve(stream: int) -> None:
        for number in range(n_calls):
            with r.request(number, stream=stream):
                table(torch.arange(3) + 3 * number)

    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        threads = [threading.Thread(target=serve, args=(stream,)) for stream in (10, 11, 12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    rows = rows_of(path)
    assert rows["time_ns"].is_monotonic_increasing
    found = tierfetch.Trace.read(path).stream_ids
    assert found is not None
    assert sorted(found.tolist()) == [10, 11, 12]
    for _, its in rows.groupby("stream"):
        assert its["id"].tolist() == list(range(3 * n_calls))
        assert its["request"].tolist() == np.repeat(np.arange(n_calls), 3).tolist()
    assert (rows["stream"].values.reshape(-1, 3) == rows["stream"].values[::3, None]).all()


def test_what_waits_is_bounded(path: Path, table: nn.Embedding, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that cannot keep up is waited for."""
    go_on, seen = threading.Event(), []
    monkeypatch.setattr(writing, "_PIECE_IDS", 10)
    monkeypatch.setattr(writing, "MOST_IDS", 30)
    write = CompactWriter.write

    def slow(self: CompactWriter, batch: Any) -> None:
        if len(batch):
            assert go_on.wait(30)
        write(self, batch)

    monkeypatch.setattr(CompactWriter, "write", slow)
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)

        def serve() -> None:
            for number in range(10):
                table(torch.arange(10) + 10 * number)
                seen.append(number)

        thread = threading.Thread(target=serve)
        thread.start()
        thread.join(0.5)
        # The thread has one piece or more, and three calls wait: not all ten could be made.
        assert thread.is_alive()
        assert 3 <= len(seen) < 10
        go_on.set()
        thread.join()
    assert rows_of(path)["id"].tolist() == list(range(100))


def test_more_than_may_wait_at_once(path: Path, table: nn.Embedding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST_IDS", 5)
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        for _ in range(3):
            table(torch.arange(100))
    assert len(rows_of(path)) == 300


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files may have 4 KiB, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk(path: Path, small_files: None) -> None:
    """Noticed at the end, where all is written then."""
    with pytest.raises(OSError, match=r"trace\.parquet") as caught:
        record_much(path)
    assert caught.value.errno == errno.EFBIG
    assert list(path.parent.iterdir()) == []


def record_much(path: Path, error: BaseException | None = None) -> None:
    with tierfetch.Recorder(path) as r:
        r.kv(np.random.default_rng(0).integers(0, 2**40, 5000), block_tokens=1, bytes_per_token=1)
        if error is not None:
            raise error


def test_an_error_and_a_full_disk(path: Path, small_files: None) -> None:
    """Why the block ended is what is raised; that nothing was kept is said with it."""
    with pytest.raises(ZeroDivisionError) as caught:
        record_much(path, ZeroDivisionError())
    assert "and what was recorded is lost: OSError" in caught.value.__notes__[0]
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError("of the model"), KeyboardInterrupt()])
def test_what_was_recorded_before_an_error_is_kept(path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        record_much(path, error)
    assert caught.value is error
    assert len(rows_of(path)) == 5000
    assert f'"ended_by": "{type(error).__name__}"' in pq.read_metadata(path).metadata[b"tierfetch_recording"].decode()


def test_errors_of_the_thread_are_the_caller_s(
    path: Path, table: nn.Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next call is told, so that a long run does not go on for nothing; what is left is nothing."""
    monkeypatch.setattr(writing, "_PIECE_IDS", 1)
    write, until = CompactWriter.write, time.monotonic() + 60

    def full(self: CompactWriter, batch: Any) -> None:
        if len(batch):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, batch)

    def serve() -> None:
        with tierfetch.Recorder(path) as r:
            r.embeddings(table)
            while time.monotonic() < until:
                table(ids(1))

    monkeypatch.setattr(CompactWriter, "write", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*trace\.parquet'"):
        serve()
    assert time.monotonic() < until
    assert list(path.parent.iterdir()) == []
    assert not table._forward_hooks


def test_an_interrupted_process(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a run: the file is whole."""
    code = (
        "import torch, tierfetch\n"
        "table = torch.nn.Embedding(9, 2)\n"
        "with tierfetch.Recorder('t.parquet') as r:\n"
        "    r.embeddings(table)\n"
        "    table(torch.tensor([1]))\n"
        "    print('begun', flush=True)\n"
        "    while True:\n"
        "        table(torch.tensor([1, 2, 3]))\n"
    )
    root = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{code}"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in said
    rows = rows_of(tmp_path / "t.parquet")
    assert rows["id"].tolist()[:4] == [1, 1, 2, 3][: len(rows)]
    assert [child.name for child in tmp_path.iterdir()] == ["t.parquet"]


def test_a_disk_that_is_full_from_the_beginning(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was begun is not left behind."""
    write = CompactWriter.write

    def full(self: CompactWriter, batch: Any) -> None:
        write(self, batch)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(CompactWriter, "write", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*trace\.parquet'"):
        tierfetch.Recorder(path).__enter__()
    assert list(path.parent.iterdir()) == []


def test_hooks_that_cannot_be_taken_back(path: Path, table: nn.Embedding, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after Ctrl-C while PyTorch was being imported: what was recorded is kept."""

    def broken() -> None:
        raise AttributeError("half imported")

    with pytest.raises(AttributeError, match="half imported"), tierfetch.Recorder(path) as r:  # noqa: PT012
        r.embeddings(table)
        table(ids(1, 2))
        monkeypatch.setattr(torch.compiler, "reset", broken)
    assert rows_of(path)["id"].tolist() == [1, 2]
    assert [child.name for child in path.parent.iterdir()] == ["trace.parquet"]
    assert not table._forward_hooks


def test_an_interrupt_at_the_end(path: Path, table: nn.Embedding, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another Ctrl-C while the rest is written: nothing is left."""
    wait, interrupts = threading.Event.wait, [KeyboardInterrupt()]

    def waited(self: threading.Event, timeout: float | None = None) -> bool:
        if interrupts:
            raise interrupts.pop()
        return wait(self, timeout)

    with pytest.raises(KeyboardInterrupt), tierfetch.Recorder(path) as r:  # noqa: PT012
        r.embeddings(table)
        table(ids(1, 2))
        monkeypatch.setattr(threading.Event, "wait", waited)
    assert not interrupts
    assert list(path.parent.iterdir()) == []


def test_numbers_of_requests_end(path: Path, table: nn.Embedding) -> None:
    """Said to whoever asks for one more, not to the thread, which would lose all."""
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        with r.request(2**64 - 1):
            table(ids(1))
        with pytest.raises(ValueError, match=r"request 2\*\*64 - 1 was there, so that no number is left"):
            table(ids(2))
    assert rows_of(path)["request"].tolist() == [2**64 - 1]


def test_a_table_that_is_called_without_a_tensor(path: Path) -> None:
    class Listed(nn.Embedding):
        def forward(self, given: Any) -> torch.Tensor:
            return super().forward(torch.as_tensor(given))

    table = Listed(9, 1)
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        with pytest.raises(TypeError, match="embedding 'Listed': was called with list; expected a tensor of ids"):
            table([1, 2])
        table(ids(3))
    assert rows_of(path)["id"].tolist() == [3]


def test_nothing_recorded(path: Path) -> None:
    with tierfetch.Recorder(path):
        pass
    assert len(rows_of(path)) == 0
    assert legend_of(path) == {}


def test_places_where_it_cannot_be(tmp_path: Path) -> None:
    there = tmp_path / "there.parquet"
    there.write_text("mine")
    folder = tmp_path / "folder.parquet"
    folder.mkdir()
    with pytest.raises(InputError, match=r"folder\.parquet: is a folder; expected the name of a file"):
        tierfetch.Recorder(folder, force=True).__enter__()
    for wrong, message in {
        tmp_path / "t.csv": r"t\.csv: expected a name that ends in \.parquet",
        tmp_path / "no" / "t.parquet": "no such folder; expected one that is there",
        there: "is there already; expected another name, or force=True",
    }.items():
        with pytest.raises(InputError, match=message):
            tierfetch.Recorder(wrong).__enter__()
    assert there.read_text() == "mine"
    with tierfetch.Recorder(there, force=True) as r:
        r.kv([1], block_tokens=1, bytes_per_token=1)
    assert len(rows_of(there)) == 1


def test_it_is_used_once_and_inside(path: Path, table: nn.Embedding) -> None:
    r = tierfetch.Recorder(path)
    for use in (lambda: r.embeddings(table), lambda: r.request(1), lambda: r.kv([1], bytes_per_token=1)):
        with pytest.raises(RuntimeError, match=r"is not being recorded; expected this inside `with Recorder\("):
            use()
    with r:
        pass
    with pytest.raises(RuntimeError, match="has been recorded already; expected a new Recorder"):
        r.__enter__()


def test_what_has_no_tables_is_refused(path: Path, table: nn.Embedding) -> None:
    with tierfetch.Recorder(path) as r:
        r.embeddings(table)
        table(ids(1))
        with pytest.raises(ValueError, match=r"Linear has no nn\.Embedding and no nn\.EmbeddingBag; expected one"):
            r.embeddings(nn.Linear(2, 2))
        with pytest.raises(ValueError, match="Embedding: is recorded already; expected each module once"):
            r.embeddings(table)
        with pytest.raises(TypeError, match=r"model=list; expected a torch\.nn\.Module"):
            r.embeddings([table])  # type: ignore[arg-type]
    assert len(rows_of(path)) == 1


def test_importing_does_not_load_torch() -> None:
    root = str(Path(__file__).parents[1])
    code = (
        f"import sys; sys.path.insert(0, {root!r})\n"
        "import tierfetch; tierfetch.Recorder\n"
        "assert 'torch' not in sys.modules and 'pyarrow' not in sys.modules, 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
