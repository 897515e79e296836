"""Classes are the most frequent keys. It cannot predict a key that the training part did not hold."""

import numpy as np

from policies.lstm.codecs.base import UNKNOWN, Classes, Codec, Keys, most_frequent


class KeyCodec(Codec):
    """Key by key."""

    history_keys = 0

    @classmethod
    def learn(cls, sequences: list[Keys], limit: int) -> "KeyCodec":
        """The most frequent keys."""
        return cls(most_frequent(np.concatenate(sequences), limit))

    def encode(self, keys: Keys) -> Classes:
        """A class for each key."""
        return self.classes_of(keys)

    def decode(self, last_key: int, class_: int) -> int | None:
        """The key itself."""
        return None if class_ == UNKNOWN else int(self.vocabulary[class_ - 1])
