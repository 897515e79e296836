"""What every encoding offers. Class 0 is the unknown: it is read like any other and never prefetched."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt

from policies.given import Accesses
from simulator.compiled import compiled

Keys = npt.NDArray[np.uint64]
Classes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Vocabularies = Mapping[str, Keys]
UNKNOWN = 0
IGNORE = -100
"""The class of a target that lies beyond the end; what torch's cross-entropy leaves out."""


def most_frequent(values: Keys, limit: int) -> Keys:
    """The ``limit`` most frequent values, sorted by value; among equals the smaller value wins a place."""
    distinct, counts = np.unique(values, return_counts=True)
    order = np.lexsort((distinct, -counts))[:limit]
    return np.sort(distinct[order])


@compiled
def classes_of(vocabulary: Keys, values: Keys) -> Classes:
    """The class of each value in a sorted vocabulary (1 to n), UNKNOWN where it is not in it."""
    found = np.empty(len(values), np.int64)
    for i in range(len(values)):
        at = np.searchsorted(vocabulary, values[i])
        is_known = at < len(vocabulary) and vocabulary[at] == values[i]
        found[i] = at + 1 if is_known else UNKNOWN
    return found


class CodecSettings(Protocol):
    """What a codec is learned with: how many classes, blocks a page, and how far ahead is predicted."""

    @property
    def vocabulary(self) -> int:
        """The most classes that are known, of keys, steps or pages."""
        ...

    @property
    def page_blocks(self) -> int:
        """Blocks of a page."""
        ...

    @property
    def horizons(self) -> tuple[int, ...]:
        """How many accesses ahead."""
        ...

    @property
    def target(self) -> Literal["access", "set"]:
        """Whether the access so far ahead is predicted, or the set of those up to it."""
        ...


class Codec(ABC):
    """Classes for accesses, learned from the training part alone; one or two fields an access, each with its classes.

    An access is encoded given the one before it. What is predicted is the access ``horizon`` ahead, seen from the last
    one.
    """

    names: ClassVar[tuple[str, ...]]
    """The fields of an access."""
    names_keys: ClassVar[bool] = True
    """Whether known classes are one key, given the last one."""

    def __init__(self, vocabularies: Vocabularies) -> None:
        self.vocabularies = dict(vocabularies)

    @classmethod
    @abstractmethod
    def learn(cls, sequences: Sequence[Keys], config: CodecSettings) -> "Codec":
        """The codec for the training part, given as one sequence of keys a stream."""

    @property
    @abstractmethod
    def n_inputs(self) -> tuple[int, ...]:
        """Classes of each field of an access."""

    @abstractmethod
    def n_outputs(self, horizon: int) -> tuple[int, ...]:
        """Classes of each field of a prediction."""

    @abstractmethod
    def encode(self, keys: Keys, previous: int | None = None) -> Classes:
        """(n, fields) classes of accesses that follow on ``previous`` (None: on nothing)."""

    @abstractmethod
    def targets(self, keys: Keys, horizon: int) -> Classes:
        """(n, fields): what would have been right to predict at each access; IGNORE where the sequence ends first."""

    def classes_ahead(self, keys: Keys, lag: int, horizon: int) -> Classes:
        """(n,): the class, of a set of accesses up to ``horizon``, of the one ``lag`` ahead; of one field alone.

        By default classes are the same at every horizon.
        """
        return self.targets(keys, lag)[:, 0]

    def encode_all(self, sequence: Accesses) -> Classes:
        """(n, fields) classes of a sequence from its beginning."""
        return self.encode(sequence.keys)

    def targets_of(self, sequence: Accesses, horizon: int) -> Classes:
        """As ``targets``."""
        return self.targets(sequence.keys, horizon)

    @abstractmethod
    def decode(self, last_key: int, classes: Sequence[int], horizon: int) -> int | None:
        """The block that predicted classes mean after ``last_key``; None if they mean none."""

    def coverage(self, sequences: Sequence[Keys]) -> float:
        """The share of accesses that could be predicted: all fields of the access after the last one are known."""
        targets = [self.targets(keys, 1)[:-1] for keys in sequences if len(keys) > 1]
        return float(np.concatenate([(t != UNKNOWN).all(axis=1) for t in targets]).mean()) if targets else 0.0


def ahead(classes: Classes, horizon: int) -> Classes:
    """Rows moved up by ``horizon``, IGNORE behind the end."""
    moved = np.full_like(classes, IGNORE)
    if horizon < len(classes):
        moved[:-horizon] = classes[horizon:]
    return moved
