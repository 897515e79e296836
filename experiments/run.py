"""``python -m experiments.run CONFIG``: every arm with every seed, the tables, the comparison."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes

if TYPE_CHECKING:
    from experiments.config import Experiment

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_LOCK = ".lock"


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="The experiment, a YAML file such as configs/mixed.yaml.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the tables.", show_default="results/<name>-<hash>")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override a key of the config; may be given again."),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Only these variants of the config.", show_default="all that it has"),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="0,1,2", help="Seeds in place of the config's.", show_default=False)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no closing table.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Repeat runs that are finished.")] = False,
) -> None:
    """Run an experiment: all arms over all seeds, with the LSTM's own inference time on the simulated clock.

    Finished runs are not repeated: a run that was interrupted goes on where it stopped. Exit codes: 0 done, 2 bad input
    (the message says which file, line or key), 130 interrupted (finished runs are kept), 1 a bug.
    """
    with exit_codes("finished runs are kept; run the same command to go on"):
        from experiments.loading import load

        wanted = None if variant is None else [name.strip() for name in variant.split(",")]
        for name, experiment in load(config, set_ or [], parse_seeds(seeds), wanted).items():
            run_experiment(experiment, folder_of(experiment, name, out), quiet=quiet, force=force)


def parse_seeds(text: str | None) -> list[int] | None:
    """The numbers of an option. Raises InputError if they are none."""
    from simulator.errors import InputError

    if text is None:
        return None
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise InputError(f"--seeds {text}: expected whole numbers such as 0,1,2") from None


def folder_of(experiment: "Experiment", variant: str, out: Path | None) -> Path:
    """Where an experiment's tables go: with ``--out``, a variant's into a folder of its own there."""
    if out is None:
        return Path("results") / f"{experiment.name}-{experiment.folder_hash()}"
    return out / variant


def run_experiment(experiment: "Experiment", folder: Path, *, quiet: bool, force: bool) -> None:
    """Do what the command does, for one experiment.

    Raises:
        InputError: the trace, a recording or the folder is wrong.
    """
    from experiments.progress import make_console

    console = make_console()
    rows = run_all(experiment, folder, console, quiet=quiet, force=force)
    from experiments.compare import compare
    from experiments.metrics import attribution
    from experiments.report import print_report
    from experiments.tables import write_rows

    compared = compare(rows, experiment.baseline, folder)
    write_rows(folder / "comparisons.parquet", compared, _metadata(experiment, rows))
    arms = {arm.name: arm for arm in experiment.arms}
    parts = [part for row in rows for part in attribution(row, experiment.system_of(arms[row["arm"]]))]
    write_rows(folder / "attribution.parquet", parts, _metadata(experiment, rows))
    if not quiet:
        print_report(console, experiment.name, rows, compared, experiment.baseline)
        console.print(f"Tables: {folder}", highlight=False)


def _metadata(experiment: "Experiment", rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the tables over several runs say of themselves; the last three by arm, or by seed for the trace."""
    from experiments.single import versions

    return {
        "config": experiment.model_dump(mode="json"),
        "config_hash": experiment.folder_hash(),
        "versions": versions(),
        "device": {row["arm"]: row["device"] for row in rows},
        "latencies": {row["arm"]: row["latencies"] for row in rows},
        "trace_sha256": {str(row["seed"]): row["trace_sha256"] for row in rows},
    }


def run_all(
    experiment: "Experiment", folder: Path, console: Any, *, quiet: bool, force: bool = False
) -> list[dict[str, Any]]:
    """Run what is not finished yet; the rows of all runs of this experiment, in order of arms and seeds.

    Raises:
        InputError: the trace, a recording or the folder is wrong.
    """
    from experiments.recording import make_charge
    from experiments.single import run_hash
    from experiments.tables import make_folder, read_rows
    from simulator.errors import InputError
    from workloads.readers.files import sha256
    from workloads.registry import build, files

    traces = {str(path): sha256(path) for path in files(experiment.workload.source)}
    plan = [(arm, seed) for arm in experiment.arms for seed in experiment.seeds]
    for arm in experiment.arms:
        arm.policy.check()
    for arm, seed in plan:
        # Everything that can be wrong with the input of any run is found before the first one starts.
        make_charge(experiment, arm, seed)
    n_accesses = build(experiment.workload.source, experiment.seeds[0]).length()
    check_folder(experiment, folder)
    finished = {(row["arm"], row["seed"]): row for row in read_rows(folder / "runs.parquet")}
    arms = {arm.name: arm for arm in experiment.arms}

    def current_hash(arm: str, seed: int) -> str:
        return run_hash(experiment, arms[arm], seed) + str(sorted(traces.values())) if arm in arms else ""

    # Runs of other seeds stay in the table: a folder is an experiment whatever seeds it was asked for last.
    keep = {key: row for key, row in finished.items() if row["run_hash"] == current_hash(*key)}
    if force:
        planned = {(arm.name, seed) for arm, seed in plan}
        keep = {key: row for key, row in keep.items() if key not in planned}
    todo = [(arm, seed, current_hash(arm.name, seed)) for arm, seed in plan if (arm.name, seed) not in keep]
    is_new = not (folder / "manifest.json").exists()
    make_folder(folder)
    with _locked(folder):
        for leftover in folder.glob("*/*.part"):
            leftover.unlink()
        _write_manifest(experiment, folder, traces)
        try:
            _run_missing(experiment, folder, console, todo, keep, n_accesses, quiet=quiet)
        except (InputError, MemoryError):
            if is_new and not keep:
                # Nothing came of it: the folder is free for the corrected config.
                _empty(folder)
            raise
    return [keep[arm.name, seed] for arm, seed in plan]


def _run_missing(
    experiment: "Experiment",
    folder: Path,
    console: Any,
    todo: list[tuple[Any, int, str]],
    keep: dict[tuple[str, int], dict[str, Any]],
    n_accesses: int,
    *,
    quiet: bool,
) -> None:
    """Run ``todo`` (arm, seed and hash of each); each row joins ``keep`` and the ``runs`` table as it is done."""
    from experiments.progress import RunProgress
    from experiments.single import chosen_engine, run_one
    from experiments.tables import write_rows
    from experiments.warm import compile_core
    from simulator.errors import InputError

    n_judged = n_accesses - int(n_accesses * experiment.workload.train_ratio)
    with RunProgress(console, len(todo), quiet=quiet) as progress:
        n_planned = len(experiment.arms) * len(experiment.seeds)
        if len(todo) < n_planned:
            progress.say(f"{n_planned - len(todo)} of {n_planned} runs are finished already (--force repeats them)")
        if todo:
            chosen = chosen_engine(experiment)
            progress.say(f"engine: {chosen}" + (" (auto)" if chosen != experiment.engine else ""))
            compile_core(progress.say)
        for arm, seed, hash_ in todo:
            progress.start(arm.name, seed, n_judged)
            row = run_one(experiment, arm, seed, folder, progress.accesses, progress.epoch)
            row["run_hash"] = hash_
            digests = {r["trace_sha256"] for (_, s), r in keep.items() if s == seed} | {row["trace_sha256"]}
            if len(digests) != 1:
                raise InputError(f"seed {seed}: the trace changed between arms; run again with --force")
            keep[arm.name, seed] = row
            write_rows(folder / "runs.parquet", _ordered(experiment, keep), _metadata(experiment, list(keep.values())))
            progress.finish(row)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder. Raises InputError if one is in it."""
    from filelock import FileLock, Timeout

    from simulator.errors import InputError

    try:
        with FileLock(folder / _LOCK, timeout=0):
            yield
    except Timeout:
        raise InputError(f"{folder}: another process is writing to it; wait for it, or use another --out") from None


def _empty(folder: Path) -> None:
    """Remove what a run leaves in a new folder before it has a result."""
    (folder / "manifest.json").unlink(missing_ok=True)
    for below in folder.iterdir():
        if below.is_dir() and not any(below.iterdir()):
            below.rmdir()


def _ordered(experiment: "Experiment", rows: dict[tuple[str, int], dict[str, Any]]) -> list[dict[str, Any]]:
    arms = [arm.name for arm in experiment.arms]
    return [rows[key] for key in sorted(rows, key=lambda key: (arms.index(key[0]), key[1]))]


def check_folder(experiment: "Experiment", folder: Path) -> None:
    """Raises InputError if a folder is none, or holds anything but results of this experiment."""
    from simulator.errors import InputError

    manifest = folder / "manifest.json"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: is a file; expected a folder")
    if not manifest.exists():
        if folder.is_dir() and any(path.name != _LOCK for path in folder.iterdir()):
            raise InputError(f"--out {folder}: holds other files; expected an empty or a new folder")
        return
    try:
        found = json.loads(manifest.read_text())["config_hash"]
    except (ValueError, KeyError, TypeError, OSError):
        raise InputError(f"{manifest}: is damaged; delete the folder or use another --out") from None
    if found != experiment.folder_hash():
        raise InputError(
            f"--out {folder}: holds the results of another config ({found}, this one is {experiment.folder_hash()}); "
            "expected a new folder"
        )


def _write_manifest(experiment: "Experiment", folder: Path, traces: dict[str, str]) -> None:
    manifest = {
        "name": experiment.name,
        **{key: value for key, value in _metadata(experiment, []).items() if value},
        "traces_sha256": {Path(path).name: digest for path, digest in traces.items()},
        "tables": {
            "runs.parquet": "a row for each arm and seed",
            "comparisons.parquet": "each arm against the baseline",
            "attribution.parquet": "where the latency of each run went",
            "accesses/, prefetches/, inferences/, windows/, training/": "a file for each arm and seed",
        },
    }
    aside = folder / f"manifest.json.{os.getpid()}.part"
    aside.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    aside.replace(folder / "manifest.json")


if __name__ == "__main__":
    app()
