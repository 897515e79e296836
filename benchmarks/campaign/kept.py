"""Kept results that are damaged, and the same command again: nothing is changed silently, and all can be mended."""

import shutil
from pathlib import Path
from typing import Any

from benchmarks.campaign.case import Case, DefectError, Place
from benchmarks.campaign.commands import call, expect
from benchmarks.campaign.damage import Damage
from benchmarks.campaign.folders import asides, differences, present
from experiments.kept import MANIFEST, Done, Kept
from tests.test_experiment import LSTM, config, write

WORKLOADS = ("plain", "phases")


def experiment(workload: str = "plain") -> dict[str, Any]:
    """Three arms, which are charged the same every time, with two seeds."""
    lstm = {**LSTM, "epochs": 2, "in_gpu_memory": False}
    content = config(
        name="kept",
        arms=[
            {"name": "none", "policy": {"kind": "none"}},
            {"name": "next_n", "policy": {"kind": "next_n"}},
            {"name": "lstm", "policy": lstm, "charge": {"kind": "fixed", "latency": "80 us"}},
        ],
    )
    if workload == "phases":
        of_all = {"accesses": 100, "block": "4 KiB"}
        phases = [{"kind": "sequential", **of_all}, {"kind": "pointer_chase", "n_keys": 40, **of_all}]
        content["workload"]["source"] = {"kind": "phases", "rounds": 2, "phases": phases}
        content["arms"].pop()
    else:
        content["workload"]["source"]["accesses"] = 200
    return content


def reference(shared: Path, workload: str) -> tuple[Path, Path]:
    """A config, and the folder of its results with nothing wrong."""
    folder = shared / f"kept-{workload}"
    if not folder.exists():
        folder.mkdir()
        path = write(folder, experiment(workload))
        expect(call("experiments.run", path, "--out", folder / "out"), 0)
    return folder / "config.yaml", folder / "out"


def prepare(shared: Path) -> None:
    """Make what is to be damaged."""
    for workload in WORKLOADS:
        reference(shared, workload)


def run(case: Case, place: Place) -> str:
    """Damage a copy in up to three ways, run the command again, and with --force where it was refused."""
    draws = case.draws()
    workload = draws.choices(WORKLOADS, [1, 7])[0]
    path, whole = reference(place.shared, workload)
    out = place.case / "out"
    shutil.copytree(whole, out)
    if draws.random() < 0.2:
        _as_killed(out)
    damage = Damage(out, draws)
    for _ in range(draws.choice([1, 1, 1, 2, 3])):
        damage.add()
    claimed = Kept.load(whole)
    hurt = _hurt(claimed, out)
    before = present(out)
    arguments = [path, "--out", out, *(["--by", "phase"] if workload == "phases" and draws.random() < 0.5 else [])]
    try:
        first = call("experiments.run", *arguments)
        outcome = expect(first, 0, 2, names=(str(out),))
        if outcome == "refused":
            if present(out) != before and not damage.may_write:
                raise DefectError(f"refused, and yet something was changed in {out}\n{first}")
            said = call("experiments.run", *arguments, "--force")
            outcome = "refused, then forced"
            if expect(said, 0, 2, names=(str(out),)) == "refused":
                if not damage.is_foreign:
                    raise DefectError(f"--force does not help\n{said}")
                return "refused, forced or not"
        elif (out / MANIFEST).exists() and not damage.hides_runs:
            unsaid = [run for run in hurt if "".join(f"{run} is made again".split()) not in "".join(first.out.split())]
            if unsaid:
                raise DefectError(f"{unsaid}: damaged, and made again without a word\n{first}")
            outcome = "made good" if hurt else "kept"
        if differ := differences(out, whole, frozenset(damage.bystanders)):
            raise DefectError(f"other results: {differ}\n{first}")
        if left := [path for path in asides(out) if path not in damage.of_others]:
            raise DefectError(f"left half-written: {left}")
    except DefectError as error:
        raise DefectError(f"{'; '.join(damage.done)}: {error}") from None
    return outcome


def _as_killed(out: Path) -> None:
    """As a command leaves it that is killed at the end of its runs: small files, and a manifest without runs."""
    kept = Kept.load(out)
    about, runs = kept.about, dict(kept.runs)
    kept.runs = {}
    kept.write(about)
    for found in runs.values():
        kept.add(found.hash, Done(found.row, found.files))
    (out / "runs.parquet").unlink()


def _hurt(claimed: Kept, out: Path) -> list[str]:
    """Of which runs a file is not as it was."""
    there = Kept(out)
    return [f"arm {arm}, seed {seed}" for (arm, seed, _), f in claimed.runs.items() if there.damage(f)]
