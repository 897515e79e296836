"""A hybrid: several policies at once, each believed as far as what it names comes.

Ours; after the idea of ensembles of prefetchers as ReSemble (Zhang et al., SC 2022), without its network. Each block
that an expert names, fetched or not, is watched for the next ``window`` accesses. So every expert has a moving
precision for each of its ranks, or for each tenth of confidence if it has confidences that were learned, and what any
of them names is wanted where that precision pays. A block that several name is as sure as the surest of them.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from policies.base import CompiledPolicy, Degree, TableSettings
from policies.given import Built, Given
from policies.learned import LearnedTable
from policies.registry import PolicyConfig
from simulator.answers import HAS_GUESS, HEARD, LEARN, OUTCOME, WANT, WRITTEN, Floats, call_learn, call_want
from simulator.arrays import NONE, Ints, spot
from simulator.compiled import address_of, c_address, floats_at, internal, ints_at
from simulator.config import Count, Ratio
from simulator.errors import InputError
from simulator.policy import AccessRun, Ahead, Decision, Outcome, Policy, Table, Trigger
from simulator.records.record import Record, nth, view
from simulator.records.rows import START

_TENTHS = 10
_ASKED = {"trigger": "access"}
_USUAL: tuple[dict[str, Any], ...] = (
    {"kind": "next_n", "n": 16, **_ASKED},
    {"kind": "stride", **_ASKED},
    {"kind": "ghb", "index": "global", **_ASKED},
    {"kind": "dcpt", **_ASKED},
    {"kind": "spp", **_ASKED},
    {"kind": "sms", **_ASKED},
    {"kind": "amp", **_ASKED},
    {"kind": "isb", **_ASKED},
    {"kind": "markov", **_ASKED},
    {"kind": "mithril", **_ASKED},
    {"kind": "probability_graph", "min_probability": 0.02, **_ASKED},
    {"kind": "static_deltas", "rule": "threshold", "threshold": 0.02, **_ASKED},
)


class HybridConfig(TableSettings):
    """Several policies at once, each believed as far as what it names comes (ours)."""

    kind: Literal["hybrid"]
    experts: Annotated[tuple[PolicyConfig, ...], Field(min_length=1, max_length=64, strict=False)] = _USUAL  # type: ignore[assignment]
    """The policies. By default twelve of tables, asked at every access; one of them counts in the training part."""
    window: Count = 32
    """Accesses within which a block that was named must come."""
    weight: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Weight of the newest block in a moving precision."""
    prior: Ratio = 0.3
    """What each precision begins with."""
    degree: Degree = 16
    """Blocks wanted at once, at most."""
    rule: Literal["threshold", "cost"] = "threshold"
    """What is wanted: blocks whose precision is at least `threshold`, or at which a prefetch pays (`cost`)."""
    threshold: Ratio = 0.1
    """The least precision, with `rule: threshold`."""

    def fresh(self, given: Given) -> Built:
        """All experts, fresh. Raises InputError if one of them is not asked by compiled code."""
        threshold = given.timing().break_even() if self.rule == "cost" else self.threshold
        built = [expert.unrestrained().build(given) for expert in self.experts]
        policy = HybridPolicy(self, [one.policy for one in built], threshold, given.n_streams)
        found: dict[str, Any] = {}
        for one in built:
            found = {**one.details, **found}
        learned = next((one for one in built if one.training), built[0])
        return Built(
            policy, {**found, "threshold": threshold}, learned.training,
            [call for one in built for call in one.warm_up], learned.model_file, learned.provenance,
        )  # fmt: skip

    def check(self) -> None:
        """What the experts need."""
        for expert in self.experts:
            expert.check()

    def prepare(self, given: Given) -> None:
        """What the experts learn."""
        for expert in self.experts:
            expert.prepare(given)

    @property
    def learns(self) -> bool:
        """Whether one of them does, or all are warmed."""
        return self.start == "warm" or any(expert.learns for expert in self.experts)

    @property
    def is_measured(self) -> bool:
        """Whether one of them is."""
        return any(expert.is_measured for expert in self.experts)


class Expert(Record):
    """One of the policies: the addresses of its state and functions, which accesses are its trigger's, its precisions.

    ``is_asked``: the last access was one of these.
    """

    state: int
    learn: int
    want: int
    above: int
    hears: int
    is_learned: int
    first_slot: int
    n_slots: int
    is_asked: int


class Named(Record):
    """A block that a slot named: until which access it may come; the next one in the bucket; whether it is watched."""

    key: int
    slot: int
    due: int
    next: int
    is_open: int


class Hybrid(Record):
    """Settings; addresses; what is watched, a ring of ``room`` places of which ``n`` from ``first`` on are in use.

    ``numbers``: the threshold and the weight. ``wanted`` and ``sure`` is scratch for an expert's answer, ``found`` and
    ``precision`` for what all have named. Behind it lie the experts, then the ring.
    """

    n_experts: int
    window: int
    degree: int
    now: int
    first: int
    n: int
    room: int
    mask: int
    buckets: int
    precisions: int
    counts: int
    numbers: int
    wanted: int
    sure: int
    found: int
    precision: int


_hybrid_at, _nth_expert, _nth_named = view(Hybrid), nth(Expert), nth(Named)
_EXPERTS: Any = Hybrid.words
_EXPERT_WORDS = Expert.words


@internal
def _ring(it: Hybrid) -> Any:
    return _EXPERTS + it.n_experts * _EXPERT_WORDS


@internal
def _close(state: Ints, it: Hybrid, place: int, gain: float) -> None:
    """Judge what is watched, and take it out of its bucket."""
    one = _nth_named(state, _ring(it), place)
    one.is_open = 0
    precisions, counts, weight = floats_at(it.precisions), floats_at(it.counts), floats_at(it.numbers)[1]
    # The mean of all until there are more than the weight tells apart.
    counts[one.slot] += 1.0
    precisions[one.slot] += max(weight, 1.0 / counts[one.slot]) * (gain - precisions[one.slot])
    buckets, at = ints_at(it.buckets), spot(one.key, it.mask)
    # Places are kept plus one: 0 is none.
    if buckets[at] == place + 1:
        buckets[at] = one.next
        return
    before = _nth_named(state, _ring(it), buckets[at] - 1)
    while before.next != place + 1:
        before = _nth_named(state, _ring(it), before.next - 1)
    before.next = one.next


@internal
def _forget_first(state: Ints, it: Hybrid) -> None:
    """What was named first has not come, if it is still watched."""
    if _nth_named(state, _ring(it), it.first).is_open:
        _close(state, it, it.first, 0.0)
    it.first = it.first + 1 if it.first + 1 < it.room else 0
    it.n -= 1


@internal
def _settle(state: Ints, it: Hybrid, key: int, gain: float) -> None:
    """All that named this block were right, if it is read; what is due now was wrong."""
    place = ints_at(it.buckets)[spot(key, it.mask)]
    while place != 0:
        one = _nth_named(state, _ring(it), place - 1)
        following = one.next
        if one.key == key:
            _close(state, it, place - 1, gain)
        place = following
    while it.n > 0 and _nth_named(state, _ring(it), it.first).due <= it.now:
        _forget_first(state, it)


@internal
def _watch(state: Ints, it: Hybrid, key: int, slot: int) -> None:
    if it.n == it.room:
        _forget_first(state, it)
    place = it.first + it.n
    place = place - it.room if place >= it.room else place
    it.n += 1
    one = _nth_named(state, _ring(it), place)
    buckets, at = ints_at(it.buckets), spot(key, it.mask)
    one.key, one.slot, one.due, one.is_open = key, slot, it.now + it.window, 1
    one.next = buckets[at]
    buckets[at] = place + 1


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """Judge, and show it to those whose trigger it is; fates go to those that hear."""
    it = _hybrid_at(state, START)
    if outcome > HEARD:
        it.now += 1
        _settle(state, it, key, 1.0 if outcome & WRITTEN == 0 else -1.0)
        outcome &= OUTCOME
    for i in range(it.n_experts):
        expert = _nth_expert(state, _EXPERTS, i)
        if outcome <= HEARD:
            if expert.hears:
                call_learn(expert.learn, ints_at(expert.state), key, stream, outcome)
            continue
        expert.is_asked = outcome > expert.above
        if expert.is_asked:
            call_learn(expert.learn, ints_at(expert.state), key, stream, outcome)


@internal
def _collect(state: Ints, it: Hybrid, key: int, stream: int) -> int:
    """Ask all, and watch what they name; ``found`` and ``precision`` have each block once. How many there are."""
    n, wanted, sure = 0, ints_at(it.wanted), floats_at(it.sure)
    found, precision, precisions = ints_at(it.found), floats_at(it.precision), floats_at(it.precisions)
    for i in range(it.n_experts):
        expert = _nth_expert(state, _EXPERTS, i)
        if expert.is_asked == 0:
            continue
        n_wanted = call_want(expert.want, ints_at(expert.state), key, stream, wanted, sure) & ~HAS_GUESS
        for rank in range(n_wanted):
            guess, place = wanted[rank], rank
            if guess == key:
                continue
            if expert.is_learned:
                place = int(sure[rank] * _TENTHS)
            slot = expert.first_slot + min(place, expert.n_slots - 1)
            _watch(state, it, guess, slot)
            at = 0
            while at < n and found[at] != guess:
                at += 1
            if at == n:
                found[n], precision[n] = guess, precisions[slot]
                n += 1
            else:
                precision[at] = max(precision[at], precisions[slot])
    return n


@internal
def _best(it: Hybrid, n: int, least: float, keys: Ints, confidences: Floats) -> int:
    """The surest of what was found, those named first among equals; how many."""
    found, precision, kept = ints_at(it.found), floats_at(it.precision), 0
    for i in range(n):
        if precision[i] < least or (kept == it.degree and precision[i] <= confidences[kept - 1]):
            continue
        at = kept if kept < it.degree else kept - 1
        kept = at + 1
        while at > 0 and confidences[at - 1] < precision[i]:
            keys[at], confidences[at] = keys[at - 1], confidences[at - 1]
            at -= 1
        keys[at], confidences[at] = found[i], precision[i]
    return kept


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """What pays."""
    it = _hybrid_at(state, START)
    return _best(it, _collect(state, it, key, stream), floats_at(it.numbers)[0], keys, confidences)


def _want_with_guess(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """What pays, and behind it the best guess, whether it pays or not."""
    it = _hybrid_at(state, START)
    n = _best(it, _collect(state, it, key, stream), 0.0, keys, confidences)
    if n == 0:
        return 0
    guess, its, kept, least = keys[0], confidences[0], 0, floats_at(it.numbers)[0]
    while kept < n and confidences[kept] >= least:
        kept += 1
    keys[kept], confidences[kept] = guess, its
    return kept | HAS_GUESS


class HybridPolicy(CompiledPolicy):
    """Policies as experts; asked and shown at every access."""

    def __init__(self, config: HybridConfig, policies: Sequence[Policy], threshold: float, n_lines: int) -> None:
        """``n_lines``: streams of the trace. Raises InputError if one is not asked by compiled code."""
        self._policies = policies
        tables = [_table_of(policy, i, config) for i, policy in enumerate(policies)]
        slots = [_TENTHS if table.is_learned else table.most_wanted for table in tables]
        most = max(table.most_wanted for table in tables) + 1
        all_of_them = sum(table.most_wanted for table in tables)
        room = all_of_them * (config.window + 1)
        state = np.zeros(Hybrid.words + len(tables) * Expert.words + room * Named.words, np.int64)
        n_buckets = 1 << (2 * room).bit_length()
        it = Hybrid(state, 0)
        self._arrays = {
            "buckets": np.zeros(n_buckets, np.int64), "precisions": np.full(sum(slots), config.prior),
            "counts": np.full(sum(slots), float(__import__("os").environ.get("K", "4"))),
            "numbers": np.array([threshold, config.weight]), "wanted": np.zeros(most, np.int64),
            "sure": np.zeros(most), "found": np.zeros(all_of_them, np.int64), "precision": np.zeros(all_of_them),
        }  # fmt: skip
        for name, array in self._arrays.items():
            setattr(it, name, address_of(array))
        it.n_experts, it.window, it.degree = len(tables), config.window, config.degree
        it.room, it.mask = room, n_buckets - 1
        first_slot = 0
        for i, (policy, table, n_slots) in enumerate(zip(policies, tables, slots, strict=True)):
            expert = Expert(state, Hybrid.words + i * Expert.words)
            expert.state, expert.learn, expert.want = address_of(table.state), table.learn, table.want
            expert.above = -1 if table.is_learned else _above(policy.trigger)
            expert.hears, expert.is_learned = table.hears, table.is_learned
            expert.first_slot, expert.n_slots = first_slot, n_slots
            first_slot += n_slots
        is_learned = any(table.is_learned for table in tables)
        hears = any(table.hears for table in tables)
        super().__init__(
            "access", state, _learn, _want_with_guess if is_learned else _want, config.degree + is_learned,
            Ahead(of_stream=False), hears, sees_writes=True,
        )  # fmt: skip
        self._asking: LearnedTable | None = None
        if is_learned:
            is_timed = any(table.is_timed for table in tables)
            self.table = Table(
                state, c_address(LEARN, _learn), c_address(WANT, _want_with_guess), config.degree, hears,
                is_learned=True, is_timed=is_timed, sees_writes=True,
            )  # fmt: skip
            self._asking = LearnedTable(self.table, n_lines)
        self.footprint_bytes = sum(policy.footprint_bytes for policy in policies)

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """One answer a run; with experts that are learned, what asking all took."""
        return super().decide(runs) if self._asking is None else self._asking.decide(runs)

    @property
    def precisions(self) -> list[list[float]]:
        """Of each expert, by rank or by tenth of confidence."""
        it = Hybrid(self.table.state, 0)
        experts = [Expert(self.table.state, Hybrid.words + i * Expert.words) for i in range(it.n_experts)]
        found = self._arrays["precisions"].tolist()
        return [found[one.first_slot : one.first_slot + one.n_slots] for one in experts]


def _above(trigger: Trigger) -> int:
    """The outcomes above this one are the trigger's."""
    usual = {Trigger.TAGGED: Outcome.HIT, Trigger.MISS: Outcome.HIT_PREFETCHED, Trigger.NEVER: Outcome.MISS}
    return int(usual.get(trigger, NONE))


def _table_of(policy: Policy, i: int, config: HybridConfig) -> Table:
    table: Table | None = getattr(policy, "table", None)
    if table is None:
        raise InputError(
            f"policy.experts.{i}: {config.experts[i].kind!r} is asked by Python here; expected policies that compiled "
            "code asks: those of tables, and lstm on the backend 'compiled'"
        )
    return table
