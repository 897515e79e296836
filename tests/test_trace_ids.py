"""Tables hold the trace's own streams and requests: what is said of one joins with the trace that one has."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from experiments import trace
from experiments.recording import warm_up_rows
from experiments.tables import RunTables
from tests.test_experiment import LSTM, call, config, write
from workloads.readers.compact import Compact

NONE = {"name": "none", "policy": {"kind": "none"}}
NEXT = {"name": "next_n", "policy": {"kind": "next_n", "trigger": "miss"}}
HEADER = "key,size,stream,request,op"
COLUMNS = {"key": "key", "size_bytes": "size", "stream": "stream", "request": "request", "op": "op"}
MOST = 2**64 - 1
# Streams 70, 30, 70: by first appearance they would be 0, 1, 0, and the requests 0, 1, 2.
# Words and no 0: whether 1 is a read or a write a trace has to be told of, by `ops`.
GIVEN = "1,1000,70,500,r\n2,1000,30,501,r\n3,1000,70,502,r\n"


def source(path: Path, rows: str | pd.DataFrame, columns: dict[str, str] = COLUMNS) -> dict[str, Any]:
    """A table as a config names it; ``path`` says whether it is CSV or Parquet."""
    if isinstance(rows, str):
        path.write_text(f"{HEADER}\n{rows}")
    else:
        rows.to_parquet(path, index=False)
    return {"kind": "table", "path": str(path), "columns": columns}


def content(of: dict[str, Any], *arms: dict[str, Any], **changes: Any) -> dict[str, Any]:
    arrivals = {"kind": "closed", "think": "9999 ns"}
    workload = {"source": of, "arrivals": arrivals, "train_ratio": 0.0}
    return config(workload=workload, arms=list(arms or (NONE, NEXT)), seeds=[0], **changes)


def run(folder: Path, given_config: dict[str, Any], *arguments: str) -> Path:
    folder.mkdir(exist_ok=True)
    result = call(write(folder, given_config), "--out", folder / "out", "--quiet", *arguments)
    assert result.exit_code == 0, result.output
    return folder / "out"


def rows_of(out: Path, name: str, arm: str = "next_n") -> dict[str, list[Any]]:
    """In the order of the trace. Not by pandas, which makes floating point of columns with nulls."""
    found = pq.read_table(out / name / f"{arm}-0.parquet").sort_by("access")
    return {column: found[column].to_pylist() for column in found.column_names}


# -- what a run writes -------------------------------------------------------------------------
@pytest.mark.parametrize("engine", ["compiled", "simpy"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_trace_s_own_numbers(tmp_path: Path, engine: str, jobs: str) -> None:
    """Whichever engine it was, and whether the trace was read or handed to another process."""
    out = run(tmp_path, content(source(tmp_path / "t.csv", GIVEN), engine=engine), "--jobs", jobs)
    for arm in ("none", "next_n"):
        accesses = rows_of(out, "accesses", arm)
        assert (accesses["access"], accesses["key"]) == ([0, 1, 2], [1, 2, 3])
        assert accesses["stream"] == [70, 30, 70]
        assert accesses["request"] == [500, 501, 502]
    asked = rows_of(out, "inferences")
    assert asked["access"]
    assert asked["stream"] == [[70, 30, 70][access] for access in asked["access"]]
    for name in ("accesses", "inferences"):
        schema = pq.read_schema(out / name / "next_n-0.parquet")
        assert all(
            schema.field(column).type == pa.uint64() for column in ("stream", "request") if column in schema.names
        )


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_numbers_of_all_64_bits(tmp_path: Path, name: str) -> None:
    """Neighbours that floating point, or a signed number, would take for one."""
    ids = [MOST, MOST - 1, 2**63, 2**63 - 1, 2**53 + 1, 2**53, 0, MOST]
    frame = pd.DataFrame({"key": range(8), "size": 1000, "stream": ids, "request": ids[::-1], "op": "r"})
    rows = frame if name == "t.parquet" else frame.to_csv(index=False, header=False)
    accesses = rows_of(run(tmp_path, content(source(tmp_path / name, rows))), "accesses")
    assert (accesses["stream"], accesses["request"]) == (ids, ids[::-1])


def test_results_do_not_depend_on_what_streams_are_called(tmp_path: Path) -> None:
    """Streams of one time issue in the order of their indices: by the ids the larger one would come last."""
    rows = [(i * 7 % 40, 1000, i % 3, i // 6, i % 5 == 0) for i in range(300)]
    found = []
    for number, ids in enumerate(([0, 1, 2], [MOST, 5, 2**63])):
        text = "".join(f"{k},{size},{ids[s]},{r},{'rw'[op]}\n" for k, size, s, r, op in rows)
        (tmp_path / str(number)).mkdir()
        out = run(tmp_path / str(number), content(source(tmp_path / str(number) / "t.csv", text)))
        accesses = rows_of(out, "accesses")
        assert accesses.pop("stream") == [ids[s] for _, _, s, _, _ in rows]
        found.append(accesses)
    assert found[0] == found[1]


# -- what hands a trace on ---------------------------------------------------------------------
def test_a_compact_trace_keeps_them(tmp_path: Path) -> None:
    """So do one made of it, and a run of it: all tables are as those of the original."""
    rows = "".join(f"{i * 5 % 23},1000,{[70, MOST][i % 2]},{MOST - i // 4},r\n" for i in range(200))
    of = source(tmp_path / "t.csv", rows)
    named = "key=key,size_bytes=size,stream=stream,request=request,op=op"
    convert = ["convert", str(tmp_path / "t.csv"), str(tmp_path / "a.parquet"), "--columns", named]
    again = ["convert", str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet"), "--quiet"]
    for arguments in (convert, again):
        result = CliRunner().invoke(trace.app, arguments)
        assert result.exit_code == 0, result.output
    original = run(tmp_path / "original", content(of))
    for name in ("a", "b"):
        compact = Compact(tmp_path / f"{name}.parquet")
        assert compact.stream_ids is not None
        assert compact.stream_ids.tolist() == [70, MOST]
        out = run(tmp_path / name, content({"kind": "compact", "path": str(tmp_path / f"{name}.parquet")}))
        for table in ("accesses", "inferences", "prefetches"):
            assert rows_of_any(out, table) == rows_of_any(original, table)


def rows_of_any(out: Path, name: str) -> list[dict[str, Any]]:
    found = pq.read_table(out / name / "next_n-0.parquet").to_pylist()
    return [{k: v for k, v in row.items() if k not in ("host_ns", "device_ns", "cpu_ns")} for row in found]


def rewritten(path: Path, **changes: Any) -> None:
    """A compact trace that says something else of itself; without what is None."""
    table = pq.read_table(path)
    described = json.loads(pq.read_metadata(path).metadata[b"tierfetch_trace"]) | changes
    described = {name: value for name, value in described.items() if value is not None}
    pq.write_table(table.replace_schema_metadata({"tierfetch_trace": json.dumps(described)}), path)


def test_a_compact_trace_of_the_version_before_is_read_as_it_was(tmp_path: Path) -> None:
    source(tmp_path / "t.csv", GIVEN)
    path = tmp_path / "t.parquet"
    CliRunner().invoke(trace.app, ["convert", str(tmp_path / "t.csv"), str(path), "--columns", "key=key,stream=stream"])
    rewritten(path, version=1, stream_ids=None)
    accesses = rows_of(run(tmp_path, content({"kind": "compact", "path": str(path)})), "accesses")
    assert accesses["stream"] == [0, 1, 0]


@pytest.mark.parametrize("ids", [[70], [70, 70], [70, -1], [70, 2**64], [70, "x"], 5, "ab"])
def test_a_compact_trace_whose_ids_are_damaged_is_refused(tmp_path: Path, ids: Any) -> None:
    source(tmp_path / "t.csv", GIVEN)
    path = tmp_path / "t.parquet"
    CliRunner().invoke(trace.app, ["convert", str(tmp_path / "t.csv"), str(path), "--columns", "key=key,stream=stream"])
    rewritten(path, stream_ids=ids)
    result = call(write(tmp_path, content({"kind": "compact", "path": str(path)})), "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert "its description as a compact trace is damaged" in result.stderr


def test_a_slice_keeps_them(tmp_path: Path) -> None:
    of = source(tmp_path / "t.csv", GIVEN)
    sliced = {"kind": "slice", "source": of, "first": 1, "accesses": 2}
    for jobs in ("1", "2"):
        out = run(tmp_path / jobs, content(sliced), "--jobs", jobs)
        accesses = rows_of(out, "accesses")
        assert (accesses["stream"], accesses["request"]) == ([30, 70], [501, 502])
    config_path = write(tmp_path, content(sliced))
    result = CliRunner().invoke(trace.app, ["convert", str(config_path), str(tmp_path / "s.parquet")])
    assert result.exit_code == 0, result.output
    ids = Compact(tmp_path / "s.parquet").stream_ids
    assert ids is not None
    assert ids.tolist() == [70, 30]


@pytest.mark.parametrize("kind", ["interleave", "phases"])
def test_mixed_traces_are_numbered_from_0(tmp_path: Path, kind: str) -> None:
    """Their own numbers may stand for different things: both have a stream 70 and a request 2**64 - 1."""
    rows = [f"1,1000,70,{MOST},r\n2,1000,30,5,r\n3,1000,70,{MOST},r\n", f"4,1000,9,{MOST},r\n5,1000,70,{2**63 - 1},r\n"]
    parts = [source(tmp_path / f"{i}.csv", text) for i, text in enumerate(rows)]
    of = {"kind": kind, "parts" if kind == "interleave" else "phases": parts}
    accesses = rows_of(run(tmp_path, content(of)), "accesses")
    if kind == "interleave":
        assert accesses["key"] == [1, 4, 2, 5, 3]
        assert accesses["stream"] == [0, 2, 1, 3, 0]
        assert accesses["request"] == [0, 1, 2, 3, 0]
    else:
        assert accesses["key"] == [1, 2, 3, 4, 5]
        assert accesses["stream"] == [0, 1, 0, 0, 1]
        assert accesses["request"] == [0, 1, 0, 2, 3]


def test_head_shows_them(tmp_path: Path) -> None:
    source(tmp_path / "t.csv", GIVEN)
    named = "key=key,stream=stream,request=request"
    result = CliRunner().invoke(trace.app, ["head", str(tmp_path / "t.csv"), "--columns", named, "--first", "1"])
    lines = [line.split() for line in result.output.splitlines()]
    at = lines[1].index("stream")
    assert [line[at : at + 2] for line in lines[2:4]] == [["30", "501"], ["70", "502"]]


# -- calls before the run, recordings --------------------------------------------------------------
def test_calls_before_the_run_are_of_no_stream(tmp_path: Path) -> None:
    sink = RunTables(tmp_path, ("a", 0, 0), {"inferences"}, np.array([70, 30], np.uint64))
    sink.write("inferences", warm_up_rows([(5, 0), (6, 0)]))
    sink.finish({})
    assert pq.read_table(tmp_path / "inferences" / "a-0.parquet")["stream"].to_pylist() == [None, None]


def test_a_recording_is_replayed(tmp_path: Path) -> None:
    text = "".join(f"{i * 7 % 20},4096,{[70, MOST][i % 2]},{MOST - i},r\n" for i in range(400))
    of = source(tmp_path / "t.csv", text)

    def lstm(charge: dict[str, Any]) -> dict[str, Any]:
        arm = {"name": "lstm", "policy": {**LSTM, "epochs": 2, "in_gpu_memory": False}, "charge": charge}
        made = content(of, NONE, arm)
        made["workload"]["train_ratio"] = 0.5
        return made

    recorded = run(tmp_path / "recorded", lstm({"kind": "measured"}))
    again = run(tmp_path / "again", lstm({"kind": "replay", "source": str(recorded)}))
    for name in ("accesses", "inferences"):
        one, other = (pq.read_table(out / name / "lstm-0.parquet") for out in (recorded, again))
        assert one.equals(other, check_metadata=False)
    asked = pq.read_table(again / "inferences" / "lstm-0.parquet").to_pylist()
    assert {row["stream"] for row in asked if row["status"] == "warm_up"} == {None}
    assert {row["stream"] for row in asked if row["status"] != "warm_up"} == {70, MOST}
