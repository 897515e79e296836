"""Callbacks: code that is told of an experiment's runs as they are finished, such as what logs them elsewhere.

They are called in the process that runs the experiment, between runs, when what they are told of is on the disk. What
one raises loses nothing: it is called no more, all runs are made, all tables are written, and then it is told.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.plan import key_of, stem_of
from simulator.errors import OutsideError

if TYPE_CHECKING:
    from experiments.config import Experiment

Row = dict[str, Any]


@dataclass(frozen=True)
class Ongoing:
    """An experiment as callbacks see it: what it is called, its config as JSON has it, and where its tables are."""

    name: str
    config_hash: str
    baseline: str
    config: dict[str, Any]
    folder: Path

    def arm(self, name: str) -> dict[str, Any]:
        """What the config says of an arm."""
        found: dict[str, Any] = next(arm for arm in self.config["arms"] if arm["name"] == name)
        return found

    def table(self, row: Row, name: str = "windows") -> Path | None:
        """The Parquet file of a table of a run, by its row of ``runs``; None if there is none."""
        path = self.folder / name / f"{stem_of(*key_of(row))}.parquet"
        return path if path.exists() else None

    def series(self, row: Row, name: str = "windows") -> list[Row]:
        """The rows of that table; none if there is no such table."""
        import pyarrow.parquet as pq

        path = self.table(row, name)
        rows: list[Row] = [] if path is None else pq.read_table(path, partitioning=None).to_pylist()
        return rows


def digest_of_run(row: Row) -> str:
    """Tells a run that was made from all others, those of the same arm and seed too."""
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]


class Callback:
    """Is told of an experiment that is run; a subclass has those of these methods that it wants.

    Rows are copies, with the columns that ``docs/metrics.md`` defines.
    """

    def on_experiment_started(self, experiment: Ongoing) -> None:
        """Its folder is ready, and no run was begun."""

    def on_run_finished(self, experiment: Ongoing, row: Row) -> None:
        """A run is over and kept, by its row of ``runs``; not called for runs that were kept from before."""

    def on_experiment_finished(self, experiment: Ongoing, rows: list[Row], compared: list[Row]) -> None:
        """All runs are there, made now or kept from before: their rows, and those of ``comparisons``.

        Not called where runs are missing, as some failed.
        """


def _ongoing(experiment: "Experiment", folder: Path) -> Ongoing:
    config = experiment.model_dump(mode="json")
    return Ongoing(experiment.name, experiment.folder_hash(), experiment.baseline, config, folder)


class Callbacks:
    """Several, and what went wrong with them."""

    def __init__(self, callbacks: Sequence[Callback], experiment: "Experiment", folder: Path) -> None:
        self._going, self.failed = list(callbacks), list[OutsideError]()
        self._has_started = False
        self._experiment = _ongoing(experiment, folder)

    def grown(self, experiment: "Experiment") -> None:
        """It has more seeds from now on."""
        self._experiment = _ongoing(experiment, self._experiment.folder)

    def started(self) -> None:
        """Before the first run; that more follow is no other start."""
        if not self._has_started:
            self._has_started = True
            self._call("on_experiment_started")

    def run_finished(self, row: Row) -> None:
        """After each run that is made."""
        self._call("on_run_finished", row)

    def finished(self, rows: list[Row], compared: list[Row]) -> None:
        """After the last."""
        self._call("on_experiment_finished", rows, compared)

    def _call(self, method: str, *what: Any) -> None:
        for callback in list(self._going):
            copies = (dict(one) if isinstance(one, dict) else [dict(row) for row in one] for one in what)
            try:
                getattr(callback, method)(self._experiment, *copies)
            except (Exception, SystemExit) as error:
                self._going.remove(callback)
                self.failed.append(OutsideError.of(f"callback {type(callback).__name__}.{method}", error))

    @property
    def lines(self) -> list[str]:
        """What went wrong, and where."""
        return [f"{'  ' * (i > 0)}{line}" for error in self.failed for i, line in enumerate(error.lines)]
