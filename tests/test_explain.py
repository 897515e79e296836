"""Why a prefetch was late, worked by hand, and whether what is said to have helped would have.

Figures of ``strategies.system``: a hop takes 100 ns call + 10 ns for its byte, service 2 ns.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from experiments.explained.accesses import access_story, worst
from experiments.explained.prefetches import Lateness, Part, lateness, latest, prefetch_story
from experiments.explained.words import of_access, of_prefetch
from policies.next_n import NextNPolicy
from simulator.charge import fixed
from simulator.config import Open
from simulator.engine import Engine
from tests.cases import Case, cases
from tests.strategies import system, workload
from tests.timelines import MemoryRows, rows_of_case, rows_of_run

OPEN = Open.model_validate({"kind": "open"})
KEYS, TIMES, STREAMS = [5, 10, 20, 21], [0, 1000, 1010, 1400], [1, 0, 1, 1]


def ran(times: list[int] = TIMES, think_ns: int = 30, **machine: Any) -> MemoryRows:
    """Each miss asks for the next key, which takes ``think_ns``; the first access is a write, which fetches nothing."""
    trace = workload(KEYS, stream=STREAMS, time_ns=times, op=[1, 0, 0, 0])
    return rows_of_run(Engine, system(9, **machine), OPEN, trace, NextNPolicy(1, "miss"), fixed(think_ns))


def outcome(rows: MemoryRows, access: int) -> str:
    return str(rows.access(access)["outcome"])


@pytest.fixture(scope="module")
def queued() -> MemoryRows:
    """The link has one channel.

    At 1000 access 1 misses 10: on the link until 1110. Its question runs until 1030: prefetch 1, of 11, queues.
    At 1010 access 2 misses 20, which goes before that: 1110 to 1220. Its question waits 20 for the server, runs from
    1030 to 1060, and wants 21: prefetch 2 queues from 1060 on. Prefetch 1 is on the link from 1220 to 1330, prefetch 2
    from 1330 to 1440. Access 3 asks for 21 at 1400: it is 40 late. Prefetch 0, of 6, was over long before.
    """
    return ran()


def test_a_late_prefetch(queued: MemoryRows) -> None:
    story = prefetch_story(queued, 2)
    assert (story.key, story.fate, story.access, story.stream, story.source) == (21, "late", 2, 1, "origin")
    assert (story.asked_ns, story.waited_ns, story.ran_ns, story.issued_ns) == (1010, 20, 30, 1060)
    assert story.hops is not None
    (hop,) = story.hops
    assert (hop.link, hop.channel, hop.queued_ns, hop.started_ns, hop.ended_ns) == ("tier0_origin", 0, 1060, 1330, 1440)
    assert [(o.cause, o.key, o.access, o.prefetch) for o in hop.under_way] == [("miss", 10, 1, None)]
    assert [(o.cause, o.key, o.access, o.prefetch) for o in hop.went_first] == [
        ("miss", 20, 2, None), ("prefetch", 11, None, 1),
    ]  # fmt: skip
    assert hop.freed_by == hop.went_first[1]
    assert (story.filled_ns, story.first_used_access, story.first_used_ns, story.slack_ns) == (1440, 3, 1400, -40)
    # 20 + 30 + 270 + 110 = 1440 - 1010.
    assert sum(part.ns for part in story.parts) == 430
    remedy = story.remedy
    assert remedy is not None
    assert (remedy.late_ns, remedy.lead_ns, remedy.needs_ns) == (40, 390, 110)
    # Neither 20 for the server nor 30 for the inference would have been enough.
    assert remedy.alone == (Part("waiting for tier0_origin", 270, False),)
    assert remedy.together == ()
    # Until 970 stream 1 had issued access 0; between it and access 2, that one included, one.
    assert (remedy.ask_by, remedy.n_earlier) == (0, 1)
    assert latest(queued, 5) == [2]
    # Prefetches 0 and 1 were of no use.
    assert lateness(queued) == Lateness(1, 1, 40, 390, 110, 0)


def test_it_in_words(queued: MemoryRows) -> None:
    assert of_prefetch(prefetch_story(queued, 2)) == [
        "prefetch 2 of key 21 (1 B from origin, confidence 1): late by 40 ns",
        "1.01 us: access 2 of stream 1 asked; the question waited 20 ns for the inference server, was answered after "
        "30 ns; sent for at 1.06 us",
        "1.06 us: tier0_origin: queued 270 ns behind the miss of key 10 for access 1 under way and 1 miss, 1 prefetch "
        "that went first (prefetch 1 of key 11 made room), then on channel 0 for 110 ns",
        "1.44 us: in the first tier; access 3 asked for it at 1.4 us, met it on its way and waited 40 ns",
        "for a hit it had to be asked 40 ns earlier, all else alike: at access 0 or before (1 access of that stream "
        "earlier than 2)",
        "or come without waiting for tier0_origin (270 ns)",
    ]


def test_what_would_have_helped_does(queued: MemoryRows) -> None:
    """Each remedy as a run of its own: the link free, or all asked 40 ns earlier; and 39 are not enough."""
    assert outcome(queued, 3) == "late"
    assert outcome(ran(channels=3), 3) == "hit_prefetched"
    # Without the wait for the server or the inference it queues as long, less what it came earlier.
    assert outcome(ran(inference={"servers": 2}), 3) == "late"
    assert outcome(ran(think_ns=0), 3) == "late"
    for earlier, found in ((40, "hit_prefetched"), (39, "late")):
        assert outcome(ran([0, 1000 - earlier, 1010 - earlier, 1400]), 3) == found


def test_waits_that_are_only_together_too_long() -> None:
    """Nothing queues. Asked at 1010: 20 for the server, 30, 110 to 1170 on the way; wanted at 1130, it is 40 late."""
    rows = ran([0, 1000, 1010, 1130], channels=4)
    remedy = prefetch_story(rows, 2).remedy
    assert remedy is not None
    assert remedy.alone == ()
    assert remedy.together == (
        Part("the inference", 30, False), Part("waiting for the inference server", 20, False),
    )  # fmt: skip
    assert outcome(ran([0, 1000, 1010, 1130], 0, channels=4), 3) == "hit_prefetched"
    # Wanted at 1140 it is 30 late: as long as the inference. At 1070 it is 100 late, and the waits are 50.
    remedy = prefetch_story(ran([0, 1000, 1010, 1140], channels=4), 2).remedy
    assert remedy is not None
    assert (remedy.alone, remedy.together) == ((Part("the inference", 30, False),), ())
    remedy = prefetch_story(ran([0, 1000, 1010, 1070], channels=4), 2).remedy
    assert remedy is not None
    assert (remedy.late_ns, remedy.alone, remedy.together) == (100, (), ())


def test_one_that_only_asking_earlier_helps() -> None:
    """Asked at 1010 and there at once, it is on the link from then until 1120; wanted at 1019, 9 ns after."""
    rows = ran([0, 1000, 1010, 1019], 0, channels=4)
    remedy = prefetch_story(rows, 2).remedy
    assert remedy is not None
    assert (remedy.late_ns, remedy.lead_ns, remedy.needs_ns, remedy.alone, remedy.together) == (101, 9, 110, (), ())
    assert lateness(rows) == Lateness(1, 1, 101, 9, 110, 1)
    assert of_prefetch(prefetch_story(rows, 2))[-1] == (
        "nothing else would have done: the transfers alone take 110 ns, and it was asked 9 ns before its use"
    )


def test_a_miss(queued: MemoryRows) -> None:
    story = access_story(queued, 2)
    assert (story.outcome, story.latency_ns, story.queue_ns, story.transfer_ns) == ("miss", 212, 100, 110)
    assert story.way is not None
    (hop,) = story.way
    assert (hop.waited_ns, hop.moved_ns, hop.n_in_call) == (100, 110, 1)
    assert [(o.cause, o.key) for o in (*hop.under_way, *hop.went_first)] == [("miss", 10)]
    # It needs 110: sent for until 900, and stream 1 had issued nothing since access 0.
    assert (story.needs_ns, story.ask_by, story.n_between) == (110, 0, 0)
    assert of_access(story) == [
        "access 2 (read of key 20, stream 1): 212 ns, a miss (serving 2 ns, queueing 100 ns, transfer 110 ns)",
        "1.01 us: issued",
        "1.01 us: tier0_origin: queued 100 ns behind the miss of key 10 for access 1 under way, then on channel 0 for "
        "110 ns",
        "fetching it takes 110 ns with nothing in its way: for a hit it had to be sent for at access 0 or before "
        "(0 of its stream between)",
    ]
    assert worst(queued, 2) == [2, 1]


def test_an_access_that_met_its_prefetch_has_its_story(queued: MemoryRows) -> None:
    lines = of_access(access_story(queued, 3))
    assert (
        lines[0]
        == "access 3 (read of key 21, stream 1): 42 ns, met its prefetch on the way (serving 2 ns, transfer 40 ns)"
    )
    assert lines[2:] == of_prefetch(prefetch_story(queued, 2))


def test_a_write_fetches_nothing(queued: MemoryRows) -> None:
    story = access_story(queued, 0)
    assert (story.way, story.needs_ns, story.ask_by) == ((), None, None)
    assert of_access(story)[0] == "access 0 (write of key 5, stream 1): 2 ns, a write that allocates (serving 2 ns)"


def of_keys(keys: list[int], times: list[int], capacity: int = 9, think_ns: int = 0, **others: Any) -> MemoryRows:
    """A stream each for the first and the others."""
    columns = {name: others.pop(name) for name in ("op", "stream") if name in others}
    trace = workload(keys, time_ns=times, **columns)
    machine = system(capacity, **others)
    return rows_of_run(Engine, machine, OPEN, trace, NextNPolicy(1, "miss"), fixed(think_ns))


def test_what_is_on_another_link_is_not_in_the_way() -> None:
    """10 is on the lower link until 110, 20 until 220, and 30 from then on; 10 is on the upper one from 110 to 221."""
    rows = of_keys([10, 20, 30], [0, 5, 7], lower=[9])
    way = access_story(rows, 2).way
    assert way is not None
    assert (way[0].link, way[0].queued_ns, way[0].started_ns) == ("tier1_origin", 7, 220)
    assert ([o.key for o in way[0].under_way], [o.key for o in way[0].went_first]) == ([10], [20])


def test_the_latest_comes_first() -> None:
    """11 is met at 5 and there at 220: 215 late. 51 is met at 1050 and there at 1220: 170."""
    rows = of_keys([10, 11, 50, 51], [0, 5, 1000, 1050])
    assert [(n, prefetch_story(rows, n).slack_ns) for n in latest(rows, 2)] == [(0, -215), (2, -170)]


def test_who_joins_what_others_sent_for() -> None:
    rows = of_keys([7, 7], [0, 50], stream=[0, 1])
    lines = of_access(access_story(rows, 1))
    assert lines[:2] == [
        "access 1 (read of key 7, stream 1): 62 ns, joined what others had sent for (serving 2 ns, transfer 60 ns)",
        "50 ns: issued; found the miss of key 7 for access 0 under way, until 110 ns on that link",
    ]


def test_a_block_that_prefetching_has_pushed_out() -> None:
    """Of two: 0, then 1, which was prefetched; 10 pushes out 0, and 11, which nobody wants, 1: without it, a hit."""
    rows = of_keys([0, 1, 10, 1], [0, 1000, 2000, 3000], 2)
    lines = of_access(access_story(rows, 3))
    assert "without prefetching it would have been a hit: what was prefetched has pushed the block out" in lines
    assert not any("had brought the block" in line for line in lines)


def test_a_block_that_was_prefetched_too_early() -> None:
    """11 comes at 220; 50 misses at 1000 and is there at 1110, and 51 pushes 11 out at 1220, before it is wanted."""
    rows = of_keys([10, 50, 11], [0, 1000, 2000], 2)
    story, miss = prefetch_story(rows, 0), access_story(rows, 2)
    assert (story.filled_ns, story.evicted_ns, story.wanted_access, story.wanted_ns) == (220, 1220, 2, 2000)
    assert of_prefetch(story)[-1] == (
        "220 ns: in the first tier; evicted 1 us later, unused; access 2 asked for it 780 ns after that, so long it "
        "should have stayed"
    )
    assert "prefetch 0 had brought the block; it was evicted unused 780 ns before" in of_access(miss)


def test_a_guess_that_came_to_nothing() -> None:
    rows = of_keys([10, 11], [0, 500], think_ns=30, inference={"stale_after": "10 ns"})
    assert "a question 500 ns before, at access 0, had named the block, and came to nothing (stale)" in of_access(
        access_story(rows, 1)
    )


def test_what_is_computed() -> None:
    """A block takes 96 ns to make, on one worker: 5 waits for 1."""
    rows = of_keys([1, 5], [0, 10], origin={"kind": "compute", "per_mib": "100 ms", "enters": "first"})
    assert of_access(access_story(rows, 1))[-2:] == [
        "10 ns: compute: queued 86 ns behind the miss of key 1 for access 0 under way, then on channel 0 for 96 ns",
        "computing it takes 96 ns with nothing in its way: for a hit it had to be sent for before its stream's first "
        "access that has a row (only what was computed before can be)",
    ]


def test_a_block_on_its_way_down() -> None:
    """Of one: 1 comes at 112 and pushes out 0, which was written to: on its way down until 223, read at 150."""
    rows = of_keys([0, 1, 0], [0, 2, 150], 1, op=[1, 0, 0], prefetch={"in_flight": 1, "queued": 1, "bytes": "1 B"})
    (down,) = [row for row in rows.read("transfers").to_pylist() if row["is_down"]]
    assert f"its block was being written down until {down['ended_ns']} ns" in of_access(access_story(rows, 2))[1]


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_every_story_adds_up(case: Case) -> None:
    """What a prefetch's parts and an access's way take is what their tables say; all can be told in words."""
    rows = rows_of_case(Engine, case)
    for row in rows.read("prefetches").slice(0, 12).to_pylist():
        story = prefetch_story(rows, row["prefetch"])
        assert of_prefetch(story)
        # What began before the first judged access has no rows of transfers.
        if case.judged_from or story.filled_ns is None:
            continue
        assert sum(part.ns for part in story.parts) == story.filled_ns - (
            story.issued_ns if story.is_at_once else story.asked_ns
        )
        assert (story.remedy is not None) == (story.slack_ns is not None and story.slack_ns < 0)
    for row in rows.read("accesses").slice(0, 12).to_pylist():
        told = access_story(rows, row["access"])
        assert of_access(told)
        if told.way and not case.judged_from:
            assert sum(hop.moved_ns for hop in told.way) == told.transfer_ns
            waited = told.way[0].queued_ns - told.issued_ns - told.inference_ns
            assert sum(hop.waited_ns + hop.room_ns for hop in told.way) + waited == told.queue_ns
