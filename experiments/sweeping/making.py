"""The experiments of a sweep, or a config's variants, made together."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.aside import aside_of, remove_dead_folders
from experiments.common import Common
from experiments.config import Experiment
from experiments.crews import Crew, Steps
from experiments.exits import RunsDiedError, RunsFailedError
from experiments.folder import missing
from experiments.jobs import n_cores
from experiments.making import Made, steps_to_make
from experiments.progress import RunProgress
from experiments.run import check_before, say
from experiments.shards import Share
from experiments.together import Ended, Together

if TYPE_CHECKING:
    from experiments.clusters.joined import Cluster
    from experiments.run import How

_TRACES = "traces"


def make_together(
    chosen: Mapping[str, Experiment], folders: Mapping[str, Path], how: "How", share_of: Mapping[str, Share] | None,
    cluster: "Cluster | None", console: Any,
) -> Generator[tuple[str, RunsDiedError | RunsFailedError | None]]:  # fmt: skip
    """Make them all; the name of each as it is over, and what went wrong. What is said of each comes in their order.

    Raises:
        InputError: an experiment is wrong, or its folder; what others have finished is kept.
    """
    for experiment in chosen.values():
        check_before(experiment, how)
    together, n_at_once, n_attempts = _together(how, cluster)
    names, place = list(chosen), next(iter(folders.values())).parent
    made_for_it = missing(place)
    remove_dead_folders(place, _TRACES)
    common = Common(aside_of(place / _TRACES), chosen.values(), n_at_once, n_attempts, together.stop)
    how_said = how if share_of is None else how._replace(quiet=True, by=None)
    try:
        with RunProgress(console, quiet=how.quiet, n_at_once=n_at_once) as progress:

            def begun() -> Iterator[Steps[Made]]:
                for name, experiment in chosen.items():
                    common.begins(experiment)
                    shown = _shown(progress, console, name, quiet=how.quiet)
                    share = None if share_of is None else share_of[name]
                    yield steps_to_make(
                        experiment, folders[name], common, shown, force=how.force, share=share, cluster=cluster
                    )  # fmt: skip

            is_said = not how_said.quiet or how_said.by is not None
            with closing(together.run(begun())) as ended:
                for one in _in_order(ended) if is_said else ended:
                    name = names[one.number]
                    if one.value is not None:
                        say(chosen[name], folders[name], how_said, one.value, console)
                    yield name, one.error
    finally:
        common.close()
        with suppress(OSError):
            for path in made_for_it:
                path.rmdir()


def _shown(progress: RunProgress, console: Any, name: str, *, quiet: bool) -> Callable[[], RunProgress]:
    return lambda: RunProgress(console, quiet=quiet, n_at_once=progress.n_at_once, within=progress, name=name)


def _together(how: "How", cluster: "Cluster | None") -> tuple[Together[Made], int, int]:
    """What makes them, how many runs at once, and how often each is tried."""
    if cluster is None:
        from experiments.workers import ATTEMPTS, Processes

        n = how.n_jobs or n_cores()

        def crew() -> Crew:
            return Processes(n, n)

        return Together(crew, lambda: Processes(1, 1), one_by_one=True), n, ATTEMPTS
    from experiments.clusters import on_ray

    first = on_ray.OnRay(cluster, alone=False)
    together = Together[Made](
        lambda: first, lambda: on_ray.OnRay(cluster, alone=True, beside=first), one_by_one=len(cluster.nodes()) == 1
    )  # fmt: skip
    return together, cluster.n_at_once, on_ray.ATTEMPTS


def _in_order(ended: Iterator[Ended[Made]]) -> Iterator[Ended[Made]]:
    """As they were begun: one that is over sooner waits."""
    waiting, wanted = dict[int, Ended[Made]](), 0
    for one in ended:
        waiting[one.number] = one
        while wanted in waiting:
            yield waiting.pop(wanted)
            wanted += 1
