"""Rows of traces that people have, each a kind that was once read wrongly or refused: the right value, or one line."""

import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from experiments import trace
from experiments.reading_options import ReadingOptions
from experiments.trace_input import trace_input
from simulator.errors import InputError
from simulator.trace import Batch, concatenate

SECOND = 10**9
FILETIME = 116_444_736_000_000_000


def written(folder: Path, name: str, content: str | bytes) -> Path:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / name


def read(path: Path, columns: str | None = None, **options: Any) -> Batch:
    return concatenate(list(trace_input(path, ReadingOptions(columns=columns, **options)).workload.batches()))


def refused(path: Path, *options: str) -> str:
    """What the command says of it, in a line."""
    result = CliRunner().invoke(trace.app, ["head", str(path), *options])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert len(result.stderr.splitlines()) == 1
    assert path.name in result.stderr
    return str(result.stderr)


# -- operation words ---------------------------------------------------------------------------------------------------
def test_scsi_operation_codes(tmp_path: Path) -> None:
    path = written(tmp_path, "hexop.csv", "version,time,op,size,lbn\n1,5633898,2a,512,42932745\n1,5633899,28,512,7\n")
    columns = "key=lbn,size_bytes=size,time_ns=time,op=op"
    assert "'28' (1), '2a' (1) in 2 rows" in refused(path, "--columns", columns) or "'2a' (1)" in refused(
        path, "--columns", columns
    )
    batch = read(path, columns, ops="read=28 write=2a", time_unit="s")
    assert batch.op.tolist() == [1, 0]
    assert batch.time_ns.tolist() == [5633898 * SECOND, 5633899 * SECOND]


def test_twitter_words(tmp_path: Path) -> None:
    rows = "".join(f"0,k:{word},1,2,1,{word},0\n" for word in ("get", "gets", "add", "cas", "set", "incr"))
    path = written(tmp_path, "twitter.csv", f"time,key,key_size,value_size,client,op,ttl\n{rows}")
    batch = read(path, "key=key,time_ns=time,op=op,stream=client,size_bytes=key_size+value_size", time_unit="s")
    assert batch.op.tolist() == [0, 0, 1, 1, 1, 1]
    assert set(batch.size_bytes.tolist()) == {3}


KV = (
    "op_time,key,key_size,op,op_count,size\n604038471,82ff,48,GET,1,87\n604038471,a54f,24,GET,3,0\n"
    "604038472,b0,8,SET_LEASE,1,9\n604038472,b0,8,DELETE,1,9\n"
)


def test_cachelib_keys(tmp_path: Path) -> None:
    path, columns = written(tmp_path, "kv.csv", KV), "key=key,time_ns=op_time,op=op,repeat=op_count"
    assert "column 'op': 'DELETE' (1) in 4 rows" in refused(path, "--columns", columns)
    batch = read(path, columns, ops="skip=delete", time_unit="s", keys="hash")
    assert batch.op.tolist() == [0, 0, 0, 0, 1]
    assert len(set(batch.key.tolist())) == 3


def test_cachelib_sizes(tmp_path: Path) -> None:
    path, columns = written(tmp_path, "kv.csv", KV), "key=key,op=op,size_bytes=size"
    text = refused(path, "--columns", columns, "--ops", "skip=delete")
    assert "line 3: column 'size' is 0; expected a whole number from 1 to" in text
    assert "--empty skip leaves such rows out, --empty min takes 1 byte" in text
    assert read(path, columns, ops="skip=delete", empty="skip").size_bytes.tolist() == [87, 9]
    assert read(path, columns, ops="skip=delete", empty="min").size_bytes.tolist() == [87, 1, 9]


def test_cachelib_blocks(tmp_path: Path) -> None:
    words = "getChunkData.NotInitialized", "putChunk.Permanent", "putChunk.NotInitialized"
    rows = "".join(f"17,12ce-9e{i},8388608,{word}\n" for i, word in enumerate(words))
    path = written(tmp_path, "block.csv", f"op_time,block_id,io_size,op_name\n{rows}")
    assert read(path, "key=block_id,size_bytes=io_size,time_ns=op_time,op=op_name").op.tolist() == [0, 1, 1]


def test_object_store_in_which_1_is_get(tmp_path: Path) -> None:
    path = written(tmp_path, "ibm.csv", "time,op,id,size\n0,1,A,8371\n103,1,B,31\n159,0,C,3668\n")
    columns = "key=id,size_bytes=size,time_ns=time,op=op"
    assert "'1' (2), '0' (1) in 3 rows" in refused(path, "--columns", columns)
    batch = read(path, columns, ops="read=1 write=0", time_unit="ms")
    assert batch.op.tolist() == [0, 0, 1]
    assert batch.time_ns.tolist() == [0, 103_000_000, 159_000_000]


# -- keys --------------------------------------------------------------------------------------------------------------
def test_one_offset_on_two_devices_is_two_blocks(tmp_path: Path) -> None:
    path = written(tmp_path, "twodev.csv", "dev,off\n0,0\n1,0\n0,4096\n1,4096\n")
    keys = read(path, "key=dev+off").key.tolist()
    assert len(set(keys)) == 4
    assert keys[2] - keys[0] == keys[3] - keys[1] == 4096


def test_a_blank_before_a_number_hashes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "space.csv", "key\n16\n17\n 18\n19 \n")
    assert read(path).key.tolist() == [16, 17, 18, 19]


@pytest.mark.parametrize("odd", ["abc", "1.0", "+1", "1_0", "-0"])
def test_one_odd_cell_hashes_nothing(tmp_path: Path, odd: str) -> None:
    path = written(tmp_path, "odd.csv", f"key\n1\n2\n{odd}\n")
    assert f"line 4: column 'key' is '{odd}'; expected a whole number" in refused(path)
    first = refused(written(tmp_path, "first.csv", f"key\n{odd}\n1\n"))
    assert (
        "is '1'; expected text that is no number" in first
        if odd == "abc"
        else f"line 2: column 'key' is '{odd}'" in first
    )


def test_hexadecimal_keys(tmp_path: Path) -> None:
    assert read(written(tmp_path, "hex.csv", "key\n0x10\n0x11\n0X12\n")).key.tolist() == [16, 17, 18]


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "category"])
def test_text_that_is_numbers_is_numbers_whatever_its_type(tmp_path: Path, kind: str) -> None:
    column = pa.array(["1", "2", "3"])
    column = column.dictionary_encode() if kind == "category" else column.cast(getattr(pa, kind)())
    pq.write_table(pa.table({"key": column}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").key.tolist() == [1, 2, 3]


@pytest.mark.parametrize("column", [[b"1", b"2"], pa.array([b"1", b"2"], pa.binary(1))])
def test_numbers_in_letters_are_numbers_also_as_bytes(tmp_path: Path, column: Any) -> None:
    pq.write_table(pa.table({"key": column}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").key.tolist() == [1, 2]
    pq.write_table(pa.table({"key": [b"1", b"x", b"3"]}), tmp_path / "t.parquet")
    assert "row 2: column 'key' is b'x'; expected a whole number" in refused(tmp_path / "t.parquet")


@pytest.mark.parametrize("odd", [" 7", "7 ", "7\t", "1.5e+09", "1e+09"])
def test_a_column_all_of_odd_numbers_is_not_taken_for_words(tmp_path: Path, odd: str) -> None:
    pq.write_table(pa.table({"key": [odd, odd]}), tmp_path / "t.parquet")
    assert f"row 1: column 'key' is {odd!r}; expected a whole number" in refused(tmp_path / "t.parquet")
    # Hexadecimal ids may be of digits and one e.
    pq.write_table(pa.table({"key": ["82e10", "ab"]}), tmp_path / "t.parquet")
    assert len(set(read(tmp_path / "t.parquet").key.tolist())) == 2


def test_numbers_that_python_reads_and_nobody_writes_are_no_ids(tmp_path: Path) -> None:
    for odd in ("1_0", "+5", "-0"):
        assert f"line 1: expected a block id (0 to 2**64 - 1); got '{odd}'" in refused(
            written(tmp_path, "t.txt", f"{odd}\n1\n")
        )
    text = refused(written(tmp_path, "t.jsonl", '{"timestamp":0,"hash_ids":[true,false]}\n'))
    assert "line 1: 'hash_ids' is true; expected a number or text" in text
    text = refused(written(tmp_path, "t.jsonl", '{"timestamp":true,"hash_ids":[1]}\n'))
    assert "line 1: 'timestamp' is true; expected a number or text" in text
    pq.write_table(pa.table({"key": [True]}), tmp_path / "t.parquet")
    assert "column 'key' holds bool; expected whole numbers or text (key)" in refused(tmp_path / "t.parquet")


@pytest.mark.parametrize("odd", ["1_0", "0x1_0", "+10", "-0"])
def test_nor_are_they_addresses(tmp_path: Path, odd: str) -> None:
    path = written(tmp_path, "address.txt", f"l {odd}\n")
    assert "line 1: expected l or s and a hex address" in refused(path)


def test_lists_of_keys(tmp_path: Path) -> None:
    pq.write_table(pa.table({"key": [[1, 2], [3]], "t": [0, 1]}), tmp_path / "t.parquet")
    batch = read(tmp_path / "t.parquet", "key=key,time_ns=t")
    assert (batch.key.tolist(), batch.request.tolist(), batch.time_ns.tolist()) == ([1, 2, 3], [0, 0, 1], [0, 0, 1])
    pq.write_table(pa.table({"key": [1], "x": [[3]]}), tmp_path / "t.parquet")
    assert "has lists in another column than the key's" in refused(
        tmp_path / "t.parquet", "--columns", "key=key,stream=x"
    )


# -- times and sizes ---------------------------------------------------------------------------------------------------
def test_filetimes(tmp_path: Path) -> None:
    row = "128166385295514663,hm,0,Write,9056014336,2048,2833"
    header = "Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime"
    path = written(tmp_path, "msr.csv", f"{header}\n{row}\n{row.replace('5514663', '5514673')}\n")
    columns = "key=Offset,time_ns=Timestamp,size_bytes=Size,op=Type"
    batch = read(path, columns, time_unit="filetime")
    assert batch.time_ns.tolist() == [(128166385295514663 - FILETIME) * 100 + step for step in (0, 1000)]
    assert batch.op.tolist() == [1, 1]
    assert read(path, columns, time_unit="filetime", block="1 KiB").key.tolist() == [8843764, 8843765] * 2


def test_a_file_without_a_header(tmp_path: Path) -> None:
    path = written(
        tmp_path, "rows.csv", "128166385295514663,hm,0,Write,9056014336,2048\n128166385295514878,hm,0,Write,512,512\n"
    )
    text = refused(path)
    assert "seems to be a row and no line of names; expected --no-header and columns by number" in text
    assert read(path, "key=5,op=4,size_bytes=6", no_header=True).key.tolist() == [9056014336, 512]


def test_seconds_with_fractions(tmp_path: Path) -> None:
    path = written(tmp_path, "vidur.csv", "arrived_at,n\n0.0,374\n4.314579,396\n")
    batch = read(path, "key=n,time_ns=arrived_at", time_unit="s")
    assert batch.time_ns.tolist() == [0, 4_314_579_000]
    assert (
        "line 3: column 'arrived_at' is '4.314579'; expected a whole number of ns; --time-unit says another"
        in refused(path, "--columns", "key=n,time_ns=arrived_at")
    )


def test_dates(tmp_path: Path) -> None:
    path = written(
        tmp_path, "azure.csv", "TIMESTAMP,n\n2023-11-16 18:15:46.6805900,374\n2023-11-16 18:15:50.9951690,396\n"
    )
    assert read(path, "key=n,time_ns=TIMESTAMP").time_ns.tolist() == [1700158546680590000, 1700158550995169000]
    stamps = pa.array([1700158546680590, 1700158550995169], pa.timestamp("us"))
    pq.write_table(pa.table({"key": [1, 2], "t": stamps}), tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet", "key=key,time_ns=t").time_ns.tolist()
    assert found == [1700158546680590000, 1700158550995169000]
    pq.write_table(pa.table({"key": [1, 2], "t": pa.array([0, 5], pa.time64("ns"))}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", "key=key,time_ns=t").time_ns.tolist() == [0, 5]


def test_times_of_json_lines_have_a_unit(tmp_path: Path) -> None:
    rows = '{"timestamp": 0, "turn": 1, "hash_ids": [0, 1]}\n{"timestamp": 61.114, "turn": 2, "hash_ids": [0, 2]}\n'
    path = written(tmp_path, "t.jsonl", rows)
    assert read(path, format_="mooncake", time_unit="s").time_ns.tolist() == [0, 0, 61_114_000_000, 61_114_000_000]
    whole = written(tmp_path, "whole.jsonl", rows.replace("61.114", "61"))
    assert read(whole, format_="mooncake", time_unit="s").time_ns.tolist()[-1] == 61 * SECOND


def test_rows_with_more_fields_than_others(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "spc.csv",
        "0,20941264,8192,W,0.551706,Alpha/NT\n0,20939840,8192,W,0.554041\n1,34,512,w,1.2,0x1,5.99\n",
    )
    columns = "key=1+2,size_bytes=3,op=4,time_ns=5"
    said = "--no-header", "--columns", columns, "--time-unit", "s"
    assert "line 2: has 5 fields; expected 6" in refused(path, *said)
    batch = read(path, columns, no_header=True, ragged=True, time_unit="s", block="4 KiB", offset_unit="sectors")
    assert batch.time_ns.tolist() == [551_706_000] * 2 + [554_041_000] * 2 + [1_200_000_000]
    assert batch.key.tolist()[:2] == [20941264 * 512 // 4096, 20941264 * 512 // 4096 + 1]


def test_rows_between_blanks(tmp_path: Path) -> None:
    path = written(tmp_path, "lrb.csv", "1 0 68\n2  1\t7454\n")
    batch = read(path, "key=2,time_ns=1,size_bytes=3", no_header=True, separator="blank", time_unit="s")
    assert batch.size_bytes.tolist() == [68, 7454]
    assert batch.time_ns.tolist() == [SECOND, 2 * SECOND]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_seen(tmp_path: Path, separator: str) -> None:
    path = written(tmp_path, "t.csv", f"key{separator}size\n1{separator}5\n")
    assert read(path, "key=key,size_bytes=size").size_bytes.tolist() == [5]


def test_rows_out_of_order(tmp_path: Path) -> None:
    path = written(tmp_path, "unordered.csv", "key,size,t\n1,4096,1000000\n2,4096,500000\n3,4096,2000000\n")
    batch = read(path, "key=key,size_bytes=size,time_ns=t", sort=10)
    assert (batch.key.tolist(), batch.time_ns.tolist()) == ([2, 1, 3], [500_000, 1_000_000, 2_000_000])


def test_objects_of_more_than_4_gib(tmp_path: Path) -> None:
    path = written(tmp_path, "big.csv", "key,size\n1,5368709120\n")
    assert read(path, "key=key,size_bytes=size").size_bytes.tolist() == [5 << 30]


def vscsi(block: int, time_us: int, command: int = 0x28) -> bytes:
    return struct.pack("<IIIHHQQ", 0, 4096, 1, command, 2, block, time_us)


def test_vscsi_times_beyond_64_bits_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "t.vscsi", vscsi(0, 0) + vscsi(1, 0x40000000000000))
    assert (
        "record 1: column 'time_us' is 18014398509481984; expected a number of us from 0 to 4611686018427387"
        in refused(path)
    )
    assert "column 'operation': '12' (1) in 1 rows" in refused(written(tmp_path, "t.vscsi", vscsi(0, 0, 0x12)))


def test_binary_ids_have_a_width_and_an_order(tmp_path: Path) -> None:
    path = written(tmp_path, "cache2k.bin", struct.pack("<3I", 1, 2, 3))
    assert "record 1 is truncated: 4 bytes, expected 8" in refused_source(path, width=8)
    assert read_source(path, width=4, order="little") == [1, 2, 3]
    assert read_source(path, width=4, order="big") == [1 << 24, 2 << 24, 3 << 24]
    assert read_source(written(tmp_path, "cache2k8.bin", struct.pack(">Q", 9)), width=8) == [9]


def read_source(path: Path, **given: Any) -> list[int]:
    from tests.reading import opened

    return concatenate(list(opened(path, "binary_ids", **given).batches())).key.tolist()


def refused_source(path: Path, **given: Any) -> str:
    with pytest.raises(InputError) as error:
        read_source(path, **given)
    return str(error.value)


def test_a_request_without_blocks_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "nohash.jsonl", '{"timestamp":0,"input_length":512,"output_length":3}\n')
    assert "nohash.jsonl" in refused(path, "--format", "mooncake")
