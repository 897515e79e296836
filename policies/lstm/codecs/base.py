"""What every encoding offers. Class 0 is the unknown: it is read like any other and never prefetched."""

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Classes = npt.NDArray[np.int64]
UNKNOWN = 0


def most_frequent(values: npt.NDArray[np.uint64], limit: int) -> npt.NDArray[np.uint64]:
    """The ``limit`` most frequent values, sorted by value; among equals the smaller value wins a place."""
    distinct, counts = np.unique(values, return_counts=True)
    order = np.lexsort((distinct, -counts))[:limit]
    return np.sort(distinct[order])


class Codec(ABC):
    """A vocabulary (sorted uint64 values, classes 1 to n) learned from the training part alone."""

    history_keys: int
    """Keys needed before the first that can be encoded."""

    def __init__(self, vocabulary: npt.NDArray[np.uint64]) -> None:
        self.vocabulary = vocabulary
        self.n_classes = len(vocabulary) + 1

    def classes_of(self, values: npt.NDArray[np.uint64]) -> Classes:
        """The class of each value, UNKNOWN where it is not in the vocabulary."""
        if len(self.vocabulary) == 0:
            return np.zeros(len(values), np.int64)
        at = np.minimum(np.searchsorted(self.vocabulary, values), len(self.vocabulary) - 1)
        return np.where(self.vocabulary[at] == values, at + 1, UNKNOWN)

    @classmethod
    @abstractmethod
    def learn(cls, sequences: list[Keys], limit: int) -> "Codec":
        """The codec for the training part, given as one sequence of keys a stream."""

    @abstractmethod
    def encode(self, keys: Keys) -> Classes:
        """(len(keys) - history_keys,) classes."""

    @abstractmethod
    def decode(self, last_key: int, class_: int) -> int | None:
        """The block that a predicted class means after ``last_key``; None if it means none."""

    def coverage(self, sequences: list[Keys]) -> float:
        """The share of accesses whose class is known."""
        known = [self.encode(keys) != UNKNOWN for keys in sequences if len(keys) > self.history_keys]
        return float(np.concatenate(known).mean()) if known else 0.0
