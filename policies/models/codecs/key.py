"""Classes are the most frequent keys. It cannot predict a key that the training part did not hold."""

from collections.abc import Sequence

import numpy as np

from policies.models.codecs.base import UNKNOWN, Classes, Codec, CodecSettings, Keys, ahead, classes_of, most_frequent


class KeyCodec(Codec):
    """Key by key."""

    names = ("key",)

    @classmethod
    def learn(cls, sequences: Sequence[Keys], config: CodecSettings) -> "KeyCodec":
        """The most frequent keys."""
        return cls({"key": most_frequent(np.concatenate(sequences), config.vocabulary)})

    @property
    def n_inputs(self) -> tuple[int, ...]:
        """The vocabulary and the unknown."""
        return (len(self.vocabularies["key"]) + 1,)

    def n_outputs(self, horizon: int) -> tuple[int, ...]:
        """The same at every horizon."""
        return self.n_inputs

    def encode(self, keys: Keys, previous: int | None = None) -> Classes:
        """A class for each key."""
        return classes_of(self.vocabularies["key"], keys)[:, None]

    def targets(self, keys: Keys, horizon: int) -> Classes:
        """The class of the key ``horizon`` ahead."""
        return ahead(self.encode(keys), horizon)

    def decode(self, last_key: int, classes: Sequence[int], horizon: int) -> int | None:
        """The key itself."""
        return None if classes[0] == UNKNOWN else int(self.vocabularies["key"][classes[0] - 1])
