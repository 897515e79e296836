"""Keys, streams and requests of tables as numbers: what is taken for one, and what is refused."""

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.reading import opened
from tests.test_experiment import call, write
from tests.test_trace_ids import GIVEN, content, rows_of, run, source


def hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


@pytest.mark.parametrize("kind", ["csv", "string", "large_string", "dictionary"])
def test_text_is_hashed_as_keys_are(tmp_path: Path, kind: str) -> None:
    # A 7 among them would be an error: see below.
    texts = ["user:b", "user:a", "seven", "user:b"]
    path = tmp_path / ("t.csv" if kind == "csv" else "t.parquet")
    if kind == "csv":
        of = source(path, "".join(f"{i},1000,{text},{text},r\n" for i, text in enumerate(texts)))
    else:
        text = pa.array(texts).dictionary_encode() if kind == "dictionary" else pa.array(texts, getattr(pa, kind)())
        of = source(path, pd.DataFrame({"key": range(4), "size": 1000, "op": "r"}))
        pq.write_table(pq.read_table(path).append_column("stream", text).append_column("request", text), path)
    accesses = rows_of(run(tmp_path, content(of)), "accesses")
    assert accesses["stream"] == accesses["request"] == [hashed(text) for text in texts]


@pytest.mark.parametrize("kind", ["text", "large_text", "dictionary", "text_dictionary", "floats"])
def test_numbers_in_other_clothes_are_numbers(tmp_path: Path, kind: str) -> None:
    ids = [70, 30, 2**53 - 1]
    column = {
        "text": pa.array([str(one) for one in ids]),
        "large_text": pa.array([str(one) for one in ids], pa.large_string()),
        "text_dictionary": pa.array([str(one) for one in ids]).dictionary_encode(),
        "dictionary": pa.array(ids).dictionary_encode(),
        "floats": pa.array(ids, pa.float64()),
    }[kind]
    of = source(tmp_path / "t.parquet", pd.DataFrame({"key": range(3), "size": 1000, "op": "r"}))
    table = pq.read_table(tmp_path / "t.parquet").append_column("stream", column).append_column("request", column)
    pq.write_table(table, tmp_path / "t.parquet")
    accesses = rows_of(run(tmp_path, content(of)), "accesses")
    assert accesses["stream"] == accesses["request"] == ids


def test_a_column_may_be_time_and_request(tmp_path: Path) -> None:
    """A CSV's requests are read as text, its times as numbers."""
    source(tmp_path / "t.csv", GIVEN)
    columns = {"key": "key", "time_ns": "request", "request": "request"}
    (batch,) = opened(tmp_path / "t.csv", columns=columns).batches()
    assert batch.time_ns.tolist() == batch.request.tolist() == [500, 501, 502]


WHOLE = "expected a whole number from 0 to 2**64 - 1"


@pytest.mark.parametrize("column", ["stream", "request"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["5", "-3"], f"is '-3'; {WHOLE}"),
        (["5", ""], f"is missing; {WHOLE}, or text"),
        (["a", ""], f"is missing; {WHOLE}, or text"),
        (["5", str(2**64)], f"is '18446744073709551616'; {WHOLE}"),
        # The first row says whether a column is numbers or text: what differs is an error where it is.
        (["5", "a"], f"is 'a'; {WHOLE}"),
        (["5", "1.0"], f"is '1.0'; {WHOLE}"),
        (["5", "+1"], f"is '+1'; {WHOLE}"),
        (["5", "1_0"], f"is '1_0'; {WHOLE}"),
        (["a", "3"], "is '3'; expected text that is no number, as in the rows before"),
        (["a", "0x3"], "is '0x3'; expected text that is no number, as in the rows before"),
        ([5, -3], f"is -3; {WHOLE}"),
        ([2**62, -3], f"is -3; {WHOLE}"),
        ([5, None], f"is missing; {WHOLE}, or text"),
        ([5.0, 1.5], f"is 1.5; {WHOLE}; floating point is exact up to 2**53"),
        ([5.0, float("inf")], f"is inf; {WHOLE}; floating point"),
        ([5.0, float("nan")], f"is nan; {WHOLE}; floating point"),
    ],
)
def test_what_is_no_number_is_refused(tmp_path: Path, column: str, values: list[Any], expected: str) -> None:
    if isinstance(values[0], str):
        path = tmp_path / "t.csv"
        other = {"stream": "{},1", "request": "1,{}"}[column]
        of = source(path, "".join(f"1,1000,{other.format(value)},r\n" for value in values))
    else:
        path = tmp_path / "t.parquet"
        of = source(path, pd.DataFrame({"key": [1, 2], "size": 1000, "op": "r"}))
        columns = {"stream": pa.array([1, 1]), "request": pa.array([1, 1]), column: pa.array(values)}
        table = pq.read_table(path)
        for name, array in columns.items():
            table = table.append_column(name, array)
        pq.write_table(table, path)
    result = call(write(tmp_path, content(of)), "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    where = "line 3" if path.suffix == ".csv" else "row 2"
    assert f"{path.name}: {where}: column '{column}' {expected}" in result.stderr
    assert f"({column})" in result.stderr
    assert "Traceback" not in result.output


def test_text_after_numbers_is_refused_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first rows show holds for all: else the same number would be itself here and a hash there."""
    from workloads.readers import parquet_table

    monkeypatch.setattr(parquet_table, "RECORDS", 4)
    frame = pd.DataFrame({"key": range(7), "size": 1000, "stream": ["5"] * 5 + ["x", "y"], "request": 0, "op": "r"})
    of = source(tmp_path / "t.parquet", frame)
    result = call(write(tmp_path, content(of)), "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert f"t.parquet: row 6: column 'stream' is 'x'; {WHOLE} (stream)" in result.stderr


def test_a_type_that_is_neither_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"key": [1], "size": 1000, "stream": [True], "request": 0, "op": "r"})
    result = call(write(tmp_path, content(source(tmp_path / "t.parquet", frame))), "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert "t.parquet: column 'stream' holds bool; expected whole numbers or text (stream)" in result.stderr
