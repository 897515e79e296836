"""``tierfetch trace`` as a user runs it, and the compact form of a trace."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from experiments import misses, trace
from experiments.loading import load
from experiments.trace_input import trace_input
from simulator.errors import InputError
from simulator.trace import COLUMNS, Batch, concatenate, make_batch
from tests.conftest import real_trace
from workloads.readers import compact_writer
from workloads.readers.compact import Compact
from workloads.readers.compact_writer import CompactWriter

ROWS = st.lists(
    st.tuples(
        st.integers(0, 2**62 - 1), st.integers(0, 2**64 - 1), st.integers(1, 2**32 - 1), st.integers(0, 300),
        st.integers(0, 2**64 - 1), st.integers(0, 1),
    ),
    min_size=1, max_size=40,
)  # fmt: skip
REAL = (
    "cloudPhysicsIO.oracleGeneral.bin", "cloudPhysicsIO.vscsi", "mooncake_conversation.jsonl", "lirs_multi1.trace.gz",
    "address_gcc.trace.gz",
)  # fmt: skip


def call(*arguments: object) -> Any:
    return CliRunner().invoke(trace.app, [str(argument) for argument in arguments])


def batch_of(rows: list[tuple[int, ...]]) -> Batch:
    columns = zip(*rows, strict=True)
    return make_batch(**{name: np.array(c, dtype) for (name, dtype), c in zip(COLUMNS.items(), columns, strict=True)})


def written(path: Path, batches: list[Batch]) -> Compact:
    writer = CompactWriter(path)
    for batch in batches:
        writer.write(batch)
    writer.finish("made", None, has_times=True)
    writer.close()
    return Compact(path)


def same(one: Batch, other: Batch) -> bool:
    return all(getattr(one, name).tolist() == getattr(other, name).tolist() for name in COLUMNS)


@given(ROWS, st.integers(1, 45))
@settings(max_examples=60)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[Any], step: int) -> None:
    """Every column to the bit, whatever the batches and the row groups."""
    batch = batch_of(rows)
    path = tmp_path_factory.mktemp("compact") / "t.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compact_writer, "ROW_GROUP", 7)
        found = written(path, [batch[at : at + step] for at in range(0, len(batch), step)])
    assert (found.length(), found.n_streams) == (len(batch), int(batch.stream.max()) + 1)
    read = list(found.batches())
    assert same(concatenate(read), batch)
    assert all(getattr(read[0], name).dtype == dtype for name, dtype in COLUMNS.items())


@pytest.mark.parametrize("name", REAL)
def test_real_traces_come_out_as_they_went_in(tmp_path: Path, name: str) -> None:
    path, out = real_trace(name), tmp_path / "t.parquet"
    result = call("convert", path, out)
    assert result.exit_code == 0, result.output
    original, converted = trace_input(path), trace_input(out)
    assert same(concatenate(list(original.workload.batches())), concatenate(list(converted.workload.batches())))
    assert converted.workload.n_streams == original.workload.n_streams
    assert converted.has_times == original.has_times
    assert converted.known_length() == original.workload.length()
    assert out.stat().st_size < path.stat().st_size or path.suffix in (".gz", ".xz")
    assert f"{original.workload.length():,} accesses" in result.output
    again = call("convert", out, tmp_path / "again.parquet", "--quiet")
    assert (again.exit_code, again.output) == (0, "")
    assert same(
        concatenate(list(converted.workload.batches())),
        concatenate(list(Compact(tmp_path / "again.parquet").batches())),
    )


def test_a_config_s_workload_is_a_trace_and_a_trace_a_config_s_workload(tmp_path: Path) -> None:
    out = tmp_path / "mixed.parquet"
    assert call("convert", "configs/mixed.yaml", out).exit_code == 0
    experiment = load(Path("configs/mixed.yaml"), [f"workload.source={{kind: compact, path: {out}}}"])[""]
    made = load(Path("configs/mixed.yaml"))[""].workload.source.build(experiment.seeds[0])
    assert same(concatenate(list(experiment.workload.source.build(0).batches())), concatenate(list(made.batches())))


def test_a_table_s_columns(tmp_path: Path) -> None:
    path, out = tmp_path / "t.csv", tmp_path / "t.parquet"
    path.write_text("when,what,bytes,who,how\n5,a,10,x,get\n7,b,20,y,set\n8,a,10,x,get\n")
    columns = "key=what,size_bytes=bytes,time_ns=when,stream=who,op=how"
    assert call("convert", path, out, "--columns", columns, "--time-unit", "ms").exit_code == 0
    found = pd.read_parquet(out)
    assert found["time_ns"].tolist() == [5_000_000, 7_000_000, 8_000_000]
    assert found["stream"].tolist() == [0, 1, 0]
    assert found["op"].tolist() == [0, 1, 0]
    assert found["key"][0] == found["key"][2] != found["key"][1]
    about = json.loads(pq.read_metadata(out).metadata[b"tierfetch_trace"])
    assert about["has_times"]
    assert about["n_streams"] == 2
    assert len(about["source_sha256"]) == 64


def test_open_arrivals_need_times(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1\n2\n")
    assert call("convert", tmp_path / "t.txt", tmp_path / "t.parquet").exit_code == 0
    sets = [f"workload.source={{kind: compact, path: {tmp_path / 't.parquet'}}}", "workload.arrivals={kind: open}"]
    with pytest.raises(InputError, match="'open' needs a trace with arrival times, but source 'compact' has none"):
        load(Path("configs/mixed.yaml"), sets)


def test_head_shows_accesses(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("key,n,how\n" + "".join(f"{i},{i + 1},{'w' if i == 4 else 'r'}\n" for i in range(9)))
    result = call("head", path, "--columns", "key=key,size_bytes=n,op=how", "--first", 3, "-n", 2)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    assert lines[1] == ["access", *COLUMNS]
    assert lines[2:] == [["3", "0", "3", "4", "0", "3", "read"], ["4", "0", "4", "5", "0", "4", "write"]]


def test_info_prints_and_writes_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1\n2\n3\n1\n2\n3\n" * 10)
    result = call("info", tmp_path / "t.txt", "--block", "4 KiB", "--window", 6, "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    for text in ("60 in 60 requests of 1 stream", "60 (100.0% of accesses), 0", "3 (5.0% of accesses), 12,288 bytes"):
        assert text in result.output
    # Of 59 steps 40 are +1 and 19 are -2.
    summary = pd.read_parquet(tmp_path / "o" / "summary.parquet").iloc[0]
    assert summary["delta_entropy_bits"] == pytest.approx(0.90658, abs=1e-5)
    assert len(pd.read_parquet(tmp_path / "o" / "working_set.parquet")) == 10
    reuse = pd.read_parquet(tmp_path / "o" / "reuse.parquet")
    assert reuse["n_accesses"].tolist() == [0, 0, 57, 3]
    assert pd.read_parquet(tmp_path / "o" / "deltas.parquet")["delta"].tolist() == [1, -2]
    assert "2 to 3" in result.output
    assert "first access" in result.output


def test_info_of_a_sample_says_so(tmp_path: Path) -> None:
    np.arange(40_000, dtype="<u4").tofile(tmp_path / "cache2k.bin")
    result = call("info", tmp_path / "cache2k.bin", "--sample", "0.1", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    assert "estimates from 0.1 of the keys" in result.output
    summary = pd.read_parquet(tmp_path / "o" / "summary.parquet").iloc[0]
    assert summary["n_accesses"] == 40_000
    assert abs(summary["n_keys"] - 40_000) < 3_000


def test_miss_ratios_of_a_sample_beside_the_whole(tmp_path: Path) -> None:
    """The errors that the command shows are those of its own rows, and small on a real trace."""
    arguments = ["--unit-size", "--fraction", "0.05,0.2", "--eviction", "lru,sieve", "--sample", "1,0.1"]
    path = real_trace("cloudPhysicsIO.oracleGeneral.bin")
    result = CliRunner().invoke(misses.app, [str(path), *arguments, "--out", str(tmp_path), "--plot"])
    assert result.exit_code == 0, result.output
    found = pd.read_parquet(tmp_path / "misses.parquet").set_index(["sample_rate", "eviction", "capacity"])
    tenth = found.index.levels[0][0]
    error = found.loc[tenth]["miss_ratio"] - found.loc[1.0]["miss_ratio"]
    assert (found.loc[tenth]["miss_ratio_error"] == error).all()
    assert found.loc[1.0]["miss_ratio_error"].isna().all()
    assert 0 < error.abs().max() < 0.05
    assert (found["n_accesses"] == 113_872).all()
    assert (found.loc[tenth]["n_simulated"] < 20_000).all()
    assert f"off by {error.abs().mean():.4f} in the mean, {error.abs().max():.4f} at most" in result.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["convert", "gone.txt", "o.parquet"], "gone.txt: no such file"),
        (["convert", "t.txt", "o.bin"], "o.bin: expected a name that ends in .parquet"),
        (["convert", "t.txt", "there.parquet"], "there.parquet: is there already; expected another name, or --force"),
        (["convert", "t.txt", "no/o.parquet"], "no/o.parquet: no such folder"),
        (["convert", "bad.txt", "o.parquet"], "bad.txt: line 2: expected a block id"),
        (["convert", "empty.txt", "o.parquet"], "empty.txt: has no access"),
        (["convert", "t.txt", "o.parquet", "--time-unit", "ms"], "a trace of format ids has no time_unit to choose"),
        (["convert", "t.txt", "o.parquet", "--block", "x"], "t.txt: block"),
        (["convert", "t.txt", "o.parquet", "--format", "compact"], "t.txt: is no compact trace; expected a file that"),
        (["info", "t.csv", "--columns", "kee=a"], "--columns kee=a: expected NAME=COLUMN with NAME one of key"),
        (["info", "t.csv", "--columns", "op=a"], "--columns op=a: names no key"),
        (["info", "empty.txt", "--window", "5"], "empty.txt: has no access; expected at least one"),
        (["info", "t.txt", "--sample", "x"], "--sample x: expected a rate above 0 and at most 1"),
        (["info", "t.txt", "--sample", "0"], "--sample 0: expected a rate above 0 and at most 1"),
        (["head", "t.txt", "--first", "3"], "t.txt: has no access 3"),
        (["head", "cut.parquet"], "cut.parquet: cannot be read as a table"),
        (["head", "lies.parquet"], "lies.parquet: access 1: stream is 7; expected 0 to 0"),
        (["head", "fewer.parquet"], "fewer.parquet: has 2 accesses; expected 3, as it says of itself"),
        (["head", "new.parquet"], "new.parquet: a compact trace of version 5; expected at most 4"),
    ],
)
def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("t.txt", "1\n2\n"), ("bad.txt", "1\nx\n"), ("empty.txt", "#\n"), ("there.parquet", ""),
                       ("t.csv", "a,b\n1,2\n")):  # fmt: skip
        Path(name).write_text(text)
    whole = written(Path("whole.parquet"), [make_batch([1, 2])])
    assert whole.length() == 2
    Path("cut.parquet").write_bytes(Path("whole.parquet").read_bytes()[:-20])
    for name, change in (("lies", {}), ("fewer", {"n_accesses": 3}), ("new", {"version": 5})):
        table = pq.read_table("whole.parquet")
        if name == "lies":
            table = table.set_column(3, table.schema.field("stream"), pa.array([0, 7], pa.uint32()))
        described = json.loads(pq.read_metadata("whole.parquet").metadata[b"tierfetch_trace"]) | change
        pq.write_table(table.replace_schema_metadata({"tierfetch_trace": json.dumps(described)}), f"{name}.parquet")
    before = sorted(tmp_path.iterdir())
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert expected in result.stderr
    assert "Traceback" not in result.output
    assert sorted(tmp_path.iterdir()) == before


def test_an_interrupted_conversion_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "t.txt").write_text("1\n2\n")
    monkeypatch.setattr(CompactWriter, "write", interrupt)
    result = call("convert", tmp_path / "t.txt", tmp_path / "o.parquet")
    assert result.exit_code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["t.txt"]


def test_help_says_what_there_is() -> None:
    text = call("--help").output
    assert all(name in text for name in ("convert", "info", "head"))
