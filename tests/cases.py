"""Whole runs for Hypothesis: any system, workload, policy and charge, small and crowded enough that rules meet."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from pydantic import TypeAdapter

from policies.given import Accesses, Given
from policies.registry import POLICIES
from simulator.accounting import Keeps
from simulator.charge import Charge, fixed, measured, sampled
from simulator.config import Arrivals, System
from simulator.policy import AccessRun, Ahead, Answer, Decision, Fate, Parts, Told, Trigger, Update
from simulator.trace import Batch, begins, make_batch
from tests.strategies import OUR_EVICTIONS, PUSH_OUT, ListWorkload

_TRAINED = np.array([0, 1, 2, 3, 5, 4, 7, 6, 9, 2, 11, 13, 12, 1], np.uint64)


def trained(per_stream: bool, needs: Sequence[str] = ()) -> list[Accesses]:
    """What policies that learn beforehand learn from: one stream of reads."""
    columns = {"stream": np.zeros(len(_TRAINED), np.uint32)}
    return [Accesses(_TRAINED, np.zeros(len(_TRAINED), bool), {name: columns[name] for name in needs})]


ARRIVALS: Any = TypeAdapter(Arrivals)
# What needs more than its settings is built by an experiment: the configs have all of these.
FROM_OUTSIDE = {"python", "file", "model"}
OTHERS = {"none", "lstm", "oracle", "lookahead", "expert_gate", "next_turn", "queue_time", "fdp", "gate"}
TABLES = sorted(set(POLICIES) - OTHERS - FROM_OUTSIDE)
LOOSE: dict[str, dict[str, Any]] = {
    "static_deltas": {"rule": "threshold", "threshold": 0},
    "hybrid": {"threshold": 0.2, "experts": [{"kind": "next_n", "n": 3}, {"kind": "stride"}, {"kind": "markov"}]},
    "selector": {"step": 2, "experts": [{"kind": "next_n", "n": 3}, {"kind": "stride"}, {"kind": "markov"}]},
}
"""Settings with which there is something to do in so short runs."""
ADMISSIONS: list[dict[str, Any]] = [
    {"kind": "all"}, {"kind": "all"}, {"kind": "tinylfu"}, {"kind": "probabilistic", "probability": 0.5},
    {"kind": "size", "largest": "2 B"},
]  # fmt: skip
WRITE_BACKS: list[dict[str, Any]] = [
    {},
    {},
    {"blocks": 1},
    {"blocks": 2},
    {"bytes": "1 B"},
    {"bytes": "4 B", "blocks": 3},
]


@dataclass
class Wishes:
    """A policy that wants ``key * i + step`` of the access that asks, for each step, and hears what became of it.

    After each fate that it hears, each pollution and each update, it wants other blocks: who tells it otherwise than
    the other engine is found out. Its guess is the first block, held back or not. ``updates`` are what its updates
    take; each is begun as soon as the one before is over, every other one on the server.
    """

    steps: Sequence[int]
    n_keys: int
    trigger: Trigger
    host_ns: int
    footprint_bytes: int = 0
    ahead: Ahead = field(default_factory=Ahead)
    recalls: bool = False
    updates: Sequence[int] = ()
    n_updates: int = 0
    is_updating: bool = False
    heard: int = 0
    shown: list[Any] = field(default_factory=list)

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        answers = []
        for run in runs:
            self.shown.append([column.tolist() for column in (run.key, run.stream, run.outcome)])
            key, stream = run.asking
            self.shown.append([key, stream])
            keys = [(key * (i + 1) + step + self.heard) % self.n_keys for i, step in enumerate(self.steps)]
            confidences = [1 / (i + 1) for i in range(len(keys))]
            guess = keys[0] if keys and key % 3 else None
            answers.append(Answer(keys, confidences, guess, 0.25 if guess is not None else float("nan")))
        update = None
        if not self.is_updating and self.n_updates < len(self.updates):
            update = Update(self.updates[self.n_updates], self.n_updates % 2 == 0, n_accesses=len(self.shown))
            self.is_updating = True
            self.n_updates += 1
        return Decision(answers, self.host_ns * len(runs), self.host_ns // 2, update=update)

    def told(self, told: Told) -> None:
        self.shown.append([told.keys, told.fates, told.n_polluted, told.is_updated])
        self.heard += sum(fate != Fate.TIMELY for fate in told.fates) + told.n_polluted + told.is_updated
        self.is_updating &= not told.is_updated


class InParts:
    """A table that answers at once, and any policy that is asked by a question: as a whole it is that one."""

    def __init__(self, at_once: Any, later: Any) -> None:
        self.parts = Parts(at_once, later)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.parts.later, name)


@dataclass
class Case:
    """One run, to be made by either engine; policy and charge are made anew for each."""

    system: System
    arrivals: Any
    batch: Batch
    batch_size: int
    policy: Callable[[], Any]
    charge: Callable[[], Charge]
    keeps: Keeps
    judged_from: int = 0
    prefix_reuse: bool = False

    def workload(self) -> ListWorkload:
        return ListWorkload(self.batch, self.batch_size)


@st.composite
def traces(draw: st.DrawFn, n_keys: int, times: Sequence[int], sizes: str) -> Batch:
    """Accesses of up to five streams, in requests of up to four blocks."""
    # A few are so long that rows of tables are handed on in several pieces (rule R35).
    most = draw(st.sampled_from([*[60] * 39, 900]))
    n_streams, n_requests = draw(st.integers(1, 5)), draw(st.integers(1, most))
    write_ratio = draw(st.sampled_from([0.0, 0.2, 0.6]))
    # One number for many: a list of draws would be long, and most of it without meaning to Hypothesis.
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_blocks = rng.integers(1, draw(st.sampled_from([2, 5])), n_requests)
    n = int(n_blocks.sum())
    key = rng.zipf(1.3, n) % n_keys if draw(st.booleans()) else rng.integers(0, n_keys, n)
    size = {"one": np.ones(n), "by key": 1 + key % 3, "any": rng.integers(1, 4, n)}[sizes]
    return make_batch(
        key, size_bytes=size, stream=np.repeat(rng.integers(0, n_streams, n_requests), n_blocks),
        # Streams may number their requests alike.
        request=np.repeat(np.arange(n_requests) // draw(st.sampled_from([1, 1, 3])), n_blocks),
        op=rng.random(n) < write_ratio,
        time_ns=np.repeat(np.cumsum(rng.choice(times, n_requests)), n_blocks),
    )  # fmt: skip


@st.composite
def tables(draw: st.DrawFn, unit: int, ties: bool) -> dict[str, Any]:
    """A link that was measured, with sizes and numbers of calls between, below and beyond those that there are."""
    sizes = draw(st.sampled_from([[1, 2], [2, 5], [1, 3, 4, 9]]))
    # Between few calls and many lies a time that is no multiple of the unit.
    at_once = draw(st.sampled_from([[1, 2], [1, 2, 3]] if ties else [[1], [1, 2], [1, 3]]))

    def rows() -> list[list[str]]:
        if ties:
            return [[f"{draw(st.integers(1, 3)) * unit} ns"] * len(sizes) for _ in at_once]
        drawn = [sorted(draw(st.integers(1, 3 * unit)) for _ in sizes) for _ in at_once]
        return [[f"{ns} ns" for ns in row] for row in drawn]

    written = rows() if draw(st.booleans()) else None
    return {"sizes": [f"{size} B" for size in sizes], "at_once": at_once, "read": rows(), "write": written}


@st.composite
def spreads(draw: st.DrawFn, ties: bool) -> list[list[float]]:
    """Quantiles of a factor; with ``ties`` it is 1 or 2, but for one draw in a million."""
    if ties:
        return [[0, 1], [0.5, 1], [0.500001, 2], [1, 2]]
    shares = draw(st.sets(st.sampled_from([1e-6, 0.1, 0.25, 0.5, 0.9, 0.999])))
    factors = st.sampled_from([1e-6, 0.3, 0.987654, 1, 1.000001, 1.6, 9, 1234.567])
    return [[share, factor] for share, factor in zip(
        [0, *sorted(shares), 1], sorted(draw(factors) for _ in range(len(shares) + 2)), strict=True
    )]  # fmt: skip


@st.composite
def spread(draw: st.DrawFn, ties: bool, *names: str) -> dict[str, Any]:
    """Of one in six what is so named spreads."""
    return {name: draw(spreads(ties)) for name in names if draw(st.integers(0, 5)) == 5}


@st.composite
def machines(draw: st.DrawFn, unit: int, least: int, ties: bool) -> System:
    """One to four tiers. ``ties``: all times are multiples of ``unit``, whatever the block."""
    n_tiers = draw(st.sampled_from([1, 2, 3, 4, 4]))
    times = st.sampled_from([0, unit, 2 * unit]) if ties else st.integers(0, 3 * unit)
    rates = st.just("1000 TB/s") if ties else st.sampled_from(["1 GB/s", "100 MB/s", "30 MB/s"])
    evictions: list[Any] = [*OUR_EVICTIONS, "lru", "lru", *PUSH_OUT]
    # Where lower tiers are no larger, they evict blocks that are on their way up.
    grows = draw(st.sampled_from([0, 1, 4]))
    tiers = [
        {
            "name": f"tier{i}", "capacity": f"{draw(st.integers(least, least + grows * (1 + i)))} B",
            "latency": f"{draw(times)} ns", "read_bandwidth": draw(rates), "write_bandwidth": draw(rates),
            "eviction": draw(st.sampled_from(evictions)), "admission": draw(st.sampled_from(ADMISSIONS)),
            "write_back": draw(st.sampled_from(WRITE_BACKS)), **(draw(spread(ties, "spread")) if i == 0 else {}),
        }
        for i in range(n_tiers)
    ]  # fmt: skip
    links = [
        {
            "call": f"{draw(times)} ns", "read_bandwidth": draw(rates), "write_bandwidth": draw(rates),
            "channels": draw(st.sampled_from([1, 1, 2, 3])), "blocks_per_call": draw(st.sampled_from([1, 1, 2, 4])),
            **({"table": draw(tables(unit, ties))} if draw(st.integers(0, 5)) == 5 else {}),
            **draw(spread(ties, "spread", "write_spread")),
        }
        for _ in range(n_tiers)
    ]  # fmt: skip
    computes = {
        "kind": "compute", "per_mib": draw(st.sampled_from(["0 ns", f"{unit * 2**20} ns", "12345 us"])),
        "call": f"{draw(times)} ns", "channels": draw(st.integers(1, 2)),
    }  # fmt: skip
    origin = draw(
        st.sampled_from(
            [{"kind": "store", "latency": f"{2 * unit} ns"}, *({**computes, "enters": e} for e in ("first", "last"))]
        )
    )
    placement = draw(st.sampled_from(["inclusive", "exclusive"]))
    waits = st.sampled_from([None, "0 ns", f"{unit} ns", f"{3 * unit} ns"])
    return System.model_validate(
        {
            "tiers": tiers, "links": links, "origin": origin, "placement": placement,
            "clean_evictions": draw(st.sampled_from(["drop", "demote"])) if placement == "exclusive" else "drop",
            "prefetch": {
                "in_flight": draw(st.integers(1, 8)), "queued": draw(st.integers(1, 4)),
                "bytes": f"{draw(st.integers(1, 24))} B", "max_wait": draw(waits),
                "enters": draw(st.sampled_from(["front", "front", "middle", "back", "region"])),
                "region_ratio": draw(st.sampled_from([0.2, 0.5])),
            },
            "inference": {
                "mode": draw(st.sampled_from(["async", "sync"])), "servers": draw(st.integers(1, 3)),
                "queue": draw(st.sampled_from(["newest_first", "fifo"])),
                "queue_limit": draw(st.integers(0, 3)), "batch_size": draw(st.integers(1, 3)),
                "stale_after": draw(waits), "gpu_slowdown": draw(st.sampled_from([1.0, 1.0, 1.5])),
            },
        }
    )  # fmt: skip


@st.composite
def made_policies(draw: st.DrawFn, n_keys: int, unit: int, has_lives: bool) -> Callable[[], Any]:
    """Makes the same policy each time it is called; some have a part that answers at once."""
    later = draw(wholes(n_keys, unit, has_lives))
    trigger = later().trigger
    if trigger == Trigger.ARRIVAL:
        return later
    kind = draw(st.sampled_from([None, None, *TABLES]))
    has_own = kind in ("hybrid", "selector")
    if kind is None or trigger == Trigger.NEVER or (has_own and trigger != Trigger.ACCESS):
        return later
    said = {**LOOSE.get(kind, {}), **({} if has_own else {"trigger": trigger.name.lower()})}
    at_once = POLICIES.validate({"kind": kind, **said})
    return lambda: InParts(at_once.build(Given(trained, 0, n_streams=5)).policy, later())


@st.composite
def wholes(draw: st.DrawFn, n_keys: int, unit: int, has_lives: bool) -> Callable[[], Any]:
    """Makes the same policy each time it is called. Where requests have a life it may be asked at arrivals."""
    triggers = [*Trigger, Trigger.MISS, Trigger.TAGGED, Trigger.ACCESS]
    if has_lives:
        triggers += [Trigger.ARRIVAL] * 4
    else:
        triggers.remove(Trigger.ARRIVAL)
    arriving = ["queue_time"] * len(TABLES) if has_lives else []
    kind = draw(st.sampled_from([*["wishes"] * 2 * len(TABLES), *TABLES, *arriving]))
    if kind == "wishes":
        wishes = Wishes(
            draw(st.lists(st.integers(0, n_keys), min_size=1, max_size=5)), n_keys,
            draw(st.sampled_from(triggers)),
            draw(st.sampled_from([0, 1, unit, 5 * unit])), draw(st.sampled_from([0, 0, 1])),
            Ahead(draw(st.integers(1, 3)), draw(st.booleans())), draw(st.booleans()),
            draw(st.just([]) | st.lists(st.sampled_from([0, 1, unit, 7 * unit, 40 * unit]), max_size=6)),
        )  # fmt: skip
        return lambda: copy.deepcopy(wishes)
    chosen = POLICIES.validate({"kind": kind, **LOOSE.get(kind, {})})
    return lambda: chosen.build(Given(trained, 0, n_streams=5)).policy


@st.composite
def lives(draw: st.DrawFn, system: System, unit: int, batch: Batch) -> tuple[System, Batch, bool]:
    """The system with requests that have a life, a trace of whole requests, and whether blocks are reused by prefix."""
    computes, names = system.origin.kind == "compute", [tier.name for tier in system.tiers]
    # From so many tokens a second that a token takes no time to one that takes as long as other things.
    rates = st.sampled_from([None, f"{10**9 / unit:.3f} tokens/s", "1000000000 tokens/s", "77777777.7 tokens/s"])
    requests: dict[str, Any] = {
        "running": draw(st.integers(1, 4)), "decode": draw(rates), "prefill": draw(rates) if computes else None,
        "block_tokens": draw(st.integers(1, 3)),
    }  # fmt: skip
    by_prefix = draw(st.booleans())
    if computes and len(names) > 1 and draw(st.booleans()):
        by_prefix = True
        stop = draw(st.sampled_from(["wait_complete", "best_effort", "timeout"]))
        requests |= {"storage": draw(st.sampled_from(names[1:])), "stop": stop}
        if stop == "timeout":
            requests["timeout"] = f"{draw(st.sampled_from([0, unit, 4 * unit, 20 * unit]))} ns"
    whole = make_batch(
        batch.key, size_bytes=batch.size_bytes, stream=batch.stream, op=batch.op, time_ns=batch.time_ns,
        request=np.cumsum(begins(batch, None)) + 7,
        features={"output_tokens": batch.key % 5} if draw(st.booleans()) else None,
    )  # fmt: skip
    return System.model_validate(system.model_dump(mode="json") | {"requests": requests}), whole, by_prefix


@st.composite
def cases(draw: st.DrawFn, all_live: bool = False) -> Case:
    """A run; every other one has ties on purpose: what can happen at one time does.

    Of some, or with ``all_live`` of all, requests have a life.
    """
    ties, n_keys = draw(st.booleans()), draw(st.sampled_from([8, 20, 60]))
    unit = 100 if ties else draw(st.sampled_from([10, 100]))
    sizes = "one" if ties else draw(st.sampled_from(["one", "by key", "any"]))
    batch = draw(traces(n_keys, [0, unit, 3 * unit] if ties else [0, 1, unit, 4 * unit], sizes))
    # Room for the largest block, beside what a policy keeps; else some blocks pass by.
    system = draw(machines(unit, 2 if sizes == "one" or draw(st.booleans()) else 4, ties))
    thinks = () if all_live else (0, unit - 1, unit, 3 * unit + 7)
    arrivals = draw(
        st.sampled_from(
            [
                {"kind": "closed", "think": f"{think} ns"} for think in thinks
            ] + [{"kind": "open"}, {"kind": "open", "speedup": 2.0}, {"kind": "poisson", "mean_gap": f"{unit} ns"}]
        )
    )  # fmt: skip
    has_lives, by_prefix = draw(st.booleans()), draw(st.booleans())
    if (all_live or has_lives) and arrivals["kind"] != "closed":
        system, batch, by_prefix = draw(lives(system, unit, batch))
    charge = draw(
        st.sampled_from(
            [
                lambda: measured, lambda: fixed(0), lambda: fixed(1), lambda: fixed(unit), lambda: fixed(3 * unit - 1),
                lambda: sampled(np.array([0, unit, 3 * unit]), np.random.default_rng(5)),
            ]
        )
    )  # fmt: skip
    keeps = draw(st.sampled_from([Keeps(), Keeps(), Keeps(share=0.5), Keeps(3, 7)]))
    return Case(
        system, ARRIVALS.validate_python(arrivals), batch, draw(st.sampled_from([1, 7, 1 << 16])),
        draw(made_policies(n_keys, unit, system.requests is not None)), charge, keeps,
        draw(st.just(0) | st.integers(0, len(batch) - 1)), by_prefix,
    )  # fmt: skip
