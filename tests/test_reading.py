"""Readers decode in batches what they decode line by line: the same accesses, the same errors; and ahead of use."""

import gzip
import hashlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.trace import COLUMNS, Batch, concatenate, make_batch, part
from tests.reading import opened
from workloads.readers import columns, json_table, lines
from workloads.readers.addresses import Addresses
from workloads.readers.ahead import ahead
from workloads.readers.binary_ids import BinaryIds
from workloads.readers.files import FileWorkload
from workloads.readers.ids import Ids
from workloads.readers.lines import TextWorkload, read_lines

WHOLE = st.one_of(
    st.integers(0, 300), st.sampled_from([2**63, 2**64 - 1, 2**64, 2**64 + 5, 10**19, 18446744073709551610, 10**25])
)
FORMS = st.sampled_from(
    ["{}", "{}", "{}", "0x{:x}", "0X{:X}", "00{}", "+{}", "-{}", "{}_0", "0x0_{:x}", "{:x}", "{}.0"]
)
BLANK = st.sampled_from(["", "", " ", "\t", "\r", " \x0b", "\x0c ", "\x1c", "\u2003"])
ODD = st.sampled_from(["*", "#", "# 7", "**", "* 3", "", " ", "0x", "0", "-0", "x", "\xa07", "7 8", "\x00", "1" * 30])
ENDS = st.sampled_from(["\n", "\n", "\r\n", "\n\n", "\r"])
WRITTEN = st.builds(lambda form, number: form.format(number), FORMS, WHOLE)
ID_LINES = st.builds(lambda a, text, b: a + text + b, BLANK, st.one_of(WRITTEN, WRITTEN, ODD), BLANK)
ADDRESS_LINES = st.builds(
    lambda a, op, b, text, rest: a + op + b + text + rest,
    BLANK,
    st.sampled_from(["l", "s", "s", "l", "L", "ls", ""]),
    st.sampled_from([" ", " ", "\t ", "", "\x0b"]),
    st.one_of(WRITTEN, ODD),
    st.sampled_from(["", " 3", "\t", " \x00", "z", "\r 1"]),
)
OTHER = st.sampled_from(
    ['"a": 1', '"b" : -0.5e-3', '"c":"x, }"', '"d":null', '"e":[1]', '"f":{}', '"g":"\\n"', '"h":"\u00e9"', '"i":NaN',
     '"j":01', '"k":1.', '"timest\\u0061mp":9', '"l":truer', '"m":-', '"n":1e', '"o":' + "9" * 5000, "p:1", '"\x7f":1']
)  # fmt: skip
TIMES = st.one_of(
    st.integers(-1, 50).map(str), st.sampled_from(["true", "1.0", "01", "null", '"3"', str(2**62 // 10**6), "1e2"])
)
BLOCKS = st.one_of(
    st.lists(WHOLE.map(str), max_size=4).map(lambda ids: f"[{', '.join(ids)}]"),
    st.lists(WHOLE.map(str), max_size=4).map(lambda ids: f"[ {','.join(ids)} ]"),
    st.sampled_from(["[1,]", "[,1]", "[true]", "[1.0]", "[-1]", "[-0]", "[01]", "[[1]]", "[1 2]", "3", "[", "[1\r,2]"]),
)


@st.composite
def request_lines(draw: Any) -> str:
    """Mostly objects as they should be, with what else a line may hold."""
    members = draw(st.lists(OTHER, max_size=2)) if draw(st.booleans()) else ['"input_length": 12']
    members += [f'"timestamp": {draw(TIMES)}'] * draw(st.sampled_from([1, 1, 1, 1, 0, 2]))
    members += [f'"hash_ids":{draw(BLOCKS)}'] * draw(st.sampled_from([1, 1, 1, 1, 0, 2]))
    text = ", ".join(draw(st.permutations(members)))
    wrapped = draw(
        st.sampled_from(["{%s}", "{%s}", " { %s }\t", "{%s", "{%s}}", "{%s} {}", "[%s]", "{%s,}", "\x0b{%s}"])
    )
    return str(wrapped % text)


def files_of(line: Any) -> Any:
    """Lines that are right as often as not: one that is wrong ends a file."""
    many = st.lists(st.tuples(line, ENDS), max_size=12)
    return st.tuples(many, st.booleans()).map(
        lambda drawn: "".join(text + end for text, end in drawn[0])[: -1 if drawn[1] and drawn[0] else None].encode()
    )


def outcome(batches: Callable[[], Iterator[Batch]]) -> tuple[list[list[int]], str]:
    """The columns of all accesses, and the error that ended them."""
    found: list[Batch] = []
    error = ""
    try:
        found.extend(batches())
    except InputError as raised:
        error = str(raised)
    whole = concatenate(found)
    return [getattr(whole, name).tolist() for name in COLUMNS], error


def one_by_one(workload: TextWorkload[Any]) -> Iterator[Batch]:
    """The definition: every line on its own."""
    n_made = n_records = 0
    for number, line in read_lines(workload.path):
        row = workload._parse(number, line)
        if row is not None:
            found = workload._columns([row], n_records)
            batch = make_batch(found.pop("key"), n_made, **found)
            yield batch
            n_made += len(batch)
            n_records += 1


def check(workload: TextWorkload[Any], content: bytes, piece: int) -> None:
    workload.path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "PIECE_BYTES", piece)
        assert outcome(workload.batches) == outcome(lambda: one_by_one(workload))


def never(*_: Any) -> tuple[int, int]:
    """A parser to which nothing is of the usual form: all is left to Python's own, a line at a time."""
    return -1, 0


PIECES = st.sampled_from([1, 2, 3, 5, 8, 13, 40, 1 << 20])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reading") / "trace"


@given(content=files_of(ID_LINES), piece=PIECES)
@example(content=b"0" * 5000 + b"7\n3\n", piece=1 << 20)
@example(content=b"1\n2\n\n \n", piece=1)
@example(content=b"\n \n", piece=1)
@example(content=b"#\n*", piece=1)
def test_ids(place: Path, content: bytes, piece: int) -> None:
    check(Ids(place, 64), content, piece)


@given(content=files_of(ADDRESS_LINES), piece=PIECES, block=st.sampled_from([1, 64, 4095]))
def test_addresses(place: Path, content: bytes, piece: int, block: int) -> None:
    check(Addresses(place, block), content, piece)


@given(content=files_of(request_lines()), piece=PIECES)
@settings(max_examples=300)
def test_mooncake(place: Path, content: bytes, piece: int) -> None:
    """Batches end where pieces do, on both ways: so do those before an error."""
    place.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "PIECE_BYTES", piece)
        found = outcome(opened(place, "mooncake", block="64 B").batches)
        patch.setattr(json_table, "objects", never)
        assert found == outcome(opened(place, "mooncake", block="64 B").batches)


def test_the_usual_form_takes_the_fast_way(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the tests above would compare the careful way with itself."""

    def careful(self: Any, number: int, line: bytes) -> Any:
        raise AssertionError(f"line {number} was parsed on its own: {line!r}")

    usual: list[tuple[TextWorkload[Any], str]] = [
        (Ids(place, 1), "# ids\r\n 12\n0x1F\n*\n\n18446744073709551615"),
        (Addresses(place, 1), "l 0x10 1\ns\tffffffffffffffff\r\n"),
    ]
    for workload, text in usual:
        monkeypatch.setattr(type(workload), "_parse", careful)
        workload.path.write_text(text)
        assert outcome(workload.batches)[1] == ""
    monkeypatch.setattr(json_table.JsonTable, "_carefully", careful)
    for text in (
        json.dumps({"timestamp": 0, "hash_ids": []}) + "\n",
        '{"a": -1.5e3, "b": "c", "timestamp": 27482, "d": true, "x": [], "hash_ids": [46, 47]}\n',
    ):
        place.write_text(text)
        assert outcome(opened(place, "mooncake").batches)[1] == ""


def test_a_piece_before_a_bad_line_can_be_had(place: Path) -> None:
    place.write_bytes(b"1\n" * 100 + b"x\n")
    assert len(concatenate(list(part(Ids(place, 1).batches(), 0, 100)))) == 100
    with pytest.raises(InputError, match="line 101: expected a block id"):
        list(Ids(place, 1).batches())


def test_damage_is_said_to_be_where_reading_lines_finds_it(tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(b"%d\n" % (i * 7919 % 100_003) for i in range(20_000)))
    for n in (len(packed) // 3, len(packed) - 4):
        path = tmp_path / f"{n}.gz"
        path.write_bytes(packed[:n])
        found, error = outcome(Ids(path, 1).batches)
        assert (found, error) == outcome(lambda path=path: one_by_one(Ids(path, 1)))  # type: ignore[misc]
        assert "damaged after line" in error


COLUMN = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-3, 3)), min_size=1, max_size=12),
    st.lists(st.one_of(st.none(), st.sampled_from(["w", "Write", "read", "1", "", "None"])), min_size=1, max_size=12),
    st.lists(st.sampled_from([0.0, -0.0, 1.0, float("nan"), None]), min_size=1, max_size=12),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=1, max_size=12),
    st.lists(st.sampled_from([b"a", b"1", b"\xff"]), min_size=1, max_size=12),
    st.lists(st.sampled_from([(1,), (2,)]), min_size=1, max_size=12),
)


def arrays_of(values: list[Any]) -> Iterator[Any]:
    array = pa.array([list(v) if isinstance(v, tuple) else v for v in values])
    yield array
    if not isinstance(values[0], tuple) and not pa.types.is_null(array.type):
        # A dictionary in another order than the rows, with a value that is nowhere used.
        own = [*dict.fromkeys(reversed(values)), *values[:1]]
        indices = pa.array([own.index(v) for v in values], pa.int8())
        yield pa.DictionaryArray.from_arrays(indices, pa.array(own, array.type))


def text_id(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


@given(values=COLUMN)
def test_columns_are_what_python_makes_of_each_row(values: list[Any]) -> None:
    for array in arrays_of(values):
        rows = array.to_pylist()
        found, of_rows = columns.distinct(array)
        assert [str(found[row]) for row in of_rows.tolist()] == [str(value) for value in rows]
        assert columns.hashes(array).tolist() == [text_id(str(value)) for value in rows]


@given(ids=st.lists(st.sampled_from([0, 1, 2, 70, 2**53 + 1, 2**63, 2**64 - 1]), max_size=12), cut=st.integers(0, 12))
def test_ids_have_indices_by_first_appearance(ids: list[int], cut: int) -> None:
    """Also if what is read was read before, as a trace is for its length."""
    indices = columns.Indices()
    order = list(dict.fromkeys(ids))
    for _ in range(2):
        found = [n for piece in (ids[:cut], ids[cut:]) for n in indices.of(np.array(piece, np.uint64)).tolist()]
        assert found == [order.index(one) for one in ids]
        assert indices.ids.tolist() == order


def test_text_keys_keep_their_hashes(tmp_path: Path) -> None:
    """Of BLAKE2b: results with text keys can be compared across versions."""
    pq.write_table(pa.table({"k": ["user:1", "user:2", "user:1"]}), tmp_path / "t.parquet")
    keys = concatenate(list(opened(tmp_path / "t.parquet", columns={"key": "k"}).batches())).key
    assert keys.tolist() == [1304368944307141588, 8263969629058208597, 1304368944307141588]


def test_what_is_known_without_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.bin").write_bytes(np.arange(30, dtype=">u4").tobytes())
    (tmp_path / "cut.bin").write_bytes(b"12345")
    pq.write_table(pa.table({"k": [1, 2, 3], "s": [4, 5, 4]}), tmp_path / "t.parquet")
    by_streams = opened(tmp_path / "t.parquet", columns={"key": "k", "stream": "s"})
    assert by_streams.n_streams == 2
    with pytest.raises(InputError, match="has no column 'x'"):
        opened(tmp_path / "t.parquet", columns={"key": "x"}).length()
    with pytest.raises(InputError, match="no such file"):
        BinaryIds(tmp_path / "gone.bin", 4, "big", 1).length()
    with pytest.raises(InputError, match="record 1 is truncated"):
        BinaryIds(tmp_path / "cut.bin", 4, "big", 1).length()

    def unread(self: FileWorkload) -> Iterator[Batch]:
        raise AssertionError("was read")

    monkeypatch.setattr(FileWorkload, "batches", unread)
    known: list[tuple[FileWorkload, int]] = [
        (BinaryIds(tmp_path / "t.bin", 4, "big", 1), 30),
        (opened(tmp_path / "t.bin", "oracle_general", size="1 B"), 5),
        (opened(tmp_path / "t.parquet", columns={"key": "k"}), 3),
    ]
    for workload, n in known:
        assert (workload.length(), workload.n_streams) == (n, 1)


def readers_at_work() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "tierfetch-reader"]


def test_ahead_keeps_the_order_and_ends() -> None:
    assert list(ahead(iter(range(1000)))) == list(range(1000))
    assert list(ahead(iter(()), n=2)) == []
    assert not readers_at_work()


def test_an_exception_comes_after_the_items_before_it() -> None:
    def three() -> Iterator[int]:
        yield from (1, 2, 3)
        raise InputError("the fourth is bad")

    found: list[int] = []
    with pytest.raises(InputError, match="the fourth is bad"):
        found.extend(ahead(three(), n=2))
    assert found == [1, 2, 3]
    assert not readers_at_work()


@pytest.mark.parametrize("n", [1, 2])
def test_no_more_than_n_are_made_ahead(n: int) -> None:
    made = []

    def counted() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    items = ahead(counted(), n)
    for taken in range(5):
        assert next(items) == taken
        deadline = time.monotonic() + 5
        while len(made) < taken + 1 + n and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.01)
        assert len(made) == taken + 1 + n
    items.close()
    assert not readers_at_work()


def test_who_stops_early_leaves_no_thread_and_no_open_file(tmp_path: Path) -> None:
    closed = []

    def endless() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.append(threading.current_thread().name)

    for item in ahead(endless()):
        if item == 3:
            break
    assert closed == ["tierfetch-reader"]
    assert not readers_at_work()
    (tmp_path / "t.txt").write_text("1\n" * 300_000)
    assert len(concatenate(list(part(Ids(tmp_path / "t.txt", 1).batches(), 5, 10)))) == 5
    assert not readers_at_work()
