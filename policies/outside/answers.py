"""``kind: file``: answers that were computed elsewhere, a row of a Parquet file for each block that is wanted.

Columns: ``access`` (the access of the trace that the answer follows, numbered as in the tables of results), ``key``,
``confidence`` (optional, 1), and ``latency_ns`` (optional: what the answer took, the same in all rows of an access;
charged with ``charge: {kind: replay}``). Rows of an access are in the order in which the blocks are wanted; an access
without rows has an empty answer, which took nothing.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from policies.base import PolicySettings, TriggerName, answer_of
from policies.given import Built, Given
from policies.outside.asked import MOST_WANTED
from simulator.errors import InputError
from simulator.places import place_of
from simulator.policy import AccessRun, Ahead, Decision, Told, Trigger
from simulator.quantities import PathText

_REQUIRED, _OPTIONAL = ("access", "key"), ("confidence", "latency_ns")


class FileConfig(PolicySettings):
    """Answers from a Parquet file: access, key, confidence, and what each took."""

    kind: Literal["file"]
    path: PathText
    """The file, beside the config or from where the command runs."""
    trigger: TriggerName = "access"
    """When it is asked; rows of other accesses are left out."""

    @property
    def file(self) -> Path:
        """Where it is."""
        return place_of(self.path, self._beside)

    def fingerprint(self) -> str:
        """The hash of its content. Raises InputError if it cannot be read."""
        try:
            with self.file.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(
                f"policy file: {self.file}: {error.strerror}; expected a Parquet file of answers"
            ) from None

    def check(self) -> None:
        """It can be read. Raises InputError if not, or if a value is none."""
        Answers.read(self.file)

    @property
    def untimed(self) -> str:
        """Nothing is decided here."""
        return "goes with a policy that decides here, and a file's answers were computed elsewhere"

    @property
    def brings_latencies(self) -> bool:
        """Whether it has what each answer took. Raises InputError if it cannot be read."""
        return "latency_ns" in _schema_of(self.file)

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        details = {"source_sha256": self.fingerprint(), "device": "recorded", "backend": "file"}
        return Built(FilePolicy(Answers.read(self.file), self.trigger), details)


def _schema_of(file: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names: list[str] = pq.read_schema(file).names
    except FileNotFoundError:
        raise InputError(f"policy file: {file}: no such file; expected a Parquet file of answers") from None
    except (pa.ArrowException, OSError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"policy file: {file}: is no Parquet file: {text}") from None
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise InputError(
            f"policy file: {file}: has no column {missing[0]}; expected {', '.join(_REQUIRED)}, and perhaps "
            f"{', '.join(_OPTIONAL)}; it has {', '.join(map(repr, names))}"
        )
    return names


class Answers:
    """The rows of a file by access: those of ``accesses[i]``, rising, lie from ``starts[i]`` to ``starts[i + 1]``."""

    def __init__(
        self, access: npt.NDArray[np.int64], key: npt.NDArray[np.uint64], confidence: npt.NDArray[np.float64],
        latency_ns: npt.NDArray[np.int64],
    ) -> None:  # fmt: skip
        order = np.argsort(access, kind="stable")
        self.keys, self.confidences, self.latencies_ns = key[order], confidence[order], latency_ns[order]
        self.accesses, first = np.unique(access[order], return_index=True)
        self.starts = np.append(first, len(access))

    @classmethod
    def read(cls, file: Path) -> "Answers":
        """From a Parquet file. Raises InputError if it is none, or a value is wrong, with its row from 0."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        there = _schema_of(file)
        names = [name for name in (*_REQUIRED, *_OPTIONAL) if name in there]
        try:
            table = pq.read_table(file, columns=names)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"policy file: {file}: is damaged: {' '.join(str(error).split())}") from None
        n = table.num_rows

        def column(name: str, type_: Any, usual: float, expected: str) -> npt.NDArray[Any]:
            if name not in names:
                return np.full(n, usual, type_)
            values = table[name].combine_chunks()
            is_number = pa.types.is_integer(values.type) or (name == "confidence" and pa.types.is_floating(values.type))
            if not is_number:
                raise InputError(f"policy file: {file}: column {name} is of type {values.type}; expected {expected}")
            if values.null_count:
                row = values.is_null().to_pylist().index(True)
                raise InputError(f"policy file: {file}: row {row}: {name} is missing; expected {expected}")
            found: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
            with np.errstate(invalid="ignore"):
                is_wrong = ~((found >= 0) & (found <= (1 if name == "confidence" else np.iinfo(type_).max)))
            if is_wrong.any():
                row = int(is_wrong.argmax())
                raise InputError(f"policy file: {file}: row {row}: {name} is {found[row]}; expected {expected}")
            return found.astype(type_)

        answers = cls(
            column("access", np.int64, 0, "the number of an access, from 0"),
            column("key", np.uint64, 0, "a key, 0 or more"),
            column("confidence", np.float64, 1, "0 to 1"),
            column("latency_ns", np.int64, 0, "whole nanoseconds, 0 or more"),
        )
        answers._check(file)
        return answers

    def _check(self, file: Path) -> None:
        counts = np.diff(self.starts)
        if len(counts) and counts.max() > MOST_WANTED:
            access = self.accesses[counts.argmax()]
            raise InputError(
                f"policy file: {file}: access {access} has {counts.max()} rows; expected at most {MOST_WANTED}"
            )
        first = np.repeat(self.latencies_ns[self.starts[:-1]], counts)
        if (first != self.latencies_ns).any():
            row = int((first != self.latencies_ns).argmax())
            access = np.repeat(self.accesses, counts)[row]
            raise InputError(
                f"policy file: {file}: access {access} has latency_ns {first[row]} and {self.latencies_ns[row]}; "
                "expected one for all rows of an access"
            )

    def after(self, access: int) -> tuple[list[int], list[float], int]:
        """Keys, confidences, and what the answer took, in ns."""
        at = int(np.searchsorted(self.accesses, access))
        if at == len(self.accesses) or self.accesses[at] != access:
            return [], [], 0
        rows = slice(self.starts[at], self.starts[at + 1])
        return self.keys[rows].tolist(), self.confidences[rows].tolist(), int(self.latencies_ns[rows.start])


class FilePolicy:
    """Answers with what the file has for the access that asks."""

    needs = ("access",)
    hears = False
    footprint_bytes = 0
    ahead = Ahead()

    def __init__(self, answers: Answers, trigger: TriggerName) -> None:
        self.trigger = Trigger[trigger.upper()]
        self._answers = answers

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """What was answered, and how long a batch of them took: as long as its slowest."""
        answers, longest_ns = [], 0
        for run in runs:
            keys, confidences, latency_ns = self._answers.after(int(run.columns["access"][-1]))
            longest_ns = max(longest_ns, latency_ns)
            answers.append(answer_of(zip(keys, confidences, strict=True), int(run.key[-1])))
        return Decision(answers, longest_ns)

    def told(self, told: Told) -> None:
        """What happens changes nothing."""
