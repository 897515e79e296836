"""Configs, files and a machine that are at fault: one clear line, exit code 2, nothing half-written."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.campaign.folders import asides
from tests.test_bad_input import NONE, refuse
from tests.test_experiment import ROOT, call, config, table, write

PLAIN: list[dict[str, Any]] = [NONE, {"name": "next_n", "policy": {"kind": "next_n"}}]


# Ten values, ten times, seven times over.
BOMB = "a: &a [x]\n" + "".join(
    f"{c}: &{c} [{', '.join([f'*{b}'] * 10)}]\n" for b, c in zip("abcdefg", "bcdefgh", strict=True)
)


def edited(key: str, value: Any) -> dict[str, Any]:
    """The small config with another value at a key."""
    content = config(arms=PLAIN)
    *parents, last = key.split(".")
    at: Any = content
    for name in parents:
        at = at[int(name)] if isinstance(at, list) else at.setdefault(name, {})
    at[last] = value
    return content


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("system.tiers.0.latency", "4611686017 s", "system.tiers.0.latency: '4611686017 s' is too long"),
        ("workload.arrivals.think", "100000000 s", "think: '100000000 s' is too long; expected at most 1000000 s"),
        ("system.links.0.call", "9223372036854775807 ns", "system.links.0.call"),
        ("system.inference", {"queue_limit": 10**30}, "system.inference.queue_limit"),
        ("system.inference", {"servers": 5000}, "system.inference.servers: Input should be less than or equal to 4096"),
        ("system.inference", {"gpu_slowdown": float("inf")}, "gpu_slowdown"),
        ("system.prefetch", {"in_flight": 2**60}, "system.prefetch.in_flight"),
        ("workload.train_ratio", float("nan"), "workload.train_ratio"),
        ("output", {"window": 2**63}, "output.window"),
        ("seeds", [2**64], "seeds"),
        ("workload.source", {"kind": "ids", "path": "a\0b", "block": "1 B"}, "which no file can be called"),
        ("workload.source", {"kind": "ids", "path": "\ud800", "block": "1 B"}, "which no file can be called"),
        ("workload.source", {"kind": "ids", "path": "/dev/zero", "block": "1 B"}, "is a pipe or a device"),
        ("workload.source", {"kind": "compact", "path": "/dev/zero"}, "is a pipe or a device"),
        (
            "workload.source",
            {"kind": "phases", "rounds": 2**48, "phases": [{"kind": "random", "accesses": 100, "n_keys": 10}]},
            "source.rounds: 281474976710656 rounds of phases of at most 100 accesses",
        ),
    ],
)
def test_values_without_end(tmp_path: Path, key: str, value: Any, expected: str) -> None:
    refuse(tmp_path, edited(key, value), expected)


def test_a_call_that_takes_for_ever(tmp_path: Path) -> None:
    content = edited("system.links.0.read_bandwidth", "1 B/s")
    content["workload"]["source"]["block"] = "1 GiB"
    content["system"]["tiers"][0]["capacity"] = "10 GiB"
    refuse(tmp_path, content, "a call on the link 'hbm_origin' takes 1,073,741,824 s for blocks of 1,073,741,824 B")


@pytest.mark.parametrize("engine", ["compiled", "simpy"])
def test_the_clock_has_an_end(tmp_path: Path, engine: str) -> None:
    content = edited("workload.arrivals.think", "1000000 s") | {"engine": engine}
    content["workload"]["source"]["accesses"] = 6000
    refuse(tmp_path, content, "the simulated clock or a sum of latencies is past 2^61 ns")


@pytest.mark.parametrize("engine", ["compiled", "simpy"])
def test_sums_of_latencies_have_an_end(tmp_path: Path, engine: str) -> None:
    """Arrivals at once, each of which waits for all before it: the clock is early yet when their sum is not."""
    content = edited("system.links.0.call", "900000 s") | {"engine": engine}
    content["system"]["links"][0]["channels"] = 1
    (tmp_path / "t.csv").write_text("k,t\n" + "".join(f"{i},0\n" for i in range(3000)))
    source = {"kind": "table", "path": str(tmp_path / "t.csv"), "columns": {"key": "k", "time_ns": "t"}, "block": "1 B"}
    content["workload"] = {"source": source, "arrivals": {"kind": "open"}}
    refuse(tmp_path, content, "the simulated clock or a sum of latencies is past 2^61 ns")


@pytest.mark.parametrize("engine", ["compiled", "simpy"])
def test_arrivals_have_an_end(tmp_path: Path, engine: str) -> None:
    (tmp_path / "t.csv").write_text(f"k,t\n1,0\n2,{2**60}\n3,{2**62 - 1}\n")
    source = {"kind": "table", "path": str(tmp_path / "t.csv"), "columns": {"key": "k", "time_ns": "t"}, "block": "1 B"}
    content = config(arms=PLAIN, engine=engine, workload={"source": source, "arrivals": {"kind": "open"}})
    refuse(tmp_path, content, "at access 2 the simulated clock")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x: " + "[" * 2000, "values lie more than 64 deep in each other"),
        ("a: " + "{a: " * 200, "values lie more than 64 deep in each other"),
        (BOMB, "stand for more than 100,000 values"),
        ("a: &a [*a]", "is not YAML: found unconstructable recursive node"),
        ("seeds: [" + "9" * 10_000 + "]", "is not YAML that can be read"),
        ("a: '" + "x" * (1 << 22) + "'", "is longer than 4 MiB"),
    ],
)  # fmt: skip
def test_configs_without_end(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    result = call(tmp_path / "c.yaml", "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_pipe_is_no_config(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = call(tmp_path / "pipe")
    assert result.exit_code == 2
    assert result.stderr == f"error: {tmp_path / 'pipe'}: is a pipe or a device; expected a config\n"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="nothing tells how much memory a process had")
def test_a_line_without_end_and_a_bomb(tmp_path: Path) -> None:
    for name, piece in (("line", b"1" * (1 << 20)), ("bomb", b"1\n" * (1 << 19))):
        with pa.CompressedOutputStream(str(tmp_path / f"{name}.txt.zst"), "zstd") as file:
            for _ in range(300):
                file.write(piece)
    refuse(
        tmp_path, edited("workload.source", {"kind": "ids", "path": str(tmp_path / "line.txt.zst"), "block": "1 B"}),
        "line.txt.zst: line 1 is longer than 16 MiB",
    )  # fmt: skip
    # 157 million accesses, 5 GB as columns: read in pieces, and held in none.
    code = (
        "from pathlib import Path\nfrom pydantic import TypeAdapter\nfrom workloads.registry import Source\n"
        f"source = {{'kind': 'ids', 'path': {str(tmp_path / 'bomb.txt.zst')!r}, 'block': '1 B'}}\n"
        "n = sum(len(b) for b in TypeAdapter(Source).validate_python(source).build(0).batches())\n"
        # Not getrusage: that begins with what the parent had.
        "status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())\n"
        "print(n, status['VmHWM'].split()[0])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    n, peak_kib = map(int, found.stdout.split())
    assert n == 300 << 19
    assert peak_kib < 500_000


def test_a_frame_that_wants_a_window_of_a_gigabyte(tmp_path: Path) -> None:
    import zstandard

    wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=30, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    (tmp_path / "t.txt.zst").write_bytes(packer.compress(b"1\n2\n" * 1000) + packer.flush())
    source = {"kind": "ids", "path": str(tmp_path / "t.txt.zst"), "block": "1 B"}
    refuse(tmp_path, edited("workload.source", source), "t.txt.zst: damaged after line 0", "too much memory")


# -- the machine ----------------------------------------------------------------------------------------------------
def limited(n_bytes: int) -> Callable[[], None]:
    """No file may become larger: as on a disk that is full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


def run_limited(tmp_path: Path, n_bytes: int, *command: object, **more: Any) -> "subprocess.CompletedProcess[str]":
    given = [sys.executable, "-m", *map(str, command)]
    return subprocess.run(
        given, cwd=ROOT, preexec_fn=limited(n_bytes), capture_output=True, text=True, check=False, timeout=120, **more
    )


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_room_for_a_table(tmp_path: Path, jobs: int) -> None:
    path, out = write(tmp_path, config(arms=PLAIN, seeds=[0])), tmp_path / "out"
    # What is compiled is written, too: it must be there.
    assert call(path, "--out", tmp_path / "whole").exit_code == 0
    assert call(path, "--out", out, "--set", "output.accesses=false", "--set", "arms.1.policy=none").exit_code == 0
    found = run_limited(tmp_path, 8_000, "experiments.run", path, "--out", tmp_path / "full", "--jobs", jobs)
    assert found.returncode == 2, found.stderr
    assert found.stderr.count("\n") == 1, found.stderr
    assert "File too large" in found.stderr
    assert asides(tmp_path / "full") == []
    assert not (tmp_path / "full" / ".shared").exists()
    # With room again it goes on.
    assert call(path, "--out", tmp_path / "full").exit_code == 0
    assert table(tmp_path / "full", "accesses").equals(table(tmp_path / "whole", "accesses"))


def test_no_room_for_a_converted_trace(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "t.txt").write_text("\n".join(map(str, rng.integers(0, 2**60, 20_000).tolist())))
    found = run_limited(
        tmp_path, 8_000, "experiments.trace", "convert", tmp_path / "t.txt", tmp_path / "o.parquet", "--format", "ids"
    )
    assert (found.returncode, found.stderr.count("\n")) == (2, 1), found.stderr
    assert "o.parquet: File too large" in found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["t.txt"]


@pytest.mark.parametrize("command", [["experiments.policies"], ["experiments.policies", "lru"]])
def test_nobody_reads_what_is_printed(command: list[str]) -> None:
    read, write_ = os.pipe()
    os.close(read)
    given = [sys.executable, "-m", *command]
    found = subprocess.run(given, cwd=ROOT, stdout=write_, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(write_)
    assert (found.returncode, found.stderr) == (2, "error: standard output: Broken pipe\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_no_room_for_what_is_printed() -> None:
    with Path("/dev/full").open("w") as full:
        given = [sys.executable, "-m", "experiments.policies"]
        found = subprocess.run(given, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (found.returncode, found.stderr) == (2, "error: No space left on device\n")


def test_convert_touches_neither_its_input_nor_a_bystander(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from experiments import trace

    source, bystander = tmp_path / "in.part.parquet", tmp_path / "other.part.parquet"
    (tmp_path / "t.txt").write_text("1\n2\n1\n")
    made = CliRunner().invoke(trace.app, ["convert", str(tmp_path / "t.txt"), str(source), "--format", "ids"])
    assert made.exit_code == 0, made.output
    bystander.write_bytes(b"mine")
    content = source.read_bytes()
    for out in ("in.parquet", "other.parquet"):
        result = CliRunner().invoke(trace.app, ["convert", str(source), str(tmp_path / out)])
        assert result.exit_code == 0, result.output
    assert source.read_bytes() == content
    assert bystander.read_bytes() == b"mine"
    again = CliRunner().invoke(trace.app, ["convert", str(source), str(source), "--force"])
    assert again.exit_code == 2
    assert source.read_bytes() == content
