"""Readers, each on a file that the test writes and, where it is at hand, on the real trace."""

import bz2
import gzip
import hashlib
import itertools
import json
import lzma
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from simulator.errors import InputError
from simulator.trace import Batch, Workload, concatenate
from tests.conftest import real_trace
from tests.reading import opened
from workloads.readers import files
from workloads.readers.addresses import Addresses
from workloads.readers.binary_ids import BinaryIds
from workloads.readers.ids import Ids

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


def read(workload: Workload) -> Batch:
    batch = concatenate(list(workload.batches()))
    assert workload.length() == len(batch)
    return batch


@pytest.mark.parametrize("ending", PACK)
def test_oracle_general(tmp_path: Path, ending: str) -> None:
    rows = [(10, 2**64 - 1, 4096, 5), (11, 7, 512, -1), (11, 8, 1, -1)]
    path = tmp_path / f"t.bin{ending}"
    path.write_bytes(PACK[ending](b"".join(struct.pack("<IQIq", *row) for row in rows)))
    batch = read(opened(path, "oracle_general"))
    assert batch.key.tolist() == [2**64 - 1, 7, 8]
    assert batch.size_bytes.tolist() == [4096, 512, 1]
    assert batch.time_ns.tolist() == [10 * 10**9, 11 * 10**9, 11 * 10**9]
    # One size for all is `size` now; `block` splits ranges of bytes.
    assert read(opened(path, "oracle_general", size="3 B")).size_bytes.tolist() == [3, 3, 3]


def test_vscsi(tmp_path: Path) -> None:
    path = tmp_path / "t.vscsi"
    path.write_bytes(
        struct.pack("<IIIHHQQ", 1, 4096, 1, 0x28, 256, 99, 5) + struct.pack("<IIIHHQQ", 2, 512, 1, 0x2A, 256, 7, 9)
    )
    batch = read(opened(path, "vscsi"))
    assert batch.key.tolist() == [99, 7]
    assert batch.op.tolist() == [0, 1]
    assert batch.time_ns.tolist() == [5000, 9000]
    assert read(opened(path, "vscsi", reads_only=True)).op.tolist() == [0, 0]


def test_mooncake(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [{"timestamp": 3, "hash_ids": [0, 5]}, {"timestamp": 4, "hash_ids": []}, {"timestamp": 9, "hash_ids": [0]}]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    batch = read(opened(path, "mooncake", block="64 B"))
    assert batch.size_bytes.tolist() == [64, 64, 64]
    assert batch.key.tolist() == [0, 5, 0]
    assert batch.request.tolist() == [0, 0, 2]
    assert batch.time_ns.tolist() == [3_000_000, 3_000_000, 9_000_000]


@pytest.mark.parametrize("ending", PACK)
def test_binary_ids(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t.trace{ending}"
    path.write_bytes(PACK[ending](struct.pack(">3I", 7, 2**32 - 1, 256)))
    assert read(BinaryIds(path, 4, "big", 64)).key.tolist() == [7, 2**32 - 1, 256]
    path.write_bytes(PACK[ending](struct.pack("<2Q", 7, 2**64 - 1)))
    batch = read(BinaryIds(path, 8, "little", 64))
    assert batch.key.tolist() == [7, 2**64 - 1]
    assert batch.size_bytes.tolist() == [64, 64]
    path.write_bytes(PACK[ending](b"12345"))
    with pytest.raises(InputError, match="record 1 is truncated: 1 bytes, expected 4"):
        read(BinaryIds(path, 4, "big", 64))


def test_addresses(tmp_path: Path) -> None:
    path = tmp_path / "t.trace"
    path.write_text("s 0x1fffff50 1\nl 0x80 6\n\nl 0xFFFFFFFFFFFFFFFF 2\n")
    batch = read(Addresses(path, 64))
    assert batch.key.tolist() == [0x1FFFFF50 // 64, 2, 2**58 - 1]
    assert batch.op.tolist() == [1, 0, 0]
    for bad in ("x 0x10 1", "l", "l zz 1", "l 0x10000000000000000 1", "l -5"):
        path.write_text(f"l 0x10 1\n{bad}\n")
        with pytest.raises(InputError, match="line 2: expected l or s and a hex address"):
            read(Addresses(path, 64))


@pytest.mark.parametrize("ending", PACK)
def test_ids(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t.txt{ending}"
    path.write_bytes(PACK[ending](b"# a comment\n3\n*\n\n0x1F\n18446744073709551615\n"))
    assert read(Ids(path, 64)).key.tolist() == [3, 31, 2**64 - 1]


def text_id(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


COLUMNS = {"key": "k", "time_ns": "t", "size_bytes": "s", "stream": "who", "request": "r", "op": "o"}


def table() -> pa.Table:
    return pa.table(
        {
            "o": ["read", "write", "GET", "W"],
            "k": [5, 6, 5, 9],
            "t": [1, 2, 2, 3],
            "s": [10, 20, 10, 30],
            "who": ["b", "a", "b", "b"],
            "r": [4, 4, 7, 7],
        }
    )


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.csv.gz"])
def test_table(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(table(), path)
    else:
        path.write_bytes(PACK[".gz" if name.endswith("gz") else ""](table().to_pandas().to_csv(index=False).encode()))
    workload = opened(path, columns=COLUMNS, time_unit="us")
    batch = read(workload)
    assert batch.key.tolist() == [5, 6, 5, 9]
    assert batch.op.tolist() == [0, 1, 0, 1]
    assert batch.time_ns.tolist() == [1000, 2000, 2000, 3000]
    assert batch.size_bytes.tolist() == [10, 20, 10, 30]
    assert batch.stream.tolist() == [0, 1, 0, 0]
    assert batch.request.tolist() == [4, 4, 7, 7]
    assert workload.n_streams == 2
    assert workload.stream_ids is not None
    assert workload.stream_ids.tolist() == [text_id("b"), text_id("a")]


def test_string_keys_are_hashed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("k\nuser:1\nuser:2\nuser:1\n")
    keys = read(opened(path, columns={"key": "k"})).key
    assert keys[0] == keys[2] != keys[1]


def test_readers_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a large file come one by one, and do not depend on where they are cut."""
    path = tmp_path / "t.bin"
    path.write_bytes(b"".join(struct.pack("<IQIq", 0, key, 1, -1) for key in range(1000)))
    monkeypatch.setattr(files, "RECORDS", 64)
    pieces = list(opened(path, "oracle_general").batches())
    assert len(pieces) == 16
    assert concatenate(pieces).key.tolist() == list(range(1000))
    assert concatenate(pieces).request.tolist() == list(range(1000))


def test_real_oracle_general_and_vscsi_are_the_same_requests() -> None:
    """But for the sizes, which differ in 13,671 records: the two files were made by different conversions."""
    oracle = read(opened(real_trace("cloudPhysicsIO.oracleGeneral.bin"), "oracle_general"))
    vscsi = read(opened(real_trace("cloudPhysicsIO.vscsi"), "vscsi"))
    assert len(oracle) == len(vscsi) == 113_872
    assert len(np.unique(oracle.key)) == 48_974
    assert np.array_equal(oracle.key, vscsi.key)
    assert (np.diff(vscsi.time_ns) >= 0).all()
    assert int((oracle.size_bytes != vscsi.size_bytes).sum()) == 13_671


def test_real_mooncake() -> None:
    batch = read(opened(real_trace("mooncake_conversation.jsonl"), "mooncake", block="1 B"))
    assert len(batch) == 288_500
    assert len(np.unique(batch.key)) == 182_790
    assert int(batch.request.max()) + 1 == 12_031


def test_real_ids() -> None:
    batch = read(Ids(real_trace("lirs_multi1.trace.gz"), 1))
    assert len(batch) == 15_858
    assert len(np.unique(batch.key)) == 2_606


def test_a_zst_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    whole = zstandard.compress(b"".join(b"%d\n" % (i * 7919 % 100_003) for i in range(200_000)))
    for content, n in ((whole, 200_000), (whole + whole, 400_000)):
        path = tmp_path / f"{n}.zst"
        path.write_bytes(content)
        assert Ids(path, 1).length() == n
    for content in (whole[:-1], whole[: len(whole) // 2], whole + whole[:-1], whole + whole[:3]):
        path = tmp_path / "cut.zst"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cut\.zst: damaged after line \d+: Truncated"):
            Ids(path, 1).length()


def test_a_zst_may_be_cut_between_frames_and_nowhere_else(tmp_path: Path) -> None:
    """At every byte of three frames, with and without checksums and sizes, one of them written in flushed blocks."""
    records = np.arange(600, dtype="<u4").tobytes()
    for checksum, size in ((False, False), (True, False), (False, True), (True, True)):
        packer = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=size)
        blocks = zstandard.ZstdCompressor(write_checksum=checksum).compressobj()
        pieces = [blocks.compress(records[800 + i : 808 + i]) + blocks.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
                  for i in range(0, 800, 8)]  # fmt: skip
        frames = [packer.compress(records[:800]), b"".join(pieces) + blocks.flush(), packer.compress(records[1600:])]
        whole, ends = b"".join(frames), list(itertools.accumulate(map(len, frames)))
        for at in range(1, len(whole) + 1):
            path = tmp_path / "t.zst"
            path.write_bytes(whole[:at])
            if at in ends:
                n = 200 * (ends.index(at) + 1)
                assert read(BinaryIds(path, 4, "little", 1)).key.tolist() == list(range(n))
            else:
                with pytest.raises(InputError, match=r"t\.zst: damaged after \d+ records: Truncated"):
                    list(files.read_records(path, "<u4"))
    path.write_bytes(whole + b"junk")
    with pytest.raises(InputError, match=r"t\.zst: damaged"):
        list(files.read_records(path, "<u4"))


def test_csv_keys_keep_all_64_bits(tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    path.write_text("k\n" + "".join(f"{2**63 + i}\n" for i in range(100)) + f"{2**64 - 1}\n")
    keys = concatenate(list(opened(path, columns={"key": "k"}).batches())).key.tolist()
    assert keys == [*range(2**63, 2**63 + 100), 2**64 - 1]


def test_damaged_packed_tables_are_refused(tmp_path: Path) -> None:
    for name, content in (("a.csv.gz", gzip.compress(b"k\n1\n2\n")[:-4]), ("b.csv.xz", b"no xz"), ("c.csv.zst", b"no")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=name):
            opened(path, columns={"key": "k"}).length()
