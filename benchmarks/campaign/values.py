"""What a value of a config, and the text of one, may be instead."""

import copy
import datetime
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 63, 2**31, 2**48, 2**48 + 1, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64, 10**30,
    -(2**63),
    int("9" * 400), 0.0, -0.0, 0.5, 1.0, 1e-320, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), "", " ",
    "0", "1",
    "none", "auto", "x", "nan", "inf", "1e6", "0 B", "1 B", "1 KiB", "64 MiB", "-1 MiB", "0.5 B", "1e3 MiB",
    "9" * 30 + " B",
    "4 EiB", "1 ms", "0 ns", "1 MiB/s", "0 B/s", "1 B/s", "1000000 s", "1000001 s", "9223372036854775807 ns", "µs",
    "1 µs",
    "\u0661 B", "é", "\0", "a\0b", "a\nb", "\x1b[31mred", "\ud800", "\u202e", "x" * 5000, "9" * 5000, "[/red]",
    "[b]", "%s{0}",
    "../../x", "/", "/dev/zero", "/dev/null", "/dev/full", "/dev/stdin", "/proc/self/mem", "/nowhere/at/all", ".",
    "~",
    b"bytes", datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1), [], {}, [[]], [None], [0], [0, 0], [2, 1],
    ["a"],
    {"kind": None}, {"kind": "none"}, {"kind": "x"}, {"kind": ["none"]}, {"kind": {"kind": "none"}},
    {"a": {"b": {"c": 1}}},
    {"name": "x"}, {1: 2}, {None: None}, {"": ""}, {"a\nb": 1}, list(range(200)), "s3fifo(small_ratio=0.2)",
]  # fmt: skip


def _nested(depth: int) -> Any:
    value: Any = 1
    for i in range(depth):
        value = [value] if i % 2 else {"a": value}
    return value


def value(draws: random.Random, files: Path) -> Any:
    """One that may be wrong anywhere."""
    match draws.randrange(12):
        case 0:
            return _nested(draws.choice([3, 30, 70]))
        case 1:
            return str(draws.choice(sorted(files.iterdir())))
        case 2:
            return draws.choice([draws.getrandbits(70) - 2**69, draws.uniform(-2, 2), draws.randrange(-3, 30)])
        case 3:
            unit = draws.choice(["B", "ns", "GB/s", "s", "KiB", "x"])
            return f"{draws.choice([draws.randrange(100), draws.getrandbits(66)])} {unit}"
        case _:
            return copy.deepcopy(draws.choice(VALUES))


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The keys of all values in nested dicts and lists."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, one in inside for place in [(*at, key), *places(one, (*at, key))]]


def change(content: dict[str, Any], draws: random.Random, files: Path) -> str:
    """Change something of a config; what."""
    place = draws.choice(places(content))
    *parents, key = place
    parent: Any = content
    for name in parents:
        parent = parent[name]
    old, where = parent[key], ".".join(map(str, place))
    match draws.randrange(18):
        case 14 | 15 | 16 | 17 if not isinstance(old, dict | list):
            parent[key] = _near(old, draws)
        case 0:
            del parent[key]
            return f"{where}: deleted"
        case 1:
            new = draws.choice(
                [
                    key,
                    f"{key}s",
                    str(key)[:-1],
                    str(key).upper(),
                    "kind",
                    "name",
                    3,
                    None,
                    1.5,
                    True,
                    "a\nb",
                    "\x1b[2J",
                    "é",
                ]
            )
            if isinstance(parent, dict):
                del parent[key]
                parent[new] = old
                return f"{where}: called {new!r}"
            parent.insert(key, copy.deepcopy(old))
            return f"{where}: twice"
        case 2:
            parent[key] = draws.choice(
                [[old], {"kind": old} if not isinstance(old, dict | list) else {key: old}, str(old)]
            )
        case 3:
            other = draws.choice(places(content))
            found: Any = content
            for name in other:
                found = found[name]
            parent[key] = copy.deepcopy(found)
        case 4:
            where = ".".join(map(str, parents))
            if isinstance(parent, dict):
                new = draws.choice(["unknown", "rate", "kind", "n", "seed", "a.b", "", "x" * 300, 0, "a\nb", "\x07"])
                parent[new] = value(draws, files)
                return f"{where}: with {new!r}"
            parent.append(value(draws, files))
            return f"{where}: one more"
        case _:
            parent[key] = value(draws, files)
    return f"{where}: {str(parent[key])[:200]!r}"


def _near(old: Any, draws: random.Random) -> Any:
    """Another value that is no less likely right."""
    match old:
        case bool():
            return not old
        case int():
            return draws.choice([old + 1, old - 1, 2 * old, old // 2, 0, 1])
        case float():
            return draws.choice([old / 2, old * 2, 1 - old, 0.0, 1.0])
        case str() if old.strip() and " " in old:
            return f"{draws.choice([0, 1, 3, 100, 2**20, '0.5'])} {old.split()[-1]}"
    return draws.choice(
        ["none", "next_n", "stride", "lru", "sieve", "all", "closed", "inclusive", "exclusive", "auto", "store"]
    )


def _insert(piece: bytes) -> Callable[[bytes, random.Random], bytes]:
    def inserted(text: bytes, draws: random.Random) -> bytes:
        at = draws.randrange(len(text) + 1)
        return text[:at] + piece + text[at:]

    return inserted


def _flip(text: bytes, draws: random.Random) -> bytes:
    changed = bytearray(text)
    for _ in range(draws.randrange(1, 6)):
        changed[draws.randrange(len(changed))] ^= 1 << draws.randrange(8)
    return bytes(changed)


def _lines(text: bytes, draws: random.Random) -> bytes:
    lines = text.splitlines(keepends=True)
    at, to = draws.randrange(len(lines)), draws.randrange(len(lines))
    match draws.randrange(4):
        case 0:
            lines.insert(to, lines[at])
        case 1:
            del lines[at]
        case 2:
            lines[at], lines[to] = lines[to], lines[at]
        case 3:
            lines[at] = b"  " + lines[at]
    return b"".join(lines)


def _after_colon(piece: bytes) -> Callable[[bytes, random.Random], bytes]:
    def put(text: bytes, draws: random.Random) -> bytes:
        colons = [i for i in range(len(text)) if text[i : i + 2] == b": "]
        at = draws.choice(colons or [0]) + 2
        return text[:at] + piece + text[at:]

    return put


TEXTS: list[Callable[[bytes, random.Random], bytes]] = [
    lambda text, draws: text[: draws.randrange(len(text))], _flip, _flip, _lines, _lines, _lines,
    lambda text, draws: draws.randbytes(draws.randrange(1, 300)),
    lambda text, draws: text.decode(errors="replace").encode(draws.choice(["utf-16", "utf-32", "utf-8-sig",
    "utf-16-le"])),
    lambda text, draws: text.replace(b"  ", b"\t", draws.randrange(1, 5)),
    lambda text, draws: text.replace(b"\n", b"\r", draws.choice([1, -1])),
    lambda text, draws: text + b"---\n" + text,
    lambda text, draws: b"- " + text.replace(b"\n", b"\n  "),
    *map(_insert, [b"\0", b"\xff", b"\xed\xa0\x80", b"\xc3\x28", b"\x1b[2J", b"\xe2\x80\xa8", b"\t", b"{", b"[",
    b"&a ", b"*a ",
                   b"!!python/object:os.system ", b"? ", b": ", b"|\n", b"%YAML 9.9\n", b"...\n", b"- ", b"'", b'"',
                   b"#",
                   b"<<: [1, *b]\n", b"<<: {seeds: [7]}\n", b"x: &x [*x]\n", b"[" * 100, b"{a: " * 70, b"9" * 5000]),
    *map(_after_colon, [b"!!binary ", b"!!timestamp ", b"!!int ", b"!!float ", b"!!set ", b"!!omap ", b"!x ",
    b"!!null ", b"!!bool ", b"&a ",
                        b"*undefined ", b"0x", b"0o", b"1_", b"1:", b".inf #", b"2001-99-99 #", b"= #", b"~ #",
                        b"- "]),
]  # fmt: skip
