"""A policy through both engines, and a compiled one's functions as the engine calls them."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.contract.rules import Broken, NotApplicable, Unsafe
from experiments.contract.stories import in_words, steps_of
from experiments.contract.subject import PolicySubject
from policies.base import shown_of
from simulator.accounting import Books, BooksError
from simulator.answers import answer
from simulator.arrays import Ints, signed
from simulator.charge import fixed
from simulator.compiled import address_of
from simulator.config import Closed, Open, System
from simulator.errors import OutsideError
from simulator.needs import ALWAYS_THERE
from simulator.policy import AccessRun, Fate, Outcome, Policy, Table, Trigger
from simulator.trace import Batch, make_batch

_N_ACCESSES, _SMALL = 800, 60
_GUARD, _MARK = 4096, -0x5EA1ED
_ABOVE = {Trigger.TAGGED: int(Outcome.HIT), Trigger.MISS: int(Outcome.HIT_PREFETCHED)}


def compiled_as_decide(it: PolicySubject) -> str:
    """Raises Broken if it writes behind its bounds, or answers otherwise than decide."""
    table: Table | None = getattr(it.build(), "table", None)
    if table is None:
        raise NotApplicable("it is not compiled")
    keys = [*range(30), *[3, 1, 4, 15, 9, 2, 6] * 8, 2**64 - 1, 0, 2**63]
    steps = steps_of(keys, it.trigger, streams=[i % 3 for i in range(len(keys))], lengths=(1, 1, 4))
    policy, same = it.build(), it.build()
    table = policy.table  # type: ignore[attr-defined]
    n_most = table.most_wanted
    wanted: Ints = np.empty(n_most + _GUARD, np.int64)
    sure = np.empty(n_most + _GUARD)
    for i, step in enumerate(steps):
        wanted[:], sure[:] = _MARK, _MARK
        run = step.run(i, getattr(policy, "needs", ()))
        n = _asked(table, run, wanted, sure, it.trigger)
        behind = int(np.max(np.flatnonzero((wanted != _MARK) | (sure != _MARK)), initial=-1)) + 1
        if max(n, behind) > n_most or n < 0:
            raise Unsafe(
                f"{it.who}: want writes {max(n, behind)} blocks; expected 0 to {n_most}, its most_wanted: what it "
                "writes behind them is the engine's memory", in_words(steps[: i + 1]),
            )  # fmt: skip
        compiled = list(zip(wanted[:n].view(np.uint64).tolist(), sure[:n].tolist(), strict=True))
        found = same.decide([run]).answers[0]
        decided = list(zip(found.keys, found.confidences, strict=True))
        if compiled != decided:
            raise Broken(
                f"{it.who}: its compiled functions answer {compiled[:4]}; expected {decided[:4]}, as decide does",
                in_words(steps[: i + 1]),
            )
        if not all(0 <= confidence <= 1 for _, confidence in compiled):
            raise Broken(f"{it.who}: its confidences are {sure[:n][:4].tolist()}; expected 0 to 1")
    return f"at most {n_most} blocks an answer"


def _asked(table: Table, run: AccessRun, wanted: Ints, sure: "np.ndarray[Any, Any]", trigger: Trigger) -> int:
    shown, (key, stream) = shown_of(run, table), run.asking
    return int(
        answer(
            address_of(table.state), table.learn, table.want, address_of(shown), len(run), _ABOVE.get(trigger, -1),
            signed(key), stream, address_of(wanted), address_of(sure),
        )
    )  # fmt: skip


@dataclasses.dataclass
class _InMemory:
    batch: Batch
    stream_ids: Any = None

    @property
    def n_streams(self) -> int:
        return int(self.batch.stream.max()) + 1

    def length(self) -> int:
        return len(self.batch)

    def batches(self) -> Iterator[Batch]:
        yield self.batch


class _AskedInPython:
    """Hides the table of a compiled policy: its decide is asked."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def __getattr__(self, name: str) -> Any:
        if name == "table":
            raise AttributeError(name)
        return getattr(self._policy, name)


def both_engines_agree(it: PolicySubject) -> str:
    """Raises Broken if books differ, or do not close."""
    from simulator.engine import Engine
    from simulator.model.model import Model

    batch = _batch(it)
    policy = it.build()
    if policy.trigger == Trigger.NEVER:
        raise NotApplicable("it is never asked")
    runs: list[tuple[str, Any, Any]] = [("the compiled engine", Engine, None), ("simpy", Model, None)]
    if getattr(policy, "table", None) is not None:
        runs.append(("its decide", Engine, _AskedInPython))
    books: list[dict[str, Any]] = []
    for _, engine, wrap in runs:
        it.shared.restore()
        one: Any = it.build()
        books.append(books_of(it.who, engine, batch, one if wrap is None else wrap(one)))
    for (name, _, _), found in zip(runs[1:], books[1:], strict=True):
        for what, value in books[0].items():
            if found[what] != value:
                raise Broken(
                    f"{it.who}: over {len(batch)} accesses, {what} is {value} with {runs[0][0]} and {found[what]} with "
                    f"{name}; expected the same: it decides by something that it is not shown"
                )
    first = books[0]
    return f"{len(batch)} accesses, {first['prefetches issued']} prefetches issued, {first['useful']} of use"


def _batch(it: PolicySubject) -> Batch:
    if it.trace is not None:
        return it.trace[: it.n_of(5 * _N_ACCESSES)]
    n = it.n_of(_N_ACCESSES)
    rng = np.random.default_rng(5)
    at = np.arange(n)
    key = np.where(
        at % 200 < 100, at, np.where(at % 200 < 150, rng.permutation(50)[at % 50] * 1000, rng.integers(0, 300, n))
    )
    request = at // 2
    needs = [name for name in getattr(it.build(), "needs", ()) if name not in ALWAYS_THERE]
    return make_batch(
        key, stream=request % 3, request=request, op=rng.random(n) < 0.1, time_ns=request * 1000,
        features=dict.fromkeys(needs, key % 8),
    )  # fmt: skip


def books_of(who: str, engine: Any, batch: Batch, policy: Any, eviction: Any = "lru") -> dict[str, Any]:
    """What a run over a batch comes to. Raises Broken if the policy fails, or the books do not close."""
    books = Books(None, max(len(batch), 1))
    machine = _system(batch, policy, eviction)
    closed = Closed.model_validate({"kind": "closed", "think": "50 ns"})
    arrivals = closed if machine.requests is None else Open.model_validate({"kind": "open"})
    try:
        result = engine(machine, arrivals, _InMemory(batch), policy, fixed(0), books).run()
    except OutsideError as error:
        at = "" if error.access is None else f", at access {error.access} of a run"
        raise Broken(f"{error.lines[0]}{at}", *error.lines[1:]) from None
    except BooksError as error:
        raise Broken(f"{who}: the books of a run do not close: {error}") from None
    return {
        "accesses by outcome": {one.name.lower(): books.n_outcomes[one] for one in Outcome},
        "prefetches proposed": books.n_proposed,
        "prefetches issued": books.n_issued,
        "useful": books.n_fates[Fate.TIMELY] + books.n_fates[Fate.LATE],
        "prefetches by fate": {one.name.lower(): books.n_fates[one] for one in Fate},
        "prefetches rejected": dict(books.n_rejected),
        "the mean latency in ns": books.latency.mean(),
        "the end in ns": result.end_ns,
    }


def _system(batch: Batch, policy: Policy, eviction: Any) -> System:
    block = int(batch.size_bytes.max())
    fast = {"latency": "1 ns", "read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    tiers = [
        {"name": "hbm", "capacity": f"{_SMALL * block + policy.footprint_bytes} B", "eviction": eviction, **fast},
        {"name": "dram", "capacity": f"{8 * _SMALL * block} B", **fast},
    ]
    link = {"call": "100 ns", "read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s", "channels": 2}
    # Who is asked at arrivals needs requests that arrive.
    requests = {"running": 4} if policy.trigger == Trigger.ARRIVAL else None
    return System.model_validate(
        {"tiers": tiers, "links": [link, link], "origin": {"kind": "store"}, "requests": requests}
    )
