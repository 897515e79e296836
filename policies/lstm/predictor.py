"""The LSTM's predictor alone: keys in, the keys to come and a confidence each out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from policies.given import Accesses
from policies.lstm.backends.registry import BACKENDS
from policies.lstm.config import LstmConfig
from policies.lstm.model import weights_of
from policies.lstm.recipe import LstmRecipe
from policies.models.backend import Backend
from policies.models.codecs.base import Keys
from policies.models.context import Carried, Context, Window
from policies.models.device import pick_device
from policies.models.encoder import CodecEncoder, Found, Seen
from policies.models.lanes import accesses_of
from policies.models.network import n_bytes
from policies.models.predictor import WARM_UP_CALLS, After, Line, Predictor, Question
from policies.models.store import Kept, kept_details, obtain
from policies.models.train import Progress, known


class LstmPredictor(Predictor):
    """A trained model at one horizon, on one backend.

    ``trial_ns`` has the median times of the backends that were tried, ``warm_up`` host and device time of the first
    calls, in ns.
    """

    encoder: CodecEncoder

    def __init__(
        self, kept: Kept, config: LstmConfig, backend: Backend, horizon: int, trial_ns: dict[str, float] | None = None
    ) -> None:
        self.kept = kept
        self.config = config
        self.codec = kept.trained.codec
        encoder = CodecEncoder(
            config.encoding, codec=self.codec, horizon=horizon, degree=config.degree,
            temperature=kept.trained.calibrations[horizon].temperature, target=config.target,
        )  # fmt: skip
        self.widths = encoder.widths
        super().__init__(encoder, backend, self._new_context, horizon, trial_ns)
        if config.expand == "rollout":
            self._choosing = encoder.choosing(1)
        self.n_bytes, self.state_bytes = n_bytes(kept.trained.model), 2 * 4 * config.hidden * config.layers
        self.warm_up = self._warm_up()

    @classmethod
    def trained(
        cls,
        sequences: Sequence[Keys | Accesses],
        config: LstmConfig,
        seed: int = 0,
        progress: Progress | None = None,
        horizon: int | None = None,
    ) -> "LstmPredictor":
        """Train on sequences (one a stream; bare keys are reads), or load the model if it was trained before.

        ``horizon`` is how many accesses ahead it predicts, by default the nearest that the config names.

        Raises:
            InputError: CUDA was asked for and is not there, the kept model is damaged, or there is nothing to train on.
        """
        device = pick_device(config.wanted_device)
        every = [accesses_of(sequence) for sequence in sequences]
        kept = obtain(every, LstmRecipe(config), seed, device, progress)
        horizon = config.horizons[0] if horizon is None else horizon
        weights = weights_of(kept.trained.model, horizon)
        backend, trial_ns = BACKENDS.pick(config.backend, device, weights, config.steps)
        return cls(kept, config, backend, horizon, trial_ns)

    def _new_context(self) -> Context:
        return Carried(self.backend) if self.config.is_carried else Window(self.backend, self.config.window)

    def _warm_up(self) -> list[tuple[int, int]]:
        # Windows are full from the first call on, as they soon are in a run.
        full = Seen(np.arange(self.config.steps, dtype=np.uint64))
        return self.warmed(full, [Seen(np.full(1, i, np.uint64)) for i in range(WARM_UP_CALLS)])

    def _all_found(self, questions: Sequence[Question], after: Sequence[After]) -> list[Found]:
        if self.config.expand == "rollout":
            return self._rolled_out(questions, after)
        return super()._all_found(questions, after)

    def _rolled_out(self, questions: Sequence[Question], after: Sequence[After]) -> list[Found]:
        """The most likely next access, what would follow it, and so on; the confidence is that of the whole path.

        Of several questions the steps are taken together, as long as each finds something that can follow.
        """
        found: list[Found] = [[] for _ in questions]
        paths = [Line(taken.after.branch()) for taken, _ in questions]
        last_keys = [last_key for _, last_key in questions]
        live, confidences = list(range(len(questions))), [1.0] * len(questions)
        for step in range(self.config.degree):
            going_on: list[int] = []
            for i, chosen in zip(live, after, strict=True):
                for key, confidence in self.encoder.decoded(last_keys[i], *chosen):
                    confidences[i] *= confidence
                    found[i].append((key, confidences[i]))
                    going_on.append(i)
            live = going_on
            if not live or step + 1 == self.config.degree:
                break
            for i in live:
                paths[i].last_key, last_keys[i] = last_keys[i], found[i][-1][0]
                self.see(paths[i], np.array([last_keys[i]], np.uint64))
            taken = [paths[i].context.take() for i in live]
            after = self._together(taken)
        return found

    def predict_next_key(self, sequence: Sequence[int]) -> tuple[int, float]:
        """The most likely key ``horizon`` accesses after the end of a sequence of keys, and its probability.

        Raises:
            ValueError: the sequence is empty, or nothing but the unknown can follow.
        """
        if not len(sequence):
            raise ValueError("predict_next_key: expected at least one key")
        line = self.line()
        self.see(line, np.asarray(sequence, np.uint64))
        found = self.answer([line.ask()])[0]
        if not found:
            raise ValueError("predict_next_key: nothing in the vocabulary can follow")
        return found[0]

    def details(self) -> dict[str, Any]:
        """What the tables say about the model and where it runs."""
        return known(
            {
                "model_hash": self.kept.hash,
                **super().details(),
                "n_classes": int(self.widths.sum()),
                **kept_details(self.kept, self.horizon),
            }
        )
