"""Our miss counts beside libCacheSim's: equal to the last miss where docs/evictions.md says so, or why not."""

import heapq
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments import beside, misses, peer
from simulator.demand import misses_of
from simulator.errors import InputError
from simulator.residency.registry import EVICTIONS
from simulator.trace import make_batch
from tests.strategies import OUR_EVICTIONS, ListWorkload, system

WITH_PEER = pytest.mark.skipif(
    find_spec("libcachesim") is None,
    reason="libCacheSim is not installed: pip install --no-deps -c constraints.txt libcachesim",
)
EQUAL = ["lru", "fifo", "clock", "clock(n_bit_counter=2)", "sieve", "s3fifo", "s3fifo(small_ratio=0.25)", "lfu", "arc",
         "2q", "2q(aout_ratio=0.75)", "belady", "slru(variant=libcachesim)", "wtinylfu(variant=libcachesim)",
         "wtinylfu(window_ratio=0.05, variant=libcachesim)"]  # fmt: skip
CAPACITIES = [103, 150, 318, 499]
# What libCacheSim 0.3.5 counts on ``KEYS``, by capacity.
COUNTED = {"slru": [19277, 18354, 15786, 13655], "wtinylfu": [19876, 18887, 18892, 16787]}


def made() -> list[int]:
    """Keys of 64 bits: a Zipf law whose popular keys change, and now and then a scan that comes again."""
    rng = np.random.default_rng(5)
    popular = (rng.random(30_000) ** 4 * 2000 + np.arange(30_000) // 5000 * 150).astype(int)
    popular[10_000:10_900] = popular[20_000:20_900] = np.arange(5000, 5900)
    return rng.integers(0, 2**64, 6000, np.uint64)[popular].tolist()


KEYS = made()


def n_misses(eviction: str, capacity: int, keys: list[int]) -> int:
    accesses = ListWorkload(make_batch(keys))
    return int(misses_of(accesses, system(capacity, eviction=EVICTIONS.parse(eviction)), 0, 0)[1].sum())


def call(*arguments: object) -> Any:
    return CliRunner().invoke(misses.app, [str(argument) for argument in arguments])


def trace(tmp_path: Path) -> Path:
    path = tmp_path / "t.txt"
    path.write_text("\n".join(map(str, KEYS)))
    return path


@pytest.mark.parametrize("kind", COUNTED)
def test_variants_count_what_libcachesim_does(kind: str) -> None:
    """With capacities of which the lists' shares leave a rest; as papers have it, others are missed."""
    found = [n_misses(f"{kind}(variant=libcachesim)", capacity, KEYS) for capacity in CAPACITIES]
    assert found == COUNTED[kind]
    assert found != [n_misses(kind, capacity, KEYS) for capacity in CAPACITIES]


@WITH_PEER
def test_counts_that_are_equal(tmp_path: Path) -> None:
    """Through the command, each in the whole engine; and the counts above are what the installed one gives."""
    arguments = ["--unit-size", "--capacity", ",".join(map(str, CAPACITIES)), "--beside", "libcachesim"]
    result = call(trace(tmp_path), *arguments, "--eviction", ",".join(EQUAL), "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    rows = pd.read_parquet(tmp_path / "o" / "beside.parquet")
    assert tuple(rows.columns) == beside.COLUMNS
    assert rows["eviction"].unique().tolist() == EQUAL
    assert rows[~rows["is_equal"]].values.tolist() == []
    assert (rows["n_misses"] == rows["n_misses_libcachesim"]).all()
    for kind, counts in COUNTED.items():
        assert rows[rows["eviction"] == f"{kind}(variant=libcachesim)"]["n_misses_libcachesim"].tolist() == counts
    assert "yes" in result.output
    summary = CliRunner().invoke(beside.app, [str(tmp_path / "o")])
    assert f"| `lru` | {len(CAPACITIES)} | all | - |  |" in summary.output


@WITH_PEER
def test_what_is_not_compared_is_said(tmp_path: Path) -> None:
    evictions = "lru,random,hyperbolic,slru,wtinylfu,slru(seg_size=[1, 2])"
    result = call(
        trace(tmp_path), "--unit-size", "--capacity", "3,60", "--eviction", evictions, "--beside", "libcachesim",
        "--out", tmp_path / "o",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = pd.read_parquet(tmp_path / "o" / "beside.parquet").set_index(["eviction", "capacity"])
    assert rows["is_equal"]["lru", 60]
    assert rows["note"]["random", 60] == rows["note"]["hyperbolic", 60] == "draws at random: other numbers there"
    assert rows["note"]["slru(seg_size=[1, 2])", 60] == "libCacheSim's Python interface cannot set seg_size"
    # Lists of no block, and a window of none, let nothing in; a main cache too small for its lists ends the process.
    said = "libCacheSim ends itself with this capacity: Invalid segment size for segment 0: 0 bytes"
    assert rows["note"]["wtinylfu", 3] == said
    assert np.isnan(rows["n_misses_libcachesim"]["wtinylfu", 3])
    assert rows["note"]["slru", 3] == "libCacheSim keeps no block with this capacity"
    assert rows["note"]["wtinylfu", 60] == "libCacheSim keeps no block with this capacity"
    assert rows["n_misses_libcachesim"]["wtinylfu", 60] == len(KEYS)


@WITH_PEER
def test_gdsf_differs_as_the_new_block_comes_in_first() -> None:
    """There it is ranked by the age before the eviction, and may be the victim itself; so counted, all is the same."""
    with peer.peer_of(make_batch(KEYS), unit_size=True) as theirs:
        counts = [theirs.count(EVICTIONS.parse("gdsf"), capacity).n_misses for capacity in CAPACITIES]
    assert counts == [_gdsf_inserting_first(KEYS, capacity) for capacity in CAPACITIES]
    assert counts != [n_misses("gdsf", capacity, KEYS) for capacity in CAPACITIES]


def _gdsf_inserting_first(keys: list[int], capacity: int) -> int:
    ranked: list[tuple[int, int, int]] = []
    held: dict[int, tuple[int, int]] = {}
    age = n = 0
    for at, key in enumerate(keys):
        n += key not in held
        uses = held[key][0] + 1 if key in held else 1
        held[key] = uses, at
        heapq.heappush(ranked, (age + uses, at, key))
        while len(held) > capacity:
            rank, when, old = heapq.heappop(ranked)
            if held.get(old, (0, -1))[1] == when:
                del held[old]
                age = rank
    return n


def test_what_bytes_cannot_be_compared() -> None:
    compared = [
        name for name in OUR_EVICTIONS if peer.why_not(EVICTIONS.validate(name), unit_size=False) is None
    ]  # fmt: skip
    assert compared == ["lru", "fifo", "clock", "sieve", "lfu", "gdsf", "belady"]


@WITH_PEER
def test_a_peer_that_gives_no_answer_or_fails_leaves_the_next_one_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with peer.peer_of(make_batch(KEYS), unit_size=True) as theirs:
        lfu = EVICTIONS.parse("lfu")
        with monkeypatch.context() as patch:
            patch.setattr(peer, "_LEAST_S", -1)
            assert theirs.count(lfu, 103) == peer.Count(None, "libCacheSim gives no answer within -0 s")
            patch.setitem(peer.NAMES, "lfu", "NoSuchPolicy")
            patch.setattr(peer, "_LEAST_S", 60)
            said = theirs.count(lfu, 103).note
            assert said.startswith("libCacheSim ends itself with this capacity: AttributeError: ")
        assert theirs.count(lfu, 103) == peer.Count(n_misses("lfu", 103, KEYS), "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--beside", "cachetools"], "--beside cachetools: unknown; expected libcachesim"),
        (["--beside", "libcachesim", "--sample", "0.5"], "--beside, --sample: samples are not compared"),
        (["--beside", "libcachesim"], "--beside libcachesim: is not installed; expected the extra libcachesim"),
    ],
)
def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: str) -> None:
    monkeypatch.setattr(peer, "find_spec", lambda name: None)
    result = call(trace(tmp_path), "--unit-size", "--capacity", "9", *arguments, "--out", tmp_path / "o")
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(f"error: {expected}")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "o").exists()


def _row(eviction: str, ours: int, theirs: int | None, note: str = "") -> dict[str, Any]:
    difference = None if theirs is None else ours - theirs
    values = ("t", eviction, 10, "blocks", 100, ours, theirs, difference, theirs and difference / theirs,
              theirs and not difference, note)  # fmt: skip
    return dict(zip(beside.COLUMNS, values, strict=True))


def test_the_summary_over_traces() -> None:
    """What keeps no block there is said and in no sum; the largest difference may be one of fewer misses."""
    rows = [
        _row("a", 50, 50), _row("a", 60, 50), _row("a", 30, 50), _row("a", 9, 100, "keeps nothing"),
        _row("b", 7, None, "draws"), _row("b", 8, None, "draws"), _row("c", 7, 7),
    ]  # fmt: skip
    assert beside.markdown(rows)[2:] == [
        "| `a` | 3 | 1 | -40.00% (-20; t, 10 blocks) | 1: keeps nothing |",
        "| `b` | 0 | - | - | 2: draws |",
        "| `c` | 1 | all | - |  |",
    ]


def test_a_summary_of_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(beside.app, [str(tmp_path)])
    assert result.exit_code == 2
    assert f"{tmp_path / 'beside.parquet'}: no such table; expected one that tierfetch misses" in result.stderr
    pd.DataFrame({"eviction": ["lru"]}).to_parquet(tmp_path / "beside.parquet")
    with pytest.raises(InputError, match="no such table"):
        beside._read(tmp_path)
