"""A live cache and the simulator side by side: what is scaled, what is measured first, and what is compared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from experiments import command
from experiments.charts.style import Arms
from experiments.charts.validation import validation
from experiments.compare.seeds import over_runs
from experiments.loading import load, only
from experiments.plot import Format, drawn
from experiments.progress import RunProgress, make_console
from experiments.provenance import provenance
from experiments.results import KeptResults, table_of
from experiments.validate import app
from experiments.validation.compared import Pair, compared, differ_ratio, order_of, pairs
from experiments.validation.everything import EveryKey
from experiments.validation.fitted import with_costs
from experiments.validation.machine import machine_of
from experiments.validation.scaled import scaled
from experiments.validation.taken import Costs, calls_of
from experiments.validation.told import Validated, error_text, lines, print_validated
from experiments.validation.whole import all_figures
from experiments.variants import opened as open_kept
from live import MemoryStore
from live.contents import fill, version_of
from simulator.config import System
from simulator.errors import InputError
from simulator.hops import hops_of
from simulator.records.rows import TransferRow
from tests.dram_over_file import CONFIGS, MACHINE, machine, scaled_to, wanted

runner = CliRunner()
BLOCK = 65536


def test_tiers_hold_as_many_blocks_as_the_configs_and_are_the_machines() -> None:
    found = scaled_to("mixed")
    (tier,) = found.experiment.system.tiers
    assert (tier.name, tier.capacity, tier.latency) == ("dram", 160 * BLOCK, 2000)
    assert found.experiment.system.links[0].channels == 4
    # 84 MiB an expert become 64 KiB, and 85 fit as before.
    experts = scaled_to("moe_experts")
    assert experts.experiment.system.tiers[0].capacity == 85 * BLOCK
    batch = next(experts.experiment.workload.source.build(0).batches())
    assert set(batch.size_bytes.tolist()) == {BLOCK}
    assert "blocks of 64 KiB (were 84 MiB)" in experts.changes


def test_arrivals_become_loops_and_a_piece_is_taken() -> None:
    found = scaled_to("cloudphysics", accesses=500, think="3 ms")
    arrivals, source = found.experiment.workload.arrivals, found.experiment.workload.source
    assert (arrivals.kind, arrivals.think) == ("closed", 3_000_000)
    assert source.build(0).length() == 500
    assert "the first 500 of 113,872 accesses" in found.changes


def test_arms_that_nobody_can_run_are_left_out_with_the_reason() -> None:
    found = scaled_to("moe_experts")
    arms = [arm.name for arm in found.experiment.arms]
    assert "hybrid" in arms
    assert "lstm" in arms
    assert not {"lstm_free", "gru_layer", "gate"} & set(arms)
    assert "needs layer" in found.left_out["gru_layer"]
    assert {arm.charged.kind for arm in found.experiment.arms} == {"measured"}


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("mixed", {"arms": "none,lstmm"}, r"--arms lstmm: .*expected some of none, next_n, lstm"),
        ("moe_experts", {"arms": "lstm_free"}, r"--arms lstm_free: its charge is free"),
        ("mixed", {"block": "5000 B"}, r"--block 5000 B: is 5000 B; expected a multiple of 4096 B"),
        ("mixed", {"think": "fast"}, r"--think fast"),
        ("mixed", {"store": Path("/nowhere")}, r"--store /nowhere: no such folder"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, more: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        scaled_to(name, **more)


def test_a_machine_with_more_tiers_than_the_config_is_refused() -> None:
    tier = "  - {name: NAME, capacity: 1 GB, latency: 2 us, read_bandwidth: 10 GB/s, write_bandwidth: 10 GB/s}\n"
    link = "  - {call: 300 us, read_bandwidth: 1 GB/s, write_bandwidth: 1 GB/s, channels: 4}\n"
    tiers = "".join(tier.replace("NAME", name) for name in ("a", "b", "c"))
    text = f"tiers:\n{tiers}links:\n{3 * link}origin: {{kind: store}}\n"
    with pytest.raises(InputError, match="has 3 tiers over its last level, and the config 2"):
        scaled_to("mixed", text=text)


def transfers(*spans: tuple[int, int, int]) -> Any:
    """Rows of (began, ended, is_down), in order of beginning."""
    rows = np.zeros(len(spans), TransferRow.dtype)
    for row, (began, ended, is_down) in zip(rows, spans, strict=True):
        row["started_ns"], row["ended_ns"], row["is_down"] = began, ended, is_down
    return rows


def test_calls_are_told_by_how_many_are_on_the_link_as_they_begin() -> None:
    # The third begins as the first ends, and beside the second; the last is alone again.
    found = calls_of(transfers((0, 10, 0), (5, 25, 0), (10, 30, 1), (40, 47, 0)), since_ns=0)
    assert {cell: taken.tolist() for cell, taken in found.items()} == {
        (0, False, 1): [10, 7], (0, False, 2): [20], (0, True, 2): [20],
    }  # fmt: skip
    assert {*calls_of(transfers((0, 10, 0), (5, 25, 0)), since_ns=5)} == {(0, False, 2)}


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def moved_ns(bytes_per_s: int) -> int:
    return round(BLOCK * 1e9 / bytes_per_s)


def test_a_system_takes_what_the_cache_takes() -> None:
    costs = Costs(
        hits=ints(30_000, 40_000), puts=ints(50_000), misses=ints(500_000),
        calls={(0, False, 1): ints(390_000, 410_000), (0, False, 2): ints(600_000), (0, True, 1): ints(450_000)},
        rest_ns=65_000,
    )  # fmt: skip
    system = System.model_validate(with_costs(machine(), costs, BLOCK))
    tier, (hop,) = system.tiers[0], hops_of(system)
    assert tier.latency + moved_ns(tier.read_bandwidth) == pytest.approx(35_000, abs=2)
    assert tier.latency + moved_ns(tier.write_bandwidth) == pytest.approx(50_000, abs=2)
    # What a miss takes beside calls and service goes with its call; a write-back's call is its own.
    assert (hop.duration(BLOCK), hop.duration(BLOCK, down=True)) == (465_000, 450_000)
    table = system.links[0].table
    assert table is not None
    assert (table.at_once, table.read[1][0], table.write) == ((1, 2), 665_000, ((450_000, 900_000),) * 2)


def figures(**means: list[float]) -> dict[Any, dict[str, float]]:
    """Of each arm a mean latency in each repeat."""
    return {
        (arm, 0, repeat): {"mean_latency_ns": value, "hit_ratio": value / 1000}
        for arm, values in means.items()
        for repeat, value in enumerate(values)
    }


def test_errors_are_paired_run_by_run() -> None:
    live, simulated = figures(a=[100, 200]), figures(a=[110, 180])
    by_metric = {row.metric: row for row in compared(live, simulated)}
    time, ratio = by_metric["mean_latency_ns"], by_metric["hit_ratio"]
    # +10 % and -10 %, not the error of the means.
    assert (time.live, time.simulated) == (150, 145)
    assert time.error.mean == pytest.approx(0.0, abs=1e-12)
    assert time.error.low < -0.5 < 0.5 < time.error.high
    assert ratio.error.mean == pytest.approx(-0.005)


def test_the_order_and_who_is_told_apart() -> None:
    live, simulated = figures(a=[100, 102, 101], b=[150, 152, 149], c=[101, 99, 102]), figures(a=[90], b=[120], c=[130])
    assert order_of(live) == ["c", "a", "b"]
    assert order_of(simulated) == ["a", "b", "c"]
    found = {(pair.first, pair.second): pair for pair in pairs(live, simulated)}
    assert found["a", "b"].is_told_apart
    assert found["a", "b"].agrees
    assert not found["a", "c"].is_told_apart
    assert found["b", "c"].is_told_apart
    assert not found["b", "c"].agrees
    one = over_runs(np.array([[5.0]]))
    assert not Pair("a", "b", one, one).is_told_apart, "one run tells nothing apart"


def test_how_far_repeats_lie_apart() -> None:
    live = figures(a=[100, 120, 110], b=[7])
    assert differ_ratio(live, "a", "mean_latency_ns") == pytest.approx(20 / 110)
    assert differ_ratio(live, "b", "mean_latency_ns") is None


PRESET = MACHINE + "measured: {machine: {file: {path: FOLDER}}}\n"


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A validation of a short trace with writes, without pauses; what it printed is beside its results."""
    folder = tmp_path_factory.mktemp("validated")
    (folder / "machine.yaml").write_text(PRESET.replace("FOLDER", str(folder)))
    source = "{kind: phases, phases: [{kind: zipf, accesses: 500, n_keys: 60, write_ratio: 0.3}, "
    source += "{kind: sequential, accesses: 100, first_key: 900}]}"
    said = CliRunner().invoke(app, [
        str(CONFIGS / "mixed.yaml"), "--machine", str(folder / "machine.yaml"), "--seeds", "0,1", "--repeats", "2",
        "--think", "0 ns", "--set", f"workload.source={source}", "--set", "system.tiers.0.capacity=2 MiB",
        "--arms", "none,next_n", "--out", str(folder / "out"), "--json",
    ], catch_exceptions=False)  # fmt: skip
    assert said.exit_code == 0, said.output
    (folder / "said.json").write_text(said.stdout)
    return folder


def test_without_prefetching_both_sides_have_the_same_outcomes(validated: Path) -> None:
    live, simulated = (all_figures(validated / "out" / side, 2) for side in ("live", "cache"))
    assert len(live) == 2 * 2 * 2
    for repeat in (0, 1):
        for seed in (0, 1):
            ours, theirs = live["none", seed, repeat], simulated["none", seed, repeat]
            shares = {name for name in {*ours, *theirs} if name.endswith("share_ratio")}
            assert {name: ours.get(name) for name in shares} == {name: theirs.get(name) for name in shares}
            assert 0.2 < ours["hit_ratio"] < 1


def test_what_is_told_is_what_is_kept(validated: Path) -> None:
    said, kept = ((validated / name).read_text().strip() for name in ("said.json", "out/validation.json"))
    assert said == kept
    told = json.loads(kept)
    rows = {(row["told"], row["arm"], row["metric"]): row for row in told["figures"]}
    live = all_figures(validated / "out" / "live", 2)
    mean = np.mean([figures["mean_latency_ns"] for key, figures in live.items() if key[0] == "none"])
    row = rows["cache", "none", "mean_latency_ns"]
    assert row["live"] == pytest.approx(mean)
    assert row["error_low"] <= row["error"] <= row["error_high"]
    assert told["live_order"] == order_of(live)
    # What was asked for, so that a file alone says what it is of.
    names = ("seeds", "repeats", "accesses", "block_bytes", "think_ns")
    assert [told[name] for name in names] == [[0, 1], 2, 600, BLOCK, 0]
    assert told["machine"] == str(validated / "machine.yaml")
    page = (CONFIGS.parent / "docs" / "validation.md").read_text()
    assert [name for name in (*told, *told["figures"][0], *told["pairs"][0]) if f"`{name}`" not in page] == []
    assert len(pq.read_table(validated / "out" / "validation.parquet")) == len(told["figures"])


def test_the_live_side_is_results_as_any(validated: Path) -> None:
    rows = KeptResults.open(validated / "out" / "live" / "r1").rows
    assert {row["engine"] for row in rows} == {"live"}
    # What was asked has taken its real time, and that is charged on the other side.
    asked_ = [row for row in rows if row["arm"] == "next_n"]
    assert min(row["p50_inference_charged_ns"] for row in asked_) > 1000
    for seed in (0, 1):
        ours = charged(validated / "out" / "live" / "r1", f"next_n-{seed}")
        theirs = charged(validated / "out" / "cache" / "r1", f"next_n-{seed}")
        n = min(len(ours), len(theirs))
        assert n > 50
        assert theirs[:n] == ours[:n]


def test_whatever_opens_results_opens_the_live_side(validated: Path, tmp_path: Path) -> None:
    """With what has happened in it: accesses, prefetches, questions and calls on the link, told as any run's."""
    live, simulated = (str(validated / "out" / side / "r0") for side in ("live", "cache"))
    page, track = tmp_path / "page.html", tmp_path / "run.pftrace"
    said = {
        name: told_by(name, *arguments)
        for name, *arguments in (
            ("report", live, "--out", str(page)),
            ("timeline", live, "--arm", "next_n", "--seed", "0", "--out", str(track)),
            ("compare", live, simulated),
            ("show", live),
            ("explain", live, "--arm", "next_n", "--seed", "0", "--worst", "1"),
        )
    }
    assert "next_n" in page.read_text()
    assert track.stat().st_size > 10_000
    assert "300 of 300 accesses" in said["timeline"]
    assert "latency changed most" in said["compare"]
    assert "Lowest mean latency" in said["show"]
    assert said["explain"].startswith("access ")


def told_by(*arguments: str) -> str:
    """What a command prints; it succeeds."""
    found = runner.invoke(command.app, list(arguments), prog_name="tierfetch", catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return " ".join(found.output.split())


def test_who_opens_the_whole_folder_is_told_what_is_in_it(validated: Path) -> None:
    for opened in (KeptResults.open, open_kept):
        with pytest.raises(
            InputError, match=r"but below it live/r0, live/r1, cache/r0, cache/r1, machine/r0, \.\.\.; exp"
        ):
            opened(validated / "out")


def charged(folder: Path, stem: str) -> list[int]:
    """What each question that was answered was charged, in order."""
    rows = table_of(folder, f"inferences/{stem}").sort_by("batch").to_pylist()
    return [row["charged_ns"] for row in rows if row["batch"] >= 0]


def test_no_blocks_are_left_and_nothing_is_overwritten(validated: Path) -> None:
    assert sorted(path.name for path in validated.iterdir()) == ["machine.yaml", "out", "said.json"]
    again = runner.invoke(app, [
        str(CONFIGS / "mixed.yaml"), "--machine", str(validated / "machine.yaml"), "--out", str(validated / "out"),
    ])  # fmt: skip
    assert again.exit_code == 2
    assert "has a validation already; expected another folder, or --force" in again.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tiers: 3\n", "with a list of tiers"),
        (MACHINE.replace("dram", "nvme"), "tiers: nvme, over an origin of kind store; expected dram"),
        (MACHINE.replace("kind: store, latency: 5 us", "kind: compute, per_mib: 1 us"), "origin of kind compute"),
        (MACHINE.replace("channels: 4", "channels: none"), "channels"),
        (MACHINE.replace("channels: 4", "channels: 1000000"), "links.0.channels: 1000000.*expected 256 at most"),
        (MACHINE.replace("dram", "hbm", 1).replace(
            "links:", "  - {name: dram, capacity: 9 GB, bandwidth: 9 GB/s}\nlinks:\n  - {bandwidth: 9 GB/s}"
        ), "hbm: device: 'cuda', but torch finds no CUDA device"),
    ],
)  # fmt: skip
def test_a_preset_of_another_kind_of_machine_is_refused(text: str, said: str, tmp_path: Path) -> None:
    if "hbm" in text and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    (tmp_path / "machine.yaml").write_text(text + "measured: {machine: fast}\n")
    with pytest.raises(InputError, match=said):
        machine_of(tmp_path / "machine.yaml", None, lambda _: None)


def test_arms_that_set_what_is_the_machines_are_left_out() -> None:
    assert scaled_to("moe_experts").left_out.get("pinned") is None
    path = CONFIGS / "mixed.yaml"
    experiment = only(load(path, sets=["arms.1.set={system.tiers.0.capacity: 1 MiB}"]))
    found = scaled(path, experiment, machine(), wanted())
    assert found.left_out["next_n"] == "sets system.tiers.0.capacity, which is the machine's here"


def test_what_was_found_in_words(validated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live, simulated = (all_figures(validated / "out" / side, 2) for side in ("live", "cache"))
    rows, both = compared(live, simulated), pairs(live, simulated)
    orders = {"cache": order_of(simulated), "machine": order_of(simulated)}
    found = Validated(
        {"cache": rows, "machine": rows}, {"cache": both, "machine": both}, order_of(live), orders, {"none": 0.25}
    )
    print_validated(make_console(), found)
    text = " ".join(capsys.readouterr().out.split())
    assert f"live {' < '.join(order_of(live))}" in text
    assert "25.0% (none)" in text
    (mean,) = (row for row in rows if (row.arm, row.metric) == ("none", "mean_latency_ns"))
    assert error_text(mean) in text


def test_where_no_pair_is_told_apart_nothing_is_said_of_the_simulator(capsys: pytest.CaptureFixture[str]) -> None:
    once = over_runs(np.array([[5.0]]))
    pair = Pair("a", "b", once, once)
    found = Validated(
        {"cache": [], "machine": []}, {"cache": [pair], "machine": [pair]}, ["b", "a"], {"cache": ["b", "a"]}, {}
    )
    assert lines(found)[-1].endswith("Of 1 pairs the live cache tells none apart; more of --repeats or --seeds may.")


def test_of_a_live_run_nobody_says_how_fast_it_was_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"wall_s": 2.0, "wall_with_training_s": 3.0}
    with RunProgress(make_console(), 2, quiet=False) as progress:
        progress.start("arm a, seed 0", 100).finish(row | {"engine": "live"})
        progress.start("arm b, seed 0", 100).finish(row | {"engine": "compiled"})
    live, simulated = capsys.readouterr().out.splitlines()[-3::2]
    assert live == "[1/2] arm a, seed 0: done in 3.0 s"
    assert simulated.endswith("done in 3.0 s (50 accesses/s simulated; 1.0 s before)")


def test_a_machine_that_was_not_measured(tmp_path: Path) -> None:
    text, said = PRESET.replace("FOLDER", str(tmp_path)), list[str]()
    (tmp_path / "measured.yaml").write_text(text)
    (tmp_path / "by_hand.yaml").write_text(text.partition("measured:")[0])
    machine_of(tmp_path / "measured.yaml", None, said.append)
    assert said == []
    machine_of(tmp_path / "by_hand.yaml", None, said.append)
    (warning,) = said
    assert warning.startswith(f"warning: {tmp_path}/by_hand.yaml: tierfetch calibrate has not measured it; ")


def test_a_machine_that_was_measured_elsewhere(tmp_path: Path) -> None:
    here, said = provenance({}), list[str]()
    for cpu, n_cpus in ((here["cpu"], here["n_cpus"]), ("Abacus 9000", 3)):
        facts = json.dumps({"cpu": cpu, "n_cpus": n_cpus, "kernel": here["kernel"], "file": {"path": str(tmp_path)}})
        (tmp_path / "preset.yaml").write_text(MACHINE + f"measured: {{machine: {facts}}}\n")
        found = machine_of(tmp_path / "preset.yaml", None, said.append)
        assert found.folder == tmp_path
    (warning,) = said
    assert f"measured elsewhere: cpu Abacus 9000, here {here['cpu']}, n_cpus 3, here {here['n_cpus']};" in warning


def test_where_some_runs_lack_a_figure_those_count_that_make_a_grid() -> None:
    live = {("a", seed, repeat): {"late mean_ns": 100.0} for seed in (0, 1, 2) for repeat in (0, 1)}
    del live["a", 1, 0]
    error = {0: (0.1, 0.2), 1: (9.0, 9.0), 2: (0.3, 0.6)}
    simulated = {key: {"late mean_ns": 100 * (1 + error[key[1]][key[2]])} for key in live}
    (row,) = compared(live, simulated)
    assert (row.error.n, row.error.n_repeats) == (2, 2)
    assert row.error.mean == pytest.approx(0.3)
    assert row.error.low == pytest.approx(over_runs(np.array([[0.1, 0.2], [0.3, 0.6]])).low)


def test_what_a_live_cache_has_otherwise_is_said() -> None:
    path = CONFIGS / "mixed.yaml"
    sets = ["repeats=2", "system.tiers.0.write_back={blocks: 16}"]
    found = scaled(path, only(load(path, sets=sets)), machine(), wanted())
    assert "repeats: 3 live runs of each arm and seed (were 2)" in found.changes
    assert "dram: spare memory bounds what waits to be written down (was write_back)" in found.changes


def test_answers_that_are_decoded_are_refused_in_words_of_the_config() -> None:
    path = CONFIGS / "findings" / "promotion.yaml"
    with pytest.raises(InputError, match=r"promotion.yaml: workload.source.answers: whole; .*without system.requests"):
        scaled(path, only(load(path)), machine(), wanted(accesses=200))


def test_what_nobody_foresees_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    path, part = CONFIGS / "mixed.yaml", "{kind: zipf, accesses: 300, n_keys: 400, block: 64 KiB}"
    two = f"workload.source={{kind: interleave, parts: [{part}, {part}]}}"
    experiment = only(load(path, sets=[two, "system.tiers.0.eviction=belady"]))
    with pytest.raises(InputError, match=r"system.tiers.0.eviction of arm .*: belady knows .*of one stream"):
        scaled(path, experiment, machine(), wanted(accesses=500))
    result = runner.invoke(app, [str(CONFIGS / "mixed.yaml"), "--arms", "nobody", "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "--arms nobody" in result.stderr
    assert "writing a scratch file" not in result.stderr, "the machine was measured for nothing"


def test_an_outcome_that_one_side_never_has_is_an_error_too() -> None:
    live = {("a", 0, 0): {"late share_ratio": 0.03, "merged share_ratio": 0.0}}
    simulated = {("a", 0, 0): {"late share_ratio": 0.0, "merged share_ratio": 0.0}}
    (row,) = compared(live, simulated)
    assert (row.metric, row.error.mean) == ("late share_ratio", -0.03)


def test_any_block_can_be_sent_for(tmp_path: Path) -> None:
    store = MemoryStore(4096)
    fill(store, [3, 5])
    every, into = EveryKey(store, [3, 5]), np.empty(4096, np.uint8)
    for key in (3, 5):
        every.read(key, into)
        assert version_of(into, key) == 0
    assert every.holds(2**64 - 1)
    into.fill(255)
    every.read(2**64 - 1, into)
    assert version_of(into, 3) == 0 or version_of(into, 5) == 0


def test_the_picture_has_each_arm(validated: Path) -> None:
    live, simulated = (all_figures(validated / "out" / side, 2) for side in ("live", "machine"))
    chart = validation(compared(live, simulated), Arms(["none", "next_n"], "none"))
    assert {row[0] for row in chart.numbers.rows} == {"none", "next_n"}
    for arm in ("none", "next_n"):
        assert {"mean", "p50", "p99"} <= {row[1] for row in chart.numbers.rows if row[0] == arm}
    assert drawn(chart, Format.SVG, width=400).startswith(b"<svg")
