"""Makes the runs of an experiment that its folder does not keep yet."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.callbacks import Callbacks
from experiments.config import Experiment
from experiments.crews import Steps, at_once
from experiments.exits import RunsFailedError
from experiments.folder import check_folder, empty, kept_in, locked, missing, remove_leftovers
from experiments.jobs import n_cores
from experiments.kept import MANIFEST, Kept
from experiments.making_runs import Making, Row, in_order_of_plan
from experiments.plan import planned
from experiments.progress import RunProgress
from experiments.shards import Share
from simulator.errors import InputError, OutsideError

if TYPE_CHECKING:
    from experiments.clusters.joined import Cluster
    from experiments.common import Common
    from experiments.prepared import OtherEngine


def run_all(
    experiment: Experiment, folder: Path, console: Any, *, quiet: bool, force: bool = False, jobs: int = 1,
    title: str = "", live: bool = False, callbacks: Callbacks | None = None, share: Share | None = None,
    cluster: "Cluster | None" = None, engine: "OtherEngine | None" = None,
) -> list[Row]:  # fmt: skip
    """Run what is not finished yet; the rows of all runs of this experiment, in order of arms, seeds and repeats.

    ``jobs``: so many processes at once, 0 for one a core. ``title`` is said first, with the number of runs. ``live``:
    how all arms stand is shown as they run, if the console can be drawn on. ``callbacks`` are told of runs. With a
    ``share`` it is about its runs alone. With a ``cluster`` they are made there, so many at once as it has cores.
    ``engine`` is in the place of the experiment's, here and one run at a time.

    Raises:
        InputError: the trace, a recording or the folder is wrong.
        RunsDiedError: processes died; all other runs are done.
        RunsFailedError: code from outside failed; all other runs are done.
    """
    n_at_once = (jobs or n_cores()) if cluster is None else cluster.n_at_once
    steps = steps_of(
        experiment, folder, lambda: _progress(experiment, console, quiet=quiet, n_at_once=n_at_once, live=live),
        force=force, title=title, callbacks=callbacks, share=share, cluster=cluster, engine=engine,
    )  # fmt: skip
    return at_once(steps)


def steps_of(
    experiment: Experiment, folder: Path, shown: "Callable[[], RunProgress]", *, force: bool = False, title: str = "",
    callbacks: Callbacks | None = None, share: Share | None = None, cluster: "Cluster | None" = None,
    common: "Common | None" = None, engine: "OtherEngine | None" = None,
) -> Steps[list[Row]]:  # fmt: skip
    """What ``run_all`` does; with ``common`` others are run at the same time, and it asks for its tasks to be made.

    Raises:
        InputError, RunsDiedError, RunsFailedError: as ``run_all``.
    """
    from experiments.beforehand import check_charge, check_columns
    from experiments.tables import make_folder
    from workloads.readers.files import sha256

    digest = sha256 if common is None else common.sha256
    traces = {str(path): digest(path) for path in experiment.workload.source.files()}
    for arm in experiment.arms:
        arm.policy.check()
        check_columns(experiment, arm)
    for run in planned(experiment):
        # Everything that can be wrong with the input of any run is found before the first one starts.
        check_charge(experiment, run)
    check_folder(folder, force=force)
    made_for_it = missing(folder)
    make_folder(folder)
    with locked(folder):
        told = callbacks or Callbacks([], experiment, folder)
        kept = kept_in(experiment, folder, force=force)
        made = Making(experiment, folder, kept, traces, told, share, cluster, common, engine)
        remove_leftovers(folder)
        is_new = not (folder / MANIFEST).exists()
        if is_new:
            # From here on it says whose folder this is, however the first run ends.
            made.write()
        try:
            with shown() as progress:
                made.choose(progress, force=force, title=title)
                told.started()
                yield from made.run(progress)
        except (InputError, MemoryError, OutsideError, RunsFailedError):
            if is_new and not made.kept.runs:
                # Nothing came of it: the folder is free for the corrected config.
                remove_leftovers(folder)
                empty(folder, made_for_it)
            raise
        finally:
            remove_leftovers(folder)
            if made.kept.runs:
                made.write()
    return [made.kept.runs[run.key].row for run in made.runs]


def _progress(experiment: Experiment, console: Any, *, quiet: bool, n_at_once: int, live: bool) -> RunProgress:
    if quiet or not live:
        return RunProgress(console, quiet=quiet, n_at_once=n_at_once)
    from experiments.live import live_or_lines

    n_runs = Counter(run.arm.name for run in planned(experiment))
    return live_or_lines(console, experiment.name, n_runs, n_at_once=n_at_once)


def kept_rows(experiment: Experiment, folder: Path) -> list[Row]:
    """The rows of all runs that the folder keeps, as in ``runs``: also of those that were asked for before."""
    return in_order_of_plan(experiment, Kept.load(folder))
