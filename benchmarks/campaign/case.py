"""A case, and what is said of one that ended as it should not have."""

import random
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One of a kind; with the same seed and number it is the same case."""

    kind: str
    seed: int
    number: int

    def draws(self) -> random.Random:
        """What all that the case does is drawn from."""
        return random.Random(f"{self.kind} {self.seed} {self.number}")

    def __str__(self) -> str:
        return f"--kinds {self.kind} --seed {self.seed} --only {self.number}"


class DefectError(AssertionError):
    """A command broke a promise; the text says which, and what the case had done."""


@dataclass(frozen=True)
class Place:
    """Where a case works: ``case`` is empty when it starts, ``shared`` is kept for all cases of a worker."""

    case: Path
    shared: Path
