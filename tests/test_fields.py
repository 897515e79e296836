"""Compiled parsers of tables against Python's own way: the same accesses, or the same error at the same line."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.reading import opened
from tests.test_reading import never, outcome
from workloads.readers import json_table, lines, text_table
from workloads.readers.columns import hashes

PIECES = st.sampled_from([1, 2, 3, 7, 20, 50, 1 << 20])
MANY = settings(max_examples=300)

NUMBERS = st.one_of(
    st.integers(0, 99).map(str),
    st.integers(0, 2**65).map(str),
    st.integers(0, 2**65).map(hex),
    st.sampled_from(
        ["0", "007", "18446744073709551615", "18446744073709551616", "999999999999999999", "9999999999999999999", "0x",
         "0X1f", "0xffffffffffffffff", "0x10000000000000000", "1.5", "4096.0", "4096.", ".5", "1.0", "1..2", "1e3",
         "0.123456789012", "4611686018", "4611686018.5", "4611686018427387904", "1_0", "+1", "-1", "ff", "1 2", "",
         "0" * 399 + "1", "0" * 1001 + "1", "1." + "0" * 401, "2.000000000000000000000000000001", "1\r2"]
    ),
)  # fmt: skip
TIMES = st.one_of(NUMBERS, st.sampled_from(["2020-01-01 00:00:01", "2020-01-01T00:00:00.5", "2020-01-01 00:00:00Z"]))
OPS = st.sampled_from(["r", "w", "Read", "get", "set", "zap", "", "1", "putChunk.x"])
TEXTS = st.sampled_from(
    ["a", "user:1", "é", "a b", 'x"y', "\x0b", "\x0c1", "\ufeff", "\x85", "\u2003", "nan", "#", "-"]
)
WILD = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=6)
BLANK = st.sampled_from(["", "", "", "", " ", "\t", "  ", "\r"])


def usual(kind: Any, *others: Any) -> Any:
    """Mostly cells of one kind: a single other one ends a file."""
    return st.one_of(kind, kind, kind, kind, kind, *others)


CELLS = (
    usual(st.integers(0, 99).map(str), NUMBERS, TEXTS), usual(st.integers(0, 99).map(str), TIMES),
    usual(st.integers(1, 99).map(str), NUMBERS), usual(st.sampled_from(["r", "w"]), OPS), st.one_of(TEXTS, WILD),
)  # fmt: skip
COLUMNS = {"key": "k", "time_ns": "t", "size_bytes": "s", "op": "o"}


@st.composite
def texts(draw: Any, separator: str, comment: str) -> bytes:
    """Lines of the five columns k, t, s, o and x."""
    quoted = draw(st.booleans())
    made = []
    for _ in range(draw(st.integers(0, 8))):
        row = [draw(cell) for cell in CELLS]
        for i, cell in enumerate(row):
            if quoted and draw(st.integers(0, 5)) == 0:
                row[i] = draw(st.sampled_from(['"{}"', '"{}"', '"{}" ', '"{}"x', '"{}', '"{}""{}"'])).format(cell, cell)
        change = draw(st.integers(0, 30))
        if change == 0:
            row = row[: draw(st.integers(0, 4))]
        elif change == 1:
            row.append(draw(TEXTS))
        between = " " if separator == "blank" else separator
        line = between.join(draw(BLANK) + cell + draw(BLANK) for cell in row)
        made.append(line)
        if draw(st.integers(0, 6)) == 0:
            made.append(
                draw(
                    st.sampled_from(
                        ["", " ", "\t", "\t\t\t\t", "\r", "\x0b", f"{comment}#", f" {comment},1", "\t# x", "#"]
                    )
                )
            )
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    whole = end.join(made) + (end if draw(st.booleans()) else "")
    content = whole.encode()
    odd = draw(st.integers(0, 25))
    if odd == 0:
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.sampled_from([b"\xff", b"\0", b"\xc3", b"\xef\xbb\xbf"])) + content[at:]
    return content


def both(place: Path, of: Callable[[], Any], piece: int, module: Any, parser: str, slow: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "PIECE_BYTES", piece)
        found = outcome(lambda: of().batches())
        patch.setattr(module, parser, slow)
        assert found == outcome(lambda: of().batches()), place.read_bytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fields")


@st.composite
def text_files(draw: Any) -> tuple[bytes, dict[str, Any]]:
    separator = draw(st.sampled_from(["", ",", "tab", "blank", " ", ";", "|"]))
    comment = draw(st.sampled_from(["", "", "#", "//"]))
    between = {"": ",", "tab": "\t"}.get(separator, separator)
    header = draw(st.booleans())
    chosen = draw(st.sets(st.sampled_from(list(COLUMNS))).map(lambda chosen: chosen | {"key"}))
    columns: dict[str, Any] = {name: COLUMNS[name] for name in COLUMNS if name in chosen}
    if draw(st.booleans()):
        # The same column once as a number and once as text, or further ones.
        columns |= draw(st.sampled_from([{"stream": "k"}, {"stream": "x"}, {"request": "t"}, {"features": {"f": "s"}}]))
    content = draw(texts(separator and between, comment) if between != "blank" else texts("blank", comment))
    if separator == "":
        content = draw(texts(",", comment))
    if header:
        names = (" " if between == "blank" else between).join("ktsox")
        content = names.encode() + b"\n" + content
    else:
        numbers = dict(zip("ktsox", "12345", strict=True))
        columns = {
            name: {f: numbers[c] for f, c in column.items()} if isinstance(column, dict) else numbers[column]
            for name, column in columns.items()
        }
    if draw(st.integers(0, 6)) == 0:
        content = b"\xef\xbb\xbf" + content
    given = {
        "columns": columns, "separator": separator, "comment": comment, "header": header,
        "ragged": draw(st.booleans()), "keys": draw(st.sampled_from(["auto", "auto", "number", "hex", "hash"])),
        "time_unit": draw(st.sampled_from(["ns", "us", "s", "100ns", "filetime"])),
        "empty": draw(st.sampled_from(["error", "skip", "min"])),
        "damaged": draw(st.sampled_from(["error", "error", "stop"])),
    }  # fmt: skip
    return content, given


def never_text(*_: Any) -> int:
    return -1


@given(file=text_files(), piece=PIECES)
@example(file=(b"1,5\n" + b"0" * 1001 + b"1,2\n", {"columns": {"key": "1"}, "header": False}), piece=1 << 20)
@example(file=(b"1,\xff\n2,b\n", {"columns": {"key": "1"}, "header": False}), piece=1 << 20)
@example(file=(b"1\tb\n\t# x\tb\n", {"columns": {"key": "2"}, "header": False, "comment": "#"}), piece=1 << 20)
@MANY
def test_text(place: Path, file: tuple[bytes, dict[str, Any]], piece: int) -> None:
    content, settings_ = file
    path = place / "t.csv"
    path.write_bytes(content)
    both(path, lambda: opened(path, **settings_), piece, text_table, "fields", never_text)


def _written(cell: str) -> Any:
    return st.sampled_from([cell, cell, f'"{cell}"'] if cell else ['""', "null", "true", "[]", "{}", "-0", "NaN"])


OTHER = st.sampled_from(
    ['"x":1', '"y" : -0.5e-3', '"z":"k, }"', '"n":null', '"e":[1,{"k":2}]', '"f":{}', '"g":"\\n"', '"h":"\u00e9"',
     '"i":NaN', '"j":01', '"k2":1.', '"\\u006b":9', '"l":truer', '"m":-', '"o2":' + "9" * 5000, "p:1", '"\x7f":1',
     '"q":"\\ud800"', '"r":' + "[" * 70 + "]" * 70, '"s2":"\\x"', '"u":"\\u12"', '"k":1', '"v":1e5', '"w2":[1,]']
)  # fmt: skip


@st.composite
def json_files(draw: Any) -> tuple[bytes, dict[str, Any]]:
    lists = draw(st.booleans())
    made = []
    for _ in range(draw(st.integers(0, 8))):
        key, time, size, op = (draw(cell) for cell in CELLS[:4])
        blocks = draw(st.lists(usual(st.integers(0, 99).map(str), NUMBERS), max_size=4))
        keys = f"[{', '.join(blocks)}]" if lists or draw(st.integers(0, 20)) == 0 else draw(_written(key))
        op = draw(usual(st.just(f'"{op}"'), st.sampled_from(["true", "false", "null", '"\\u0072"', '"\\ud83d"', "1"])))
        members = [f'"k": {keys}', f'"t":{draw(_written(time))}', f'"s" : {draw(_written(size))}', f'"o":{op}']
        if draw(st.integers(0, 2)) == 0:
            members.append(draw(usual(OTHER)))
        if draw(st.integers(0, 25)) == 0:
            members.pop(draw(st.integers(0, 3)))
        line = "{" + ", ".join(draw(st.permutations(members))) + "}"
        line = draw(
            usual(
                st.just(line),
                st.sampled_from([f" {line}\t", line[:-1], line + "}", f"[{line}]", f"\x0b{line}", "{}", "3", ""]),
            )
        )
        made.append(line)
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\n\n"]))
    content = (end.join(made) + (end if draw(st.booleans()) else "")).encode()
    if draw(st.integers(0, 25)) == 0:
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.sampled_from([b"\xff", b"\0", b"\xc3", b"\xef\xbb\xbf"])) + content[at:]
    chosen = draw(st.sets(st.sampled_from(list(COLUMNS))).map(lambda chosen: chosen | {"key"}))
    given = {
        "columns": {name: COLUMNS[name] for name in COLUMNS if name in chosen},
        "keys": draw(st.sampled_from(["auto", "auto", "number", "hex", "hash"])),
        "time_unit": draw(st.sampled_from(["ns", "us", "s", "100ns"])),
        "ops": draw(st.sampled_from([None, "read=true,1 write=false,zap"])),
        "damaged": draw(st.sampled_from(["error", "error", "stop"])),
    }  # fmt: skip
    return content, given


@given(file=json_files(), piece=PIECES)
@example(file=(b'{"k":"\\ud800"}\n', {"columns": {"key": "k"}}), piece=1)
@example(file=(b'{"k":[1]}\n{"k":["\\ud800"]}\n', {"columns": {"key": "k"}}), piece=1 << 20)
@MANY
def test_json_lines(place: Path, file: tuple[bytes, dict[str, Any]], piece: int) -> None:
    content, settings_ = file
    path = place / "t.jsonl"
    path.write_bytes(content)
    both(path, lambda: opened(path, **settings_), piece, json_table, "objects", never)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", 'k,t,s,o,x\n1, 0x10,"7",r,\u00e9\r\n\n  2\t,3,8,"w",\n18446744073709551615,4,9,get,"a,b"\n'),
        ("t.tsv", "k\tt\ts\to\tx\n1\t2\t3\tr\t\n2\t 3\t4\tw\tz"),
        ("t.jsonl", '{"k": 1, "t":2, "x": {"k": [1, "\\u00e9"]}, "s": 3, "o": "r"}\n{"o":"w", "s":4,"k":5,"t":6}\n'),
    ],
)
def test_the_usual_form_takes_the_fast_way(
    place: Path, name: str, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the tests above would compare the careful way with itself."""

    def careful(*_: Any) -> Any:
        raise AssertionError("was parsed line by line")

    (place / name).write_bytes(content.encode())
    for table in (text_table.TextTable, json_table.JsonTable):
        monkeypatch.setattr(table, "_carefully", careful)
    found, error = outcome(opened(place / name, columns=COLUMNS).batches)
    assert error == ""
    assert len(found[0]) >= 2


# -- hashes of text ----------------------------------------------------------------------------------------------------
@given(st.lists(st.text(max_size=20) | st.text(min_size=100, max_size=300), min_size=1, max_size=30), st.integers(0, 5))
@example(["", "a" * 128, "a" * 129, "a" * 256, "é" * 64], 0)
def test_hashes_are_those_of_hashlib(texts: list[str], first: int) -> None:
    """Of part of an array, too, whose buffers begin before it."""
    column = pa.array(["before"] * first + texts)[first:]
    kept: dict[int, str] = {}
    expected = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") for text in texts]
    assert hashes(column, kept).tolist() == expected
    assert kept == dict(zip(expected, texts, strict=True))
    assert hashes(column.dictionary_encode()).tolist() == expected
    assert hashes(pa.array([text.encode() for text in texts])).tolist() == [
        int.from_bytes(hashlib.blake2b(str(text.encode()).encode(), digest_size=8).digest(), "little") for text in texts
    ]
