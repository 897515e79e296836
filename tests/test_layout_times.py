"""Times of tables in every unit and type that people write them in."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.test_layout_rows import KEY, parquet, read, refused, table
from workloads.readers import lines

SECOND = 10**9
FILETIME_2020 = 132_223_104_000_000_000
NS_2020 = 1_577_836_800 * SECOND


@pytest.mark.parametrize(
    ("unit", "cells", "expected"),
    [
        ("ns", ["7", "8.0"], [7, 8]),
        ("us", ["7", "8.5", "8.0005"], [7000, 8500, 8000]),
        ("ms", ["0.000001", "1e3"], [1, SECOND]),
        ("s", ["1.234567891", "12345678.9", "2."], [1_234_567_891, 12_345_678_900_000_000, 2 * SECOND]),
        ("100ns", ["7", "8"], [700, 800]),
        ("filetime", [str(FILETIME_2020), str(FILETIME_2020 + 1)], [NS_2020, NS_2020 + 100]),
        ("filetime", ["5", "6"], [500, 600]),
        ("s", ["2020-01-01 00:00:00", "2020-01-01 00:00:00.000000001"], [NS_2020, NS_2020 + 1]),
        ("ns", ["2020-01-01T00:00:00Z", "2020-01-01T01:00:01+01:00"], [NS_2020, NS_2020 + SECOND]),
        ("ns", ["2020-01-01"], [NS_2020]),
    ],
)
@pytest.mark.parametrize("form", ["csv", "json", "json_text", "parquet_text"])
def test_times_as_text(tmp_path: Path, unit: str, cells: list[str], expected: list[int], form: str) -> None:
    if form == "csv":
        path = table(tmp_path, "key,t\n" + "".join(f"1,{cell}\n" for cell in cells))
    elif form == "parquet_text":
        path = parquet(tmp_path, key=[1] * len(cells), t=cells)
    else:
        quote = '"' if form == "json_text" or any(":" in c or "-" in c or c.endswith(".") for c in cells) else ""
        path = table(tmp_path, "".join(f'{{"key":1,"t":{quote}{cell}{quote}}}\n' for cell in cells), "t.jsonl")
    assert read(path, {**KEY, "time_ns": "t"}, time_unit=unit).time_ns.tolist() == expected


ARROW = [
    (pa.array([1, 2]), "ms", [10**6, 2 * 10**6]),
    (pa.array([1, 2], pa.uint8()), "100ns", [100, 200]),
    (pa.array([0.5, 1.25]), "s", [SECOND // 2, 1_250_000_000]),
    *[(pa.array([NS_2020 // n, NS_2020 // n + 1], pa.timestamp(unit)), "ns", [NS_2020, NS_2020 + n])
      for unit, n in (("s", SECOND), ("ms", 10**6), ("us", 1000), ("ns", 1))],
    (pa.array([NS_2020 // 1000], pa.timestamp("us", "Europe/Berlin")), "s", [NS_2020]),
    (pa.array([18262], pa.date32()), "ns", [NS_2020]),
    (pa.array([18262 * 86_400_000], pa.date64()), "ns", [NS_2020]),
    (pa.array([7], pa.time64("us")), "ns", [7000]),
    (pa.array([7], pa.time32("s")), "ns", [7 * SECOND]),
    (pa.array([7], pa.duration("ms")), "ns", [7 * 10**6]),
]  # fmt: skip


@pytest.mark.parametrize(("column", "unit", "expected"), ARROW, ids=[f"{c.type} {u}" for c, u, _ in ARROW])
def test_times_of_arrow(tmp_path: Path, column: Any, unit: str, expected: list[int]) -> None:
    path = parquet(tmp_path, key=[1] * len(column), t=column)
    assert read(path, {**KEY, "time_ns": "t"}, time_unit=unit).time_ns.tolist() == expected


@pytest.mark.parametrize(
    ("cells", "unit", "expected"),
    [
        (["1", "x"], "ns", "line 3: column 't' is 'x'; expected a whole number of ns"),
        (["1", "1.5"], "ns", "line 3: column 't' is '1.5'; expected a whole number of ns; --time-unit says another"),
        (["1", "-1"], "s", "line 3: column 't' is '-1'"),
        (["1", str(2**62)], "ns", f"line 3: column 't' is {2**62}; expected a number of ns from 0 to {2**62 - 1}"),
        (["1", "4611686019"], "s", "expected a number of s from 0 to 4611686018"),
        (["1", ""], "ns", "line 3: column 't' is missing"),
        (
            [str(FILETIME_2020), "5"],
            "filetime",
            "line 3: column 't' is 5; expected a number of filetime from 116444736000000000",
        ),
        (["2020-01-01 00:00:00", "5"], "s", "line 3: column 't' is '5'; expected a date with a time of day"),
        (["5", "2020-01-01 00:00:00"], "s", "line 3: column 't' is '2020-01-01 00:00:00'"),
        (
            ["1960-01-01 00:00:00"],
            "s",
            "line 2: column 't' is '1960-01-01 00:00:00'; expected a time from 1970 to 2116",
        ),
        (["2020-01-01 00:00:00", "2020-01-01 00:00:00Z"], "s", "expected dates with a zone throughout, or without one"),
    ],
)
def test_what_is_no_time_is_refused(tmp_path: Path, cells: list[str], unit: str, expected: str) -> None:
    path = table(tmp_path, "key,t\n" + "".join(f"1,{cell}\n" for cell in cells))
    assert expected in refused(path, {**KEY, "time_ns": "t"}, time_unit=unit)


def test_numbers_and_dates_do_not_mix_across_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "PIECE_BYTES", 1)
    path = table(tmp_path, "key,t\n1,5\n1,2020-01-01 00:00:00\n")
    assert "line 3: column 't' is '2020-01-01 00:00:00'" in refused(path, {**KEY, "time_ns": "t"}, time_unit="s")


def test_dates_with_and_without_a_zone_do_not_mix_across_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "PIECE_BYTES", 1)
    for first, second in (("", "+02:00"), ("Z", "")):
        path = table(tmp_path, f"key,t\n1,2020-01-01T00:00:00{first}\n1,2020-01-01T00:00:01{second}\n")
        said = refused(path, {**KEY, "time_ns": "t"})
        assert f"line 3: column 't' is '2020-01-01T00:00:01{second}'; expected dates with a zone throughout" in said


@pytest.mark.parametrize(("unit", "ns"), [("ns", 1), ("us", 1000), ("ms", 10**6), ("s", SECOND), ("100ns", 100)])
def test_the_last_time_of_each_unit(tmp_path: Path, unit: str, ns: int) -> None:
    last = (2**62 - 1) // ns
    path = table(tmp_path, f"key,t\n1,{last}\n")
    assert read(path, {**KEY, "time_ns": "t"}, time_unit=unit).time_ns.tolist() == [last * ns]
    path = table(tmp_path, f"key,t\n1,{last + 1}\n")
    said = refused(path, {**KEY, "time_ns": "t"}, time_unit=unit)
    assert f"expected a number of {unit} from 0 to {last} (time_ns)" in said
    assert f"column 't' is {last + 1};" in said.replace("'" + str(last + 1) + "'", str(last + 1))
