"""Every column of ``runs`` and ``attribution`` once more, from the tables of rows, a replay, or the config."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from experiments.prepared import model_of
from simulator.accounting import SPANS
from tests.test_experiment import LSTM, call, table, write
from tests.test_trace_ids import COLUMNS
from tests.watched import Watched

N, N_TRAIN, WINDOW, SEED = 3000, 1500, 400, 0
STREAMS = (70, 30, 9)
LINKS = ("hbm_dram", "dram_ssd", "ssd_origin", "compute")
RATE = {"read_bandwidth": "10 GB/s", "write_bandwidth": "8 GB/s"}
SYSTEM = {
    "tiers": [
        {"name": "hbm", "capacity": "200 KiB", "latency": "300 ns", **RATE},
        {"name": "dram", "capacity": "300 KiB", "latency": "500 ns", **RATE},
        {"name": "ssd", "capacity": "500 KiB", "latency": "2 us", **RATE},
    ],
    "links": [
        {"call": "2 us", "channels": 1, **RATE},
        {"call": "5 us", "channels": 1, "blocks_per_call": 2, **RATE},
        {"call": "9 us", "channels": 2, **RATE},
    ],
    "origin": {"kind": "compute", "per_mib": "3 ms", "call": "4 us", "channels": 2, "enters": "first"},
    "prefetch": {"in_flight": 5, "queued": 2, "bytes": "40 KiB", "max_wait": "15 us"},
    "inference": {"mode": "async", "queue_limit": 1, "batch_size": 2, "stale_after": "20 us"},
}
ASYNC = {"kind": "fixed", "latency": "12 us"}
SYNC = {"system.inference.mode": "sync", "system.inference.stale_after": "7 us", "system.inference.servers": 2}
WAITS = {"system.inference.mode": "sync", "system.inference.stale_after": "1 s", "system.inference.servers": 3}
ARMS: list[dict[str, Any]] = [
    {"name": "none", "policy": {"kind": "none"}},
    {"name": "ahead", "policy": {"kind": "next_n", "n": 3, "trigger": "access"}, "charge": ASYNC},
    {"name": "sync", "policy": {"kind": "next_n", "n": 2}, "charge": {"kind": "fixed", "latency": "3 us"}, "set": SYNC},
    # Its inferences take what they take: the quantiles of that differ. Only its rows can be recomputed from. The clock
    # waits for each, so that there are as many on a slow machine.
    {"name": "lstm", "policy": {**LSTM, "epochs": 3, "in_gpu_memory": True}, "set": WAITS},
]
REPLAYED = ("none", "ahead", "sync")
# All that is run is judged; or the training part runs first, and the next 200 accesses are warm-up (rule R38).
STARTS: list[dict[str, Any]] = [{}, {"start": "warm", "warm_up": 200}]


def accesses() -> pd.DataFrame:
    """Three streams, each of requests of one to three blocks: runs of new keys, a loop, and hot keys; 15 % writes."""
    rng = np.random.default_rng(1)
    rows: list[tuple[int, int, int]] = []
    n_runs = dict.fromkeys(STREAMS, 0)
    for request in range(N):
        stream = int(rng.choice(STREAMS))
        kind, n_blocks = rng.integers(0, 3), int(rng.integers(1, 4))
        n_runs[stream] += n_blocks
        start = [1000 * stream + n_runs[stream], 500 + n_runs[stream] % 40, int(rng.zipf(1.3)) % 60][kind]
        rows += [(start + i, stream, request) for i in range(n_blocks)]
    # At the end a block is asked for whose next ones were there long ago: they are on their way when all is over.
    rows[N_TRAIN : N_TRAIN + 3] = [(9000 + i, *rows[N_TRAIN + i][1:]) for i in range(3)]
    rows[N - 1] = (8999, *rows[N - 1][1:])
    made = pd.DataFrame(rows[:N], columns=["key", "stream", "request"])
    size = 4096 + 1024 * (made["key"] % 4)
    # One of the loop is larger than any tier.
    return made.assign(size=size.where(made["key"] != 520, 600 * 1024), op=(rng.random(N) < 0.15).astype(int))


@pytest.fixture(scope="module", params=STARTS, ids=["cold", "warm"])
def experiment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("metrics")
    accesses().to_parquet(folder / "trace.parquet", index=False)
    source = {"kind": "table", "path": str(folder / "trace.parquet"), "columns": COLUMNS, "ops": "read=0 write=1"}
    workload = {"source": source, "arrivals": {"kind": "closed", "think": "5 us"}, "train_ratio": N_TRAIN / N,
                "reuse": "prefix"}  # fmt: skip
    content = {
        "name": "metrics", "seeds": [SEED], "workload": workload, "system": SYSTEM, "arms": ARMS, "baseline": "none",
        "output": {"window": WINDOW}, **request.param,
    }  # fmt: skip
    result = call(write(folder, content), "--out", folder / "out")
    assert result.exit_code == 0, result.output
    return folder


def settings_of(experiment: Path) -> tuple[str, int]:
    """How it started, and how much is warm-up."""
    content = yaml.safe_load((experiment / "config.yaml").read_text())
    return content.get("start", "cold"), content.get("warm_up", 0)


def judged_from(experiment: Path) -> int:
    return N_TRAIN + settings_of(experiment)[1]


@pytest.fixture(scope="module")
def runs(experiment: Path) -> pd.DataFrame:
    return table(experiment / "out", "runs.parquet").set_index("arm")


def rows_of(experiment: Path, name: str, arm: str) -> pd.DataFrame:
    return pd.read_parquet(experiment / "out" / name / f"{arm}-{SEED}.parquet", dtype_backend="pyarrow")


def ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def mean(values: pd.Series) -> float | None:
    return ratio(int(values.sum()), len(values))


def quantile(values: pd.Series, share: float) -> int | None:
    """The smallest value that so many do not exceed."""
    return int(values.sort_values().iloc[math.ceil(share * len(values)) - 1]) if len(values) else None


def from_rows(experiment: Path, arm: str) -> dict[str, Any]:
    a, p, q = (rows_of(experiment, name, arm) for name in ("accesses", "prefetches", "inferences"))
    n, f = a["outcome"].astype(str).value_counts(), p["fate"].astype(str).value_counts()
    hit, hit_prefetched, late, merged, miss = (
        int(n.get(name, 0)) for name in ("hit", "hit_prefetched", "late", "merged", "miss")
    )
    useful = int(p["first_used_ns"].notna().sum())
    missed = merged + miss
    # All questions have a row: a replay needs them. Those of accesses that are not judged count for nothing.
    q = q[(q["status"] != "warm_up") & (q["access"] >= judged_from(experiment))]
    began = 0 if settings_of(experiment)[0] == "cold" else int(a["issued_ns"].min())
    over = q[q["status"].isin(["answered", "stale"])]
    # Questions of a batch share one inference.
    batches = over.groupby("batch").first()
    judged = q[q["predicted_key"].notna() & q["next_key"].notna() & q["came_true"].notna()]
    timely, was_late = p[p["fate"] == "timely"], p[p["fate"] == "late"]
    slack, saved = timely["first_used_ns"] - timely["filled_ns"], was_late["saved_ns"]
    expected = {
        "n_train_accesses": int(a["access"].min()) - settings_of(experiment)[1], "n_accesses": len(a),
        "n_hit": hit, "n_hit_prefetched": hit_prefetched, "n_late": late, "n_merged": merged, "n_miss": miss,
        "n_proposed": int(q["n_proposed"].sum() + q["n_at_once"].sum()), "n_issued": len(p),
        "n_dropped_stale": int(q.loc[q["status"] == "stale", "n_proposed"].sum()),
        **{f"n_prefetch_{fate}": int(f.get(fate, 0)) for fate in
           ("timely", "late", "evicted_unused", "cancelled", "resident_unused", "in_flight")},
        "hit_ratio": ratio(hit + hit_prefetched, len(a)),
        "mean_latency_ns": mean(a["latency_ns"]),
        "p50_latency_ns": quantile(a["latency_ns"], 0.5), "p99_latency_ns": quantile(a["latency_ns"], 0.99),
        "p999_latency_ns": quantile(a["latency_ns"], 0.999),
        "mean_service_ns": mean(a["service_ns"]), "mean_queue_ns": mean(a["queue_ns"]),
        "mean_transfer_ns": mean(a["transfer_ns"]), "mean_inference_ns": mean(a["inference_ns"]),
        "latency_sum_ns": int(a["latency_ns"].sum()), "service_sum_ns": int(a["service_ns"].sum()),
        "inference_sum_ns": int(a["inference_ns"].sum()),
        "accuracy_ratio": ratio(useful, len(p)),
        "useful_ratio": ratio(useful, int(p["first_used_ns"].notna().sum() + p["evicted_ns"].notna().sum())),
        "coverage_ratio": ratio(useful, useful + missed),
        "lateness_ratio": ratio(len(was_late), useful),
        "p10_slack_ns": quantile(slack, 0.1), "p50_slack_ns": quantile(slack, 0.5),
        "p90_slack_ns": quantile(slack, 0.9),
        "mean_late_saved_ns": mean(saved), "p50_late_saved_ns": quantile(saved, 0.5),
        "n_asked": len(q),
        **{f"n_questions_{status}": int((q["status"] == status).sum()) for status in
           ("answered", "stale", "queue_full", "superseded", "pending_at_end")},
        "top1_ratio": ratio(int((judged["predicted_key"] == judged["next_key"]).sum()), len(judged)),
        "mean_inference_charged_ns": mean(batches["charged_ns"]),
        "p50_inference_charged_ns": quantile(batches["charged_ns"], 0.5),
        "p99_inference_charged_ns": quantile(batches["charged_ns"], 0.99),
        "p50_inference_host_ns": quantile(batches["host_ns"], 0.5),
        "p99_inference_host_ns": quantile(batches["host_ns"], 0.99),
        "end_ns": int((a["issued_ns"] + a["latency_ns"]).max()) - began,
    }  # fmt: skip
    # No time is told from another.
    expected["requests_per_time"] = accesses()["request"].nunique()
    shadow = a["shadow"].astype(str)
    is_missed = a["outcome"].isin(["merged", "miss"])
    asks = arm != "none"
    expected["n_shadow_miss"] = int((shadow == "miss").sum()) if asks else None
    expected["n_saved"] = int(((shadow == "miss") & ~is_missed).sum()) if asks else None
    expected["n_caused"] = int(((shadow == "hit") & is_missed).sum()) if asks else None
    return expected


@pytest.fixture(scope="module")
def watched(experiment: Path) -> dict[str, dict[str, Any]]:
    return {arm: Watched(model_of(experiment / "config.yaml", arm, SEED)).columns() for arm in REPLAYED}


def from_config(experiment: Path, runs: pd.DataFrame, arm: str) -> dict[str, Any]:
    policy = next(one["policy"]["kind"] for one in ARMS if one["name"] == arm)
    latencies = {"none": "free", "lstm": "measured"}.get(arm, "fixed")
    start, n_warm_up = settings_of(experiment)
    return {
        "seed": SEED, "repeat": 0, "policy": policy, "latencies": latencies, "start": start, "engine": "compiled",
        "n_train_accesses": N_TRAIN, "n_warm_up_accesses": n_warm_up, "has_settled": True,
    }  # fmt: skip


def from_training(experiment: Path) -> dict[str, Any]:
    """The LSTM's row of the epoch that was kept."""
    epochs = rows_of(experiment, "training", "lstm")
    kept = epochs[epochs["is_kept"]].iloc[0]
    names = ("validation_top1_ratio", "temperature", "ece_before_ratio", "ece_after_ratio")
    return {"train_s": epochs["train_s"].sum(), **{name: kept[name] for name in names}}


# What nothing says a second time: hashes, clocks, what the machine is, and what training came to.
NOT_TWICE = {
    "device", "latencies_backend", "trace_sha256", "wall_s", "wall_with_training_s", "model_hash",
    "backend", "backend_trial", "horizon", "threshold", "n_classes", "vocabulary_coverage_ratio", "model_was_cached",
    "footprint_bytes", "gpu_reserved_bytes", "gpu_process_bytes", "load_average",
    "host", "began_s", "ended_s",
    # test_controls has how models stand beside what needs no network.
    "named_ratio", "beats_control", "control", "control_top1_ratio", "n_restarts",
    # test_updates has what training in between took.
    "n_updates", "n_updates_over", "n_updates_preempted", "mean_update_charged_ns", "mean_update_age_ns",
    # test_lives has what requests are served in.
    "n_requests", "found_ratio", *(f"{q}_ttft_ns" for q in ("mean", "p50", "p90", "p99")),
    *(f"mean_{span}" for span in SPANS),
    # test_paced has what pauses and other work make of a question.
    "charge_pace", "charge_clock", "n_inferences_paced", "inference_pause_ns",
    *(f"{q}_inference_{pace}_ns" for q in ("p50", "p99") for pace in ("back_to_back", "simulated", "cold")),
}  # fmt: skip


def differing(found: pd.Series, expected: dict[str, Any]) -> Iterator[str]:
    for name, value in expected.items():
        ours, is_null = found[name], pd.isna(found[name])
        if is_null or value is None or isinstance(value, str):
            is_same = (is_null and value is None) or ours == value
        else:
            is_same = ours == pytest.approx(value, rel=1e-12)
        if not is_same:
            yield f"{name}: {ours} in the table, {value} once more"


def test_all_that_may_happen_happens(experiment: Path, runs: pd.DataFrame) -> None:
    """Else a wrong formula could give what the right one does."""
    a = pd.concat([rows_of(experiment, "accesses", arm) for arm in runs.index])
    assert set(a["stream"]) == set(STREAMS)
    assert set(a["op"]) == {"read", "write"}
    assert (a[a["arm"] == "none"].groupby("request").size() == 3).sum() > 100
    ahead = runs.loc["ahead"]
    of_config = ("n_train_accesses", "n_warm_up_accesses", "n_classes")
    counts = [name for name in runs if name.startswith("n_") and name not in of_config]
    nothing = {name for name in counts if name not in NOT_TWICE and not (runs.loc[list(REPLAYED), name] > 0).any()}
    # When the warm one is over no question happens to be open.
    assert nothing <= ({"n_questions_pending_at_end"} if settings_of(experiment)[0] == "warm" else set())
    assert 0 < ahead["prefix_hit_ratio"] < ahead["hit_ratio"]
    assert ahead["hbm_dram_write_back_queued_bytes_max"] > ahead["hbm_dram_write_back_queued_bytes_at_end"]
    assert len({ahead[f"n_prefetch_{fate}"] for fate in ("timely", "late", "evicted_unused", "cancelled")}) == 4
    for link in LINKS:
        kinds = {"compute": ("demand", "prefetch"), "ssd_origin": ("write_back",)}
        for kind in kinds.get(link, ("demand", "prefetch", "write_back")):
            assert ahead[f"{link}_{kind}_bytes"] > 0, (link, kind)
    assert (runs.loc["ahead", [f"{link}_queue_ns" for link in LINKS]] > 0).sum() >= 3
    assert runs.loc["sync", "mean_inference_ns"] > 0
    lstm = runs.loc["lstm"]
    assert lstm["p50_inference_charged_ns"] < lstm["p99_inference_charged_ns"]
    assert 0 < ahead["top1_ratio"] < 1
    assert (ahead["p10_slack_ns"], ahead["p50_slack_ns"]) < (ahead["p50_slack_ns"], ahead["p90_slack_ns"])


@pytest.mark.parametrize("arm", [arm["name"] for arm in ARMS])
def test_runs_once_more(experiment: Path, runs: pd.DataFrame, watched: dict[str, Any], arm: str) -> None:
    expected = from_config(experiment, runs, arm) | from_rows(experiment, arm)
    if arm in REPLAYED:
        expected |= watched[arm]
        expected["pollution_ratio"] = ratio(watched[arm]["n_pollution"], expected["n_miss"])
    else:
        expected |= from_training(experiment)
    assert list(differing(runs.loc[arm], expected)) == []


def test_no_column_of_runs_is_left_out(experiment: Path, runs: pd.DataFrame, watched: dict[str, Any]) -> None:
    known = from_config(experiment, runs, "sync") | from_rows(experiment, "sync") | watched["sync"]
    known |= from_training(experiment) | dict.fromkeys(["pollution_ratio"])
    assert set(runs.columns) == set(known) | NOT_TWICE


@pytest.mark.parametrize("arm", [arm["name"] for arm in ARMS])
def test_rows_are_of_what_is_judged(experiment: Path, arm: str) -> None:
    """Accesses, and prefetches that they asked for; questions of all that is run."""
    a, p, q = (rows_of(experiment, name, arm) for name in ("accesses", "prefetches", "inferences"))
    assert sorted(a["access"]) == list(range(judged_from(experiment), N))
    asked_at = q.set_index("inference")["access"]
    assert p["access"].tolist() == asked_at.loc[p["inference"]].tolist()
    assert set(p["access"]) <= set(a["access"])
    of_run = q.loc[q["status"] != "warm_up", "access"]
    assert arm == "none" or of_run.min() < (N_TRAIN if settings_of(experiment)[0] == "cold" else 0) + 5


@pytest.mark.parametrize("arm", REPLAYED)
def test_attribution_once_more(experiment: Path, watched: dict[str, Any], arm: str) -> None:
    a = rows_of(experiment, "accesses", arm)
    whole, expected = int(a["latency_ns"].sum()), [("service", None, int(a["service_ns"].sum()))]
    for link in LINKS:
        expected += [(name, link, watched[arm][f"{link}_{name}_ns"]) for name in ("queue", "transfer")]
    expected.append(("inference", None, int(a["inference_ns"].sum())))
    found = table(experiment / "out", "attribution.parquet").query("arm == @arm")
    assert set(found.columns) == {"arm", "seed", "repeat", "component", "link", "sum_ns", "mean_ns", "share_ratio"}
    assert found["seed"].tolist() == [SEED] * len(expected)
    assert found["repeat"].tolist() == [0] * len(expected)
    links = [None if pd.isna(link) else link for link in found["link"]]
    assert list(zip(found["component"], links, found["sum_ns"], strict=True)) == expected
    assert found["mean_ns"].tolist() == pytest.approx([ns / len(a) for *_, ns in expected])
    assert found["share_ratio"].tolist() == pytest.approx([ns / whole for *_, ns in expected])


@pytest.mark.parametrize("arm", [arm["name"] for arm in ARMS])
def test_windows_once_more(experiment: Path, arm: str) -> None:
    a, found = rows_of(experiment, "accesses", arm), rows_of(experiment, "windows", arm)
    first = judged_from(experiment)
    of = a.groupby((a["access"] - first) // WINDOW)
    assert found["window"].tolist() == sorted(of.groups) == list(range(-(-(N - first) // WINDOW)))
    assert found["first_access"].tolist() == [first + i * WINDOW for i in found["window"]]
    for name in ("hit", "hit_prefetched", "late", "merged", "miss"):
        assert found[f"n_{name}"].tolist() == of["outcome"].apply(lambda x, n=name: int((x == n).sum())).tolist()
    for name in ("latency_ns", "inference_ns"):
        assert found[f"mean_{name}"].tolist() == pytest.approx(of[name].mean().tolist())
