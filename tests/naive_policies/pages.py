"""Twins of the policies that learn what happens in a region or page."""

from collections import deque
from collections.abc import Sequence

from policies.base import TablePolicy, sure
from policies.sms import SmsConfig
from policies.spp import SppConfig
from simulator.policy import Ahead, Fate, Outcome, Told
from tests.naive_policies.table import Table

_SIGNATURE_BITS, _SHIFT = 12, 3
_MOST = 15
_ACCURACY_OF = 1024


class Sms(TablePolicy):
    """Regions used once (filter) and more often (accumulation), and the footprints of those that are over."""

    def __init__(self, config: SmsConfig) -> None:
        super().__init__(config.trigger)
        self._blocks = config.region_blocks
        # Region -> (stream, offset) that began it, and the offsets used since, as bits.
        self._filter: Table[int, tuple[int, int]] = Table(config.filter_entries)
        self._active: Table[int, tuple[tuple[int, int], int]] = Table(config.accumulation_entries)
        self._history: Table[tuple[int, int], int] = Table(config.history_entries)
        self._begun: tuple[int, int] | None = None

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """A region's first block begins a generation; further ones are gathered until one of them is missed again."""
        region, offset = divmod(key, self._blocks)
        self._begun = None
        active = self._active.use(region)
        if active is not None:
            begun_by, footprint = active
            if outcome != Outcome.MISS or not footprint >> offset & 1:
                self._active.put(region, (begun_by, footprint | 1 << offset))
                return
            self._active.pop(region)
            self._history.put(begun_by, footprint)
        first = self._filter.peek(region)
        if first is None or (first[1] == offset and outcome == Outcome.MISS):
            self._filter.put(region, (stream, offset))
            self._begun = (stream, offset)
        elif first[1] != offset:
            self._filter.pop(region)
            gone = self._active.put(region, (first, 1 << first[1] | 1 << offset))
            if gone is not None:
                begun_by, footprint = gone[1]
                self._history.put(begun_by, footprint)

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """At the start of a generation, the footprint that a start like this had last; nearest block first."""
        footprint = self._history.use(self._begun) if self._begun is not None else None
        if footprint is None:
            return []
        region, offset = divmod(key, self._blocks)
        offsets = [i for i in range(self._blocks) if footprint >> i & 1 and i != offset]
        offsets.sort(key=lambda i: (abs(i - offset), i))
        return sure([region * self._blocks + i for i in offsets])


class _Pattern:
    """What followed a signature: counts of its deltas, and of itself."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.total = 0

    def add(self, delta: int, n_deltas: int) -> None:
        """Count a delta; where a count is full all are halved, and the least counted makes room for a new one."""
        if self.total == _MOST or self.counts.get(delta, 0) == _MOST:
            self.total //= 2
            self.counts = {d: n // 2 for d, n in self.counts.items()}
        if delta not in self.counts and len(self.counts) == n_deltas:
            del self.counts[min(self.counts, key=self.counts.__getitem__)]
        self.counts[delta] = self.counts.get(delta, 0) + 1
        self.total += 1


def next_signature(signature: int, delta: int) -> int:
    """The signature after another step: 12 bits, the step as 7 bits of sign and magnitude."""
    step = (abs(delta) & 63) | (64 if delta < 0 else 0)
    return ((signature << _SHIFT) ^ step) & ((1 << _SIGNATURE_BITS) - 1)


class Spp(TablePolicy):
    """Last offset and signature of each page, patterns by signature, and paths that left a page."""

    ahead = Ahead(of_stream=False)

    def __init__(self, config: SppConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._pages: Table[int, tuple[int, int]] = Table(config.signature_entries)
        self._patterns: Table[int, _Pattern] = Table(config.pattern_entries)
        # Signature, confidence, last offset and delta of paths that went beyond their page.
        self._crossed: deque[tuple[int, float, int, int]] = deque(maxlen=config.crossings)
        self._n_settled = self._n_useful = 0

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """The step in its page: the pattern of the old signature learns it, the page gets the new one."""
        page, offset = divmod(key, self._config.page_blocks)
        found = self._pages.use(page)
        if found is None:
            self._pages.put(page, (offset, self._bootstrapped(offset)))
            return
        last, signature = found
        delta = offset - last
        if delta == 0:
            return
        pattern = self._patterns.use(signature)
        if pattern is None:
            pattern = _Pattern()
            self._patterns.put(signature, pattern)
        pattern.add(delta, self._config.deltas)
        self._pages.put(page, (offset, next_signature(signature, delta)))

    def _bootstrapped(self, offset: int) -> int:
        """A new page goes on with the signature of a path that left another one for this offset."""
        for signature, _, last, delta in reversed(self._crossed):
            if (last + delta) % self._config.page_blocks == offset:
                return next_signature(signature, delta)
        return 0

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """Every step of the path whose confidence is high enough; the path follows the likeliest."""
        page, offset = divmod(key, self._config.page_blocks)
        found = self._pages.peek(page)
        if found is None:
            return []
        signature, confidence = found[1], 1.0
        # At first sight of a policy's accuracy there is none: it is believed.
        alpha = (self._n_useful + 1) / (self._n_settled + 1)
        wanted: list[tuple[int, float]] = []
        for depth in range(self._config.max_depth):
            pattern = self._patterns.peek(signature)
            if pattern is None or pattern.total == 0:
                break
            best, best_confidence = 0, 0.0
            for delta, count in pattern.counts.items():
                path = confidence * count / pattern.total * (alpha if depth else 1.0)
                if path >= self._config.threshold:
                    if 0 <= offset + delta < self._config.page_blocks:
                        wanted.append((page * self._config.page_blocks + offset + delta, path))
                    else:
                        self._crossed.append((signature, path, offset, delta))
                if path > best_confidence:
                    best, best_confidence = delta, path
            if best_confidence < self._config.threshold or not 0 <= offset + best < self._config.page_blocks:
                break
            signature, confidence, offset = next_signature(signature, best), best_confidence, offset + best
        # The path may lead back to the block that asks, which is no guess.
        return [one for one in wanted if one[0] != key]

    def told(self, told: Told) -> None:
        """The global accuracy, of about the last thousand prefetches."""
        for fate in told.fates:
            if fate in (Fate.TIMELY, Fate.LATE, Fate.EVICTED_UNUSED):
                self._n_settled += 1
                self._n_useful += fate != Fate.EVICTED_UNUSED
                if self._n_settled == _ACCURACY_OF:
                    self._n_settled //= 2
                    self._n_useful //= 2
