"""The LSTM as a prefetch policy: a window of recent accesses, a real forward pass a question, a threshold.

After Hashemi et al., "Learning Memory Access Patterns" (ICML 2018). Leaves out lookahead: it predicts the very next
access, so it helps only as much as inference and transfer fit before that.
"""

from collections.abc import Sequence

import numpy as np

from policies.lstm.codecs.base import Keys
from policies.lstm.predictor import LstmPredictor
from simulator.policy import AccessRun, Answer, Decision, Told, Trigger


class LstmPolicy:
    """Asks the predictor for what follows the accesses so far, of the asking stream or of all."""

    def __init__(self, predictor: LstmPredictor) -> None:
        config = predictor.config
        self.predictor = predictor
        self.trigger = Trigger[config.trigger.upper()]
        state_bytes = 2 * 4 * config.hidden * config.layers
        self.footprint_bytes = predictor.model.n_bytes() + state_bytes if config.in_gpu_memory else 0
        self._history: dict[int, Keys] = {}
        self._n_history = config.window + predictor.codec.history_keys

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """One forward pass over a window for each run."""
        config, predictor = self.predictor.config, self.predictor
        windows = np.empty((len(runs), config.window), np.int64)
        last_keys = []
        for i, run in enumerate(runs):
            history = self._remember(run)
            windows[i] = predictor.window(history)
            last_keys.append(int(history[-1]))
        prediction = predictor.predict(windows, config.degree)
        answers = []
        for i, last_key in enumerate(last_keys):
            found = predictor.candidates(last_key, prediction, i, config.degree)
            wanted = [(key, confidence) for key, confidence in found if confidence >= config.threshold]
            best = found[0] if found else (None, float("nan"))
            answers.append(Answer([k for k, _ in wanted], [c for _, c in wanted], best[0], best[1]))
        return Decision(answers, prediction.host_ns, prediction.device_ns)

    def _remember(self, run: AccessRun) -> Keys:
        """Append a run to the histories; the history that its last access asks about."""
        streams = run.stream if self.predictor.config.per_stream else np.zeros_like(run.stream)
        asking = int(streams[-1])
        for stream in [asking] if len(streams) == 1 else np.unique(streams).tolist():
            keys = run.key[streams == stream]
            old = self._history.get(stream)
            if old is not None:
                keys = np.concatenate([old, keys])
            self._history[stream] = keys[-self._n_history :]
        return self._history[asking]

    def told(self, told: Told) -> None:
        """Learns nothing while it runs."""
