"""Classes are the most frequent differences of keys (Hashemi et al. 2018): unseen keys can be predicted."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from policies.given import Accesses
from policies.models.codecs.base import IGNORE, UNKNOWN, Classes, Codec, CodecSettings, Keys, classes_of, most_frequent
from policies.static_deltas import most_used


def _steps(keys: Keys, horizon: int) -> Keys:
    """How far each key is from the one ``horizon`` before, modulo 2**64: backward steps are values too."""
    return keys[horizon:] - keys[:-horizon]


class DeltaCodec(Codec):
    """An access is its step from the one before; a prediction is the distance from the last access to the one ahead.

    Each horizon has a vocabulary of its own: with ``target: set`` of the distances to all accesses up to there, without
    0. The unknown means that nothing is to be fetched.
    """

    names: ClassVar[tuple[str, ...]] = ("delta",)

    @classmethod
    def learn(cls, sequences: Sequence[Keys], config: CodecSettings) -> "DeltaCodec":
        """The most frequent distances at each horizon."""
        found = {}
        for horizon in {1, *config.horizons}:
            steps = [_steps(keys, horizon) for keys in sequences if len(keys) > horizon]
            all_steps = np.concatenate(steps) if steps else np.empty(0, np.uint64)
            found[f"delta_{horizon}"] = most_frequent(all_steps, config.vocabulary)
        if config.target == "set":
            accesses = [Accesses(keys, np.zeros(len(keys), bool)) for keys in sequences]
            for horizon in config.horizons:
                steps_within, _ = most_used(accesses, horizon)
                # At a horizon of 1 the two are one vocabulary, which has inputs of no step, too.
                if horizon > 1:
                    found[f"delta_{horizon}"] = np.sort(steps_within[: config.vocabulary].view(np.uint64))
        return cls(found)

    @property
    def n_inputs(self) -> tuple[int, ...]:
        """Steps and the unknown."""
        return self.n_outputs(1)

    def n_outputs(self, horizon: int) -> tuple[int, ...]:
        """The distances of that horizon and the unknown."""
        return (len(self.vocabularies[f"delta_{horizon}"]) + 1,)

    def encode(self, keys: Keys, previous: int | None = None) -> Classes:
        """A class for each step; the first access of all has none and is unknown."""
        if previous is not None:
            steps = np.empty_like(keys)
            steps[:1] = keys[:1] - np.uint64(previous)
            steps[1:] = keys[1:] - keys[:-1]
            return classes_of(self.vocabularies["delta_1"], steps)[:, None]
        classes = np.full((len(keys), 1), UNKNOWN, np.int64)
        classes[1:, 0] = classes_of(self.vocabularies["delta_1"], np.diff(keys))
        return classes

    def targets(self, keys: Keys, horizon: int) -> Classes:
        """The class of the distance to the key ``horizon`` ahead."""
        return self.classes_ahead(keys, horizon, horizon)[:, None]

    def classes_ahead(self, keys: Keys, lag: int, horizon: int) -> Classes:
        """The class of the distance to the key ``lag`` ahead, in the horizon's vocabulary."""
        found = np.full(len(keys), IGNORE, np.int64)
        if len(keys) > lag:
            found[:-lag] = classes_of(self.vocabularies[f"delta_{horizon}"], _steps(keys, lag))
        return found

    def decode(self, last_key: int, classes: Sequence[int], horizon: int) -> int | None:
        """The key so far on, unless that leaves the key space."""
        if classes[0] == UNKNOWN:
            return None
        delta = int(self.vocabularies[f"delta_{horizon}"][classes[0] - 1])
        key = last_key + (delta - 2**64 if delta >= 2**63 else delta)
        return key if 0 <= key < 2**64 else None
