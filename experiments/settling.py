"""How much of what an experiment runs is warm-up and not judged, in every arm alike (``warm_up`` in a config)."""

from typing import Any, NamedTuple

import numpy as np

from experiments.compare.requests import COLUMNS, latencies_of
from experiments.compare.warm_up import mser5
from experiments.config import Experiment
from experiments.prepared import engine_of, prepare, split
from experiments.shared import HashedWorkload, SharedTrace
from simulator.accounting import Books
from simulator.trace import Workload


class Cut(NamedTuple):
    """How many accesses are run and not judged; whether the baseline has settled by then, as far as that was asked."""

    n_accesses: int
    has_settled: bool = True


class _Latencies:
    """Takes what requests are made of, and no other rows."""

    def __init__(self) -> None:
        self._pieces: list[list[Any]] = []

    def takes(self, table: str) -> bool:
        """Accesses alone."""
        return table == "accesses"

    def write(self, table: str, columns: dict[str, Any]) -> None:
        """Keep what is needed of rows."""
        self._pieces.append([columns[name] for name in COLUMNS])

    def requests(self) -> tuple[Any, Any]:
        """What each request took, and its first access."""
        return latencies_of(*(np.concatenate(column) for column in zip(*self._pieces, strict=True)))


def cut_of(
    experiment: Experiment, seed: int, trace: SharedTrace | None = None, workload: Workload | None = None
) -> Cut:  # fmt: skip
    """What of the part after the training part is not judged.

    With ``mser5`` the baseline is run to see when its requests have settled; each seed has its own trace and its own
    cut, the same for all arms. ``workload``: one whose length is known already.

    Raises:
        InputError: nothing would be left to judge on, or as ``prepare`` does.
    """
    wanted = experiment.warm_up
    if isinstance(wanted, str):
        return _until_settled(experiment, seed, trace) if wanted == "mser5" else Cut(0)
    workload = trace or workload or HashedWorkload(experiment.workload.source.build(seed))
    parts = split(experiment, workload)
    n = wanted if isinstance(wanted, int) else int(wanted * (workload.length() - parts.n_train))
    split(experiment, workload, n)
    return Cut(n)


def _until_settled(experiment: Experiment, seed: int, trace: SharedTrace | None) -> Cut:
    baseline = next(arm for arm in experiment.arms if arm.name == experiment.baseline)
    made, rows = prepare(experiment, baseline, seed, trace=trace), _Latencies()
    engine_of(experiment, baseline)(
        made.system, experiment.workload.arrivals, made.workload, made.built.policy, made.charge,
        Books(rows, experiment.output.window, first_access=made.parts.judged), seed=seed, first_access=made.parts.first,
    ).run()  # fmt: skip
    latencies, first = rows.requests()
    n_requests, has_settled = mser5(latencies)
    return Cut(int(first[n_requests]) - made.parts.n_train, has_settled)
