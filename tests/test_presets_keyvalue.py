"""Published formats of key-value caches, object stores and web caches: what is written plainly is read the same."""

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.preset_files import CASES, has_cases, hashed, kind_of, notes, read, refusal, shown, written
from workloads.formats import formats

S, MS = 10**9, 10**6
FEW = settings(max_examples=25, deadline=None)
SIZES = st.integers(1, 2**40 - 1)
SECONDS = st.integers(0, 2**32 - 1)
IDS = st.integers(0, 2**64 - 1)
TEXT = st.text("abcXYZ019:_-/.", min_size=1, max_size=12)
READS = {"get", "gets", "read", "GET", "GET_LEASE", "REST.GET.OBJECT"}


def rows(*columns: Any) -> Any:
    return st.lists(st.tuples(*columns), min_size=1, max_size=12)


# Twitter


TWITTER = "0,q:q:1:8WTwl7huJeQ,17,249,1,get,0\n0,yDqF:vS:GKA9AK1xJxJ9nKA991,26,27,18,add,86400\n"
TWITTER_OPS = ["get", "gets", "set", "add", "replace", "cas", "append", "prepend", "incr", "decr", "delete"]
KEYS_WITH_COMMAS = st.text("ab:1,", min_size=1, max_size=8).filter(lambda text: not set(text) <= {","})


def test_twitter_after_its_page(tmp_path: Path) -> None:
    path = tmp_path / "cluster52.csv"
    path.write_text(TWITTER)
    assert kind_of(path) == "twitter"
    assert read(path) == {
        "time_ns": [0, 0], "key": [hashed("q:q:1:8WTwl7huJeQ"), hashed("yDqF:vS:GKA9AK1xJxJ9nKA991")],
        "size_bytes": [266, 53], "request": [0, 1], "op": [0, 1], "stream": [1, 18],
    }  # fmt: skip


@FEW
@given(rows(SECONDS, KEYS_WITH_COMMAS, st.integers(1, 250), st.integers(0, 2**30), st.integers(0, 99),
            st.sampled_from(TWITTER_OPS), SECONDS), st.booleans())  # fmt: skip
def test_twitter(of: list[tuple[int, str, int, int, int, str, int]], header: bool) -> None:
    text = "timestamp,key,key_size,value_size,client_id,operation,TTL\n" * header
    text += "".join(",".join(map(str, row)) + "\n" for row in of)
    kept = [row for row in of if row[5] != "delete"]
    with written("t.csv", text) as path:
        assert kind_of(path) == "twitter"
        assert read(path) == {
            "time_ns": [row[0] * S for row in kept],
            "key": [hashed(row[1]) for row in kept],
            "size_bytes": [row[2] + row[3] for row in kept],
            "request": list(range(len(kept))),
            "op": [int(row[5] not in READS) for row in kept],
            "stream": [row[4] for row in kept],
        }
        n = len(of) - len(kept)
        assert (f"{n} whose operation is to be skipped" in notes(path)) == (n > 0)


def test_twitter_refuses_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for damaged, said in (
        (TWITTER + "1,k,1,2,3,get\n", "line 3: has 6 fields; expected 7"),
        (TWITTER + "1,k,1,2,3,touch,0\n1,k,1,2,3,touch,0\n", "'touch' (2)"),
        (TWITTER + "1,k,1,x,3,get,0\n", "line 3: column 'value size' is 'x'"),
        (TWITTER + "x,k,1,2,3,get,0\n", "line 3: column 'timestamp' is 'x'"),
        (TWITTER + "1,k,0,0,3,get,0\n", "line 3: column 'key size+value size' is 0"),
    ):
        path.write_text(damaged)
        assert said in refusal(path)
    # What is no line of its own is another format's, or nobody's.
    path.write_text("key,size\n1,2\n")
    assert kind_of(path) == "table"


@has_cases
def test_twitter_case() -> None:
    found = read(CASES / "twitter_header.csv")
    assert found["op"] == [0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 1]
    assert found["size_bytes"] == [266, 16, 54, 53, 54, 54, 65, 54, 569, 578, 569]
    assert found["stream"] == [1, 2, 3, 18, 21, 21, 21, 21, 20, 20, 20]
    assert found["key"][4] == found["key"][7] == hashed("yDqF:vq:1AJrrr1xnK1J19G199J")
    columns = "key=key,time_ns=time,op=op,stream=client"
    by_columns = shown(str(CASES / "twitter_header.csv"), "--columns", columns, "--time-unit", "s", "--rows", "11")
    assert [row[-1] for row in by_columns] == ["write" if op else "read" for op in found["op"]]
    assert [int(row[2]) for row in by_columns] == found["key"]


# CacheLib


KV = "op_time,key,key_size,op,op_count,size,cache_hits,ttl,usecase,sub_usecase"
CACHELIB_OPS = ["GET", "GET_LEASE", "SET", "SET_LEASE", "DELETE"]
VINTAGES = ["key,op,size,op_count,key_size", "key,op,size,op_count,key_size,ttl",
            "op_time,key,key_size,op,op_count,size,cache_hits,ttl", KV]  # fmt: skip


@FEW
@given(rows(SECONDS, TEXT, st.sampled_from(CACHELIB_OPS), st.integers(0, 4), st.integers(0, 2**30), st.integers(0, 9)),
       st.sampled_from(VINTAGES), st.booleans(), st.sampled_from(["skip", "min"]))  # fmt: skip
def test_cachelib_kv(of: list[tuple[int, str, str, int, int, int]], vintage: str, header: bool, empty: str) -> None:
    text = f"{vintage}\n" * header
    expected: dict[str, list[int]] = {"time_ns": [], "key": [], "size_bytes": [], "op": [], "tenant": []}
    for time, key, op, count, size, tenant in of:
        cells = {"op_time": time, "key": key, "op": op, "op_count": count, "size": size, "usecase": tenant}
        text += ",".join(str(cells.get(name, 77)) for name in vintage.split(",")) + "\n"
        if op != "DELETE" and (size or empty == "min"):
            for name, value in (
                ("time_ns", time * S if "op_time" in vintage else 0), ("key", hashed(key)),
                ("size_bytes", max(size, 1)), ("op", int(op not in READS)), ("tenant", tenant),
            ):  # fmt: skip
                expected[name] += [value] * count
    if "usecase" not in vintage:
        del expected["tenant"]
    with written("kv.csv", text) as path:
        assert not header or kind_of(path) == "cachelib_kv"
        found = read(path, "cachelib_kv", empty=empty)
        n = len(expected["key"])
        assert found["request"] == list(range(n))
        if n:
            assert {name: found[name] for name in found if name not in ("request", "stream")} == expected


@has_cases
def test_cachelib_kv_case() -> None:
    path = CASES / "cachelib_kv.csv"
    text = [line.split(",") for line in path.read_text().split()[1:]]
    assert kind_of(path) == "cachelib_kv"
    found = read(path)
    # By hand: the third row's 7 leases, and what is left out.
    assert found["key"][:9] == [hashed("82131353f9ddc8c6")] + [hashed("4ccc6e0fdd163416")] * 5 + [
        hashed("06631532f2663ee4")] + [hashed("749ab7237b8d0372")] * 2  # fmt: skip
    assert found["size_bytes"][:9] == [87, 8, 8, 8, 8, 8, 6432, 10, 10]
    empty = sum(row[5] == "0" and row[3] != "DELETE" for row in text)
    assert f"{empty} of size 0" in notes(path)
    wanted = [row for row in text if row[3] != "DELETE" and row[5] != "0"]
    assert len(found["key"]) == sum(int(row[4]) for row in wanted)
    assert sum(found["op"]) == sum(int(row[4]) for row in wanted if row[3].startswith("SET"))
    columns = "key=key,size_bytes=size,time_ns=op_time,op=op,repeat=op_count"
    options = ["--columns", columns, "--time-unit", "s", "--empty", "skip", "--ops", "skip=delete", "--keys", "hash"]
    by_columns = shown(str(path), *options, "--rows", "9")
    assert [int(row[2]) for row in by_columns] == found["key"][:9]
    assert [int(row[3]) for row in by_columns] == found["size_bytes"][:9]


CDN = (
    "timestamp,cacheKey,OpType,objectSize,responseSize,responseHeaderSize,rangeStart,rangeEnd,TTL,SamplingRate,"
    "cache_hit,item_value,RequestHandler,cdn_content_type_id,vip_type\n"
)


@FEW
@given(rows(st.integers(0, 2**41), st.one_of(TEXT, st.just("")), st.integers(0, 2**40 - 1)))
def test_cachelib_cdn(of: list[tuple[int, str, int]]) -> None:
    text = CDN + "".join(f"{time},{key},1,{size},5,3,-1,-1,3600,1,1,0,h,0,0\n" for time, key, size in of)
    kept = [row for row in of if row[1] and row[2]]
    with written("reag.csv", text) as path:
        assert kind_of(path) == "cachelib_cdn"
        found = read(path)
        assert found["time_ns"] == [time * MS for time, _, _ in kept]
        assert found["key"] == [hashed(key) for _, key, _ in kept]
        assert found["size_bytes"] == [size for _, _, size in kept]
        assert set(found["op"]) <= {0}
        assert read(path, time_unit="s" if max(time for time, _, _ in of) < 2**32 else "ms")["key"] == found["key"]


def test_cachelib_refuses_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text(CDN + "0,a,2,9,5,3,-1,-1,3600,1,1,0,h,0,0\n")
    assert "'2' (1)" in refusal(path)
    path.write_text(f"{KV}\n1,k,3,GET,1,5,1,0,7,7\n1,k,3,GET,1\n")
    assert "line 3: has 5 fields; expected 10" in refusal(path)
    path.write_text(f"{KV}\n1,k,3,GET,1,5,1,0,7,7\n1,k,3,GUT,1,5,1,0,7,7\n")
    assert "'GUT' (1)" in refusal(path)
    path.write_text("a,b,c\n1,2,3\n")
    assert "has no column 'key'" in refusal(path, "cachelib_kv")


# libCacheSim


@FEW
@given(rows(st.integers(0, 2**32), IDS, SIZES,
            st.sampled_from(["read", "w", "SET", "get", "2a", "28", "08", "8a", "35"])),
       st.sampled_from(",;\t|"), st.permutations(range(4)))  # fmt: skip
def test_libcachesim_csv_by_number(of: list[tuple[int, int, int, str]], separator: str, order: list[int]) -> None:
    lines = [separator.join(str(row[i]) for i in order) for row in of]
    places = {name: order.index(i) + 1 for i, name in enumerate(("time_col", "obj_id_col", "obj_size_col", "op_col"))}
    kept = [row for row in of if row[3] != "35"]
    with written("t.csv", "\n".join(lines)) as path:
        found = read(path, "libcachesim_csv", has_header=False, delimiter=separator, **places)
    assert found["time_ns"] == [row[0] * S for row in kept]
    assert found["key"] == [row[1] for row in kept]
    assert found["size_bytes"] == [row[2] for row in kept]
    assert found["op"] == [int(row[3] in ("w", "SET", "2a", "8a")) for row in kept]


@FEW
@given(rows(st.integers(0, 99), st.integers(0, 99), SIZES))
def test_libcachesim_csv_by_name(of: list[tuple[int, int, int]]) -> None:
    text = "size,obj_id,time\n" + "".join(f"{size},{key},{time}.25\n" for time, key, size in of)
    with written("t.csv", text) as path:
        assert kind_of(path) == "libcachesim_csv"
        found = read(path)
    assert found["time_ns"] == [time * S + S // 4 for time, _, _ in of]
    assert (found["key"], found["size_bytes"]) == ([row[1] for row in of], [row[2] for row in of])


@has_cases
def test_libcachesim_case() -> None:
    path = CASES / "libcachesim_hexop.csv"
    assert kind_of(path) == "libcachesim_csv"
    found = read(path)
    assert found["op"] == [1] * 7
    assert (found["key"][0], found["size_bytes"][0], found["time_ns"][0]) == (42932745, 512, 5633898 * S)
    columns = "key=lbn,size_bytes=size,time_ns=time,op=op"
    by_columns = shown(str(path), "--columns", columns, "--time-unit", "s", "--ops", "write=2a read=28")
    assert [row[-1] for row in by_columns] == ["write"] * 7
    # Sectors from 42932745 on: the first three lie in two blocks of 4 KiB.
    assert read(path, block="4 KiB")["key"][:3] == [42932745 // 8, 42932746 // 8, 42932747 // 8]


def test_libcachesim_csv_refuses_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("time,obj_id\n1,2\n3\n")
    assert "line 3: has 1 field; expected 2" in refusal(path)
    path.write_text("time,thing\n1,2\n")
    assert "has no column of ids; expected obj_id_col" in refusal(path, "libcachesim_csv")
    assert "obj_id_col 3; expected a column from 1 to 2" in refusal(path, "libcachesim_csv", obj_id_col=3)
    path.write_text("time,obj_id,op\n1,2,5f\n")
    assert "'5f' (1)" in refusal(path)


MAGIC = 0x123456789ABCDEF0
LCS_OPS = {0: 0, 1: 0, 2: 0, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1, 8: 1, 9: None, 10: 1, 11: 1, 12: 0, 13: 1, 14: 1}
LCS_FEATURES = {4: 1, 5: 2, 6: 4, 7: 8, 8: 16}


def lcs(version: int, of: list[tuple[int, int, int, int, int]], n: int | None = None) -> bytes:
    head = struct.pack("<QQ", MAGIC, version) + struct.pack("<qq", version, len(of) if n is None else n).ljust(
        8000, b"\0"
    )
    n_features = LCS_FEATURES.get(version, 0)
    content = head + bytes(21 * 8) + struct.pack("<Q", MAGIC)
    for time, key, size, op, tenant in of:
        if version == 1:
            content += struct.pack("<IQIq", time, key, size, -1)
        elif version == 2:
            content += struct.pack("<IQIIq", time, key, size, op | tenant << 8, -1)
        else:
            content += struct.pack("<IQqIIq", time, key, size, op | tenant << 8, 60, -1)
            content += struct.pack(f"<{n_features}I", *(size + i & 0xFF for i in range(n_features)))
    return content


@pytest.mark.parametrize("version", range(1, 9))
@settings(max_examples=6, deadline=None)
@given(
    of=rows(SECONDS, IDS, st.integers(1, 2**32 - 1), st.sampled_from(list(LCS_OPS)), st.integers(0, 2**24 - 1)),
)
def test_lcs(version: int, of: list[tuple[int, int, int, int, int]]) -> None:
    kept = [row for row in of if version == 1 or LCS_OPS[row[3]] is not None]
    with written("t.lcs", lcs(version, of)) as path:
        assert kind_of(path) == "lcs"
        found = read(path)
    assert found["time_ns"] == [row[0] * S for row in kept]
    assert found["key"] == [row[1] for row in kept]
    assert found["size_bytes"] == [row[2] for row in kept]
    assert found["op"] == [0 if version == 1 else LCS_OPS[row[3]] for row in kept]
    if version > 1 and kept:
        assert found["tenant"] == [row[4] for row in kept]
        for i in range(LCS_FEATURES.get(version, 0)):
            assert found[f"feature_{i + 1}"] == [row[2] + i & 0xFF for row in kept]


def test_lcs_refuses_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.lcs"
    one = [(1, 2, 3, 1, 0), (1, 2, 3, 1, 0)]
    for content, said in (
        (lcs(3, one)[:-1], "record 1 is truncated: 35 bytes, expected 36"),
        (lcs(3, one)[:-36], "has 1 records; expected 2, as its header says"),
        (lcs(3, one)[:100], "has 100 bytes; expected a header of 8192"),
        (lcs(9, one), "is of version 9; expected 1 to 8"),
        (b"\0" + lcs(3, one)[1:], "expected 0x123456789abcdef0"),
        (lcs(3, [(1, 2, -3, 1, 0)]), "record 0: column 'size' is -3"),
        (lcs(3, [(1, 2, 3, 255, 0)]), "'255' (1)"),
        (lcs(3, [(1, 2, 0, 1, 0)]), "record 0: column 'size' is 0"),
    ):
        path.write_bytes(content)
        assert said in refusal(path, "lcs")


# Object stores and web caches


IBM = (
    "1219008 REST.PUT.OBJECT 8d4fcda3d675bac9 1056\n1221974 REST.HEAD.OBJECT 39d177fb735ac5df 528\n"
    "1232488 REST.GET.OBJECT 95d363d3fbdc0b03 1168 0 1167\n1232489 REST.DELETE.OBJECT 8d4fcda3d675bac9\n"
    "196535044 REST.GET.OBJECT 8688e0d2d279c9bb 0 0 -1\n"
)
IBM_OPS = {"GET": 0, "PUT": 1, "COPY": 1, "HEAD": None, "DELETE": None}


def test_ibm_after_its_page(tmp_path: Path) -> None:
    path = tmp_path / "IBMObjectStoreTrace000Part0"
    path.write_text(IBM)
    assert kind_of(path) == "ibm_object_store"
    assert read(path) == {
        "time_ns": [1219008 * MS, 1232488 * MS], "key": [0x8D4FCDA3D675BAC9, 0x95D363D3FBDC0B03],
        "size_bytes": [1056, 1168], "request": [0, 1], "op": [1, 0], "stream": [0, 0],
    }  # fmt: skip
    assert "3 of 5 rows skipped: 2 whose operation is to be skipped, 1 of size 0" in notes(path)
    path.write_text(IBM + "196535045 REST.GET.OBJECT 8688e0d2d279c9bb\n")
    assert "line 6: has 3 fields; expected 4 to 6" in refusal(path)
    path.write_text(IBM + "196535045 REST.POST.OBJECT 8688e0d2d279c9bb 5\n")
    assert "'REST.POST.OBJECT' (1)" in refusal(path)
    path.write_text(IBM + "196535045 REST.GET.OBJECT 8688e0d2d279c9bg 5\n")
    assert "line 6: column 'id' is '8688e0d2d279c9bg'" in refusal(path)


@FEW
@given(rows(st.integers(0, 2**40), st.sampled_from(list(IBM_OPS)), IDS, SIZES, st.booleans()))
def test_ibm(of: list[tuple[int, str, int, int, bool]]) -> None:
    text = ""
    for time, op, key, size, more in of:
        text += f"{time} REST.{op}.OBJECT {key:016x}"
        text += "\n" if op == "DELETE" and more else f" {size} 0 {size - 1}\n" if more else f" {size}\n"
    kept = [row for row in of if IBM_OPS[row[1]] is not None]
    with written("t", text) as path:
        assert kind_of(path) == "ibm_object_store"
        found = read(path)
    assert found["time_ns"] == [row[0] * MS for row in kept]
    assert found["key"] == [row[2] for row in kept]
    assert found["size_bytes"] == [row[3] for row in kept]
    assert found["op"] == [IBM_OPS[row[1]] for row in kept]


@has_cases
def test_ibm_case() -> None:
    path = CASES / "ibm_objectstore.csv"
    found = read(path, "ibm_object_store")
    assert found["op"] == [0, 0, 1, 0]
    assert found["key"] == [10, 11, 12, 10]
    assert found["time_ns"] == [0, 103 * MS, 159 * MS, 418 * MS]
    columns = "key=id,size_bytes=size,time_ns=time,op=op"
    options = ["--columns", columns, "--time-unit", "ms", "--ops", "read=1 write=0", "--keys", "hex"]
    by_columns = shown(str(path), *options)
    assert [[row[1], row[2], row[3], row[-1]] for row in by_columns] == [
        ["0", "10", "8371", "read"], ["103000000", "11", "31", "read"], ["159000000", "12", "3668", "write"],
        ["418000000", "10", "8371", "read"],
    ]  # fmt: skip


@FEW
@given(rows(st.integers(0, 2**32), IDS, SIZES, st.integers(0, 2**16 - 1), st.integers(0, 9)), st.integers(0, 2))
def test_lrb(of: list[tuple[int, ...]], n_extra: int) -> None:
    text = "".join(" ".join(map(str, row[: 3 + n_extra])) + "\n" for row in of)
    with written("wiki2018.tr", text) as path:
        assert kind_of(path) == "lrb"
        found = read(path, extra=["kind", "level"][:n_extra])
        assert read(path)["key"] == found["key"]
    assert found["time_ns"] == [row[0] * S for row in of]
    assert found["key"] == [row[1] for row in of]
    assert found["size_bytes"] == [row[2] for row in of]
    assert all(found[name] == [row[3 + i] for row in of] for i, name in enumerate(["kind", "level"][:n_extra]))


def test_lrb_refuses_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.tr"
    path.write_text("1 0 68\n2 1\n")
    assert "line 2: has 2 fields; expected at least 3" in refusal(path)
    path.write_text("1 0 68\n2 1 7454\n")
    assert "line 1: has 3 fields; expected at least 4" in refusal(path, extra=["type"])
    assert "expected names of their own" in refusal(path, extra=["size"])
    path.write_text("1 0 68\n2 b 7454\n")
    assert "line 2: column 'id' is 'b'" in refusal(path)


@has_cases
def test_lrb_and_large_cases() -> None:
    found = read(CASES / "lrb.tr")
    assert (found["time_ns"], found["key"], found["size_bytes"]) == ([S, 2 * S], [0, 1], [68, 7454])
    columns = "key=2,size_bytes=3,time_ns=1"
    assert shown(
        str(CASES / "lrb.tr"), "--columns", columns, "--no-header", "--separator", "blank", "--time-unit", "s"
    ) == [["0", str(S), "0", "68", "0", "0", "read"], ["1", str(2 * S), "1", "7454", "0", "1", "read"]]
    assert shown(str(CASES / "big_object.csv"), "--columns", "key=key,size_bytes=size")[0][3] == str(5 << 30)


@FEW
@given(rows(st.integers(0, 2**32), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**30)), st.booleans())
def test_wiki(of: list[tuple[int, int, int]], images: bool) -> None:
    text = "relative_unix\thashed_path_query\timage_type\tresponse_size\ttime_firstbyte\n"
    text = text if images else text.replace("path", "host_path").replace("image_type\t", "")
    text += "".join(f"{t}\t{key}\t{'jpeg' + chr(9) if images else ''}{size}\t1.1E-4\n" for t, key, size in of)
    kept = [row for row in of if row[2]]
    with written("cache-u-01", text) as path:
        assert kind_of(path) == "wiki"
        found = read(path)
    assert found["time_ns"] == [row[0] * S for row in kept]
    assert found["key"] == [hashed(str(row[1])) for row in kept]
    assert found["size_bytes"] == [row[2] for row in kept]


# Redis


MONITOR = (
    'OK\n1339518083.107412 [0 127.0.0.1:60866] "keys" "*"\n1339518087.877697 [0 127.0.0.1:60866] "dbsize"\n'
    '1339518090.420270 [0 127.0.0.1:60866] "set" "x" "6"\n1339518096.506257 [0 127.0.0.1:60866] "get" "x"\n'
    "1339518099.363765 [0 127.0.0.1:60866] \"eval\" \"return redis.call('set','x','7')\" \"0\"\n"
    '1339518100.363799 [0 lua] "set" "x" "7"\n'
)


def escaped(value: bytes) -> str:
    """As redis' sdscatrepr writes it, without the quotes."""
    special = {0x5C: "\\\\", 0x22: '\\"', 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x07: "\\a", 0x08: "\\b"}
    return "".join(special.get(byte, chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in value)


def test_redis_after_its_page(tmp_path: Path) -> None:
    path = tmp_path / "monitor.log"
    path.write_text(MONITOR)
    assert kind_of(path) == "redis_monitor"
    x, client = hashed("0:x"), hashed("127.0.0.1:60866")
    assert read(path) == {
        "time_ns": [1339518090420270000, 1339518096506257000, 1339518100363799000], "key": [x, x, x],
        "size_bytes": [1024] * 3, "request": [2, 3, 5], "op": [1, 0, 1], "stream": [client, client, hashed("lua")],
    }  # fmt: skip
    said = notes(path)
    assert "3 of 6 rows skipped: 3 whose operation is to be skipped" in said
    assert "'keys' is taken for text" in said
    assert "'line'" not in said


ONE_KEY = st.sampled_from(["get", "HGET", "lrange", "set", "incr", "del", "ping"])
TWO_KEYS = st.sampled_from(["mget", "MSET", "zunionstore", "rename", "zinter", "blpop"])
COMMANDS = st.one_of(
    st.tuples(ONE_KEY, st.lists(st.binary(max_size=6), min_size=1, max_size=3)),
    st.tuples(TWO_KEYS, st.lists(st.binary(max_size=6), min_size=2, max_size=2)),
)
CLIENTS = st.sampled_from(["127.0.0.1:5", "[::1]:6379", "lua", "unix:/a b"])


def monitored(name: str, values: list[bytes]) -> tuple[list[bytes], list[tuple[int, bytes]]]:
    """(Arguments of a command on some keys, (operation, key) of each access) after redis' own list of commands."""
    low = name.lower()
    if low in ("get", "hget", "lrange"):
        return values, [(0, values[0])]
    if low in ("set", "incr"):
        return values, [(1, values[0])]
    if low == "mget":
        return values, [(0, value) for value in values]
    if low == "mset":
        return [part for value in values for part in (value, b"v")], [(1, value) for value in values]
    if low == "zunionstore":
        return [b"to", b"2", *values, b"WEIGHTS", b"1", b"2"], [*((0, value) for value in values), (1, b"to")]
    if low == "rename":
        return values, [(0, values[0]), (1, values[1])]
    if low == "zinter":
        return [b"2", *values, b"WITHSCORES"], [(0, value) for value in values]
    if low == "blpop":
        return [*values, b"0"], [(1, value) for value in values]
    return values, []


@FEW
@given(
    st.lists(st.tuples(COMMANDS, st.integers(0, 15), CLIENTS, st.integers(0, 2**42)), min_size=1, max_size=8),
    st.booleans(),
)
def test_redis(of: list[Any], raw: bool) -> None:
    text = "+OK\r\n" if raw else "OK\n"
    found: dict[str, list[int]] = {"time_ns": [], "key": [], "request": [], "op": [], "stream": []}
    for n, ((name, values), database, client, us) in enumerate(of):
        arguments, accesses = monitored(name, values)
        quoted = " ".join(f'"{escaped(part)}"' for part in (name.encode(), *arguments))
        text += f"{'+' * raw}{us // 10**6}.{us % 10**6:06} [{database} {client}] {quoted}" + ("\r\n" if raw else "\n")
        for op, key in accesses:
            found["time_ns"].append(us * 1000)
            found["key"].append(hashed(f"{database}:{escaped(key)}"))
            found["request"].append(n)
            found["op"].append(op)
            found["stream"].append(hashed(client))
    with written("m.log", text) as path:
        assert kind_of(path) == "redis_monitor"
        got = read(path)
    assert {name: got[name] for name in found} == found


def test_redis_refuses_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "m.log"
    for damaged, said in (
        (MONITOR + '1339518101.363799 [0 lua] "set" "x" "7\n', "line 8: expected 'SECONDS"),
        (MONITOR + '1339518101.363799 [0 lua] "set"  "x"\n', "line 8: expected 'SECONDS"),
        (MONITOR + '1339518101.363799 [0 lua] "set" "x"y"\n', "line 8: expected 'SECONDS"),
        (MONITOR + "ERR\n", "line 8: expected 'SECONDS"),
        (MONITOR + '1339518101.363799 [0 lua] "get"\n', "line 8: 'get' has no key"),
        (MONITOR + '1339518101.363799 [0 lua] "json.get" "x"\n', "'json.get' (1)"),
    ):
        path.write_text(damaged)
        assert said in refusal(path)
    assert read(path, ops="read=json.get")["op"] == [1, 0, 1, 0]


def test_formats_leave_what_is_not_theirs(tmp_path: Path) -> None:
    """A table of one's own with names like these stays a table."""
    for header in ("key", "time,key,size", "id,time", "obj,size", "timestamp,key,op,size", "op,size,lbn"):
        path = tmp_path / "t.csv"
        path.write_text(f"{header}\n" + ",".join("1" * (header.count(",") + 1)) + "\n")
        assert [kind for kind, its in formats().items() if its.recognises(path)] == ["table"]
    for name, text in (("a.txt", "5\n6\n"), ("a.trace", "12\n"), ("a.ids", "0x10\n")):
        path = tmp_path / name
        path.write_text(text)
        assert kind_of(path) == "ids"


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2", ".zst"])
def test_packed(tmp_path: Path, suffix: str) -> None:
    import bz2
    import gzip
    import lzma

    import pyarrow as pa

    packers = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress,
               ".zst": lambda data: pa.compress(data, "zstd", asbytes=True)}  # fmt: skip
    path = tmp_path / f"cluster1.0.csv{suffix}"
    path.write_bytes(packers[suffix](TWITTER.encode()))
    assert kind_of(path) == "twitter"
    assert read(path)["size_bytes"] == [266, 53]
