"""A client that does what a pattern says, with blocks drawn at random."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from experiments.validation.pattern import Named, Touch
from experiments.validation.standing_in import Wanted
from live import TieredCache
from live.clients import Client, Stream, sleep_to_the_microsecond

_N_KNOWN, _TRIES, _DRAWS = 4, 8, 100


class Walk:
    """Reads and writes what is there, or what is not, as a pattern has it. What is next is chosen before the pause.

    ``keys`` are its own, and more than the tier has room for of them, which is ``room``.
    """

    def __init__(
        self, cache: TieredCache, client: Client, keys: Sequence[int], room: int, wanted: Wanted,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self._cache, self._client, self._keys, self._room, self._wanted = cache, client, keys, room, wanted
        self._rng = rng
        self._lately: list[int] = []
        self._sent: deque[int] = deque(maxlen=room)

    def fill(self, *, writes: bool) -> None:
        """Read until tier 0 is full, and some of each kind, so that all code is loaded."""
        self._client.make_ready()
        first = [self._keys[place] for place in self._rng.permutation(len(self._keys))[: self._room].tolist()]
        for key in [*first, *first[-_N_KNOWN:]]:
            self._client.read([key], 0)
        if writes:
            self._client.write(first[-_N_KNOWN:], 0)
        self._lately = first

    def go(self, stream: Stream, touches: Sequence[Touch]) -> None:
        """All of it, unless it is stopped."""
        sleep_to_the_microsecond()
        client = self._client
        for start, end, is_write, ends_request in stream.steps:
            if client.is_stopped:
                return
            keys, request = self._choose(touches[start:end]), stream.requests[start]
            ended_ns = client.write(keys, request) if is_write else client.read(keys, request)
            self._lately += keys
            del self._lately[: -self._room]
            if ends_request:
                client.think(ended_ns)

    def _choose(self, touches: Sequence[Touch]) -> list[int]:
        """Of one step; what is named at each is left where the policy's stand-in finds it."""
        keys, coming = list[int](), list[int]()
        for touch in touches:
            key = self._of(touch, coming)
            keys.append(key)
            if not touch.is_there and not touch.is_again:
                coming.append(key)
            at_once, later = self._named(touch.at_once), self._named(touch.later)
            if at_once:
                self._wanted.at_once[key] = at_once
            if later:
                self._wanted.later[key] = later
        return keys

    def _of(self, touch: Touch, coming: Sequence[int]) -> int:
        if touch.is_again and coming:
            return coming[int(self._rng.integers(len(coming)))]
        if touch.is_first_use:
            # The one that came last: the oldest may be pushed out by what comes before it is read.
            for key in reversed(self._sent):
                if key in self._cache:
                    self._sent.remove(key)
                    return key
        return self._there() if touch.is_there else self._absent()

    def _named(self, named: Named) -> list[int]:
        absent = [self._absent() for _ in range(named.n_absent)]
        self._sent += absent
        return [*(self._there() for _ in range(named.n_there)), *absent]

    def _absent(self) -> int:
        """Any that is not there, and where all are, one that is: nobody waits for what never comes."""
        for _ in range(_DRAWS):
            key = self._keys[int(self._rng.integers(len(self._keys)))]
            if key not in self._cache:
                return key
        return next((key for key in self._keys if key not in self._cache), key)

    def _there(self) -> int:
        """One of the newer half of those that came in, or the newest if what is sent for has pushed them out."""
        for _ in range(_TRIES):
            key = self._lately[-1 - int(self._rng.integers(-(-len(self._lately) // 2)))]
            if key in self._cache:
                return key
        return self._lately[-1]

    def read_beside(self, n: int, most: int) -> None:
        """Reads beside which others are sent for: one more, two more, and so on in turn, up to ``most`` at once."""
        sleep_to_the_microsecond()
        for i in range(n):
            keys = {
                self._keys[place] for place in self._rng.integers(len(self._keys), size=2 + i % (most - 1)).tolist()
            }
            key, *others = keys
            sent = self._cache.prefetch_async(others)
            ended_ns = self._client.read([key], i)
            for future in sent:
                future.result()
            self._client.think(ended_ns)
