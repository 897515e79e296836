"""What a layout makes of the columns of a table, by hand and against plain loops."""

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from experiments import trace
from simulator.errors import InputError
from simulator.trace import COLUMNS, Batch, concatenate
from tests.reading import opened
from tests.test_reading import outcome
from workloads.formats import source_of
from workloads.readers import lines
from workloads.readers.layout import parse_ops
from workloads.readers.ranges import Groups

KEY = {"key": "key"}


def table(folder: Path, text: str, name: str = "t.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def parquet(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "t.parquet")
    return folder / "t.parquet"


def read(path: Path, columns: dict[str, Any] = KEY, **given: Any) -> Batch:
    return concatenate(list(opened(path, columns=columns, **given).batches()))


def refused(path: Path, columns: dict[str, Any] = KEY, **given: Any) -> str:
    with pytest.raises(InputError) as error:
        read(path, columns, **given)
    assert "\n" not in str(error.value)
    assert path.name in str(error.value)
    return str(error.value)


# -- keys ----------------------------------------------------------------------------------------------------------
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2**64 - 1) | st.integers(0, 3)), min_size=1, max_size=30),
    st.integers(1, 31),
)
def test_groups_are_numbered_by_first_appearance(rows: list[tuple[int, int]], cut: int) -> None:
    groups, order = Groups(), list(dict.fromkeys(rows))
    found: list[int] = []
    for part in (rows[:cut], rows[cut:]):
        if part:
            found += groups.of([np.array(column, np.uint64) for column in zip(*part, strict=True)]).tolist()
    assert found == [order.index(row) for row in rows]


ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 2**44 - 1)), min_size=1, max_size=20
)


@given(rows=ROWS, piece=st.sampled_from([8, 30, 1 << 20]))
@settings(max_examples=60)
def test_keys_of_several_columns(tmp_path_factory: pytest.TempPathFactory, rows: list[Any], piece: int) -> None:
    """Two rows have one key where all columns are alike; a step of the last is a step of the key; no group has moved.

    The first group keeps the numbers of its last column.
    """
    path = table(tmp_path_factory.getbasetemp(), "v,p,key\n" + "".join(f"{v},{p},{k}\n" for v, p, k in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "PIECE_BYTES", piece)
        keys = read(path, {"key": "v+p+key"}).key.tolist()
    assert len(set(keys)) == len(set(rows))
    assert len(set(zip(keys, rows, strict=True))) == len(set(rows))
    first = {}
    for found, (v, p, k) in zip(keys, rows, strict=True):
        assert found - k == first.setdefault((v, p), found - k)
        if (v, p) == rows[0][:2]:
            assert found == k
    assert len(set(first.values())) == len(first)


def test_a_last_column_too_large_for_a_group_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, f"d,key\n1,5\n1,{2**44}\n")
    assert "line 3: d+key is number 17592186044416 of group 0; expected numbers below 2**44" in refused(
        path, {"key": "d+key"}
    )


@pytest.mark.parametrize(("type_", "bits"), [(pa.float32(), 24), (pa.float64(), 53)])
def test_floating_point_beyond_which_ids_are_merged_is_refused(tmp_path: Path, type_: Any, bits: int) -> None:
    path = parquet(tmp_path, key=pa.array([2**bits - 1, 2**bits], type_))
    assert f"row 2: column 'key' is {2.0**bits!r}; expected" in (said := refused(path))
    assert f"floating point is exact up to 2**{bits}" in said


@pytest.mark.parametrize("cell", ["1.5e+18", "1e+3", "2E-1"])
def test_numbers_with_an_exponent_are_no_words(tmp_path: Path, cell: str) -> None:
    """As pandas writes large ids that it had as floating point."""
    for path in (table(tmp_path, f"key\n{cell}\n"), table(tmp_path, f'{{"key":{cell}}}\n', "t.jsonl")):
        assert f"column 'key' is '{cell}'; expected a whole number" in refused(path)


def test_bytes_are_taken_as_is_said(tmp_path: Path) -> None:
    """As numbers in letters where that is asked for, and never hashed in silence then."""
    path = parquet(tmp_path, key=[b"ab", b"5"])
    assert "row 1: column 'key' is b'ab'; expected a whole number" in refused(path, keys="number")
    assert read(path, keys="hex").key.tolist() == [0xAB, 5]
    assert len(set(read(path).key.tolist())) == 2


def test_hashed_parts_are_mixed(tmp_path: Path) -> None:
    path = table(tmp_path, "d,key\n1,a\n2,a\n1,b\n1,a\n")
    keys = read(path, {"key": "d+key"}).key.tolist()
    assert keys[0] == keys[3]
    assert len(set(keys)) == 3


# -- operations, repetitions, sizes ------------------------------------------------------------------------------------
def test_operations(tmp_path: Path) -> None:
    """A word may be skipped, or be a load and a store; how many rows were left out is told."""
    path = table(tmp_path, "key,op\n1,GET\n2,Put\n3,delete\n4,modify2\n5,putChunk.Permanent\n6,delete\n")
    workload = opened(path, columns=KEY, ops="skip=delete both=modify2")
    batch = concatenate(list(workload.batches()))
    assert batch.key.tolist() == [1, 2, 4, 4, 5]
    assert batch.op.tolist() == [0, 1, 0, 1, 1]
    assert workload.reading.skipped == {"whose operation is to be skipped": 2}
    assert workload.reading.words["delete"] == ("skipped", 2)
    assert workload.notes() == [f"{path}: 2 of 6 rows skipped: 2 whose operation is to be skipped"]


def test_unknown_words_are_listed_with_their_counts(tmp_path: Path) -> None:
    """Of the whole file, the most frequent first, whatever word was met first."""
    path = table(tmp_path, "key,op\n" + "1,zip\n" + "2,zap\n" * 3 + "3,get\n")
    text = refused(path)
    assert "column 'op': 'zap' (3), 'zip' (1) in 5 rows: reads or writes?" in text
    assert read(path, ops={"read": "zip", "write": ["zap"]}).op.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("word", ["0", "1", "true", "delete"])
def test_what_means_one_thing_here_and_another_there_is_no_word(tmp_path: Path, word: str) -> None:
    assert f"'{word}' (1)" in refused(table(tmp_path, f"key,op\n1,{word}\n"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("get", "expected read=, write=, skip= or both= and words"),
        ("reads=get", "expected read=, write=, skip= or both= and words"),
        ("read=", "expected read=, write=, skip= or both= and words"),
        ("read=a,,b", "has an empty word"),
        ("read=a write=A", "'a' has two meanings; expected one"),
    ],
)
def test_what_says_no_meaning_is_refused(text: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        parse_ops(text)


def test_repeated_rows(tmp_path: Path) -> None:
    path = table(tmp_path, "key,n,op\n1,2,r\n2,0,r\n3,1,w\n4,3,w\n")
    workload = opened(path, columns={**KEY, "repeat": "n"})
    batch = concatenate(list(workload.batches()))
    assert batch.key.tolist() == [1, 1, 3, 4, 4, 4]
    assert batch.op.tolist() == [0, 0, 1, 1, 1, 1]
    assert workload.reading.skipped == {"repeated 0 times": 1}
    batch = read(table(tmp_path, "key,n,op\n1,2,m\n2,0,m\n3,2,r\n"), {**KEY, "repeat": "n"}, ops="both=m")
    assert list(zip(batch.key.tolist(), batch.op.tolist(), batch.request.tolist(), strict=True)) == [
        (1, 0, 0), (1, 1, 1), (1, 0, 2), (1, 1, 3), (3, 0, 4), (3, 0, 5),
    ]  # fmt: skip


def test_many_repetitions_are_made_a_part_at_a_time(tmp_path: Path) -> None:
    path = table(tmp_path, f"key,n\n1,{2**32 - 1}\n")
    workload = opened(path, columns={**KEY, "repeat": "n"})
    rows = itertools.islice(workload.batches(), 40)
    assert sum(len(batch) for batch in rows) == 40 << 16
    path = table(tmp_path, f"key,n\n1,1\n2,{2**32}\n")
    assert "line 3: column 'n' is 4294967296; expected a whole number from 0 to 4294967295 (repeat)" in refused(
        path, {**KEY, "repeat": "n"}
    )
    lists = parquet(tmp_path, key=[[5, 6]], n=[2])
    assert "has lists of blocks; expected no repetition" in refused(lists, {**KEY, "repeat": "n"})


def test_size_0(tmp_path: Path) -> None:
    path = table(tmp_path, "key,size_bytes\n1,5\n2,0\n3,7\n")
    assert "line 3: column 'size_bytes' is 0; expected a whole number from 1 to" in refused(path)
    assert read(path, empty="skip").key.tolist() == [1, 3]
    assert read(path, empty="min").size_bytes.tolist() == [5, 1, 7]
    assert read(path, size="2 KiB").size_bytes.tolist() == [2048] * 3


def test_sizes(tmp_path: Path) -> None:
    """Of more than 4 GiB, in units, as the sum of several columns, with a fraction of zeros."""
    path = table(tmp_path, "key,a,b\n1,4294967295,1\n2,8,9.0\n")
    batch = read(path, {**KEY, "size_bytes": "a+b"})
    assert batch.size_bytes.tolist() == [2**32, 17]
    assert read(path, {**KEY, "size_bytes": "b"}, size_unit="sectors").size_bytes.tolist() == [512, 9 * 512]
    assert read(path, {**KEY, "size_bytes": "b"}, size_unit="KiB").size_bytes.tolist() == [1024, 9 * 1024]
    assert "expected a whole number from 1 to" in refused(path, {**KEY, "size_bytes": "a"}, size_unit="MiB")
    path = table(tmp_path, f"key,a,b,c\n1,{2**62 - 1},{2**62 - 1},{2**62 - 1}\n")
    assert f"line 2: column 'a+b+c' is {2**62}; expected" in refused(path, {**KEY, "size_bytes": "a+b+c"})


# -- blocks --------------------------------------------------------------------------------------------------------
@given(
    rows=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 3000)), min_size=1, max_size=20),
    block=st.sampled_from([1, 7, 512, 4096]),
    unit=st.sampled_from([1, 512]),
    size_unit=st.sampled_from([1, 3]),
)
@settings(max_examples=60)
def test_ranges_are_split_into_the_blocks_that_they_touch(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int]], block: int, unit: int, size_unit: int
) -> None:
    path = table(tmp_path_factory.getbasetemp(), "key,n,t\n" + "".join(f"{o},{n},{o}\n" for o, n in rows))
    expected = [
        (number, request, offset)
        for request, (offset, n) in enumerate(rows)
        for number in range(offset * unit // block, (offset * unit + n * size_unit - 1) // block + 1)
    ]
    batch = read(
        path, {**KEY, "size_bytes": "n", "time_ns": "t"}, block=f"{block} B", offset_unit=unit, size_unit=size_unit
    )
    assert list(zip(batch.key.tolist(), batch.request.tolist(), batch.time_ns.tolist(), strict=True)) == expected
    assert set(batch.size_bytes.tolist()) == {block}


def test_blocks_of_several_devices(tmp_path: Path) -> None:
    path = table(tmp_path, "d,o,size_bytes\n1,4096,8192\n2,4096,1\n1,8191,2\n")
    keys = read(path, {"key": "d+o"}, block="4 KiB").key.tolist()
    assert keys == [1, 2, 2**44 + 1, 1, 2]


def test_with_a_unit_of_sizes_that_of_offsets_has_to_be_said(tmp_path: Path) -> None:
    """Sectors of 512 bytes from sector 8 on: bytes 4096 to 8191; as bytes 8 to 4103 they would be two other blocks."""
    path = table(tmp_path, "key,size_bytes\n8,8\n")
    assert "size_unit is said and offset_unit is not" in refused(path, block="4 KiB", size_unit="sectors")
    read_ = read(path, block="4 KiB", size_unit="sectors", offset_unit="sectors")
    assert read_.key.tolist() == [1]


def test_ranges_that_cannot_be_split_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path, f"key,size_bytes\n{2**64 - 4096},4096\n{2**64 - 1},2\n")
    assert "line 3: 2 bytes from 18446744073709551615 on; expected a range that ends below 2**64" in refused(
        path, block="4 KiB"
    )
    path = table(tmp_path, f"key,size_bytes\n{2**55},1\n")
    assert "line 2: 1 bytes from 18446744073709551616 on" in refused(path, block="4 KiB", offset_unit="sectors")
    path = table(tmp_path, f"key,size_bytes\n0,{2**25}\n")
    assert "touches at most 16,777,216 blocks" in refused(path, block="1 B")
    path = table(tmp_path, "key,size_bytes\n5000,0\n")
    assert "line 2: column 'size_bytes' is 0" in refused(path, block="4 KiB", size="1 KiB")
    path = table(tmp_path, f"d,key,size_bytes\n1,{2**44 - 1},2\n2,0,1\n")
    assert "line 2: d+key is number 17592186044416 of group 0" in refused(path, {"key": "d+key"}, block="1 B")
    path = table(tmp_path, "key,size_bytes\na,1\n")
    assert "is text; expected offsets" in refused(path, block="4 KiB")


def test_without_sizes_block_is_the_size_of_each_key(tmp_path: Path) -> None:
    batch = read(table(tmp_path, "key\n5\n6\n"), block="4 KiB")
    assert (batch.key.tolist(), batch.size_bytes.tolist()) == ([5, 6], [4096, 4096])


# -- lists ---------------------------------------------------------------------------------------------------------
def test_lists_are_requests(tmp_path: Path) -> None:
    rows = [{"key": [5, 6], "t": 1, "s": "x"}, {"key": [], "t": 2, "s": "y"}, {"key": [7], "t": 3, "s": "x"}]
    text = table(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "t.jsonl")
    arrow = parquet(tmp_path, key=[[5, 6], [], [7]], t=[1, 2, 3], s=["x", "y", "x"])
    for path in (text, arrow):
        batch = read(path, {**KEY, "time_ns": "t", "stream": "s"})
        assert batch.key.tolist() == [5, 6, 7]
        assert batch.request.tolist() == [0, 0, 2]
        assert batch.time_ns.tolist() == [1, 1, 3]
        assert batch.stream.tolist() == [0, 0, 1] or batch.stream.tolist() == [0, 0, 0]
    assert opened(arrow, columns=KEY).length() == 3
    assert opened(parquet(tmp_path, key=[[5, 6], [7]]), columns=KEY).length() == 3


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        ('{"key":[1]}\n{"key":2}\n', KEY, "line 2: expected 'key', a list of block numbers"),
        ('{"key":[1],"x":[1]}\n', {**KEY, "stream": "x"}, "are lists; expected at most one column of blocks"),
        ('{"key":1,"x":[1]}\n', {**KEY, "stream": "x"}, "has lists in another column than the key's, 'key'"),
        ('{"key":[1]}\n{"key":[2,true]}\n', KEY, "line 2: 'key' is true; expected a number or text"),
        ('{"key":[1]}\n{"key":[2,-3]}\n', KEY, "line 2: column 'key' is '-3'; expected a whole number"),
    ],
)
def test_lists_of_other_things_are_refused(tmp_path: Path, rows: str, columns: Any, expected: str) -> None:
    assert expected in refused(table(tmp_path, rows, "t.jsonl"), columns)


# -- order ---------------------------------------------------------------------------------------------------------
@given(
    times=st.lists(st.integers(0, 12), min_size=1, max_size=30), bound=st.integers(1, 12),
    piece=st.sampled_from([1, 9, 1 << 20]),
)  # fmt: skip
@settings(max_examples=80)
def test_rows_are_sorted_or_refused(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], bound: int, piece: int
) -> None:
    """Those of one time stay as they come. A row before which more than the bound belong behind it is refused."""
    path = table(tmp_path_factory.getbasetemp(), "key,time_ns\n" + "".join(f"{i},{t}\n" for i, t in enumerate(times)))
    late = [sum(other > t for other in times[:i]) for i, t in enumerate(times)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "PIECE_BYTES", piece)
        columns, said = outcome(opened(path, columns=KEY, sort=bound).batches)
    if said:
        # What is too late and still at hand may be taken all the same.
        assert "comes more than" in said
        assert late[int(said.partition("row ")[2].partition(":")[0]) - 1] > bound
        return
    keys, times_ns = (columns[list(COLUMNS).index(name)] for name in ("key", "time_ns"))
    assert times_ns == sorted(times)
    assert keys == sorted(range(len(times)), key=lambda i: times[i])


@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_a_list_is_one_row_too_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(lines, "PIECE_BYTES", piece)
    rows = [([1, 2, 3], 5), ([4, 5], 3), ([6], 7), ([7, 8], 6)]
    text = "".join(json.dumps({"key": keys, "time_ns": t}) + "\n" for keys, t in rows)
    batch = read(table(tmp_path, text, "t.jsonl"), sort=1)
    assert batch.key.tolist() == [4, 5, 1, 2, 3, 7, 8, 6]
    assert "row 5: comes more than 1 rows too late" in refused(
        table(tmp_path, text + '{"key":[9],"time_ns":0}\n', "t.jsonl"), sort=1, damaged="stop"
    )


def test_what_has_no_times_cannot_be_sorted(tmp_path: Path) -> None:
    assert "has no times to sort by" in refused(table(tmp_path, "key\n1\n"), sort=3)


# -- columns -------------------------------------------------------------------------------------------------------
def test_own_names_are_taken_unless_somebody_says_another(tmp_path: Path) -> None:
    path = table(tmp_path, "key,size_bytes,time_ns,stream,request,op,pc\n1,2,3,4,5,w,99\n")
    batch = read(path)
    row = (batch.key, batch.size_bytes, batch.time_ns, batch.stream, batch.request, batch.op)
    assert [column.tolist() for column in row] == [[1], [2], [3], [0], [5], [1]]
    left_out = dict.fromkeys(("size_bytes", "time_ns", "stream", "request", "op"), "-")
    batch = read(path, {**KEY, **left_out}, block="4 KiB")
    row = (batch.key, batch.size_bytes, batch.time_ns, batch.stream, batch.request, batch.op)
    assert [column.tolist() for column in row] == [[1], [4096], [0], [0], [0], [0]]
    assert read(path, {**KEY, "time_ns": "request"}).time_ns.tolist() == [5]


def test_features(tmp_path: Path) -> None:
    path = table(tmp_path, "key,pc,l\n1,99,a\n2,98,b\n")
    batch = read(path, {**KEY, "features": {"pc": "pc", "layer": "l"}})
    assert batch.features["pc"].tolist() == [99, 98]
    assert len(set(batch.features["layer"].tolist())) == 2
    expected = "columns.x: 'pc+l'; expected one column"
    assert expected in refused(path, {**KEY, "features": {"x": "pc+l"}})


def test_columns_by_number(tmp_path: Path) -> None:
    path = table(tmp_path, "7;x;3\n8;y;4\n")
    batch = read(path, {"key": 1, "time_ns": 3}, header=False, separator=";")
    assert (batch.key.tolist(), batch.time_ns.tolist()) == ([7, 8], [3, 4])
    assert "has 3 fields; expected at least 9" in refused(path, {"key": 9}, header=False, ragged=True)
    assert "expected a number from 1, as there is no line of names" in refused(path, {"key": "x"}, header=False)
    assert "seems to be a row and no line of names; expected --no-header" in refused(path)
    for number in ("0", str(2**64), "9" * 5000):
        assert "expected a number from 1, as there is no line of names" in refused(path, {"key": number}, header=False)


def test_a_table_without_a_key_is_refused(tmp_path: Path) -> None:
    assert "columns.key: '-'; expected a column" in refused(table(tmp_path, "key\n1\n"), {"key": "-"})


@pytest.mark.parametrize(("said", "character"), [
    ("", ","), ("", ";"), ("", "\t"), ("", "|"), ("semicolon", ";"), ("tab", "\t"), ("pipe", "|"), ("comma", ","),
    (":", ":"), ("blank", "  "), ("space", " "),
])  # fmt: skip
def test_separators(tmp_path: Path, said: str, character: str) -> None:
    path = table(tmp_path, character.join(("a", "key")) + "\n" + character.join(("1", "5")) + "\n")
    assert read(path, separator=said).key.tolist() == [5]


@pytest.mark.parametrize("separator", ["x", "5", "\n", '"', ",,", "é"])
def test_what_separates_nothing_is_refused(tmp_path: Path, separator: str) -> None:
    assert "expected a character, or one of comma" in refused(table(tmp_path, "a,key\n1,5\n"), separator=separator)


@pytest.mark.parametrize("text", ["1,2\r3,4\r", "1,2\r3,4\r\n"])
def test_ends_of_lines_of_which_nothing_else_is_one_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    expected = r"line 1: has a \r within; expected lines that end in \n or \r\n"
    assert expected in refused(tmp_path / "t.csv", {"key": "1"}, header=False)


def test_ragged_rows(tmp_path: Path) -> None:
    path = table(tmp_path, "key,a\n1,2,3\n4\n")
    assert "line 2: has 3 fields; expected 2; got '1,2,3'" in refused(path)
    assert read(path, ragged=True).key.tolist() == [1, 4]


# -- names and damage ----------------------------------------------------------------------------------------------
def test_hashed_keys_are_said_and_mapped_back(tmp_path: Path) -> None:
    path = table(tmp_path, "key\nuser:1\nuser:2\nuser:1\n")
    result = CliRunner().invoke(trace.app, ["head", str(path), "--key-names", str(tmp_path / "names.parquet")])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "column 'key' is taken for text: each key is its 64-bit hash, in which no policy sees strides" in said
    names = pq.read_table(tmp_path / "names.parquet").to_pydict()
    assert names["text"] == ["user:1", "user:2"]
    hashes = [int.from_bytes(hashlib.blake2b(t.encode(), digest_size=8).digest(), "little") for t in names["text"]]
    assert names["key"] == hashes
    assert read(path).key.tolist() == [hashes[0], hashes[1], hashes[0]]


def test_names_of_keys_replace_neither_the_trace_nor_what_is_written(tmp_path: Path) -> None:
    path, out = parquet(tmp_path, key=["a", "b"]), tmp_path / "out.parquet"
    for command, names in (("head", path), ("convert", path), ("convert", out)):
        given = [command, str(path), *([str(out)] if command == "convert" else []), "--columns", "key=key"]
        result = CliRunner().invoke(trace.app, [*given, "--key-names", str(names)])
        assert result.exit_code == 2
        assert "expected another name" in " ".join(result.output.split())
    assert pq.read_table(path)["key"].to_pylist() == ["a", "b"]
    assert not out.exists()


def test_read_to_the_last_good_row(tmp_path: Path) -> None:
    path = table(tmp_path, "key\n1\n2\nx\n4\n")
    assert "line 4: column 'key' is 'x'" in refused(path)
    workload = opened(path, columns=KEY, damaged="stop")
    assert concatenate(list(workload.batches())).key.tolist() == [1, 2]
    assert "read to the last good row" in workload.notes()[0]
    assert "line 4" in workload.notes()[0]
    assert workload.reading.n_rows == 2


def test_rows_that_wait_to_be_sorted_are_good(tmp_path: Path) -> None:
    path = table(tmp_path, "key,time_ns\n1,3\n2,1\n3,4\nx,5\n")
    assert read(path, sort=3, damaged="stop").key.tolist() == [2, 1, 3]
    path.write_text('key,time_ns\n1,3\n2,1\n"3,4\n')
    assert read(path, sort=3, damaged="stop").key.tolist() == [2, 1]


@pytest.mark.parametrize("stop", [2, 3, 5])
def test_of_several_bad_cells_the_first_row_s_is_said(tmp_path: Path, stop: int) -> None:
    """Whatever the order of columns; rows before it are had, lists and skipped ones among them."""
    rows: list[dict[str, Any]] = [{"key": [i, i], "t": i, "op": "r", "size_bytes": i % 2} for i in range(8)]
    rows[7]["key"], rows[6]["t"], rows[stop]["size_bytes"] = ["x"], -1, "x"
    path = table(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "t.jsonl")
    workload = opened(path, columns={**KEY, "time_ns": "t"}, empty="skip", damaged="stop")
    batch = concatenate(list(workload.batches()))
    assert batch.key.tolist() == [i for i in range(stop) if i % 2 for _ in (0, 1)]
    assert f"line {stop + 1}: column 'size_bytes' is 'x'" in workload.reading.ended
    assert workload.reading.words == {"r": ("read", stop)}


@pytest.mark.parametrize("text", ['"unclosed\n', "1,2\n", "\xff\n", "4\r5\n"])
def test_read_to_the_last_good_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"key\n1\n2\n" + text.encode("latin-1") + b"4\n")
    assert "line 4" in refused(path)
    assert read(path, damaged="stop").key.tolist() == [1, 2]


@pytest.mark.parametrize("unit", ["0 B", 10**30])
@pytest.mark.parametrize("name", ["size_unit", "offset_unit"])
def test_units_that_are_none_are_refused(tmp_path: Path, name: str, unit: Any) -> None:
    path = table(tmp_path, "key,size_bytes\n5,5\n")
    with pytest.raises(InputError, match=name):
        source_of(path, "table", block="4 KiB", **{name: unit})
