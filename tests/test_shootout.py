"""Variants of a config, and the tables that are made of their results."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments import shootout
from tests.test_experiment import call, config, write

NEXT_N = {"kind": "next_n", "n": 4}
ARMS = [
    {"name": "none", "policy": {"kind": "none"}},
    {"name": "oracle", "policy": {"kind": "oracle"}},
    {"name": "next_n", "policy": NEXT_N},
    {"name": "warm", "policy": NEXT_N | {"start": "warm"}},
    {"name": "next_n_fdp", "policy": {"kind": "fdp", "policy": NEXT_N, "level": 1}},
]
VARIANTS = [
    {"name": "scan", "set": {}},
    {
        "name": "noise",
        "set": {"workload.source": {"kind": "random", "accesses": 2000, "n_keys": 5000, "block": "4 KiB"}},
    },
]


def content(**changes: Any) -> dict[str, Any]:
    whole = config(seeds=[0], arms=ARMS, variants=VARIANTS, **changes)
    whole["workload"]["source"] = {"kind": "sequential", "accesses": 2000, "block": "4 KiB"}
    whole["workload"]["arrivals"] = {"kind": "closed", "think": "100 us"}  # a block ahead is not enough
    return whole


def tables(*arguments: object) -> Any:
    return CliRunner().invoke(shootout.app, [str(argument) for argument in arguments])


def test_each_variant_is_run_into_its_folder_and_tabulated(tmp_path: Path) -> None:
    path, out = write(tmp_path, content()), tmp_path / "out"
    assert call(path, "--out", out, "--variant", "noise").exit_code == 0
    assert {folder.name for folder in out.iterdir()} == {"noise"}
    early = tables(path, "--out", out)
    assert early.exit_code == 2
    assert "scan: has no results of 5 of 5 arms (none, oracle, next_n, ...); run tierfetch run" in early.stderr
    assert "--variant scan first" in early.stderr
    assert call(path, "--out", out).exit_code == 0

    document = tmp_path / "doc.md"
    document.write_text(f"# Above\n\n{shootout.BEGIN}\nthe last one\n{shootout.END}\nbelow\n")
    result = tables(path, "--out", out, "--into", document)
    assert result.exit_code == 0, result.output
    text = document.read_text()
    assert text.startswith("# Above")
    assert text.endswith("below\n")
    assert "the last one" not in text
    ratios = {}
    for name in ("scan", "noise"):
        runs = pd.read_parquet(out / name / "runs.parquet").set_index("arm")
        ratios[name] = runs["mean_latency_ns"] / runs["mean_latency_ns"]["none"]
        for arm in runs.index:
            line = next(
                line for line in text[text.index(f"### {name}") :].splitlines() if line.startswith(f"| {arm} |")
            )
            assert f"| {ratios[name][arm]:.3f} |" in line
            assert f"| {runs['coverage_ratio'][arm]:.3f} |" in line
    # The better of the arms that can be had is bold, the oracle never; the throttled arm stands beside its own.
    assert f"| next_n | **{ratios['scan']['next_n']:.3f}** / {ratios['scan']['next_n_fdp']:.3f} |" in text
    # A table that was warmed can be had for nothing.
    assert f"| warm | **{ratios['scan']['warm']:.3f}** |" in text
    assert f"| oracle | {ratios['scan']['oracle']:.3f} |" in text
    assert ratios["scan"]["next_n"] < ratios["scan"]["next_n_fdp"] < 1

    again = tables(path, "--out", out, "--into", document)
    assert again.exit_code == 0
    assert document.read_text() == text


def test_models_are_told_beside_their_controls() -> None:
    model = {"beats_control": False, "named_ratio": 0.25, "control": "the next block", "control_top1_ratio": 0.5}
    row = model | {"seed": 0, "threshold": 0.1}
    rows = {"none": [{"seed": 0}], "a": [row], "b": [row], "c": [row | {"threshold": float("inf")}]}
    assert shootout._models(rows) == [
        "- a, b: named 0.250 of the validation part, the next block 0.500 (seed 0).",
        "- c: named 0.250 of the validation part, the next block 0.500, and is held back (seed 0).",
    ]


def test_a_document_without_a_place_for_tables(tmp_path: Path) -> None:
    path, out = write(tmp_path, content()), tmp_path / "out"
    call(path, "--out", out)
    (tmp_path / "doc.md").write_text("nothing\n")
    result = tables(path, "--out", out, "--into", tmp_path / "doc.md")
    assert result.exit_code == 2
    assert "doc.md: expected one line <!-- tables: begin -->" in result.stderr
    assert (tmp_path / "doc.md").read_text() == "nothing\n"


def test_results_of_another_config_or_of_other_seeds_are_not_taken(tmp_path: Path) -> None:
    path, out = write(tmp_path, content()), tmp_path / "out"
    assert call(path, "--out", out, "--seeds", "5,6").exit_code == 0
    assert "scan: has no results of 5 of 5 arms" in tables(path, "--out", out).stderr
    assert call(path, "--out", out).exit_code == 0
    both = tables(path, "--out", out)
    alone = tmp_path / "alone"
    assert call(path, "--out", alone).exit_code == 0
    assert both.exit_code == 0
    assert both.output == tables(path, "--out", alone).output
    other = content()
    other["system"]["tiers"][0]["capacity"] = "200 KiB"
    refused = tables(write(tmp_path, other, "other.yaml"), "--out", out)
    assert refused.exit_code == 2
    assert "holds the results of another config" in refused.stderr


@pytest.mark.parametrize(
    ("variants", "arguments", "expected"),
    [
        (VARIANTS, ["--variant", "scam"], "has no variant 'scam'; expected one of scan, noise"),
        ([], ["--variant", "scan"], "has no variant 'scan'; expected none"),
        ([VARIANTS[0], VARIANTS[0]], [], "variants: 'scan' is twice"),
        ([{"name": "a", "sett": {}}], [], "variants: 0.set: is missing"),
        ([{"name": "a", "set": {"system.tiers.9.capacity": "1 MiB"}}], [], "variant a: set: system.tiers.9.capacity"),
        ([{"name": "a", "set": {"system.placement": "both"}}], [], "variant a: system.placement"),
    ],
)
def test_bad_variants(tmp_path: Path, variants: Any, arguments: list[str], expected: str) -> None:
    result = call(write(tmp_path, content() | {"variants": variants}), "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2, result.output
    assert expected in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_command_line_overrides_a_variant(tmp_path: Path) -> None:
    path, out = write(tmp_path, content()), tmp_path / "out"
    changes = ("--set", "workload.source.accesses=600", "--variant", "noise")
    assert call(path, "--out", out, *changes, "--quiet").exit_code == 0
    assert set(pd.read_parquet(out / "noise" / "runs.parquet")["n_accesses"]) == {300}
