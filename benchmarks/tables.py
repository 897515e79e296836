"""Every policy that is a table, through the whole engine, beside libCacheSim's untimed LRU."""

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import contenders as c
from benchmarks.alone import Timed, alone
from benchmarks.engines import traces
from benchmarks.results import Measurement
from policies.given import Given
from policies.registry import POLICIES
from simulator.plugins import needs_nothing

ROUNDS = 3


def tables() -> list[str]:
    """The kinds of those that do with their kind alone, and ``none``."""
    found = ["none"]
    for kind, class_ in POLICIES.items():
        if kind != "none" and needs_nothing(class_) and not class_.model_validate({"kind": kind}).learns:
            # The oracle needs a future.
            with suppress(NotImplementedError):
                policy = POLICIES.validate({"kind": kind}).build(Given(lambda _: [], 0)).policy
                if getattr(policy, "table", None) is not None:
                    found.append(kind)
    return found


def measure() -> Iterator[Measurement]:
    """Medians of CPU time; contenders take turns, each time in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (trace, capacity) in traces(Path(folder)).items():
            field: dict[str, tuple[Any, ...]] = c.peers(trace, capacity)
            field |= {kind: (c.engine, trace, capacity, kind) for kind in tables()}
            taken: dict[str, list[Timed]] = {contender: [] for contender in field}
            for _ in range(ROUNDS):
                for contender, call in field.items():
                    taken[contender].append(alone(*call))
            n = len(np.load(trace, mmap_mode="r"))
            for contender, rounds in taken.items():
                seconds = statistics.median(timed.seconds for timed in rounds)
                yield Measurement(f"tables: {name}", contender, n, seconds, max(t.peak_memory_bytes for t in rounds))
