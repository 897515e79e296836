"""A selector: one of several policies answers at a time, or none, chosen by a bandit.

Gerogiannis and Torrellas, "Micro-Armed Bandit", MICRO 2023: discounted upper confidence bounds (Garivier and Moulines),
a new choice every ``step`` accesses, each arm once at first. An arm's worth is its discounted mean reward, and to it
comes what is not known: ``c`` times the root of the logarithm of all choices over its own. The paper's arms are sets of
three prefetchers with their degrees, and its reward is instructions per cycle. Here an arm is a policy, and it is
rewarded for the fates of what it fetched, when they are known, even if another one has been chosen meanwhile: for each
access of a step that was read in time or late, less what was wrong; a block that is written was. The last arm fetches
nothing. All policies are shown all accesses of their triggers, only the chosen one is asked, and told of the fates that
are its own.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from policies import experts, rows
from policies.base import CompiledPolicy, show_all
from policies.experts import Expert, OfExperts, nth_expert, tables_of
from policies.given import Built, Given, Keys
from policies.rows import FIELDS
from simulator.answers import HAS_GUESS, HEARD, POLLUTED, WRITTEN, Floats, call_learn, call_want
from simulator.arrays import NONE, Ints
from simulator.compiled import address_of, floats_at, internal, ints_at
from simulator.config import Count
from simulator.errors import InputError
from simulator.policy import Ahead, Fate, Policy
from simulator.records.record import Record, view
from simulator.records.rows import START

Worth = Annotated[float, Field(ge=0, le=1e6)]


class SelectorConfig(OfExperts):
    """One of several policies at a time, or none, chosen by a bandit (Gerogiannis and Torrellas 2023)."""

    kind: Literal["selector"]
    step: Count = 32
    """Accesses until it chooses again."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.999
    """Weight of the step before in an arm's mean reward, and so on."""
    c: Worth = 0.04
    """How much what is not known counts."""
    timely: Worth = 1.0
    """Reward of a prefetch that was there when its block was used."""
    late: Worth = 0.6
    """Of one that was under way."""
    wrong: Worth = 0.1
    """What one costs that was pushed out unused."""
    owners: Count = 4096
    """Blocks whose arm is remembered."""

    def check(self) -> None:
        """What its arms need, and that none of them is a model."""
        super().check()
        for i, expert in enumerate(self.experts):
            if expert.core.is_measured:
                raise _learned(i, expert.kind)

    def fresh(self, given: Given) -> Built:
        """All experts, fresh. Raises InputError if one of them is no table, or is learned."""
        built = self.built(given)
        policy = SelectorPolicy(self, [one.policy for one in built])
        return Built(policy, {key: value for one in built for key, value in one.details.items()})


def _learned(i: int, kind: str) -> InputError:
    return InputError(f"policy.experts.{i}: {kind!r} is learned; expected policies of tables")


class Selector(Record):
    """Arms, with the one that does nothing; which is chosen, since how many accesses; how often one was chosen.

    Addresses: ``sums`` has each arm's discounted rewards, ``counts`` how often it was chosen, discounted; ``numbers``
    gamma, c, the rewards; ``experts`` who wanted each block of the last answer. Behind it lie the arms, then the table
    of blocks by their arm.
    """

    n_arms: int
    chosen: int
    step: int
    n_shown: int
    n_choices: int
    sums: int
    counts: int
    numbers: int
    owners: int
    experts: int


_at = view(Selector)
_ARMS: Any = Selector.words
_GAMMA, _C, _TIMELY, _LATE, _WRONG = range(5)
_IS_TIMELY, _IS_LATE, _IS_WRONG = int(Fate.TIMELY), int(Fate.LATE), int(Fate.EVICTED_UNUSED)
# A block's arm, and which reward it has earned, of those in ``numbers``; 0 is none.
_OWNER, _USED = FIELDS, FIELDS + 1
# What a count has come to that was discounted until nothing was left.
_NEVER = 1e-300


@internal
def _hear(state: Ints, it: Selector, key: int, outcome: int) -> None:
    """The arm that wanted it last hears of it; what is wrong is charged now, what was used with its access."""
    row, numbers = rows.peek(state, it.owners, key), floats_at(it.numbers)
    if row == NONE:
        return
    arm, fate = state[row + _OWNER], HEARD - outcome
    if fate in (_IS_TIMELY, _IS_LATE):
        # The access that used it is shown next: it may be a write.
        state[row + _USED] = _TIMELY if fate == _IS_TIMELY else _LATE
    else:
        if fate == _IS_WRONG:
            floats_at(it.sums)[arm] -= numbers[_WRONG] / it.step
        rows.remove(state, it.owners, row)
    expert = nth_expert(state, _ARMS, arm)
    if expert.hears:
        call_learn(expert.learn, ints_at(expert.state), key, NONE, outcome)


@internal
def _choose(it: Selector) -> int:
    """Each arm once; then the one that may be worth most, the first of those alike."""
    sums, counts, numbers = floats_at(it.sums), floats_at(it.counts), floats_at(it.numbers)
    for arm in range(it.n_arms):
        sums[arm] *= numbers[_GAMMA]
        counts[arm] *= numbers[_GAMMA]
    counts[it.chosen] += 1.0
    it.n_choices += 1
    if it.n_choices < it.n_arms:
        return it.n_choices
    total = 0.0
    for arm in range(it.n_arms):
        total += counts[arm]
    best, its = 0, -math.inf
    for arm in range(it.n_arms):
        count = max(counts[arm], _NEVER)
        worth = sums[arm] / count + numbers[_C] * math.sqrt(math.log(max(total, 1.0)) / count)
        if worth > its:
            best, its = arm, worth
    return best


@internal
def _reward(state: Ints, it: Selector, key: int, is_written: bool) -> None:
    """The arm that had this block fetched, if it was there or on its way."""
    row, numbers = rows.peek(state, it.owners, key), floats_at(it.numbers)
    if row == NONE or state[row + _USED] == 0:
        return
    reward = -numbers[_WRONG] if is_written else numbers[state[row + _USED]]
    floats_at(it.sums)[state[row + _OWNER]] += reward / it.step
    rows.remove(state, it.owners, row)


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """Show it to all whose trigger it is; choose anew when it is time."""
    it = _at(state, START)
    if outcome <= HEARD:
        if outcome != POLLUTED:
            _hear(state, it, key, outcome)
        return
    _reward(state, it, key, outcome & WRITTEN != 0)
    experts.show(state, _ARMS, it.n_arms - 1, key, stream, outcome)
    it.n_shown += 1
    if it.n_shown == it.step:
        it.n_shown = 0
        it.chosen = _choose(it)


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """What the chosen one wants."""
    it = _at(state, START)
    if it.chosen == it.n_arms - 1:
        return 0
    arm = nth_expert(state, _ARMS, it.chosen)
    if arm.is_asked == 0:
        return 0
    n = call_want(arm.want, ints_at(arm.state), key, stream, keys, confidences) & ~HAS_GUESS
    by = ints_at(it.experts)
    for i in range(n):
        row = rows.put(state, it.owners, keys[i])
        state[row + _OWNER], state[row + _USED], by[i] = it.chosen, 0, it.chosen
    return n


class SelectorPolicy(CompiledPolicy):
    """Policies as arms, shown every access."""

    def __init__(self, config: SelectorConfig, policies: Sequence[Policy]) -> None:
        """Raises InputError if one is no table, or is learned."""
        self._policies = policies
        tables = self._tables = tables_of(policies, config.experts)
        for i, table in enumerate(tables):
            if table.is_learned:
                raise _learned(i, config.experts[i].kind)
        n = len(tables) + 1
        owners = Selector.words + (n - 1) * Expert.words
        state = rows.state(owners + rows.words(config.owners, 2))
        rows.setup(state, owners, config.owners, 2)
        self._arrays = {
            "sums": np.zeros(n), "counts": np.zeros(n),
            "numbers": np.array([config.gamma, config.c, config.timely, config.late, config.wrong]),
        }  # fmt: skip
        it = Selector(state, 0)
        for name, array in self._arrays.items():
            setattr(it, name, address_of(array))
        it.n_arms, it.step, it.owners = n, config.step, owners
        experts.set_up(state, Selector.words, policies, tables)
        most = max(table.most_wanted for table in tables)
        by: Ints = np.zeros(most, np.int64)
        it.experts = address_of(by)
        super().__init__(
            "access", state, _learn, _want, most, Ahead(of_stream=False), hears=True, sees_writes=True, experts=by
        )
        self.footprint_bytes = sum(policy.footprint_bytes for policy in policies)

    def learn_all(self, keys: Keys, streams: npt.NDArray[np.uint32], writes: npt.NDArray[np.bool_]) -> None:
        """Each expert by itself: what none of them fetches says nothing of who is worth what."""
        for table in self._tables:
            show_all(table, keys, streams, writes)

    @property
    def choices(self) -> list[float]:
        """How often each arm was chosen, discounted; the last one fetches nothing."""
        found: list[float] = self._arrays["counts"].tolist()
        return found
