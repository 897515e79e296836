"""A key split into page and offset, each with a head of its own (Voyager: Shi et al., ASPLOS 2021).

``vocabulary`` pages times ``page_blocks`` offsets are reached with the classes of their sum, and an offset that was
learned on one page helps on all others. Leaves out Voyager's attention over page-aware offset embeddings: the two
heads are read as independent, so the confidence of a block is the product of theirs.
"""

from collections.abc import Sequence

import numpy as np

from policies.models.codecs.base import (
    UNKNOWN,
    Classes,
    Codec,
    CodecSettings,
    Keys,
    Vocabularies,
    ahead,
    classes_of,
    most_frequent,
)


class PageOffsetCodec(Codec):
    """Pages are the most frequent ones; every offset is known."""

    names = ("page", "offset")

    def __init__(self, vocabularies: Vocabularies) -> None:
        super().__init__(vocabularies)
        self._page_blocks = self.vocabularies["page_blocks"][0]

    @classmethod
    def learn(cls, sequences: Sequence[Keys], config: CodecSettings) -> "PageOffsetCodec":
        """The most frequent pages."""
        page_blocks = np.array([config.page_blocks], np.uint64)
        pages = np.concatenate(sequences) // page_blocks[0]
        return cls({"page": most_frequent(pages, config.vocabulary), "page_blocks": page_blocks})

    @property
    def n_inputs(self) -> tuple[int, ...]:
        """Pages and the unknown; offsets, and the unknown that never occurs."""
        return len(self.vocabularies["page"]) + 1, int(self._page_blocks) + 1

    def n_outputs(self, horizon: int) -> tuple[int, ...]:
        """The same at every horizon."""
        return self.n_inputs

    def encode(self, keys: Keys, previous: int | None = None) -> Classes:
        """A class for the page and one for the offset of each key."""
        pages = classes_of(self.vocabularies["page"], keys // self._page_blocks)
        return np.stack([pages, (keys % self._page_blocks).astype(np.int64) + 1], axis=1)

    def targets(self, keys: Keys, horizon: int) -> Classes:
        """The classes of the key ``horizon`` ahead."""
        return ahead(self.encode(keys), horizon)

    def decode(self, last_key: int, classes: Sequence[int], horizon: int) -> int | None:
        """The block at that offset of that page."""
        if UNKNOWN in classes:
            return None
        key = int(self.vocabularies["page"][classes[0] - 1]) * int(self._page_blocks) + classes[1] - 1
        return key if key < 2**64 else None
