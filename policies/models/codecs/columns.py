"""Further columns of a trace as inputs: program counters, layers, tokens, each a field beside those of an encoding.

What is predicted is the encoding's. Any codec can be wrapped; the networks take as many fields as there are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from policies.given import Accesses
from policies.models.codecs.base import Classes, Codec, CodecSettings, Keys, classes_of, most_frequent

_PREFIX = "column."


def _values(column: npt.NDArray[Any]) -> Keys:
    """Their 64 bits: what every access has may be signed, or narrower."""
    return column.astype(np.int64).view(np.uint64) if column.dtype.kind == "i" else column.astype(np.uint64)


class WithColumns(Codec):
    """A codec, and the most frequent values of some columns as classes of fields of their own."""

    def __init__(self, inner: Codec, vocabularies: Mapping[str, Keys]) -> None:
        """``vocabularies``: of each column, in the order of the fields."""
        super().__init__({**inner.vocabularies, **{f"{_PREFIX}{name}": found for name, found in vocabularies.items()}})
        self._inner = inner
        self._columns = dict(vocabularies)

    @classmethod
    def learn(cls, sequences: Sequence[Keys], config: CodecSettings) -> Self:
        """Learned by ``beside``: keys alone have no columns."""
        raise NotImplementedError

    @classmethod
    def beside(cls, inner: Codec, columns: Sequence[str], training: Sequence[Accesses], limit: int) -> Self:
        """A codec that was learned, and ``limit`` values of each column, at most."""
        values = {name: [_values(sequence.columns[name]) for sequence in training] for name in columns}
        return cls(inner, {name: most_frequent(np.concatenate(values[name]), limit) for name in columns})

    @classmethod
    def restored(cls, inner: Codec, columns: Sequence[str], vocabularies: Mapping[str, Keys]) -> Self:
        """From all vocabularies. Raises KeyError if one is not there."""
        return cls(inner, {name: vocabularies[f"{_PREFIX}{name}"] for name in columns})

    @property
    def n_inputs(self) -> tuple[int, ...]:
        """Those of the encoding, then of each column its values and the unknown."""
        return (*self._inner.n_inputs, *(len(vocabulary) + 1 for vocabulary in self._columns.values()))

    def n_outputs(self, horizon: int) -> tuple[int, ...]:
        """The encoding's."""
        return self._inner.n_outputs(horizon)

    def encode(self, keys: Keys, previous: int | None = None) -> Classes:
        """Never without columns: ``seen`` has them."""
        raise NotImplementedError

    def seen(self, keys: Keys, previous: int | None, columns: Mapping[str, npt.NDArray[Any]]) -> Classes:
        """(n, fields) classes of accesses that follow on ``previous``."""
        fields = [classes_of(vocabulary, _values(columns[name])) for name, vocabulary in self._columns.items()]
        return np.concatenate([self._inner.encode(keys, previous), *(field[:, None] for field in fields)], axis=1)

    def encode_all(self, sequence: Accesses) -> Classes:
        """See the base."""
        return self.seen(sequence.keys, None, sequence.columns)

    def targets(self, keys: Keys, horizon: int) -> Classes:
        """The encoding's."""
        return self._inner.targets(keys, horizon)

    def classes_ahead(self, keys: Keys, lag: int, horizon: int) -> Classes:
        """The encoding's."""
        return self._inner.classes_ahead(keys, lag, horizon)

    def decode(self, last_key: int, classes: Sequence[int], horizon: int) -> int | None:
        """The encoding's."""
        return self._inner.decode(last_key, classes, horizon)
