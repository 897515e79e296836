"""``tierfetch calibrate``: small and quick on this machine, on a double of CUDA, and what it refuses."""

import errno
import http.server
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from experiments import calibrate, hardware
from experiments.calibration import facts
from experiments.calibration.direct_file import DirectFile
from experiments.calibration.remote import Remote, shown
from experiments.calibration.rounds import cells_of, measured
from experiments.calibration.spread import mean_of
from experiments.calibration.timing import Timer
from experiments.calibration.ways import Step, Wanted, Way, machine_of
from experiments.hardware import system_in_full
from live import FileStore, file_systems
from policies.models.copies import Copies
from simulator.config import System
from simulator.engine import Engine
from simulator.errors import InputError
from simulator.hops import hops_of
from simulator.model.model import Model
from tests.cuda_double.fixtures import machine as machine
from tests.cuda_double.machine import SYNCHRONIZATIONS, Machine
from tests.strategies import workload
from tests.test_rules import run

KIB, MIB = 1 << 10, 1 << 20
SMALL = ["--block", "4KiB,64KiB", "--at-once", "1,2", "--rounds", "2", "--seconds", "0.1", "--region", "4MiB",
         "--scratch", "4MiB", "--no-predictor"]  # fmt: skip


def call(*arguments: Any) -> Any:
    return CliRunner().invoke(calibrate.app, list(map(str, arguments)))


def refused(*arguments: Any) -> str:
    found = call(*arguments)
    assert found.exit_code == 2, found.output
    return str(found.stderr)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose files can be read past the kernel's cache."""
    folder = tmp_path_factory.mktemp("disk")
    try:
        DirectFile(folder, 4 * MIB, MIB, lambda _: None).close()
    except InputError as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="module")
def preset(disk: Path) -> Path:
    path = disk / "mine.yaml"
    found = call(*SMALL, "--tiers", f"dram,file:{disk}", "--table", "always", "--out", path)
    assert found.exit_code == 0, found.output
    # Nothing but the preset is left, and there was a scratch file.
    assert [file.name for file in disk.iterdir()] == ["mine.yaml"]
    assert "writing a scratch file of 4 MiB" in found.stdout
    return path


def told(preset: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    said = yaml.safe_load(preset.read_text())["measured"]
    return said, [dict(zip(said["call_columns"], row, strict=True)) for row in said["calls"]]


# -- the preset --------------------------------------------------------------------------------------------------------
def test_a_preset_says_what_was_measured_and_how_far_it_is_off(preset: Path) -> None:
    said, calls = told(preset)
    ways = ["dram service", "dram fill", "dram_origin read", "dram_origin write"]
    assert list(dict.fromkeys(row["way"] for row in calls)) == ways
    # Host copies alone, the file alone and by two threads.
    assert {(row["bytes"], row["at_once"]) for row in calls if row["way"] == ways[0]} == {(4 * KIB, 1), (64 * KIB, 1)}
    assert {(row["bytes"], row["at_once"]) for row in calls if row["way"] == ways[2]} == {
        (4 * KIB, 1), (64 * KIB, 1), (4 * KIB, 2), (64 * KIB, 2),
    }  # fmt: skip
    for row in calls:
        assert 0 < row["p50_ns"] <= row["p90_ns"] <= row["p99_ns"]
        assert row["calls"] >= 2
        # Where it is off by more than a tenth is said, way by way.
        if row["preset_ns"] is not None and abs(row["preset_ns"] / row["p50_ns"] - 1) > 0.101:
            assert any(text.startswith(f"{row['way']}, ") for text in said["preset_is_off"]), row
    assert {"cpu", "kernel", "memory_bytes", "n_cpus", "load_average", "file"} <= said["machine"].keys()
    assert said["machine"]["file"]["file_system"]
    assert {"at", "versions", "noise", "warnings", "line_is_off"} <= said.keys()


@pytest.mark.parametrize("make", [Engine, Model])
def test_both_engines_take_what_was_measured(preset: Path, make: Any) -> None:
    system = System.model_validate(system_in_full({"preset": preset.name}, preset.parent))
    _, calls = told(preset)
    of = {(row["way"], row["bytes"], row["at_once"]): row for row in calls}
    for n_bytes in (4 * KIB, 64 * KIB):
        # A miss, and long after that a hit.
        rows, *_ = run(make, system, workload([1, 1], size_bytes=[n_bytes] * 2, time_ns=[0, 10**12]))
        (*_, transfer_ns), (_, _, hit_ns, _, _) = rows
        read, service = of["dram_origin read", n_bytes, 1], of["dram service", n_bytes, 1]
        assert transfer_ns == read["preset_ns"]
        assert hit_ns == service["preset_ns"]
        # As the table has each median, but for its four figures and where more bytes took less time.
        assert hops_of(system)[0].duration(n_bytes) == transfer_ns
    reads = [of["dram_origin read", n_bytes, 1]["p50_ns"] for n_bytes in (4 * KIB, 64 * KIB)]
    if reads == sorted(reads):
        assert transfer_ns == pytest.approx(reads[1], rel=1e-3)


def test_what_it_is_from_is_no_part_of_the_system(preset: Path, tmp_path: Path) -> None:
    lines = preset.read_text().split("measured:\n")[0]
    (tmp_path / "bare.yaml").write_text(lines)
    assert system_in_full({"preset": "bare.yaml"}, tmp_path) == system_in_full({"preset": preset.name}, preset.parent)
    # In a config it is no key.
    whole = system_in_full({"preset": preset.name, "measured": {}}, preset.parent)
    with pytest.raises(ValueError, match="measured"):
        System.model_validate(whole)
    assert hardware.MEASURED == "measured"


def test_as_json_and_not_over_what_is_there(preset: Path, disk: Path, tmp_path: Path) -> None:
    before = preset.read_bytes()
    assert "is there already; expected another name, or --force" in refused("--out", preset, "--tiers", "dram,file:.")
    assert preset.read_bytes() == before
    found = call(
        *SMALL, "--tiers", f"dram,file:{disk}/new", "--out", tmp_path / "x.yaml", "--json", "--durations", "mean"
    )
    said = json.loads(found.stdout)
    assert said["preset"] == str(tmp_path / "x.yaml")
    assert said["measured"]["durations"] == "mean"
    assert said["tiers"][0]["name"] == "dram"
    assert not (disk / "new").exists()


def test_a_picture_shows_points_and_fits(preset: Path, tmp_path: Path) -> None:
    pytest.importorskip("altair")
    from experiments.calibration.levels import levels_of
    from experiments.calibration.outcome import outcome_of
    from experiments.charts.calibration import calibration
    from tests.test_calibration_fit import bent
    from tests.test_calibration_fit import machine as planted

    found = outcome_of(levels_of("dram,file:/x"), [1 << 30], planted(bent))
    spec = calibration(found).spec(400)
    assert [panel["title"]["text"] for panel in spec["vconcat"]] == list(found.fits)
    read = spec["vconcat"][2]["layer"]
    marks = {layer["mark"]["type"] for layer in read}
    assert marks == {"rule", "line", "point"}
    dashes = next(layer for layer in read if layer["mark"].get("strokeDash"))["data"]["values"]
    fit = found.fits["dram_origin read"].line
    assert dashes[-1] == {"bytes": pytest.approx(4 * MIB, rel=1e-5), "line": pytest.approx(fit.at(4 * MIB), rel=1e-5)}
    assert len(calibration(found).numbers.rows) == len(found.measured)


# -- files -------------------------------------------------------------------------------------------------------------
def test_a_file_that_is_there_is_only_read(disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = disk / "data.bin"
    path.write_bytes(os.urandom(2 * MIB))
    before, when = path.read_bytes(), path.stat().st_mtime_ns
    opened, really = [], os.open
    monkeypatch.setattr(os, "open", lambda name, flags, *more: opened.append(flags) or really(name, flags, *more))
    try:
        found = call(
            *SMALL, "--tiers", f"dram,file:{path}", "--out", tmp_path / "x.yaml", "--force", "--durations", "mean"
        )
        assert found.exit_code == 0, found.output
        assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, when)
        assert [flags & os.O_ACCMODE for flags in opened if flags & os.O_DIRECT] == [os.O_RDONLY]
        said, calls = told(tmp_path / "x.yaml")
        assert "dram_origin write" not in {row["way"] for row in calls}
        assert said["notes"] == ["file is only read: writing to it is taken to be as fast as reading"]
        machine = System.model_validate(system_in_full({"preset": "x.yaml"}, tmp_path))
        (link,) = machine.links
        for spread in (machine.tiers[0].spread, link.spread):
            assert spread is not None
            assert mean_of(spread) == pytest.approx(1, abs=1e-4)
        assert link.write_spread is None
        with pytest.raises(OSError, match="Bad file descriptor"):
            DirectFile(path, 0, MIB, lambda _: None).write_from(np.zeros(4096, np.uint8), 0)
    finally:
        path.unlink()


def test_what_is_read_is_what_was_written(disk: Path) -> None:
    """Past the cache, at places of their own, by a scratch file that has no name."""
    from experiments.calibration.places import buffer_of

    said: list[str] = []
    file = DirectFile(disk, 4 * MIB, MIB, said.append)
    assert list(disk.glob(".calibrate*")) == []
    one, other = buffer_of(8192), buffer_of(8192)
    one[:] = np.arange(8192) % 251
    file.write_from(one, 3 * 8192)
    file.read_into(other, 3 * 8192)
    assert other.tolist() == one.tolist()
    # What was not written over is neither zeros nor the same again and again.
    file.read_into(other, 0)
    assert len(set(other.tolist())) > 200
    with pytest.raises(OSError, match="Input/output error"):
        file.read_into(other, 4 * MIB)
    file.close()


@pytest.mark.parametrize("at", ["read_into", "write_from"])
@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "nothing was written, and no scratch file is left"),
        (OSError(errno.EIO, "bad", "/dev/x"), 2, "/dev/x: Input/output error"),
        (OSError(errno.ENOSPC, "full"), 2, "No space left on device"),
    ],
)
def test_what_fails_leaves_nothing(
    at: str, error: BaseException, code: int, words: str, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the way into the scratch file, and later: in a thread of two."""
    calls, really = [], getattr(DirectFile, at)

    def fails(self: Any, buffer: Any, place: int) -> None:
        calls.append(threading.current_thread())
        if (at == "write_from" and len(calls) == 2) or (
            at == "read_into" and threading.current_thread() is not threading.main_thread()
        ):
            raise error
        really(self, buffer, place)

    monkeypatch.setattr(DirectFile, at, fails)
    before, n_threads, n_files = sorted(disk.iterdir()), threading.active_count(), _n_open()
    found = call(*SMALL, "--tiers", f"dram,file:{disk}", "--out", tmp_path / "x.yaml")
    assert (found.exit_code, words in found.stderr) == (code, True), found.output
    assert (sorted(disk.iterdir()), list(tmp_path.iterdir())) == (before, [])
    assert threading.active_count() == n_threads
    assert _n_open() == n_files


def _n_open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_file_system_that_refuses_is_named(disk: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    really = os.open

    def refuses(path: Any, flags: int, *more: Any) -> int:
        if flags & os.O_DIRECT:
            if flags & os.O_CREAT:
                os.close(really(path, os.O_CREAT | os.O_RDWR, 0o600))
            raise OSError(errno.EINVAL, "Invalid argument")
        return really(path, flags, *more)

    monkeypatch.setattr(os, "open", refuses)
    text = refused(*SMALL, "--tiers", f"dram,file:{disk}/scratch", "--out", tmp_path / "x.yaml")
    assert "cannot be read past the kernel's cache (O_DIRECT); expected one on a disk, such as ext4 or xfs" in text
    assert not (disk / "scratch").exists()
    monkeypatch.delattr(os, "O_DIRECT")
    assert "this system cannot read past its cache" in refused(*SMALL, "--tiers", f"dram,file:{disk}")


def test_what_lies_in_memory_is_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 254:0 / / rw - ext4 /dev/vda rw\n"
        f"25 22 0:23 / {tmp_path} rw,relatime shared:5 - xfs /dev/vdb rw\n26 25 0:24 / {tmp_path} rw - tmpfs tmpfs rw\n"
    )
    monkeypatch.setattr(file_systems, "_MOUNTS", mounts)
    assert file_systems.file_system_of(Path("/nowhere")) == "ext4"
    text = refused(*SMALL, "--tiers", f"dram,file:{tmp_path}/scratch", "--out", tmp_path / "x.yaml")
    assert f"file:{tmp_path}/scratch: lies in memory (tmpfs); expected a file, folder or device of a disk" in text
    # A live cache goes on, and says so; where a disk was insisted on, it does not.
    with closing(FileStore(tmp_path / "blocks", 4096)) as store:
        assert (store.is_direct, store.why_not) == (False, "lies in memory (tmpfs)")
    with pytest.raises(InputError, match=r"blocks: lies in memory \(tmpfs\); expected a file on a disk"):
        FileStore(tmp_path / "blocks", 4096, direct=True)


def test_no_room_no_scratch_file(disk: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    really = os.statvfs

    def full(path: Any) -> Any:
        found = list(really(path))
        found[0], found[1], found[4] = 4096, 4096, (4 * MIB + 64 * MIB) // 4096 - 1
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", full)
    text = refused(*SMALL, "--tiers", f"dram,file:{disk}", "--out", tmp_path / "x.yaml")
    assert "the scratch file takes 4 MiB, and 68 MiB are free; expected 64 MiB more than it takes, or a smaller" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tiers", "dram"], "expected two levels or more, such as dram,file:/mnt/nvme"),
        (["--tiers", "dram,tape"], "'tape' is no level; expected hbm, dram, file:PATH"),
        (["--tiers", "dram,file:"], "'file:' is no level"),
        (["--tiers", "file:.,dram"], "dram does not go below file"),
        (["--tiers", "dram,dram"], "dram does not go below dram"),
        (["--tiers", "hbm,file:."], "what goes to a GPU goes through host memory"),
        (["--tiers", "file:.,http://x/y"], "accesses are served from memory; expected hbm or dram first"),
        (["--tiers", "dram,file:/dev/null,http://x/y"], "--tiers file:/dev/null: is there, so that it is only read"),
        (["--tiers", "dram,file:/nowhere/at/all"], "no such folder: /nowhere/at"),
        (["--tiers", "dram,file:/dev/null"], "file:/dev/null: expected a file, a block device, a folder, or a name"),
        (["--tiers", "hbm,dram,file:.", "--device", "cpu"], "torch finds no CUDA device here"),
        (["--tiers", "dram,http://user:secret@x/y"], "--tiers http://x/y: expected a URL such as"),
        (["--block", "4KiB"], "expected two sizes or more"),
        (["--block", "4KiB,5000 B"], "--block 5000 B: expected multiples of 4096 B"),
        (["--block", "4KiB,1"], "--block 1: expected a size as a string with a unit"),
        (["--block", "4KiB,1GiB"], "expected at most 256MiB"),
        (["--at-once", "0,1"], "--at-once 0,1: expected whole numbers from 1 to 256"),
        (["--at-once", "two"], "--at-once two: expected whole numbers"),
        (["--scratch", "much"], "--scratch much: expected a size"),
        (["--region", "1000 TiB"], "of memory, more than half of the"),
        (["--block", "4KiB,256MiB", "--at-once", "256"], "--at-once: take 7"),
        (["--out", "x.json"], "--out x.json: expected a name that ends in .yaml"),
        (["--out", "/nowhere/x.yaml"], "no such folder"),
        (["--plot", "x.gif"], "--plot x.gif: expected a name that ends in .png, .svg or .pdf"),
        (
            ["--spread"],
            "--spread: its factors are of means; expected --durations mean beside it, got --durations median",
        ),
        (["--compare", "nothing.yaml", "nothing.yaml"], "--compare nothing.yaml: cannot be read"),
    ],
)
def test_bad_input(arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--tiers", "dram,file:."] if "--tiers" not in arguments else []
    text = refused(*given, *arguments)
    assert words in text
    assert "secret" not in text
    assert list(tmp_path.iterdir()) == []


# -- how it is timed ---------------------------------------------------------------------------------------------------
class Meeting:
    """Calls that go on only when so many are there at once."""

    n_bytes, can_write = 64 * KIB, False

    def __init__(self, n: int) -> None:
        self._all_there = threading.Barrier(n, timeout=30)
        self.places: list[int] = []

    def read_into(self, buffer: Any, at: int) -> None:
        self.places.append(at)
        self._all_there.wait()

    write_from = read_into

    def close(self) -> None:
        pass


def test_so_many_go_on_at_once_at_random_places() -> None:
    place = Meeting(3)
    way = Way("x", (Step(place, False),))
    found = Timer(8 * KIB, 3, np.random.default_rng(1)).timed(way, 8 * KIB, 3, 30)
    # Each lane goes round once before, which is not counted.
    assert len(place.places) == 33
    assert 3 <= len(found) <= 30
    assert set(place.places) == set(range(0, 64 * KIB, 8 * KIB))


def test_nobody_goes_on_alone() -> None:
    """When the first thread is through, what the others still have to do is left, and what had less beside it too."""
    fast: list[int] = []

    class Uneven(Meeting):
        def read_into(self, buffer: Any, at: int) -> None:
            self.places.append(at)
            fast.append(threading.get_ident())
            if threading.get_ident() != fast[0]:
                time.sleep(0.05)

    place = Uneven(1)
    found = Timer(4096, 2, np.random.default_rng(1)).timed(Way("x", (Step(place, False),)), 4096, 2, 100)
    # Fifty and a warm-up each, had the slow one gone on.
    assert len(place.places) < 70
    assert len(found) <= 60


def test_calls_at_a_pace_come_in_bursts() -> None:
    """Each burst begins together, and so long after the one before; a call that had nothing beside it is left out."""
    began, slow = list[tuple[float, int]](), list[int]()

    class Uneven(Meeting):
        def read_into(self, buffer: Any, at: int) -> None:
            began.append((time.perf_counter(), threading.get_ident()))
            slow[:] = slow or [threading.get_ident()]
            time.sleep(0.02 if threading.get_ident() == slow[0] else 0.01)

    way = Way("x", (Step(Uneven(1), False),))
    found = Timer(4096, 2, np.random.default_rng(1), 5_000_000).timed(way, 4096, 2, 16)
    assert len(found) >= 12
    # The warm-ups, then bursts of two.
    times = sorted(at for at, _ in began[2:])
    assert len(times) == 16
    assert max(times[i + 1] - times[i] for i in range(0, 16, 2)) < 0.01
    # The slower one, and the pause.
    assert min(times[i + 2] - times[i] for i in range(0, 14, 2)) >= 0.0249
    began.clear()
    slow.clear()
    alone = Timer(4096, 1, np.random.default_rng(1), 5_000_000).timed(way, 4096, 1, 4)
    assert len(alone) == 4
    assert max(alone) < 24_900_000, "the pause is no part of the call"
    assert began[-1][0] - began[0][0] >= 4 * 0.0249


def test_a_pace_and_what_differs_is_in_the_preset(disk: Path, tmp_path: Path) -> None:
    arguments = [*SMALL, "--tiers", f"dram,file:{disk}", "--region", "1MiB", "--rounds", "1"]
    for name, more in (("at_once", []), ("paced", ["--pace", "100 us"])):
        found = call(*arguments, "--out", tmp_path / f"{name}.yaml", *more)
        assert found.exit_code == 0, found.output
    text = (tmp_path / "paced.yaml").read_text()
    assert "came 100 us apart (--pace)" in text
    assert yaml.safe_load(text)["measured"]["pace_ns"] == 100_000
    assert "came" not in (tmp_path / "at_once.yaml").read_text()
    said = call("--compare", tmp_path / "at_once.yaml", tmp_path / "paced.yaml")
    assert "pace_ns: 0 and 100000" in " ".join(said.output.split())
    for bad in ("soon", "0 ns", "2 s"):
        refused = call(*arguments, "--out", tmp_path / "x.yaml", "--pace", bad)
        assert refused.exit_code == 2
        assert f"--pace {bad}" in refused.output
    assert not (tmp_path / "x.yaml").exists()


def test_steps_are_one_call() -> None:
    """From a server into a file: read, then written, and timed as a whole."""
    order: list[str] = []

    class Told(Meeting):
        def read_into(self, buffer: Any, at: int) -> None:
            order.append("read")

        def write_from(self, buffer: Any, at: int) -> None:
            order.append("write")

    place = Told(1)
    way = Way("x", (Step(place, False), Step(place, True)))
    assert len(Timer(4096, 1, np.random.default_rng(1)).timed(way, 4096, 1, 5)) == 5
    assert order == ["read", "write"] * 6


def test_each_round_has_everything_in_an_order_of_its_own() -> None:
    asked: list[tuple[str, int, int]] = []

    class Told:
        def timed(self, way: Way, n_bytes: int, at_once: int, n_calls: int) -> list[int]:
            asked.append((way.name, n_bytes, at_once))
            return [len(asked)] * n_calls

    ways = [Way("a"), Way("b", most_at_once=1)]
    cells = cells_of(ways, [4096, 8192], [1, 4])
    assert [tuple(cell) for _, cell in cells] == [
        ("a", 4096, 1), ("a", 4096, 4), ("a", 8192, 1), ("a", 8192, 4), ("b", 4096, 1), ("b", 8192, 1),
    ]  # fmt: skip
    timer: Any = Told()
    found = measured(cells, timer, 3, 1e-9, np.random.default_rng(0), lambda _: None)
    orders = [tuple(asked[i : i + 6]) for i in range(6, 24, 6)]
    assert all(sorted(order) == sorted(asked[:6]) for order in orders)
    assert len(set(orders)) == 3
    # What is kept is of the rounds, not of the first look.
    assert all(len(rounds) == 3 and min(map(min, rounds)) > 6 for rounds in found.values())


def test_a_busy_machine_is_said_to_be_one() -> None:
    assert facts.busy([0.9, 0, 0], 2) is None
    assert facts.busy([1.5, 0, 0], 2) == "the machine is busy: a load average of 1.50 on 2 cores"


def test_memory_is_what_a_container_leaves(tmp_path: Path) -> None:
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("1048576\n")
    assert facts.memory_bytes(tmp_path) == MIB
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    there = facts.memory_bytes(tmp_path)
    assert there is not None
    assert there > MIB
    folder = tmp_path / "sys/devices/system/cpu/cpu0/cache/index3"
    folder.mkdir(parents=True)
    (folder / "size").write_text("32768K\n")
    assert facts.cache_bytes(tmp_path) == 32 * MIB


# -- remote ------------------------------------------------------------------------------------------------------------
class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    data = os.urandom(2 * MIB)
    how = "ranges"

    def do_GET(self) -> None:
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        part = self.data[first : last + 1]
        if self.how == "whole":
            self.send_response(200)
            part = self.data[:10]
        elif self.how == "gone":
            self.send_error(404)
            return
        else:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(self.data)}")
        is_cut = self.how == "cut" and len(part) > 1
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part[: len(part) // 2] if is_cut else part)
        self.close_connection = is_cut

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as one:
        one.daemon_threads = True
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{one.server_port}/data?token=secret"
        one.shutdown()
        thread.join()


def test_ranges_of_a_url(server: str, disk: Path, tmp_path: Path) -> None:
    """Below memory and a file: what comes from it is written to the file, and one call is both."""
    remote = Remote(server, MIB)
    buffer = np.zeros(5000, np.uint8)
    for at in (7, 123_456):
        remote.read_into(buffer, at)
        assert buffer.tobytes() == _Handler.data[at : at + 5000]
    remote.close()
    small = ["--block", "4KiB,8KiB", "--at-once", "2", "--rounds", "1", "--seconds", "0.1", "--region", "1MiB"]
    small += ["--scratch", "1MiB", "--no-predictor"]
    found = call(*small, "--tiers", f"dram,file:{disk},{server}", "--out", tmp_path / "x.yaml")
    assert found.exit_code == 0, found.output
    text = (tmp_path / "x.yaml").read_text()
    assert "secret" not in text
    said, _ = told(tmp_path / "x.yaml")
    assert said["machine"]["remote"] == {"url": server.partition("?")[0]}
    assert [row[0] for row in said["fits"]] == [
        "dram service", "dram fill", "dram_file read", "dram_file write", "file_origin read",
    ]  # fmt: skip
    system = System.model_validate(system_in_full({"preset": "x.yaml"}, tmp_path))
    assert [tier.name for tier in system.tiers] == ["dram", "file"]


@pytest.mark.parametrize(
    ("how", "words"),
    [("whole", "answers 200 OK; expected 206"), ("gone", "answers 404 Not Found"), ("cut", "broke off")],
)
def test_a_server_that_has_no_ranges(how: str, words: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Handler, "how", how)
    with pytest.raises(InputError, match=words) as caught, closing(Remote(server, MIB)) as remote:
        remote.read_into(np.zeros(4096, np.uint8), 0)
    assert "secret" not in str(caught.value)


def test_who_does_not_answer_and_who_has_too_little(server: str) -> None:
    with pytest.raises(InputError, match="has 2 MiB; expected 4 MiB or more"):
        Remote(server, 4 * MIB)
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:9/x: does not answer: "):
        Remote("http://127.0.0.1:9/x?token=secret", MIB)
    assert shown("https://me:pw@host:1/a/b?token#c") == "https://host:1/a/b"


# -- CUDA --------------------------------------------------------------------------------------------------------------
def test_copies_are_in_order_and_waited_for(machine: Machine) -> None:
    """As many in flight as asked for and no more; each is over when its time is taken, and brought what was there."""
    copies = Copies("cuda", 64 * KIB, 4 * KIB)
    rng = np.random.default_rng(0)
    for kind, is_pageable in (("d2d", False), ("h2d", False), ("d2h", False), ("h2d", True), ("d2h", True)):
        way = copies.way(kind, is_pageable=is_pageable)
        begun: list[Any] = []
        for at_once in (1, 3):
            calls = way.calls(4 * KIB, at_once, [0, 4096, 8192, 12288])
            assert len({id(one.stream) for one in calls}) == min(at_once, 4)
            for one in calls:
                one.source.fill_(len(begun) + 2)
                torch.cuda.synchronize()
                begun.append(one)
                way.begin(one)
                way.finish(one)
                assert one.to.cpu().unique().tolist() == [len(begun) + 1]
        machine.counts.clear()
        way_of = Way("x", ahead=way)
        found = Timer(4 * KIB, 3, rng).timed(way_of, 4 * KIB, 3, 12)
        counts = machine.counts
        assert len(found) == 12
        assert counts[kind] == 18
        # Of each call the host waits for its own stream; pageable copies are waited for by CUDA, too.
        assert counts["stream_sync"] == 18
        assert sum(counts[one] for one in SYNCHRONIZATIONS) == 18 + (18 if is_pageable else 0)


def test_no_more_are_in_flight_than_asked_for(machine: Machine) -> None:
    copies = Copies("cuda", 64 * KIB, 4 * KIB)
    way = copies.way("h2d")
    queued: list[int] = []
    really = way.begin

    def begin(one: Any) -> None:
        really(one)
        queued.append(sum(len(stream.queue) for stream in machine.streams[0]))

    way.begin = begin  # type: ignore[method-assign]
    Timer(4 * KIB, 4, np.random.default_rng(0)).timed(Way("x", ahead=way), 4 * KIB, 4, 16)
    assert queued == [1, 2, 3, *([4] * 21)]
    queued.clear()
    found = Timer(4 * KIB, 4, np.random.default_rng(0), 1000).timed(Way("x", ahead=way), 4 * KIB, 4, 8)
    # A burst that is not counted, and two that are: each is waited for before the next one.
    assert (len(found), queued) == (8, [1, 2, 3, 4] * 3)


def test_a_gpu_over_memory_over_a_file(machine: Machine, disk: Path, tmp_path: Path) -> None:
    arguments = [*SMALL, "--tiers", f"hbm,dram,file:{disk}", "--out", tmp_path / "x.yaml", "--region", "1MiB"]
    found = call(*arguments, "--rounds", "1", "--table", "always")
    assert found.exit_code == 0, found.output
    raw = yaml.safe_load((tmp_path / "x.yaml").read_text())
    assert [tier["name"] for tier in raw["tiers"]] == ["hbm", "dram"]
    assert raw["tiers"][0]["capacity"] == f"{80 << 30} B"
    ways = [row[0] for row in raw["measured"]["fits"]]
    assert ways == [
        "hbm service", "dram service", "dram fill", "hbm_dram read", "hbm_dram write", "hbm_dram read pageable",
        "hbm_dram write pageable", "dram_origin read", "dram_origin write",
    ]  # fmt: skip
    assert raw["measured"]["machine"]["gpu"] == "Double H100 80GB"
    system = System.model_validate(system_in_full({"preset": "x.yaml"}, tmp_path))
    assert len(system.links) == 2
    # The other kind of memory is the link's when that is asked for, and is then measured alone.
    wanted = Wanted(MIB, 4 * MIB, 64 * KIB, pageable=True)
    from experiments.calibration.levels import levels_of

    with machine_of(levels_of(f"hbm,dram,file:{disk}"), wanted, lambda _: None) as opened:
        of = {way.name: way for way in opened.ways}
    assert (of["hbm_dram read"].most_at_once, of["hbm_dram read pinned"].most_at_once) == (1, None)


def test_a_region_that_the_device_has_no_room_for(machine: Machine) -> None:
    with pytest.raises(InputError, match="the device has"):
        Copies("cuda", 41 << 30, 4 * KIB)


@pytest.mark.cuda
def test_copies_on_a_device() -> None:
    """What was copied is there when its time is taken, and no copy is faster than light."""
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device here")
    copies = Copies("cuda", 64 * MIB, MIB)
    for kind in ("d2d", "h2d", "d2h"):
        way = copies.way(kind)
        [one] = way.calls(MIB, 1, [MIB])
        one.source.fill_(7)
        torch.cuda.synchronize()
        way.begin(one)
        way.finish(one)
        assert one.to.cpu().unique().tolist() == [7]
        found = Timer(MIB, 4, np.random.default_rng(0)).timed(Way("x", ahead=way), MIB, 4, 40)
        assert min(found) > MIB / 10e12 * 1e9


# -- two of them -------------------------------------------------------------------------------------------------------
def test_two_calibrations_side_by_side(preset: Path, tmp_path: Path) -> None:
    raw = yaml.safe_load(preset.read_text())
    fits = {row[0]: row for row in raw["measured"]["fits"]}
    # Columns: way, latency, bandwidth, channels, useful, how far rounds lie apart in latency and in bandwidth.
    fits["dram_origin read"][1:] = [100_000, 10**9, 2, 2, 0.5, 0.01]
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(raw))
    fits["dram_origin read"][1:] = [140_000, 7 * 10**8, 2, 2, 0.1, 0.02]
    raw["measured"]["machine"]["cpu"] = "another one"
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(raw))
    found = call("--compare", tmp_path / "a.yaml", tmp_path / "b.yaml", "--json")
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert [text for text in said["machines_differ"] if text.startswith("cpu: ")]
    rows = {row["parameter"]: row for row in said["differences"] if row["way"] == "dram_origin read"}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "latency_ns": "noise", "bytes_per_s": "differs", "channels": "alike", "p50_ns": "alike",
    }  # fmt: skip
    assert rows["bytes_per_s"]["ratio"] == pytest.approx(-0.3)
    # What was measured alone has no channels to compare.
    assert [row["parameter"] for row in said["differences"] if row["way"] == "dram service"] == [
        "latency_ns", "bytes_per_s", "p50_ns",
    ]  # fmt: skip
    text = call("--compare", tmp_path / "a.yaml", tmp_path / "b.yaml").stdout
    assert "1 further apart, but no further than rounds of one calibration; 1 differ" in " ".join(text.split())


def test_a_shipped_preset_is_no_calibration() -> None:
    path = hardware.HARDWARE / "cpu.yaml"
    assert "has no figures under 'measured'" in refused("--compare", path, path)


@pytest.mark.parametrize("seconds", ["inf", "nan", "1e9"])
def test_seconds_without_an_end_are_refused(seconds: str, disk: Path, tmp_path: Path) -> None:
    said = call("--tiers", f"dram,file:{disk}", "--out", tmp_path / "x.yaml", "--seconds", seconds)
    assert said.exit_code == 2
    assert "86400" in said.output
    assert not (tmp_path / "x.yaml").exists()
