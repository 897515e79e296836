"""Steps, and where in its page an access lies: what comes next may depend on that, where records or loops are aligned.

A prediction is a step alone, so that unseen keys can be predicted.
"""

from collections.abc import Sequence

import numpy as np

from policies.models.codecs.base import Classes, CodecSettings, Keys, Vocabularies
from policies.models.codecs.delta import DeltaCodec


class DeltaOffsetCodec(DeltaCodec):
    """As DeltaCodec, with the offset in a page of ``page_blocks`` as a field more of each access."""

    names = ("delta", "offset")

    def __init__(self, vocabularies: Vocabularies) -> None:
        super().__init__(vocabularies)
        self._page_blocks = self.vocabularies["page_blocks"][0]

    @classmethod
    def learn(cls, sequences: Sequence[Keys], config: CodecSettings) -> "DeltaOffsetCodec":
        """The most frequent distances at each horizon."""
        steps = DeltaCodec.learn(sequences, config).vocabularies
        return cls({**steps, "page_blocks": np.array([config.page_blocks], np.uint64)})

    @property
    def n_inputs(self) -> tuple[int, ...]:
        """Steps and the unknown; offsets, and the unknown that never occurs."""
        return (*super().n_inputs, int(self._page_blocks) + 1)

    def encode(self, keys: Keys, previous: int | None = None) -> Classes:
        """A class for each step, and one for each offset."""
        offsets = (keys % self._page_blocks).astype(np.int64) + 1
        return np.stack([super().encode(keys, previous)[:, 0], offsets], axis=1)
