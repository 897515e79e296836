"""Published formats of language and recommendation models: what is written plainly is read the same."""

import gzip
import io
import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from tests.preset_files import CASES, has_cases, hashed, kind_of, read, refusal, shown, written
from workloads.formats import formats, source_of

S, MS = 10**9, 10**6
MIB = 1 << 20
FEW = settings(max_examples=25, deadline=None)
IDS = st.integers(0, 2**64 - 1)
BLOCKS = st.lists(IDS, max_size=5)
COUNTS = st.integers(0, 5000)


def lines(of: list[Any], compact: bool = False) -> str:
    separators = (",", ":") if compact else None
    return "".join(json.dumps(record, separators=separators) + "\n" for record in of)


def flat(values: list[Any], lists: list[list[int]]) -> list[Any]:
    return [value for value, some in zip(values, lists, strict=True) for _ in some]


# Mooncake


MOONCAKE = '{"timestamp": 3000, "input_length": 915, "output_length": 355, "hash_ids": [0, 462]}\n'


@FEW
@given(st.lists(st.tuples(st.integers(0, 2**40), BLOCKS, COUNTS), min_size=1, max_size=8), st.booleans())
def test_mooncake(of: list[tuple[int, list[int], int]], compact: bool) -> None:
    records = [
        {"timestamp": t, "input_length": n, "output_length": n, "hash_ids": ids} for t, ids, n in of
    ]  # fmt: skip
    with written("trace.jsonl", lines(records, compact)) as path:
        assert kind_of(path) == "mooncake"
        found = read(path)
    lists = [ids for _, ids, _ in of]
    assert found["key"] == [key for ids in lists for key in ids]
    if found["key"]:
        assert found["time_ns"] == flat([t * MS for t, _, _ in of], lists)
        assert found["request"] == flat(list(range(len(of))), lists)
        assert set(found["size_bytes"]) == {64 * MIB}
        assert set(found["op"]) == {0}


def test_mooncake_refuses_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    bailian = '{"chat_id": 1, "parent_chat_id": -1, "timestamp": 61, "hash_ids": [1]}\n'
    for damaged, said in (
        (MOONCAKE + MOONCAKE[:40] + "\n", "line 2: is not JSON"),
        (MOONCAKE + bailian, "line 2: has 'chat_id'; expected Mooncake's rows throughout, or bailian"),
        (bailian + MOONCAKE, "line 1: has 'chat_id'"),
        (MOONCAKE + '{"session_id": "a", "timestamp": 4000, "hash_ids": [1]}\n', "line 2: has 'session_id'"),
        (MOONCAKE + '{"timestamp": 4000, "hash_ids": [1.5]}\n', "line 2: column 'hash_ids' is '1.5'"),
        (MOONCAKE + '{"timestamp": 4000}\n', "line 2: expected 'hash_ids', a list of block numbers"),
        (MOONCAKE + '{"timestamp": "x", "hash_ids": [1]}\n', "line 2: column 'timestamp' is 'x'"),
        ('{"timestamp":0,"input_length":512,"output_length":3}\n', "has no column 'hash_ids'"),
    ):
        path.write_text(damaged)
        assert said in refusal(path, "mooncake")
    # What is before a row of another format is still there for who asks for it.
    path.write_text(MOONCAKE * 3 + bailian)
    assert read(path, damaged="stop")["key"] == [0, 462] * 3


def test_formats_of_hash_ids_carry_columns_along(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(MOONCAKE)
    columns = {"features": {"output_tokens": "output_length"}}
    [batch] = source_of(path, "mooncake", columns=columns).build(0).batches()
    assert (batch.key.tolist(), batch.features["output_tokens"].tolist()) == ([0, 462], [355, 355])
    with pytest.raises(InputError, match=r"features\.n: has no column 'length'; expected one among timestamp"):
        list(source_of(path, "mooncake", columns={"features": {"n": "length"}}).build(0).batches())


def test_formats_say_how_many_tokens_a_block_has(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(MOONCAKE)
    of = {name: source_of(path, name).tokens_of_block for name in ("mooncake", "bailian", "aiperf", "hash_ids")}
    assert of == {"mooncake": 512, "bailian": 16, "aiperf": None, "hash_ids": None}
    assert source_of(path, "azure_llm", block_tokens=64).tokens_of_block == 64


# Bailian


@FEW
@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(-1, 99), st.one_of(st.integers(0, 7200),
       st.decimals(0, 7200, places=3)), st.integers(1, 9), BLOCKS), min_size=1, max_size=8), st.booleans())  # fmt: skip
def test_bailian(of: list[tuple[int, int, Any, int, list[int]]], compact: bool) -> None:
    records = [
        {"chat_id": chat, "parent_chat_id": parent, "timestamp": float(t) if isinstance(t, Decimal) else t,
         "input_length": 5, "output_length": 5, "type": "text", "turn": turn, "hash_ids": ids}
        for chat, parent, t, turn, ids in of
    ]  # fmt: skip
    with written("qwen_traceA_blksz_16.jsonl", lines(records, compact)) as path:
        assert kind_of(path) == "bailian"
        found = read(path)
    lists = [row[4] for row in of]
    assert found["key"] == [key for ids in lists for key in ids]
    if found["key"]:
        assert found["time_ns"] == flat([int(row[2] * S) for row in of], lists)
        assert found["chat"] == flat([row[0] for row in of], lists)
        assert found["parent"] == flat([row[1] % 2**64 for row in of], lists)
        assert found["turn"] == flat([row[3] for row in of], lists)
        assert set(found["size_bytes"]) == {2 * MIB}


@has_cases
def test_bailian_cases() -> None:
    found = read(CASES / "bailian.jsonl")
    assert found["time_ns"] == [61_114_000_000] * 5
    assert found["key"] == [1089, 1090, 1091, 6326, 13148]
    assert (found["chat"][0], found["parent"][0], found["turn"][0]) == (159, 55, 2)
    whole = read(CASES / "bailian_whole_seconds.jsonl")
    assert whole["time_ns"] == [0] * 3 + [61 * S] * 4
    assert whole["parent"] == [2**64 - 1] * 3 + [1] * 4
    for name in ("bailian.jsonl", "bailian_whole_seconds.jsonl"):
        assert "line 1: has 'chat_id', as Mooncake's rows have not; expected --format bailian" in refusal(
            CASES / name, "mooncake"
        )
        columns = ["--columns", "key=hash_ids,time_ns=timestamp", "--time-unit", "s"]
        assert [int(row[1]) for row in shown(str(CASES / name), *columns)] == read(CASES / name)["time_ns"]


def test_bailian_refuses_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    one = '{"chat_id": 1, "parent_chat_id": -1, "timestamp": 61, "turn": 1, "hash_ids": [1]}\n'
    for damaged, said in (
        (one + one.replace("-1", "-2"), "line 2: column 'parent_chat_id' is '-2'"),
        (one + MOONCAKE, "line 2: column 'chat_id' is missing"),
        (one + one[:60], "line 2: is not JSON"),
        (one.replace('"turn": 1, ', ""), "has no column 'turn'"),
    ):
        path.write_text(damaged)
        assert said in refusal(path)


# AIPerf and others


@FEW
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9999), st.booleans(), BLOCKS), min_size=1, max_size=9))
def test_aiperf(of: list[tuple[str, int, bool, list[int]]]) -> None:
    records, expected, now = [], [], {}
    for session, quarter_ms, is_delay, ids in of:
        # Quarters of a millisecond are exact in binary, too.
        named = "delay" if is_delay and session in now else "timestamp"
        now[session] = quarter_ms + (now[session] if named == "delay" else 0)
        records.append({"session_id": session, named: quarter_ms / 4, "input_length": 9, "hash_ids": ids})
        expected += [(now[session] * MS // 4, hashed(session), key, n) for n, key in enumerate(ids)]
    with written("t.jsonl", lines(records)) as path:
        assert kind_of(path) == "aiperf"
        found = read(path)
    expected.sort(key=lambda row: row[0])
    assert found["time_ns"] == [row[0] for row in expected]
    assert found["stream"] == [row[1] for row in expected]
    assert found["key"] == [row[2] for row in expected]
    # A request's blocks stay together, and in order.
    numbers = found["request"]
    assert sum(a != b for a, b in itertools.pairwise(numbers)) == max(len(set(numbers)) - 1, 0)


@has_cases
def test_aiperf_case() -> None:
    found = read(CASES / "aiperf_session.jsonl")
    assert found["time_ns"] == [1000 * MS] * 2 + [1500 * MS] * 3
    assert found["key"] == [46, 47, 46, 47, 48]
    assert found["request"] == [0, 0, 1, 1, 1]
    assert set(found["stream"]) == {hashed("a")}


def test_aiperf_refuses_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    one = '{"session_id": "a", "timestamp": 1000.0, "hash_ids": [1]}\n'
    for damaged, said in (
        (one + '{"session_id": "b", "delay": 5, "hash_ids": [1]}\n', "line 2: column 'timestamp' is missing"),
        (one + '{"session_id": "a", "delay": -5, "hash_ids": [1]}\n', "line 2: column 'timestamp' is '-5'"),
        (one + '{"session_id": "a", "delay": "x", "hash_ids": [1]}\n', "line 2: column 'timestamp' is 'x'"),
        (one + '{"session_id": "a", "delay": 5, "text_input": "x"}\n', "line 2: expected 'hash_ids'"),
        (one + '{"session_id": "a", "delay": 5, "hash_ids": [1\n', "line 2: is not JSON"),
    ):
        path.write_text(damaged)
        assert said in refusal(path)
    path.write_text(one + '{"session_id": "a", "hash_ids": [2]}\n{"timestamp": 1e3, "hash_ids": [3]}\n')
    assert read(path)["time_ns"] == [1000 * MS] * 3


@FEW
@given(st.lists(BLOCKS, min_size=1, max_size=8))
def test_hash_ids_without_times(lists: list[list[int]]) -> None:
    with written("t.jsonl", lines([{"block_size": 64, "hash_ids": ids, "input_length": 128} for ids in lists])) as path:
        assert kind_of(path) == "hash_ids"
        found = read(path)
        assert not source_of(path).has_times
    assert found["key"] == [key for ids in lists for key in ids]
    assert found["request"] == flat(list(range(len(lists))), lists)


def test_the_first_line_tells(tmp_path: Path) -> None:
    """However long it is, and whatever its end; one that is damaged is refused with its number."""
    path = tmp_path / "t.jsonl"
    ids = list(range(30_000))
    for end in ("", "\n", "\r\n", "\n\n" + json.dumps({"hash_ids": [1]})):
        path.write_text(json.dumps({"session_id": "a", "timestamp": 0, "hash_ids": ids}) + end)
        assert kind_of(path) == "aiperf"
    path.write_text('{"session_id": "a", "timest')
    assert "line 1: is not JSON" in refusal(path)
    path.write_text("")
    assert "is empty" in refusal(path)


@has_cases
def test_no_two_formats_claim_a_file() -> None:
    by_name = ("table", "ids", "addresses", "binary_ids")
    for path in CASES.iterdir():
        claims = [kind for kind, of in formats().items() if kind not in by_name and of.recognises(path)]
        assert len(claims) <= 1, (path, claims)


@has_cases
def test_mooncake_cases() -> None:
    assert read(CASES / "prefix.jsonl")["time_ns"] == [0] * 3 + [1000 * MS] + [2000 * MS] * 3
    assert "has no column 'hash_ids'" in refusal(CASES / "nohash.jsonl")


# Numbers of tokens


def blocks_of(requests: list[tuple[int, int]], tokens: int) -> tuple[list[int], list[int], list[int]]:
    """(Keys, requests, operations), counted one by one."""
    keys: list[int] = []
    numbers: list[int] = []
    ops: list[int] = []
    for n, counts in enumerate(requests):
        for op, count in enumerate(counts):
            left = count
            while left > 0:
                keys.append(len(keys))
                numbers.append(n)
                ops.append(op)
                left -= tokens
    return keys, numbers, ops


REQUESTS = st.lists(st.tuples(st.integers(0, 10**6), COUNTS, COUNTS), min_size=1, max_size=6)


@FEW
@given(REQUESTS, st.sampled_from([1, 16, 256]), st.sampled_from(["azure_llm", "burstgpt", "vidur", "none"]))
def test_tokens(of: list[tuple[int, int, int]], tokens: int, kind: str) -> None:
    azure = [f"2024-05-10 00:{t // 10**6:02}:{t % 60:02}.{t % 10**6:06}+00:00,{p},{g}" for t, p, g in of]
    text = {
        "azure_llm": ["TIMESTAMP,ContextTokens,GeneratedTokens", *azure],
        "burstgpt": ["Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
                     *(f"{t},GPT-4,{p},{g},{p + g},API log" for t, p, g in of)],
        "vidur": ["arrived_at,num_prefill_tokens,num_decode_tokens", *(f"{t}.5,{p},{g}" for t, p, g in of)],
        "none": ["num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio",
                 *(f"{p},{g},{p + g},0.5" for t, p, g in of)],
    }[kind]  # fmt: skip
    start = 1715299200 * S
    times = {
        "azure_llm": [start + (t // 10**6 * 60 + t % 60) * S + t % 10**6 * 1000 for t, _, _ in of],
        "burstgpt": [t * S for t, _, _ in of],
        "vidur": [t * S + S // 2 for t, _, _ in of],
        "none": [0 for _ in of],
    }[kind]
    with written("t.csv", "\n".join(text)) as path:
        source = source_of(path)
        assert source.kind == ("vidur" if kind == "none" else kind)
        assert source.has_times == (kind != "none")
        assert source.reuse == "prefix"
        found = read(path, block_tokens=tokens)
        assert read(path, block="4 KiB", block_tokens=tokens)["size_bytes"] == [4096] * len(found["key"])
    keys, numbers, ops = blocks_of([row[1:] for row in of], tokens)
    assert (found["key"], found["request"], found["op"]) == (keys, numbers, ops)
    if keys:
        assert found["time_ns"] == [times[n] for n in numbers]
        assert set(found["size_bytes"]) == {tokens << 17}


@has_cases
def test_token_cases() -> None:
    azure = read(CASES / "azure_llm.csv")
    # 374 tokens are 24 blocks of 16, 44 are 3; 396 are 25, 109 are 7; 879 are 55, 55 are 4.
    assert azure["op"] == [0] * 24 + [1] * 3 + [0] * 25 + [1] * 7 + [0] * 55 + [1] * 4
    start = 1700158546680590000
    assert azure["time_ns"] == [start] * 27 + [start + 4314579000] * 32 + [start + 4541877000] * 59
    vidur = read(CASES / "vidur.csv")
    assert vidur["op"][:118] == azure["op"]
    assert vidur["time_ns"][:118] == [0] * 27 + [4314579000] * 32 + [4541877000] * 59
    assert vidur["time_ns"][-1] == 5892654999
    assert vidur["key"] == list(range(132))


def test_tokens_refuse_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    head = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"
    for damaged, said in (
        (head + "2023-11-16 18:15:47,374\n", "line 3: has 2 fields; expected 3"),
        (head + "2023-11-16 18:15:47,-1,44\n", "line 3: column 'ContextTokens' is '-1'"),
        (head + "soon,1,44\n", "line 3: column 'TIMESTAMP' is 'soon'"),
        (head + f"2023-11-16 18:15:47,{10**12},44\n", "line 3: 1000000000000 and 44 tokens; expected at most"),
    ):
        path.write_text(damaged)
        assert said in refusal(path)
    path.write_text("TIMESTAMP,ContextTokens\n1,2\n")
    assert "has no column 'GeneratedTokens'" in refusal(path, "azure_llm")
    assert "block_tokens" in refusal(path, "azure_llm", block_tokens=0)


# Embeddings


def saved(bags: list[list[list[int]]], dtype: str = "int64") -> bytes:
    """As dlrm_datasets saves (indices, offsets, lengths); ``bags`` by table and sample."""
    torch = pytest.importorskip("torch")
    kind = getattr(torch, dtype)
    lengths = [[len(bag) for bag in table] for table in bags]
    flat_bags = [bag for table in bags for bag in table]
    offsets = [0]
    for bag in flat_bags:
        offsets.append(offsets[-1] + len(bag))
    indices = [index for bag in flat_bags for index in bag]
    file = io.BytesIO()
    torch.save((torch.tensor(indices, dtype=kind), torch.tensor(offsets), torch.tensor(lengths)), file)
    return file.getvalue()


@st.composite
def embedding_bags(draw: st.DrawFn) -> list[list[list[int]]]:
    n_samples = draw(st.integers(1, 4))
    bag = st.lists(st.integers(0, 2**44 - 1), max_size=4)
    return draw(st.lists(st.lists(bag, min_size=n_samples, max_size=n_samples), min_size=1, max_size=4))


@FEW
@given(embedding_bags(), st.booleans(), st.sampled_from(["sample", "bag"]))
def test_dlrm(bags: list[list[list[int]]], packed: bool, request: str) -> None:
    content = saved(bags)
    name, content = ("fbgemm_t2.pt.gz", gzip.compress(content)) if packed else ("fbgemm_t2.pt", content)
    n_tables, n_samples = len(bags), len(bags[0])
    expected = [
        (t << 44 | index, t, s if request == "sample" else s * n_tables + t)
        for s in range(n_samples)
        for t in range(n_tables)
        for index in bags[t][s]
    ]
    with written(name, content) as path:
        assert kind_of(path) == "dlrm"
        found = read(path, request=request)
    assert found["key"] == [row[0] for row in expected]
    if expected:
        assert found["table"] == [row[1] for row in expected]
        assert found["request"] == [row[2] for row in expected]
        assert set(found["size_bytes"]) == {512}


def test_dlrm_refuses_what_is_none(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "t.pt"
    good = saved([[[1, 2], [3]]])

    def refused(content: Any) -> str:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        return refusal(path, "dlrm")

    assert "is no file of torch.save" in refused(b"key\n1\n")
    assert "cannot be loaded" in refused(good[: len(good) // 2])
    assert "cannot be loaded" in refused(b"PK" + b"x" * 100)
    # A pickle that would run code is not run.
    assert "cannot be loaded" in refused((1, 2, Path("x")))
    ints = torch.tensor([0, 1, 2])
    assert "has dict" in refused({"a": ints})
    assert "has torch.float32" in refused((ints, ints.float(), ints))
    assert "has shapes [3], [3], [3]" in refused((ints, ints, ints))
    assert "has offsets from 0 to 2 of 3 indices" in refused((ints, ints, torch.tensor([[1, 1]])))
    assert "or other lengths" in refused((ints, torch.tensor([0, 1, 3]), torch.tensor([[2, 1]])))
    assert "sample 1, table 0: index -1" in refused(saved([[[1, 2], [-1]]]))
    path.write_bytes(saved([[[1], [7]]], "int32"))
    assert read(path, "dlrm")["key"] == [1, 7]


# Experts


ROUTES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 99), st.lists(st.integers(0, 255), min_size=1, max_size=3)),
    min_size=1, max_size=8,
)  # fmt: skip


def grouped(layers: list[int]) -> dict[int, int]:
    """Numbers of layers by their first appearance, as keys of several columns have them."""
    return {layer: n for n, layer in enumerate(dict.fromkeys(layers))}


@FEW
@given(ROUTES, st.sampled_from(["selected_ids", "topk_ids", "topk_experts"]))
def test_moe(of: list[tuple[int, int, list[int]]], shape: str) -> None:
    if shape == "selected_ids":
        records = [
            {"layer_idx": layer, "token_idx": token, "selected_ids": ids, "gate_weights": [0.5] * len(ids)}
            for layer, token, ids in of
        ]
    elif shape == "topk_ids":
        records = [{"type": "meta", "model_id": "m", "layers_logged": [0], "top_k": 2}]
        records += [
            {"type": "route", "req_id": "r", "token_idx": token, "layer": layer, "topk_ids": ids, "topk_weights": []}
            for layer, token, ids in of
        ]
    else:
        records = [
            {"layer": layer, "batch_id": 1, "origin_rows": [token, token + 1], "topk_experts": [ids, ids[::-1]]}
            for layer, token, ids in of
        ]
        of = [row for layer, token, ids in of for row in ((layer, token, ids), (layer, token + 1, ids[::-1]))]
    with written("t.jsonl", lines(records)) as path:
        assert kind_of(path) == "moe"
        found = read(path)
    numbers, lists = grouped([row[0] for row in of]), [row[2] for row in of]
    assert found["key"] == [numbers[layer] << 44 | expert for layer, _, ids in of for expert in ids]
    assert found["layer"] == flat([row[0] for row in of], lists)
    assert found["token"] == flat([row[1] for row in of], lists)
    assert found["request"] == flat(list(range(len(of))), lists)
    assert ("session" in found) == (shape == "topk_ids")


@has_cases
def test_moe_case() -> None:
    path = CASES / "moe_routing.jsonl"
    found = read(path)
    assert found["key"] == [3, 17]
    assert (found["layer"], found["token"], found["request"]) == ([0, 0], [0, 0], [0, 0])
    columns = shown(str(path), "--columns", "key=layer_idx+selected_ids", "--block", "4 MiB")
    assert [row[2] for row in columns] == ["3", "17"]


def test_moe_refuses_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    one = '{"layer_idx": 0, "token_idx": 0, "selected_ids": [3, 17]}\n'
    for damaged, said in (
        (one + '{"layer_idx": 0, "token_idx": 1}\n', "line 2: expected 'selected_ids'"),
        (one + '{"layer_idx": -1, "token_idx": 1, "selected_ids": [1]}\n', "line 2: column 'layer_idx' is '-1'"),
        (one + one[:30], "line 2: is not JSON"),
        (one + '{"layer": 0, "topk_experts": [[1]]}\n', "line 2: "),
    ):
        path.write_text(damaged)
        assert said in refusal(path)
    path.write_text('{"experts": [1], "token": 3}\n')
    assert "expected a layer" in refusal(path, "moe")
