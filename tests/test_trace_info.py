"""``tierfetch trace info`` and ``formats``, what helps where a format is not known, where files are looked for."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments import run, trace
from experiments.loading import load
from workloads.formats import formats
from workloads.readers.row_format import PresetFormat
from workloads.readers.tabular import TableConfig

CSV = """time,volume,offset,size,op
10,a,0,4096,read
10,b,4096,8192,write
12,a,4096,0,read
11,a,8192,4096,trim
15,a,0,1024,read
"""
COLUMNS = ["--columns", "key=volume+offset,size_bytes=size,time_ns=time,op=op", "--time-unit", "s"]


def called(*arguments: object) -> str:
    result = CliRunner().invoke(trace.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(trace.app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    return result.output


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text(CSV)
    return path


def test_what_was_read_is_said(csv: Path, tmp_path: Path) -> None:
    """Row 3 is of size 0, row 4 to be skipped: accesses (a, 0, 4096), (b, 4096, 8192), (a, 0, 1024), at 10, 10, 15."""
    said = called("info", csv, *COLUMNS, "--ops", "skip=trim", "--empty", "skip", "--out", tmp_path / "o", "--plot")
    for line in (
        "rows           5, skipped: 1 whose operation is to be skipped; 1 of size 0",
        "operations     read 3 (read), write 1 (write), trim 1 (skipped)",
        "ids            hashed: part of a key from the text of 'volume'",
        "accesses       3 in 3 requests of 1 stream",
        "reads, writes  2 (66.7% of accesses), 1",
        "block sizes    1,024 to 8,192 bytes; 13,312 bytes asked for; of 1 key they change",
        "span           5.000 s, in order",
        "clock          2 different times in a row, at most 2 requests at one",
        f"{csv}: 2 of 5 rows skipped: 1 whose operation is to be skipped, 1 of size 0",
    ):
        # A long path is folded.
        assert line in said or "".join(line.split()) in "".join(said.split()), (line, said)
    assert len(said.splitlines()) <= 50
    summary = pd.read_parquet(tmp_path / "o" / "summary.parquet").iloc[0]
    assert summary[["n_resized", "largest_burst", "n_backwards", "furthest_back_ns"]].tolist() == [1, 2, 0, 0]
    assert summary["duration_ns"] == 5_000_000_000
    assert {path.name for path in (tmp_path / "o").glob("trace.*")} == {"trace.png", "trace.svg"}
    assert (tmp_path / "o" / "trace.png").stat().st_size > 10_000


def test_times_that_go_back_are_counted(csv: Path) -> None:
    """11 s after 12 s: once, by a second."""
    said = called("info", csv, *COLUMNS, "--ops", "read=trim", "--empty", "min")
    assert "span           5.000 s, 1 time backwards, by up to 1 s (--sort puts rows in order)" in said
    assert "skipped" not in said.replace("none skipped", "")


def test_numbers_are_said_to_be_none_hashed(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text("key\n1\n2\n")
    said = called("info", tmp_path / "n.csv")
    assert "ids            numbers as they are, none hashed" in said
    assert "operations" not in said


def test_the_list_of_formats_has_all_with_an_example_each() -> None:
    said = called("formats")
    for kind, settings in formats().items():
        assert any(line.startswith(f"{kind} ") for line in said.splitlines()), kind
        if issubclass(settings, PresetFormat):
            assert " ".join(settings.preset.example.splitlines()[0].split()) in " ".join(said.split())
            assert settings.preset.source.splitlines()[0] in said
            assert settings.__doc__
    # Each has an example.
    assert said.count(" such as ") == len(formats())


def test_a_table_without_a_key_column_gets_the_command_that_might_read_it(csv: Path) -> None:
    said = refused("head", csv)
    assert "has no column 'key' (columns.key); expected one of time, volume, offset, size, op" in said
    assert "--columns 'key=offset,time_ns=time,size_bytes=size,op=op,stream=volume' with --time-unit" in said


ROW = "128166385295514663,hm,0,Write,9056014336,2048,2833\n"


def test_a_file_that_nothing_tells_gets_the_format_that_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    path.write_text(ROW)
    said = refused("head", path)
    assert "its format cannot be told from its name; its first rows read as msr: " in said
    command = said.split("read as msr: ")[1]
    found = called(*command.split("tierfetch trace ")[1].split())
    assert found.splitlines()[2].split()[2:] == ["9056014336", "2048", "0", "0", "write"]


def test_the_nearest_format_says_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    path.write_text(ROW * 2 + ROW.replace("Write", "Erase"))
    said = refused("head", path)
    assert "nearest is msr, which reads 2 rows and then" in said
    assert "'Erase' (1)" in said
    assert "--format msr --damaged stop" in said


@pytest.mark.parametrize("name", ["rows.trace", "rows.txt", "rows.dat"])
def test_rows_of_several_fields_are_no_ids_whatever_the_ending(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("1 0 68\n2 1 7454\n")
    assert f"its first rows read as lrb: tierfetch trace head {path} --format lrb" in refused("head", path)
    path.write_text("a 7 b c\n")
    said = refused("head", path)
    assert f"as a table: tierfetch trace head {path} --no-header --separator blank --columns key=N" in said
    assert " 7 " in called("head", str(path), "--no-header", "--separator", "blank", "--columns", "key=2")


def test_json_lines_that_no_format_knows_are_a_table(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"key": 7, "time_ns": 5}\n')
    assert called("head", str(path)).splitlines()[2].split()[1:3] == ["5", "7"]
    path.write_text('{"ts": 1.5, "block_hashes": [1, 2]}\n')
    assert "--columns 'key=block_hashes,time_ns=ts' with --time-unit" in refused("head", path)


def test_hash_ids_beside_a_time_of_any_name_do_not_lose_it_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"arrival": 3, "hash_ids": [1, 2]}\n')
    said = refused("head", path)
    assert "--columns 'key=hash_ids,time_ns=arrival' with --time-unit" in said
    assert "--format hash_ids" not in said
    assert "has 'arrival'; expected no times" in refused("head", str(path), "--format", "hash_ids")


# -- where files are ---------------------------------------------------------------------------------------------------
CONFIG = """
name: t
seeds: [0]
workload:
  source: {kind: slice, accesses: 2, source: {kind: table, path: t.csv, columns: {key: key}}}
  arrivals: {kind: closed}
  train_ratio: 0.0
system:
  tiers: [{name: hbm, capacity: 1 MiB, read_bandwidth: 1 TB/s, write_bandwidth: 1 TB/s}]
  links: [{read_bandwidth: 1 GB/s, write_bandwidth: 1 GB/s}]
  origin: {kind: store}
arms: [{name: none, policy: {kind: none}}]
baseline: none
"""


def test_a_trace_is_looked_for_beside_the_config_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then in the working folder, then where TIERFETCH_TRACES says; an absolute path is as it is."""
    folders = {name: tmp_path / name for name in ("config", "working", "traces")}
    for name, folder in folders.items():
        folder.mkdir()
        (folder / "t.csv").write_text(f"key\n{len(name)}\n1\n")
    (folders["config"] / "c.yaml").write_text(CONFIG)
    monkeypatch.chdir(folders["working"])
    monkeypatch.setenv("TIERFETCH_TRACES", str(folders["traces"]))

    def found() -> Path:
        (file,) = load(folders["config"] / "c.yaml")[""].workload.source.files()
        return file.resolve()

    for name in ("config", "working", "traces"):
        assert found() == folders[name] / "t.csv"
        (folders[name] / "t.csv").unlink()
    assert found() == folders["traces"] / "t.csv"
    absolute = TableConfig.model_validate({"kind": "table", "path": str(tmp_path / "x.csv"), "columns": {"key": "key"}})
    assert absolute.file == tmp_path / "x.csv"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_run_reads_what_lies_beside_its_config_and_says_what_was_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: str
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "t.csv").write_text("key,op\na,read\nb,read\na,drop\n")
    of_words = CONFIG.replace("columns: {key: key}", "columns: {key: key}, ops: {skip: drop}")
    (tmp_path / "config" / "c.yaml").write_text(of_words.replace("seeds: [0]", "seeds: [0, 1]"))
    monkeypatch.chdir(tmp_path)
    arguments = [str(tmp_path / "config" / "c.yaml"), "--out", str(tmp_path / "o"), "--jobs", jobs]
    result = CliRunner().invoke(run.app, arguments)
    assert result.exit_code == 0, result.output
    flat = " ".join(result.output.split())
    assert "column 'key' is taken for text: each key is its 64-bit hash, in which no policy sees strides" in flat
    assert "1 of 3 rows skipped: 1 whose operation is to be skipped" in flat
    assert pd.read_parquet(tmp_path / "o" / "runs.parquet")["n_accesses"].tolist() == [2, 2]


def test_a_converted_trace_remembers_what_was_hashed(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("key\na\nb\n")
    called("convert", tmp_path / "t.csv", tmp_path / "t.parquet")
    assert "each key is its 64-bit hash" in " ".join(called("head", tmp_path / "t.parquet").split())
    (tmp_path / "n.csv").write_text("key\n1\n2\n")
    called("convert", tmp_path / "n.csv", tmp_path / "n.parquet")
    assert "hash" not in called("head", tmp_path / "n.parquet")
