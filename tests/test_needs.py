"""Features on their way to policies: both engines show the same ones with the same accesses, and only if asked."""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.prepared import Learned
from policies.fdp import FdpConfig, FdpPolicy
from policies.gate import GateConfig, GatePolicy
from policies.next_n import NextNPolicy
from simulator.accounting import Books
from simulator.charge import fixed
from simulator.compiled import CHECKED
from simulator.engine import Engine
from simulator.errors import InputError
from simulator.model.model import Model
from simulator.needs import ALWAYS_THERE
from simulator.policy import AccessRun, Ahead, Answer, Decision, Told, Trigger
from simulator.seeds import generator
from simulator.trace import Batch, make_batch
from tests.cases import ARRIVALS, Case, Wishes, cases
from tests.differential import assert_same, everything_of
from tests.strategies import ListWorkload, system

ENGINES: list[Any] = [Engine, Model]
EXAMPLES = 15 if CHECKED else 60


@dataclass
class Seeing(Wishes):
    """Wishes that depend on features, of which it keeps what it is shown."""

    needs: tuple[str, ...] = ("place", "layer", *ALWAYS_THERE)

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        for run in runs:
            columns = {**run.columns, "key": run["key"], "stream": run.stream}
            self.shown.append({name: column.tolist() for name, column in columns.items()})
            assert all(column.dtype == ALWAYS_THERE.get(name, np.uint64) for name, column in run.columns.items())
            self.heard += int(run.columns["layer"][-1]) % 5
        return super().decide(runs)


def with_places(batch: Batch) -> Batch:
    """Each access with its own number, another column, and one that nobody asks for."""
    n = len(batch)
    place = np.arange(n, dtype=np.uint64)
    # Beyond what a signed number holds.
    layer = place * place % np.uint64(13) + np.uint64(2**63)
    return replace(batch, features={"unasked": np.zeros(n, np.uint64), "layer": layer, "place": place})


def wrapped(policy: Any, how: str) -> Any:
    next_n = {"kind": "next_n"}
    if "fdp" in how:
        policy = FdpPolicy(policy, FdpConfig.model_validate({"kind": "fdp", "policy": next_n, "interval": 4}))
    if "gate" in how:
        policy = GatePolicy(policy, GateConfig.model_validate({"kind": "gate", "policy": next_n}), 0.3)
    return policy


@st.composite
def seeing(draw: st.DrawFn) -> tuple[Case, list[Any]]:
    """A run of a policy that sees features, wrapped or not; and the list of what it is shown, in both runs."""
    case = draw(cases())
    triggers = [Trigger.MISS, Trigger.TAGGED, Trigger.ACCESS, Trigger.NEVER]
    trigger = draw(st.sampled_from([*triggers, Trigger.ARRIVAL] if case.system.requests is not None else triggers))
    ahead, how, seen = Ahead(1, draw(st.booleans())), draw(st.sampled_from(["", "fdp", "gate", "fdp gate"])), []
    wishes = Seeing([1, 3], 20, trigger, draw(st.sampled_from([0, 90])), ahead=ahead)

    def policy() -> Any:
        seen.append(copy.deepcopy(wishes))
        return wrapped(seen[-1], how)

    return replace(case, batch=with_places(case.batch), policy=policy), seen


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(seeing())
def test_both_engines_show_the_same_features_with_the_same_accesses(drawn: tuple[Case, list[Any]]) -> None:
    case, seen = drawn
    assert_same(everything_of(Engine, case), everything_of(Model, case))
    engine, model = (policy.shown for policy in seen)
    assert engine == model
    columns, places = columns_by_hand(case), []
    for shown in engine:
        # What a policy has heard comes in between.
        if isinstance(shown, dict):
            assert list(shown) == ["place", "layer", *ALWAYS_THERE, "key", "stream"]
            at = np.array(shown["place"])
            places += at.tolist()
            assert all(columns[name][at].tolist() == values for name, values in shown.items())
    assert len(set(places)) == len(places)
    # Where requests have a life, those that came later may be served sooner.
    for one in range(5) if case.system.requests is None else ():
        mine = np.flatnonzero(case.batch.stream == one).tolist()
        shown = [place for place in places if case.batch.stream[place] == one]
        assert shown == mine[: len(shown)]


def columns_by_hand(case: Case) -> dict[str, Any]:
    """What each access of a run could show, by its number; arrivals of a Poisson process only where they were drawn."""
    batch = case.batch
    requests = list(zip(batch.stream.tolist(), batch.request.tolist(), strict=True))
    position = [0] * len(batch)
    for i in range(1, len(batch)):
        position[i] = position[i - 1] + 1 if requests[i] == requests[i - 1] else 0
    time_ns = batch.time_ns
    if case.arrivals.kind == "open":
        time_ns = np.rint((time_ns - time_ns[0]) / case.arrivals.speedup).astype(np.int64)
    elif case.arrivals.kind == "poisson":
        gaps, drawn, clock = generator(3, "arrivals"), np.zeros(len(batch)), 0.0
        for i in range(len(batch)):
            clock += gaps.exponential(case.arrivals.mean_gap) if position[i] == 0 else 0.0
            drawn[i] = clock
        time_ns = np.rint(drawn).astype(np.int64)
    of_batch = {name: getattr(batch, name) for name in ("key", "stream", "op", "size_bytes", "request")}
    return {
        **batch.features, **of_batch,
        "access": np.arange(len(batch)), "position": np.array(position), "time_ns": time_ns,
    }  # fmt: skip


def run_of(
    make: Any, batch: Batch, policy: Any, arrivals: str = "closed", first: int = 0, step: int = 1 << 16,
    books: Books | None = None,
) -> Any:  # fmt: skip
    chosen, books = ARRIVALS.validate_python({"kind": arrivals}), books or Books(None, 100, first_access=first)
    engine = make(system(8), chosen, ListWorkload(batch, step), policy, fixed(30), books, first_access=first)
    engine.run()
    return engine


@pytest.mark.parametrize("make", ENGINES)
@pytest.mark.parametrize("first", [0, 400])
def test_a_slow_stream_and_a_fast_one(make: Any, first: int) -> None:
    """Stream 0 has one access in fifty, in requests of its own that miss: the window goes on without the others'."""
    n = 3000
    stream = np.where(np.arange(n) % 50 == 0, 0, 1 + np.arange(n) % 3)
    batch = with_places(make_batch(np.where(stream == 0, np.arange(n), stream), stream=stream))
    policy = Seeing([2], 5000, Trigger.ACCESS, 0)
    run_of(make, batch, policy, first=first, step=64)
    runs = [shown for shown in policy.shown if isinstance(shown, dict)]
    places = [place for shown in runs for place in shown["place"]]
    # With the other streams apart from the slow one, which is not in the trace's order.
    assert places != sorted(places)
    assert sorted(places) == list(range(first, n))


def test_what_was_shown_is_let_go() -> None:
    """Of a trace of one stream, no more is kept than what was loaded ahead."""
    batch = with_places(make_batch(np.arange(5000) % 11))
    engine = run_of(Engine, batch, Seeing([2], 20, Trigger.ACCESS, 0), step=100)
    assert engine._to_show._pieces == []


@pytest.mark.parametrize("make", ENGINES)
def test_who_asks_for_none_is_shown_none(make: Any) -> None:
    batch = with_places(make_batch(np.arange(300) % 11))

    class Plain(Wishes):
        def decide(self, runs: Sequence[AccessRun]) -> Decision:
            assert all(run.columns == {} for run in runs)
            return super().decide(runs)

    engine = run_of(make, batch, policy := Plain([1], 20, Trigger.ACCESS, 0))
    assert len(policy.shown) > 100
    if make is Engine:
        assert engine._to_show is None
        # No column of a feature is put together either.
        assert engine._feed.new.features == {}


@pytest.mark.parametrize("make", ENGINES)
def test_a_compiled_policy_with_features_is_asked_in_python(make: Any) -> None:
    class Compiled(NextNPolicy):
        needs = ("place",)

        def decide(self, runs: Sequence[AccessRun]) -> Decision:
            places.extend(place for run in runs for place in run.columns["place"].tolist())
            return super().decide(runs)

    places: list[int] = []
    run_of(make, with_places(make_batch(np.arange(40))), Compiled(1, "access"))
    assert places == list(range(40))


@pytest.mark.parametrize("arrivals", ["closed", "open"])
@pytest.mark.parametrize("make", ENGINES)
def test_an_access_that_was_shown_before_has_no_columns_of_its_own(make: Any, arrivals: str) -> None:
    """Newer questions of other streams are answered first, and show what came before them."""

    class Compiled(NextNPolicy):
        needs = ("place",)

        def decide(self, runs: Sequence[AccessRun]) -> Decision:
            sizes.extend(len(run.columns["place"]) for run in runs)
            places.extend(place for run in runs for place in run.columns["place"].tolist())
            return super().decide(runs)

    sizes: list[int] = []
    places: list[int] = []
    batch = with_places(make_batch(np.arange(60) * 7, stream=np.arange(60) % 3, time_ns=np.arange(60) * 5))
    run_of(make, batch, Compiled(1, "access"), arrivals)
    assert 0 in sizes
    assert sorted(places) == list(range(len(places)))
    assert len(places) > 40


class Strides:
    """Wants the next block of a sequence: one of each value of a feature, or one of each stream."""

    trigger, footprint_bytes, ahead = Trigger.ACCESS, 0, Ahead(of_stream=False)

    def __init__(self, feature: str | None) -> None:
        self.needs = () if feature is None else (feature,)
        self.last: dict[int, int] = {}

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        answers = []
        for run in runs:
            of = run.columns[self.needs[0]] if self.needs else run.stream
            for key, sequence in zip(run.key.tolist(), of.tolist(), strict=True):
                step = key - self.last.get(sequence, key)
                self.last[sequence] = key
            answers.append(Answer([key + step], [1.0], key + step, 1.0) if step and key + step >= 0 else Answer())
        return Decision(answers)

    def told(self, told: Told) -> None:
        """Learns nothing."""


@pytest.mark.parametrize("make", ENGINES)
def test_a_feature_is_as_good_as_a_stream_that_says_the_same(make: Any) -> None:
    """In an open loop streams matter to policies alone."""
    rng = np.random.default_rng(4)
    counter, key = rng.integers(0, 5, 2000), np.zeros(2000, np.int64)
    for one in range(5):
        mine = counter == one
        key[mine] = 10**6 * (one + 1) + (one * 3 - 7) * np.arange(mine.sum())
    time = np.cumsum(rng.choice([40, 90, 300], 2000))
    by_stream = make_batch(key, time_ns=time, stream=counter)
    by_feature = make_batch(key, time_ns=time, features={"pc": counter.astype(np.uint64)})
    blind = make_batch(key, time_ns=time)
    found = []
    for batch, feature in ((by_stream, None), (by_feature, "pc"), (blind, None)):
        found.append(Books(None, 100))
        run_of(make, batch, Strides(feature), "open", books=found[-1])
    counts = [(b.n_fates, b.n_outcomes, b.n_rejected, b.sums, b.questions.n_came_true, b.end_ns) for b in found]
    assert counts[0] == counts[1] != counts[2]
    assert found[1].n_fates[0] > 10 * found[2].n_fates[0]


MISSING = "asks for the feature 'layer', which the trace does not have; expected one of 'pc', 'token' (columns.features"


@pytest.mark.parametrize("make", ENGINES)
def test_what_the_trace_lacks_is_said_before_the_run(make: Any) -> None:
    batch = make_batch([1, 2, 3], features={"token": np.arange(3), "pc": np.arange(3)})
    policy, closed = (
        Seeing([1], 9, Trigger.MISS, 0, needs=("pc", "layer")),
        ARRIVALS.validate_python({"kind": "closed"}),
    )
    with pytest.raises(InputError, match=re.escape(f"policy Seeing {MISSING}")):
        make(system(8), closed, ListWorkload(batch), policy, fixed(0), Books(None, 10))
    with pytest.raises(InputError, match="'pc', which the trace does not have; expected a trace with some"):
        make(system(8), closed, ListWorkload(make_batch([1])), policy, fixed(0), Books(None, 10))
    # Who is never asked is not shown anything either.
    run_of(make, batch, replace(policy, trigger=Trigger.NEVER))


@pytest.mark.parametrize("make", ENGINES)
def test_the_trace_may_not_lose_one_on_the_way(make: Any) -> None:
    class Losing(ListWorkload):
        def batches(self) -> Any:
            yield self.batch
            yield make_batch([1, 2])

    batch = with_places(make_batch([1, 2, 3]))
    engine = make(
        system(8), ARRIVALS.validate_python({"kind": "closed"}), Losing(batch), Seeing([1], 9, Trigger.MISS, 0),
        fixed(0), Books(None, 10),
    )  # fmt: skip
    with pytest.raises(InputError, match="'place', which the trace does not have"):
        engine.run()


def test_learned_policies_are_given_those_of_the_training_part() -> None:
    batch = with_places(make_batch(np.arange(20) + 100, stream=np.arange(20) % 3, op=np.arange(20) % 2))
    learned = Learned(ListWorkload(batch, 4), 12, 12, "arm 'a': policy of_layers")
    found = learned.sequences(True, ("place", "access"))
    assert [sequence.columns["access"].tolist() for sequence in found] == [list(range(s, 12, 3)) for s in range(3)]
    assert [sequence.columns["place"].tolist() for sequence in found] == [list(range(s, 12, 3)) for s in range(3)]
    assert [sequence.keys.tolist() for sequence in found] == [list(range(100 + s, 112, 3)) for s in range(3)]
    (whole,) = learned.sequences(False, ("layer", "place"))
    assert whole.columns["layer"].tolist() == batch.features["layer"][:12].tolist()
    assert learned.sequences(False)[0].columns == {}
    with pytest.raises(InputError, match="arm 'a': policy of_layers asks for the feature 'pc'"):
        learned.sequences(True, ("pc",))
