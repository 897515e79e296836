"""KV events of engines: their forms, what is refused, and a tier's blocks beside an engine's."""

import gzip
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from experiments import trace
from experiments.resident_sets import Comparison, compare
from simulator.errors import InputError
from simulator.evictions.registry import make
from simulator.residency.registry import EVICTIONS
from simulator.trace import make_batch
from tests.strategies import ListWorkload
from tests.test_prefix_caches import PROMPTS
from workloads.readers.kv_events import CLEARED, REMOVED, STORED, Event, KvEvents
from workloads.readers.msgpack import messages

HASH = bytes(range(32))
KEY = int.from_bytes(HASH[-8:], "big")


def packed(value: Any) -> bytes:
    """MessagePack; lengths have 32 bits where they do not fit into the first byte."""
    match value:
        case None | bool():
            return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
        case int() if -32 <= value < 128:
            return struct.pack(">b", value)
        case int():
            return b"\xcf" + struct.pack(">Q", value) if value >= 0 else b"\xd3" + struct.pack(">q", value)
        case float():
            return b"\xcb" + struct.pack(">d", value)
        case str():
            data = value.encode()
            return (bytes([0xA0 | len(data)]) if len(data) < 32 else b"\xdb" + struct.pack(">I", len(data))) + data
        case bytes():
            return b"\xc6" + struct.pack(">I", len(value)) + value
        case list():
            head = bytes([0x90 | len(value)]) if len(value) < 16 else b"\xdd" + struct.pack(">I", len(value))
            return head + b"".join(map(packed, value))
    head = bytes([0x80 | len(value)]) if len(value) < 16 else b"\xdf" + struct.pack(">I", len(value))
    return head + b"".join(packed(key) + packed(one) for key, one in value.items())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=40), inner, max_size=20),
    max_leaves=30,
)


@settings(max_examples=200, deadline=None)
@given(values=st.lists(VALUES, max_size=4))
def test_messages_are_what_was_packed(tmp_path_factory: pytest.TempPathFactory, values: list[Any]) -> None:
    path = tmp_path_factory.mktemp("packed") / "file"
    path.write_bytes(b"".join(map(packed, values)))
    with path.open("rb") as file:
        assert list(messages(file)) == values


def test_short_lengths_and_numbers(tmp_path: Path) -> None:
    """What the writer above has no use for: by hand, from the format's table."""
    data = bytes.fromhex("cc80 cdffff ceffffffff d080 d18000 d280000000 ca3fc00000 d90161 da000162 c40163 c5000164")
    data += bytes.fromhex("dc000101 de0001a16b02")
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file:
        assert list(messages(file)) == [
            128, 65535, 2**32 - 1, -128, -32768, -(2**31), 1.5, "a", "b", b"c", b"d", [1], {"k": 2},
        ]  # fmt: skip


def stored(keys: list[Any], medium: str | None = "GPU") -> list[Any]:
    return ["BlockStored", keys, None, [1, 2, 3], 16, None, medium]


LISTS = [
    [10.5, [stored([1, 2]), ["BlockRemoved", [1], "GPU"]], 0],
    [11.0, [["AllBlocksCleared"], stored([HASH, -1]), stored([3], "CPU"), [*stored([4]), None, None, 1]], 0],
]
MAPS = [
    {
        "ts": 10.5,
        "events": [
            {"type": "BlockStored", "block_hashes": [1, 2], "medium": "GPU"},
            {"type": "BlockRemoved", "block_hashes": [1]},
        ],
    },
    {
        "ts": 11,
        "events": [
            {"type": "AllBlocksCleared"},
            {"type": "BlockStored", "block_hashes": [HASH, -1]},
            {"type": "BlockStored", "block_hashes": [3], "medium": "CPU"},
            {"type": "BlockStored", "block_hashes": [4], "group_idx": 1},
        ],
        "data_parallel_rank": 0,
    },
]
EXPECTED = [
    Event(1, 10_500_000_000, STORED, [1, 2], "0"), Event(1, 10_500_000_000, REMOVED, [1], "0"),
    Event(2, 11_000_000_000, CLEARED, [], "0"), Event(2, 11_000_000_000, STORED, [KEY, 2**64 - 1], "0"),
]  # fmt: skip


def as_json(value: Any) -> str:
    return json.dumps(value, default=bytes.hex)


@pytest.mark.parametrize("batches", [LISTS, MAPS], ids=["lists", "maps"])
@pytest.mark.parametrize("is_text", [False, True])
def test_vllms_batches(tmp_path: Path, batches: list[Any], is_text: bool) -> None:
    """Hashes as numbers, bytes or digits; what is elsewhere than on the GPU or of a further group is left out."""
    path = tmp_path / "events"
    if is_text:
        path.write_text("".join(as_json(one) + "\n" for one in batches))
    else:
        path.write_bytes(b"".join(map(packed, batches)))
    read = KvEvents(path)
    assert list(read) == EXPECTED
    assert read.skipped == {"of CPU": 1, "of other groups of caches": 1}


def test_dynamos_rows(tmp_path: Path) -> None:
    def row(ms: int, data: Any, **more: int) -> str:
        inner = {"event_id": 7, "data": data, **more}
        return json.dumps({"timestamp": ms, "event": {"worker_id": 5, "event": inner}}) + "\n"

    blocks = [{"block_hash": 2**64 - 1, "tokens_hash": 3}, {"block_hash": 8, "tokens_hash": 4}]
    path = tmp_path / "events.jsonl"
    path.write_text(
        row(1, {"stored": {"parent_hash": None, "blocks": blocks}})
        + row(2, {"removed": {"block_hashes": [8]}}, dp_rank=2) + "\n" + row(3, "cleared", dp_rank=0)
    )  # fmt: skip
    assert list(KvEvents(path)) == [
        Event(1, 1_000_000, STORED, [2**64 - 1, 8], "5"), Event(2, 2_000_000, REMOVED, [8], "5/2"),
        Event(4, 3_000_000, CLEARED, [], "5"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty; expected events"),
        (b'[1.0, [["AllBlocksCleared"]]]\n{"ts": 1', "line 2: is no JSON"),
        (b'[1.0, [["BlockMoved", [1]]]]', "line 1: has an event 'BlockMoved'; expected a batch of vLLM's"),
        (b'\n{"events": []}', "line 2: has no 'ts'"),
        (b'["now", []]', "line 1: has the time 'now'"),
        (b'[1.0, [["BlockStored", [1.5], null, [], 16]]]', "line 1: has the hash 1.5"),
        (b'[1.0, [["BlockStored", ["xyz"], null, [], 16]]]', "line 1: invalid literal"),
        (b"{}", "line 1: has no 'ts'"),
        (b"7", "message 1: "),
        (b'{"timestamp": 1, "event": {"worker_id": 1, "event": {"data": {"moved": 1}}}}', "line 1: has an event 'mov"),
        (packed([1.0, [["AllBlocksCleared"]]]) + b"\x92\xcb", "message 2: ends in the middle"),
        (packed([1.0, [["AllBlocksCleared"]]]) + b"\xc7", "message 2: has a byte 0xc7 where a value begins"),
        (b"\x91" * 40, "message 1: is nested more than 32 deep"),
        (b"\x81\x90\x01", "message 1: has a list or a map as a key"),
        (b'[1e400, [["AllBlocksCleared"]]]', "line 1: has the time inf"),
        (b"[" * 100_000, "line 1: is no JSON"),
        (b"PAR1", "message 1: is 80; expected a batch of vLLM's KV events"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    path = tmp_path / "events"
    path.write_bytes(data)
    with pytest.raises(InputError) as raised:
        list(KvEvents(path))
    assert str(raised.value).startswith(f"{path}: {problem}")


def test_a_damaged_archive_and_a_byte_order_mark(tmp_path: Path) -> None:
    lines = b'[1.0, [["AllBlocksCleared"]]]\n' * 3
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + lines)
    assert len(list(KvEvents(path))) == 3
    archive = tmp_path / "events.jsonl.gz"
    archive.write_bytes(gzip.compress(lines)[:-12])
    with pytest.raises(InputError, match=r"damaged after line [0-3]: Compressed file ended"):
        list(KvEvents(archive))


class Engine:
    """The blocks of a server that serves a request at a time, as vLLM does: freed from the last to the first.

    A request takes the blocks that it finds out of the queue, and the longest unused out of it for the rest, one of
    them for the part of a block, which has no name.
    """

    def __init__(self, n_blocks: int) -> None:
        self.queue: list[int | None] = [None] * n_blocks

    def serve(self, keys: list[int], has_part: bool = False) -> Iterator[list[Any]]:
        found = next((i for i, key in enumerate(keys) if key not in self.queue), len(keys))
        for key in keys[:found]:
            self.queue.remove(key)
        for _ in range(len(keys) - found + has_part):
            if (gone := self.queue.pop(0)) is not None:
                yield ["BlockRemoved", [gone]]
        if keys[found:]:
            yield stored(keys[found:])
        self.queue += [*[None] * has_part, *reversed(keys)]


def events_of(prompts: list[list[int]], n_blocks: int) -> list[list[Any]]:
    """Batches: request number i comes at second i, and all it does happens half a second later."""
    engine = Engine(n_blocks)
    return [[100.5 + i, list(engine.serve(keys))] for i, keys in enumerate(prompts)]


def compared(
    folder: Path, prompts: list[list[int]], batches: list[Any], n_blocks: int, eviction: str = "leaf_lru", **more: Any
) -> Comparison:
    path = folder / "events.jsonl"
    path.write_text("".join(as_json(one) + "\n" for one in batches))
    request = np.repeat(np.arange(len(prompts)), [len(keys) for keys in prompts])
    keys = [key for one in prompts for key in one]
    workload = ListWorkload(make_batch(keys, request=request, time_ns=request * 10**9), batch_size=5)
    return compare(KvEvents(path), workload, EVICTIONS.validate(eviction), n_blocks, **more)


@settings(max_examples=100, deadline=None)
@given(prompts=PROMPTS, n_blocks=st.integers(6, 30))
def test_an_engine_that_frees_from_the_end_is_leaf_lru(
    tmp_path_factory: pytest.TempPathFactory, prompts: list[list[int]], n_blocks: int
) -> None:
    """At every moment the two hold the same blocks, and at the end as many as the engine itself says."""
    found = compared(tmp_path_factory.mktemp("kv"), prompts, events_of(prompts, n_blocks), n_blocks)
    assert len(found.moments) == len(prompts)
    assert found.differences == []
    assert {one.in_both_ratio for one in found.moments} == {1.0}
    engine = Engine(n_blocks)
    for keys in prompts:
        list(engine.serve(keys))
    assert found.moments[-1].n_there == sum(key is not None for key in engine.queue)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), prompts=PROMPTS, n_blocks=st.integers(7, 30))
def test_parts_of_blocks_take_room(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, prompts: list[list[int]], n_blocks: int
) -> None:
    """Some prompts end in the middle of a block: with a block of its own for each the two are equal, again."""
    has_part = data.draw(st.lists(st.booleans(), min_size=len(prompts), max_size=len(prompts)))
    engine = Engine(n_blocks)
    batches = [
        [i, list(engine.serve(keys, part))] for i, (keys, part) in enumerate(zip(prompts, has_part, strict=True))
    ]
    with_parts = [[*keys, 10**6 + i] if has_part[i] else keys for i, keys in enumerate(prompts)]
    nameless = range(10**6, 2 * 10**6)
    found = compared(tmp_path_factory.mktemp("kv"), with_parts, batches, n_blocks, offset_ns=0, nameless=nameless)
    assert found.differences == []
    assert len(found.moments) == len(prompts)


TURNS = [[1, 2, 3], [4], [1, 2, 3], [5, 6], [4]]


def test_a_difference_is_found_at_its_line(tmp_path: Path) -> None:
    """With five blocks all is equal until 6 comes, for which 4 goes; then what one line says is left out or added."""
    batches = events_of(TURNS, 5)
    assert compared(tmp_path, TURNS, batches, 5).differences == []
    batches[2][1].append(["BlockRemoved", [2]])
    found = compared(tmp_path, TURNS, batches, 5)
    first = found.differences[0]
    assert (first.n_requests, first.key, first.is_here) == (3, 2, True)
    assert first.last == Event(3, 102_500_000_000, REMOVED, [2], "0")
    assert [(one.n_here, one.n_there, one.n_both) for one in found.moments[:3]] == [(3, 3, 3), (4, 4, 4), (4, 3, 3)]
    assert found.moments[2].in_both_ratio == 0.75


def test_another_eviction_differs_and_so_does_another_size(tmp_path: Path) -> None:
    """FIFO lets go of 1 for 6, the engine of 4."""
    batches = events_of(TURNS, 5)
    here, there = compared(tmp_path, TURNS, batches, 5, "fifo").differences
    assert (here.n_requests, here.key, here.is_here) == (4, 4, True)
    assert (there.key, there.is_here, there.last and there.last.number) == (1, False, 1)
    (alone,) = compared(tmp_path, TURNS, batches, 6).differences
    assert (alone.n_requests, alone.key, alone.is_here) == (4, 4, True)


def test_what_was_there_before_and_all_cleared(tmp_path: Path) -> None:
    batches = events_of(TURNS, 5)
    batches[0][1].insert(0, stored([77]))
    (early,) = compared(tmp_path, TURNS, batches, 5).differences
    assert (early.n_requests, early.key, early.is_here) == (1, 77, False)
    batches[0][1][0] = ["AllBlocksCleared"]
    assert compared(tmp_path, TURNS, batches, 5).differences == []
    batches[1][1].append(["AllBlocksCleared"])
    first = compared(tmp_path, TURNS, batches, 5).differences[0]
    assert (first.n_requests, first.last and first.last.what) == (2, CLEARED)


def test_when_events_are(tmp_path: Path) -> None:
    """By default the first comes with the first request. Said a second too late, they lag a request behind."""
    batches = events_of(TURNS, 5)
    assert compared(tmp_path, TURNS, batches, 5, offset_ns=100 * 10**9).differences == []
    (late,) = compared(tmp_path, TURNS, batches, 5, offset_ns=99 * 10**9).differences
    assert (late.n_requests, late.key, late.last) == (1, 1, None)


def test_requests_that_come_together_are_looked_at_together(tmp_path: Path) -> None:
    """Nobody can say which events are between them."""
    path = tmp_path / "events.jsonl"
    path.write_text(as_json([3.5, [stored([1, 2])]]) + "\n" + as_json([4.5, [stored([3])]]) + "\n")
    times = np.array([0, 0, 1]) * 10**9
    workload = ListWorkload(make_batch([1, 2, 3], request=[0, 1, 2], time_ns=times))
    found = compare(KvEvents(path), workload, EVICTIONS.validate("lru"), 5)
    assert [one.n_requests for one in found.moments] == [2, 3]
    assert found.differences == []


def test_who_is_pushed_out_by_a_use_is_gone(tmp_path: Path) -> None:
    """As many are here as the same policy in plain Python holds, after each request."""
    eviction = EVICTIONS.parse("slru(seg_size=[1, 1], variant=libcachesim)")
    keys = (np.random.default_rng(1).random(300) ** 2 * 20).astype(int).tolist()
    path, plain, held, n_pushed_out = tmp_path / "events.jsonl", make(eviction, 7), [], 0
    path.write_text('[0, [["AllBlocksCleared"]]]')
    for key in keys:
        plain.request(key, 1)
        n_pushed_out += len(plain.push_out())
        held.append(len(plain.keys()))
    workload = ListWorkload(make_batch(keys, time_ns=np.arange(300)))
    found = compare(KvEvents(path), workload, eviction, 7)
    assert [one.n_here for one in found.moments] == held
    assert n_pushed_out > 0


def test_of_several_sources_one_is_chosen(tmp_path: Path) -> None:
    batches = [one for batch in events_of(TURNS, 5) for one in ([*batch, 3], [batch[0], [stored([99])], 1])]
    with pytest.raises(InputError, match="of several ranks or workers, 3 and 1 among them; expected --source"):
        compared(tmp_path, TURNS, batches, 5)
    assert compared(tmp_path, TURNS, batches, 5, source="3").differences == []


def call(*arguments: object) -> Any:
    return CliRunner().invoke(trace.app, ["kv-events", *map(str, arguments)])


def test_the_command(tmp_path: Path) -> None:
    """Requests in the layout of Mooncake's, with the hashes of the events as ids."""
    requests, events = tmp_path / "requests.jsonl", tmp_path / "events.msgpack"
    rows = [{"timestamp": 1000 * i, "input_length": 16 * len(keys), "output_length": 1, "hash_ids": keys}
            for i, keys in enumerate(TURNS)]  # fmt: skip
    requests.write_text("".join(json.dumps(row) + "\n" for row in rows))
    events.write_bytes(b"".join(map(packed, events_of(TURNS, 5))))
    found = call(events, requests, "--capacity", 5)
    assert found.exit_code == 0, found.output
    assert "In both, on the average: 1.0000. Equal at 5 of 5 moments." in found.output
    found = call(events, requests, "--capacity", 5, "--eviction", "fifo", "--offset", "100")
    assert "First difference, after request 4: block 4 is here alone: line or message 4 says that it was removed." in (
        found.output
    )
    assert "block 1 is there alone: line or message 1 says that it was stored." in found.output


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--eviction", "belady"], "--eviction: belady knows the future, which no engine does"),
        (["--eviction", "lru,fifo"], "--eviction lru,fifo: expected one"),
        (["--offset", "soon"], "--offset soon: expected seconds"),
        (["--offset", "nan"], "--offset nan: expected seconds"),
        (["--offset", "inf"], "--offset inf: expected seconds"),
        (["--source", "7"], "--source 7: has no events; expected one of 0"),
        (["--capacity", "99999999999999999999"], "Invalid value for '--capacity'"),
        (["--format", "hash_ids"], "has no times; expected requests with the times"),
    ],
)
def test_bad_options(tmp_path: Path, options: list[str], problem: str) -> None:
    requests, events = tmp_path / "requests.jsonl", tmp_path / "events.jsonl"
    requests.write_text('{"timestamp": 0, "input_length": 16, "output_length": 1, "hash_ids": [1]}\n')
    events.write_text('[1.0, [["AllBlocksCleared"]]]\n')
    found = call(events, requests, "--capacity", 5, *options)
    assert found.exit_code == 2
    assert problem in found.stderr.replace("\n", " ")
