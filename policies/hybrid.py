"""A hybrid: several policies at once, each believed as far as what it names comes.

Ours; after the idea of ensembles of prefetchers as ReSemble (Zhang et al., SC 2022), without its network. Each block
that an expert names, fetched or not, is watched (``policies.watching``). So every expert has a moving precision for
each of its ranks, or for each tenth of confidence if it has confidences that were learned, and what any of them names
is wanted where that precision pays. A block that several name is as sure as the surest of them.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from policies import experts, paying, watching
from policies.base import CompiledPolicy, Degree
from policies.experts import TENTHS, Expert, OfExperts, nth_expert, tables_of
from policies.given import Built, Given, Keys
from policies.learned import LearnedTable
from policies.paying import Paying, numbers_of
from policies.timing import Timing
from policies.watching import Watch
from simulator.answers import HAS_GUESS, HEARD, LEARN, WANT, Floats, call_want, distinct
from simulator.arrays import Ints
from simulator.compiled import address_of, c_address, floats_at, internal, ints_at
from simulator.config import Count, Ratio
from simulator.policy import AccessRun, Ahead, Decision, Policy, Table
from simulator.records.record import Record, view
from simulator.records.rows import START

_SHARE = 8


class HybridConfig(OfExperts):
    """Several policies at once, each believed as far as what it names comes (ours)."""

    kind: Literal["hybrid"]
    window: Count = 128
    """Accesses within which a block that was named must come."""
    weight: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Weight of the newest block in a moving precision, at least; it is the mean of all until they are so many."""
    prior: Ratio = 0.3
    """What each precision begins with; as much as four blocks."""
    degree: Degree = 16
    """Blocks wanted at once, at most; and no more than an eighth of what tier 0 holds."""
    rule: Literal["threshold", "cost"] = "threshold"
    """What is wanted: blocks whose precision is at least `threshold`, or at which a prefetch pays (`cost`)."""
    threshold: Ratio = 0.1
    """The least precision, with `rule: threshold`."""

    def fresh(self, given: Given) -> Built:
        """All experts, fresh. Raises InputError if one of them is not asked by compiled code."""
        timing = given.timing() if self.rule == "cost" else None
        threshold = self.threshold if timing is None else timing.break_even()
        built = self.built(given)
        # More at once would push out what is needed, and each other.
        config = self.model_copy(update={"degree": min(self.degree, max(given.room() // _SHARE, 1))})
        policy = HybridPolicy(
            config, [one.policy for one in built], threshold, given.n_streams, timing, is_timed=given.is_measured
        )
        found: dict[str, Any] = {}
        for one in built:
            found = {**one.details, **found}
        learned = next((one for one in built if one.training), built[0])
        return Built(
            policy, {**found, "threshold": threshold}, learned.training,
            [call for one in built for call in one.warm_up], learned.model_file, learned.provenance,
        )  # fmt: skip

    @property
    def can_be_measured(self) -> bool:
        """Asking a dozen of tables is no look-up."""
        return True

    @property
    def is_measured(self) -> bool:
        """Whether one of them is."""
        return any(expert.is_measured for expert in self.experts)


class Hybrid(Record):
    """What is watched, what pays, and addresses: scratch for an expert's answer, for what all named, for an answer.

    Behind it lie the experts.
    """

    n_experts: int
    degree: int
    wanted: int
    sure: int
    found: int
    precision: int
    named_by: int
    experts: int
    watched: Watch
    paying: Paying


_hybrid_at = view(Hybrid)
_EXPERTS: Any = Hybrid.words


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """Judge, and show it to those whose trigger it is; fates go to those that hear."""
    it = _hybrid_at(state, START)
    if outcome > HEARD:
        watching.settle(it.watched, key, outcome)
    else:
        paying.hear(it.paying, key, outcome)
    experts.show(state, _EXPERTS, it.n_experts, key, stream, outcome)


@internal
def _collect(state: Ints, it: Hybrid, key: int, stream: int) -> int:
    """Ask all, and watch what they name; ``found`` has each block once, with the surest that named it. How many."""
    n, wanted, sure, named_by = 0, ints_at(it.wanted), floats_at(it.sure), ints_at(it.named_by)
    found, precision, precisions = ints_at(it.found), floats_at(it.precision), floats_at(it.watched.precisions)
    for i in range(it.n_experts):
        expert = nth_expert(state, _EXPERTS, i)
        if expert.is_asked == 0:
            continue
        n_wanted = call_want(expert.want, ints_at(expert.state), key, stream, wanted, sure) & ~HAS_GUESS
        for rank in range(distinct(key, wanted, sure, n_wanted)):
            guess, place = wanted[rank], rank
            if expert.is_learned:
                place = int(sure[rank] * TENTHS)
            slot = expert.first_slot + min(place, expert.n_slots - 1)
            watching.watch(it.watched, guess, slot)
            at = 0
            while at < n and found[at] != guess:
                at += 1
            if at == n:
                found[n], precision[n], named_by[n] = guess, precisions[slot], i
                n += 1
            elif precisions[slot] > precision[at]:
                precision[at], named_by[at] = precisions[slot], i
    return n


@internal
def _best(it: Hybrid, n: int, least: float, keys: Ints, confidences: Floats) -> int:
    """The surest of what was found, those named first among equals; how many. ``experts`` has who named them."""
    found, precision, named_by, by, kept = (
        ints_at(it.found), floats_at(it.precision), ints_at(it.named_by), ints_at(it.experts), 0,
    )  # fmt: skip
    for i in range(n):
        if precision[i] < least or (kept == it.degree and precision[i] <= confidences[kept - 1]):
            continue
        at = kept if kept < it.degree else kept - 1
        kept = at + 1
        while at > 0 and confidences[at - 1] < precision[i]:
            keys[at], confidences[at], by[at] = keys[at - 1], confidences[at - 1], by[at - 1]
            at -= 1
        keys[at], confidences[at], by[at] = found[i], precision[i], named_by[i]
    return kept


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """What pays."""
    it = _hybrid_at(state, START)
    return _best(it, _collect(state, it, key, stream), paying.least(it.paying), keys, confidences)


def _want_with_guess(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """What pays, and behind it the best guess, whether it pays or not."""
    it = _hybrid_at(state, START)
    n = _best(it, _collect(state, it, key, stream), -2.0, keys, confidences)
    if n == 0:
        return 0
    guess, its, kept, least = keys[0], max(confidences[0], 0.0), 0, paying.least(it.paying)
    while kept < n and confidences[kept] >= least:
        kept += 1
    keys[kept], confidences[kept] = guess, its
    return kept | HAS_GUESS


class HybridPolicy(CompiledPolicy):
    """Policies as experts; asked and shown at every access."""

    def __init__(
        self, config: HybridConfig, policies: Sequence[Policy], threshold: float, n_lines: int,
        timing: Timing | None = None, *, is_timed: bool = False,
    ) -> None:  # fmt: skip
        """``n_lines``: streams of the trace; ``timing``: by it, and what is heard, the threshold follows what pays.

        ``is_timed``: what asking takes is measured, as it is in any case with an expert whose asking is.

        Raises InputError if one is not asked by compiled code.
        """
        self._policies, self._prior = policies, config.prior
        tables = tables_of(policies, config.experts)
        all_of_them = sum(table.most_wanted for table in tables)
        most = max(table.most_wanted for table in tables) + 1
        state = np.zeros(Hybrid.words + len(tables) * Expert.words, np.int64)
        n_slots = experts.set_up(state, Hybrid.words, policies, tables)
        it = Hybrid(state, 0)
        it.n_experts, it.degree = len(tables), config.degree
        self._watched = watching.set_up(it.watched, n_slots, config.window, all_of_them, config.prior, config.weight)
        self._scratch = {
            "wanted": np.zeros(most, np.int64), "sure": np.zeros(most), "found": np.zeros(all_of_them, np.int64),
            "precision": np.zeros(all_of_them), "named_by": np.zeros(all_of_them, np.int64),
        }  # fmt: skip
        by: Ints = np.zeros(config.degree + 1, np.int64)
        it.experts = address_of(by)
        for name, array in self._scratch.items():
            setattr(it, name, address_of(array))
        self._paying = numbers_of(timing, threshold)
        it.paying.numbers = address_of(self._paying)
        is_timed = is_timed or any(table.is_timed for table in tables)
        is_learned = is_timed or any(table.is_learned for table in tables)
        hears = timing is not None or any(table.hears for table in tables)
        super().__init__(
            "access", state, _learn, _want_with_guess if is_learned else _want, config.degree + is_learned,
            Ahead(of_stream=False), hears, sees_writes=True, experts=by,
        )  # fmt: skip
        self._asking: LearnedTable | None = None
        if is_learned:
            self.table = Table(
                state, c_address(LEARN, _learn), c_address(WANT, _want_with_guess), config.degree, hears,
                is_learned=True, is_timed=is_timed, sees_writes=True, experts=by,
            )  # fmt: skip
            self._asking = LearnedTable(self.table, n_lines)
        self.footprint_bytes = sum(policy.footprint_bytes for policy in policies)

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """One answer a run; with experts that are learned, what asking all took."""
        return super().decide(runs) if self._asking is None else self._asking.decide(runs)

    def learn_all(self, keys: Keys, streams: npt.NDArray[np.uint32], writes: npt.NDArray[np.bool_]) -> None:
        """As of all tables; an expert that was trained on these accesses begins anew, for it knew what would come."""
        super().learn_all(keys, streams, writes)
        for expert in self._experts:
            if expert.is_learned:
                mine = slice(expert.first_slot, expert.first_slot + expert.n_slots)
                self._watched["precisions"][mine], self._watched["counts"][mine] = self._prior, watching.PRIOR_COUNT

    @property
    def _experts(self) -> list[Expert]:
        n = Hybrid(self.table.state, 0).n_experts
        return [Expert(self.table.state, Hybrid.words + i * Expert.words) for i in range(n)]

    @property
    def precisions(self) -> list[list[float]]:
        """Of each expert, by rank or by tenth of confidence."""
        found = self._watched["precisions"].tolist()
        return [found[one.first_slot : one.first_slot + one.n_slots] for one in self._experts]

    @property
    def heard(self) -> dict[str, int]:
        """What the rule of what pays goes by."""
        return paying.heard_of(Hybrid(self.table.state, 0).paying)
