"""What the tests have in common: in-memory workloads, small systems, random ones for Hypothesis."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from simulator.accounting import Books
from simulator.charge import fixed
from simulator.config import System
from simulator.evictions.registry import EVICTIONS as _PLAIN
from simulator.policy import AccessRun, Ahead, Answer, Decision, Fate, Told, Trigger
from simulator.trace import Batch, make_batch

# Of these the use of a block may evict others: in small tiers, too, a list's share leaves a rest.
PUSH_OUT: list[dict[str, Any]] = [
    {"kind": "slru", "seg_size": [1, 1], "variant": "libcachesim"},
    {"kind": "slru", "seg_size": [1, 1, 1, 2], "variant": "libcachesim"},
    {"kind": "wtinylfu", "window_ratio": 0.2, "protected_ratio": 0.5, "variant": "libcachesim"},
]


OUR_EVICTIONS = list(_PLAIN)
"""Those that come with it: others are classes from outside."""


@dataclass
class ListWorkload:
    """A trace from lists, handed out in batches of any size."""

    batch: Batch
    batch_size: int = 1 << 16
    stream_ids: Any = None

    @property
    def n_streams(self) -> int:
        return int(self.batch.stream.max(initial=0)) + 1

    def length(self) -> int:
        return len(self.batch)

    def batches(self) -> Iterator[Batch]:
        for at in range(0, len(self.batch), self.batch_size):
            yield self.batch[at : at + self.batch_size]


def workload(keys: Sequence[int], batch_size: int = 1 << 16, **columns: Any) -> ListWorkload:
    return ListWorkload(make_batch(keys, **columns), batch_size)


@dataclass
class ListSink:
    """Keeps what it is given, by table, as lists of columns."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def takes(self, table: str) -> bool:
        """All of them."""
        return True

    def write(self, table: str, columns: dict[str, Any]) -> None:
        """What is null is None, as in a table."""
        kept = {k: np.array(v.tolist(), object) if np.ma.isMaskedArray(v) else np.array(v) for k, v in columns.items()}
        self.tables.setdefault(table, []).append(kept)

    def columns(self, table: str) -> dict[str, np.ndarray]:
        parts = self.tables.get(table, [])
        return {k: np.concatenate([part[k] for part in parts]) for k in parts[0]} if parts else {}

    def accesses(self) -> list[dict[str, int]]:
        columns = self.columns("accesses")
        n = len(columns["access"]) if columns else 0
        rows = [{k: int(v[i]) for k, v in columns.items()} for i in range(n)]
        for row in rows:
            row["key"] %= 2**64
        return sorted(rows, key=lambda row: row["access"])


class ScriptedPolicy:
    """Wants ``key * a + b`` of the asking access for each (a, b) of its script: arbitrary, but only of what it sees."""

    footprint_bytes = 0
    ahead = Ahead()

    def __init__(self, steps: Sequence[int], n_keys: int, trigger: Trigger = Trigger.ACCESS, host_ns: int = 0) -> None:
        self.trigger = trigger
        self.steps = steps
        self.n_keys = n_keys
        self.host_ns = host_ns
        self.seen: list[tuple[int, int]] = []
        self.fates: list[Fate] = []
        self.n_batches = 0

    def wants(self, key: int) -> list[int]:
        return [(key * (i + 1) + step) % self.n_keys for i, step in enumerate(self.steps)]

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        self.n_batches += 1
        answers = []
        for run in runs:
            self.seen += list(zip(run.key.tolist(), run.outcome.tolist(), strict=True))
            keys = self.wants(int(run.key[-1]))
            answers.append(Answer(keys, [1.0] * len(keys), keys[0] if keys else None, 1.0))
        return Decision(answers, self.host_ns)

    def told(self, told: Told) -> None:
        self.fates += told.fates


def system(capacity: int = 100, *, lower: Sequence[int] = (), **overrides: Any) -> System:
    """Tiers of 1 B blocks (tier 0 of ``capacity``), easy figures: service 1 ns + 1 ns, hops 10 ns + 100 ns."""
    tiers = [
        {
            "name": f"tier{i}",
            "capacity": f"{c} B",
            "latency": "1 ns",
            "read_bandwidth": "1 GB/s",
            "write_bandwidth": "1 GB/s",
            "eviction": overrides.get("eviction", "lru"),
            "admission": overrides.get("admission", {"kind": "all"}),
        }
        for i, c in enumerate([capacity, *lower])
    ]
    link = {
        "call": "100 ns",
        "read_bandwidth": "100 MB/s",
        "write_bandwidth": "100 MB/s",
        "channels": overrides.get("channels", 1),
        "blocks_per_call": overrides.get("blocks_per_call", 1),
    }
    rest = {k: v for k, v in overrides.items() if k not in {"eviction", "admission", "channels", "blocks_per_call"}}
    return System.model_validate({"tiers": tiers, "links": [link] * len(tiers), "origin": {"kind": "store"}, **rest})


@st.composite
def batches(draw: st.DrawFn, max_size: int = 60, n_keys: int = 12) -> Batch:
    """Accesses of up to three streams in requests of up to three blocks, with writes and arrival times."""
    keys: list[int] = []
    streams: list[int] = []
    requests: list[int] = []
    times: list[int] = []
    n_requests = draw(st.integers(1, max_size))
    time = 0
    n_streams = draw(st.integers(1, 3))
    for request in range(n_requests):
        stream = draw(st.integers(0, n_streams - 1))
        time += draw(st.sampled_from([0, 1, 50, 111, 400]))
        for _ in range(draw(st.integers(1, 3))):
            keys.append(draw(st.integers(0, n_keys - 1)))
            streams.append(stream)
            requests.append(request)
            times.append(time)
    n = len(keys)
    write_every = draw(st.sampled_from([0, 2, 5]))
    ops = [int(bool(write_every) and draw(st.integers(0, write_every - 1)) == 0) for _ in range(n)]
    return make_batch(keys, stream=streams, request=requests, op=ops, time_ns=times)


@st.composite
def systems(draw: st.DrawFn) -> System:
    """One to three small tiers, every placement, origin and inference mode."""
    n_tiers = draw(st.integers(1, 3))
    capacities = [draw(st.integers(1, 6)) for _ in range(n_tiers)]
    placement = draw(st.sampled_from(["inclusive", "exclusive"]))
    origin: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"kind": "store", "latency": "200 ns"},
                {"kind": "store"},
                {"kind": "compute", "per_mib": "100 ms", "enters": "last"},
                {"kind": "compute", "per_mib": "100 ms", "call": "30 ns", "channels": 2, "enters": "first"},
            ]
        )
    )
    stale = draw(st.sampled_from([None, "0 ns", "120 ns"]))
    return system(
        capacities[0],
        lower=capacities[1:],
        eviction=draw(st.sampled_from(["lru", *(name for name in OUR_EVICTIONS if name != "belady"), *PUSH_OUT])),
        admission=draw(
            st.sampled_from(
                [{"kind": "all"}] * 3 + [{"kind": "tinylfu"}, {"kind": "probabilistic", "probability": 0.5}]
            )
        ),
        channels=draw(st.integers(1, 2)),
        blocks_per_call=draw(st.integers(1, 3)),
        placement=placement,
        clean_evictions=draw(st.sampled_from(["drop", "demote"])) if placement == "exclusive" else "drop",
        origin=origin,
        prefetch={
            "in_flight": draw(st.integers(1, 4)),
            "queued": draw(st.integers(1, 3)),
            "bytes": f"{draw(st.integers(1, 5))} B",
            "max_wait": draw(st.sampled_from([None, "0 ns", "150 ns"])),
            "enters": draw(st.sampled_from(["front", "front", "middle", "back", "region"])),
            "region_ratio": draw(st.sampled_from([0.2, 0.5])),
        },
        inference={
            "mode": draw(st.sampled_from(["async", "sync"])),
            "servers": draw(st.integers(1, 2)),
            "queue": draw(st.sampled_from(["newest_first", "fifo"])),
            "queue_limit": draw(st.integers(0, 2)),
            "batch_size": draw(st.integers(1, 3)),
            "stale_after": stale,
            "gpu_slowdown": draw(st.sampled_from([1.0, 1.5])),
        },
    )


@st.composite
def arrivals(draw: st.DrawFn) -> Any:
    return draw(
        st.sampled_from(
            [
                {"kind": "closed"},
                {"kind": "closed", "think": "37 ns"},
                {"kind": "open"},
                {"kind": "open", "speedup": 2.0},
            ]
        )
    )


@st.composite
def policies(draw: st.DrawFn, n_keys: int = 12) -> ScriptedPolicy:
    return ScriptedPolicy(
        draw(st.lists(st.integers(0, n_keys), max_size=3)),
        n_keys,
        draw(st.sampled_from([trigger for trigger in Trigger if trigger != Trigger.ARRIVAL])),
        draw(st.sampled_from([0, 1, 60, 500])),
    )


def books(sink: ListSink | None = None) -> Books:
    return Books(sink, 10)


FREE = fixed(0)
