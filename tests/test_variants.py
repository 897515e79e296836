"""Several variants below one folder are one: their tables together, with a column for each key that they set."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tierfetch
from experiments import make_report
from experiments.kept import Kept
from experiments.results import KeptResults, in_order, table_of
from experiments.tables import write_rows
from experiments.variants import KeptVariants, opened, short, swept
from simulator.errors import InputError
from tests.test_experiment import write
from tests.test_python import small
from tests.test_results import call, ran

CAPACITY, POLICY = "system.tiers.hbm.capacity", "arms.next_n.policy"
VARIANTS = [
    {"name": "c40", "set": {}},
    {"name": "c200", "set": {CAPACITY: "200 KiB", "warm_up": 10}},
    {"name": "stride", "set": {POLICY: "stride(degree=2)", "arms.wrong.policy.stride": 9}},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("variants")
    content = small(variants=VARIANTS, warm_up=5)
    content["system"]["tiers"][0]["capacity"] = "40 KiB"
    ran(write(folder, content), folder / "out", "--quiet", "--seeds", "3,4")
    return folder / "out"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    shutil.copytree(made, tmp_path / "out")
    return tmp_path / "out"


def test_tables_have_a_column_for_each_key_that_is_swept(made: Path) -> None:
    found = opened(made)
    assert isinstance(found, KeptVariants)
    assert (found.name, list(found.of)) == ("small", ["c40", "c200", "stride"])
    # Numbers where they are some, and what a kind has is one value.
    assert found.columns() == {
        CAPACITY: [40960, 204800, 40960],
        POLICY: ["next_n(n=2, stride=1, trigger=tagged)"] * 2
        + ["stride(entries=64, degree=2, counter_bits=3, counter_start=4, threshold=0.5, trigger=access)"],
        "arms.wrong.policy.stride": [*[found.columns()["arms.wrong.policy.stride"][0]] * 2, 9],
        "warm_up": [5, 10, 5],
    }
    runs = found.table("runs")
    assert runs.schema.names[:6] == ["variant", *found.keys, "arm"]
    rows = runs.to_pylist()
    assert [row["variant"] for row in rows] == ["c40"] * 6 + ["c200"] * 6 + ["stride"] * 6
    for variant, kept in found.of.items():
        alone = table_of(kept.folder, "runs").to_pylist()
        these = [row for row in rows if row["variant"] == variant]
        assert [{name: row[name] for name in alone[0]} for row in these] == alone
        assert {row[CAPACITY] for row in these} == {found.settings(variant)[CAPACITY]}
    for name in ("comparisons", "attribution"):
        n = sum(table_of(kept.folder, name).num_rows for kept in found.of.values())
        assert found.table(name).num_rows == n
    with pytest.raises(InputError, match="no table by_phase: the workloads have no phases"):
        found.table("by_phase")


def joined(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of all variants, read one by one, with what the variants set."""
    found = opened(folder)
    assert isinstance(found, KeptVariants)
    rows = [
        {"variant": variant, **found.settings(variant), **row}
        for variant, kept in found.of.items()
        for row in table_of(kept.folder, name).to_pylist()
    ]
    return [{name: row.get(name) for name in dict.fromkeys(key for row in rows for key in row)} for row in rows]


def test_columns_that_one_variant_lacks_or_has_no_value_for(folder: Path) -> None:
    """A policy of another kind may say further things of itself: text where others have nothing."""
    kept = Kept.load(folder / "stride")
    for i, found in enumerate(kept.runs.values()):
        found.row.update({"charge_pace": "cold", "more": i})
    kept.write(kept.about)
    write_rows(folder / "stride" / "runs.parquet", [found.row for found in kept.runs.values()], {})
    rows = opened(folder).table("runs").to_pylist()
    assert [row["charge_pace"] for row in rows] == [None] * 12 + ["cold"] * 6
    assert [row["more"] for row in rows] == [None] * 12 + list(range(6))
    assert rows == joined(folder, "runs")
    # Of tables that are read, as of those that manifests have: what is null in one is of the other one's type.
    for variant, more in (("stride", pa.array(["a"] * 6)), ("c200", pa.nulls(6, pa.float64()))):
        path = folder / variant / "attribution.parquet"
        attribution = pq.read_table(path).slice(0, 6)
        pq.write_table(attribution.append_column("more", more), path)
    assert opened(folder).table("attribution").to_pylist() == joined(folder, "attribution")


def test_from_python(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = tierfetch.Results.open(made)
    assert isinstance(results, tierfetch.VariantResults)
    assert (results.name, results.arms, results.seeds, results.baseline) == (
        "small", ["none", "next_n", "wrong"], [3, 4], "none",
    )  # fmt: skip
    assert results.settings[CAPACITY].to_dict() == {"c40": 40960, "c200": 204800, "stride": 40960}
    runs = results.runs
    assert runs.groupby(CAPACITY)["hit_ratio"].mean().is_monotonic_increasing
    assert results.arrow.runs.num_rows == len(runs) == 18
    assert results.variants["c200"].best().arm == "next_n"
    assert len(results.variants["stride"].accesses("none", 3)) == 595
    assert "<td>204800</td>" in results._repr_html_()
    pages: list[Any] = []
    monkeypatch.setattr(make_report, "write_page", lambda folders, out: pages.append((folders, out)))
    assert results.report() == made.with_name("out.html")
    assert pages == [([made / name for name in ("c40", "c200", "stride")], made.with_name("out.html"))]
    with pytest.raises(InputError, match=r"has several variants; expected one of them, such as variants\['c40'\]"):
        results.best()
    assert tierfetch.Results.open(made / "c40").variants == {}


def test_show_and_export(made: Path) -> None:
    shown = call("show", made)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("small: 3 variants\n  c40: next_n.policy next_n(n=2, stride=1, trigger=tagged)\n")
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.stdout.splitlines()]
    rows = [line for line in lines if len(line) > 5 and line[4]]
    assert [row[:2] for row in rows] == [
        [v, c] for variant, capacity in (("c40", "40 KiB"), ("c200", "200 KiB"), ("stride", "40 KiB"))
        for v, c in ((variant, capacity), ("", ""), ("", ""))
    ]  # fmt: skip
    assert [row[4] for row in rows] == ["none", "next_n", "wrong"] * 3
    assert f"tierfetch show {made / 'c40'}" in shown.stdout.replace("\n", "")

    text = call("export", made, "--csv").stdout
    found = list(csv.DictReader(io.StringIO(text)))
    assert [(row["variant"], row[CAPACITY], row["arm"]) for row in found][3] == ("c200", "204800", "none")
    one = list(csv.DictReader(io.StringIO(call("export", made / "stride", "--csv").stdout)))
    assert [{name: row[name] for name in one[0]} for row in found[6:]] == one
    text = call("export", made, "--markdown", "--columns", f"variant,{CAPACITY},arm").stdout
    assert text.splitlines()[5] == "| c200 | 200 KiB | none (baseline) |"
    text = call("export", made, "--csv", "--table", "comparisons", "--columns", "variant,arm,metric").stdout
    assert text.count("stride,next_n") > 5


def test_list_says_them_together(made: Path, tmp_path: Path) -> None:
    lines = call("list", made.parent).stdout.splitlines()
    assert lines[0].startswith(f"{made}: small, 3 variants, ")
    assert lines[0].endswith("iB, whole, 18 runs")
    assert lines[1] == "  arms none, next_n, wrong; seeds 3, 4"
    assert lines[2] == f"  set differently: {CAPACITY}, {POLICY}, arms.wrong.policy.stride, warm_up"
    assert [line.split()[0] for line in lines[3:]] == ["c40", "c200", "stride"]
    assert "(hbm.capacity 200 KiB, " in lines[4]
    assert ": next_n (" in lines[4]
    assert lines[4].endswith(" against none: too few samples to tell")
    found = json.loads(call("list", made, "--json").stdout)["results"]
    assert {one["variant"] for one in found} == {"c40", "c200", "stride"}
    # A lone one is a result as any other.
    shutil.copytree(made / "c40", tmp_path / "c40")
    assert call("list", tmp_path).stdout.startswith(f"{tmp_path / 'c40'}: small-c40, ")
    # Many are told in short.
    for i in range(10):
        copy = tmp_path / "many" / f"v{i}"
        shutil.copytree(made / "c40", copy)
        kept = Kept.load(copy)
        kept.write({**kept.about, "name": f"small-v{i}"})
    lines = call("list", tmp_path / "many").stdout.splitlines()
    assert lines[2:] == [
        "  set differently: nothing",
        "  variants v0, v1, v2, v3, v4, v5, v6, v7 and 2 more",
        "  lowest mean latency: next_n in 10",
    ]
    lines = call("compare", tmp_path / "many").stdout.splitlines()
    assert sum(": No difference: the configs are the same" in line for line in lines) == 9
    assert lines[9:] == [
        "",
        f"More of one of them: tierfetch compare {tmp_path / 'many' / 'v0'} {tmp_path / 'many' / 'v1'}",
    ]


def test_compare_takes_variants(made: Path, folder: Path) -> None:
    found = call("compare", made)
    assert found.exit_code == 0, found.output
    first, second, *_ = found.stdout.splitlines()
    assert first.startswith(
        f"B, {made / 'c200'}: Not comparable, and nothing is claimed of what came out: judged on other"
    )
    assert second.startswith(f"C, {made / 'stride'}: They differ in the config ({POLICY} next_n(")
    shutil.rmtree(folder / "c200")
    found = call("compare", made, folder)
    assert found.stdout.startswith("variant c40: No difference: the configs are the same")
    assert found.stdout.endswith(f"\nVariants that {made} alone has: c200\n")
    content = json.loads(call("compare", folder, made, "--json").stdout)
    assert [one["variant"] for one in content["comparisons"]] == ["c40", "stride"]
    assert content["variants_alone"] == [{"folder": str(made), "variants": ["c200"]}]
    mixed = call("compare", made, made / "c40")
    assert mixed.exit_code == 2
    assert f"{made}: holds several variants, {made / 'c40'} one result; expected one of them, such as" in mixed.stderr


def test_what_are_no_variants_of_one_experiment(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no results .*, but below it c40, c200, stride; expected one of these"):
        KeptResults.open(folder)
    (folder / "other").mkdir()
    (folder / "other" / "manifest.json").write_text("{}")
    assert isinstance(opened(folder), KeptVariants)
    # One that was called by another name when it was run.
    (folder / "c40").rename(folder / "c41")
    with pytest.raises(InputError, match=r"below it c41, c200, stride, no variants of one experiment"):
        opened(folder)
    (folder / "c41").rename(folder / "c40")
    (folder / "c200" / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json: is damaged"):
        opened(folder)
    with pytest.raises(InputError, match="holds no results"):
        opened(tmp_path / "nothing")


def test_a_variant_that_is_not_whole(folder: Path) -> None:
    (folder / "c200" / "accesses" / "none-3.parquet").unlink()
    for command in (["show"], ["export", "--csv"]):
        found = call(command[0], folder, *command[1:])
        assert (found.exit_code, found.stdout) == (2, "")
        assert f"{folder / 'c200'}: 1 of 6 runs are missing (none-3)" in found.stderr
    assert "18 runs missing" in call("list", folder).stdout


def test_keys_in_short_and_folders_in_order() -> None:
    keys = ["system.tiers.hbm.capacity", "system.tiers.dram.capacity", "arms.a.policy.n", "arms.b.policy.n", "start"]
    assert list(short(keys).values()) == ["hbm.capacity", "dram.capacity", "a.policy.n", "b.policy.n", "start"]
    names = ["c100", "c8", "a", "c20", "10", "9"]
    assert [path.name for path in in_order(map(Path, names))] == ["9", "10", "a", "c8", "c20", "c100"]


def test_arms_that_some_variants_lack_are_no_settings() -> None:
    a: dict[str, Any] = {"arms": [{"name": "x", "policy": {"kind": "none"}}], "seeds": [1]}
    b: dict[str, Any] = {"arms": [*a["arms"], {"name": "y", "policy": {"kind": "none"}}], "seeds": [2], "start": "warm"}
    assert list(swept([a, b])) == ["start"]
