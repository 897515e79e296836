"""Twins of the policies that learn by reward."""

from collections import deque
from collections.abc import Sequence

from policies.base import N_KEYS, sure
from policies.pythia import PythiaConfig
from simulator.policy import Ahead, Outcome
from simulator.seeds import generator
from tests.naive_policies.common import WRITTEN, SeesWrites
from tests.naive_policies.table import Table

_WEIGHT = 1 / 64


def mixed(number: int) -> int:
    """The finaliser of splitmix64, of 64 bits."""
    x = number % 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


class _Waiting:
    """An action in the queue."""

    def __init__(self, features: tuple[int, int], action: int, key: int | None) -> None:
        self.features, self.action, self.key = features, action, key
        self.reward: float | None = None


class _Page:
    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.steps: deque[int] = deque(maxlen=4)
        # The last two actions, newest first, and how often each came again.
        self.last: list[list[int]] = []


class Pythia(SeesWrites):
    """Values by feature, plane, tile and action in a dict; a queue that is looked through."""

    ahead = Ahead(of_stream=False)

    def __init__(self, config: PythiaConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._values: dict[tuple[int, int, int, int], float] = {}
        self._pages: Table[int, _Page] = Table(config.page_entries)
        self._queue: deque[_Waiting] = deque()
        self._lateness = 0.0
        self._seed, self._n_drawn = int(generator(0, "pythia").integers(2**62)), 0

    def _drawn(self) -> int:
        self._n_drawn += 1
        return mixed(self._seed + self._n_drawn) % 2**53

    def _places(self, feature: int, value: int, action: int) -> list[tuple[int, int, int, int]]:
        planes, tiles = self._config.planes, self._config.tiles
        return [(feature, plane, mixed(value + plane) % tiles, action) for plane in range(planes)]

    def _at(self, place: tuple[int, int, int, int]) -> float:
        return self._values.setdefault(place, 1 / (1 - self._config.gamma))

    def _value(self, features: tuple[int, int], action: int) -> float:
        found = []
        for feature, value in enumerate(features):
            total = 0.0
            for place in self._places(feature, value, action):
                total += self._at(place)
            found.append(total)
        return max(found)

    @property
    def _is_crowded(self) -> bool:
        return self._lateness > self._config.crowded

    @property
    def _wrong(self) -> float:
        return self._config.wrong_crowded if self._is_crowded else self._config.wrong

    def learn(self, key: int, stream: int, outcome: int) -> None:
        config, is_written, outcome = self._config, outcome >= WRITTEN, outcome % WRITTEN
        for one in self._queue:
            if one.key == key:
                if outcome in (Outcome.LATE, Outcome.HIT_PREFETCHED):
                    self._lateness += _WEIGHT * ((outcome == Outcome.LATE) - self._lateness)
                if one.reward is None and is_written:
                    one.reward = self._wrong
                elif one.reward is None:
                    one.reward = config.timely if outcome == Outcome.HIT_PREFETCHED else config.late
        number, offset = divmod(key, config.page_blocks)
        page = self._pages.use(number)
        if page is None:
            self._pages.put(number, _Page(offset))
            return
        page.steps.appendleft(offset - page.offset)
        page.offset = offset

    def _enter(self, one: _Waiting) -> None:
        config = self._config
        if len(self._queue) == config.queue:
            gone, following = self._queue.popleft(), self._queue[0]
            if gone.reward is None and gone.key is None:
                gone.reward = config.none_crowded if self._is_crowded else config.none
            elif gone.reward is None:
                gone.reward = self._wrong
            for feature in range(2):
                places = self._places(feature, gone.features[feature], gone.action)
                nexts = self._places(feature, following.features[feature], following.action)
                for place, after in zip(places, nexts, strict=True):
                    target = gone.reward + config.gamma * self._at(after)
                    self._values[place] = self._at(place) + config.alpha * (target - self._at(place))
        self._queue.append(one)

    def _choose(self, features: tuple[int, int]) -> int:
        n = len(self._config.actions)
        if self._drawn() / 2**53 < self._config.epsilon:
            return self._drawn() % n
        values = [self._value(features, action) for action in range(n)]
        if not self._is_crowded:
            values[0] = max(values[0], 0.0)
        return values.index(max(values))

    def _degree(self, page: _Page, action: int) -> int:
        for i, (earlier, again) in enumerate(page.last):
            if earlier == action:
                del page.last[i]
                page.last.insert(0, [action, again + 1])
                found = 1 if again <= 1 else 2 if again <= 3 else 4 if again <= 8 else 6
                return min(found, self._config.max_degree)
        page.last = [[action, 0], *page.last[:1]]
        return 1

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        config = self._config
        number, offset = divmod(key, config.page_blocks)
        page = self._pages.peek(number)
        if page is None:
            return []
        history = len(page.steps)
        for step in [*page.steps, 0, 0, 0, 0][:4]:
            history = mixed(history + step)
        features = mixed(stream) + (page.steps[0] if page.steps else 0), history
        action = self._choose(features)
        step = config.actions[action]
        if step == 0:
            self._enter(_Waiting(features, action, None))
            return []
        if not 0 <= offset + step < config.page_blocks or not 0 <= key + step < N_KEYS:
            one = _Waiting(features, action, None)
            self._enter(one)
            one.reward = config.outside
            return []
        if any(one.key == key + step for one in self._queue):
            return []
        self._enter(_Waiting(features, action, key + step))
        steps = [i * step for i in range(1, 1 + self._degree(page, action))]
        return sure([key + one for one in steps if 0 <= offset + one < config.page_blocks])
