"""A prefetch policy that is really asked: by a thread of its own, beside the clients of a cache (docs/live.md)."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from pydantic import ValidationError

from live.building import Trains, builder, next_key
from live.engine_metrics import EngineMetrics, Tally
from live.errors import EngineError, LiveError
from live.following import Propose
from live.issuing import checked
from live.moves import READ, WRITE, Access
from live.predicting import Predictor
from live.questions import Question
from live.recorder import Recorder
from live.sending import Outcomes, Sending, through
from live.streams import device_in_use
from policies.base import PolicySettings
from policies.given import Built
from simulator.config import InferenceServer
from simulator.errors import InputError
from simulator.needs import features_among
from simulator.policy import Answer, Fate, Outcome, Policy, Trigger


class PrefetchEngine:
    """Asks a policy about the accesses to a cache, and has sent for what it wants.

    A ``TieredCache`` tells of its accesses, outcomes and prefetches itself: it is used as ever, and the policy is asked
    beside it. With any other cache, an object with ``prefetch_async(keys)``, each access is said by ``process_access``.

    Args:
        policy: A line, ``"next_n(n=4)"``, or settings of any policy of ``tierfetch policies``; what ``build`` of such
            returns; or an object with the members of ``simulator.policy.Policy``.
        cache: Where keys go. One engine for a cache.
        train_on: Keys that a policy learns from before it is asked: of all streams, or a mapping from each to its own.
        seed: Of what is drawn in training.
        n_streams: How many streams there are, counted from 0, for policies that keep something of each.
        threshold: Blocks that the policy is less sure of are not sent for, whatever threshold it has itself.
        window: How many accesses ``predict_next_key`` goes by where it is given none.
        mode: ``async``: an access goes on; ``sync``: it waits for its answer.
        queue: ``newest_first`` or ``fifo``, as ``queue_limit``, ``batch_size`` and ``stale_after`` (ns, or "2 ms") are:
            as in ``system.inference`` of a config.
        follow: Whether a cache that can tell of its accesses does; if not, they are said as with any other cache.
        recorder: Takes rows of ``inferences``; by default the cache's, if it has one.

    Raises:
        InputError: something of that makes no sense, or the policy needs what is not there.
    """

    def __init__(
        self, policy: Any, cache: Any, *, train_on: Trains | None = None, seed: int = 0, n_streams: int = 1,
        threshold: float = 0.0, window: int = 16, mode: Literal["async", "sync"] = "async",
        queue: Literal["newest_first", "fifo"] = "newest_first", queue_limit: int = 16, batch_size: int = 1,
        stale_after: int | str | None = None, follow: bool = True, recorder: Recorder | None = None,
    ) -> None:  # fmt: skip
        if not threshold >= 0:
            raise InputError(f"threshold: {threshold}; expected a number from 0 on")
        if window < 1:
            raise InputError(f"window: {window}; expected 1 or more")
        settings = _settings(
            mode=mode, queue=queue, queue_limit=queue_limit, batch_size=batch_size, stale_after=stale_after
        )
        self._sending, self._outcomes = Sending(cache), Outcomes(cache)
        self._cache, self.is_sync = cache, settings.mode == "sync"
        self._is_followed, self._is_closed = follow and hasattr(cache, "follow"), False
        began_ns = time.perf_counter_ns()
        clock: Callable[[], int] = lambda: time.perf_counter_ns() - began_ns  # noqa: E731
        device = device_in_use()
        if hasattr(cache, "follow"):
            clock, recorder = (lambda: cache.now_ns), recorder or cache.recorder
            device = device if cache.gpu is None else cache.gpu
        self._clock, self._size = clock, int(getattr(cache, "block", 0))
        self._recent: deque[int] = deque(maxlen=window)
        build = builder(policy, train_on, seed, n_streams, batch_size)
        # What was handed over ready-made cannot be made afresh.
        is_said = isinstance(policy, str | Mapping | PolicySettings)
        self._build: Callable[[], Built] | None = build if is_said else None
        # One that was made on another stream goes on there.
        device = device if is_said else None
        self._predictor = Predictor(build, settings, threshold, self._send, Tally(recorder), clock, device)
        try:
            self._check_policy()
            if self._is_followed:
                cache.follow(self)
        except BaseException:
            self._predictor.close()
            raise

    def _check_policy(self) -> None:
        if self.policy.trigger == Trigger.ARRIVAL:
            raise InputError("policy: is asked when requests arrive; expected one that is asked at accesses")
        features = features_among(self._predictor.questions.needs)
        if features and self._is_followed:
            raise InputError(f"policy: needs {', '.join(features)}; expected one that needs no features of a trace")

    @property
    def policy(self) -> Policy:
        """What is asked; not to be called while the engine is open."""
        return self._predictor.policy

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            self.close()
        except EngineError:
            if kind is None:
                raise

    def process_access(
        self, key: int, *, stream: int = 0, request: int = 0, is_write: bool = False,
        outcome: Outcome | None = None, features: Mapping[str, int] | None = None,
    ) -> list[int]:  # fmt: skip
        """An access to the cache is about to be made, or has been, where ``outcome`` says what it found.

        Without one, what ``key in cache`` says counts, where the cache can say that, and the policy hears by it what
        has become of prefetches. Who says outcomes says that, too, by ``settled``. Any thread may call it at any time;
        what fails in a policy is not the caller's.

        Returns:
            In ``sync`` mode the keys that were wanted, else none: they come later.

        Raises:
            LiveError: the cache tells of its accesses itself.
            InputError: the key is none, or a feature is missing that the policy needs.
        """
        if self._is_followed:
            raise LiveError(
                "process_access: the cache tells the engine of its accesses; expected cache.get or cache.put"
            )
        missing = set(features_among(self._predictor.questions.needs)) - set(features or ())
        if missing:
            raise InputError(f"features: without {', '.join(sorted(missing))}; expected what the policy needs")
        access = Access(checked(key), WRITE if is_write else READ, stream, request, None, self._clock())
        found, fate = self._outcomes.find(access.key)
        access.outcome = found if outcome is None else outcome
        if fate is not None and outcome is None:
            self._predictor.settled(access.key, fate)
        self._recent.append(access.key)
        # It gets the next number.
        access.index = -1
        question = self._predictor.see(access, self._size, dict(features or {}), self._send)
        if question is None:
            return []
        question.gate.acquire()
        return list(self._predictor.deliver(question, self._send).keys)

    def predict_next_key(self, sequence: Sequence[int] | None = None) -> tuple[int, float]:
        """The key that most likely comes after a sequence of keys, and how likely the policy takes it to be.

        Nothing but the sequence counts: a network runs it from an empty state, of another policy a fresh one sees it,
        as misses of one stream. Without a sequence it is the last ``window`` accesses. What is asked at accesses
        meanwhile waits for it.

        Raises:
            ValueError: the sequence is empty, or the policy has no guess.
            InputError: a key is none, or the policy was handed over ready-made and is no network.
        """
        keys = np.array([checked(key) for key in (self._recent.copy() if sequence is None else sequence)], np.uint64)
        found: tuple[int, float] = self._predictor.do(lambda: next_key(self.policy, self._build, keys))
        return found

    def prefetch_async(self, keys: Iterable[int]) -> Any:
        """Have blocks sent for that the caller knows of; returns what the cache returns."""
        wanted = [checked(key) for key in keys]
        self._outcomes.sent(wanted)
        return self._cache.prefetch_async(wanted)

    def _send(self, answer: Answer, access: int, question: int) -> int:
        if not self._is_followed:
            self._outcomes.sent(answer.keys)
        return self._sending(answer, access, question)

    def before(self, access: Access) -> Question | None:
        """The cache says that an access has come, which waits here for its answer."""
        question = self._predictor.see(access, self._size, None, self._send)
        if question is not None:
            question.gate.acquire()
        return question

    def issued(self, access: Access, asked: Question | None, propose: Propose) -> None:
        """The cache says that an access was looked up."""
        self._recent.append(access.key)
        if not self.is_sync:
            # Python runs one thread at a time: the policy's would hold up who copies a block that is there.
            self._predictor.see(access, self._size, None, through(propose), wakes=not access.is_served)
        elif asked is not None:
            self._predictor.deliver(asked, through(propose))

    def served(self) -> None:
        """The cache says that an access that found its block has been served: now its question may be answered."""
        self._predictor.wake()

    def settled(self, key: int, fate: Fate) -> None:
        """The cache, or who says outcomes, says what has become of a prefetch."""
        self._predictor.settled(key, fate)

    def polluted(self) -> None:
        """The same, that a prefetch has cost an access its block."""
        self._predictor.polluted()

    def drain(self, timeout_s: float = 60.0) -> bool:
        """Wait until no question waits and none is being answered; False if that took too long."""
        return self._predictor.drain(timeout_s)

    def metrics(self) -> EngineMetrics:
        """What has been counted, at one moment."""
        return self._predictor.metrics()

    def check(self) -> None:
        """Raises EngineError if the policy has failed, which stops nobody but the policy; or if the cache has."""
        self._predictor.check()

    def close(self) -> None:
        """End the predictor's thread; questions that wait are not answered. The cache stays open.

        Raises:
            EngineError: the policy, or what was to take its blocks, has failed; the engine is closed all the same.
        """
        if self._is_followed and not self._is_closed:
            self._cache.follow(None)
        self._is_closed = True
        if self._predictor.close():
            self._predictor.check()


def _settings(**said: Any) -> InferenceServer:
    if isinstance(said["stale_after"], int):
        # A config has units, and a caller of Python may have ns.
        said["stale_after"] = f"{said['stale_after']} ns"
    try:
        return InferenceServer.model_validate(said)
    except ValidationError as error:
        raise InputError(
            *(f"{'.'.join(map(str, found['loc']))}: {found['msg']}; not {found['input']!r}" for found in error.errors())
        ) from None
