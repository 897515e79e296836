"""What is judged: one cut for all arms, cold and warm starts, phases, and what the closing lines say."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.compare import COMPARED, compare
from experiments.compare.warm_up import mser5
from experiments.loading import load
from experiments.phases import phases_of
from experiments.prepared import model_of
from experiments.settling import Cut, cut_of
from simulator.trace import MOST_BYTES
from tests.strategies import workload
from tests.test_bad_input import refuse
from tests.test_experiment import call, config, lstm_arm, table, write
from workloads.sizes import Sizes, sizes_of

PLAIN: list[dict[str, Any]] = [
    {"name": "none", "policy": {"kind": "none"}},
    {"name": "next_n", "policy": {"kind": "next_n"}},
    {"name": "stride", "policy": {"kind": "stride"}},
]


def ran(tmp_path: Path, name: str = "out", *options: str, **changes: Any) -> tuple[Path, str]:
    out = tmp_path / name
    result = call(write(tmp_path, config(arms=PLAIN, **changes)), "--out", out, *options)
    assert result.exit_code == 0, result.output
    return out, result.output


@pytest.mark.parametrize(("warm_up", "expected"), [("none", 0), (0, 0), (100, 100), (0.25, 150)])
def test_one_cut_for_all_arms(tmp_path: Path, warm_up: Any, expected: int) -> None:
    whole, _ = ran(tmp_path, "whole")
    out, _ = ran(tmp_path, warm_up=warm_up)
    runs, accesses = table(out, "runs.parquet"), table(out, "accesses")
    assert set(runs["n_warm_up_accesses"]) == {expected}
    assert set(runs["n_accesses"]) == {600 - expected}
    # The simulation is the same, and counts from there on.
    before = table(whole, "accesses")
    before = before[before["access"] >= 600 + expected].reset_index(drop=True)
    pd.testing.assert_frame_equal(accesses, before)
    mean = runs.set_index(["arm", "seed"])["mean_latency_ns"]
    for run, latency_ns in accesses.astype({"arm": str}).groupby(["arm", "seed"])["latency_ns"].mean().items():
        assert mean[run] == pytest.approx(latency_ns)
    # What is compared is what the table above shows: the difference of requests is that of the means.
    inside = table(out, "comparisons.parquet")
    inside = inside[inside["basis"] == "trace"]
    for row in inside.itertuples():
        assert row.difference == pytest.approx(mean[row.arm, row.seed] - mean["none", row.seed])
        assert row.n_pairs == 600 - expected


def test_the_baseline_says_when_it_has_settled(tmp_path: Path) -> None:
    # 40 keys fit: the first round misses, and then all hits.
    system = config()["system"]
    system["tiers"][0]["capacity"] = "1 MiB"
    whole, _ = ran(tmp_path, "whole", system=system)
    out, text = ran(tmp_path, system=system, warm_up="mser5")
    rows = table(whole, "accesses")
    for seed, run in table(out, "runs.parquet").groupby("seed"):
        latency = rows[(rows["arm"] == "none") & (rows["seed"] == seed)].sort_values("access")["latency_ns"]
        assert set(run["n_warm_up_accesses"]) == {mser5(latency.to_numpy(float))[0]} == {40}
    assert "560 accesses each after 40 of warm-up (mser5 of none)" in text
    experiment = load(write(tmp_path, config(arms=PLAIN, system=system, warm_up="mser5")))[""]
    assert cut_of(experiment, 0) == Cut(40)
    assert model_of(tmp_path / "config.yaml", "none").ledger.books.first_access == 640


def test_a_warm_start_is_the_whole_trace_judged_from_the_middle(tmp_path: Path) -> None:
    source = {"kind": "zipf", "accesses": 1200, "block": "4 KiB", "n_keys": 200, "exponent": 1.0}
    arrivals = {"kind": "closed", "think": "1 ms"}
    cold, _ = ran(tmp_path, "cold", workload={"source": source, "arrivals": arrivals, "train_ratio": 0.5})
    warm, text = ran(tmp_path, workload={"source": source, "arrivals": arrivals, "train_ratio": 0.5}, start="warm")
    whole, _ = ran(tmp_path, "whole", workload={"source": source, "arrivals": arrivals})
    expected = table(whole, "accesses")
    expected = expected[expected["access"] >= 600].reset_index(drop=True)
    pd.testing.assert_frame_equal(table(warm, "accesses"), expected)
    ratio = {out: table(out, "runs.parquet").query("arm == 'none'")["hit_ratio"].mean() for out in (cold, warm)}
    assert ratio[warm] > ratio[cold]
    assert set(table(warm, "runs.parquet")["start"]) == {"warm"}
    assert "started warm" in text
    # It is another experiment, in another folder.
    both = [load(write(tmp_path, config(start=start)))[""].folder_hash() for start in ("cold", "warm")]
    assert both[0] != both[1]


def test_a_learned_policy_starts_warm_and_is_replayed(tmp_path: Path) -> None:
    arms = [PLAIN[0], lstm_arm({"kind": "fixed", "latency": "20 us"})]
    out = tmp_path / "out"
    for charge in ("one_by_one", "batched"):
        arms[1]["policy"]["predictions"] = charge
        result = call(write(tmp_path, config(arms=arms, seeds=[0], start="warm")), "--out", tmp_path / charge)
        assert result.exit_code == 0, result.output
    a, b = (table(tmp_path / charge, "accesses").query("arm == 'lstm'") for charge in ("one_by_one", "batched"))
    pd.testing.assert_frame_equal(a, b)
    # Questions of the training part were put and answered, and are not counted.
    asked = table(tmp_path / "batched", "inferences").query("arm == 'lstm' and status != 'warm_up'")
    assert len(asked) == 1200
    assert table(tmp_path / "batched", "runs.parquet")["n_asked"].tolist() == [0, 600]
    assert not out.exists()


@pytest.mark.parametrize("warm_up", ["some", -1, 1.0, 2.5, True, None])
def test_bad_warm_up(tmp_path: Path, warm_up: Any) -> None:
    refuse(tmp_path, config(arms=PLAIN, warm_up=warm_up), "warm_up: expected none, mser5, a number of accesses")


def test_nothing_left_to_judge(tmp_path: Path) -> None:
    refuse(tmp_path, config(arms=PLAIN, warm_up=600), "warm_up: 600 leaves none of 600 accesses to judge on")
    workload = {"source": config()["workload"]["source"]}
    refuse(tmp_path, config(arms=PLAIN, start="warm", workload=workload), "start: warm", "train_ratio is 0")
    refuse(tmp_path, config(arms=PLAIN, repeats=0), "repeats")


# -- phases ---------------------------------------------------------------------------------------------------------
PHASES: dict[str, Any] = {
    "kind": "phases",
    "rounds": 3,
    "phases": [
        {"kind": "sequential", "accesses": 300, "block": "4 KiB", "first_key": 1000},
        {"kind": "random", "accesses": 301, "block": "4 KiB", "n_keys": 50},
        {"kind": "sequential", "accesses": 2, "block": "4 KiB", "first_key": 9000},
    ],
}


def test_where_phases_begin() -> None:
    from pydantic import TypeAdapter

    from workloads.registry import Source

    source: Any = TypeAdapter(Source).validate_python(PHASES)
    found = phases_of(source.build(0))
    assert found[:4] == [(0, "sequential 1"), (100, "random"), (200, "sequential 1"), (300, "random")]
    # 301 in thirds: 100, 100, 101; 2 in thirds: 0, 1, 1, and a turn of nothing is none.
    assert [first for first, _ in found] == [0, 100, 200, 300, 400, 401, 501, 602]
    sliced: Any = TypeAdapter(Source).validate_python(
        {"kind": "slice", "first": 150, "accesses": 100, "source": PHASES}
    )
    assert phases_of(sliced.build(0)) == [(0, "random"), (50, "sequential 1")]


def test_each_arm_by_phase(tmp_path: Path) -> None:
    workload = {"source": PHASES, "arrivals": {"kind": "closed", "think": "1 ms"}, "train_ratio": 0.2}
    out, text = ran(tmp_path, "out", "--by", "phase", workload=workload)
    found, accesses, prefetches = table(out, "by_phase.parquet"), table(out, "accesses"), table(out, "prefetches")
    starts = np.array([0, 100, 200, 300, 400, 401, 501, 602])
    names = np.array(["sequential 1", "random", "sequential 1", "random", "sequential 3", "sequential 1", "random"])
    names = np.append(names, "sequential 3")
    for rows in (accesses, prefetches):
        rows["phase"] = names[np.searchsorted(starts, rows["access"], side="right") - 1]
        rows["arm"] = rows["arm"].astype(str)
    keys = ["arm", "seed", "phase"]
    by = found.set_index(keys).sort_index()
    expected = accesses.groupby(keys)["latency_ns"].agg(["mean", "size"])
    assert np.allclose(by["mean_latency_ns"], expected["mean"])
    assert (by["n_accesses"] == expected["size"]).all()
    outcomes = accesses.groupby(keys)["outcome"].value_counts().unstack(fill_value=0)
    for outcome in ("hit", "hit_prefetched", "miss"):
        assert (by[f"n_{outcome}"] == outcomes.get(outcome, 0)).all()
    issued = prefetches.groupby(keys).size().reindex(by.index, fill_value=0)
    assert (by["n_issued"] == issued).all()
    timely = prefetches[prefetches["fate"] == "timely"].groupby(keys).size().reindex(by.index, fill_value=0)
    assert (by["n_prefetch_timely"] == timely).all()
    assert timely.sum() > 100
    assert "Mean latency and hit ratio by phase" in text


def test_phases_that_there_are_not(tmp_path: Path) -> None:
    refuse(tmp_path, config(arms=PLAIN), "has no phases (source pointer_chase)", arguments=("--by", "phase"))
    workload = {"source": PHASES}
    few = config(arms=PLAIN, workload=workload, output={"accesses": False})
    refuse(tmp_path, few, "--by phase: needs a row of every access", arguments=("--by", "phase"))


# -- what is said ---------------------------------------------------------------------------------------------------
def test_the_best_arm_is_named_where_it_is_shown(tmp_path: Path) -> None:
    # Of a pointer chase whose nodes lie apart, neither next_n nor stride knows anything: all three are alike.
    chase = {"kind": "pointer_chase", "accesses": 1200, "block": "4 KiB", "n_keys": 40, "spacing": 8}
    _, text = ran(tmp_path, workload={**config()["workload"], "source": chase})
    assert "Lowest mean latency: not settled between none" in text
    source = {"kind": "sequential", "accesses": 1200, "block": "4 KiB"}
    arms = [PLAIN[0], PLAIN[1]]
    workload = {"source": source, "arrivals": {"kind": "closed", "think": "1 ms"}, "train_ratio": 0.5}
    result = call(write(tmp_path, config(arms=arms, workload=workload)), "--out", tmp_path / "better")
    assert "Lowest mean latency: next_n" in result.output
    assert "not settled" not in result.output
    # The same with each seed: one sample, which its requests compare.
    found = table(tmp_path / "better", "comparisons.parquet").set_index(["metric", "basis"])["verdict"]
    assert found["mean_latency_ns", "seeds"] == "too few samples to tell"
    assert set(found["request_latency_ns", "trace"]) == {"better"}


def test_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.notes import notes as notes_of

    def notes(experiment: Any, rows: list[dict[str, Any]]) -> list[str]:
        return notes_of(experiment, rows, Sizes(4096))

    experiment = load(write(tmp_path, config(arms=[PLAIN[0], lstm_arm({"kind": "measured"})])))[""]
    usual = {
        "seed": 0, "repeat": 0, "requests_per_time": 1.0, "n_bypassed": 0, "n_issued": 10, "accuracy_ratio": 0.0,
        "load_average": 3.2, "p50_inference_charged_ns": 100.0, "mean_inference_charged_ns": 199.0,
        "p99_inference_charged_ns": 999.0, "has_settled": True, "n_evicted": 0, "resident_bytes": 100 * 1024,
        "footprint_bytes": 0, "n_asked": 100, "n_questions_answered": 50, "n_questions_superseded": 50,
        "n_proposed": 1000, "n_rejected_budget": 200,
        **dict.fromkeys((f"n_questions_{end}" for end in ("stale", "queue_full", "pending_at_end")), 0),
        **dict.fromkeys(COMPARED, 0.5),
        **{f"{link}_write_back_queued_bytes_max": 0 for link in experiment.system.link_names()},
    }  # fmt: skip
    rows: list[dict[str, Any]] = [{**usual, "arm": "lstm", "latencies": "measured"}]
    (of_noise,) = notes(experiment, rows)
    assert "lstm: measured once a seed, so the machine's own noise is not in the intervals" in of_noise
    again = experiment.model_copy(update={"repeats": 2})
    assert notes(again, rows) == []
    (uneven,) = notes(again, [rows[0] | {"mean_inference_charged_ns": 250.0}])
    assert uneven.startswith(
        "lstm, seed 0: the mean charged, 250 ns, is 2.5 times the median: other load (load average 3.2"
    )
    assert "the p99 charged, 1.1 us, is 11.0 times" in notes(again, [rows[0] | {"p99_inference_charged_ns": 1100.0}])[0]
    assert notes(again, [rows[0] | {"n_issued": 1000}]) == ["lstm: not one of 1,000 prefetches was of use."]
    assert notes(again, [rows[0] | {"n_issued": 1000, "accuracy_ratio": 0.1}]) == []
    overloaded = {"n_asked": 1100, "n_questions_superseded": 1049, "n_questions_pending_at_end": 1}
    assert notes(again, [rows[0] | overloaded]) == [
        "lstm: of 1,100 questions 50 were answered in time: 1,049 superseded by a newer one of their stream, 1 open at "
        "the end."
    ]
    assert "Blocks larger than tier 0 pass by: 7" in notes(again, [rows[0] | {"n_bypassed": 7}])[0]
    tier, link = experiment.system.tiers[0], experiment.system.link_names()[0]
    column = f"{link}_write_back_queued_bytes_max"
    (outrun,) = notes(again, [rows[0] | {column: 2 * tier.capacity}])
    assert outrun.startswith(
        f"lstm: up to {2 * tier.capacity:,} B waited to be written down from {tier.name}, 2.0 times"
    )
    assert notes(again, [rows[0] | {column: tier.capacity}]) == []
    # Of an arm with a system of its own: that one's tiers, links and bounds.
    for path, value, n_lines in (("name", "other", 1), ("capacity", "1 GiB", 0), ("write_back", {"blocks": 1}, 0)):
        arm = again.arms[1].model_copy(update={"set": {f"system.tiers.0.{path}": value}})
        changed = again.model_copy(update={"arms": (again.arms[0], arm)})
        links = changed.system_of(arm).link_names()
        row = {name: value for name, value in rows[0].items() if "queued" not in name}
        row |= {f"{name}_write_back_queued_bytes_max": 0 for name in links}
        row[f"{links[0]}_write_back_queued_bytes_max"] = 2 * tier.capacity
        said = [note for note in notes(changed, [row]) if "waited to be written down" in note]
        assert len(said) == n_lines
    (refused,) = notes(again, [rows[0] | {"n_rejected_budget": 201}])
    assert refused.startswith("lstm: of 1,000 blocks that it proposed the budget refused 201: system.prefetch, {in")
    assert notes(again, [rows[0] | {"n_proposed": 999, "n_rejected_budget": 998}]) == []
    # In a closed loop nobody looks at arrival times.
    assert notes(again, [rows[0] | {"requests_per_time": 16.9}]) == []
    # Each says what is the case, and only then.
    settled = again.model_copy(update={"warm_up": "mser5"})
    of_cut = notes(settled, [rows[0] | {"seed": 2}, rows[0] | {"seed": 1, "has_settled": False}])
    assert len(of_cut) == 1
    assert "no point from which on none has settled (seed 1): half of its requests is cut" in of_cut[0]


def test_a_note_on_conversations_in_a_closed_loop(tmp_path: Path) -> None:
    """Their pauses are what they are about; an open loop has them, and other workloads have none."""
    source = {"kind": "kv_sessions", "requests": 30, "block": "4 KiB"}
    for kind, arrivals in (("closed", {"kind": "closed"}), ("open", {"kind": "open"})):
        content = config(arms=PLAIN[:1], seeds=[0], workload={"source": source, "arrivals": arrivals})
        text = " ".join(call(write(tmp_path, content), "--out", tmp_path / kind).output.split())
        assert ("arrivals: closed leaves out the times that kv_sessions makes" in text) == (kind == "closed")


def test_a_note_on_seeds_that_are_all_the_same(tmp_path: Path) -> None:
    """Of a recorded trace, with policies that draw nothing: an interval of no width would look like certainty."""
    (tmp_path / "trace.csv").write_text("key\n" + "".join(f"{i * i % 97}\n" for i in range(400)))
    source = {"kind": "table", "path": str(tmp_path / "trace.csv"), "block": "4 KiB", "columns": {"key": "key"}}
    recorded = config(arms=PLAIN[:2], seeds=[0, 1]) | {"warm_up": "none"}
    recorded["workload"] = {**recorded["workload"], "source": source}
    path, said = write(tmp_path, recorded), "next_n: as none, the same with each of 2 seeds, so these are one sample"
    assert said in " ".join(call(path, "--out", tmp_path / "out").output.split())
    assert said not in " ".join(call(path, "--out", tmp_path / "one", "--seeds", "0").output.split())
    drawn = write(tmp_path, config(arms=PLAIN[:2], seeds=[0, 1]), "drawn.yaml")
    assert "the same with each" not in " ".join(call(drawn, "--out", tmp_path / "drawn").output.split())


def test_a_note_on_repeats_that_are_all_the_same(tmp_path: Path) -> None:
    """A table's look-ups are charged 0 ns: an interval of no width would look like certainty."""
    from experiments.notes import notes

    arms = [PLAIN[0], {**PLAIN[1], "charge": {"kind": "measured"}}]
    text = " ".join(call(write(tmp_path, config(arms=arms, repeats=2)), "--out", tmp_path / "out").output.split())
    assert "next_n: its 2 repeats came out identical (what a table answers takes 0 ns): there is no noise" in text
    experiment = load(tmp_path / "config.yaml")[""]
    rows = table(tmp_path / "out", "runs.parquet").astype(object).where(lambda x: x.notna(), None).to_dict("records")
    assert sum("came out identical" in note for note in notes(experiment, rows, Sizes(4096))) == 1
    # One run that differs is noise.
    rows[-1]["p99_latency_ns"] += 1
    assert not any("came out identical" in note for note in notes(experiment, rows, Sizes(4096)))


def test_a_note_on_a_baseline_that_never_settles(tmp_path: Path) -> None:
    """It gets faster only near the end, where the last keys come back and back."""
    phases = [
        {"kind": "sequential", "accesses": 700, "block": "4 KiB", "first_key": 1000},
        {"kind": "random", "accesses": 500, "block": "4 KiB", "n_keys": 3},
    ]
    workload = {**config()["workload"], "source": {"kind": "phases", "phases": phases}, "train_ratio": 0.0}
    out, text = ran(tmp_path, workload=workload, warm_up="mser5")
    assert "mser5 found no point from which on none has settled (seeds 0, 1)" in " ".join(text.split())
    runs = table(out, "runs.parquet")
    assert set(runs["n_warm_up_accesses"]) == {600}
    assert not runs["has_settled"].any()


@pytest.mark.parametrize("engine", ["compiled", "simpy"])
def test_a_note_on_a_tier_that_never_filled(tmp_path: Path, engine: str) -> None:
    """40 blocks of 4 KiB are 160 KiB: in 164 one more would fit, in 163 none; 100 evict."""
    for capacity, expected in ((164, True), (160, False), (163, False), (100, False)):
        system = config()["system"]
        system["tiers"][0]["capacity"] = f"{capacity} KiB"
        out, text = ran(tmp_path, f"{capacity}", system=system, engine=engine, seeds=[0])
        said = f"none, stride: tier 0 never filled: at most 160 KiB of {capacity} KiB were used"
        assert (said in " ".join(text.split())) == expected
        runs = table(out, "runs.parquet").set_index("arm")
        assert (runs.loc["none", "n_evicted"] > 0) == (capacity == 100)
        assert runs.loc["none", "resident_bytes"] == min(capacity // 4 * 4, 160) * 1024


def test_a_note_on_sizes_that_change(tmp_path: Path) -> None:
    keys = np.arange(1200) % 40
    sizes = np.where((keys == 7) & (np.arange(1200) > 500), 8192, 4096) + 512 * (np.arange(1200) == 30)
    pd.DataFrame({"key": keys, "size": sizes}).to_parquet(tmp_path / "trace.parquet")
    columns = {"key": "key", "size_bytes": "size"}
    for n_changing, name in ((2, "trace"), (0, "same")):
        if name == "same":
            pd.DataFrame({"key": keys, "size": 4096 + keys}).to_parquet(tmp_path / "same.parquet")
        source = {"kind": "table", "path": str(tmp_path / f"{name}.parquet"), "columns": columns}
        _, text = ran(tmp_path, name, workload={**config()["workload"], "source": source})
        said = f"Sizes change between accesses: those of {n_changing} keys, such as 7 from 4,096 to 8,192 bytes"
        assert (said in " ".join(text.split())) == (n_changing > 0)
        assert ("change between accesses" in text) == (n_changing > 0)


@given(
    keys=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=60), data=st.data(),
    batch_size=st.integers(1, 70), merge_every=st.integers(1, 30),
)  # fmt: skip
def test_sizes_against_a_plain_loop(keys: list[int], data: Any, batch_size: int, merge_every: int) -> None:
    sizes = data.draw(st.lists(st.integers(1, 3) | st.just(2**32 - 1), min_size=len(keys), max_size=len(keys)))
    of_key: dict[int, list[int]] = {}
    for key, size in zip(keys, sizes, strict=True):
        of_key.setdefault(key, []).append(size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workloads.sizes._MERGE_EVERY", merge_every)
        found = sizes_of(workload(keys, batch_size, size_bytes=sizes))
    assert found.smallest == min(sizes, default=MOST_BYTES)
    assert found.n_resized == sum(len(set(of)) > 1 for of in of_key.values())
    widest = max((max(of) - min(of) for of in of_key.values()), default=0)
    if found.widest is None:
        assert widest == 0
    else:
        key, low, high = found.widest
        assert (low, high, high - low) == (min(of_key[key]), max(of_key[key]), widest)


def test_an_arm_that_is_not_repeated_is_the_same_in_every_repeat() -> None:
    rows = [{"arm": "a", "seed": s, "repeat": 0, "mean_latency_ns": 100.0 + s} for s in (0, 1)]
    rows += [{"arm": "b", "seed": s, "repeat": r, "mean_latency_ns": 90.0 + s + r} for s in (0, 1) for r in (0, 1, 2)]
    (row,) = compare(rows, "a")
    # Repeats of -10, -9, -8 in both seeds: the machine is all that varies. t(0.975, 2) = 4.3027, error sqrt(2 / 6).
    assert (row["n_pairs"], row["n_repeats"], row["difference"], row["baseline_mean"]) == (2, 3, -9, 100.5)
    half = 4.30265 * np.sqrt(2 / 6)
    assert (row["low"], row["high"]) == pytest.approx((-9 - half, -9 + half), rel=1e-5)
    assert row["method"] == "random effects of seeds and repeats"
    assert row["n_to_settle"] is None
