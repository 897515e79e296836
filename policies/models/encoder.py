"""From accesses to what a network reads, and from its scores to blocks: anybody's own, or one of ours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from policies.given import Accesses
from policies.models.codecs.base import Classes, Codec, Floats, Keys, Vocabularies
from policies.models.codecs.columns import WithColumns
from policies.models.codecs.registry import CODECS, codec_of
from policies.models.top import Choosing
from policies.models.training import TargetKind
from simulator.errors import InputError

Found = list[tuple[int, float]]
"""Keys and confidences, most wanted first."""
Columns = Mapping[str, npt.NDArray[Any]]
NO_COLUMNS: Columns = MappingProxyType({})


class Seen(NamedTuple):
    """Accesses of one sequence, in order: keys (n,), the key before the first (None: none), columns asked for."""

    key: Keys
    previous: int | None = None
    columns: Columns = NO_COLUMNS


class Encoder(Protocol):
    """What stands between accesses and a network. These three methods are enough.

    It may have, too, known once it is fitted: ``n_inputs``, the classes of each field (those of ours are made with
    it), ``n_scores``, how many scores it expects, ``needs``, names of columns that it wants to see, and to be trained
    with, ``targets(accesses)``: (n, 1) the class that is right after each access, -100 where there is none.
    """

    def fit(self, training: Sequence[Accesses]) -> None:
        """Learn from the training part: a sequence a stream, or one of all."""
        ...

    def inputs(self, run: Seen) -> Classes:
        """(n, fields) int64, n the accesses of the run."""
        ...

    def answers(self, last_key: int, scores: Floats) -> Sequence[tuple[int, float]]:
        """Blocks and a confidence (0 to 1) each, most wanted first: scores (C,) of what follows ``last_key``."""
        ...


@dataclass(frozen=True)
class Sizes:
    """What a codec is learned with."""

    vocabulary: int = 1024
    page_blocks: int = 64
    horizons: tuple[int, ...] = (1,)
    target: TargetKind = "access"


class CodecEncoder:
    """The encoders that come with it: the most frequent keys, steps, or pages are classes.

    With columns of the trace it ``needs`` these, and their most frequent values are classes of fields of their own.
    """

    def __init__(
        self, encoding: str, sizes: Sizes | None = None, *, codec: Codec | None = None, horizon: int = 1,
        degree: int = 1, temperature: float = 1.0, target: TargetKind = "access", columns: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """``codec``: one that was learned; answers have up to ``degree`` blocks, from scores over ``temperature``."""
        self.is_set = target == "set"
        self.encoding = encoding
        self.horizon = horizon
        self.needs = columns
        self._sizes = sizes or Sizes()
        self._degree = degree
        self._temperature = temperature
        if codec is not None:
            self._take(codec)

    def _take(self, codec: Codec) -> None:
        self.codec = codec
        self.n_inputs = codec.n_inputs
        self.widths = np.array(codec.n_outputs(self.horizon), np.int64)
        self.n_scores = int(self.widths.sum())

    def fit(self, training: Sequence[Accesses]) -> None:
        """See the protocol."""
        codec = CODECS[self.encoding].learn([sequence.keys for sequence in training], self._sizes)
        self._take(WithColumns.beside(codec, self.needs, training, self._sizes.vocabulary) if self.needs else codec)

    def restore(self, vocabularies: Vocabularies, source: str) -> None:
        """Take vocabularies that were learned before. Raises InputError if they are another encoding's."""
        try:
            self._take(codec_of(self.encoding, vocabularies, self.needs))
        except (KeyError, IndexError):
            there = ", ".join(vocabularies) or "none"
            raise InputError(
                f"policy.vocabularies: {source}: has no vocabularies of encoder {self.encoding!r} at horizon "
                f"{self.horizon} but {there}; expected those of a model that was trained with it"
            ) from None

    def inputs(self, run: Seen) -> Classes:
        """See the protocol."""
        if isinstance(self.codec, WithColumns):
            return self.codec.seen(run.key, run.previous, run.columns)
        return self.codec.encode(run.key, run.previous)

    def choosing(self, wanted: int | None = None) -> Choosing:
        """What is wanted of scores, up to ``degree`` answers by default: a backend may choose by itself."""
        wanted = self._degree if wanted is None else wanted
        return Choosing(self.widths, 1 / self._temperature, wanted, self.is_set)

    def decoded(self, last_key: int, classes: Classes, confidences: Any) -> Found:
        """Keys of predicted classes (n, fields); those outside the key space are left out."""
        found = []
        for row, confidence in zip(classes.tolist(), confidences.tolist(), strict=True):
            key = self.codec.decode(last_key, row, self.horizon)
            if key is not None:
                found.append((key, confidence))
        return found

    def answers(self, last_key: int, scores: Floats) -> Found:
        """See the protocol."""
        return self.decoded(last_key, *self.choosing().of(scores))


class EncoderCodec(Codec):
    """Anybody's encoder as the trainer wants it: it predicts one field, as far ahead as it says itself."""

    names = ("class",)
    names_keys = False

    def __init__(self, encoder: Any) -> None:
        super().__init__({})
        self.encoder = encoder
        if not hasattr(encoder, "targets"):
            raise InputError(
                f"policy.encoder: {type(encoder).__name__} has no method targets(accesses), which training needs; "
                "expected one, or no train"
            )

    @classmethod
    def learn(cls, sequences: Sequence[Keys], config: Any) -> "EncoderCodec":
        """Learned by the encoder's own ``fit``."""
        raise NotImplementedError

    @property
    def n_inputs(self) -> tuple[int, ...]:
        """The encoder's."""
        return tuple(self.encoder.n_inputs)

    def n_outputs(self, horizon: int) -> tuple[int, ...]:
        """The encoder's scores, in one field."""
        return (int(self.encoder.n_scores),)

    def encode(self, keys: Keys, previous: int | None = None) -> Classes:
        """Without columns."""
        return inputs_of(self.encoder, Seen(keys, previous))

    def encode_all(self, sequence: Accesses) -> Classes:
        """With those that it asked for."""
        return inputs_of(self.encoder, Seen(sequence.keys, None, sequence.columns))

    def targets(self, keys: Keys, horizon: int) -> Classes:
        """Of reads."""
        return self.targets_of(Accesses(keys, np.zeros(len(keys), bool)), horizon)

    def targets_of(self, sequence: Accesses, horizon: int) -> Classes:
        """See the protocol. Raises InputError if there is not one for each access."""
        found = np.asarray(self.encoder.targets(sequence), np.int64).reshape(-1, 1)
        if len(found) != len(sequence.keys):
            raise InputError(
                f"policy.encoder: {type(self.encoder).__name__}.targets gave {len(found)} classes for "
                f"{len(sequence.keys)} accesses; expected one each"
            )
        return found

    def decode(self, last_key: int, classes: Sequence[int], horizon: int) -> int | None:
        """Answered by the encoder itself."""
        raise NotImplementedError

    def coverage(self, sequences: Sequence[Keys]) -> float:
        """Not known."""
        return math.nan


def inputs_of(encoder: Encoder, run: Seen) -> Classes:
    """What an encoder makes of accesses. Raises InputError if it is not a row each."""
    found = np.asarray(encoder.inputs(run))
    if found.ndim != 2 or len(found) != len(run.key) or found.dtype != np.int64:
        raise InputError(
            f"policy.encoder: {type(encoder).__name__}.inputs gave {found.dtype} of shape {found.shape} for "
            f"{len(run.key)} accesses; expected int64 of shape ({len(run.key)}, fields)"
        )
    return found
