"""An experiment: its config, changed and run from Python."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from experiments.config import Experiment as Config
from experiments.loading import Override, experiments_of, only, read
from experiments.shipped import config_named
from simulator.errors import InputError
from tierfetch.plain import plain

if TYPE_CHECKING:
    from experiments.callbacks import Callback
    from tierfetch.results import Results


class Experiment:
    """A workload, a system and arms that are compared; what may be in a config is said in ``configs/mixed.yaml``.

    It does not change: ``with_`` makes another one.
    """

    def __init__(
        self, values: dict[str, Any], path: Path, variant: str | None, changes: tuple[Override, ...] = ()
    ) -> None:
        """``load`` makes them."""
        self._values, self._path, self._variant, self._changes = values, path, variant, changes
        wanted = None if variant is None else [variant]
        self.config: Config = only(experiments_of(values, path, changes, wanted=wanted))

    @classmethod
    def load(cls, config: "str | PathLike[str] | Mapping[str, Any]", *, variant: str | None = None) -> "Experiment":
        """The experiment of a YAML file, or of the same as a dict.

        Args:
            config: A path, the name of a shipped one, ``"mixed"``, or what such a file holds. Files that it names lie
                beside it; those of a dict are looked for from the working folder.
            variant: Which one, of a config that has ``variants``.

        Raises:
            InputError: a value is wrong; every key that is has a line.
        """
        if isinstance(config, Mapping):
            return cls(plain(config), Path("config"), variant)
        path = config_named(Path(config))
        return cls(read(path), path, variant)

    def with_(self, **values: Any) -> "Experiment":
        """The same experiment with other values, by their keys: ``with_(**{"arms.lstm.policy.degree": 4})``.

        Keys are those of ``--set``: an item of a list is named by its number or its ``name``.

        Raises:
            InputError: a key leads nowhere, or a value is wrong.
        """
        changes = [Override("with_", key, plain(value)) for key, value in values.items()]
        return Experiment(self._values, self._path, self._variant, (*self._changes, *changes))

    @property
    def name(self) -> str:
        """What it is called."""
        return self.config.name

    @property
    def arms(self) -> list[str]:
        """The names of its arms."""
        return [arm.name for arm in self.config.arms]

    @property
    def folder(self) -> Path:
        """Where results go that have no place of their own: ``results/<name>-<hash>`` in the working folder."""
        from experiments.making import folder_of

        return folder_of(self.config, "", None)

    def run(
        self, *, jobs: int | None = None, progress: bool | Literal["live"] = True,
        out: "str | PathLike[str] | None" = None, force: bool = False, callbacks: "Sequence[Callback]" = (),
        cluster: str | None = None,
    ) -> "Results":  # fmt: skip
        """Make all runs that are not kept yet, and all tables.

        A run that is interrupted loses what it was at; finished ones are kept, and the next call goes on from there.

        Args:
            jobs: So many runs at once, in processes; 0: one a core; by default one, and on a cluster as many as it has
                cores. A script needs no ``if __name__ == "__main__"`` for that. Runs whose own latencies are measured
                go alone.
            progress: Show how far it is: a bar in a terminal and in a notebook, lines elsewhere. ``"live"``: how all
                arms stand, in a terminal.
            out: The folder of the results, by default ``folder``; or an address, ``"s3://bucket/name"``.
            force: Repeat runs that are finished.
            callbacks: Are told of each run as it is finished, and of the end.
            cluster: Make the runs on Ray: ``"ray"`` starts one on this machine, ``"auto"``, ``"ray://HOST:PORT"`` and
                ``"HOST:PORT"`` join one that is there. It takes the extra ``tierfetch[ray]``.

        Raises:
            InputError: the trace, a recording, the folder or the cluster is wrong.
            RunsDiedError: processes died and died again; all other runs are kept.
            RunsFailedError: a class of your own failed; all other runs are kept. Where it is a callback, all are.
        """
        from experiments.exits import RunsFailedError
        from experiments.making import make
        from experiments.stores.chosen import place_of
        from tierfetch.results import Results

        if isinstance(jobs, bool) or not isinstance(jobs, int | None) or (jobs is not None and jobs < 0):
            raise InputError(f"jobs: {jobs!r}; expected a number of processes, or 0 for one a core")
        if not isinstance(cluster, str | None):
            raise InputError(
                f"cluster: {cluster!r}; expected ray (on this machine), auto, ray://HOST:PORT or HOST:PORT"
            )
        from experiments.clusters.joined import joined

        with (
            joined(cluster, jobs) as there,
            place_of(self.config, self.folder if out is None else out, force=force) as (folder, told),
        ):
            made = make(
                self.config, folder, quiet=not progress, force=force, jobs=1 if jobs is None else jobs,
                live=progress == "live", callbacks=[*callbacks, *told], cluster=there,
            )  # fmt: skip
        if made.failed:
            raise RunsFailedError(*made.failed)
        return Results.open(folder)

    def __repr__(self) -> str:
        seeds = ", ".join(map(str, self.config.seeds))
        return f"<Experiment {self.name}: arms {', '.join(self.arms)}; seeds {seeds}>"
