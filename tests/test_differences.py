"""Results set against each other: no difference, or which; claims where there are pairs, and none of other traces."""

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.differences.accesses import OUTCOMES, Changes, pieces
from experiments.differences.first import first_sentence
from experiments.differences.settings import ABSENT, differing, number_of, texts_of, value_text
from experiments.differences.whole import Differences, differences
from experiments.kept import Kept
from experiments.results import KeptResults
from experiments.tables import SCHEMAS
from tests.test_experiment import write
from tests.test_python import small
from tests.test_results import call, ran

SLOWER = "system.tiers.hbm.latency=700 ns"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One config in several ways: again, with other seeds, with a key that is another one, and on another trace."""
    folder = tmp_path_factory.mktemp("compared")
    path = write(folder, small())
    for name, arguments in {
        "a": [],
        "seeds": ["--seeds", "6,7,8"],
        "some": ["--seeds", "4,5,9"],
        "slower": ["--set", SLOWER],
        "wider": ["--set", "arms.next_n.policy.n=4"],
        "other": ["--set", "workload.source.n_keys=300"],
        "lone": ["--seeds", "9", "--set", "output.accesses=false", "--set", "arms.wrong.name=renamed"],
    }.items():
        ran(path, folder / name, "--quiet", *arguments)
    return folder


def between(results: Path, a: str, b: str, **options: Any) -> Differences:
    return differences(KeptResults.open(results / a), KeptResults.open(results / b), **options)


def compared(*arguments: Any) -> dict[str, Any]:
    found = call("compare", *arguments, "--json")
    assert found.exit_code == 0, found.output
    return dict(json.loads(found.stdout))


def rows_of(found: Differences, arm: str) -> dict[str, Any]:
    return {row["metric"]: row for one in found.arms if one.a == arm for row in one.rows}


# -- the first sentence ------------------------------------------------------------------------------------------------
def test_a_result_does_not_differ_from_itself(results: Path) -> None:
    found = between(results, "a", "a")
    assert first_sentence(found) == (
        "No difference: the configs are the same, and all that is compared of 3 arms came out the same."
    )
    assert (found.config, found.told, found.made) == ({}, {}, {})
    for one, changes in zip(found.arms, found.accesses, strict=True):
        assert {row["verdict"] for row in one.rows} == {"the same"}
        assert isinstance(changes, Changes)
        assert (changes.n, changes.n_same, changes.n_moved, changes.most) == (1800, 1800, 0, [])


def test_other_seeds_of_a_config_are_no_difference(results: Path) -> None:
    found = between(results, "a", "seeds")
    assert first_sentence(found) == (
        "No difference shown: the configs are the same but for the seeds (other traces of the same workload, seeds 3, "
        "4, 5 of A, 6, 7, 8 of B, compared unpaired)."
    )
    assert (found.config, list(found.told)) == ({}, ["seeds"])
    row = rows_of(found, "next_n")["mean_latency_ns"]
    a, b = (
        [r["mean_latency_ns"] for r in rows]
        for rows in (_rows(results / "a", "next_n"), _rows(results / "seeds", "next_n"))
    )
    expected = stats.ttest_ind(b, a, equal_var=False)
    assert row["method"] == "Welch's t, unpaired"
    assert row["p_value"] == pytest.approx(expected.pvalue, rel=1e-9)
    assert row["difference"] == pytest.approx(np.mean(b) - np.mean(a))
    assert row["n_to_settle"] is None
    assert found.accesses[0] == "no access of the one is one of the other"


def _rows(folder: Path, arm: str) -> list[dict[str, Any]]:
    return [row for row in KeptResults.open(folder).rows if row["arm"] == arm]


def test_a_planted_latency_is_named_with_what_it_moves(results: Path) -> None:
    found = between(results, "a", "slower")
    first = first_sentence(found)
    assert first.startswith(
        "They differ in the config (system.tiers.hbm.latency 350 ns -> 700 ns), and in what came out: mean latency of "
        "none +350 ns ("
    )
    assert found.config == {"system.tiers.hbm.latency": ["350 ns", "700 ns"]}
    for arm in ("none", "next_n", "wrong"):
        row = rows_of(found, arm)["mean_latency_ns"]
        # Of every access of every seed.
        assert (row["difference"], row["low"], row["high"]) == pytest.approx((350, 350, 350))
        assert (row["verdict"], row["n_pairs"], row["method"]) == ("worse", 3, "paired t over seeds")
        assert rows_of(found, arm)["hit_ratio"]["verdict"] == "the same"


def test_a_planted_degree_moves_its_own_arm_alone(results: Path) -> None:
    found = between(results, "a", "wider")
    first = first_sentence(found)
    assert first.startswith(
        "They differ in the config (arms.next_n.policy.n 2 -> 4), and in what came out: mean latency"
    )
    assert "of none" not in first
    assert "of wrong" not in first
    assert {row["verdict"] for row in rows_of(found, "none").values()} == {"the same"}
    assert first.count(" of next_n ") == len([r for r in rows_of(found, "next_n").values() if not r["is_same"]])
    [_, next_n, _] = found.arms
    issued = next(row for row in next_n.others if row["metric"] == "n_issued")
    assert issued["b"] > issued["a"]
    # In some of the seeds alone there is no claim beyond these traces.
    assert "on these traces" in first


def test_of_another_trace_nothing_is_claimed(results: Path) -> None:
    found = between(results, "a", "other")
    assert first_sentence(found) == (
        "Not comparable, and nothing is claimed of what came out: other trace (seeds 3, 4, 5). In the config differ "
        "workload.source.n_keys 400 -> 300."
    )
    for one in found.arms:
        assert {row["verdict"] for row in one.rows} == {"not comparable"}
        # Side by side all the same.
        assert all(row["a"] is not None and "p_value" not in row for row in one.rows if row["metric"] == "hit_ratio")
    shown = call("compare", results / "a", results / "other").stdout
    assert "Arm next_n: not comparable, other trace (seeds 3, 4, 5); side by side, nothing is claimed" in shown
    # Neither of other seeds of another workload.
    assert "other workload, and other seeds" in first_sentence(between(results, "seeds", "other"))


def test_seeds_that_both_have_are_pairs(results: Path) -> None:
    found = between(results, "a", "some")
    assert first_sentence(found).startswith("No difference: the configs are the same but for the seeds")
    basis = found.arms[0].basis
    assert (basis.kind, basis.seeds_a) == ("paired", [4, 5])
    assert basis.why == "same traces, seeds 4, 5; without 3 of A, 9 of B"
    assert found.accesses[0].n == 1200  # type: ignore[union-attr]


def test_other_accesses_are_no_pairs(results: Path, tmp_path: Path) -> None:
    ran(write(tmp_path, small(warm_up=100)), tmp_path / "out", "--quiet")
    found = differences(KeptResults.open(results / "a"), KeptResults.open(tmp_path / "out"))
    assert found.arms[0].basis.why == (
        "judged on other accesses (seed 3: 600 accesses from 0 on; 500 accesses from 100 on)"
    )
    assert rows_of(found, "none")["hit_ratio"]["verdict"] == "not comparable"


def test_one_seed_and_arms_of_two_names(results: Path) -> None:
    found = between(results, "some", "lone")
    assert (found.matched.only_a, found.matched.only_b) == (["wrong"], ["renamed"])
    assert found.accesses[0] == "the table accesses is not kept by both; run with output.accesses: true"
    assert list(found.told) == ["seeds", "output.accesses"]
    found = between(results, "some", "lone", arms=["wrong=renamed"])
    assert [(one.a, one.b) for one in found.arms][2] == ("wrong", "renamed")
    # The name that it has there is no difference of its settings.
    assert (found.config, found.matched.only_a, found.matched.only_b) == ({}, [], [])
    shown = call("compare", results / "some", results / "lone").stdout
    assert "Only in A: wrong\n" in shown
    assert "Only in B: renamed\n" in shown


def test_one_seed_each_is_too_few(results: Path, tmp_path: Path) -> None:
    path = write(tmp_path, small())
    ran(path, tmp_path / "three", "--quiet", "--seeds", "3")
    found = differences(KeptResults.open(tmp_path / "three"), KeptResults.open(results / "lone"))
    assert first_sentence(found) == (
        "No difference shown: the configs are the same but for the seeds (other traces of the same workload, seed 3 of "
        "A, 9 of B: one seed is too few to tell)."
    )
    # One that is the same for both is a pair, whose requests say more.
    ran(path, tmp_path / "slower", "--quiet", "--seeds", "3", "--set", SLOWER)
    found = differences(KeptResults.open(tmp_path / "three"), KeptResults.open(tmp_path / "slower"))
    row = rows_of(found, "none")["request_latency_ns"]
    assert (row["difference"], row["verdict"], row["n_pairs"]) == (pytest.approx(350), "worse", 600)
    assert "request latency of none +350 ns (" in first_sentence(found)


def test_what_was_timed_once_is_not_judged(tmp_path: Path) -> None:
    arms = ["none", {"name": "timed", "policy": "next_n", "charge": {"kind": "measured"}}]
    path = write(tmp_path, {**small(), "arms": arms})
    for name in ("a", "b"):
        ran(path, tmp_path / name, "--quiet")
    # As another machine would have it: each seed some 10 % slower.
    kept = Kept.load(tmp_path / "b")
    for (arm, *_), run in kept.runs.items():
        if arm == "timed":
            run.row["mean_latency_ns"] *= 1.1
    kept.write(kept.about)
    found = differences(KeptResults.open(tmp_path / "a"), KeptResults.open(tmp_path / "b"))
    row = rows_of(found, "timed")["mean_latency_ns"]
    assert row["p_holm"] < 0.05
    assert row["verdict"] == "not judged: timed once"
    first = first_sentence(found)
    assert first.startswith(
        "No difference shown: the configs are the same (latencies of timed were timed once in each, so that what moved "
        "with them is not judged: mean latency of timed +"
    )
    assert re.search(r" us \(\+\d+\.\d\d%\)\)\.$", first)
    assert rows_of(found, "none")["mean_latency_ns"]["verdict"] == "the same"


def test_versions_code_and_devices(results: Path, tmp_path: Path) -> None:
    made = Kept.load(results / "a")
    assert len(made.about["code"]) == 16
    other = Kept(tmp_path)
    other.runs = made.runs
    other.write(made.about | {"versions": made.about["versions"] | {"numpy": "1.0"}, "code": "another"})
    found = differences(KeptResults.open(results / "a"), KeptResults.open(tmp_path))
    assert found.made == {
        "versions.numpy": [made.about["versions"]["numpy"], "1.0"],
        "code": [made.about["code"], "another"],
    }
    for run in other.runs.values():
        run.row["hit_ratio"] += 0.01
    other.write(other.about)
    found = differences(KeptResults.open(results / "a"), KeptResults.open(tmp_path))
    assert first_sentence(found).startswith(
        "They differ in what came out, though the configs are the same; made otherwise (versions.numpy, code): hit "
        "ratio of none +0.0100 ("
    )


# -- accesses ----------------------------------------------------------------------------------------------------------
def test_accesses_against_a_join(results: Path) -> None:
    found = between(results, "a", "wider", n_most=7)
    changes = found.accesses[1]
    assert isinstance(changes, Changes)
    frames = [
        pd.concat([pd.read_parquet(results / name / "accesses" / f"next_n-{seed}.parquet") for seed in (3, 4, 5)])
        for name in ("a", "wider")
    ]
    joined = frames[0].merge(frames[1], on=["seed", "access"], suffixes=("_a", "_b"))
    counts = joined.groupby(["outcome_a", "outcome_b"], observed=True).size()
    assert {(p["a"], p["b"]): p["n"] for p in changes.pairs()} == {k: n for k, n in counts.items() if n}
    joined["change"] = joined["latency_ns_b"] - joined["latency_ns_a"]
    sums = joined.groupby(["outcome_a", "outcome_b"], observed=True)["change"].sum()
    assert {(p["a"], p["b"]): p["latency_difference_ns"] for p in changes.pairs()} == dict(sums)
    assert changes.n_moved == (joined["change"] != 0).sum() > 7
    most = joined.assign(size=-joined["change"].abs()).sort_values(["size", "seed", "access"]).head(7)
    assert [(c.seed, c.access, c.key, c.outcome_a, c.outcome_b) for c in changes.most] == list(
        most[["seed", "access", "key_a", "outcome_a", "outcome_b"]].itertuples(index=False, name=None)
    )
    shown = call("compare", results / "a", results / "wider", "--most", "1").stdout
    one = changes.most[0]
    assert f"      seed {one.seed}, access {one.access}, key {one.key}: {one.outcome_a} -> {one.outcome_b}, " in shown
    assert shown.count("      seed ") == 1


@given(data=st.data())
def test_accesses_are_merged_piece_by_piece(data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In any order within reach, in groups of any size, of accesses of which either side may lack some."""
    folder = tmp_path_factory.mktemp("pieces")
    sides = []
    for name in "ab":
        there = data.draw(st.lists(st.integers(0, 60), unique=True, max_size=50))
        rows = [(n, data.draw(st.integers(0, 4)), data.draw(st.integers(0, 9))) for n in there]
        sides.append(rows)
        _write(folder / name, rows, data.draw(st.integers(1, 20)))
    changes = Changes(3)
    changes.add(0, 0, folder / "a", folder / "b")
    a, b = ({n: (outcome, latency) for n, outcome, latency in rows} for rows in sides)
    both = sorted(a.keys() & b.keys())
    assert (changes.n, changes.n_only_a, changes.n_only_b) == (len(both), len(a) - len(both), len(b) - len(both))
    expected = Counter((OUTCOMES[a[n][0]], OUTCOMES[b[n][0]]) for n in both)
    assert {(p["a"], p["b"]): p["n"] for p in changes.pairs()} == expected
    order = sorted((n for n in both if a[n][1] != b[n][1]), key=lambda n: (-abs(a[n][1] - b[n][1]), n))
    assert [change.access for change in changes.most] == order[:3]


def _write(path: Path, rows: list[tuple[int, int, int]], group: int) -> None:
    n = len(rows)
    access, outcome, latency = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {name: np.zeros(n, np.int64) for name in SCHEMAS["accesses"].names} | {
        "access": access, "latency_ns": latency, "arm": ["x"] * n, "op": ["read"] * n, "shadow": ["hit"] * n,
        "outcome": [OUTCOMES[i] for i in outcome],
    }  # fmt: skip
    pq.write_table(pa.table(columns, schema=SCHEMAS["accesses"]), path, row_group_size=group)


def test_a_piece_is_no_longer_than_what_is_out_of_order(tmp_path: Path) -> None:
    """Memory: of a long file two groups are held at most."""
    n, group = 10_000, 100
    access = np.arange(n).reshape(-1, 4)[:, ::-1].ravel()
    _write(tmp_path / "a", [(int(i), 0, 0) for i in access], group)
    sizes = [len(piece.access) for piece in pieces(tmp_path / "a")]
    assert sum(sizes) == n
    assert max(sizes) <= 2 * group
    assert np.concatenate([piece.access for piece in pieces(tmp_path / "a")]).tolist() == list(range(n))


# -- configs -----------------------------------------------------------------------------------------------------------
def test_keys_that_differ() -> None:
    a = {"x": 1, "tiers": [{"name": "hbm", "n": 1}, {"name": "dram"}], "p": {"kind": "lru"}, "l": [{"c": 1}, {"c": 2}]}
    b = {
        "x": 1.0, "tiers": [{"name": "dram"}, {"name": "hbm", "n": 2}, {"name": "ssd"}], "p": {"kind": "s3", "r": [1]},
        "l": [{"c": 1}, {"c": 3}], "new": None,
    }  # fmt: skip
    assert differing([a, b]) == {
        "x": [1, 1.0],
        "tiers.hbm.n": [1, 2],
        "tiers.ssd": [ABSENT, {"name": "ssd"}],
        "p": [{"kind": "lru"}, {"kind": "s3", "r": [1]}],
        "l.1.c": [2, 3],
        "new": [ABSENT, None],
    }
    # The order alone, and lists of values, are one value each.
    assert differing([{"t": [{"name": "a"}, {"name": "b"}]}, {"t": [{"name": "b"}, {"name": "a"}]}]).keys() == {"t"}
    assert differing([{"s": [1, 2]}, {"s": [1, 3]}, {"s": [1, 2]}]) == {"s": [[1, 2], [1, 3], [1, 2]]}
    assert differing([a, a, a]) == {}


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        ("10485760 B", "10 MiB", 10485760), ("350 ns", "350 ns", 350), ("1234567 ns", "1234567 ns", 1234567),
        ("2000000 ns", "2 ms", 2000000), ("25000000000 B/s", "25 GB/s", 25000000000), ("lru", "lru", "lru"),
        (None, "null", None), (True, "true", True), (ABSENT, "-", None), ([1, 2], "[1, 2]", "[1, 2]"),
        ({"kind": "next_n", "n": 4, "t": None}, "next_n(n=4, t=null)", "next_n(n=4, t=null)"),
    ],
)  # fmt: skip
def test_values_as_somebody_would_write_them(value: Any, text: str, number: Any) -> None:
    assert value_text(value) == text
    assert number_of(value) == number


def test_values_that_would_read_the_same_are_said_in_full() -> None:
    assert texts_of(["1 B", "2 B"]) == ["1 B", "2 B"]
    assert texts_of(["1", 1]) == ["1", "1"]
    assert texts_of(["null", None]) == ["null", "null"]


# -- the command -------------------------------------------------------------------------------------------------------
def test_several_against_the_first(results: Path) -> None:
    found = call("compare", results / "a", results / "seeds", results / "slower")
    assert found.exit_code == 0, found.output
    first, second, *_ = found.stdout.splitlines()
    assert first.startswith(f"B, {results / 'seeds'}: No difference shown: ")
    assert second.startswith(f"C, {results / 'slower'}: They differ in the config (system.tiers.hbm.latency ")
    assert "\nC against A\n" in found.stdout
    content = compared(results / "a", results / "seeds", results / "slower")
    assert [one["differs"] for one in content["comparisons"]] == [False, True]
    of_none = content["comparisons"][1]["arms"][0]
    assert of_none["accesses"]["n_other_latency"] == of_none["accesses"]["n"] == 1800
    assert [row["verdict"] for row in of_none["metrics"]][1] == "worse"
    assert content["comparisons"][1]["config"] == [
        {"key": "system.tiers.hbm.latency", "a": "350 ns", "b": "700 ns", "lacks": []}
    ]


def test_what_json_has_no_number_for_is_null(results: Path, tmp_path: Path) -> None:
    made = Kept.load(results / "a")
    for run in made.runs.values():
        run.row["threshold"] = math.inf
    other = Kept(tmp_path)
    other.runs = made.runs
    other.write(made.about)
    found = call("compare", results / "a", tmp_path, "--json")
    content = json.loads(found.stdout, parse_constant=pytest.fail)
    assert content["comparisons"][0]["arms"][0]["others"] == [{"metric": "threshold", "a": None, "b": None}]


def test_compare_refuses(results: Path, tmp_path: Path) -> None:
    a, lone = results / "a", results / "lone"
    for arguments, message in (
        ([a], "is one result; expected two or more, or a folder with several variants"),
        ([a, tmp_path], "holds no results (no manifest.json)"),
        ([a, lone, "--arm", "wrong"], "--arm wrong: expected A_ARM=B_ARM"),
        ([a, lone, "--arm", "wrong=left"], "has no arm 'left'; expected one of none, next_n, renamed"),
        ([a, lone, "--arm", "wrong=renamed", "--arm", "none=renamed"], "one of the two is there twice"),
    ):
        found = call("compare", *arguments)
        assert (found.exit_code, found.stdout) == (2, ""), arguments
        assert message in found.stderr
        assert found.stderr.count("\n") == 1
    file = results / "seeds" / "accesses" / "none-6.parquet"
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[: len(whole) // 2])
        damaged = call("compare", results / "seeds", results / "seeds")
    finally:
        file.write_bytes(whole)
    assert damaged.exit_code == 2
    assert "none-6.parquet: cannot be read" in damaged.stderr
