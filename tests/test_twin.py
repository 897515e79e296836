"""The engine against its naive twin: the same outcome, latency and components for every access."""

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from simulator.charge import measured
from simulator.config import Arrivals
from simulator.engine import Engine
from simulator.policy import Fate

from tests.strategies import ListSink, ListWorkload, ScriptedPolicy, arrivals, batches, books, policies, systems
from tests.twin import Twin

ARRIVALS: Any = TypeAdapter(Arrivals)
ENGINES = [Engine, SimpyEngine]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(systems(), arrivals(), batches(), policies(), st.sampled_from([1, 7, 1 << 16]), st.sampled_from(ENGINES))
def test_engine_equals_twin(
    system: Any, arrival: Any, batch: Any, policy: ScriptedPolicy, batch_size: int, make: type[Engine]
) -> None:
    process = ARRIVALS.validate_python(arrival)
    other = copy.deepcopy(policy)
    sink = ListSink()
    ledger = books(sink)
    # The identities of R19 and the sums of R18 are asserted by the engine itself, in every run.
    engine = make(system, process, ListWorkload(batch, batch_size), policy, measured, ledger)
    engine.run()
    twin = Twin(system, process, batch, other, measured)
    expected = twin.run()
    twin.check_nothing_is_lost()
    found = sink.accesses()
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        for ours_name, name in (
            ("outcome", "outcome"),
            ("issued_ns", "issued"),
            ("latency_ns", "latency"),
            ("service_ns", "service"),
            ("queue_ns", "queue"),
            ("transfer_ns", "transfer"),
            ("inference_ns", "inference"),
            *([("shadow", "shadow")] if ledger.has_shadow else []),
        ):
            assert ours[ours_name] == theirs[name], (ours_name, ours, theirs)
    assert ledger.n_issued == twin.n_issued
    assert list(ledger.n_rejected.values()) == list(twin.rejected.values())
    assert ledger.n_pollution == twin.n_pollution
    assert (ledger.link_queue_ns, ledger.link_transfer_ns) == (twin.queued_on, twin.moved_on)
    prefetches = sink.columns("prefetches")
    if prefetches:
        used = prefetches["first_used_access"]
        assert dict(zip(prefetches["prefetch"][used >= 0], used[used >= 0], strict=True)) == twin.used_by
    settled = [sum(fate == f for f in twin.fates.values()) for fate in list(Fate)[:4]]
    assert ledger.n_fates[:4] == settled
    unsettled = set(range(twin.n_issued)) - set(twin.fates)
    assert ledger.n_fates[Fate.RESIDENT_UNUSED] == len(unsettled & twin.filled)
    # The policy was shown the same and told the same.
    assert policy.seen == other.seen
    assert policy.fates == other.fates
    assert policy.n_batches == other.n_batches
    for level, tier in enumerate(twin.tiers):
        assert engine._residency.keys(level) == set(tier)
