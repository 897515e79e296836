"""Classes are the most frequent differences of successive keys (Hashemi et al. 2018): unseen keys can be predicted."""

import numpy as np

from policies.lstm.codecs.base import UNKNOWN, Classes, Codec, Keys, most_frequent


class DeltaCodec(Codec):
    """Differences modulo 2**64, so that backward steps are values too."""

    history_keys = 1

    @classmethod
    def learn(cls, sequences: list[Keys], limit: int) -> "DeltaCodec":
        """The most frequent differences."""
        return cls(most_frequent(np.concatenate([np.diff(keys) for keys in sequences]), limit))

    def encode(self, keys: Keys) -> Classes:
        """A class for each step."""
        return self.classes_of(np.diff(keys))

    def decode(self, last_key: int, class_: int) -> int | None:
        """The key one step on, unless that leaves the key space."""
        if class_ == UNKNOWN:
            return None
        delta = int(self.vocabulary[class_ - 1])
        key = last_key + (delta - 2**64 if delta >= 2**63 else delta)
        return key if 0 <= key < 2**64 else None
