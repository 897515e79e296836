"""Timelines: read back from the protobuf, they have what the tables have, and what Perfetto needs to show it."""

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments import extras
from experiments.timelines.lanes import OPEN, lanes_of
from experiments.timelines.rows import RunRows
from experiments.timelines.span import Span, end_of
from experiments.timelines.whole import exactly
from policies.next_n import NextNPolicy
from simulator.charge import fixed
from simulator.config import Open
from simulator.engine import Engine
from tests.cases import Case, cases
from tests.strategies import system, workload
from tests.test_experiment import write
from tests.test_results import call, ran
from tests.timelines import MemoryRows, Read, at, drawn, expected, read, rows_of_case, rows_of_run, spans_of

PARTS = ("waiting", "fetching", "computing", "decoding")
OPEN_LOOP = Open.model_validate({"kind": "open"})


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(), st.none() | st.tuples(st.integers(0, 5000), st.integers(1, 3000)))
def test_slices_flows_bytes_and_counters_are_those_of_the_tables(case: Case, part: tuple[int, int] | None) -> None:
    rows = rows_of_case(Engine, case)
    span = Span(0, end_of(rows) + 1) if part is None else Span(part[0], sum(part))
    found, told = read(drawn(rows, span)), expected(rows, span)
    assert found.times == sorted(found.times)
    assert Counter(one.what for one in found.slices) == Counter(told.slices)
    assert Counter((a.what, b.what) for a, b in found.flows) == Counter(told.flows)
    _check_depths(found)
    _check_counters(rows, span, found)
    if part is None:
        moved, asked_for = Counter[str](), Counter[str]()
        for one in found.slices:
            if ": channel" in one.track:
                moved[f"{one.track.split(':')[0]}, {one.notes['class']}"] += one.notes["size_bytes"]
        for row in rows.read("transfers").to_pylist():
            asked_for[f"{row['link']}, {row['class']}"] += row["size_bytes"]
        assert moved == asked_for


def _check_depths(found: Read) -> None:
    """Nothing lies within what it only overlaps: parts within their whole, and blocks of one call within each other."""
    of_call = {(one.track, one.begin, one.end, one.depth) for one in found.slices}
    for one in found.slices:
        if ": channel" in one.track:
            assert one.depth == 0 or (one.track, one.begin, one.end, one.depth - 1) in of_call
        else:
            is_part = one.track in ("questions", "requests") and one.name in PARTS
            assert one.depth == is_part, one


def _check_counters(rows: MemoryRows, span: Span, found: Read) -> None:
    for name, samples in found.counters.items():
        if name == "hit ratio by window":
            continue
        if name.endswith(": bytes used"):
            _check_tier(rows, span, name.removesuffix(": bytes used"), samples)
            continue
        assert samples[0][0] == span.from_ns
        assert all(span.from_ns <= time < span.to_ns for time, _ in samples)
        values = [value for _, value in samples]
        assert all(a != b for a, b in pairwise(values[1:])), name
        # Right where it changes, and just before: no change is left out.
        spans = spans_of(rows, name)
        for i, (time, value) in enumerate(samples[:50]):
            assert value == at(spans, time), (name, time)
            if i:
                assert samples[i - 1][1] == at(spans, time - 1), (name, time - 1)


def _check_tier(rows: MemoryRows, span: Span, tier: str, samples: list[tuple[int, int]]) -> None:
    """Of each window that begins within, and of the last one before that."""
    place = [one.name for one in rows.system.tiers].index(tier)
    windows = sorted(rows.read("windows").to_pylist(), key=lambda window: window["begun_ns"])
    before = [window for window in windows if window["begun_ns"] <= span.from_ns][-1:]
    within = [window for window in windows if span.from_ns < window["begun_ns"] < span.to_ns]
    assert samples == [(max(w["begun_ns"], span.from_ns), w["used_bytes"][place]) for w in (*before, *within)]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8) | st.none(), st.integers(0, 2)), max_size=40))
def test_lanes_are_as_few_as_overlap(slices: list[tuple[int, int | None, int]]) -> None:
    begins = np.array([begin for begin, _, _ in slices], np.int64)
    ends = np.array([OPEN if ns is None else begin + ns for begin, ns, _ in slices], np.int64)
    groups = np.array([group for _, _, group in slices], np.int64)
    lanes = lanes_of(begins, ends, groups)
    for group in range(3):
        mine = groups == group
        for lane in set(lanes[mine].tolist()):
            some = sorted(zip(begins[mine & (lanes == lane)], ends[mine & (lanes == lane)], strict=True))
            assert all(end <= begin for (_, end), (begin, _) in pairwise(some))
        # As many as are under way at one time, one of them for whatever takes no time then.
        b, e = begins[mine], ends[mine]
        needs = [
            sum((b < t) & (e > t)) + max(sum((b == t) & (e > t)), int(((b == t) & (e == t)).any())) for t in b.tolist()
        ]
        assert len(set(lanes[mine].tolist())) == max(needs, default=0)


def test_the_order_of_events_by_hand() -> None:
    """1 misses at 0 and is served until 112; the question takes 30; 2 follows on the link; 2 is asked for at 150."""
    trace = workload([1, 2], time_ns=[0, 150])
    rows = rows_of_run(Engine, system(9), OPEN_LOOP, trace, NextNPolicy(1, "miss"), fixed(30))
    found = read(drawn(rows, Span(0, 1000)))
    link = "tier0_origin: channel 0"
    assert [one.what for one in found.slices] == [
        ("accesses: stream 0", "miss", 0, 112),
        ("questions", "answered", 0, 30),
        ("inference server", "inference", 0, 30),
        (link, "miss", 0, 110),
        ("prefetches", "late", 30, 220),
        (link, "prefetch", 110, 220),
        # Late is a miss to the trigger; what it asks for at 180 is on the link from 220 on.
        ("accesses: stream 0", "late", 150, 222),
        ("questions", "answered", 150, 180),
        ("inference server", "inference", 150, 180),
        ("prefetches", "in_flight", 180, None),
        (link, "prefetch", 220, 330),
    ]
    arrows = [(a.what[:2], b.what[:2]) for a, b in found.flows]
    assert (("questions", "answered"), ("prefetches", "late")) in arrows
    assert (("prefetches", "late"), (link, "prefetch")) in arrows
    assert ((link, "prefetch"), ("accesses: stream 0", "late")) in arrows
    assert found.counters["tier0_origin: blocks waiting"] == [(0, 0), (30, 1), (110, 0), (180, 1), (220, 0)]
    assert found.counters["tier0_origin: bytes in flight"] == [(0, 1), (330, 0)]
    assert found.counters["hit ratio by window"] == [(0, 0)]
    late = next(one for one in found.slices if one.name == "late" and one.track == "prefetches")
    assert late.notes == {
        "prefetch": 0, "inference": 0, "access": 0, "key": 2, "size_bytes": 1, "proposed_ns": 30, "filled_ns": 220,
        "first_used_ns": 150, "first_used_access": 1, "late_ns": 70, "saved_ns": 40, "confidence": 1.0,
        "source": "origin",
    }  # fmt: skip


def test_a_question_is_over_when_its_stream_asks_again() -> None:
    """The first is thought about until 1000. Stream 0 asks again at 10 and at 30, stream 1 at 20, and both wait."""
    trace = workload([1, 2, 3, 4], time_ns=[0, 10, 20, 30], stream=[0, 0, 1, 0])
    rows = rows_of_run(Engine, system(9), OPEN_LOOP, trace, NextNPolicy(1, "access"), fixed(1000))
    found = read(drawn(rows, Span(0, 50)))
    asked = [(one.name, one.begin, one.end) for one in found.slices if one.track == "questions" and one.depth == 0]
    assert asked == [
        ("pending_at_end", 0, None), ("superseded", 10, 30), ("pending_at_end", 20, None), ("pending_at_end", 30, None),
    ]  # fmt: skip
    assert [one.notes.get("batch") for one in found.slices if one.name == "superseded"] == [None]
    assert found.counters["questions waiting"] == [(0, 0), (10, 1), (20, 2)]
    # In a part in which the question that superseded it is not drawn, too.
    found = read(drawn(rows, Span(0, 15)))
    assert ("questions", "superseded", 10, 30) in [one.what for one in found.slices]


def test_numbers_are_whole_whatever_their_size() -> None:
    key, late = 2**64 - 1, 2**60 + 1
    trace = workload([key, 3, key], time_ns=[0, 500, late])
    rows = rows_of_run(Engine, system(9), OPEN_LOOP, trace, NextNPolicy(1, "miss"), fixed(30))
    found = read(drawn(rows, Span(late - 5, late + 5)))
    (access,) = [one for one in found.slices if one.track.startswith("accesses")]
    assert (access.begin, access.notes["key"]) == (late, key)


def test_a_file_that_breaks_off_is_noticed() -> None:
    trace = workload(list(range(40)), time_ns=list(range(0, 4000, 100)))
    rows = rows_of_run(Engine, system(9), OPEN_LOOP, trace, NextNPolicy(1, "miss"), fixed(30))
    content, told = drawn(rows, Span(0, 10000)), expected(rows, Span(0, 10000))
    for cut in range(1, len(content), 997):
        try:
            found = read(content[:-cut])
        except DecodeError:
            continue
        assert Counter(one.what for one in found.slices) != Counter(told.slices)


def test_many_streams_share_lanes() -> None:
    trace = workload(list(range(40)), stream=range(40), time_ns=[0] * 40)
    rows = rows_of_run(Engine, system(99), OPEN_LOOP, trace, NextNPolicy(1, "miss"), fixed(30))
    found = read(drawn(rows, Span(0, 10)))
    assert list(found.tracks.values()).count("accesses: 40 streams") == 40


# -- The command -------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment that keeps transfers and no inferences."""
    place = tmp_path_factory.mktemp("timeline")
    machine = {
        "tiers": [{"name": "hbm", "capacity": "100 KiB", "latency": "350 ns", "bandwidth": "2 TB/s"}],
        "links": [{"call": "7 us", "bandwidth": "25 GB/s", "channels": 2}],
        "origin": {"kind": "store", "latency": "300 us"},
    }
    source = {"kind": "sequential", "accesses": 400, "block": "4 KiB"}
    content = {
        "name": "seen",
        "seeds": [0],
        "workload": {"source": source, "arrivals": {"kind": "closed", "think": "100 us"}},
        "system": machine,
        "arms": ["none", "next_n"],
        "output": {"transfers": True, "inferences": False, "window": 100},
    }
    ran(write(place, content), place / "out", "--quiet")
    return place / "out"


def told_of(folder: Path, *arguments: Any) -> tuple[str, Read]:
    out = folder.parent / "trace.pftrace"
    found = call("timeline", folder, "--arm", "next_n", "--out", out, *arguments)
    assert found.exit_code == 0, found.output
    return str(found.stdout), read(out.read_bytes())


def test_the_whole_of_a_small_run(folder: Path) -> None:
    said, found = told_of(folder)
    rows = RunRows.open(folder, "next_n", 0, 0)
    assert len([one for one in found.slices if one.track == "accesses: stream 0"]) == 400
    assert len([one for one in found.slices if one.track == "prefetches"]) == rows.count("prefetches")
    assert sum(": channel" in one.track for one in found.slices) == rows.count("transfers")
    assert re.search(r"trace.pftrace: [\d,]+ events, .* KiB; 400 of 400 accesses, 0 ns to ", said)
    assert "without questions and the inference server: the run keeps no inferences; run it again with" in said
    assert "--set output.inferences=true" in said
    assert "--events" not in said
    assert "https://ui.perfetto.dev" in said


def test_parts_of_it(folder: Path) -> None:
    rows = RunRows.open(folder, "next_n", 0, 0)
    said, found = told_of(folder, "--events", 200)
    assert 100 < len(found.times) < 300
    assert "for more: --events N, or --from TIME --to TIME" in said
    assert "without links" not in said
    # Exactly those of the span, as the option's number says it.
    times = [one.begin for one in found.slices if one.track.startswith("accesses")]
    found = told_of(folder, "--from", exactly(times[3]), "--to", exactly(times[5]))[1]
    assert {times[3], times[4]} <= {one.begin for one in found.slices if one.track.startswith("accesses")}
    assert times[5] not in {one.begin for one in found.slices}
    row = rows.prefetch(50)
    found = told_of(folder, "--prefetch", 50, "--around", "0 ns")[1]
    assert [
        one.notes["prefetch"] for one in found.slices if one.track == "prefetches" and one.begin == row["issued_ns"]
    ] == [50]
    access = rows.access(row["first_used_access"])
    found = told_of(folder, "--access", access["access"], "--around", "0 ns")[1]
    assert {("prefetches", row["fate"], row["issued_ns"], row["filled_ns"])} <= {one.what for one in found.slices}
    assert max(found.times) >= access["issued_ns"] + access["latency_ns"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--arm is missing; expected one of none, next_n"),
        (["--arm", "lstm"], "--arm lstm: there is none; expected one of none, next_n"),
        (["--arm", "none", "--seed", 7], "--seed 7: there is none; expected one of 0"),
        (["--arm", "none", "--repeat", 1], "--repeat 1: there is none; expected one of 0"),
        (["--arm", "none", "--access", 999], "--access 999: none-0 has no such row; expected one from 0 to 399"),
        (["--arm", "none", "--prefetch", 0], "--prefetch 0: none-0 has no such row; there is none"),
        (["--arm", "none", "--from", "soon"], "--from: expected a duration"),
        (["--arm", "none", "--from", "5 ns", "--to", "5 ns"], "--to 5 ns: is not after --from 5 ns"),
        (["--arm", "none", "--from", "5 ns", "--access", 1], "expected one of --from and --to, --access, --prefetch"),
    ],
)  # fmt: skip
def test_what_is_refused(folder: Path, arguments: list[Any], said: str) -> None:
    out = folder.parent / "refused.pftrace"
    found = call("timeline", folder, *arguments, "--out", out)
    assert (found.exit_code, out.exists()) == (2, False)
    assert said in found.stderr


def test_where_it_is_not_to_be_written(folder: Path) -> None:
    found = call("timeline", folder, "--arm", "none", "--out", folder / "trace.pftrace")
    assert found.exit_code == 2
    assert "lies in the folder of the results" in found.stderr


def test_without_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    found = call("timeline", folder, "--arm", "none")
    assert found.exit_code == 2
    assert "pip install 'tierfetch[timeline]'" in found.stderr


def test_without_accesses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunRows, "has", lambda self, table: table != "accesses")
    found = call("timeline", folder, "--arm", "none")
    assert found.exit_code == 2
    assert "keeps no accesses of none-0, which a timeline needs; run it again with --set output.accesses=true" in (
        found.stderr
    )


def test_no_class_from_outside_is_loaded(folder: Path) -> None:
    rows = RunRows.open(folder, "next_n", 0, 0)
    tiers = rows.kept.kept.about["config"]["system"]["tiers"]
    tiers[0]["eviction"] = {"kind": "python", "path": "nowhere.py:Gone"}
    assert rows.levels == ["hbm", "origin"]
    assert tiers[0]["eviction"]["kind"] == "python"


def test_explain_prints_and_hands_on(folder: Path) -> None:
    import json

    found = call("explain", folder, "--arm", "next_n", "--latest", 2)
    assert found.exit_code == 0, found.output
    summed, *paragraphs = found.stdout.split("\n\n")
    assert len(paragraphs) == 2
    assert re.match(r"\d+ of \d+ used prefetches came late, by ", summed)
    numbers = [int(re.match(r"prefetch (\d+) of key", text)[1]) for text in paragraphs]  # type: ignore[index]
    handed = json.loads(call("explain", folder, "--arm", "next_n", "--latest", 2, "--json").stdout)
    assert [story["prefetch"] for story in handed] == numbers
    assert all(story["remedy"]["late_ns"] == story["filled_ns"] - story["first_used_ns"] for story in handed)
    (one,) = json.loads(call("explain", folder, "--arm", "next_n", "--prefetch", numbers[1], "--json").stdout)
    assert one == handed[1]
    worst = json.loads(call("explain", folder, "--arm", "next_n", "--worst", 10, "--json").stdout)
    latencies = RunRows.open(folder, "next_n", 0, 0).read("accesses")["latency_ns"].to_pylist()
    assert [story["latency_ns"] for story in worst] == sorted(latencies, reverse=True)[:10]
    assert call("explain", folder, "--arm", "none", "--latest", 3).stdout == "no prefetch came late\n"
    assert call("explain", folder, "--arm", "next_n").exit_code == 2


def test_explain_without_transfers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it queued is known, for a late one says what it saved."""
    rows = RunRows.open(folder, "next_n", 0, 0)
    with_ = call("explain", folder, "--arm", "next_n", "--latest", 1).stdout
    has = RunRows.has
    monkeypatch.setattr(RunRows, "has", lambda self, table: table != "transfers" and has(self, table))
    without = call("explain", folder, "--arm", "next_n", "--latest", 1).stdout
    assert "run it again with --set output.transfers=true" in without
    remedy = "for a hit it had to be asked"
    assert [line for line in with_.splitlines() if remedy in line] == [
        line for line in without.splitlines() if remedy in line
    ]
    assert rows.has("prefetches")
