"""What a cache takes is measured in accesses like those of the run: which hit, miss, write, and send for others."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.loading import load, only
from experiments.making import make
from experiments.plan import stem_of
from experiments.progress import make_console
from experiments.results import table_of
from experiments.validation import pattern, prober
from experiments.validation.pattern import Named, Pattern, Touch, patterns_of
from experiments.validation.probing import Mix, probed
from experiments.validation.standing_in import InPlace, Wanted
from experiments.validation.taken import rest_ns
from experiments.validation.walk import Walk
from live import MemoryStore, MemoryTier, TieredCache
from live.clients import Client, Stream, Versions
from live.contents import fill
from live.driving import asking
from live.recorder import Recorder
from simulator.accounting import Rows
from simulator.config import InferenceServer
from simulator.policy import AccessRun, Ahead, Answer, Decision, Outcome, Parts, Told, Trigger, parts_of
from simulator.records.rows import AccessRow, TransferRow
from simulator.trace import READ, WRITE
from tests.dram_over_file import CONFIGS, scaled_to

BLOCK = 4096


def naively(folder: Path, arm: str, seed: int) -> list[Touch]:
    """Row by row: what each access found, and what was sent for at it, at once and later."""
    stem, found = stem_of(arm, seed), list[Touch]()
    asked_by = {row["access"]: row for row in table_of(folder, f"inferences/{stem}").to_pylist()}
    prefetches = table_of(folder, f"prefetches/{stem}").to_pylist()
    for access in table_of(folder, f"accesses/{stem}").to_pylist():
        at_once = later = Named(0, 0)
        if question := asked_by.get(access["access"]):
            mine = [row["issued_ns"] for row in prefetches if row["inference"] == question["inference"]]
            n_at_once = sum(issued == question["asked_ns"] for issued in mine) if question["n_at_once"] else 0
            at_once = Named(question["n_at_once"] - n_at_once, n_at_once)
            later = Named(question["n_proposed"] - (len(mine) - n_at_once), len(mine) - n_at_once)
        is_first_use = access["outcome"] == "hit_prefetched"
        is_there, is_again = is_first_use or access["outcome"] == "hit", access["outcome"] == "merged"
        found.append(Touch(is_there, is_first_use, at_once, later, is_again))
    return found


def test_a_pattern_is_what_the_run_had(tmp_path: Path) -> None:
    arms = (
        "arms=[{name: none, policy: {kind: none}}, {name: next_n, policy: {kind: next_n}}, "
        "{name: hybrid, charge: {kind: fixed, latency: 90 us}, policy: {kind: hybrid, experts: [{kind: next_n}, "
        "{kind: lstm, hidden: 8, embedding: 8, epochs: 2, inference: stateful}]}}]"
    )
    path = CONFIGS / "mixed.yaml"
    experiment = only(load(path, sets=[arms, "seeds=[0]", "baseline=none", "workload.source.rounds=1"]))
    raw = experiment.model_copy(update={"output": experiment.output.model_copy(update={"accesses": True})})
    make(raw, tmp_path / "run", console=make_console(), quiet=True)
    # What next_n wants is there in no time, too, and is no part of a policy that answers later.
    for arm in ("none", "next_n", "hybrid"):
        (whole,) = patterns_of(tmp_path / "run", arm, 0, 10**6, np.random.default_rng(0))
        expected = naively(tmp_path / "run", arm, 0)
        assert whole.touches == expected
        assert whole.n_absent == sum(
            (not touch.is_there) + touch.at_once.n_absent + touch.later.n_absent for touch in expected
        )
        (some,) = patterns_of(tmp_path / "run", arm, 0, 400, np.random.default_rng(0))
        assert 400 <= len(some.touches) <= 420
        first = int(whole.stream.accesses[0])
        assert some.touches == [expected[access - first] for access in some.stream.accesses.tolist()]
    assert sum(touch.at_once.n_absent for touch in expected) > 50, "nothing was sent for at once"
    assert sum(touch.later.n_absent for touch in expected) > 50, "nothing was sent for later"


@given(st.lists(st.integers(1, 5), min_size=1, max_size=300), st.integers(1, 200), st.integers(0, 9))
def test_pieces_are_of_whole_requests_from_all_over(lengths: list[int], n: int, seed: int) -> None:
    requests = np.repeat(np.arange(len(lengths)), lengths)
    at = pattern._pieces(requests, n, np.random.default_rng(seed))
    assert np.array_equal(at, np.flatnonzero(np.isin(requests, requests[at])))
    assert len(at) >= min(n, len(requests))
    assert (np.diff(at) > 0).all()
    if len(at) < len(requests):
        # There is a piece in each tenth, as there are two parts to it.
        tenths = np.unique(at * 10 // len(requests))
        assert len(tenths) == 10 or len(requests) < 40


class Fixed:
    """Wants one block, and has parts if it is told to."""

    trigger, ahead, footprint_bytes = Trigger.ACCESS, Ahead(), 0

    def __init__(self, parts: Parts | None = None) -> None:
        self.n_asked, self.heard = 0, list[Told]()
        if parts is not None:
            self.parts = parts

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        self.n_asked += len(runs)
        return Decision([Answer([7], [0.5], 8, 0.25) for _ in runs], host_ns=5)

    def told(self, told: Told) -> None:
        self.heard.append(told)


def shown(key: int) -> AccessRun:
    return AccessRun(np.array([key], np.uint64), np.zeros(1, np.uint32), np.zeros(1, np.uint8))


def test_a_policy_is_asked_and_other_blocks_are_named() -> None:
    policy, wanted = Fixed(), Wanted({}, {3: [30, 31], 4: []})
    other = InPlace(policy, wanted)
    assert not hasattr(other, "table"), "it would not be shown what a policy without one is"
    policy.table = "its own"
    assert InPlace(policy, wanted).table == "its own"
    found = [other.decide([shown(key)]).answers[0] for key in (3, 4, 5, 3)]
    assert [answer.keys for answer in found] == [[30, 31], [], (), ()], "of each access once"
    assert policy.n_asked == 4
    assert (found[0].confidences, found[0].predicted_key, found[0].confidence) == ([1.0, 1.0], 8, 0.25)
    other.told(Told())
    assert len(policy.heard) == 1


def test_parts_name_what_is_theirs() -> None:
    at_once, later = Fixed(), Fixed()
    parts = parts_of(InPlace(Fixed(Parts(at_once, later)), Wanted({3: [30]}, {3: [31, 32]})), is_free=False)
    assert parts.at_once is not None
    assert parts.at_once.decide([shown(3)]).answers[0].keys == [30]
    assert (at_once.n_asked, later.n_asked) == (1, 0)
    assert parts.later.decide([shown(3)]).answers[0].keys == [31, 32]
    assert (at_once.n_asked, later.n_asked) == (1, 1)


NOTHING = Named(0, 0)


def pattern_of(stream: int, *accesses: tuple[str, int, Named]) -> Pattern:
    """Of what each access is, its request, and what is named at it later."""
    ops = np.array([WRITE if kind.startswith("put") else READ for kind, *_ in accesses], np.uint8)
    numbers, requests = np.arange(len(accesses)), np.array([request for _, request, _ in accesses])
    touches = [Touch("absent" not in kind, "first" in kind, NOTHING, named) for kind, _, named in accesses]
    return Pattern(Stream(stream, numbers, numbers, requests, ops), touches)


def test_a_probe_does_what_the_pattern_says() -> None:
    kinds = ("get", "get absent", "put", "put absent", "get first")
    draws = np.random.default_rng(5)
    accesses = [(kinds[draws.integers(5)], i, Named(1, int(draws.integers(3)))) for i in range(200)]
    patterns = [pattern_of(0, *accesses), pattern_of(1, *reversed(accesses))]
    recorders, keys, wanted, policy = list[Recorder](), range(400), Wanted({}, {}), Fixed()

    def make_cache(recorder: Recorder, n: int) -> TieredCache:
        recorders.append(recorder)
        store = MemoryStore(BLOCK)
        fill(store, keys)
        tier = MemoryTier(name="dram", capacity=f"{n * BLOCK} B", channels=2, spare=16)
        return TieredCache([tier], store, recorder=recorder)

    # Time enough for what was sent for to land, also where others have the processors.
    mix = Mix(patterns, 3_000_000, keys, 100, 100, [2])
    costs = probed(
        make_cache, lambda cache: asking(InPlace(policy, wanted), cache, InferenceServer()), mix, wanted,
        np.random.default_rng(1),
    )  # fmt: skip
    rows, n_fill = recorders[0].rows("accesses"), 2 * (50 + 4 + 4)
    rows = rows[np.argsort(rows["access"])][n_fill:]
    for stream, one in enumerate(patterns):
        mine = rows[rows["stream"] == stream][: len(one.touches)]
        reads = mine["op"] == READ
        there = np.isin(mine["outcome"], (Outcome.HIT, Outcome.HIT_PREFETCHED))
        is_there = np.array([touch.is_there for touch in one.touches])
        assert (reads == [not is_write for _, _, is_write, _ in one.stream.steps]).all()
        # A block may be pushed out between the choice and the access, as it may come.
        assert (there == is_there).mean() > 0.9
        first = np.array([touch.is_first_use for touch in one.touches])
        assert (mine["outcome"][first] == Outcome.HIT_PREFETCHED).mean() > 0.5
    n_named = sum(touch.later.n_absent for one in patterns for touch in one.touches)
    n_issued = len(recorders[0].rows("prefetches"))
    # A question that comes too late is superseded, and one that is not there.
    assert 0.6 * n_named <= n_issued <= n_named
    assert policy.n_asked > 250
    n_written = int((rows["op"] == WRITE).sum())
    assert n_written - 5 <= len(costs.puts) <= n_written, "but for stalls of the machine"
    assert (0, False, 1) in costs.calls
    assert threading.active_count() < 20, "clients are still there"


def test_what_is_named_is_left_for_the_stand_in() -> None:
    keys, wanted = range(60), Wanted({}, {})
    store = MemoryStore(BLOCK)
    fill(store, keys)
    with TieredCache([MemoryTier(name="dram", capacity=f"{15 * BLOCK} B", spare=8)], store) as cache:
        of = pattern_of(0)
        client = Client(cache, of.stream, Versions(are_shared=False), 0, None, lambda *_: None, threading.Event())
        walk = Walk(cache, client, keys, 15, wanted, np.random.default_rng(0))
        walk.fill(writes=False)
        there, absent = walk._choose([
            Touch(True, False, Named(2, 3), Named(0, 0)), Touch(False, False, Named(0, 0), Named(1, 4)),
        ])  # fmt: skip
        assert there in cache
        assert absent not in cache
        assert [key in cache for key in wanted.at_once[there]] == [True] * 2 + [False] * 3
        assert [key in cache for key in wanted.later[absent]] == [True] + [False] * 4
        assert (len(wanted.at_once), len(wanted.later)) == (1, 1)
        first, again, other = walk._choose([
            Touch(False, False, NOTHING, NOTHING), Touch(False, False, NOTHING, NOTHING, is_again=True),
            Touch(False, False, NOTHING, NOTHING),
        ])  # fmt: skip
        assert again == first, "what is on its way is read again"
        assert other not in cache


def test_what_is_rare_is_asked_for_apart() -> None:
    recorders, keys = list[Recorder](), range(80)

    def make_cache(recorder: Recorder, n: int) -> TieredCache:
        recorders.append(recorder)
        store = MemoryStore(BLOCK)
        fill(store, keys)
        return TieredCache([MemoryTier(name="dram", capacity=f"{n * BLOCK} B", spare=8)], store, recorder=recorder)

    only_misses = pattern_of(0, *[("get absent", i, NOTHING) for i in range(50)])
    mix, wanted = Mix([only_misses], 0, keys, 20, 20, [1]), Wanted({}, {})
    costs = probed(
        make_cache, lambda cache: asking(InPlace(Fixed(), wanted), cache, InferenceServer()), mix, wanted,
        np.random.default_rng(1),
    )  # fmt: skip
    assert len(recorders) == 1, "one channel: nothing is to be measured beside others"
    assert 25 <= len(costs.hits) <= 30
    assert 45 <= len(costs.misses) <= 50


def accesses_of(*rows: tuple[int, int, int]) -> Rows:
    """Misses by (issued, latency, transfer)."""
    found = np.zeros(len(rows), AccessRow.dtype)
    for row, (issued, latency, transfer) in zip(found, rows, strict=True):
        row["issued_ns"], row["latency_ns"], row["transfer_ns"] = issued, latency, transfer
    return found


def calls_by(*spans: tuple[int, int]) -> Rows:
    found = np.zeros(len(spans), TransferRow.dtype)
    for row, (began, ended) in zip(found, spans, strict=True):
        row["started_ns"], row["ended_ns"] = began, ended
    return found


def test_what_waits_for_a_channel_is_not_what_a_miss_takes() -> None:
    # 40 find the link idle and take 30 beside their call; 5 find its one channel taken, and wait 500 for it.
    idle = accesses_of(*[(1000 * i, 140, 100) for i in range(40)])
    waiting = accesses_of(*[(100_000 + 1000 * i, 640, 100) for i in range(5)])
    calls = calls_by(*[(1000 * i + 10, 1000 * i + 110) for i in range(40)], *[
        (99_990 + 1000 * i, 100_400 + 1000 * i) for i in range(5)
    ])  # fmt: skip
    missed = np.concatenate([idle, waiting])
    of_link: Any = {(0, False, 1): np.array([100, 100])}
    assert rest_ns(missed, calls, [1], of_link, 10.0) == 30
    # Where calls that prefetch are shorter, what the miss's own takes more is its own, and no other's.
    assert rest_ns(missed, calls, [1], {(0, False, 1): np.array([60, 80])}, 10.0) == 60
    # With two channels all are free. Those that find one taken are two at once; what that takes may not be known.
    two: Any = {**of_link, (0, False, 2): np.array([200])}
    assert rest_ns(missed, calls, [2], two, 10.0) == round((40 * 30 + 5 * 430) / 45)
    assert rest_ns(missed, calls, [2], of_link, 10.0) == round((40 * 30 + 5 * 530) / 45)


def test_what_waits_for_others_of_its_request_is_not_what_a_miss_takes() -> None:
    # Of each request six misses over two channels: three calls of 100 one after the other, each with 20 beside it.
    rounds = (1, 1, 2, 2, 3, 3)
    missed = accesses_of(*[(10_000 * i, 10 + 120 * n, 100) for i in range(20) for n in rounds])
    missed["access"] = np.random.default_rng(0).permutation(np.arange(120).reshape(20, 6), axis=0).ravel()
    missed["latency_ns"] += 2 * (missed["access"] % 2)
    calls: Any = {(0, False, 1): np.array([100]), (0, False, 2): np.array([100])}
    nothing = calls_by()
    assert rest_ns(missed, nothing, [2], calls, 11.0) == 20
    assert rest_ns(missed, nothing, [6], calls, 11.0) == 140


def test_a_tier_that_would_hold_all_blocks_is_probed_as_a_smaller_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of 64 blocks, in a tier for 160, there would be none to miss.
    monkeypatch.setattr(prober, "MOST_BYTES", 64 * 65536)
    experiment = scaled_to("mixed", accesses=200, think="0 ns", arms="none").experiment
    costs = prober.Prober(experiment, 65536, tmp_path, make_console()).probe(experiment.arms[0])
    assert min(len(costs.hits), len(costs.misses)) >= 25
    assert np.median(costs.misses) > np.median(costs.hits)


def test_where_a_run_evicts_nothing_neither_does_its_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prober, "MOST_BYTES", 512 * 65536)
    experiment = scaled_to("cloudphysics", accesses=300, think="0 ns", arms="none").experiment
    costs = prober.Prober(experiment, 65536, tmp_path, make_console()).probe(experiment.arms[0])
    assert len(costs.puts) > 100
    assert not any(is_down for _, is_down, _ in costs.calls), "a block was written down"
