"""Policies that are told what comes, as systems in the field are: the next batch's rows, the next layers' experts.

``lookahead``: a recommender's pipeline has the next batches at hand while this one computes (as BagPipe, Agarwal et
al., SOSP 2023, and ScratchPipe, Kwon et al., ISCA 2022, do). ``expert_gate``: the router of a layer ahead, given this
layer's hidden state, names most of the experts that it will choose (Eliseev and Mazur 2023; 80 to 98 % of them a layer
ahead have been published); how many of them is a setting here, not learned. Both know requests as they will come, and
nothing of what others of the same stream are to bring.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from policies.base import PolicySettings
from policies.given import Built, Demand, Given
from simulator.config import Count, Ratio
from simulator.errors import InputError
from simulator.policy import AccessRun, Ahead, Answer, Decision, Told, Trigger

_NONE = -1
_ALL_KEYS = 2**64


class LookaheadConfig(PolicySettings):
    """The blocks of a stream's next requests, which are known before they come."""

    kind: Literal["lookahead"]
    requests: Annotated[int, Field(ge=1, le=64)] = 1
    """How many of them."""

    @property
    def follows_streams(self) -> bool:
        """From request to request."""
        return True

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(ForetoldPolicy(given.future(), (1.0,) * self.requests, 0, given.seed))


class ExpertGateConfig(PolicySettings):
    """Experts of the next layers, guessed by their routers from this layer's state: as often right as is said."""

    kind: Literal["expert_gate"]
    experts: Count | None = None
    """Experts of a layer: keys are layer times experts plus expert, and a wrong guess is another one of its layer;
    null: as many as the workload says, which `moe_experts` does."""
    accuracy: tuple[Ratio, ...] = Field((0.9,), min_length=1, max_length=64, strict=False)
    """Share of the guesses that are right: a layer ahead, two layers ahead, and so on as far as it looks."""

    @property
    def follows_streams(self) -> bool:
        """From request to request."""
        return True

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        experts = self.experts or given.experts_of_layer
        if not experts:
            raise InputError("policy.experts: is missing, and the workload does not say it; expected a number")
        return Built(ForetoldPolicy(given.future(), self.accuracy, experts, given.seed))


class ForetoldPolicy:
    """Asked at every access; once a request has begun it wants the reads of the stream's next ones, nearest first."""

    hears = False
    recalls = False
    trigger = Trigger.ACCESS
    footprint_bytes = 0
    ahead = Ahead()

    def __init__(self, known: Demand, accuracy: Sequence[float], group: int, seed: int) -> None:
        """``accuracy`` of each request ahead; a wrong block is another one of its ``group`` of keys."""
        self._known, self._accuracy, self._group, self._seed = known, tuple(accuracy), group, seed
        n = len(known.keys)
        requests = known.requests if len(known.requests) == n else np.arange(n)
        # By request, in the order of the trace: they may interleave.
        self._order = np.argsort(requests, kind="stable")
        self._starts = np.searchsorted(requests[self._order], np.arange(int(requests.max(initial=-1)) + 2))
        first = self._order[self._starts[:-1]]
        # Of each stream: which of its accesses begin a request, and which one; its requests, in order.
        self._begins: dict[int, npt.NDArray[np.int64]] = {}
        self._next: npt.NDArray[np.int64] = np.full(len(first), _NONE)
        begins = np.full(n, _NONE)
        begins[first] = np.arange(len(first))
        for stream in np.unique(known.stream).tolist():
            self._begins[stream] = begins[known.stream == stream]
            its = self._begins[stream][self._begins[stream] != _NONE]
            self._next[its[:-1]] = its[1:]
        self._n_shown: dict[int, int] = {}

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """One answer a run."""
        return Decision([self._answer(run) for run in runs])

    def _answer(self, run: AccessRun) -> Answer:
        request = _NONE
        # A stream's accesses are shown in the order of the trace, each once: several where questions were superseded,
        # so that the first of a request need not be the last one here.
        for stream in run.stream.tolist():
            at = self._n_shown[stream] = self._n_shown.get(stream, -1) + 1
            begins = self._begins.get(stream, ())
            if at < len(begins) and begins[at] != _NONE:
                request = int(begins[at])
        found: dict[int, float] = {}
        for ahead, accuracy in enumerate(self._accuracy):
            request = int(self._next[request]) if request != _NONE else _NONE
            if request == _NONE:
                break
            for key in self._guessed(request, ahead, accuracy):
                found.setdefault(key, accuracy)
        if not found:
            return Answer()
        keys = list(found)
        return Answer(keys, list(found.values()), keys[0], found[keys[0]])

    def _guessed(self, request: int, ahead: int, accuracy: float) -> list[int]:
        """The blocks that a request will read, each right or one of its group that is not; the same whenever asked."""
        these = self._order[self._starts[request] : self._starts[request + 1]]
        keys = self._known.keys[these[self._known.reads[these]]].tolist()
        if accuracy == 1.0 or self._group < 2:
            return keys
        rng = np.random.default_rng([self._seed, ahead, request])
        is_right = rng.random(len(keys)) < accuracy
        found = [key for key, right in zip(keys, is_right, strict=True) if right]
        taken = set(keys)
        for key in (key for key, right in zip(keys, is_right, strict=True) if not right):
            first = key - key % self._group
            end = min(first + self._group, _ALL_KEYS)
            not_these = sorted(other for other in taken if first <= other < end)
            if len(not_these) < end - first:
                # The others are counted, not listed: a group may be as large as its setting allows.
                guess = first + int(rng.integers(end - first - len(not_these)))
                for other in not_these:
                    guess += other <= guess
                found.append(guess)
                taken.add(guess)
        return found

    def told(self, told: Told) -> None:
        """Learns nothing."""
