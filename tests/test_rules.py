"""Rules that one may read otherwise, each worked out by hand, in both engines: see ``docs/rules.md``.

Figures, unless a test says otherwise: service 2 ns; a hop takes 100 ns call + 10 ns for its byte + 1 ns from a tier.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from policies.next_n import NextNPolicy
from policies.none import NonePolicy
from simulator.accounting import Books
from simulator.charge import fixed
from simulator.config import Closed, Open, System
from simulator.engine import Engine
from simulator.model.memory import WRITTEN
from simulator.model.model import Model
from simulator.policy import Fate, Outcome, Status, Trigger
from tests.cases import Case, Wishes, cases
from tests.strategies import FREE, ListSink, ScriptedPolicy, books, system, workload

HIT, HIT_PREFETCHED, LATE, MERGED, MISS = Outcome


@pytest.fixture(params=[Engine, Model], ids=["compiled", "model"])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


def run(
    make: Any, machine: System, trace: Any, policy: Any = None, charge: Any = FREE, think: str | None = None
) -> tuple[Any, Any, ListSink]:
    """(Outcome, issued, latency, queueing, transfer) of each access; open arrivals unless they are to ``think``."""
    sink = ListSink()
    ledger = books(sink)
    closed = Closed.model_validate({"kind": "closed", "think": think or "0 ns"})
    arrivals = Open.model_validate({"kind": "open"}) if think is None else closed
    make(machine, arrivals, trace, policy or NonePolicy(), charge, ledger).run()
    rows = [(r["outcome"], r["issued_ns"], r["latency_ns"], r["queue_ns"], r["transfer_ns"]) for r in sink.accesses()]
    return rows, ledger, sink


def with_channels(machine: System, *channels: int) -> System:
    raw = machine.model_dump(mode="json")
    for link, n in zip(raw["links"], channels, strict=True):
        link["channels"] = n
    return System.model_validate(raw)


# -- R28: pinned blocks ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("eviction", "outcomes"),
    [
        # Before, 9, 7 and 5 are there twice each: the smaller key is kept. 7 pushes out 1, 2 pushes out 7, 7 then 2.
        ({"kind": "pinned", "keep": 1}, [MISS, MISS, MISS, MISS, HIT, MISS]),
        # 7 is kept as well, and when both are there 2 pushes out the one used longest ago, 5, which pushes out 2.
        ({"kind": "pinned", "keep": 2}, [MISS, MISS, MISS, MISS, MISS, HIT]),
        # Of a list, whatever was counted: 5 goes for 7, then 1 for 2.
        ({"kind": "pinned", "keys": [7]}, [MISS, MISS, MISS, MISS, MISS, HIT]),
        ({"kind": "pinned", "keys": [1]}, [MISS, MISS, MISS, MISS, MISS, MISS]),
        ("lru", [MISS, MISS, MISS, MISS, MISS, MISS]),
    ],
)
def test_who_is_pinned_stays(make: Any, eviction: Any, outcomes: list[Outcome]) -> None:
    """Room for two, and for two without the policy, which wants nothing. Six accesses are counted, and not run."""
    trace = workload([9, 7, 5, 7, 5, 9, 5, 1, 7, 2, 5, 7])
    ledger = Books(sink := ListSink(), 10, first_access=6)
    closed = Closed.model_validate({"kind": "closed"})
    make(system(2, eviction=eviction), closed, trace, ScriptedPolicy([], 1), FREE, ledger, first_access=6).run()
    assert [row["outcome"] for row in sink.accesses()] == outcomes
    assert ledger.n_shadow_misses == outcomes.count(MISS)


# -- R42: evicted by the use of another ------------------------------------------------------------------------------
def test_a_use_may_push_out_a_dirty_block(make: Any) -> None:
    # Room for five: 0 and 1 come into the lower list, which is for two, 2 and 3 into the upper one, and 4 into the
    # lower one, which may have the rest. The use of 1 takes it up and brings 2 down: the lower list must do with its
    # two, and 0 goes, which was written: 100 ns call + 1 ns + 10 ns, until 5111. The read of 0 waits for that from 5050
    # on, 61 ns, and is fetched. As the paper has it, 0 stays: there is room.
    trace = workload([0, 1, 2, 3, 4, 1, 0], time_ns=[0, 1000, 2000, 3000, 4000, 5000, 5050], op=[1, 0, 0, 0, 0, 0, 0])
    rows, _, _ = run(make, system(5, eviction={"kind": "slru", "seg_size": [1, 1], "variant": "libcachesim"}), trace)
    assert rows[5:] == [(HIT, 5000, 2, 0, 0), (MISS, 5050, 61 + 110 + 2, 61, 110)]
    rows, _, _ = run(make, system(5, eviction={"kind": "slru", "seg_size": [1, 1]}), trace)
    assert rows[5:] == [(HIT, 5000, 2, 0, 0), (HIT, 5050, 2, 0, 0)]


# -- R38, R39: what is judged, what passes by ------------------------------------------------------------------------
def test_accesses_are_judged_by_their_number(make: Any) -> None:
    # Each access asks for the next key. Access 0 has key 1 prefetched, which access 2 uses; access 1 has key 10, which
    # nobody uses. The prefetches of key 2, by access 2, and of key 8, by access 3, which waits to the end, are judged.
    sink = ListSink()
    ledger = Books(sink, 2, first_access=2)
    trace = workload([0, 9, 1, 7], time_ns=[0, 1000, 2000, 3000])
    arrivals = Open.model_validate({"kind": "open"})
    result = make(system(9), arrivals, trace, ScriptedPolicy([1], 99), FREE, ledger).run()
    assert [(r["access"], r["outcome"]) for r in sink.accesses()] == [(2, HIT_PREFETCHED), (3, MISS)]
    assert (ledger.n_accesses, ledger.n_outcomes) == (2, [0, 1, 0, 0, 1])
    assert (ledger.n_proposed, ledger.n_issued) == (2, 2)
    assert (ledger.n_fates[Fate.RESIDENT_UNUSED], ledger.n_fates[Fate.IN_FLIGHT]) == (1, 1)
    assert ledger.unjudged.n_outcomes == [0, 0, 0, 0, 2]
    assert (ledger.unjudged.n_fates[Fate.TIMELY], ledger.unjudged.n_fates[Fate.RESIDENT_UNUSED]) == (1, 1)
    # From 2000 on: prefetches of keys 2 and, as the link is free at the end, 8, and the fetch of key 7, a byte each.
    # Key 7 is there 110 ns after 3000, and is served 2 ns later.
    assert result.bytes_moved == [[1, 2, 0]]
    assert result.end_ns == 1112
    assert ledger.windows()["first_access"].tolist() == [2]
    assert ledger.questions.n_asked == 2
    assert sorted(sink.columns("prefetches")["access"].tolist()) == [2, 3]
    assert sink.columns("inferences")["access"].tolist() == [0, 1, 2, 3]


def test_a_block_that_is_larger_than_a_tier_passes_by(make: Any) -> None:
    # Tier 0 holds 3 bytes, tier 1 holds 9. Key 1 has 4: it is kept in tier 1 alone, pushes nothing out of tier 0, and
    # is one hop away the second time (100 + 40 + 1, and 5 ns of service); key 0 is a hit.
    trace = workload([0, 1, 1, 0], size_bytes=[1, 4, 4, 1], time_ns=[0, 1000, 2000, 3000])
    rows, ledger, _ = run(make, system(3, lower=[9]), trace)
    found = [(outcome, latency) for outcome, _, latency, _, _ in rows]
    assert found == [(MISS, 223), (MISS, 286), (MISS, 146), (HIT, 2)]
    assert ledger.n_bypassed == 2


def test_what_passes_by_is_not_prefetched_and_its_writes_are_written_down(make: Any) -> None:
    # Nobody can hold 4 bytes: key 1 is written, which reaches the origin, and its prefetch is turned down.
    trace = workload([1, 5], op=[1, 0], size_bytes=[4, 4], time_ns=[0, 5000])
    ledger, arrivals = books(ListSink()), Open.model_validate({"kind": "open"})
    made = make(system(3, lower=[3]), arrivals, trace, ScriptedPolicy([1], 99), FREE, ledger)
    assert [moved[2] for moved in made.run().bytes_moved] == [4, 4]
    assert (ledger.n_rejected["rejected_too_large"], ledger.n_issued, ledger.n_bypassed) == (2, 0, 2)


# -- R41: prefixes ---------------------------------------------------------------------------------------------------
COMPUTED_IN_TIER_0 = {"kind": "compute", "per_mib": "0 ns", "call": "30 ns", "enters": "first"}
"""30 ns a block, one at a time."""


def run_prefixes(make: Any, machine: System, trace: Any, *, reuse: bool = True) -> tuple[Any, Any]:
    sink = ListSink()
    ledger, arrivals = books(sink), Open.model_validate({"kind": "open"})
    made = make(machine, arrivals, trace, NonePolicy(), FREE, ledger, prefix_reuse=reuse)
    made.run()
    return [(r["outcome"], r["latency_ns"], r["queue_ns"], r["transfer_ns"]) for r in sink.accesses()], ledger


def test_what_lies_behind_a_missing_block_is_computed_again(make: Any) -> None:
    # Of the second request key 9 is missing; keys 1 and 2 are in tier 0, and are computed after it, one by one. Of the
    # third nothing is missing, nor of the fourth, whose number is the second's.
    trace = workload([1, 2, 9, 1, 2, 1, 2, 2, 9], request=[0, 0, 1, 1, 1, 2, 2, 1, 1],
                     time_ns=[0, 0, 1000, 1000, 1000, 2000, 2000, 3000, 3000])  # fmt: skip
    rows, ledger = run_prefixes(make, system(9, origin=COMPUTED_IN_TIER_0), trace)
    again = [(MISS, 32, 0, 30), (HIT, 62, 30, 30), (HIT, 92, 60, 30)]
    assert rows == [(MISS, 32, 0, 30), (MISS, 62, 30, 30), *again, *[(HIT, 2, 0, 0)] * 4]
    assert ledger.n_hits_behind == 2
    rows, ledger = run_prefixes(make, system(9, origin=COMPUTED_IN_TIER_0), trace, reuse=False)
    assert rows[3:] == [(HIT, 2, 0, 0)] * 6
    assert ledger.n_hits_behind == 0


def test_what_lies_behind_a_missing_block_is_not_fetched(make: Any) -> None:
    # Key 2 has pushed key 1 down to tier 1, from where it would take 111. It is computed with key 8, which is missing;
    # the copy that was written down is gone, so that it is written down once more when key 3 pushes it out.
    machine = system(1, lower=[9], origin=COMPUTED_IN_TIER_0)
    trace = workload([1, 2, 8, 1, 3, 3], request=[0, 1, 2, 2, 3, 4], time_ns=[0, 1000, 2000, 2000, 3000, 4000])
    rows, ledger = run_prefixes(make, machine, trace)
    assert rows[2:4] == [(MISS, 32, 0, 30), (MISS, 62, 30, 30)]
    assert ledger.bytes_asked[0] == [0, 0, 4]
    rows, ledger = run_prefixes(make, machine, trace, reuse=False)
    assert rows[3] == (MISS, 113, 0, 111)


def test_a_write_is_neither_missing_nor_behind(make: Any) -> None:
    trace = workload([1, 7, 1, 8, 1], request=[0, 1, 1, 2, 2], op=[0, 1, 0, 0, 1],
                     time_ns=[0, 1000, 1000, 2000, 2000])  # fmt: skip
    rows, ledger = run_prefixes(make, system(9, origin=COMPUTED_IN_TIER_0), trace)
    assert [row[1] for row in rows] == [32, 2, 2, 32, 2]
    assert ledger.n_hits_behind == 0


def test_a_store_has_every_block_so_that_prefixes_are_counted_alone(make: Any) -> None:
    trace = workload([1, 9, 1], request=[0, 1, 1], time_ns=[0, 1000, 1000])
    rows, ledger = run_prefixes(make, system(9), trace)
    assert rows[2] == (HIT, 2, 0, 0)
    assert ledger.n_hits_behind == 1


# -- R40: what waits to be written down ------------------------------------------------------------------------------
def bounded(machine: System, *limits: dict[str, Any], calls: tuple[int, ...] = ()) -> System:
    """``write_back`` of each tier, and the call of each link in ns."""
    raw = machine.model_dump(mode="json")
    for tier, limit in zip(raw["tiers"], limits, strict=True):
        tier["write_back"] = limit
    for link, call in zip(raw["links"], calls, strict=False):
        link["call"] = f"{call} ns"
    return System.model_validate(raw)


@pytest.mark.parametrize("limit", [{"blocks": 1}, {"bytes": "1 B"}])
def test_a_write_waits_where_too_much_is_to_be_written_down(make: Any, limit: dict[str, Any]) -> None:
    # One block fits. Key 2 pushes out key 1, which is written down from 10 to 121; keys 3 and 4 come in one by one
    # after that, at 121 and 232. Key 4 is written a second time meanwhile, which waits behind the first and is a hit.
    trace = workload([1, 2, 3, 4, 4], op=[1] * 5, time_ns=[0, 10, 20, 30, 40])
    rows, ledger, _ = run(make, bounded(system(1), limit), trace)
    assert rows == [(MISS, 0, 2, 0, 0), (MISS, 10, 2, 0, 0), (MISS, 20, 103, 101, 0), (MISS, 30, 204, 202, 0),
                    (HIT, 40, 305, 303, 0)]  # fmt: skip
    # Of key 3, evicted at 232, which lands at 343, when the last access is let in.
    assert ledger.write_back_queued == [(1, 0)]


def test_without_a_bound_nothing_waits(make: Any) -> None:
    trace = workload([1, 2, 3, 4], op=[1] * 4, time_ns=[0, 10, 20, 30])
    rows, ledger, _ = run(make, system(1), trace)
    assert [row[2] for row in rows] == [2] * 4
    assert ledger.write_back_queued == [(3, 3)]


def test_a_fetched_block_waits_where_too_much_is_to_be_written_down(make: Any) -> None:
    # Key 3 is fetched from 5 to 115, key 1 written down from 10 to 121 beside it. So key 3 comes in at 121; who asks
    # for it at 118 waits with it.
    trace = workload([1, 3, 2, 3], op=[1, 0, 1, 0], time_ns=[0, 5, 10, 118])
    rows, ledger, _ = run(make, bounded(with_channels(system(1), 2), {"blocks": 1}), trace)
    assert rows == [(MISS, 0, 2, 0, 0), (MISS, 5, 118, 6, 110), (MISS, 10, 2, 0, 0), (MERGED, 118, 5, 3, 0)]
    assert (ledger.link_queue_ns, ledger.link_transfer_ns) == ([9], [110])


def test_what_a_lower_tier_cannot_take_holds_its_place_above(make: Any) -> None:
    # From tier 1 down a call takes 311. Key 1 lands there at 121, and key 2 at 232, which pushes out key 1 until 543.
    # Key 3, pushed out at 232, is there at 343 and waits until 543; so key 5 comes into tier 0 then, and key 6 at 854.
    machine = bounded(system(1, lower=[1]), {"blocks": 1}, {"blocks": 1}, calls=(100, 300))
    trace = workload([1, 2, 3, 4, 5, 6], op=[1] * 6, time_ns=[0, 10, 20, 30, 40, 50])
    rows, ledger, _ = run(make, machine, trace)
    assert [row[2] for row in rows] == [2, 2, 103, 204, 505, 806]
    assert [most for most, _ in ledger.write_back_queued] == [1, 1]


# -- R2: ties -------------------------------------------------------------------------------------------------------
def test_a_demand_that_arrives_when_a_channel_is_freed_goes_first(make: Any) -> None:
    # Hops take 10 us. Key 1 and the prefetches of 2 and 51 reach link t0_t1 at 10 us; key 50 is written, so that key 30
    # is asked for at 10 us. At 20 us key 1 leaves the link, and key 30 arrives at it: it goes before the prefetches.
    fast = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    machine = System.model_validate(
        {
            "tiers": [{"name": "t0", "capacity": "1 MB", **fast}, {"name": "t1", "capacity": "1 MB", **fast}],
            "links": [{"call": "9999 ns", **fast}, {"call": "9999 ns", **fast, "channels": 4}],
            "origin": {"kind": "store"},
        }
    )
    trace = workload([1, 50, 30], size_bytes=[1000] * 3, stream=[0, 1, 1], op=[0, 1, 0])
    rows, _, _ = run(make, machine, trace, NextNPolicy(1, "miss"), think="9999 ns")
    # 1 us a thousand bytes is 1 ns: a hop takes 9999 + 1, service 1.
    assert [row[2] for row in rows] == [20_001, 1, 20_001]
    assert [row[3] for row in rows] == [0, 0, 0]


def test_a_demand_that_arrives_when_a_block_lands_goes_before_the_write_back_that_this_makes(make: Any) -> None:
    # Key 9 is written into tier 0, which holds one block. Key 0 lands there at 221 and pushes it out; at 221 key 1,
    # asked for at 111, has come up from the origin and needs the one channel. It takes it: 111 + 110 + 111 ns.
    machine = with_channels(system(1, lower=[4]), 1, 2)
    rows, _, _ = run(make, machine, workload([9, 0, 1], op=[1, 0, 0], time_ns=[0, 0, 111]))
    assert rows[1:] == [(MISS, 0, 223, 0, 221), (MISS, 111, 223, 0, 221)]


def test_streams_of_one_instant_issue_by_their_numbers(make: Any) -> None:
    rows, _, _ = run(make, system(4), workload([0, 1, 2], stream=[2, 0, 1]), think="0 ns")
    assert [row[3] for row in rows] == [220, 0, 110]


def test_an_access_comes_after_the_choices_of_its_instant(make: Any) -> None:
    # At 110 the channel is freed and takes the prefetch of 1; key 9, asked for at 110, waits for it.
    trace = workload([0, 9], time_ns=[0, 110])
    rows, _, _ = run(make, system(9), trace, NextNPolicy(1, "miss"))
    assert rows[1] == (MISS, 110, 222, 110, 110)


# -- R5, R26, R27: what may not be lost -----------------------------------------------------------------------------
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(cases())
def test_no_write_is_lost(case: Case) -> None:
    model = Model(
        case.system, case.arrivals, case.workload(), case.policy(), case.charge(), books(), seed=3,
        prefix_reuse=case.prefix_reuse,
    )  # fmt: skip
    unsaved: set[int] = set()

    def landed(transfer: Any) -> None:
        if transfer.level == model.memory.origin and not transfer.is_obsolete:
            unsaved.discard(transfer.key)

    model.on("written", unsaved.add)
    model.on("landed", landed)
    model.run()
    for key in unsaved:
        copies = [tier.blocks[key].dirty for tier in model.memory.tiers if key in tier.blocks]
        copies += [model.flight[key].dirty] if key in model.flight else []
        assert WRITTEN in copies, f"the last write to {key} is lost"


def test_the_lowest_copy_answers_for_what_a_tier_below_evicts(make: Any) -> None:
    # Tiers of 1, 1, 2 and 1 blocks. Key 100 is written, and has sunk to tier 3 when it is read at 5000: copies enter
    # tier 2 at 5111 and tier 1 at 5222. At 5280 key 20 pushes it out of tier 3. Tier 1 soon loses its copy, tier 2 has
    # one for longer: that one answers for what was written, which reaches the origin.
    keys = [100, 1, 2, 3, 4, 100, 20, *range(21, 28)]
    times = [0, 1000, 2000, 3000, 4000, 5000, 5170, *range(6000, 13_000, 1000)]
    trace = workload(keys, op=[1] + [0] * 13, time_ns=times)
    _, ledger, _ = run(make, system(1, lower=[1, 2, 1], channels=3), trace)
    assert [write_backs for _, _, write_backs in ledger.bytes_asked] == [1, 1, 2, 1]


def test_an_exclusive_source_holds_its_block_until_it_has_landed() -> None:
    # Key 0 sinks to tier 1 and then to tier 2, as 1 and 2 come; at 5000 it starts its way up, two hops of 111 ns.
    machine = system(1, lower=[1, 2], placement="exclusive", clean_evictions="demote")
    trace = workload([0, 1, 2, 0], time_ns=[0, 1000, 3000, 5000])
    arrivals = Open.model_validate({"kind": "open"})
    model = Model(machine, arrivals, trace, NonePolicy(), FREE, books())
    found = []

    def look() -> Any:
        for time in (4999, 5001, 5150, 5221, 5223):
            yield model.env.timeout(time - model.now)
            found.append([name for name, tier in model.tiers.items() if 0 in tier.blocks])

    model.on("served", lambda access: access.index == 3 and found.append("served"))
    model.env.process(look())
    model.run()
    assert found == [["tier2"]] * 4 + ["served"]


# -- R22 to R24, R29, R31: what one may read otherwise --------------------------------------------------------------
def test_a_hit_after_a_write_back_is_a_hit(make: Any) -> None:
    # Key 0 is written; 1 lands at 221 and pushes it out: it is on its way down until 332. At 250 one stream writes it,
    # another reads it: both wait 82 ns, the first allocates, the second finds it.
    trace = workload([0, 1, 0, 0], op=[1, 0, 1, 0], stream=[0, 0, 1, 2], time_ns=[0, 0, 250, 250])
    rows, _, _ = run(make, system(1, lower=[4]), trace)
    assert rows[1:] == [(MISS, 0, 223, 0, 221), (MISS, 250, 84, 82, 0), (HIT, 250, 84, 82, 0)]


def test_what_starts_at_once_does_not_queue(make: Any) -> None:
    # Three channels; the answer is there at 200, when all are free: three of four blocks start, one waits, as many may.
    policy = ScriptedPolicy([1, 2, 3, 4, 5], 100, Trigger.MISS)
    machine = system(20, channels=3, prefetch={"queued": 1})
    _, ledger, _ = run(make, machine, workload([0, 0], time_ns=[0, 1000]), policy, fixed(200))
    assert ledger.n_issued == 4
    assert ledger.n_rejected["rejected_budget"] == 1


def test_the_budget_is_spent_to_its_last_byte(make: Any) -> None:
    machine = system(20, prefetch={"bytes": "3 B"})
    _, ledger, _ = run(make, machine, workload([0]), NextNPolicy(4, "miss"))
    assert ledger.n_issued == 3
    assert ledger.n_rejected["rejected_budget"] == 1


def test_a_prefetch_that_is_met_leaves_the_budget(make: Any) -> None:
    # At 0 the prefetch of 1 is issued; at 50 a demand meets it; at 60 the prefetch of 6 fits into a budget of one.
    machine = system(20, channels=3, prefetch={"in_flight": 1})
    trace = workload([0, 1, 5, 5], time_ns=[0, 50, 60, 1000])
    rows, ledger, _ = run(make, machine, trace, NextNPolicy(1, "miss"))
    assert [row[0] for row in rows] == [MISS, LATE, MISS, HIT]
    # After the late access 2 was wanted, when nothing was left in the budget's account but that block itself.
    assert ledger.n_issued == 2
    assert ledger.n_rejected["rejected_budget"] == 1


def test_whose_size_serves(make: Any) -> None:
    # Key 0 comes with 4 bytes: a hop of 100 + 40. Reading 1 byte of it takes 1 + 1 ns. Back from tier 1 it is 4 bytes
    # again, 100 + 40 + 1, whatever is asked for.
    machine = system(4, lower=[9])
    trace = workload([0, 0, 1, 0], size_bytes=[4, 1, 4, 1], time_ns=[0, 1000, 2000, 3000])
    rows, _, _ = run(make, machine, trace)
    assert [row[2] for row in rows] == [140 + 141 + 5, 2, 140 + 141 + 5, 141 + 2]


def test_a_prefetch_has_the_size_that_a_tier_holds(make: Any) -> None:
    # Key 1 is 4 bytes in tier 1, from where an access of 1 byte has it fetched.
    trace = workload([1, 5, 0], size_bytes=[4, 4, 1], time_ns=[0, 2000, 4000])
    _, _, sink = run(make, system(4, lower=[40]), trace, NextNPolicy(1, "miss"))
    rows = sink.columns("prefetches")
    assert rows["size_bytes"][rows["key"] == 1].tolist() == [4]


@pytest.mark.parametrize(
    ("trigger", "expected"), [(Trigger.MISS, [0, 1, 2]), (Trigger.TAGGED, [0, 1, 2, 4]), (Trigger.ACCESS, [*range(6)])]
)
def test_when_triggers_fire(make: Any, trigger: Trigger, expected: list[int]) -> None:
    # 0 misses, 1 meets the prefetch of 2 (late), 2 that demand (merged), 3 is a hit, 4 a first use, 5 a hit.
    trace = workload([0, 2, 2, 2, 3, 3], stream=[0, 1, 2, 0, 0, 0], time_ns=[0, 50, 60, 2000, 2100, 2200])

    class Once(Wishes):
        def decide(self, runs: Any) -> Any:
            decision = super().decide(runs)
            self.steps = []
            return decision

    rows, _, sink = run(make, system(20), trace, Once([2, 3], 100, trigger, 0))
    assert [row[0] for row in rows] == [MISS, LATE, MERGED, HIT, HIT_PREFETCHED, HIT]
    assert sink.columns("inferences")["access"].tolist() == expected


# -- R34, R37: the end ----------------------------------------------------------------------------------------------
def test_nothing_happens_after_the_last_access(make: Any) -> None:
    # Demand and prefetch start at 0 and end at 110; the demand, which began first, is the last access.
    _, ledger, _ = run(make, system(4, channels=2), workload([0]), NextNPolicy(1, "miss"))
    assert ledger.n_fates[Fate.IN_FLIGHT] == 1
    # One byte each has started, nothing else.
    assert ledger.bytes_asked == [[1, 1, 0]]


def test_answers_pending_at_the_end_are_in_no_sum(make: Any) -> None:
    # The first question is answered at 100, the second, put at 200, at 300. The third, taken up then, would be at 400,
    # when the last access, which joins the fetch that began at 200, has been served for 90 ns.
    policy = ScriptedPolicy([1, 2], 100, Trigger.ACCESS)
    _, ledger, sink = run(make, system(20), workload([0, 7, 7], time_ns=[0, 200, 210]), policy, fixed(100))
    rows = sink.columns("inferences")
    assert rows["status"].tolist() == [Status.ANSWERED, Status.ANSWERED, Status.PENDING_AT_END]
    assert rows["n_proposed"].tolist() == [2, 2, 0]
    assert ledger.n_proposed == 4
    # The guesses of the first two are about the second and the third access, in their one stream.
    assert rows["came_true"].tolist() == [False, False, None]
    assert ledger.questions.n_predicted == 2
    assert ledger.questions.charged.n == 2
