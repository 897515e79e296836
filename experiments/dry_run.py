"""What a command would run: how many accesses, what is finished, what is missing, about how long and how large.

Nothing is written. Time and disk are told from the first accesses of the trace, which each arm runs into a folder that
is removed again.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from experiments.charges import Free
from experiments.config import Arm, Experiment
from experiments.jobs import n_cores
from experiments.plan import Key, Run, is_timed, planned
from simulator.errors import InputError

_PIECE, _FIRST_PIECE = 8_000, 2_000
"""Accesses of the two measured runs: what a run takes without any is told apart from what an access takes."""


class _Took(NamedTuple):
    """What the short run of an arm took: in all, of which in bytes of files that do not grow with the accesses."""

    wall_s: float
    n_bytes: int
    n_fixed_bytes: int


class _Estimate(NamedTuple):
    """Of one run of each arm: seconds, and bytes."""

    wall_s: dict[str, float]
    n_bytes: dict[str, float]


def dry_run(experiment: Experiment, folder: Path, console: Any, *, force: bool = False, jobs: int = 1) -> list[str]:
    """Say what would be run into a folder; what is missing or wrong, so that it could not be, a line each.

    Raises:
        OutsideError: a policy or a format that is not ours fails.
        RunsFailedError: as that.
    """

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False)

    say(f"{experiment.name}: {folder}")
    runs = planned(experiment)
    problems = list(problems_of(experiment, folder, runs, force=force))
    try:
        if not problems:
            _say_what(experiment, folder, runs, say, force=force, jobs=jobs)
    except InputError as error:
        problems = [str(problem) for problem in error.args]
    return list(dict.fromkeys(problems))


def _say_what(experiment: Experiment, folder: Path, runs: list[Run], say: Any, *, force: bool, jobs: int) -> None:
    from experiments.prepared import split

    workload = experiment.workload.source.build(experiment.seeds[0])
    n, parts = workload.length(), split(experiment, workload)
    arms, seeds = ", ".join(arm.name for arm in experiment.arms), ", ".join(map(str, experiment.seeds))
    say(f"  {len(runs)} runs: arms {arms}; seeds {seeds}")
    say(f"  {n:,} accesses each, {parts.n_train:,} of them to learn from; {n - parts.first:,} are simulated")
    done = set() if force else finished(experiment, folder, runs)
    todo = [run for run in runs if run.key not in done]
    say(f"  {len(done)} runs are finished already; {len(todo)} to make")
    if not todo:
        return
    say("  timing a short run of each arm ...")
    one = estimated(experiment, list({run.arm.name: run.arm for run in todo}.values()), n, say)
    alone = sum(one.wall_s[run.arm.name] for run in todo if is_timed(run.arm))
    beside = sum(one.wall_s[run.arm.name] for run in todo if not is_timed(run.arm))
    say_time(say, alone, beside, jobs)
    for name, wall_s in one.wall_s.items():
        say(f"    {name}: {_time(wall_s)} a run")
    say_disk(say, folder, sum(one.n_bytes[run.arm.name] for run in todo))


def say_time(say: Any, alone_s: float, beside_s: float, jobs: int) -> None:
    """How long runs take, of which some have the machine to themselves."""
    n_at_once = min(jobs or n_cores(), n_cores())
    say(f"  time: about {_time(alone_s + beside_s / n_at_once)}, of which {_time(alone_s)} measured alone")


def say_disk(say: Any, folder: Path, n_bytes: float) -> None:
    """How much is written into a folder. Raises InputError if its disk has less room."""
    free = shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free
    say(f"  disk: about {_bytes(n_bytes)}; {_bytes(free)} are free")
    if n_bytes > free:
        raise InputError(f"{folder}: has no room for about {_bytes(n_bytes)}; expected fewer tables (output), or --out")


def problems_of(experiment: Experiment, folder: Path, runs: list[Run], *, force: bool) -> Iterator[str]:
    """What would end the command before its first run."""
    from experiments.beforehand import check_charge, check_columns
    from experiments.folder import check_folder, kept_in

    def of(action: Any) -> Iterator[str]:
        try:
            action()
        except InputError as error:
            yield from map(str, error.args)

    for path in experiment.workload.source.files():
        if not path.is_file():
            yield f"{path}: no such file; expected a trace (TIERFETCH_TRACES names the folder to look in)"
    for arm in experiment.arms:
        yield from (f"arm {arm.name}: {problem}" for problem in of(arm.policy.check))
        yield from of(lambda arm=arm: check_columns(experiment, arm))
    for run in runs:
        yield from of(lambda run=run: check_charge(experiment, run))
    yield from of(lambda: check_folder(folder, force=force))
    if not force:
        yield from of(lambda: kept_in(experiment, folder, force=False))


def finished(experiment: Experiment, folder: Path, runs: list[Run]) -> set[Key]:
    """The runs that the folder keeps as they would be made today."""
    from experiments.kept import Kept
    from experiments.making_runs import hash_of
    from experiments.settling import cut_of
    from workloads.readers.files import sha256

    kept = Kept.load(folder)
    if not kept.runs:
        return set()
    traces = {str(path): sha256(path) for path in experiment.workload.source.files()}
    cuts = {seed: cut_of(experiment, seed).n_accesses for seed in experiment.seeds}
    return {
        run.key
        for run in runs
        if (found := kept.runs.get(run.key)) is not None
        and found.hash == hash_of(experiment, run, cuts[run.seed], traces)
        and not kept.damage(found)
    }


def estimated(experiment: Experiment, arms: list[Arm], n: int, say: Any) -> _Estimate:
    """What a run of each arm takes, as if that went by the accesses alone, but for what a run takes without any.

    ``say`` is told of what is compiled meanwhile.
    """
    from experiments.compiling import Announced

    piece = min(n, _PIECE)
    with Announced(say):
        whole = _measured(experiment, arms, piece, n)
    wall_s = {name: took.wall_s for name, took in whole.items()}
    if piece < n:
        part = _measured(experiment, arms, _FIRST_PIECE, n)
        for name, took in whole.items():
            an_access = max(took.wall_s - part[name].wall_s, 0) / (_PIECE - _FIRST_PIECE)
            # Where the shorter run took no less, nothing is known of what does not grow.
            wall_s[name] = took.wall_s + an_access * (n - piece) if an_access else took.wall_s * n / piece
    n_bytes = {
        name: took.n_fixed_bytes + (took.n_bytes - took.n_fixed_bytes) * n / piece for name, took in whole.items()
    }
    return _Estimate(wall_s, n_bytes)


def _measured(experiment: Experiment, arms: list[Arm], n_accesses: int, n: int) -> dict[str, _Took]:
    """One run of each arm over the first accesses.

    Raises:
        InputError: a run says that something is wrong.
    """
    from experiments.kept import Kept
    from experiments.progress import make_console
    from experiments.runner import run_all

    source = experiment.workload.source
    if n_accesses < n:
        source = _first(experiment, n_accesses)
    # A recording is of the whole run; what it replays takes no time.
    arms = [
        arm.model_copy(update={"charge": Free(kind="free")}) if arm.charged.kind == "replay" else arm for arm in arms
    ]
    short = experiment.model_copy(
        update={
            "workload": experiment.workload.model_copy(update={"source": source}),
            "arms": tuple(arms), "baseline": arms[0].name, "seeds": experiment.seeds[:1], "repeats": 1,
            "warm_up": "none",
        }
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, _models_in(folder):
        place = Path(folder) / "runs"
        rows = run_all(short, place, make_console(), quiet=True)
        files = {key[0]: found.files for key, found in Kept.load(place).runs.items()}
    found = {}
    for row in rows:
        sizes = {name: size for name, (size, _) in files[row["arm"]].items()}
        fixed = sum(size for name, size in sizes.items() if name.startswith(("models/", "training/")))
        found[row["arm"]] = _Took(row["wall_with_training_s"], sum(sizes.values()), fixed)
    return found


def _first(experiment: Experiment, n_accesses: int) -> Any:
    from workloads.registry import SOURCES

    return SOURCES.validate({"kind": "slice", "accesses": n_accesses, "source": experiment.workload.source})


@contextmanager
def _models_in(folder: str) -> Iterator[None]:
    """Have models kept there meanwhile: those of a piece of a trace are of no use afterwards."""
    name = "TIERFETCH_MODELS"
    before = os.environ.get(name)
    os.environ[name] = str(Path(folder) / "models")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bytes(n: float) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n >= factor:
            return f"{n / factor:.1f} {unit}"
    return f"{n:.0f} B"
