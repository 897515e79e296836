"""Published miss counts (libCacheSim 0.3.5), through the whole engine, to the last miss."""

import json

import numpy as np
import pytest

from policies.none import NonePolicy
from simulator.config import Closed
from simulator.engine import Engine
from simulator.policy import Outcome
from simulator.trace import Workload, concatenate
from tests.conftest import real_trace
from tests.strategies import FREE, ListWorkload, books, system
from workloads.readers.files import read_records
from workloads.readers.ids import Ids
from workloads.readers.oracle_general import OracleGeneral

CLOSED = Closed.model_validate({"kind": "closed"})


def misses(workload: Workload, capacity: int, eviction: str) -> int:
    ledger = books()
    engine = Engine(system(capacity, eviction=eviction), CLOSED, workload, NonePolicy(), FREE, ledger)
    engine.run()
    return ledger.n_outcomes[Outcome.MISS]


def golden(trace: str) -> dict[str, dict[str, int]]:
    table = json.loads(real_trace("golden_misses.json").read_text())
    return table[trace]["misses"]


@pytest.mark.parametrize("eviction", ["lru", "fifo"])
@pytest.mark.parametrize("capacity", ["489", "2448", "4897", "12243"])
def test_cloudphysics_objects(capacity: str, eviction: str) -> None:
    workload = OracleGeneral(real_trace("cloudPhysicsIO.oracleGeneral.bin"), block_bytes=1)
    assert misses(workload, int(capacity), eviction) == golden("cloudphysics")[capacity][eviction]


@pytest.mark.parametrize("eviction", ["lru", "fifo"])
def test_cloudphysics_bytes(eviction: str) -> None:
    workload = OracleGeneral(real_trace("cloudPhysicsIO.oracleGeneral.bin"))
    expected = golden("cloudphysics_bytes")
    assert {c: misses(workload, int(c), eviction) for c in expected} == {c: m[eviction] for c, m in expected.items()}


@pytest.mark.parametrize("eviction", ["lru", "fifo"])
def test_lirs_multi1(eviction: str) -> None:
    workload = Ids(real_trace("lirs_multi1.trace.gz"), block_bytes=1)
    expected = golden("lirs_multi1")
    assert {c: misses(workload, int(c), eviction) for c in expected} == {c: m[eviction] for c, m in expected.items()}


@pytest.mark.parametrize("eviction", ["lru", "fifo"])
def test_cache2k_orm_busy(eviction: str) -> None:
    """Five million accesses; the largest capacity keeps the misses, and so the time, down."""
    from simulator.trace import make_batch

    path = real_trace("cache2k_orm-busy.trace.xz")
    keys = np.concatenate([piece["key"] for piece in read_records(path, [("key", ">u4")])])
    workload = ListWorkload(concatenate([make_batch(keys)]))
    assert misses(workload, 19087, eviction) == golden("cache2k_orm-busy")["19087"][eviction]
