"""Pythia: reinforcement learning (SARSA) of which offset to prefetch, from rewards for what became of earlier ones.

Bera et al., "Pythia: A Customizable Hardware Prefetching Framework Using Online Reinforcement Learning", MICRO 2021.
State: the paper's two features, the last step in a page with who took it (a stream here, an instruction there) and the
page's last four steps. Each has a table of values for each plane, of as many tiles, into which it is hashed; a
feature's value of an action is the sum over its planes, an action's the larger one. Actions wait in a queue until they
are judged: a block that was prefetched and is read is right, and late unless it is found as a prefetched one; what
leaves the queue unseen was wrong, and so is what is written, which needs no fetch. Further multiples of an offset that
was chosen again and again in a page are prefetched with it, as in the authors' code; they are not judged.

The authors judge by the use of the memory's bandwidth, too, which no policy sees here: links count as crowded where
many of those that are right are late. A page is ``page_blocks`` blocks of the cache, for 64 lines of 64 bytes.
"""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.rows import FIELDS
from simulator.answers import HEARD, OUTCOME, WRITTEN, Floats, offer
from simulator.arrays import NONE, Ints, home, plus, quotient, remainder
from simulator.compiled import address_of, floats_at, internal, ints_at
from simulator.config import Count, Ratio
from simulator.policy import Ahead, Outcome
from simulator.records.record import Record, nth, view
from simulator.records.rows import START
from simulator.seeds import generator

Offset = Annotated[int, Field(ge=-(2**16), le=2**16)]
Reward = Annotated[float, Field(ge=-1e6, le=1e6)]


class PythiaConfig(TableSettings):
    """Offsets learned by reinforcement, from steps in a page (Bera et al. 2021)."""

    kind: Literal["pythia"]
    page_blocks: Annotated[int, Field(ge=2, le=2**16)] = 64
    """Blocks of a page, in which steps are seen and which no prefetch leaves."""
    page_entries: Count = 64
    """Pages whose last steps are remembered."""
    queue: Annotated[int, Field(ge=2, le=2**16)] = 256
    """Actions that wait for their judgement (the evaluation queue)."""
    actions: Annotated[tuple[Offset, ...], Field(min_length=1, max_length=256, strict=False)] = (
        1, 3, 4, 5, 10, 11, 12, 22, 23, 30, 32, -1, -3, -6, 0,
    )  # fmt: skip
    """Offsets to choose from; 0: no prefetch. The first is taken where none is worth anything."""
    planes: Annotated[int, Field(ge=1, le=16)] = 3
    """Tables of each feature."""
    tiles: Count = 128
    """Entries of each."""
    alpha: Annotated[float, Field(gt=0, le=1)] = 0.006508802942367162
    """Learning rate."""
    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.556300959940946
    """Discount of the action after."""
    epsilon: Ratio = 0.0018228444309622588
    """Share of actions that are drawn."""
    timely: Reward = 20.0
    """Reward of a prefetch that was there when its block was used."""
    late: Reward = 12.0
    """Of one that was not."""
    wrong: Reward = -8.0
    """Of one whose block did not come, and where links are crowded:"""
    wrong_crowded: Reward = -14.0
    """The same where links are crowded."""
    none: Reward = -4.0
    """Of no prefetch."""
    none_crowded: Reward = -2.0
    """The same where links are crowded."""
    outside: Reward = -12.0
    """Of an offset that leads out of the page."""
    crowded: Ratio = 0.5
    """Share of late ones among the right ones above which links count as crowded."""
    max_degree: Degree = 6
    """Multiples of an offset that are prefetched at once, at most."""
    trigger: TriggerName = "access"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(PythiaPolicy(self, given.seed))


class Action(Record):
    """An action that waits: its block, if it has one; both features; which action; whether it has its reward."""

    key: int
    has_key: int
    first: int
    second: int
    action: int
    is_judged: int


class Pythia(Record):
    """Settings; random numbers drawn; addresses; where pages and blocks that wait are; the queue, from ``oldest`` on.

    ``values``: by feature, plane, tile and action. ``rewards``: of each action that waits, by its place. ``numbers``:
    alpha, gamma, epsilon, the rewards in the order of the settings, ``crowded``, and the share of late ones.
    """

    page_blocks: int
    n_actions: int
    planes: int
    tiles: int
    max_degree: int
    queue: int
    seed: int
    n_drawn: int
    values: int
    rewards: int
    numbers: int
    actions: int
    pages: int
    waiting: int
    oldest: int
    n: int


_at, _nth_action = view(Pythia), nth(Action)
_QUEUE: Any = Pythia.words
_ALPHA, _GAMMA, _EPSILON, _TIMELY, _LATE, _WRONG, _WRONG_CROWDED, _NO, _NO_CROWDED, _OUTSIDE, _CROWDED, _LATENESS = (
    range(12)
)
_WEIGHT = 1 / 64
_HIT_PREFETCHED, _IS_LATE = int(Outcome.HIT_PREFETCHED), int(Outcome.LATE)
# A page has its last offset, its last steps, newest first, and the last two actions, newest first, each as its number
# plus one and how often it came again. A block that waits has its place in the queue.
_STEPS_KEPT = 4
_OFFSET, _N_STEPS, _STEPS = FIELDS, FIELDS + 1, FIELDS + 2
_LAST = _STEPS + _STEPS_KEPT
_PAGE_FIELDS = _LAST + 4 - FIELDS
_PLACE = FIELDS
_MOST_DEGREE = 6


@internal
def _is_crowded(it: Pythia) -> bool:
    numbers = floats_at(it.numbers)
    return numbers[_LATENESS] > numbers[_CROWDED]


@internal
def _base(it: Pythia, feature: int, plane: int, value: int) -> int:
    """Where the values of all actions begin, of a feature with this value in that plane."""
    tile = remainder(home(plus(value, plane), -1), it.tiles)
    return ((feature * it.planes + plane) * it.tiles + tile) * it.n_actions


@internal
def _value(it: Pythia, first: int, second: int, action: int) -> float:
    """The larger of what both features say of an action."""
    values, of_first, of_second = floats_at(it.values), 0.0, 0.0
    for plane in range(it.planes):
        of_first += values[_base(it, 0, plane, first) + action]
        of_second += values[_base(it, 1, plane, second) + action]
    return max(of_first, of_second)


@internal
def _update(it: Pythia, feature: int, value: int, action: int, reward: float, next_value: int, following: int) -> None:
    """SARSA, in each plane of a feature by itself."""
    values, numbers = floats_at(it.values), floats_at(it.numbers)
    for plane in range(it.planes):
        at = _base(it, feature, plane, value) + action
        after = values[_base(it, feature, plane, next_value) + following]
        values[at] += numbers[_ALPHA] * (reward + numbers[_GAMMA] * after - values[at])


@internal
def _leave(state: Ints, it: Pythia) -> None:
    """The oldest action has its reward at last, and its values learn from it and from the action after it."""
    numbers, one = floats_at(it.numbers), _nth_action(state, _QUEUE, it.oldest)
    reward = floats_at(it.rewards)[it.oldest]
    if one.has_key:
        rows.remove(state, it.waiting, rows.peek(state, it.waiting, one.key))
    if one.is_judged == 0:
        crowded = 1 if _is_crowded(it) else 0
        reward = numbers[(_WRONG if one.has_key else _NO) + crowded]
    it.oldest = it.oldest + 1 if it.oldest + 1 < it.queue else 0
    it.n -= 1
    following = _nth_action(state, _QUEUE, it.oldest)
    _update(it, 0, one.first, one.action, reward, following.first, following.action)
    _update(it, 1, one.second, one.action, reward, following.second, following.action)


@internal
def _enter(state: Ints, it: Pythia, action: int, first: int, second: int) -> int:
    """An action that waits, without a block; its place."""
    if it.n == it.queue:
        _leave(state, it)
    place = it.oldest + it.n
    place = place - it.queue if place >= it.queue else place
    it.n += 1
    one = _nth_action(state, _QUEUE, place)
    one.action, one.first, one.second, one.has_key, one.is_judged = action, first, second, 0, 0
    return place


@internal
def _judge(state: Ints, it: Pythia, place: int, reward: float) -> None:
    one = _nth_action(state, _QUEUE, place)
    if one.is_judged == 0:
        floats_at(it.rewards)[place] = reward
        one.is_judged = 1


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """Judge who fetched it, and remember the step in its page."""
    it = _at(state, START)
    if outcome <= HEARD:
        return
    row, numbers = rows.peek(state, it.waiting, key), floats_at(it.numbers)
    is_written = outcome & WRITTEN != 0
    outcome &= OUTCOME
    if row != NONE:
        if outcome in (_HIT_PREFETCHED, _IS_LATE):
            numbers[_LATENESS] += _WEIGHT * ((1.0 if outcome == _IS_LATE else 0.0) - numbers[_LATENESS])
        reward = numbers[_TIMELY if outcome == _HIT_PREFETCHED else _LATE]
        if is_written:
            reward = numbers[_WRONG + (1 if _is_crowded(it) else 0)]
        _judge(state, it, state[row + _PLACE], reward)
    page, offset = quotient(key, it.page_blocks), remainder(key, it.page_blocks)
    row = rows.use(state, it.pages, page)
    if row == NONE:
        row = rows.put(state, it.pages, page)
    else:
        for i in range(_STEPS_KEPT - 1, 0, -1):
            state[row + _STEPS + i] = state[row + _STEPS + i - 1]
        state[row + _STEPS] = offset - state[row + _OFFSET]
        state[row + _N_STEPS] = min(state[row + _N_STEPS] + 1, _STEPS_KEPT)
    state[row + _OFFSET] = offset


@internal
def _drawn(it: Pythia, mask: int) -> int:
    it.n_drawn += 1
    return home(plus(it.seed, it.n_drawn), mask)


@internal
def _choose(it: Pythia, first: int, second: int) -> int:
    """The action of the largest value; where links are free the first one, if none is worth anything."""
    if _drawn(it, 2**53 - 1) / 2**53 < floats_at(it.numbers)[_EPSILON]:
        return _drawn(it, 2**53 - 1) % it.n_actions
    best, its = 0, _value(it, first, second, 0)
    if its < 0.0 and not _is_crowded(it):
        its = 0.0
    for action in range(1, it.n_actions):
        value = _value(it, first, second, action)
        if value > its:
            best, its = action, value
    return best


@internal
def _degree(state: Ints, it: Pythia, row: int, action: int) -> int:
    """How many multiples: more, the more often a page's last two actions were this one. It is the last one now."""
    newer, older = row + _LAST, row + _LAST + 2
    if state[older] == action + 1:
        state[newer], state[newer + 1], state[older], state[older + 1] = (
            state[older], state[older + 1], state[newer], state[newer + 1],
        )  # fmt: skip
    if state[newer] != action + 1:
        state[older], state[older + 1] = state[newer], state[newer + 1]
        state[newer], state[newer + 1] = action + 1, 0
        return 1
    again = state[newer + 1]
    state[newer + 1] += 1
    return min(1 if again <= 1 else 2 if again <= 3 else 4 if again <= 8 else _MOST_DEGREE, it.max_degree)


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The block at the chosen offset, and further multiples of it in the page."""
    it = _at(state, START)
    row = rows.peek(state, it.pages, quotient(key, it.page_blocks))
    if row == NONE:
        return 0
    first = plus(home(stream, -1), state[row + _STEPS])
    second = state[row + _N_STEPS]
    for i in range(_STEPS_KEPT):
        second = home(plus(second, state[row + _STEPS + i]), -1)
    action, offset = _choose(it, first, second), remainder(key, it.page_blocks)
    step = ints_at(it.actions)[action]
    if step == 0:
        _enter(state, it, action, first, second)
        return 0
    n = offer(keys, confidences, 0, key, step, 1.0) if 0 <= offset + step < it.page_blocks else 0
    if n == 0:
        _judge(state, it, _enter(state, it, action, first, second), floats_at(it.numbers)[_OUTSIDE])
        return 0
    if rows.peek(state, it.waiting, keys[0]) != NONE:
        return 0
    place = _enter(state, it, action, first, second)
    one = _nth_action(state, _QUEUE, place)
    one.key, one.has_key = keys[0], 1
    state[rows.put(state, it.waiting, keys[0]) + _PLACE] = place
    for i in range(2, 1 + _degree(state, it, row, action)):
        if 0 <= offset + i * step < it.page_blocks:
            n = offer(keys, confidences, n, key, i * step, 1.0)
    return n


class PythiaPolicy(CompiledPolicy):
    """Values of actions, pages, and a queue of actions."""

    def __init__(self, config: PythiaConfig, seed: int) -> None:
        n_values = 2 * config.planes * config.tiles * len(config.actions)
        pages = Pythia.words + config.queue * Action.words
        waiting = pages + rows.words(config.page_entries, _PAGE_FIELDS)
        state = rows.state(waiting + rows.words(config.queue, 1))
        rows.setup(state, pages, config.page_entries, _PAGE_FIELDS)
        rows.setup(state, waiting, config.queue, 1)
        rewards = (
            config.timely, config.late, config.wrong, config.wrong_crowded, config.none, config.none_crowded,
            config.outside,
        )  # fmt: skip
        numbers = [config.alpha, config.gamma, config.epsilon, *rewards, config.crowded, 0.0]
        self._arrays = {
            "values": np.full(n_values, 1 / (1 - config.gamma)), "rewards": np.zeros(config.queue),
            "numbers": np.array(numbers), "actions": np.array(config.actions, np.int64),
        }  # fmt: skip
        it = Pythia(state, 0)
        for name, array in self._arrays.items():
            setattr(it, name, address_of(array))
        it.page_blocks, it.n_actions, it.planes = config.page_blocks, len(config.actions), config.planes
        it.tiles, it.max_degree, it.queue = config.tiles, config.max_degree, config.queue
        it.pages, it.waiting = pages, waiting
        it.seed = int(generator(seed, "pythia").integers(2**62))
        most = min(config.max_degree, _MOST_DEGREE)
        super().__init__(config.trigger, state, _learn, _want, most, Ahead(of_stream=False), sees_writes=True)
