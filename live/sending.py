"""How keys go to a cache of any kind, and what is known there of an access if the cache itself does not say."""

import inspect
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from live.following import Propose
from live.moves import Landing
from simulator.arrays import NONE
from simulator.errors import InputError
from simulator.policy import Answer, Fate, Outcome

Send = Callable[[Answer, int, int], int]
"""Have the blocks of an answer sent for: to the access and the question of these numbers; how many are."""
_REFUSED = (Landing.RESIDENT, Landing.IN_FLIGHT, Landing.UNKNOWN, Landing.OVER_BUDGET)
_MOST_SENT = 1 << 16


def through(propose: Propose) -> Send:
    """Block by block, under the cache's own lock."""

    def send(answer: Answer, access: int, question: int) -> int:
        experts = answer.experts or [NONE] * len(answer.keys)
        return sum(
            propose(key, (question, access, confidence, expert))
            for key, confidence, expert in zip(answer.keys, answer.confidences, experts, strict=True)
        )

    return send


class Sending:
    """By ``prefetch_async`` of a cache, which may take ``confidences`` and the rest, as a ``TieredCache`` does."""

    def __init__(self, cache: Any) -> None:
        call = getattr(cache, "prefetch_async", None)
        if not callable(call):
            raise InputError(f"cache: a {type(cache).__name__}; expected an object with prefetch_async(keys)")
        self._call = call
        try:
            self._says_why = "confidences" in inspect.signature(call).parameters
        except ValueError:
            self._says_why = False

    def __call__(self, answer: Answer, access: int, question: int) -> int:
        """What the cache returns may be futures of ``Prefetched``; of anything else all blocks count as sent for."""
        keys = list(answer.keys)
        if not keys:
            return 0
        more: dict[str, Any] = {}
        if self._says_why:
            more = {"confidences": answer.confidences, "access": access, "inference": question}
            more |= {"experts": answer.experts} if answer.experts else {}
        found = self._call(keys, **more)
        return len(keys) - (sum(_is_refused(one) for one in found) if isinstance(found, list | tuple) else 0)


def _is_refused(future: Any) -> bool:
    if not (hasattr(future, "done") and future.done()) or future.cancelled() or future.exception() is not None:
        return False
    return getattr(future.result(), "landing", None) in _REFUSED


class Outcomes:
    """What an access finds in a cache that only says what it holds (``key in cache``), or not even that.

    A block that was sent for and not met since is a prefetched one. Where the cache says nothing, such a one is there,
    and nothing else is.
    """

    def __init__(self, cache: Any) -> None:
        self._cache, self._says = cache, hasattr(cache, "__contains__")
        self._sent: OrderedDict[int, None] = OrderedDict()

    def sent(self, keys: Sequence[int]) -> None:
        """Blocks were sent for; of very many the oldest are forgotten."""
        self._sent.update(dict.fromkeys(keys))
        while len(self._sent) > _MOST_SENT:
            # One step, whatever other threads do meanwhile.
            self._sent.popitem(last=False)

    def find(self, key: int) -> tuple[Outcome, Fate | None]:
        """The outcome, and what has become of the prefetch that was met."""
        is_sent = key in self._sent
        self._sent.pop(key, None)
        if key in self._cache if self._says else is_sent:
            return (Outcome.HIT_PREFETCHED, Fate.TIMELY) if is_sent else (Outcome.HIT, None)
        return (Outcome.LATE, Fate.LATE) if is_sent else (Outcome.MISS, None)
