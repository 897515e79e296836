"""Small runs worked out by hand. Figures: service 2 ns; a hop takes 100 ns call + 10 ns for its byte (+ latency)."""

from typing import Any

import pytest

from policies.next_n import NextNPolicy
from policies.none import NonePolicy
from simulator.charge import fixed
from simulator.config import Closed, Open, System
from simulator.engine import Engine
from simulator.errors import InputError
from simulator.policy import Fate, Outcome, Status
from tests.strategies import FREE, ListSink, books, system, workload

HIT, HIT_PREFETCHED, LATE, MERGED, MISS = Outcome


def run(machine: System, trace: Any, policy: Any = None, charge: Any = FREE, think: str = "0 ns") -> tuple[Any, Any]:
    sink = ListSink()
    ledger = books(sink)
    arrivals = Closed.model_validate({"kind": "closed", "think": think})
    Engine(machine, arrivals, trace, policy or NonePolicy(), charge, ledger).run()
    rows = [(r["outcome"], r["issued_ns"], r["latency_ns"], r["queue_ns"], r["transfer_ns"]) for r in sink.accesses()]
    return rows, ledger


def test_misses_and_hits() -> None:
    # 0 misses: 110 + 2. At 112 a hit of 2. At 114 key 1 misses.
    rows, _ = run(system(2), workload([0, 0, 1]))
    assert rows == [(MISS, 0, 112, 0, 110), (HIT, 112, 2, 0, 0), (MISS, 114, 112, 0, 110)]


def test_think_time_comes_after_completion() -> None:
    rows, _ = run(system(2), workload([0, 0]), think="5 ns")
    assert rows == [(MISS, 0, 112, 0, 110), (HIT, 117, 2, 0, 0)]


def test_second_stream_merges() -> None:
    # Stream 1 asks for the same block at the same time: it waits for the same transfer.
    rows, _ = run(system(2), workload([0, 0], stream=[0, 1]))
    assert rows == [(MISS, 0, 112, 0, 110), (MERGED, 0, 112, 0, 110)]


def test_two_streams_queue_for_one_channel() -> None:
    rows, _ = run(system(4), workload([0, 1], stream=[0, 1]))
    assert rows == [(MISS, 0, 112, 0, 110), (MISS, 0, 222, 110, 110)]


def test_two_channels_do_not_queue() -> None:
    rows, _ = run(system(4, channels=2), workload([0, 1], stream=[0, 1]))
    assert rows == [(MISS, 0, 112, 0, 110), (MISS, 0, 112, 0, 110)]


def test_a_shared_call() -> None:
    # 0 goes alone. 1 and 2 queue until 110 and share one call: 100 + 2 bytes * 10.
    rows, _ = run(system(4, blocks_per_call=2), workload([0, 1, 2], stream=[0, 1, 2]))
    assert rows == [(MISS, 0, 112, 0, 110), (MISS, 0, 232, 110, 120), (MISS, 0, 232, 110, 120)]


def test_a_request_completes_with_its_last_block() -> None:
    # Both blocks are issued at 0; the next request starts when the second has been served, at 222.
    rows, _ = run(system(4), workload([0, 1, 0], request=[0, 0, 1]))
    assert rows == [(MISS, 0, 112, 0, 110), (MISS, 0, 222, 110, 110), (HIT, 222, 2, 0, 0)]


def test_a_request_of_hits_ends_with_its_slowest() -> None:
    # Blocks of 4 and 1 bytes are there at 145 and 257. Hits of 5 and 2 ns: the next request is issued at 262.
    sizes = [4, 1, 4, 1, 1]
    rows, _ = run(system(5), workload([0, 1, 0, 1, 1], size_bytes=sizes, request=[0, 1, 2, 2, 3]))
    assert rows[2:] == [(HIT, 257, 5, 0, 0), (HIT, 257, 2, 0, 0), (HIT, 262, 2, 0, 0)]


def test_more_wait_for_one_block_than_there_is_room_for() -> None:
    # Rows of all of them are written when it lands; at first there is room for 2,048.
    rows, _ = run(system(2), workload([0] * 3000, stream=range(3000)))
    assert rows == [(MISS, 0, 112, 0, 110)] + [(MERGED, 0, 112, 0, 110)] * 2999


def test_timely_prefetch() -> None:
    # The miss on 0 proposes 1, which queues behind it and lands at 220. With 200 ns to think, 1 is asked for at 312.
    rows, ledger = run(system(4), workload([0, 1]), NextNPolicy(1), think="200 ns")
    assert rows == [(MISS, 0, 112, 0, 110), (HIT_PREFETCHED, 312, 2, 0, 0)]
    assert ledger.n_fates[Fate.TIMELY] == 1
    assert ledger.slack.mean() == 312 - 220


def test_late_prefetch_shows_only_the_rest() -> None:
    # 1 is in the link from 110 to 220; it is asked for at 112, so 108 ns of transfer are left.
    rows, ledger = run(system(4), workload([0, 1]), NextNPolicy(1, "miss"))
    assert rows == [(MISS, 0, 112, 0, 110), (LATE, 112, 110, 0, 108)]
    assert ledger.n_fates[Fate.LATE] == 1


def test_a_demand_overtakes_queued_prefetches() -> None:
    # At 0: 0 in service; 1, 2, 3 queue as prefetches. 1 starts at 110. At 112 key 9 is asked for and goes before 2, 3.
    rows, _ = run(system(9), workload([0, 9]), NextNPolicy(3, "miss"))
    assert rows == [(MISS, 0, 112, 0, 110), (MISS, 112, 220, 108, 110)]


def test_promotion() -> None:
    # Key 3 is the last of the queued prefetches when it is asked for at 112; promoted, it starts at 220 and not at 330.
    rows, _ = run(system(9), workload([0, 3]), NextNPolicy(3, "miss"))
    assert rows == [(MISS, 0, 112, 0, 110), (LATE, 112, 220, 108, 110)]


def test_inference_delays_prefetches_when_async() -> None:
    # The answer is there at 300; 1 lands at 410. It is asked for at 312: 98 ns are left.
    rows, _ = run(system(4), workload([0, 1]), NextNPolicy(1), charge=fixed(300), think="200 ns")
    assert rows[1] == (LATE, 312, 100, 0, 98)


def test_the_access_waits_when_sync() -> None:
    sink = ListSink()
    ledger = books(sink)
    machine = system(4, inference={"mode": "sync"})
    arrivals = Closed.model_validate({"kind": "closed"})
    Engine(machine, arrivals, workload([0, 5]), NextNPolicy(1, "access"), fixed(300), ledger).run()
    first = sink.accesses()[0]
    assert (first["inference_ns"], first["transfer_ns"], first["latency_ns"]) == (300, 110, 412)


def test_write_allocates_without_a_fetch_and_is_written_back() -> None:
    # The write of 0 is served at once. Key 1 evicts it at 112: it is written back, so 0 is fetched again later.
    rows, ledger = run(system(1), workload([0, 1, 0], op=[1, 0, 0]))
    assert rows[0] == (MISS, 0, 2, 0, 0)
    assert rows[1] == (MISS, 2, 112, 0, 110)
    # The write-back of 0 is on the link from 112 (1 ns latency of tier 0 + 110) to 223. The read of 0 comes at 114,
    # waits 109, then fetches for 110.
    assert rows[2] == (MISS, 114, 109 + 110 + 2, 109, 110)
    assert ledger.bytes_asked == [[2, 0, 1]]


def test_two_tiers_inclusive() -> None:
    # A miss: origin to tier 1, tier 1 to tier 0 (its latency 1). Key 0 is still in tier 1 when tier 0 has lost it.
    rows, _ = run(system(1, lower=[4]), workload([0, 1, 0]))
    assert rows == [(MISS, 0, 223, 0, 221), (MISS, 223, 223, 0, 221), (MISS, 446, 113, 0, 111)]


def test_exclusive_passes_through() -> None:
    # Nothing stays in tier 1 on the way up, and a clean victim is dropped: 0 comes from the origin again.
    rows, _ = run(system(1, lower=[4], placement="exclusive"), workload([0, 1, 0]))
    assert rows[2] == (MISS, 446, 223, 0, 221)


def test_exclusive_with_demotion() -> None:
    # Key 0 is evicted at 444 and demoted (1 + 100 + 10), till 555. Read at 446, it waits 109, then takes one hop.
    rows, _ = run(system(1, lower=[4], placement="exclusive", clean_evictions="demote"), workload([0, 1, 0]))
    assert rows[2] == (MISS, 446, 109 + 111 + 2, 109, 111)


def test_compute_origin_knows_no_unseen_block() -> None:
    machine = system(4, origin={"kind": "compute", "per_mib": "1 ms"})
    _, ledger = run(machine, workload([0, 1]), NextNPolicy(1))
    assert ledger.n_rejected["rejected_unknown"] == 2
    assert ledger.n_issued == 0


def test_compute_in_place_and_written_down() -> None:
    # 0 takes ceil(1048576 ns / 2**20) = 1 ns to make. Key 1 evicts it; it is written down to tier 1 and found there.
    machine = system(1, lower=[4], origin={"kind": "compute", "per_mib": "1048576 ns", "enters": "first"})
    rows, _ = run(machine, workload([0, 1, 0]), think="500 ns")
    assert rows[0] == (MISS, 0, 3, 0, 1)
    assert rows[2][2:] == (113, 0, 111)


def test_what_a_late_prefetch_of_a_block_made_in_tier_0_saved() -> None:
    # A block takes 100 ns to make. At 204 key 0 is asked for; the prefetch of 1, which is known, is made from 304 to
    # 404. It is asked for at 306 and would have been there at 406: no link is on its way.
    machine = system(1, origin={"kind": "compute", "per_mib": "104857600 ns", "enters": "first"})
    rows, ledger = run(machine, workload([1, 5, 0, 1]), NextNPolicy(1, "miss"))
    assert rows[3] == (LATE, 306, 100, 0, 98)
    assert ledger.saved.values.tolist() == [2]


def test_pollution() -> None:
    # Tier of 2: 0, 1 resident, the prefetch of 11 (after the miss of 10) evicts one; its next miss is pollution.
    _, ledger = run(system(2), workload([0, 1, 10, 1]), NextNPolicy(1, "miss"), think="1 us")
    assert ledger.n_pollution == 1


def test_gpu_slowdown() -> None:
    # An inference runs from 0 to 1000: service takes 2 * 1.5 = 3 ns.
    rows, _ = run(system(4, inference={"gpu_slowdown": 1.5}), workload([0, 0]), NextNPolicy(1, "access"), fixed(1000))
    assert rows == [(MISS, 0, 113, 0, 110), (HIT, 113, 3, 0, 0)]


def test_queue_limit_drops_questions() -> None:
    sink = ListSink()
    ledger = books(sink)
    machine = system(9, inference={"queue": "fifo", "queue_limit": 1})
    arrivals = Closed.model_validate({"kind": "closed"})
    engine = Engine(machine, arrivals, workload([0, 1, 2, 3]), NextNPolicy(1, "access"), fixed(10_000), ledger)
    engine.run()
    assert sink.columns("inferences")["status"].tolist() == [
        Status.PENDING_AT_END, Status.PENDING_AT_END, Status.QUEUE_FULL, Status.QUEUE_FULL,
    ]  # fmt: skip


def test_stale_answers_are_dropped() -> None:
    machine = system(9, inference={"stale_after": "50 ns"})
    _, ledger = run(machine, workload([0, 5, 9]), NextNPolicy(1), fixed(60))
    assert ledger.n_rejected["dropped_stale"] == ledger.n_proposed > 0


def test_weights_shrink_tier_0() -> None:
    policy = NonePolicy()
    policy.footprint_bytes = 3  # type: ignore[misc]
    _, ledger = run(system(4), workload([0, 1, 0, 1]), policy)
    assert ledger.n_outcomes[MISS] == 4
    policy.footprint_bytes = 4  # type: ignore[misc]
    with pytest.raises(InputError, match="larger tier"):
        run(system(4), workload([0]), policy)


def test_a_written_block_outlives_the_copy_that_it_left_on_the_way_up() -> None:
    # Tiers of 1, 2 and 1 blocks. Key 100 is written, sinks to tier 2 and is read again; while it travels up, tier 2
    # evicts it. Its clean-looking copy in tier 1 must answer for it: its byte reaches the origin in the end.
    machine = system(1, lower=[2, 1], channels=2)
    times = [0, 1000, 2000, 3000, 3950, 4000, 5000, 6000]
    trace = workload([100, 1, 2, 3, 4, 100, 5, 6], op=[1, 0, 0, 0, 0, 0, 0, 0], time_ns=times)
    engine = Engine(machine, Open.model_validate({"kind": "open"}), trace, NonePolicy(), fixed(0), books(ListSink()))
    assert engine.run().bytes_moved[2][2] == 1


def test_a_lower_tier_knows_what_was_read_from_it() -> None:
    # Tier 1 holds 0 and 1, 0 the older; 0 is read from it, so LRU evicts 1 for 2, and the next read of 0 is one hop.
    # FIFO evicts 0.
    for eviction, hops in (("lru", 1), ("fifo", 2)):
        rows, _ = run(system(1, lower=[2], eviction=eviction), workload([0, 1, 0, 2, 0]))
        assert rows[-1][4] == hops * 110 + 1
