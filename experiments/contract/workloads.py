"""The contract of a workload or a trace format: what it yields, and that it yields the same again."""

import time
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import numpy as np

from experiments.contract.process import Process
from experiments.contract.rules import Broken, NotApplicable, NotMeasured, Rules
from experiments.contract.subject import Subject
from simulator.errors import InputError
from simulator.trace import COLUMNS, Batch, Workload, concatenate, part

_MOST, _RUN, _WALK_S = 100_000, 2000, 5.0


class WorkloadSubject(Subject):
    """A workload by its settings."""

    def build(self, seed: int = 0) -> Workload:
        """A fresh one. Raises Broken if what it says of itself is wrong, OutsideError if its constructor fails."""
        try:
            made: Workload = self.settings.build(seed)
        except InputError as error:
            raise Broken(*error.args) from None
        return made

    def head(self, workload: Workload) -> Batch:
        """Its first accesses."""
        return concatenate(list(part(iter(workload.batches()), 0, _MOST)))


WORKLOAD_RULES: Rules[WorkloadSubject] = Rules()
_rule = WORKLOAD_RULES.rule


def _must_be_alike(found: Batch, expected: Batch, what: str) -> None:
    if len(found) != len(expected):
        raise Broken(f"{what}: {len(found)} accesses; expected {len(expected)}, as before")
    for name in (*COLUMNS, *expected.features):
        a, b = (_column(one, name) for one in (found, expected))
        if (a != b).any():
            at = int((a != b).argmax())
            raise Broken(f"{what}: access {at} has {name} {a[at]}; expected {b[at]}, as before")


def _column(batch: Batch, name: str) -> Any:
    return batch.features.get(name, np.zeros(len(batch))) if name not in COLUMNS else getattr(batch, name)


@_rule("It can be made from its settings, twice.")
def can_be_made(it: WorkloadSubject) -> None:
    """Raises Broken if not; so do all other rules."""
    it.build()
    it.build(seed=1)


@_rule("It yields accesses: whole numbers within their bounds, and the same columns in every batch.")
def yields_accesses(it: WorkloadSubject) -> str:
    """Raises Broken if not."""
    n, features, started = 0, None, time.monotonic()
    for batch in part(iter(it.build().batches()), 0, _MOST):
        if features is not None and sorted(batch.features) != features:
            raise Broken(
                f"{it.who}: has the features {sorted(batch.features)} behind {n} accesses; expected {features}"
            )
        features = sorted(batch.features)
        n += len(batch)
    if not n:
        raise Broken(f"{it.who}: yields no accesses; expected some")
    each_s = max(time.monotonic() - started, 1e-9) / n
    return f"{n:,}{' and more' if n == _MOST else ''}, {1 / each_s:,.0f} a second" + (
        f"; features {', '.join(features)}" if features else ""
    )


@_rule("It has an end.")
def ends(it: WorkloadSubject) -> str:
    """Raises NotMeasured where that takes long."""
    n, until = 0, time.monotonic() + _WALK_S
    for batch in it.build().batches():
        n += len(batch)
        if time.monotonic() > until:
            raise NotMeasured(f"it has yielded {n:,} accesses in {_WALK_S:.0f} s, and goes on")
    return f"{n:,} accesses"


@_rule("Asked again, it yields the same accesses from the start.")
def yields_the_same_again(it: WorkloadSubject) -> None:
    """Raises Broken if not."""
    workload = it.build()
    first = it.head(workload)
    _must_be_alike(it.head(workload), first, f"{it.who}: asked again")


@_rule("The same seed gives the same accesses, and another seed, if it takes one, others.")
def goes_by_its_seed(it: WorkloadSubject) -> None:
    """Raises Broken if not."""
    first = it.head(it.build(seed=1))
    _must_be_alike(it.head(it.build(seed=1)), first, f"{it.who}: made again with the same seed")
    if it.settings.depends_on_seed:
        other = it.head(it.build(seed=2))
        if len(other) == len(first) and all((getattr(first, n) == getattr(other, n)).all() for n in COLUMNS):
            raise Broken(f"{it.who}: takes a seed, and seeds 1 and 2 give the same accesses; expected others")


@_rule("Two walks through it at once do not disturb each other.")
def two_walks_at_once(it: WorkloadSubject) -> None:
    """Raises Broken if they do."""
    alone = it.head(it.build())
    workload = it.build()

    def taken() -> Iterator[Batch]:
        walks = (part(iter(workload.batches()), 0, _MOST) for _ in range(2))
        for one, _ in zip_longest(*walks):
            if one is not None:
                yield one

    _must_be_alike(concatenate(list(taken())), alone, f"{it.who}: beside another walk through it")


@_rule("Its times do not go back.")
def times_rise(it: WorkloadSubject) -> None:
    """Raises Broken if they do."""
    if not it.settings.has_times:
        raise NotApplicable("it has no times")
    times = it.head(it.build()).time_ns
    if (back := np.flatnonzero(np.diff(times) < 0)).size:
        at = int(back[0])
        raise Broken(f"{it.who}: access {at + 1} arrives at {times[at + 1]} ns; expected {times[at]} or later")


@_rule("It leaves random states, folder and environment as they are.")
def leaves_the_process_alone(it: WorkloadSubject) -> None:
    """Raises Broken if it does not."""
    it.put_back()
    process = Process()
    it.head(it.build())
    wrong = [f"{it.who}: changes {what}; expected {expected}" for what, expected in process.changed().items()]
    if wrong:
        raise Broken(*wrong)


@_rule("A run over its first accesses gives the same books in both engines.")
def both_engines_agree(it: WorkloadSubject) -> str:
    """Raises Broken if not."""
    from experiments.contract.engines import books_of
    from policies.next_n import NextNPolicy
    from simulator.engine import Engine
    from simulator.model.model import Model

    batch = it.head(it.build())[:_RUN]
    try:
        one, other = (books_of(it.who, engine, batch, NextNPolicy(1)) for engine in (Engine, Model))
    except InputError as error:
        raise Broken(*error.args) from None
    for what, value in one.items():
        if other[what] != value:
            raise Broken(f"{it.who}: {what} is {value} with the compiled engine and {other[what]} with simpy")
    return f"{len(batch):,} accesses"
