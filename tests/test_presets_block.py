"""Block and memory formats: what small independent writers write reads back; public heads; what is bad is refused."""

import gzip
import lzma
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.trace import Batch, concatenate
from tests import block_writers as w
from tests.block_examples import BAD, BLKPARSE, GOLDEN, HOST
from tests.block_writers import FORMATS
from workloads.formats import formats, source_of

CASES = Path(__file__).parents[2] / "shared" / "cases" / "traces"
ROWS = st.lists(
    st.tuples(
        st.integers(0, 2**31), st.integers(0, 3), st.integers(0, 2**31), st.integers(1, 40_000), st.integers(0, 1)
    ),
    min_size=1,
    max_size=12,
)


def read(path: Path, kind: str = "auto", **said: Any) -> Batch:
    return concatenate(list(source_of(path, kind, **said).build(0).batches()))


def listed(batch: Batch) -> list[w.Access]:
    columns = batch.time_ns, batch.key, batch.size_bytes, batch.request, batch.op
    return list(zip(*(column.tolist() for column in columns), strict=True))


def saved(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def claims(path: Path) -> list[str]:
    """The formats that say a file is theirs, but for those that take all of an ending that no other does."""
    return [kind for kind, known in formats().items() if known.recognises(path) and kind not in ("table", "ids")]


def refusal(path: Path, kind: str = "auto", **said: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(path, kind, **said)
    return str(caught.value).removeprefix(f"{path}: ")


def slots(n: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.just(0) | st.integers(0, 2**62), min_size=n, max_size=n)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=20)
@given(ROWS, st.booleans(), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_reads_back(
    tmp_path_factory: pytest.TempPathFactory, kind: str, rows: list[w.Row], block: bool, names: bool, end: str
) -> None:
    known = FORMATS[kind]
    rows = [(t * known.time_ns, *rest) for t, *rest in rows]
    if known.ending == ".lis":
        rows = [(t, d, o, size % 200 + 1, op) for t, d, o, size, op in rows]
    lines = [known.header] * (names and bool(known.header)) + known.write(rows)
    path = tmp_path_factory.mktemp(kind) / f"t{known.ending}.gz"
    path.write_bytes(gzip.compress(end.join([*lines, ""]).encode()))
    source = source_of(path, kind, **({"block": "4KiB"} if block else {}))
    workload = source.build(0)
    batch = concatenate(list(workload.batches()))
    assert listed(batch) == known.expected(rows, 4096 if block else None)
    assert workload.reading.skipped == known.skipped(rows)
    assert batch.stream.tolist() == [0] * len(batch)
    assert source.has_times == bool(known.time_ns)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 2**64 - 1), slots(4), slots(2)), min_size=1, max_size=8))
def test_instructions_read_back(
    tmp_path_factory: pytest.TempPathFactory, instructions: list[tuple[int, list[int], list[int]]]
) -> None:
    path = tmp_path_factory.mktemp("champsim") / "t.champsimtrace.xz"
    path.write_bytes(lzma.compress(w.champsim(instructions), preset=0))
    workload = source_of(path).build(0)
    batch = concatenate(list(workload.batches()))
    expected = [
        (ip, address // 64, request, op)
        for request, (ip, loads, stores) in enumerate(instructions)
        for op, addresses in enumerate((loads, stores))
        for address in addresses
        if address
    ]
    found = batch.features["pc"].tolist() if len(batch) else [], batch.key.tolist(), batch.request, batch.op
    assert list(zip(*found, strict=True)) == expected
    assert batch.size_bytes.tolist() == [64] * len(batch)
    n_without = sum(1 for _, loads, stores in instructions if not any(loads + stores))
    assert workload.reading.skipped == ({"of instructions without memory operands": n_without} if n_without else {})


def test_addresses_carry_program_counters(tmp_path: Path) -> None:
    rows = [(5, 2, 4096, 3, 0), (9, 0, 70, 2, 1)]
    for kind in ("pinatrace", "ml_dpc"):
        batch = read(saved(tmp_path, f"{kind}.txt", "\n".join(FORMATS[kind].write(rows))))
        assert batch.features["pc"].tolist() == [0x400002, 0x400000]
    assert batch.features["llc_hit"].tolist() == [1, 0]
    batch = read(saved(tmp_path, "blkparse.txt", "\n".join(w.blkparse(rows))))
    assert batch.features["pid"].tolist() == [702, 700]


@pytest.mark.parametrize("kind", GOLDEN)
def test_public_heads(tmp_path: Path, kind: str) -> None:
    name, text, expected = GOLDEN[kind]
    path = saved(tmp_path, name, text)
    assert claims(path) == [kind]
    assert listed(read(path)) == expected


@pytest.mark.parametrize("kind", FORMATS)
def test_no_two_formats_claim_a_file(tmp_path: Path, kind: str) -> None:
    known = FORMATS[kind]
    rows = [(10**9 * i, i % 2, 4096 * i, 8 + i, i % 2) for i in range(4)]
    lines = [known.header] * bool(known.header) + known.write(rows)
    path = saved(tmp_path, f"t{known.ending}", "\n".join(lines))
    assert claims(path) == [kind]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("t.csv", "a,b\n1,2\n", []),
        ("t.csv", "1,2,3,R,5\n", []),
        ("hm_0.csv", "1,2\n", []),
        ("t.csv", "Timestamp,Hostname,DiskNumber,Type,Offset,Size\n", []),
        ("t.trace", "1\n2\n", []),
        ("t.txt", "1, 2, 3\n", []),
        ("address_gcc.trace", "l 0x1fffff50 1\n", ["addresses"]),
        ("t.champsimtrace", "no instructions, but text of more than sixty-four bytes, which have flags of letters", []),
        ("t.spc", "", []),
    ],
)
def test_a_wrong_claim_is_worse_than_none(tmp_path: Path, name: str, text: str, expected: list[str]) -> None:
    assert claims(saved(tmp_path, name, text)) == expected


def test_all_that_blkparse_writes(tmp_path: Path) -> None:
    path = saved(tmp_path, "sdz.txt", BLKPARSE)
    workload = source_of(path).build(0)
    assert listed(concatenate(list(workload.batches()))) == [
        (0, 223490, 4096, 0, 1),
        (7000, 64, 8192, 1, 0),
        (8000, 128, 512, 2, 1),
        (11000, 1024, 4096, 3, 0),
    ]
    assert workload.reading.skipped == {
        "of other actions than Q": 11, "of no range of sectors": 2, "whose operation is to be skipped": 1,
    }  # fmt: skip
    assert workload.reading.n_rows == 18
    issued = source_of(path, "blkparse", action="D").build(0)
    assert listed(concatenate(list(issued.batches()))) == [(5000, 223490, 4096, 0, 1)]


@pytest.mark.parametrize(("kind", "text", "expected"), BAD)
def test_what_is_bad_is_refused_with_its_line(tmp_path: Path, kind: str, text: str, expected: str) -> None:
    assert refusal(saved(tmp_path, "t.txt", text), kind).startswith(expected)


def test_what_is_before_a_bad_line_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path, "t.txt", "I  10,2\n L 10,8\n S 40,8\nL 4\n L 10,8\n")
    workload = source_of(path, "lackey", damaged="stop").build(0)
    assert concatenate(list(workload.batches())).key.tolist() == [0, 1]
    assert workload.reading.skipped == {"that fetch instructions": 1}
    assert "line 4: is 'L 4'" in workload.reading.ended


def test_a_packed_file_that_is_cut_says_after_which_line(tmp_path: Path) -> None:
    path = tmp_path / "t.txt.gz"
    whole = gzip.compress("".join(f" L {i * 7919:08x},8\n" for i in range(30_000)).encode())
    path.write_bytes(whole[:-2000])
    assert refusal(path, "lackey").startswith("damaged after line 2")


@pytest.mark.parametrize("kind", ["fio", "blkparse", "biosnoop", "lackey", "pinatrace", "memtrace", "ml_dpc"])
@pytest.mark.parametrize("fill", [" ", "1", "a", "a 1 ", "1 R 1 ", "7, "])
def test_a_long_line_takes_no_time(tmp_path: Path, kind: str, fill: str) -> None:
    head = "fio version 3 iolog\n" if kind == "fio" else ""
    started = time.perf_counter()
    for start in ("0.1 ", " L 1", "8,0 1 1 0.1 1 Q W ", "0x1: "):
        line = start + fill * (4000 // len(fill))
        assert "; expected" in refusal(saved(tmp_path, "t.txt", f"{head}{line}x\n"), kind)
    assert time.perf_counter() - started < 5


def test_a_line_that_is_too_long_is_no_row(tmp_path: Path) -> None:
    row = "8,0 3 1 0.0 697 Q W 64 + 8 [{}]\n"
    path = saved(tmp_path, "t.txt", row.format("a") + row.format("a" * 5000))
    assert refusal(path).startswith("line 2: is '8,0 3 1 0.0 697 Q W 64")


def test_instructions_of_another_size_are_refused(tmp_path: Path) -> None:
    whole = w.champsim([(2 * i, [64, 0, 0, 0], [0, 0]) for i in range(1, 9)])
    path = tmp_path / "t.champsimtrace"
    path.write_bytes(whole[:-1])
    assert refusal(path) == "record 7 is truncated: 63 bytes, expected 64"
    # With a byte more in each, as one version of ChampSim wrote: padded to 72.
    path.write_bytes(b"".join(whole[i : i + 64] + b"\2" + bytes(7) for i in range(0, len(whole), 64)))
    assert "expected 0 or 1 in ChampSim's records of 64 bytes" in refusal(path, "champsim")
    whole = w.champsim([(2, [64, 0, 0, 0], [0, 0]), (4, [128, 0, 0, 0], [0, 0])]) + b"\2" * 64
    path.write_bytes(whole)
    workload = source_of(path, "champsim", damaged="stop").build(0)
    assert concatenate(list(workload.batches())).key.tolist() == [1, 2]
    assert "record 2: its flags are 2 and 2" in workload.reading.ended


def test_rows_without_a_response_are_skipped_and_counted(tmp_path: Path) -> None:
    text = "Timestamp,Response,IOType,LUN,Offset,Size\n1.5,,R,0,0,512\n2,0.001,,0,4096,4096\n3,,W,0,512,512\n"
    source = source_of(saved(tmp_path, "t.csv", text))
    workload = source.build(0)
    assert source.kind == "systor"
    assert listed(concatenate(list(workload.batches()))) == [(1500000000, 0, 512, 0, 0), (3 * 10**9, 512, 512, 1, 1)]
    assert workload.reading.skipped == {"whose operation is to be skipped": 1}
    assert workload.reading.n_rows == 3


def test_columns_are_found_by_their_names(tmp_path: Path) -> None:
    text = "OFFSET,type,hostname,DiskNumber,Timestamp,Size,ResponseTime\n4096,Write,hm,0,10,512,1\n"
    assert listed(read(saved(tmp_path, "t.csv", text), "msr")) == [(1000, 4096, 512, 0, 1)]


def test_what_the_settings_choose(tmp_path: Path) -> None:
    path = saved(tmp_path, "lackey.txt", "I  10,2\n L 40,8\n")
    assert read(path, instructions=True).key.tolist() == [0, 1]
    assert read(path, instructions=True, block="16 B").key.tolist() == [1, 4]
    lines = w.blkparse([(5, 0, 8, 8, 1)])
    lines[1] = lines[1].replace(" 8 + 8", " 16 + 8")
    assert read(saved(tmp_path, "b.txt", "\n".join(lines)), action="G").key.tolist() == [16]
    path = saved(tmp_path, "f.txt", "fio version 2 iolog\na add\na wait 100 0\na read 4096 1\na trim 0 4096\n")
    assert listed(read(path)) == [(0, 4096, 1, 0, 0)]
    assert not source_of(path).has_times
    assert read(path, ops="write=trim").op.tolist() == [0, 1]


def test_cases(tmp_path: Path) -> None:
    if not CASES.exists():
        pytest.skip("the cases beside the traces are not there")
    by_table: dict[str, tuple[dict[str, Any], list[w.Access]]] = {
        "msr_noheader.csv": (
            {"header": False, "columns": {"key": "2+3+5", "size_bytes": "6", "time_ns": "1", "op": "4"},
             "time_unit": "filetime"},
            [(HOST, 9056014336, 2048, 0, 1), (HOST + 21500, 11855351808, 512, 1, 1)],
        ),
        "libcachesim_hexop.csv": (
            {"columns": {"key": "lbn", "size_bytes": "size", "time_ns": "time", "op": "op"}, "time_unit": "s",
             "ops": "write=2a"},
            [(5633898 * 10**9, 42932745 + i, 512, i, 1) for i in range(3)],
        ),
        "alibaba_block.csv": (
            {"columns": {"key": "device_id+offset", "size_bytes": "length", "time_ns": "timestamp", "op": "opcode"},
             "time_unit": "us"},
            [(1577808000000046000, 126703661056, 4096, 0, 0), (1577808000000426000, 2**44 + 19496058880, 77824, 1, 1)],
        ),
        "spc.csv": (
            {"header": False, "ragged": True, "time_unit": "s",
             "columns": {"key": "1+2", "size_bytes": "3", "op": "4", "time_ns": "5"}},
            [(551706000, 20941264, 8192, 0, 1), (554041000, 20939840, 8192, 1, 1)],
        ),
        "twodev.csv": (
            {"columns": {"key": "dev+off"}, "block": "4 KiB"},
            [(0, 0, 4096, 0, 0), (0, 2**44, 4096, 1, 0), (0, 4096, 4096, 2, 0)],
        ),
    }  # fmt: skip
    for name, (said, head) in by_table.items():
        assert listed(read(CASES / name, **said))[: len(head)] == head
    assert len(set(read(CASES / "twodev.csv", **by_table["twodev.csv"][0]).key.tolist())) == 200
    for name, kind in (("msr_noheader.csv", "msr"), ("spc.csv", "spc"), ("alibaba_block.csv", "alibaba_block")):
        assert listed(read(CASES / name, kind))[:2] == by_table[name][1]
    said = {"columns": {"key": "block_id", "size_bytes": "io_size", "time_ns": "op_time", "op": "op_name"}}
    blocks = read(CASES / "cachelib_block.csv", time_unit="s", **said)
    rows = (CASES / "cachelib_block.csv").read_text().splitlines()[1:]
    assert blocks.op.tolist() == ["putChunk" in row for row in rows]
    repeated = [row for row in rows for _ in range(int(row.split(",")[8]))]
    found = read(CASES / "cachelib_block.csv")
    assert found.op.tolist() == ["putChunk" in row for row in repeated]
    assert found.size_bytes.tolist() == [int(row.split(",")[3]) for row in repeated]
    assert listed(read(CASES / "msr_header.csv"))[:2] == by_table["msr_noheader.csv"][1]
    times = read(CASES / "msr_header.csv").time_ns
    assert round((times.max() - times.min()) / 1e9, 1) == 127.2
    assert listed(read(CASES / "blkparse.txt")) == [(20814875, 2414127984, 4096, 0, 1)]
    assert listed(read(CASES / "blkparse.txt", action="C")) == [(20815989, 3206896544, 4096, 0, 1)]
    assert listed(read(CASES / "iolog3.log")) == [(878000, 0, 16384, 0, 1), (888000, 0, 16384, 1, 1)]
    lines = [0x1FFEFFFBF0 >> 6, 0x1FFEFFFC18 >> 6, 0x501C628 >> 6, 0x501C628 >> 6]
    assert listed(read(CASES / "lackey.trace")) == [(0, key, 64, i, i % 2) for i, key in enumerate(lines)]
