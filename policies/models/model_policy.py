"""Anybody's network and encoder as a policy: what they give is checked, and what they raise is said to be theirs."""

import math
from collections.abc import Callable, Sequence

from policies.models.backend import Backend
from policies.models.config import ModelConfig
from policies.models.context import Context
from policies.models.encoder import Encoder, Found
from policies.models.policy import NetworkPolicy
from policies.models.predictor import After, Predictor
from policies.timing import Timing
from simulator.errors import OutsideError
from simulator.policy import AccessRun, Decision
from simulator.watched import Watched

_NO_LIMIT = 2**62


class ModelPredictor(Predictor):
    """Up to ``degree`` of the encoder's answers."""

    def __init__(
        self, config: ModelConfig, encoder: Encoder, backend: Backend, context: Callable[[], Context],
        trial_ns: dict[str, float],
    ) -> None:  # fmt: skip
        super().__init__(encoder, backend, context, config.horizon, trial_ns)
        self._degree = config.degree
        self._is_ours = config.is_ours
        self._who = f"policy model {config.model}: encoder {config.encoder}"

    def _found(self, last_key: int, after: After) -> Found:
        if self._is_ours:
            # Of one score that is no number all confidences are none.
            found = super()._found(last_key, after)
            if found and math.isnan(found[0][1]):
                raise OutsideError(f"{self._who}: scores after key {last_key} are no numbers; expected finite ones")
            return found
        checked: Found = []
        for answer in list(self.encoder.answers(last_key, after))[: self._degree]:
            key, confidence = answer
            if key != int(key) or not 0 <= key < 2**64:
                raise OutsideError(f"{self._who}: answers with key {key!r}; expected whole numbers from 0 below 2**64")
            if not (math.isfinite(confidence) and 0 <= confidence <= 1):
                raise OutsideError(f"{self._who}: answers with confidence {confidence!r}; expected 0 to 1")
            checked.append((int(key), float(confidence)))
        return checked


class ModelPolicy(NetworkPolicy):
    """As its predictor says."""

    def __init__(
        self, predictor: ModelPredictor, config: ModelConfig, threshold: float, footprint_bytes: int,
        needs: tuple[str, ...], say: Callable[[str], None], timing: Timing | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            predictor, config.trigger, threshold, timing, per_stream=config.per_stream, is_carried=config.is_carried,
            footprint_bytes=footprint_bytes, needs=needs,
        )  # fmt: skip
        self.watched = Watched(f"policy model {config.model}", _NO_LIMIT, say)

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """See the base. Raises OutsideError if network or encoder fails."""
        decision: Decision = self.watched.call(super().decide, runs)[0]
        return decision
