"""Runs in MLflow's local store, a folder: the extra ``tierfetch[mlflow]``. Nothing goes over a network.

The experiment is an MLflow experiment, ``<name>-<hash>``, and each of its runs an MLflow run, logged when it is over:
what the config says of its arm as parameters, every number of its row as a metric, windows and epochs as series.
"""

import math
import os
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from experiments.callbacks import Callback, Ongoing, Row, digest_of_run
from experiments.plan import key_of, stem_of
from experiments.ranking import difference_of
from simulator.errors import InputError

DIGEST = "tierfetch.run"
"""The tag that tells which run of ours it is, so that none is logged twice."""
_MOST_POINTS, _PARAMS_AT_ONCE, _METRICS_AT_ONCE, _LONGEST = 500, 100, 1000, 500
_SERIES = {"windows": "first_access", "training": "epoch"}
_OF_RUN = ("arm", "seed", "repeat")


class MlflowCallback(Callback):
    """Logs into a folder, which is made if it is not there."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError if MLflow is not installed, or the folder is a file."""
        if find_spec("mlflow") is None:
            raise InputError("--log mlflow: is not installed; expected the extra: pip install 'tierfetch[mlflow]'")
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--log mlflow:{folder}: is a file; expected a folder")
        self._folder = folder.absolute()
        self._logged: set[str] = set()
        self._id = ""
        self._client: Any = None
        self._entities: Any = None

    def on_experiment_started(self, experiment: Ongoing) -> None:
        """The MLflow experiment is there from now on; what it has already is not logged again."""
        # It would tell its makers how it is used; and it refuses folders, in favour of databases, unless it is asked.
        os.environ.update({"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"})
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self._entities = import_module("mlflow.entities")
        self._client = import_module("mlflow.tracking").MlflowClient(tracking_uri=self._folder.as_uri())
        name = f"{experiment.name}-{experiment.config_hash}"
        found = self._client.get_experiment_by_name(name)
        self._id = self._client.create_experiment(name) if found is None else found.experiment_id
        for tag, value in (("baseline", experiment.baseline), ("folder", str(experiment.folder.absolute()))):
            self._client.set_experiment_tag(self._id, f"tierfetch.{tag}", value)
        self._logged = {run.data.tags.get(DIGEST, "") for run in self._runs()}

    def on_run_finished(self, experiment: Ongoing, row: Row) -> None:
        """Log a run."""
        metric, param = self._entities.Metric, self._entities.Param
        # MLflow's times are in ms; it ends when it is logged.
        ended_ms = round(1e3 * time.time())
        tags = {
            DIGEST: digest_of_run(row),
            "tierfetch.arm": row["arm"],
            "tierfetch.config_hash": experiment.config_hash,
        }
        run = self._client.create_run(
            self._id, start_time=ended_ms - round(1e3 * row["wall_with_training_s"]), tags=tags,
            run_name=stem_of(*key_of(row)),
        )  # fmt: skip
        run_id = run.info.run_id
        said = {**dict(_flat(experiment.arm(row["arm"]))), **{name: row[name] for name in _OF_RUN}}
        said |= {name: value for name, value in row.items() if isinstance(value, str)}
        params = [param(name, str(value)[:_LONGEST]) for name, value in said.items() if value is not None]
        metrics = [metric(name, value, ended_ms, 0) for name, value in _numbers(row) if name not in _OF_RUN]
        for table, step in _SERIES.items():
            rows = experiment.series(row, table)
            for point in rows[:: -(-len(rows) // _MOST_POINTS) or 1]:
                numbers = [(name, value) for name, value in _numbers(point) if name not in (*_OF_RUN, step)]
                metrics += [metric(f"{table}.{name}", value, ended_ms, point[step]) for name, value in numbers]
        for first in range(0, len(params), _PARAMS_AT_ONCE):
            self._client.log_batch(run_id, params=params[first : first + _PARAMS_AT_ONCE])
        for first in range(0, len(metrics), _METRICS_AT_ONCE):
            self._client.log_batch(run_id, metrics=metrics[first : first + _METRICS_AT_ONCE])
        self._client.log_dict(run_id, experiment.config, "config.json")
        self._client.set_terminated(run_id, end_time=ended_ms)
        self._logged.add(tags[DIGEST])

    def on_experiment_finished(self, experiment: Ongoing, rows: list[Row], compared: list[Row]) -> None:
        """Log what was kept from before and is not logged yet, and what the comparison says of each arm."""
        of_today = {digest_of_run(row): row for row in rows}
        for digest, row in of_today.items():
            if digest not in self._logged:
                self.on_run_finished(experiment, row)
        for run in self._runs():
            known = of_today.get(run.data.tags.get(DIGEST, ""))
            found = None if known is None else difference_of(compared, known["arm"], "mean_latency_ns")
            if found is not None:
                self._client.set_tag(run.info.run_id, "tierfetch.verdict", str(found["verdict"]))

    def _runs(self) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([self._id], page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their paths, ``policy.train.epochs``; lists as they are written."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _numbers(row: Row) -> Iterator[tuple[str, float]]:
    """What of a row is a number that can be drawn."""
    for name, value in row.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield name, float(value)
