"""One run in memory: a system, a trace, a policy, and what came of it; nothing is written."""

import inspect
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import PrivateAttr

from experiments.loading import experiments_of
from policies.base import CompiledPolicy, PolicySettings, TablePolicy
from policies.given import Built, Given
from policies.outside.asked import AskedPolicy
from policies.outside.config import built_of, learns
from simulator import accounting
from simulator.charge import Replay
from simulator.config import System
from simulator.errors import InputError
from simulator.one_line import call
from simulator.units import NS_PER_S
from simulator.watched import Watched
from tierfetch.columns import HeldConfig
from tierfetch.plain import frame_of, plain
from tierfetch.traces import Trace

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("accesses", "prefetches", "inferences", "transfers", "windows")
_ARM = "policy"
_TIME_LIMIT_NS = 10 * NS_PER_S


@dataclass
class Books(accounting.Books):
    """The books of one run: its counts; ``metrics``, by the names that the table ``runs`` has; the rows that were kept.

    ``docs/metrics.md`` defines both.
    """

    metrics: dict[str, Any] = field(default_factory=dict)

    def table(self, name: str) -> Any:
        """The rows of a table, such as ``accesses`` or ``transfers``, as a ``pyarrow.Table``.

        Raises:
            InputError: they were not kept.
        """
        if not isinstance(self.sink, _Rows) or not self.sink.takes(name):
            raise InputError(f"{name}: no such rows were kept; expected simulate(..., keep=[{name!r}])")
        return self.sink.table(name)

    @property
    def accesses(self) -> "pd.DataFrame":
        """Every access. Raises InputError if they were not kept."""
        return frame_of(self.table("accesses"))

    @property
    def prefetches(self) -> "pd.DataFrame":
        """Every prefetch that was issued. Raises InputError if they were not kept."""
        return frame_of(self.table("prefetches"))

    @property
    def inferences(self) -> "pd.DataFrame":
        """Every question to the policy. Raises InputError if they were not kept."""
        return frame_of(self.table("inferences"))

    def __repr__(self) -> str:
        mean, hits = (self.metrics.get(name) for name in ("mean_latency_ns", "hit_ratio"))
        if mean is None or hits is None:
            return f"<Books: {self.n_accesses:,} accesses>"
        return f"<Books: {self.n_accesses:,} accesses, hit ratio {hits:.4f}, mean latency {mean:,.0f} ns>"


class _Rows:
    """Takes rows as Arrow, in memory."""

    def __init__(self, tables: Collection[str], seed: int, stream_ids: npt.NDArray[np.uint64] | None) -> None:
        self._tables, self._run, self._stream_ids = tables, (_ARM, seed, 0), stream_ids
        self._pieces: dict[str, list[Any]] = {name: [] for name in tables}

    def takes(self, table: str) -> bool:
        """Whether these rows are to be kept."""
        return table in self._tables

    def write(self, table: str, columns: dict[str, Any]) -> None:
        """Keep rows."""
        from experiments.tables import rows_of

        if self.takes(table):
            self._pieces[table].append(rows_of(table, columns, self._run, self._stream_ids))

    def table(self, name: str) -> Any:
        """All of them."""
        import pyarrow as pa

        from experiments.tables import SCHEMAS

        pieces = self._pieces[name]
        return pa.concat_tables(pieces) if pieces else SCHEMAS[name].empty_table()


class _Held(PolicySettings):
    """A policy that was made already, in the place of one that a config says."""

    kind: Literal["held"] = "held"
    _policy: Any = PrivateAttr()

    @classmethod
    def of(cls, policy: Any) -> "_Held":
        """The settings that stand for it. Raises InputError if it cannot be asked."""
        if isinstance(policy, type) or not callable(getattr(policy, "decide", None)):
            got = f"the class {policy.__name__}" if isinstance(policy, type) else f"of {type(policy).__name__}"
            raise InputError(f"policy: is {got}; expected a kind, settings, or an object with decide(self, run)")
        made = cls()
        made._policy = policy
        return made

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> "_Held":
        # It is this very object that is asked.
        return self

    @property
    def learns(self) -> bool:
        """Whether it has ``train``."""
        return learns(self._policy)

    def build(self, given: Given) -> Built:
        """The policy itself, trained if it learns."""
        policy = self._policy
        if not isinstance(policy, TablePolicy | CompiledPolicy) and _takes_batches(policy):
            return Built(policy)
        output = sys.stdout
        watched = Watched(f"policy {type(policy).__name__}", _TIME_LIMIT_NS, lambda text: print(text, file=output))
        return built_of(policy, AskedPolicy(policy, watched), watched, given, {})


def _takes_batches(policy: Any) -> bool:
    """Whether it is asked as the engine does, ``decide(self, runs)``: a protocol fixes its parameters' names."""
    return "runs" in inspect.signature(policy.decide).parameters


def simulate(
    system: System | Mapping[str, Any] | str,
    trace: Any,
    policy: Any = "none",
    *,
    arrivals: str | Mapping[str, Any] = "closed",
    charge: str | Mapping[str, Any] | None = None,
    seed: int = 0,
    train_ratio: float = 0.0,
    reuse: Literal["auto", "block", "prefix"] = "auto",
    engine: Literal["auto", "compiled", "simpy"] = "auto",
    keep: Collection[str] = (),
) -> Books:
    """Run one trace through one system under one policy.

    Args:
        system: As ``system`` of a config, or the name of a hardware preset.
        trace: What ``Trace.of`` takes.
        policy: A kind, ``"next_n"``, with settings where wanted, ``"stride(degree=8)"``; settings, as a dict or an
            object; or a policy: an object with ``decide(self, run)`` that returns ``(key, confidence)`` pairs, or with
            the members of ``tierfetch.Policy``. It is this very object that is asked: one that was run before knows
            what it has seen.
        arrivals: ``"closed"``, ``"open(speedup=2)"``, or a dict as in a config.
        charge: What deciding costs on the clock: ``"free"``, ``"measured"``, ``"fixed(latency=7 us)"``, or a dict; by
            default as an arm's.
        seed: Of the workload, the policy and arrivals.
        train_ratio: The share of the trace that a policy learns from, and that is not run.
        reuse: Whether what lies behind a missing block of its request is of use.
        engine: ``"simpy"`` runs the readable model.
        keep: Tables whose rows to keep in memory: ``accesses``, ``prefetches``, ``inferences``, ``transfers``,
            ``windows``.

    Returns:
        The closed books.

    Raises:
        InputError: the system, the trace, the policy or an option is wrong.
        OutsideError: the policy failed, or its answer is none.
        BooksError: they do not close: a bug.
    """
    from experiments.metrics import run_metrics
    from experiments.prepared import engine_of, prepare

    for name in keep:
        if name not in TABLES:
            raise InputError(f"keep: {name!r} is no table; expected one of {', '.join(TABLES)}")
    found = Trace.of(trace, seed=seed)
    arm = {"name": _ARM, "policy": _settings(policy)} | ({} if charge is None else {"charge": _said(charge)})
    experiment = experiments_of(
        {
            "name": "simulate",
            "seeds": [plain(seed)],
            "workload": {
                "source": HeldConfig.of(found.workload, has_times=found.has_times, reuse=found.reuse),
                "arrivals": _said(arrivals),
                "train_ratio": plain(train_ratio),
                "reuse": reuse,
            },
            "system": {"preset": system} if isinstance(system, str) else plain(system),
            "arms": [arm],
            "baseline": _ARM,
            "engine": engine,
        },
        Path("simulate"),
    )[""]
    made = prepare(experiment, experiment.arms[0], experiment.seeds[0])
    rows = _Rows(keep, experiment.seeds[0], made.workload.stream_ids) if keep else None
    books = Books(rows, experiment.output.window, first_access=made.parts.judged)
    result = engine_of(experiment, experiment.arms[0])(
        made.system, experiment.workload.arrivals, made.workload, made.built.policy, made.charge, books,
        seed=experiment.seeds[0], first_access=made.parts.first, prefix_reuse=experiment.workload.reuses_prefixes,
    ).run()  # fmt: skip
    if isinstance(made.charge, Replay):
        made.charge.finish()
    if rows is not None:
        rows.write("windows", books.windows())
    books.metrics = {**run_metrics(books, result, made.system), **made.built.details}
    return books


def _settings(policy: Any) -> Any:
    if isinstance(policy, str | PolicySettings):
        return policy
    return plain(policy) if isinstance(policy, Mapping) else _Held.of(policy)


def _said(value: str | Mapping[str, Any]) -> Any:
    """Settings in a line as a dict."""
    if not isinstance(value, str):
        return plain(value)
    try:
        return call(value)
    except ValueError as error:
        raise InputError(f"{value}: {error}; expected NAME or NAME(setting=value, ...)") from None
