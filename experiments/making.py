"""An experiment from its config to all of its tables; what is said of them afterwards is ``experiments.report``'s."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.callbacks import Callback, Callbacks
from experiments.config import Experiment
from experiments.exits import RunsDiedError, RunsFailedError
from experiments.loading import Loaded
from experiments.shards import Share

if TYPE_CHECKING:
    from experiments.clusters.joined import Cluster
    from experiments.common import Common
    from experiments.crews import Steps
    from experiments.prepared import OtherEngine
    from experiments.progress import RunProgress
    from experiments.until.looks import Look
    from experiments.until.targets import Until

Row = dict[str, Any]


class Made(NamedTuple):
    """What came of an experiment: rows of ``runs`` and ``comparisons`` that were asked for, all of ``by_phase``.

    ``failed`` are lines on callbacks that raised something. ``look`` is the last one of ``--until``, and ``experiment``
    the one that was made, with the seeds that it took.
    """

    rows: list[Row]
    compared: list[Row]
    phases: list[Row]
    failed: list[str]
    experiment: Experiment
    look: "Look | None" = None


def out_of(loaded: Loaded) -> Path | None:
    """Where the results of a sweep go by themselves, together; None: each experiment's for itself."""
    if not loaded.is_swept or "" in loaded.experiments:
        return None
    # Names too: some keys make no other results, such as which tables are kept.
    hashes = " ".join(f"{name} {experiment.folder_hash()}" for name, experiment in loaded.experiments.items())
    return Path("results") / f"{loaded.name}-sweep-{hashlib.sha256(hashes.encode()).hexdigest()[:8]}"


def folder_of(experiment: Experiment, variant: str, out: Path | None) -> Path:
    """Where an experiment's tables go: with ``--out``, a variant's into a folder of its own there."""
    if out is None:
        return Path("results") / f"{experiment.name}-{experiment.folder_hash()}"
    return out / variant


def make(
    experiment: Experiment, folder: Path, *, console: Any = None, quiet: bool = False, force: bool = False,
    jobs: int = 1, live: bool = False, callbacks: Sequence[Callback] = (), share: Share | None = None,
    cluster: "Cluster | None" = None, until: "Until | None" = None, engine: "OtherEngine | None" = None,
) -> Made:  # fmt: skip
    """Make the runs that the folder does not keep, and write all tables; with ``quiet`` no progress is shown.

    ``jobs``: so many processes at once, 0 for one a core. ``console``: where progress goes, by default what
    ``make_console`` finds. ``live``: how all arms stand is shown meanwhile. ``callbacks`` are told of runs.
    Of a ``share`` its runs alone are made, and nothing that is of all of them. With a ``cluster`` they are made there.
    With ``until`` seeds are added until intervals are as narrow as it says. ``engine`` runs in the place of the
    experiment's, here and one at a time.

    Raises:
        InputError: the trace, a recording or the folder is wrong.
        RunsDiedError: processes died; all other runs are kept.
        RunsFailedError: code from outside failed in runs; all others are kept.
    """
    from experiments.progress import make_console
    from experiments.runner import run_all

    console, look = console or make_console(), None
    if until is not None:
        from experiments.until.looks import begun, look_at, with_seeds

        experiment = begun(until, experiment, folder, force=force)
    told = Callbacks(callbacks, experiment, folder)
    try:
        while True:
            rows = run_all(
                experiment, folder, console, quiet=quiet, force=force and look is None, jobs=jobs, live=live,
                callbacks=told, share=share, cluster=cluster, engine=engine,
            )  # fmt: skip
            if until is None:
                break
            look = look_at(until, experiment, rows)
            if look.is_over:
                break
            if not quiet:
                console.print(look.said, highlight=False, markup=False, soft_wrap=True)
            experiment = with_seeds(experiment, look.n_seeds)
            told.grown(experiment)
    except (RunsDiedError, RunsFailedError) as error:
        if not told.failed:
            raise
        raise type(error)(*error.args, *told.lines) from None
    return _with_tables(experiment, folder, rows, told, share, look)


def steps_to_make(
    experiment: Experiment, folder: Path, common: "Common", shown: "Callable[[], RunProgress]", *, force: bool = False,
    share: Share | None = None, cluster: "Cluster | None" = None,
) -> "Steps[Made]":  # fmt: skip
    """What ``make`` does, beside other experiments.

    Raises:
        InputError, RunsDiedError, RunsFailedError: as ``make``.
    """
    from experiments.runner import steps_of

    told = Callbacks([], experiment, folder)
    rows = yield from steps_of(
        experiment, folder, shown, force=force, callbacks=told, share=share, cluster=cluster, common=common
    )  # fmt: skip
    return _with_tables(experiment, folder, rows, told, share)


def _with_tables(
    experiment: Experiment, folder: Path, rows: list[Row], told: Callbacks, share: Share | None,
    look: "Look | None" = None,
) -> Made:  # fmt: skip
    if share is not None:
        return Made(rows, [], [], told.lines, experiment)
    compared, phases = write_tables(experiment, folder, rows)
    told.finished(rows, compared)
    return Made(rows, compared, phases, told.lines, experiment, look)


def write_tables(experiment: Experiment, folder: Path, rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """The tables over all runs of a folder, but ``runs``, which there is; rows of ``comparisons`` and ``by_phase``.

    ``rows``: those of ``runs`` that were asked for.
    """
    from experiments.compare import compare
    from experiments.making_runs import metadata
    from experiments.metrics import attribution
    from experiments.phases import by_phase
    from experiments.runner import kept_rows
    from experiments.tables import write_rows

    compared = compare(rows, experiment.baseline, folder)
    write_rows(folder / "comparisons.parquet", compared, metadata(experiment, rows))
    arms = {arm.name: arm for arm in experiment.arms}
    # What is said of each run is said of all that `runs` has; what compares them, of those that were asked for.
    kept = kept_rows(experiment, folder)
    parts = [part for row in kept for part in attribution(row, experiment.system_of(arms[row["arm"]]))]
    write_rows(folder / "attribution.parquet", parts, metadata(experiment, kept))
    phases = by_phase(experiment, kept, folder)
    if phases:
        write_rows(folder / "by_phase.parquet", phases, metadata(experiment, kept))
    return compared, phases
