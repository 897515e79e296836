"""Twins of the policies that learn which block follows which."""

from collections import deque
from collections.abc import Sequence

from policies.base import TablePolicy, sure
from policies.isb import IsbConfig
from policies.markov import MarkovConfig
from policies.mithril import MithrilConfig
from policies.probability_graph import ProbabilityGraphConfig
from simulator.policy import Ahead
from tests.naive_policies.table import Table


class Markov(TablePolicy):
    """Successors with their counts, the one seen last first."""

    ahead = Ahead(of_stream=False)

    def __init__(self, config: MarkovConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._table: Table[int, dict[int, int]] = Table(config.entries)
        self._last: int | None = None

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """The last key is followed by this one."""
        last, self._last = self._last, key
        if last is None or last == key:
            return
        old = self._table.use(last) or {}
        count = old.get(key, 0) + 1
        others = {k: n for k, n in old.items() if k != key}
        if len(others) == self._config.successors:
            # The oldest goes, or the rarest, the oldest of these.
            by_age = list(reversed(others))
            gone = by_age[0] if self._config.order == "recency" else min(by_age, key=others.__getitem__)
            del others[gone]
        self._table.put(last, {key: count, **others})

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """Its successors, each with its share of those that are remembered."""
        found = self._table.peek(key)
        if not found:
            return []
        total = sum(found.values())
        ordered = list(found.items())
        if self._config.order == "frequency":
            ordered.sort(key=lambda item: -item[1])
        return [(k, n / total) for k, n in ordered]


class Isb(TablePolicy):
    """Structural address and confidence of each key, and the way back."""

    def __init__(self, config: IsbConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._most = 2**config.counter_bits - 1
        self._place: Table[int, tuple[int, int]] = Table(config.entries)
        self._key_at: dict[int, int] = {}
        self._last: Table[int, int] = Table(config.streams)
        self._next_chunk = 0

    def _put(self, key: int, place: int, confidence: int) -> None:
        old = self._place.peek(key)
        if old is not None and self._key_at.get(old[0]) == key:
            del self._key_at[old[0]]
        taken = self._key_at.get(place)
        if taken is not None and taken != key:
            self._place.pop(taken)
        gone = self._place.put(key, (place, confidence))
        if gone is not None and self._key_at.get(gone[1][0]) == gone[0]:
            del self._key_at[gone[1][0]]
        self._key_at[place] = key

    def _new_chunk(self) -> int:
        place = self._next_chunk
        self._next_chunk += self._config.chunk
        return place

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """The stream's last key A is followed by B: B's place is behind A's, unless B is believed to be elsewhere."""
        last = self._last.use(stream)
        self._last.put(stream, key)
        if last is None or last == key:
            return
        before = self._place.use(last)
        if before is None:
            before = (self._new_chunk(), self._most)
            self._put(last, *before)
        wanted = before[0] + 1
        if wanted % self._config.chunk == 0:
            wanted = self._new_chunk()
        found = self._place.use(key)
        if found is None:
            # A place that another key holds goes to the new one when that one is believed no more.
            holder = self._key_at.get(wanted)
            if holder is None or self._doubt(holder):
                self._put(key, wanted, self._most)
        elif found[0] == wanted:
            self._place.put(key, (wanted, min(found[1] + 1, self._most)))
        elif self._doubt(key):
            self._put(key, wanted, self._most)

    def _doubt(self, key: int) -> bool:
        """Believe a key's place less; whether it is believed no more."""
        place, confidence = self._place.peek(key) or (0, 0)
        if confidence == 0:
            return True
        self._place.put(key, (place, confidence - 1))
        return False

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """The keys at the places behind, to the end of the chunk."""
        found = self._place.peek(key)
        if found is None:
            return []
        left = self._config.chunk - 1 - found[0] % self._config.chunk
        places = range(found[0] + 1, found[0] + 1 + min(self._config.degree, left))
        return sure([self._key_at[place] for place in places if place in self._key_at])


class Mithril(TablePolicy):
    """Times of use by block: few in the recording table, some in the mining table; and who to prefetch with whom."""

    ahead = Ahead(of_stream=False)

    def __init__(self, config: MithrilConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._now = 0
        self._recording: Table[int, tuple[int, ...]] = Table(config.recording_entries)
        self._mining: dict[int, tuple[int, ...]] = {}
        self._associated: Table[int, tuple[int, ...]] = Table(config.entries)

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """Write down the time; mine when the mining table is full."""
        config = self._config
        self._now += 1
        if key in self._mining:
            times = (*self._mining[key], self._now)
            if len(times) > config.max_support:
                del self._mining[key]
            else:
                self._mining[key] = times
            return
        times = (*(self._recording.peek(key) or ()), self._now)
        if len(times) < config.min_support:
            self._recording.put(key, times)
            return
        self._recording.pop(key)
        self._mining[key] = times
        if len(self._mining) == config.mining_entries:
            self._mine()
            self._mining.clear()

    def _mine(self) -> None:
        """Compare each row with those that begin within its lookahead."""
        rows = sorted(self._mining.items(), key=lambda row: row[1][0])
        for i, (key, times) in enumerate(rows):
            is_first = True
            for other, others in rows[i + 1 :]:
                if others[0] - times[0] > self._config.lookahead:
                    break
                if abs(len(others) - len(times)) > self._config.confidence:
                    continue
                gaps = [abs(a - b) for a, b in zip(times, others, strict=False)]
                n_apart = sum(gap > self._config.lookahead for gap in gaps)
                if n_apart <= self._config.confidence and (is_first or 1 in gaps):
                    self._associate(key, other)
                is_first = False

    def _associate(self, key: int, other: int) -> None:
        """The newest associations stay."""
        old = self._associated.use(key) or ()
        self._associated.put(key, (other, *(k for k in old if k != other))[: self._config.successors])

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """The blocks that go with it."""
        return sure(self._associated.use(key) or ())


class ProbabilityGraph(TablePolicy):
    """For each block how often it was accessed, and how often each other one came within the lookahead."""

    ahead = Ahead(of_stream=False)

    def __init__(self, config: ProbabilityGraphConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._graph: Table[int, tuple[int, dict[int, int]]] = Table(config.entries)
        self._window: deque[int] = deque(maxlen=config.lookahead)

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """An edge from every other block of the window to this one."""
        for earlier in dict.fromkeys(self._window):
            found = self._graph.peek(earlier)
            if found is None or earlier == key:
                continue
            edges = found[1]
            if key not in edges and len(edges) == self._config.successors:
                del edges[min(edges, key=edges.__getitem__)]
            edges[key] = edges.get(key, 0) + 1
        n, edges = self._graph.use(key) or (0, {})
        self._graph.put(key, (n + 1, edges))
        self._window.append(key)

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """The likeliest successors, by edges for each access of this block."""
        n, edges = self._graph.peek(key) or (1, {})
        likely = sorted(edges.items(), key=lambda edge: -edge[1])[: self._config.degree]
        return [(k, min(c / n, 1.0)) for k, c in likely if c / n >= self._config.min_probability]
