"""Traces that are damaged: each is read as an independent reader counts it, or a line says where it is bad."""

import csv
import gzip
import json
import random
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.campaign.case import Case, DefectError, Place
from benchmarks.campaign.commands import call, expect
from workloads.readers import lines

N_ROWS = 12
Count = Callable[[bytes], int | None]
"""How many accesses a naive reader finds in a file's bytes; None: it cannot tell."""


@dataclass(frozen=True)
class Form:
    """A format: what its files are called, a good one, how it is read, and how many accesses a naive reader finds."""

    name: str
    good: bytes
    count: Count
    options: tuple[str, ...] = ()


ODD = (
    "", " ", "-1", "+1", "1_0", "0x", "0x1F", "1.0", "1e5", "nan", "inf", "true", "null", "abc", "\u00e9", '"', '""',
    '"a', ",", ";", "\t", "#", "*", "0", "00", "18446744073709551615", "18446744073709551616", "9" * 5000,
    "4611686018427387904",
    "2020-01-01 00:00:00", "[1]", "{}", "\\", "\0", "\ufeff", "\x0b", "\x85", "\u2028", "zap", "R", "delete",
)  # fmt: skip
_SEPARATORS = re.compile(rb"([,;|\t \n:\[\]{}]+)")
_WHERE = re.compile(r"\b(line|row|record|access|after|records?) \d")
_OF_ALL = re.compile(
    r"is empty|has no access|cannot be read|has no column|comments alone|is no compact trace|column '[^']*': |holds |"
    r"times; expected one|a compact trace|lists; expected|another column than the key's|has rows without a list|"
    r"expected a number from 1|has no |as it says of itself|damaged|as its first line has|its format cannot be told"
)


def _lines(content: bytes, *skipped: bytes) -> list[bytes]:
    """Those that say something, split where text files are split."""
    stripped = (line.strip(b" \t\r\x0b\x0c") for line in content.split(b"\n"))
    return [line for line in stripped if line and not line.startswith(skipped)]


def _of_table(content: bytes) -> int | None:
    text = content.decode("utf-8-sig", "replace")
    # A carriage return is a blank, wherever it is.
    said = (line for line in text.replace("\r", " ").split("\n") if line.strip(" \t"))
    rows = [row for row in csv.reader(said) if row]
    return len(rows) - 1 if rows else None


def _of_json(key: str) -> Count:
    def count(content: bytes) -> int | None:
        n = 0
        for line in _lines(content):
            value = json.loads(line.removeprefix(b"\xef\xbb\xbf"))[key]
            n += len(value) if isinstance(value, list) else 1
        return n

    return count


def _of_records(size: int) -> Count:
    return lambda content: len(content) // size


def _of_parquet(content: bytes) -> int | None:
    return int(pq.read_table(pa.BufferReader(content)).num_rows)


def _unpacked(count: Count) -> Count:
    return lambda content: count(gzip.decompress(content))


def _parquet(**columns: object) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def _compact(shared: Path) -> bytes:
    from simulator.trace import make_batch
    from workloads.readers.compact_writer import CompactWriter

    path = shared / "good.parquet"
    writer = CompactWriter(path)
    writer.write(make_batch([i * 7 % 5 for i in range(N_ROWS)], size_bytes=[64 + i for i in range(N_ROWS)]))
    writer.finish("good", None, has_times=False)
    writer.close()
    return path.read_bytes()


def forms(shared: Path) -> list[Form]:
    """All formats that are tried, each with a small good file."""
    known = shared / "traces.forms"
    if not known.exists():
        known.write_bytes(_compact(shared))
    n = range(N_ROWS)
    header = "key,time_ns,size_bytes,op,x\n"
    table = header + "".join(f"{i * 7 % 5},{i},{64 + i},{'rw'[i % 2]},a{i}\n" for i in n)
    quoted = header + "".join(f'"{i * 7 % 5}", {i} ,{64 + i}.0,"get","a,{i}"\r\n' for i in n)
    text_keys = header + "".join(f"user:{i * 7 % 5},{i},{64 + i},set,\u00e9\n" for i in n)
    lists = "".join(json.dumps({"timestamp": i, "n": {"x": [1]}, "hash_ids": [i, i + 1]}) + "\n" for i in n)
    flat = "".join(json.dumps({"k": i, "t": i / 4, "s": 5, "o": "get", "x": "\u00e9"}) + "\n" for i in n)
    blanks = "".join(f" {i}  {i * 7 % 5}\t{64 + i}\n" for i in n)
    ids = "# ids\n" + "".join(f"{i * 7 % 5}\n0x{i:x}\n*\n" for i in n)
    vscsi = b"".join(struct.pack("<IIIHHQQ", i, 512, 1, 0x28 + 2 * (i % 2), 2, i * 7, i) for i in n)
    oracle = b"".join(struct.pack("<IQIq", i, i * 7 % 5, 64 + i, -1) for i in n)
    kinds = _parquet(key=pa.array([f"{i}" for i in n]), time_ns=pa.array(n, pa.timestamp("us")), op=["get"] * N_ROWS)
    named = ("--columns", "key=k,time_ns=t,size_bytes=s,op=o", "--time-unit", "s")
    return [
        Form("t.csv", table.encode(), _of_table),
        Form("quoted.csv", quoted.encode(), _of_table),
        Form("text.csv", text_keys.encode(), _of_table, ("--sort", "3")),
        Form("packed.csv.gz", gzip.compress(table.encode(), mtime=0), _unpacked(_of_table)),
        Form(
            "blank.tr", blanks.encode(), lambda content: len(_lines(content)),
            ("--columns", "key=2,time_ns=1,size_bytes=3", "--no-header", "--separator", "blank", "--time-unit", "s"),
        ),
        Form("t.parquet", _parquet(key=list(n), size_bytes=[64] * N_ROWS), _of_parquet),
        Form("kinds.parquet", kinds, _of_parquet),
        Form("flat.jsonl", flat.encode(), _of_json("k"), named),
        Form("t.jsonl", lists.encode(), _of_json("hash_ids"), ("--format", "mooncake")),
        Form("t.vscsi", vscsi, _of_records(32)),
        Form("t.oracleGeneral.bin", oracle, _of_records(24)),
        Form("t.ids", ids.encode(), lambda content: len([x for x in _lines(content, b"#") if x != b"*"])),
        Form(
            "address.txt", "".join(f"{'ls'[i % 2]} 0x{i * 64:x} 3\n" for i in n).encode(),
            lambda content: len(_lines(content)),
        ),
        Form("cache2k.bin", struct.pack(f">{N_ROWS}I", *n), _of_records(4)),
        Form("compact.parquet", known.read_bytes(), _of_parquet, ("--format", "compact")),
    ]  # fmt: skip


def _cells(content: bytes, draws: random.Random) -> bytes:
    parts = _SEPARATORS.split(content)
    at = draws.randrange(0, len(parts), 2)
    others = draws.choice(ODD).encode(), draws.choice(parts[::2]), parts[at] + b" ", b'"' + parts[at] + b'"'
    parts[at] = draws.choice(others)
    return b"".join(parts)


def _bytes(content: bytes, draws: random.Random) -> bytes:
    at = draws.randrange(len(content) + 1)
    new = draws.choice([b"", draws.randbytes(1), draws.randbytes(4), b"\xff" * 8, b"\0" * 8, b"\n", b"\r", b'"'])
    return content[:at] + new + content[at + draws.choice([0, 1, len(new)]) :]


def _lines_moved(content: bytes, draws: random.Random) -> bytes:
    rows = content.split(b"\n")
    at, other = draws.randrange(len(rows)), draws.randrange(len(rows))
    way = draws.randrange(5)
    if way == 0:
        rows[at], rows[other] = rows[other], rows[at]
    elif way == 1:
        rows.insert(at, rows[other])
    elif way == 2:
        del rows[at]
    elif way == 3:
        rows[at] = rows[at][: draws.randrange(len(rows[at]) + 1)]
    else:
        rows[at : at + 2] = [b"".join(rows[at : at + 2])]
    return b"\n".join(rows)


def _cut(content: bytes, draws: random.Random) -> bytes:
    return content[: draws.randrange(len(content) + 1)]


def _odd_ends(content: bytes, draws: random.Random) -> bytes:
    return draws.choice([
        b"\xef\xbb\xbf" + content, content.replace(b"\n", b"\r\n"), content.rstrip(b"\n"), content + b"\n\n \n",
        content + b"\x1a", content.replace(b"\n", b"\r"), content.decode("latin-1").encode("utf-16"), b"\n" + content,
    ])  # fmt: skip


def mutated(form: Form, others: list[Form], draws: random.Random) -> bytes:
    """Some changes of a good file."""
    content = form.good
    for _ in range(draws.choice([0, 1, 1, 1, 1, 2, 3])):
        way = draws.choice([_cells, _cells, _bytes, _lines_moved, _lines_moved, _cut, _odd_ends, None])
        if way is not None and content:
            content = way(content, draws)
        elif draws.random() < 0.3:
            # One after another, or another's altogether.
            content = draws.choice([b"", content]) + draws.choice(others).good
    return content


def prepare(shared: Path) -> None:
    """Make the good files, each of which is read, all of it."""
    for form in forms(shared):
        path = shared / form.name
        path.write_bytes(form.good)
        if _read(path, form, shared / f"{form.name}.out") != form.count(form.good):
            raise DefectError(f"{path}: is not read well, undamaged")


def _read(path: Path, form: Form, out: Path) -> int | None:
    """How many accesses there are; None if it was refused."""
    ended = call("experiments.trace", "info", path, *form.options, "--quiet", "--out", out)
    if expect(ended, 0, 2, names=(path.name,)) == "done":
        return int(pq.read_table(out / "summary.parquet")["n_accesses"][0].as_py())
    if not _WHERE.search(ended.err) and not _OF_ALL.search(ended.err):
        raise DefectError(f"says not where in the file\n{ended}")
    return None


def run(case: Case, place: Place) -> str:
    """One damaged trace. Raises DefectError."""
    draws, known = case.draws(), forms(place.shared)
    form = known[case.number % len(known)]
    content = mutated(form, known, draws)
    path = place.case / form.name
    path.write_bytes(content)
    with patch.object(lines, "PIECE_BYTES", draws.choice([1, 20, 100, 1 << 20, 1 << 20])):
        n = _read(path, form, place.case / "out")
    if draws.random() < 0.1:
        expect(call("experiments.trace", "head", path, *form.options), 0, 2, names=(path.name,))
    if n is None:
        if content == form.good:
            raise DefectError(f"{path}: is good and was refused")
        return "refused"
    try:
        expected = form.count(content)
    except (ValueError, LookupError, TypeError, EOFError, OSError, zlib.error, csv.Error) as error:
        raise DefectError(f"{path}: {n} accesses of what is no {form.name}: {error!r}\n{content!r}") from None
    if expected is not None and n != expected:
        raise DefectError(f"{path}: {n} accesses; expected {expected}\n{content!r}")
    return "read"
