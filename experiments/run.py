"""``python -m experiments.run CONFIG``: every arm with every seed, the tables, the comparison."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes
from experiments.jobs import Jobs, n_cores

if TYPE_CHECKING:
    from experiments.config import Arm, Experiment
    from experiments.progress import OneRun, RunProgress

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


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
    jobs: Jobs = 1,
) -> None:
    """Run an experiment: all arms over all seeds, with the LSTM's own inference time on the simulated clock.

    Finished runs are not repeated: a run that was interrupted goes on where it stopped. Exit codes: 0 done, 2 bad input
    (the message says which file, line or key), 3 a process of --jobs died and died again (all other runs are kept), 130
    interrupted (finished runs are kept), 1 a bug.
    """
    with exit_codes("finished runs are kept; run the same command to go on"):
        from experiments.loading import load

        wanted = None if variant is None else [name.strip() for name in variant.split(",")]
        for name, experiment in load(config, set_ or [], parse_seeds(seeds), wanted).items():
            run_experiment(experiment, folder_of(experiment, name, out), quiet=quiet, force=force, jobs=jobs)


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


def run_experiment(experiment: "Experiment", folder: Path, *, quiet: bool, force: bool, jobs: int = 1) -> None:
    """Do what the command does, for one experiment.

    Raises:
        InputError: the trace, a recording or the folder is wrong.
    """
    from experiments.progress import make_console

    console = make_console()
    rows = run_all(experiment, folder, console, quiet=quiet, force=force, jobs=jobs)
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
    experiment: "Experiment", folder: Path, console: Any, *, quiet: bool, force: bool = False, jobs: int = 1
) -> list[dict[str, Any]]:
    """Run what is not finished yet; the rows of all runs of this experiment, in order of arms and seeds.

    ``jobs``: so many processes at once, 0 for one a core.

    Raises:
        InputError: the trace, a recording or the folder is wrong.
        RunsDiedError: processes died; all other runs are done.
    """
    from experiments.folder import check_folder, empty, locked, remove_leftovers, write_manifest
    from experiments.recording import make_charge
    from experiments.single import run_hash
    from experiments.tables import make_folder, read_rows
    from simulator.errors import InputError
    from workloads.readers.files import sha256

    traces = {str(path): sha256(path) for path in experiment.workload.source.files()}
    plan = [(arm, seed) for arm in experiment.arms for seed in experiment.seeds]
    for arm in experiment.arms:
        arm.policy.check()
    for arm, seed in plan:
        # Everything that can be wrong with the input of any run is found before the first one starts.
        make_charge(experiment, arm, seed)
    n_accesses = experiment.workload.source.build(experiment.seeds[0]).length()
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
    todo = {(arm.name, seed): current_hash(arm.name, seed) for arm, seed in plan if (arm.name, seed) not in keep}
    is_new = not (folder / "manifest.json").exists()
    make_folder(folder)
    with locked(folder):
        remove_leftovers(folder)
        write_manifest(experiment, folder, traces, _metadata(experiment, []))
        try:
            _run_missing(experiment, folder, console, todo, keep, n_accesses, quiet=quiet, jobs=jobs or n_cores())
        except (InputError, MemoryError):
            if is_new and not keep:
                # Nothing came of it: the folder is free for the corrected config.
                remove_leftovers(folder)
                empty(folder)
            raise
        finally:
            remove_leftovers(folder)
    return [keep[arm.name, seed] for arm, seed in plan]


def _run_missing(
    experiment: "Experiment",
    folder: Path,
    console: Any,
    todo: dict[tuple[str, int], str],
    keep: dict[tuple[str, int], dict[str, Any]],
    n_accesses: int,
    *,
    quiet: bool,
    jobs: int,
) -> None:
    """Run ``todo`` (the hash of each arm and seed); each row joins ``keep`` and the ``runs`` table as it is done."""
    from experiments.compiling import Announced
    from experiments.progress import RunProgress
    from experiments.single import chosen_engine
    from experiments.tables import write_rows
    from experiments.warm import compile_core
    from simulator.errors import InputError

    n_judged = n_accesses - int(n_accesses * experiment.workload.train_ratio)
    n_at_once = min(jobs, len(todo))
    with RunProgress(console, len(todo), quiet=quiet, n_at_once=n_at_once) as progress, Announced(progress.say):
        n_planned = len(experiment.arms) * len(experiment.seeds)
        if len(todo) < n_planned:
            progress.say(f"{n_planned - len(todo)} of {n_planned} runs are finished already (--force repeats them)")
        if not todo:
            return
        chosen = chosen_engine(experiment)
        progress.say(f"engine: {chosen}" + (" (auto)" if chosen != experiment.engine else ""))
        compile_core([t.eviction.kind for arm in experiment.arms for t in experiment.system_of(arm).tiers])
        tasks = [(arm, seed) for arm in experiment.arms for seed in experiment.seeds if (arm.name, seed) in todo]
        for row in _rows(experiment, folder, tasks, progress, n_judged, n_at_once):
            key = row["arm"], row["seed"]
            row["run_hash"] = todo[key]
            digests = {r["trace_sha256"] for (_, s), r in keep.items() if s == key[1]} | {row["trace_sha256"]}
            if len(digests) != 1:
                raise InputError(f"seed {key[1]}: the trace changed between arms; run again with --force")
            keep[key] = row
            write_rows(folder / "runs.parquet", _ordered(experiment, keep), _metadata(experiment, list(keep.values())))


def _rows(
    experiment: "Experiment",
    folder: Path,
    tasks: list[tuple["Arm", int]],
    progress: "RunProgress",
    n_judged: int,
    n_at_once: int,
) -> Iterator[dict[str, Any]]:
    """The row of each run as it is done."""
    if n_at_once == 1:
        from experiments.single import run_one

        for arm, seed in tasks:
            shown = progress.start(arm.name, seed, n_judged)
            done = run_one(experiment, arm, seed, folder, shown.accesses, shown.epoch)
            shown.finish(done)
            yield done
        return
    from experiments.folder import SHARED
    from experiments.shared import share_all
    from experiments.workers import Task, side_by_side

    def show(task: Task) -> "OneRun":
        if task.trains_only:
            return progress.start_training(task.arm.name, task.seed)
        return progress.start(task.arm.name, task.seed, n_judged, is_again=task.n_tries > 0)

    traces = share_all(experiment.workload.source, sorted({seed for _, seed in tasks}), folder / SHARED, n_at_once)
    is_timed = {arm.name: arm.charged.kind == "measured" for arm, _ in tasks}
    ahead = [Task(arm, seed, trains_only=True) for arm, seed in tasks if is_timed[arm.name] and arm.policy.learns]
    beside = [Task(arm, seed) for arm, seed in tasks if not is_timed[arm.name]]
    alone = [Task(arm, seed) for arm, seed in tasks if is_timed[arm.name]]
    # What runs beside a run whose own wall time is charged would be measured with it.
    for group, n in (([*ahead, *beside], n_at_once), (alone, 1)):
        for _, row in side_by_side(experiment, folder, group, n, traces, show):
            if row is not None:
                yield row


def _ordered(experiment: "Experiment", rows: dict[tuple[str, int], dict[str, Any]]) -> list[dict[str, Any]]:
    arms = [arm.name for arm in experiment.arms]
    return [rows[key] for key in sorted(rows, key=lambda key: (arms.index(key[0]), key[1]))]


if __name__ == "__main__":
    app()
