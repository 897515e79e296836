"""What a run is made of: from an arm's settings to its workload, policy and charge."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.aiming import estimate
from experiments.config import Arm, Experiment
from experiments.decisions import as_recorded
from experiments.plan import Run
from experiments.recording import Recording, make_charge
from experiments.shared import HashedWorkload, SharedTrace
from policies.given import NO_LIMIT, Accesses, Built, Demand, Given
from policies.timing import Timing
from simulator.charge import Charge
from simulator.config import Open, System
from simulator.demand import accesses_from, savable
from simulator.engine import Engine
from simulator.errors import InputError
from simulator.needs import Columns, check_needs, needs_of
from simulator.trace import WRITE, Batch, Workload, part
from workloads.requests import Requests
from workloads.spread import Spread

if TYPE_CHECKING:
    from simulator.model.model import Model

TrainingProgress = Callable[[int, int, float, float], None]


def sequences_of(
    accesses: Iterator[Batch], *, per_stream: bool, needs: Sequence[str] = (), who: str = "the policy"
) -> dict[int, Accesses]:
    """The accesses of each stream in order, or of all streams in the trace's order under 0.

    Raises InputError if the trace lacks a feature.
    """
    pieces: dict[int, list[Accesses]] = {}
    shown = Columns(who, [name for name in needs if name != "stream"], 0)
    for batch in accesses:
        columns = {"stream": batch.stream, **shown.of(batch)}
        for stream in np.unique(batch.stream).tolist() if per_stream else [0]:
            mine = batch.stream == stream if per_stream else slice(None)
            of_stream = {name: columns[name][mine] for name in needs}
            pieces.setdefault(stream, []).append(Accesses(batch.key[mine], batch.op[mine] == WRITE, of_stream))
    return {stream: _joined(pieces[stream], needs) for stream in sorted(pieces)}


def _joined(pieces: list[Accesses], needs: Sequence[str]) -> Accesses:
    return Accesses(
        np.concatenate([piece.keys for piece in pieces]),
        np.concatenate([piece.writes for piece in pieces]),
        {name: np.concatenate([piece.columns[name] for piece in pieces]) for name in needs},
    )


_SIZED = 100_000


class Learned:
    """What a policy is given of the trace: the training part to learn from, what is run to predict from."""

    def __init__(self, workload: Workload, n_train: int, first: int, who: str = "the policy") -> None:
        """The run begins with access ``first``; ``who`` learns, for messages."""
        self._workload, self._who = workload, who
        self._n_train, self._first = n_train, first
        self.n_accesses = 0

    def sequences(self, per_stream: bool, needs: Sequence[str] = ()) -> list[Accesses]:
        """The training part, sequence by sequence. Raises InputError if the trace lacks a feature."""
        train = part(self._workload.batches(), 0, self._n_train)
        found = list(sequences_of(train, per_stream=per_stream, needs=needs, who=self._who).values())
        self.n_accesses = sum(len(sequence.keys) for sequence in found)
        return found

    def room(self, capacity: int) -> int:
        """How many blocks a capacity holds, by their mean size late in the training part; NO_LIMIT without one."""
        first = max(0, self._n_train - _SIZED)
        sizes = [batch.size_bytes for batch in part(self._workload.batches(), first, self._n_train)]
        return int(capacity // max(np.concatenate(sizes).mean(), 1)) if sizes else NO_LIMIT

    def simulated(self, per_stream: bool) -> dict[int, npt.NDArray[np.uint64]]:
        """The accesses that are run, by stream. Raises InputError where their order depends on the simulation."""
        if not per_stream and self._workload.n_streams > 1:
            raise InputError(
                "policy.predictions: batched needs to know the order of accesses, which of several streams together "
                "only the simulation tells; expected per_stream: true"
            )
        found = sequences_of(part(self._workload.batches(), self._first), per_stream=per_stream)
        return {stream: sequence.keys for stream, sequence in found.items()}


def _future(workload: Workload, system: System, first: int) -> Demand:
    accesses = accesses_from(workload, first)
    size = max(1, int(accesses.size_bytes.astype(np.int64).max(initial=1)))
    requests = Requests().of(accesses).astype(np.int64)
    room = system.tiers[0].capacity // size
    return Demand(accesses.key, accesses.stream, savable(accesses, system), room, requests)


def _timing(experiment: Experiment, arm: Arm, workload: Workload, n_train: int, recording: Recording | None) -> Timing:
    charge = arm.charged
    inference_ns: float | None = None
    if charge.kind in ("fixed", "sampled") and charge.assumed is not None:
        inference_ns = charge.assumed
    elif recording is not None:
        inference_ns = float(np.median(recording.latencies_ns))
    elif charge.kind != "measured":
        inference_ns = charge.latency if charge.kind == "fixed" else 0
    return estimate(
        workload, n_train, experiment.system_of(arm), experiment.workload.arrivals,
        per_stream=getattr(arm.policy.core, "per_stream", False), inference_ns=inference_ns,
    )  # fmt: skip


def engine_of(experiment: Experiment, arm: Arm) -> "type[Engine] | type[Model]":
    """The engine that is asked for. SimPy is imported where it is used: a run without it starts sooner."""
    if chosen_engine(experiment, arm) == "simpy":
        from simulator.model.model import Model

        return Model
    return Engine


def chosen_engine(experiment: Experiment, arm: Arm) -> str:
    """``compiled`` or ``simpy``: what ``auto`` comes to. Compiled code cannot ask an eviction in plain Python."""
    if experiment.engine != "auto":
        return experiment.engine
    return "simpy" if any(tier.eviction.is_plain for tier in experiment.system_of(arm).tiers) else "compiled"


class OtherEngine(NamedTuple):
    """What runs a workload in the place of both: ``make`` returns for a run what takes what they take."""

    name: str
    make: Callable[[Run], Callable[..., Any]]


class Parts(NamedTuple):
    """Of a trace: ``n_train`` accesses to learn from; the run takes those from ``first`` on, judged from ``judged``."""

    n_train: int
    first: int
    judged: int


def split(experiment: Experiment, workload: Workload, n_warm_up: int = 0) -> Parts:
    """The parts of a trace. Raises InputError where nothing is left to judge on."""
    n = workload.length()
    n_train = int(n * experiment.workload.train_ratio)
    if n_train >= n:
        raise InputError("workload.train_ratio: leaves no access to judge on; expected a smaller share")
    if n_train + n_warm_up >= n:
        raise InputError(
            f"warm_up: {experiment.warm_up} leaves none of {n - n_train:,} accesses to judge on; expected less"
        )
    return Parts(n_train, 0 if experiment.start == "warm" else n_train, n_train + n_warm_up)


def spread_out(
    experiment: Experiment, workload: HashedWorkload | SharedTrace, seed: int
) -> HashedWorkload | SharedTrace | Spread:
    """The workload with the arrivals that the config asks for."""
    arrivals = experiment.workload.arrivals
    if isinstance(arrivals, Open) and arrivals.spread:
        return Spread(workload, arrivals.spread, seed)
    return workload


@dataclass(frozen=True)
class Prepared:
    """All that an engine takes, and what it was made from."""

    workload: HashedWorkload | SharedTrace | Spread
    parts: Parts
    system: System
    learned: Learned
    built: Built
    charge: Charge
    recording: Recording | None


def prepare(
    experiment: Experiment, arm: Arm, seed: int, training_progress: TrainingProgress | None = None,
    trace: SharedTrace | None = None, n_warm_up: int = 0, say: Callable[[str], None] | None = None,
) -> Prepared:  # fmt: skip
    """Make the workload, train or load the policy, find the charge; ``n_warm_up`` accesses are run and not judged.

    ``say`` tells the user of something that the policy does.

    Raises:
        InputError: the trace, the recording or the system does not fit.
    """
    workload = spread_out(experiment, trace or HashedWorkload(experiment.workload.source.build(seed)), seed)
    parts = split(experiment, workload, n_warm_up)
    charge, recording = make_charge(experiment, arm, seed)
    replayed = recording if arm.charged.kind == "replay" else None
    system = experiment.system_of(arm)
    who = who_asks(arm)
    learned = Learned(workload, parts.n_train, parts.first, who)
    built = arm.policy.build(
        Given(
            learned.sequences,
            seed,
            training_progress,
            simulated=learned.simulated,
            future=lambda: _future(workload, system, parts.first),
            timing=cache(lambda: _timing(experiment, arm, workload, parts.n_train, recording)),
            recorded=replayed.predicted_by if replayed is not None else None,
            is_measured=arm.charged.kind == "measured",
            is_replayed=replayed is not None,
            n_streams=workload.n_streams,
            room=lambda: learned.room(system.tiers[0].capacity),
            batch_size=most_at_once(system, workload.n_streams),
            experts_of_layer=experiment.workload.source.experts_of_layer,
            say=say or (lambda text: None),
        ),
    )
    if replayed is not None and arm.charged.kind == "replay" and arm.charged.decisions == "recorded":
        built = as_recorded(built, replayed)
    if wanted := needs_of(built.policy):
        check_needs(who, wanted, next(part(workload.batches(), parts.first)))
    return Prepared(workload, parts, system, learned, built, charge, recording)


def most_at_once(system: System, n_streams: int) -> int:
    """How many questions a batch can have: no more than wait, where a stream's newest alone does, one of each."""
    server = system.inference
    most = min(server.batch_size, server.queue_limit + 1)
    return min(most, n_streams) if server.queue == "newest_first" and server.mode == "async" else most


def who_asks(arm: Arm) -> str:
    """Who it is that asks for a feature, for messages."""
    return f"arm {arm.name!r}: policy {arm.policy.core.kind}"


def model_of(config: Path | str, arm: str, seed: int = 0, sets: Sequence[str] = ()) -> "Model":
    """The model of one run of a config, not run yet: for processes and measurements of one's own beside it.

    ``sets`` are ``key.path=value``, as ``--set`` takes them; ``engine`` does not count. No tables are written;
    ``model.ledger.books`` has the counts.

    Raises:
        InputError: the config, the trace or the arm's name is wrong.
    """
    from experiments.loading import load, only
    from experiments.settling import cut_of
    from simulator.accounting import Books
    from simulator.model.model import Model

    experiment = only(load(Path(config), sets=list(sets)))
    named = {one.name: one for one in experiment.arms}
    if arm not in named:
        raise InputError(f"{config}: there is no arm {arm!r}; expected one of {', '.join(named)}")
    made = prepare(experiment, named[arm], seed, n_warm_up=cut_of(experiment, seed).n_accesses)
    books = Books(None, experiment.output.window, first_access=made.parts.judged)
    return Model(
        made.system, experiment.workload.arrivals, made.workload, made.built.policy, made.charge, books,
        seed=seed, first_access=made.parts.first, prefix_reuse=experiment.workload.reuses_prefixes,
    )  # fmt: skip
