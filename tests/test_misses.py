"""``tierfetch misses`` as a user runs it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from experiments import counting, misses
from experiments.replayed import Replayed, replayed
from simulator.families import families_of
from simulator.residency.registry import EVICTIONS
from simulator.trace import make_batch
from tests.conftest import real_trace
from tests.strategies import ListWorkload
from workloads.sampling import PARTS, sample

# Under LRU with two blocks every third access of this circle misses for ever; keys 1 and 2 are 100 and 50 bytes long.
CIRCLE = "".join(f"{1 + i % 3},{(100, 50, 50)[i % 3]}\n" for i in range(30))


def call(*arguments: object) -> Any:
    return CliRunner().invoke(misses.app, [str(argument) for argument in arguments])


def circle(tmp_path: Path) -> Path:
    path = tmp_path / "circle.csv"
    path.write_text("block,bytes\n" + CIRCLE)
    return path


def test_counts_of_a_circle(tmp_path: Path) -> None:
    out = tmp_path / "out"
    columns = ("--columns", "key=block,size_bytes=bytes")
    result = call(circle(tmp_path), *columns, "--eviction", "lru,belady", "--capacity", "150,200 B", "--out", out)
    assert result.exit_code == 0, result.output
    found = pd.read_parquet(out / "misses.parquet")
    assert tuple(found.columns) == counting.COLUMNS
    assert (found["accesses_per_s"] > 0).all()
    assert (found["miss_ratio"] == found["n_misses"] / 30).all()
    assert found[["trace", "capacity_unit", "n_accesses"]].drop_duplicates().values.tolist() == [
        ["circle.csv", "bytes", 30]
    ]
    # In 150 B of 200 LRU always drops what comes next; in 200 B all of it fits. Belady drops what comes last: after
    # the first three, every other access hits, from the fourth on.
    by = found.set_index(["eviction", "capacity"])["n_misses"]
    assert by["lru", 150] == 30
    assert by["lru", 200] == by["belady", 200] == 3
    assert by["belady", 150] == 3 + 13
    assert "30 accesses, 3 blocks, 200 bytes in all" in result.output
    assert "30 (1.0000)" in result.output
    assert pq.read_schema(out / "misses.parquet").metadata[b"seed"] == b"0"


def test_unit_size_and_fractions(tmp_path: Path) -> None:
    out = tmp_path / "out"
    columns = ("--columns", "key=block,size_bytes=bytes")
    call(circle(tmp_path), *columns, "--unit-size", "--fraction", "0.7,1", "--eviction", "fifo", "--out", out)
    found = pd.read_parquet(out / "misses.parquet")
    assert found[["capacity", "capacity_unit", "n_misses"]].values.tolist() == [[2, "blocks", 30], [3, "blocks", 3]]


def test_it_prints_the_published_counts(tmp_path: Path) -> None:
    golden = json.loads(real_trace("golden_misses.json").read_text())["lirs_multi1"]["misses"]
    arguments = ("--unit-size", "--capacity", ",".join(golden), "--eviction", "lru,sieve,arc", "--out", tmp_path / "o")
    result = call(real_trace("lirs_multi1.trace.gz"), *arguments, "--plot")
    assert result.exit_code == 0, result.output
    for row in pd.read_parquet(tmp_path / "o" / "misses.parquet").itertuples():
        assert row.n_misses == golden[str(row.capacity)][row.eviction]
    assert (tmp_path / "o" / "misses.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "o" / "misses.svg").read_text()
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"misses.parquet", "misses.png", "misses.svg"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["gone.txt"], "gone.txt: no such file, here or in the folder of traces"),
        (["gone"], "gone: no such file"),
        (["."], ".: a folder; expected a trace"),
        (["circle.xyz", "--format", "ids", "--columns", "key=x"], "format ids has no columns to choose"),
        (["circle.csv", "--columns", "key=block", "--capacity", ""], "--capacity : expected a size"),
        (["circle.csv", "--columns", "key=block", "--capacity", str(2**62)], "a capacity of 4,611,686,018,427,387,904"),
        (["circle.xyz"], "its format cannot be told from its name; its first rows read as ids: tierfetch trace head"),
        (["circle.xyz", "--format", "parket"], "--format parket: unknown; expected auto or one of"),
        (["circle.csv"], "has no column 'key' (columns.key); expected one of block, bytes"),
        (
            ["circle.csv", "--columns", "key=block", "--eviction", "lru,lrv"],
            "--eviction: lrv: no such eviction policy; expected one of lru, fifo",
        ),
        (
            ["circle.csv", "--columns", "key=block", "--eviction", "lru,s3fifo(small_ratio=2)"],
            "--eviction: s3fifo(small_ratio=2): small_ratio: Input should be less than 1; got 2",
        ),
        (["circle.csv", "--columns", "key=block", "--eviction", "s3fifo(small_ratio"], "a ) is missing"),
        (["circle.csv", "--columns", "key=block", "--capacity", "12 miles"], "--capacity 12 miles"),
        (["circle.csv", "--columns", "key=block", "--capacity", "0"], "a capacity of 0 cannot be simulated"),
        (["circle.csv", "--columns", "key=block", "--capacity", "1 KiB", "--unit-size"], "expected a number of blocks"),
        (["circle.csv", "--columns", "key=block", "--fraction", "1.5"], "--fraction 1.5: expected a number above 0"),
    ],
)
def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: str) -> None:
    circle(tmp_path).with_suffix(".xyz").write_text("1\n")
    monkeypatch.chdir(tmp_path)
    result = call(*arguments, "--out", "out")
    assert result.exit_code == 2, result.output
    assert expected in result.stderr
    assert "Traceback" not in result.output
    assert not list(tmp_path.glob("out/*"))


def test_defaults_are_capacities_that_hold_the_largest_block(tmp_path: Path) -> None:
    """Of a thousandth to a quarter of 200 bytes none holds 100: all of it does."""
    columns = ("--columns", "key=block,size_bytes=bytes")
    result = call(circle(tmp_path), *columns, "--eviction", "lru", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    assert pd.read_parquet(tmp_path / "o" / "misses.parquet")["capacity"].tolist() == [200]


def test_blocks_larger_than_the_capacity_pass_by(tmp_path: Path) -> None:
    columns = ("--columns", "key=block,size_bytes=bytes", "--capacity", "99")
    result = call(circle(tmp_path), *columns, "--eviction", "lru,belady", "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    assert pd.read_parquet(tmp_path / "o" / "misses.parquet")["miss_ratio"].tolist() == [1, 1]


def test_what_cannot_be_written_is_said_and_not_half_there(tmp_path: Path) -> None:
    (tmp_path / "o" / "misses.parquet").mkdir(parents=True)
    columns = ("--columns", "key=block", "--capacity", "1 MiB", "--eviction", "lru")
    result = call(circle(tmp_path), *columns, "--out", tmp_path / "o")
    assert result.exit_code == 2, result.output
    assert "misses.parquet" in result.stderr
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["misses.parquet"]


def test_all_evictions_by_one_word(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("1\n2\n3\n" * 20)
    result = call(path, "--eviction", "all", "--unit-size", "--capacity", "2", "--out", tmp_path / "o", "--quiet")
    assert result.exit_code == 0, result.output
    assert result.output == ""
    # But for a class of one's own, which has to be named, and what counts on a training part, which there is not.
    named = [kind for kind in EVICTIONS if kind not in ("python", "pinned")]
    assert list(pd.read_parquet(tmp_path / "o" / "misses.parquet")["eviction"]) == named


def test_several_draws_have_an_interval_and_processes_change_nothing(tmp_path: Path) -> None:
    """Of each draw the mean; the whole lies in it here; and the same rows from processes side by side."""
    source = "zipf(n_keys=3000, exponent=0.8, accesses=30000, block=1 B)"
    options = ("--eviction", "lru,fifo", "--fraction", "0.1,0.3", "--sample", "1,0.2,0.1", "--draws", "5")
    found = []
    for jobs in ("1", "2"):
        result = call(source, *options, "--jobs", jobs, "--out", tmp_path / jobs)
        assert result.exit_code == 0, result.output
        assert "estimated from 0.2 of the keys, 5 times" in result.output.replace("\n", " ")
        found.append(pd.read_parquet(tmp_path / jobs / "misses.parquet"))
    alone, beside = (rows.drop(columns="accesses_per_s") for rows in found)
    assert alone.equals(beside)
    whole, drawn = alone[alone["sample_rate"] == 1], alone[alone["sample_rate"] < 1]
    assert whole["n_draws"].tolist() == [1] * 4
    assert whole[["miss_ratio_low", "miss_ratio_high"]].isna().all(axis=None)
    assert drawn["n_draws"].tolist() == [5] * 8
    exact = drawn["miss_ratio"] - drawn["miss_ratio_error"]
    assert (drawn["miss_ratio_low"] < exact).all()
    assert (exact < drawn["miss_ratio_high"]).all()
    assert drawn["miss_ratio_error"].abs().max() < 0.03
    # Five times a fifth of the keys: all of them, about, but not the same five times.
    assert drawn["n_simulated"].iloc[0] == pytest.approx(30_000, rel=0.3)
    assert drawn["n_simulated"].iloc[0] % 5 != 0


def test_lru_alone_is_counted_while_the_trace_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept, and the counts are those of a trace in memory; where sizes change, it is kept after all."""
    rng = np.random.default_rng(3)
    keys = rng.integers(0, 50, 3000)
    changing = np.where(rng.random(3000) < 0.1, 7, 30)
    of_sizes = (30 + 0 * keys, 10 + keys % 7, changing)
    n_kept = []
    for i, sizes in enumerate(of_sizes):
        path = tmp_path / f"{i}.csv"
        path.write_text("key,bytes\n" + "".join(f"{k},{s}\n" for k, s in zip(keys, sizes, strict=True)))
        columns = ("--columns", "key=key,size_bytes=bytes", "--capacity", "12 B,100 B", "--fraction", "0.3")
        found = []
        for evictions in ("lru", "lru,fifo"):
            made: list[Replayed] = []
            with monkeypatch.context() as patch:
                patch.setattr(counting, "replayed", lambda *a, m=made, **k: m.append(replayed(*a, **k)) or m[-1])
                result = call(path, *columns, "--eviction", evictions, "--out", tmp_path / f"{i}-{evictions}")
            assert result.exit_code == 0, result.output
            rows = pd.read_parquet(tmp_path / f"{i}-{evictions}" / "misses.parquet")
            found.append(rows[rows["eviction"] == "lru"]["n_misses"].tolist())
            n_kept.append(len(made))
        assert found[0] == found[1]
        assert 0 < found[0][-1] < found[0][0] <= 3000
    assert n_kept == [0, 1, 0, 1, 1, 1]


def test_draws_of_the_whole_are_refused(tmp_path: Path) -> None:
    result = call(circle(tmp_path), "--columns", "key=block", "--draws", "3")
    assert result.exit_code == 2
    assert "--draws 3: of the whole trace there is one; expected a rate below 1 (--sample)" in result.stderr
    result = call(circle(tmp_path), "--columns", "key=block", "--sample", "0.5", "--draws", "1001")
    assert result.exit_code == 2
    assert "--draws 1001: expected at most 1,000" in result.stderr


def test_settings_of_evictions(tmp_path: Path) -> None:
    """Several of one kind; each row says which it is; ``2q()`` and ``2q`` are one."""
    path = tmp_path / "t.txt"
    path.write_text("\n".join(str(x * x % 37 + x % 5) for x in range(900)))
    said = ["slru", "slru(seg_size=[1, 2])", "s3fifo(small_ratio=0.3, move_to_main_threshold=1)", "2q"]
    result = call(
        path, "--eviction", ",".join([*said, "2q()", "s3fifo(move_to_main_threshold=1, small_ratio=0.3)"]),
        "--unit-size", "--capacity", "10", "--out", tmp_path / "o",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = pd.read_parquet(tmp_path / "o" / "misses.parquet")
    assert rows["eviction"].tolist() == said
    assert rows["n_misses"].nunique() > 1


def test_requests_say_what_comes_before_a_block(tmp_path: Path) -> None:
    """Three blocks and a conversation, read three times, with one more block between: its end goes, not its head.

    LRU: the other block pushes out the head, which pushes out what comes behind it, and so on: all 11 miss. Leaves: the
    other one pushes out the third block, which then pushes out the other one: 3 + 1 + 1 + 1 + 1.
    """
    path = tmp_path / "prompts.jsonl"
    rows = [[1, 2, 3], [4], [1, 2, 3], [5], [1, 2, 3]]
    path.write_text("".join(json.dumps({"hash_ids": ids, "input_length": 16 * len(ids)}) + "\n" for ids in rows))
    out = tmp_path / "out"
    call(path, "--unit-size", "--capacity", "3", "--eviction", "lru,leaf_lru", "--out", out)
    found = pd.read_parquet(out / "misses.parquet").set_index("eviction")["n_misses"]
    assert found.to_dict() == {"lru": 11, "leaf_lru": 7}


def test_a_sample_has_the_families_of_its_requests() -> None:
    """Of a request's blocks those that are in the sample; accesses one after another do not say it any more."""
    rng = np.random.default_rng(1)
    batch = make_batch(rng.integers(0, 300, 2000), request=np.repeat(np.arange(400), 5), stream=np.arange(2000) // 40)
    whole = Replayed(batch, np.repeat(np.arange(1, 401, dtype=np.uint32), 5), 2000, PARTS)
    for parts in (PARTS, PARTS // 2):
        expected = families_of(ListWorkload(sample(batch, parts)))
        found = families_of(whole.sampled(parts))
        assert found.keys.tolist() == expected.keys.tolist()
        assert found.parents.tolist() == expected.parents.tolist()
        assert len(found.keys) > 50
