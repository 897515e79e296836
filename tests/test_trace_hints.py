"""What a person is told who brings a file of his own: the option to try, where one helps."""

import json
import tarfile
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.trace import app
from simulator.checks import check_order
from simulator.errors import InputError


def said(path: Path, *options: str) -> str:
    result = CliRunner().invoke(app, ["head", str(path), *options])
    return f"{result.exit_code} {result.output}"


@pytest.mark.parametrize(
    ("name", "text", "options", "expected"),
    [
        ("t.csv", "When,Thing\n1,2\n", (), "expected one of When, Thing; --columns key=COLUMN says which it is"),
        ("t.tsv", "# by x 1.2\nts\turl\n1\ta\n", (), "if it is a comment, --comment '#' leaves such lines out"),
        ("t.tsv", "// by x\nts\turl\n1\ta\n", (), "--comment '//' leaves"),
        ("t.txt", "time obj\n1 2\n", ("--columns", "key=obj"), "time obj; --separator blank divides it at blanks"),
        (
            "t.txt",
            "  0.25 R   8\n",
            ("--no-header", "--columns", "key=3"),
            "columns.key: '3'; expected at most 1, as many fields as its first line has; --separator blank divides it",
        ),
        (
            "t.csv",
            "1,2,3\n1,2,3\n",
            ("--no-header", "--columns", "key=1,stream=4"),
            "columns.stream: '4'; expected at most 3, as many fields as its first line has\n",
        ),
        ("t.txt", "0.25 R x8\n", (), "as a table: tierfetch trace head"),
        ("t.out", "a,b\n1,2\n", (), "from its name; --columns key=COLUMN,... reads it as a table; no known format"),
        ("t.jsonl", '{"ts": 1, "hashes": ["a"]}\n', (), "expected one of ts, hashes; --columns key=COLUMN says which"),
        ("t.csv", "key,t\n1,01/02/2024 10:00\n", ("--columns", "key=key,time_ns=t"), "dates are 2024-01-31 10:00:00"),
        ("t.csv", "key\n1\n", ("--block", "4096"), "such as '64 MiB'; got '4096'\n"),
    ],
)
def test_a_refusal_says_what_may_help(
    tmp_path: Path, name: str, text: str, options: tuple[str, ...], expected: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    answer = said(path, *options)
    assert answer.startswith("2 error: ")
    assert expected in answer


def test_ragged_rows_may_be_longer_than_the_first(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("1,2\n1,2,3\n")
    assert "line 1: has 2 fields; expected at least 3" in said(path, "--no-header", "--columns", "key=3", "--ragged")


@pytest.mark.parametrize("name", ["a.zip", "a.csv.zip", "a.tar", "a.csv.tar.gz"])
def test_an_archive_is_to_be_unpacked(tmp_path: Path, name: str) -> None:
    path, inner = tmp_path / name, tmp_path / "inner.csv"
    inner.write_text("key\n1\n")
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(inner, "inner.csv")
    else:
        with tarfile.open(path, "w:gz" if name.endswith("gz") else "w", format=tarfile.USTAR_FORMAT) as archive:
            archive.add(inner, "inner.csv")
    assert said(path) == f"2 error: {path}: is an archive; expected a file unpacked from it\n"


@pytest.mark.parametrize("name", ["ts", "time", "arrival_time", "arrived_at"])
def test_requests_with_times_of_another_name_are_none_without_times(tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({name: 1.5, "hash_ids": [1, 2]}) + "\n")
    answer = said(path)
    assert answer.startswith("2 error: ")
    assert f"--columns 'key=hash_ids,time_ns={name}' with --time-unit" in answer
    assert "--format hash_ids" not in answer
    refusal = said(path, "--format", "hash_ids")
    assert f"line 1 has '{name}'; expected no times, or a table: --columns key=hash_ids,time_ns={name}" in refusal
    assert said(path, "--columns", f"key=hash_ids,time_ns={name}", "--time-unit", "s").startswith("0 ")


def test_a_column_in_front_of_the_key_is_numbered(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("vm,offset\na,8\nb,8\n")
    answer = " ".join(said(path, "--columns", "key=vm+offset").split())
    assert "column 'vm' is text: part of a key, where each is numbered by first appearance" in answer


def test_times_out_of_order_can_be_sorted() -> None:
    with pytest.raises(InputError, match="sort: ROWS of a source puts rows in order"):
        check_order(7, 1, 2)


def test_columns_that_seem_of_use_and_are_not_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("time,key,size,rw,n\n5,1,4096,r,1\n")
    answer = " ".join(said(path).split())
    assert "t.csv: column 'time' is not read; --columns time_ns=time with --time-unit reads it" in answer
    assert "column 'size' is not read; --columns size_bytes=size reads it" in answer
    assert "column 'rw' is not read; --columns op=rw reads it" in answer
    assert "'n'" not in answer
    columns = "key=key,time_ns=time,size_bytes=size,op=rw"
    assert "is not read" not in said(path, "--columns", columns)
    assert "is not read" not in said(path, "--columns", "key=key,time_ns=-,size_bytes=-,op=-")
    assert "is not read" not in said(path, "--columns", "key=time+key,op=-", "--features", "a=rw", "--size", "4 KiB")
