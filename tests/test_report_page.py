"""The page of results and its charts: what they say is what the tables say, whatever things are called."""

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import vl_convert
from altair.utils.schemapi import debug_mode

from experiments import extras
from experiments.charts import arms as arm_charts
from experiments.charts import bounds, lines, models, stacked
from experiments.charts.histogram import Histogram
from experiments.charts.style import FATES, OUTCOMES, PROPOSALS, QUESTIONS, Arms, time_expr
from experiments.kept import Kept
from experiments.page import words
from experiments.page.bundle import library
from experiments.page.charts import KINDS, moves, traffic
from experiments.page.found import Answers, Found, add_answers, open_found
from experiments.page.render import as_json, page_of, written
from experiments.page.sections import result_of
from experiments.page.surroundings import experiment_of, notes_of, phases_in
from experiments.page.transfers import moves_of
from experiments.plot import Format, chart_of, drawn
from experiments.report import number_text, time_text
from experiments.tables import write_rows
from simulator.accounting import REJECTIONS
from simulator.errors import InputError
from simulator.policy import Fate, Outcome
from tests.test_experiment import config, write
from tests.test_results import call, ran
from tierfetch import Results

HOSTILE = "</script><img src=x onerror=alert(1)>&{{7*7}}"
LSTM = {
    "kind": "lstm", "window": 4, "epochs": 8, "hidden": 16, "embedding": 16, "vocabulary": 64, "validation_ratio": 0.2,
    "learning_rate": 0.03, "rule": "threshold", "threshold": 0.1, "in_gpu_memory": False,
}  # fmt: skip


def experiment() -> dict[str, Any]:
    """All that a page has: phases, an arm that trains and is charged, one that is late, one that is of no use."""
    source = {
        "kind": "phases",
        "phases": [
            {"kind": "sequential", "accesses": 300, "block": "4 KiB"},
            {"kind": "pointer_chase", "accesses": 500, "block": "4 KiB", "n_keys": 30},
        ],
        "rounds": 2,
    }
    policies = [
        {"name": "none", "policy": "none"},
        {"name": "next_n", "policy": "next_n(n=2)"},
        {"name": "lstm", "policy": LSTM, "charge": {"kind": "fixed", "latency": "50 us"}},
    ]
    found = config(seeds=[3, 4], arms=policies)
    found["workload"] = {"source": source, "arrivals": {"kind": "closed", "think": "20 us"}, "train_ratio": 0.5}
    found["output"] = {"window": 50, "transfers": True}
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("page")
    ran(write(place, experiment()), place / "out", "--quiet")
    return place / "out"


@pytest.fixture(scope="module")
def found(folder: Path) -> Found:
    return open_found(folder)


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return page_of([folder])


@pytest.fixture
def spoilt(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "out")
    return tmp_path / "out"


def specs_in(page: str) -> dict[str, Any]:
    text = re.search(r'<script type="application/json" id="specs">(.*?)</script>', page, re.DOTALL)
    assert text is not None
    specs: dict[str, Any] = json.loads(text[1])
    return specs


def cells_of(page: str, label: str) -> dict[str, list[str]]:
    """The table with such a label: by what its rows are called, their cells."""
    region = re.search(rf'aria-label="{re.escape(html.escape(label))}"><table>(.*?)</table>', page, re.DOTALL)
    assert region is not None, label
    rows = re.findall(r"<tr>(?:\s*)<th scope=\"row\">(.*?)</th>(.*?)</tr>", region[1], re.DOTALL)
    return {html.unescape(head): [html.unescape(c) for c in re.findall(r"<td[^>]*>(.*?)</td>", r)] for head, r in rows}


# -- numbers -----------------------------------------------------------------------------------------------------------
def test_numbers_of_the_page_are_those_of_the_tables(folder: Path, page: str) -> None:
    runs, compared = (pd.read_parquet(folder / f"{name}.parquet") for name in ("runs", "comparisons"))
    first = cells_of(page, "Arms side by side: mean latency and more")
    rest = cells_of(page, "Arms side by side: p50 and more")
    for arm, of_arm in runs.groupby("arm"):
        name = f"{arm} (baseline)" if arm == "none" else str(arm)
        assert first[name][0] == time_text(of_arm.mean_latency_ns.mean())
        shown = [rest[name][i] for i in (0, 1, 4)]
        quantiles = ("p50_latency_ns", "p99_latency_ns", "p999_latency_ns")
        assert shown == [time_text(of_arm[q].mean()) for q in quantiles]
        assert rest[name][5:7] == [f"{of_arm.hit_ratio.mean():.4f}", f"{of_arm.n_issued.mean():,.0f}"]
        ratios = ("accuracy_ratio", "coverage_ratio")
        assert rest[name][7:] == [number_text(of_arm[r].astype(float).mean(), "ratio") for r in ratios]
    seeds = compared[compared.basis == "seeds"].set_index(["arm", "metric"])
    for arm in ("next_n", "lstm"):
        row = seeds.loc[arm, "mean_latency_ns"]
        low, high = (("-" if end < 0 else "+") + time_text(abs(end)) for end in (row.low, row.high))
        relative = f"{row.relative_difference_ratio:+.1%}"
        assert first[arm][1:] == [relative, f"{low} to {high}", f"{row.effect_size:.3g}", row.verdict]
        assert rest[arm][3] == seeds.loc[arm, "p99_latency_ns"].verdict


def test_the_verdict_is_that_of_the_closing_table(folder: Path, page: str, found: Found) -> None:
    assert f"<p>{html.escape(str(Results.open(folder).best()))}</p>" in page
    said = dict(zip(found.arms[1:], words.verdicts(found), strict=True))
    tones = {arm: tone for arm, (tone, _) in said.items()}
    for row in found.compared:
        if row["metric"] == "p99_latency_ns":
            differs = (
                f"{time_text(abs(row['difference']))} {'lower' if row['difference'] < 0 else 'higher'} than none's"
            )
            text = "; p99 latency " + (differs if row["difference"] else "as none's.")
            assert text in said[row["arm"]][1]
    by_arm = {row["arm"]: row["verdict"] for row in found.compared
              if (row["metric"], row["basis"]) == ("mean_latency_ns", "seeds")}  # fmt: skip
    assert tones == {arm: verdict if verdict in ("better", "worse") else "open" for arm, verdict in by_arm.items()}


def test_charts_draw_what_the_tables_have(folder: Path, found: Found) -> None:
    def drawn_in(kind: str) -> list[dict[str, Any]]:
        chart = KINDS[kind](found)
        assert chart is not None, kind
        layers = chart.picture.to_dict(validate=False)
        data = [layer["data"] for layer in layers.get("layer", [layers]) if "data" in layer] or [layers["data"]]
        values: list[dict[str, Any]] = max(data, key=lambda one: len(one["values"]))["values"]
        return values

    runs = pd.read_parquet(folder / "runs.parquet")
    by_arm = runs.groupby("arm").mean(numeric_only=True)
    for kind, named, prefix in (("outcomes", OUTCOMES, "n_"), ("fates", FATES, "n_prefetch_")):
        titles = {title: f"{prefix}{name}" for name, (title, _) in named.items()}
        for row in drawn_in(kind):
            assert row["value"] == pytest.approx(by_arm.loc[row["arm"], titles[row["part"]]])
    attributed = pd.read_parquet(folder / "attribution.parquet")
    sums = {arm: sum(r["value"] for r in drawn_in("attribution") if r["arm"] == arm) for arm in found.arms}
    assert sums == pytest.approx(by_arm.mean_latency_ns.to_dict())
    assert sums == pytest.approx((attributed.groupby("arm").mean_ns.sum() / 2).to_dict())
    phases = pd.read_parquet(folder / "by_phase.parquet").groupby(["phase", "arm"]).mean_latency_ns.mean()
    assert {(r["phase"], r["arm"]): r["value"] for r in drawn_in("phases")} == pytest.approx(phases.to_dict())
    windows = pd.read_parquet(folder / "windows").astype({"arm": str})
    means = windows.groupby(["arm", "first_access"]).mean_latency_ns.mean()
    steps = {(r["arm"], r["x"]): r["y"] for r in drawn_in("windows") if r["x"] < 800}
    assert steps == pytest.approx(means.to_dict(), rel=1e-5)
    hits = (
        windows.assign(hits=windows.n_hit + windows.n_hit_prefetched).groupby(["arm", "first_access"]).hits.mean() / 50
    )
    steps = {(r["arm"], r["x"]): r["y"] for r in drawn_in("hits") if r["x"] < 800}
    assert steps == pytest.approx(hits.to_dict(), rel=1e-5)
    assert {r["arm"]: r["value"] for r in drawn_in("means")} == pytest.approx(by_arm.mean_latency_ns.to_dict())
    compared = {(r["arm"], r["metric"]): r for r in found.compared if r["basis"] == "seeds"}
    for row in drawn_in("effects"):
        of = compared[row["arm"], {"mean": "mean_latency_ns", "p99": "p99_latency_ns"}[row["part"]]]
        assert row["value"] == pytest.approx(of["relative_difference_ratio"], rel=1e-5)
        assert (row["low"] or 0) == pytest.approx((of["low"] or 0) / of["baseline_mean"])
    losses = pd.read_parquet(folder / "training").groupby("epoch").validation_loss.mean()
    shown = {row["epoch"]: row["loss"] for row in drawn_in("training") if row["part"] == "validation part"}
    assert shown == pytest.approx(losses.to_dict(), rel=1e-5)


def test_long_windows_are_drawn_together(spoilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 8 windows of 50 accesses in 3 bins: three in each but the last, and each access weighs the same."""
    monkeypatch.setattr("experiments.page.found._BINS", 3)
    rows = open_found(spoilt).windows
    accesses = pd.read_parquet(spoilt / "accesses").astype({"arm": str})
    accesses["bin"] = (accesses.access - 400) // 150 * 150 + 400
    means = accesses.groupby(["arm", "bin"]).latency_ns.mean()
    assert {(r["arm"], r["first_access"]): r["mean_latency_ns"] for r in rows} == pytest.approx(means.to_dict())
    assert {(row["first_access"], row["last_access"]) for row in rows} == {(400, 550), (550, 700), (700, 800)}


def test_a_histogram_is_exact_of_few_values_and_near_of_many() -> None:
    few = Histogram()
    few.add(np.array([377, 377, 377, 1_085_655, -5, 0], np.int64))
    assert few.points() == [(-5, 1 / 6), (0, 2 / 6), (377, 5 / 6), (1_085_655, 1)]
    assert [few.quantile(q) for q in (0.01, 0.5, 5 / 6, 0.99)] == [-5, 377, 377, 1_085_655]
    many, values = Histogram(), np.random.default_rng(0).lognormal(12, 3, 50_000).astype(np.int64)
    for piece in np.array_split(values, 7):
        many.add(piece)
    for share in (0.001, 0.1, 0.5, 0.99, 0.9999):
        exact = np.quantile(values, share, method="inverted_cdf")
        assert many.quantile(share) == pytest.approx(exact, rel=0.012)
    points = many.points()
    assert len(points) <= 122
    assert points[-1] == (pytest.approx(values.max()), 1)
    assert all(np.diff([share for _, share in points]) > 0)
    # As close in the tail as in the middle.
    assert sum(share > 0.99 for _, share in points) > 20
    assert (Histogram().points(), Histogram().quantile(0.5)) == ([], None)


def test_distributions_are_of_all_runs(folder: Path, found: Found) -> None:
    for arm in found.arms:
        rows = pd.read_parquet(folder / "accesses", filters=[("arm", "==", arm)])
        assert found.latencies[arm].n == len(rows) == 2 * 400
        median = np.quantile(rows.latency_ns, 0.5, method="inverted_cdf")
        assert found.latencies[arm].quantile(0.5) == pytest.approx(median, rel=0.012)
    prefetches = pd.read_parquet(folder / "prefetches")
    timely = prefetches[(prefetches.arm == "next_n") & (prefetches.fate == "timely")]
    assert found.timing["next_n"].slack.n == len(timely) > 0
    slack = np.quantile(timely.first_used_ns - timely.filled_ns, 0.9, method="inverted_cdf")
    assert found.timing["next_n"].slack.quantile(0.9) == pytest.approx(slack, rel=0.012)
    late = prefetches[(prefetches.arm == "next_n") & (prefetches.fate == "late")]
    assert found.timing["next_n"].saved.n == len(late) > 0
    questions = pd.read_parquet(folder / "inferences").query("arm == 'lstm' and status in ('answered', 'stale')")
    answers = found.answers["lstm"]
    assert (answers.age.n, answers.charged.n) == (len(questions), questions.groupby("seed").batch.nunique().sum())
    assert answers.age.quantile(1) == pytest.approx((questions.ended_ns - questions.asked_ns).max(), rel=0.012)
    known = questions.dropna(subset=["confidence", "came_true"])
    assert (answers.n.sum(), answers.n_true.sum()) == (len(known), known.came_true.sum())


def test_an_inference_of_several_questions_was_charged_once() -> None:
    answers = Answers(Histogram(), Histogram(), *(np.zeros(10) for _ in range(3)))
    # The newest are taken first, and one that nobody takes may lie between.
    status = pa.array(["answered", "superseded", "answered", "stale", "pending_at_end"]).dictionary_encode()
    numbers = ([7, None, 7, 8, 9], [0, 1, 5, 20, 22], [10, None, 10, 40, None], [9, 0, 9, 11, 12])
    batch, asked, ended, charged = (pa.array(values, pa.int64()) for values in numbers)
    sure = pa.array([0.95, None, 1.0, None, 0.5], pa.float32())
    add_answers(answers, batch, status, asked, ended, charged, sure, pa.array([True, None, False, None, True]))
    assert answers.charged.points() == [(9, 1 / 2), (11, 1)]
    assert [value for value, _ in answers.age.points()] == [5, 10, 20]
    assert (answers.n[9], answers.n_true[9], answers.n.sum()) == (2, 1, 2)


def test_links_are_busy_as_long_as_their_calls(folder: Path, found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.page.found._BATCH", 100)
    rows = pd.read_parquet(folder / "transfers").astype({"arm": str, "class": str, "link": str})
    made = moves_of(found)
    assert made is not None
    for arm, of_arm in rows.groupby("arm"):
        calls = of_arm.drop_duplicates(["seed", "call"])
        share = made.busy[str(arm), "hbm_origin"]
        # Two channels, two seeds.
        assert (share * np.diff(made.edges_ns)).sum() * 4 == pytest.approx((calls.ended_ns - calls.started_ns).sum())
        middle = made.edges_ns[40:42]
        part = (calls.ended_ns.clip(*middle) - calls.started_ns.clip(*middle)).sum()
        assert share[40] * np.diff(middle)[0] * 4 == pytest.approx(part)
        for class_, of_class in of_arm.groupby("class"):
            waited, taken = of_class.started_ns - of_class.queued_ns, made.waits[str(arm), "hbm_origin", str(class_)]
            assert (taken.n, taken.mean) == (len(waited), pytest.approx(waited.mean()))


def test_blocks_of_one_call_are_busy_once(tmp_path: Path) -> None:
    content = experiment() | {"seeds": [3], "arms": ["none", "next_n(n=6)"]}
    content["system"]["links"][0] |= {"blocks_per_call": 4, "channels": 1}
    ran(write(tmp_path, content), tmp_path / "out", "--quiet")
    made = moves_of(open_found(tmp_path / "out"))
    assert made is not None
    rows = pd.read_parquet(tmp_path / "out" / "transfers").astype({"arm": str}).query("arm == 'next_n'")
    calls = rows.drop_duplicates("call")
    assert len(calls) < len(rows)
    busy = (made.busy["next_n", "hbm_origin"] * np.diff(made.edges_ns)).sum()
    assert busy == pytest.approx((calls.ended_ns - calls.started_ns).sum())
    waited = (rows.started_ns - rows.queued_ns)[rows["class"] == "prefetch"]
    [chart] = [chart for chart in moves(open_found(tmp_path / "out")) if chart.kind == "waits"]
    row = next(row for row in chart.numbers.rows if row[0] == "next_n, hbm_origin, prefetch")
    assert row[1:3] == [f"{len(waited):,}", time_text(waited.mean())]


def test_every_fate_outcome_and_rejection_has_its_colour() -> None:
    assert list(OUTCOMES) == [outcome.name.lower() for outcome in Outcome]
    assert list(FATES) == [fate.name.lower() for fate in Fate]
    assert set(PROPOSALS) == {"issued", *REJECTIONS}
    assert set(QUESTIONS) == {"answered", "stale", "queue_full", "superseded", "pending_at_end"}
    for named in (OUTCOMES, FATES, PROPOSALS, QUESTIONS):
        assert len({colour for _, colour in named.values()}) == len(named)


def test_ten_arms_are_told_apart() -> None:
    look = Arms([f"a{i}" for i in range(12)], "a3")
    assert len({(look.colour_of(arm), tuple(look.dash_of(arm))) for arm in look.names}) == 12
    # Whoever else is in a chart.
    assert look.color(["a5"]).to_dict()["scale"]["range"] == [look.colour_of("a5")]


# -- what is drawn -----------------------------------------------------------------------------------------------------
def test_each_chart_is_valid_and_has_marks(page: str, found: Found) -> None:
    specs = specs_in(page)
    made = [kind for kind in KINDS if KINDS[kind](found) is not None]
    # With nothing recorded for them: no chart.
    assert sorted(set(KINDS) - set(made)) == ["bounds", "first_token"]
    assert list(specs) == [f"r1-{kind}" for kind in _in_order(specs, made, found)]
    # Parts are held against the schema as they are made; what all have in common, once.
    alt.Chart.from_dict({**specs["r1-means"], "width": 500}, validate=True)
    for name, spec in specs.items():
        svg = vl_convert.vegalite_to_svg({**spec, "width": 500})
        assert re.search(r'class="mark-(rect|symbol|line|area)[^"]*"[^>]*><path[^>]* d="M', svg), name
        assert svg.count("<text") > 3, name
        assert "NaN" not in svg, name


def _in_order(specs: dict[str, Any], made: list[str], found: Found) -> list[str]:
    names = [name.removeprefix("r1-") for name in specs]
    assert sorted(names) == sorted([*made, *(chart.kind for chart in [*traffic(found), *moves(found)])])
    return names


def test_each_chart_has_words_and_numbers(page: str) -> None:
    for key in specs_in(page):
        figure = re.search(rf'<figure id="{key}-figure".*?</figure>', page, re.DOTALL)
        assert figure is not None
        label = re.search(r'role="img" aria-label="([^"]*)"', figure[0])
        assert label is not None
        assert len(label[1]) > 60, key
        assert figure[0].count("<td") >= 2, key


def test_times_in_charts_read_as_in_tables() -> None:
    values = [0, 7.4, 377, 999.4, 1234, 999_400, 999_600, 1_085_655, 99.96e6, 2.5e9, 1.5e12, -4_200]
    encoding = {"text": {"field": "t"}, "y": {"field": "v", "type": "ordinal", "axis": None}}
    texts = [{"calculate": time_expr("datum.v"), "as": "t"}]
    spec = {"data": {"values": [{"v": v} for v in values]}, "transform": texts, "mark": "text", "encoding": encoding}
    svg = vl_convert.vegalite_to_svg(spec)
    shown = [html.unescape(text).replace("\N{MINUS SIGN}", "-") for text in re.findall(r"<text[^>]*>(.*?)</text>", svg)]
    assert sorted(shown) == sorted(time_text(value) for value in values)


def test_a_page_needs_no_network_and_is_small(page: str) -> None:
    assert len(page.encode()) < 2_000_000
    ours = page.replace(library(), "")
    assert len(ours) < len(page) - 500_000
    assert not re.search(r"<(link|img|iframe|object|embed|base)\b|<script[^>]+src=|@import|url\((?!#)|https?:", ours)
    assert page.count("window.vegaEmbed=") == 1
    assert "default-src 'none'" in html.unescape(page[:1000])
    # Two scripts that run, and one that is data; nothing else ends or begins one.
    assert page.count("<script") == page.count("</script") == 3


# -- what is called badly ----------------------------------------------------------------------------------------------
def renamed(folder: Path) -> None:
    """The experiment has a hostile name, and so have a phase, a control and a device."""
    kept = Kept.load(folder)
    config = {**kept.about["config"], "name": HOSTILE}
    for run in kept.runs.values():
        if run.row.get("control"):
            run.row["control"] = HOSTILE
    kept.write({**kept.about, "name": HOSTILE, "config": config, "device": {"lstm": HOSTILE}})
    for name in ("by_phase", "comparisons"):
        table = pq.read_table(folder / f"{name}.parquet")
        if name == "by_phase":
            phase = pc.replace_substring(table["phase"], "sequential", HOSTILE)
            table = table.set_column(table.schema.get_field_index("phase"), "phase", phase)
        table = table.replace_schema_metadata({b"config": json.dumps(config).encode()})
        pq.write_table(table, folder / f"{name}.parquet", write_page_checksum=True)


def test_names_stay_inert_text(spoilt: Path) -> None:
    renamed(spoilt)
    page = page_of([spoilt])
    assert page.count("<script") == page.count("</script") == 3
    assert "<img" not in page.replace(library(), "")
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&amp;{{7*7}}" in page
    phases = {row["phase"] for row in specs_in(page)["r1-phases"]["data"]["values"]}
    assert phases == {HOSTILE, "pointer_chase"}
    assert (
        as_json({"a": HOSTILE}) == '{"a":"\\u003c/script\\u003e\\u003cimg src=x onerror=alert(1)\\u003e\\u0026{{7*7}}"}'
    )


def test_charts_take_any_name() -> None:
    metrics = ("mean_latency_ns", "p50_latency_ns", "p99_latency_ns", "p999_latency_ns")
    rows = [{"arm": HOSTILE, **dict.fromkeys(metrics, 5.0)}]
    look = Arms([HOSTILE], HOSTILE)
    for chart in (arm_charts.means(rows, [], look), arm_charts.tails(rows, look.names)):
        svg = vl_convert.vegalite_to_svg(chart.spec(300))
        assert "<img" not in svg
        assert "&lt;/script&gt;" in svg


@pytest.mark.parametrize("where", ["policy", "line", "set"])
def test_code_that_a_config_names_is_not_run(spoilt: Path, tmp_path: Path, where: str) -> None:
    (tmp_path / "mine.py").write_text("from pathlib import Path\nPath(__file__).with_name('was_run').touch()")
    reference = f"{tmp_path}/mine.py:Mine"
    kept = Kept.load(spoilt)
    config = json.loads(json.dumps(kept.about["config"]))
    arm = config["arms"][1]
    if where == "policy":
        arm["policy"] = {"kind": "python", "class": reference}
    elif where == "line":
        arm["policy"] = f"python(class={reference})"
    else:
        arm["set"] = {"system.tiers.0.eviction": f"python(class={reference})"}
    kept.write({**kept.about, "config": config})
    assert experiment_of(open_found(spoilt)) is None
    assert notes_of(open_found(spoilt)) is None
    assert phases_in(open_found(spoilt)) == []
    assert not (tmp_path / "was_run").exists()


def test_notes_are_those_of_the_run(found: Found, page: str) -> None:
    notes = notes_of(found)
    assert notes is not None
    assert any("its 2 models" in note or "controls" in note or "lstm" in note for note in notes)
    assert all(f"<li>{html.escape(note)}</li>" in page.replace("&#39;", "&#x27;") for note in notes)


# -- what is not there -------------------------------------------------------------------------------------------------
def test_a_run_that_was_interrupted_has_a_page(spoilt: Path) -> None:
    (spoilt / "accesses" / "lstm-4.parquet").unlink()
    # What is made of all runs is not there, and the manifest does not say what it says at the end.
    for name in ("comparisons", "attribution", "by_phase"):
        (spoilt / f"{name}.parquet").unlink()
    kept = Kept.load(spoilt)
    kept.write({key: kept.about[key] for key in ("name", "config", "planned")})
    page = page_of([spoilt])
    assert "Not run to its end: 1 of 6 runs are missing, so nothing is compared." in page
    assert "r1-effects" not in specs_in(page)
    assert "r1-means" in specs_in(page)


def test_tables_that_are_not_kept_are_said(tmp_path: Path) -> None:
    content = experiment() | {"seeds": [3], "arms": experiment()["arms"][:2]}
    content["output"] = {"accesses": False, "prefetches": False, "inferences": False}
    ran(write(tmp_path, content), tmp_path / "out", "--quiet")
    page = page_of([tmp_path / "out"])
    for said in ("output: {accesses: true} keeps", "output: {prefetches: true}", "No arm trained a model."):
        assert html.escape(said) in page
    assert not {"r1-ecdf", "r1-timeliness", "r1-training", "r1-phases"} & set(specs_in(page))
    assert call("plot", tmp_path / "out", "--kind", "ecdf").exit_code == 2


def test_several_results_are_told_apart(found: Found) -> None:
    with debug_mode(False):
        page = written([result_of(found, 1), result_of(found, 2)])
    ids = re.findall(r'\bid="([^"]+)"', page.replace(library(), ""))
    assert len(ids) == len(set(ids))
    specs = specs_in(page)
    assert {name.split("-")[0] for name in specs} == {"r1", "r2"}
    assert page.count("window.vegaEmbed=") == 1


LADDER = [
    {"arm": arm, "mode": mode, "inference_p50_ns": ns, "mean_latency_ns": 400.0 + ns / 10, "ci_low_ns": 390.0 + ns / 10,
     "ci_high_ns": 410.0 + ns / 10, "baseline_mean_latency_ns": 900.0}
    for arm in ("lstm", "lstm (onnx)") for mode in ("async", "sync") for ns in (0, 1000, 10_000)
]  # fmt: skip


def test_bounds_and_break_even_are_drawn() -> None:
    rows = [
        {"arm": arm, "mean_latency_ns": ns, "p99_latency_ns": 2 * ns, "hit_ratio": 0.5, "captured_ratio": share}
        for arm, ns, share in (("oracle", 100.0, 1.0), ("lstm", 400.0, 0.5), ("none", 700.0, 0.0))
    ]
    chart = bounds.bounds(rows)
    assert chart is not None
    assert chart.numbers.rows[1] == ["lstm", "400 ns", "800 ns", "0.5000", "50.0%"]
    assert bounds.bounds([row | {"captured_ratio": None} for row in rows]) is None
    crossings = [{"mode": "sync", "against": "none", "break_even_ns": ns} for ns in (5000.0, 0.0, None)]
    even = bounds.break_even(LADDER, crossings)
    assert even.says.startswith(
        "lstm pays up to 5 us (sync, against none); at none (sync, against none); at every latency that was tried"
    )
    # The rungs that are all charged the same, not those of a backend.
    assert len(even.numbers.rows) == 6
    for one in (chart, even):
        assert vl_convert.vegalite_to_svg(one.spec(400)).count("<path") > 5


def test_a_folder_of_break_even_has_a_page(tmp_path: Path) -> None:
    crossings = [{"mode": "sync", "against": "none", "break_even_ns": 5000.0}]
    about = {"config": {"name": "small"}, "arm": "lstm"}
    (tmp_path / "even").mkdir()
    for name, rows in (("break_even", LADDER), ("crossings", crossings)):
        write_rows(tmp_path / "even" / f"{name}.parquet", rows, about)
    page = page_of([tmp_path / "even"])
    assert list(specs_in(page)) == ["r1-break_even"]
    assert "<p>lstm pays up to 5 us (sync, against none).</p>" in page
    assert "break-even of small: results" in page
    failed = call("plot", tmp_path / "even", "--kind", "ecdf")
    assert failed.exit_code == 2
    assert "is of break-even, and has that chart alone" in failed.stderr
    assert call("plot", tmp_path / "even", "--kind", "break-even", "--out", tmp_path / "a.svg").exit_code == 0


def test_requests_and_links_are_drawn() -> None:
    times = {"mean_ttft_ns": 60.0, "mean_waiting_ns": 10.0, "mean_fetching_ns": 20.0, "mean_computing_ns": 30.0}
    rows = [{"arm": "a", **times}]
    chart = stacked.first_token(rows, ["a", "b"])
    assert chart is not None
    assert chart.numbers.rows == [["a", "10 ns", "20 ns", "30 ns"]]
    assert lines.distribution({}, Arms(["a"], "a"), "ecdf", "", "", "") is None
    assert models.controls([{"arm": "a"}], ["a"]) is None


# -- commands ----------------------------------------------------------------------------------------------------------
def test_report_and_plot_write_files(folder: Path, tmp_path: Path, page: str) -> None:
    done = call("report", folder, "--out", tmp_path / "a.html")
    assert (done.exit_code, done.stdout) == (0, f"Page: {tmp_path / 'a.html'}\n")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == page
    assert Results.open(folder).report(tmp_path / "b.html").read_text(encoding="utf-8") == page
    beginnings = {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}
    for name, begins in beginnings.items():
        done = call("plot", folder, "--kind", "outcomes", "--out", tmp_path / f"a.{name}", "--width", "300")
        assert done.exit_code == 0, done.output
        assert (tmp_path / f"a.{name}").read_bytes().startswith(begins)
    assert b"What became of every access" in (tmp_path / "a.svg").read_bytes()
    assert b"What became" not in drawn(chart_of(folder, "outcomes"), Format.SVG, width=300, is_titled=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.pdf", "a.png", "a.svg", "b.html"]


def test_run_writes_a_page_beside_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = experiment() | {"seeds": [3], "arms": ["none", "next_n"]}
    printed = ran(write(tmp_path, content), tmp_path / "out", "--report")
    assert printed.endswith(f"Page: {tmp_path / 'out.html'}\n")
    assert "Lowest mean latency" in (tmp_path / "out.html").read_text(encoding="utf-8")
    (tmp_path / "out.html").unlink()
    monkeypatch.chdir(tmp_path / "out")
    assert Results.open(".").report() == tmp_path / "out.html"
    assert (tmp_path / "out.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report", "nowhere"], "holds no results (no manifest.json)"),
        (["report", "OUT", "--out", "OUT/a.html"], "lies in the folder of the results"),
        (["report", "OUT", "--out", "no/where.html"], "no such folder no"),
        (["plot", "OUT", "--kind", "ecd"], "did you mean 'ecdf'?"),
        (["plot", "OUT", "--kind", "traffic"], "has one for each link; expected traffic_hbm_origin"),
        (["plot", "OUT", "--kind", "xyz"], "expected one of means, tails"),
        (["plot", "OUT", "--kind", "first_token"], "has no data for it"),
        (["plot", "OUT", "--kind", "ecdf", "--out", "a.jpg"], "expected a name that ends in .png, .svg or .pdf"),
    ],
)
def test_what_cannot_be_is_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    failed = call(*(text.replace("OUT", str(folder)) for text in arguments))
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert said in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_table_is_named(spoilt: Path, tmp_path: Path) -> None:
    path = spoilt / "accesses" / "next_n-4.parquet"
    with pq.ParquetFile(path) as file:
        place = next(c for i in range(16) if (c := file.metadata.row_group(0).column(i)).path_in_schema == "latency_ns")
        start, end = place.data_page_offset, place.data_page_offset + 60
    content = bytearray(path.read_bytes())
    content[start + 40 : end] = bytes(20)
    path.write_bytes(content)
    failed = call("report", spoilt, "--out", tmp_path / "a.html")
    assert failed.exit_code == 2
    assert "next_n-4.parquet: cannot be read" in failed.stderr
    assert not (tmp_path / "a.html").exists()


def test_without_the_extra_it_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    for arguments in (["report", folder], ["plot", folder, "--kind", "ecdf"]):
        failed = call(*arguments)
        assert failed.exit_code == 2
        assert failed.stderr.endswith("not installed; expected the extra: pip install 'tierfetch[report]'\n")
    # Before the first run, not after the last.
    failed = call("run", write(tmp_path, experiment()), "--report", "--out", tmp_path / "out")
    assert failed.exit_code == 2
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=r"tierfetch\[report\]"):
        Results.open(folder).report(tmp_path / "b.html")


def test_a_plain_run_imports_none_of_it(tmp_path: Path) -> None:
    """Nor do the commands' names and options, and the package."""
    code = (
        "import sys, tierfetch, experiments.command, experiments.run, experiments.make_report, experiments.plot\n"
        "from experiments.exits import exit_codes\n"
        "import experiments.making, experiments.ranking, experiments.report, experiments.notes, tierfetch.results\n"
        "print([m for m in sys.modules if m.partition('.')[0] in ('altair', 'vl_convert', 'jinja2', 'narwhals')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_library_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def bundle(snippet: str) -> str:
        made.append(snippet)
        return "x = '</SCRIPT>'; y = '<!--'"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(vl_convert, "javascript_bundle", bundle)
    assert library() == library() == "x = '<\\/SCRIPT>'; y = '<\\!--'"
    assert made == ["window.vegaEmbed = vegaEmbed;"]
