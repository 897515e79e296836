"""What a sweep, or a shard, would run: how many runs, about how long, how much disk: told from short runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.dry_run import estimated, finished, problems_of, say_disk, say_time
from experiments.loading import Loaded
from experiments.plan import is_timed, planned
from experiments.shards import Share
from simulator.errors import InputError

_MOST_PROBLEMS = 20


def dry_sweep(
    loaded: Loaded, folders: Mapping[str, Path], console: Any, *, force: bool, jobs: int,
    share_of: Mapping[str, Share] | None,
) -> list[str]:  # fmt: skip
    """Say what would run into the folders; what is missing or wrong, a line each.

    Times are of the arms of the first experiment that has runs to make, and are taken for all others.

    Raises:
        OutsideError: a policy or a format that is not ours fails.
        RunsFailedError: as that.
    """

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    runs, todo = {}, {}
    problems: list[str] = []
    for name, folder in folders.items():
        experiment = loaded.experiments[name]
        keys = None if share_of is None else share_of[name].keys
        runs[name] = [run for run in planned(experiment) if keys is None or run.key in keys]
        problems += problems_of(experiment, folder, runs[name], force=force)
        if len(problems) > _MOST_PROBLEMS:
            return problems
    if problems:
        return problems
    for name, folder in folders.items():
        done = set() if force else finished(loaded.experiments[name], folder, runs[name])
        todo[name] = [run for run in runs[name] if run.key not in done]
    n, n_todo = (sum(map(len, of.values())) for of in (runs, todo))
    say(f"{loaded.name}: {len(folders):,} experiments, {n:,} runs; {n - n_todo:,} are finished, {n_todo:,} to make")
    first = next((name for name, those in todo.items() if those), None)
    if first is None:
        return []
    experiment = loaded.experiments[first]
    n_accesses = experiment.workload.source.build(experiment.seeds[0]).length()
    say(f"  timing a short run of each arm of {first or loaded.name} ...")
    try:
        one = estimated(experiment, list({run.arm.name: run.arm for run in todo[first]}.values()), n_accesses, say)
    except InputError as error:
        return [str(problem) for problem in error.args]
    mean_s, mean_bytes = (sum(of.values()) / len(of) for of in (one.wall_s, one.n_bytes))
    alone = beside = n_bytes = 0.0
    for run in (run for those in todo.values() for run in those):
        wall_s = one.wall_s.get(run.arm.name, mean_s)
        n_bytes += one.n_bytes.get(run.arm.name, mean_bytes)
        alone, beside = (alone + wall_s, beside) if is_timed(run.arm) else (alone, beside + wall_s)
    say_time(say, alone, beside, jobs)
    say_disk(say, folders[first], n_bytes)
    return []
