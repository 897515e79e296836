"""Workloads made of others: one after another, side by side as a stream each, or a piece of one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from simulator.config import Count, Whole
from simulator.errors import InputError
from simulator.trace import Batch, Workload, concatenate, part, with_features
from workloads.base import Reuse, SourceSettings
from workloads.pieces import Pieces, common_features
from workloads.registry import Source
from workloads.requests import Requests

_ROUND = 4096
Sources = Annotated[tuple[Source, ...], Field(min_length=1, strict=False)]


class OfOthers(SourceSettings):
    """What is made of others asks them."""

    @property
    def made_of(self) -> tuple[SourceSettings, ...]:
        """The others."""
        raise NotImplementedError

    def files(self) -> list[Path]:
        """Those of all."""
        return [file for source in self.made_of for file in source.files()]

    @property
    def depends_on_seed(self) -> bool:
        """If one does."""
        return any(source.depends_on_seed for source in self.made_of)

    @property
    def tokens_of_block(self) -> int | None:
        """If it is the same in all."""
        found = {source.tokens_of_block for source in self.made_of}
        return found.pop() if len(found) == 1 else None

    @property
    def has_whole_requests(self) -> bool | None:
        """If that is so of all that say it, or of none."""
        found = {source.has_whole_requests for source in self.made_of} - {None}
        return found.pop() if len(found) == 1 else None

    @property
    def reuse(self) -> Reuse:
        """Of prefixes, if that is so of all."""
        return "prefix" if all(source.reuse == "prefix" for source in self.made_of) else "block"


class PhasesConfig(OfOthers):
    """The others one after another, ``rounds`` times; the accesses of each are spread over the rounds.

    Streams and requests are numbered from 0, whatever the others call theirs.
    """

    kind: Literal["phases"]
    phases: Sources
    """Workloads, in order."""
    rounds: Count = 1
    """How often they all come; the accesses of each are spread over the rounds."""

    def build(self, seed: int, name: str = "source") -> "Phases":
        """The workload of a seed."""
        kinds = [phase.kind for phase in self.phases]
        names = [k if kinds.count(k) == 1 else f"{k} {i + 1}" for i, k in enumerate(kinds)]
        return Phases(built(self.phases, seed, name), self.rounds, names)

    @property
    def made_of(self) -> tuple[SourceSettings, ...]:
        """The phases."""
        return self.phases


class InterleaveConfig(OfOthers):
    """The others at once, a stream each; streams and requests are numbered from 0, whatever the others call theirs."""

    kind: Literal["interleave"]
    parts: Sources
    """Workloads, a stream each."""

    def build(self, seed: int, name: str = "source") -> "Interleave":
        """The workload of a seed."""
        return Interleave(built(self.parts, seed, name))

    @property
    def made_of(self) -> tuple[SourceSettings, ...]:
        """The parts."""
        return self.parts


class SliceConfig(OfOthers):
    """``accesses`` accesses of another, from number ``first`` on: the piece of a trace that there is time for."""

    kind: Literal["slice"]
    source: Source
    """The workload of which it is a piece."""
    first: Whole = 0
    """The first access of the piece, from 0."""
    accesses: Count
    """How many accesses it has, at most."""

    def build(self, seed: int, name: str = "source") -> "Slice":
        """The workload of a seed."""
        return Slice(self.source.build(seed, name), self.first, self.accesses)

    @property
    def made_of(self) -> tuple[SourceSettings, ...]:
        """The whole."""
        return (self.source,)

    @property
    def has_times(self) -> bool:
        """As the whole."""
        return self.source.has_times


def built(sources: Sequence[SourceSettings], seed: int, name: str) -> list[Workload]:
    """Several workloads, whose random numbers differ."""
    return [source.build(seed, f"{name}.{i}") for i, source in enumerate(sources)]


class Phases:
    """One workload after another, ``rounds`` times over; each goes on where its last phase stopped.

    Streams are shared by their index, so that phases follow each other, and numbered from 0; requests are counted from
    0 over all phases: the phases' own numbers may stand for different things. Of features those stay that all have.
    """

    stream_ids: npt.NDArray[np.uint64] | None = None

    def __init__(self, phases: Sequence[Workload], rounds: int = 1, names: Sequence[str] = ()) -> None:
        self.n_streams = max(phase.n_streams for phase in phases)
        self._phases = phases
        self._rounds = rounds
        self._names = names or [str(i) for i in range(len(phases))]
        self._features: set[str] | None = None

    def length(self) -> int:
        """How many accesses there are."""
        return sum(n for _, n in self._turns())

    @property
    def made_of(self) -> Sequence[Workload]:
        """The phases."""
        return self._phases

    def _turns(self) -> Iterator[tuple[int, int]]:
        """Whose turn it is, and for how many accesses."""
        lengths = [phase.length() for phase in self._phases]
        if self._rounds > max(lengths):
            raise InputError(
                f"source.rounds: {self._rounds} rounds of phases of at most {max(lengths)} accesses; expected no more "
                "rounds than accesses"
            )
        for done in range(self._rounds):
            for i, n in enumerate(lengths):
                yield i, n * (done + 1) // self._rounds - n * done // self._rounds

    def phases(self) -> list[tuple[int, str]]:
        """The first access of each turn, and whose it is; turns without accesses are left out."""
        found, first = [], 0
        for i, n in self._turns():
            if n:
                found.append((first, self._names[i]))
            first += n
        return found

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start."""
        if self._features is None:
            # One after another: there may be many, and each that is open has batches in memory.
            self._features = common_features(Pieces(phase.batches()).features() for phase in self._phases)
        readers = [Pieces(phase.batches()) for phase in self._phases]
        n_requests = 0
        for i, n in self._turns():
            batch = with_features(readers[i].read(n), self._features)
            requests = Requests(n_requests)
            yield replace(batch, request=requests.of(batch))
            n_requests = requests.n


class Interleave:
    """Several workloads at once: the streams of each are its own, and the trace takes an access of each in turn.

    Streams are numbered from 0, those of a part on from those of the parts before; of n parts the i-th counts its
    requests i, i + n, i + 2 n and so on: the parts' own numbers may be the same. Of features those stay that all have.
    """

    stream_ids: npt.NDArray[np.uint64] | None = None

    def __init__(self, parts: Sequence[Workload]) -> None:
        self.n_streams = sum(part.n_streams for part in parts)
        self._parts = parts

    @property
    def made_of(self) -> Sequence[Workload]:
        """The parts."""
        return self._parts

    def length(self) -> int:
        """How many accesses there are."""
        return sum(part.length() for part in self._parts)

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start."""
        readers = [Pieces(part.batches()) for part in self._parts]
        features = common_features(reader.features() for reader in readers)
        requests = [Requests() for _ in self._parts]
        first_stream = np.cumsum([0, *(part.n_streams for part in self._parts[:-1])])
        n = len(readers)
        while True:
            rows: list[Batch] = []
            turns: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
            for i, reader in enumerate(readers):
                before = reader.n_read
                batch = with_features(reader.read(_ROUND), features)
                # Counted: the part's own numbers, taken times n, might not fit into 64 bits.
                request = requests[i].of(batch) * np.uint64(n) + np.uint64(i)
                rows.append(replace(batch, stream=batch.stream + np.uint32(first_stream[i]), request=request))
                turns.append((before + np.arange(len(batch))) * n + i)
            merged = concatenate(rows)
            if len(merged) == 0:
                return
            order = np.argsort(np.concatenate(turns), kind="stable")
            yield merged[order]


class Slice:
    """A piece of another workload: the accesses from number ``first`` on, ``accesses`` of them or what there is."""

    def __init__(self, whole: Workload, first: int, accesses: int) -> None:
        self._whole = whole
        self._first = first
        self._accesses = accesses

    @property
    def made_of(self) -> Sequence[Workload]:
        """The whole."""
        return (self._whole,)

    @property
    def n_streams(self) -> int:
        """How many streams the whole has; some may not occur in the piece."""
        return self._whole.n_streams

    @property
    def stream_ids(self) -> npt.NDArray[np.uint64] | None:
        """The numbers that the whole's own trace gives to its streams; None where those are the indices."""
        return self._whole.stream_ids

    def length(self) -> int:
        """How many accesses there are. Raises InputError if the whole ends before the piece begins."""
        found = min(self._accesses, self._whole.length() - self._first)
        if found <= 0:
            raise InputError(f"source.first: {self._first} is past the trace's {self._whole.length()} accesses")
        return found

    def phases(self) -> list[tuple[int, str]]:
        """Those of the whole that reach into the piece, by the piece's numbers."""
        starts: list[tuple[int, str]] = getattr(self._whole, "phases", list)()
        ends = [first for first, _ in starts[1:]] + [self._whole.length()]
        return [
            (max(first - self._first, 0), name)
            for (first, name), end in zip(starts, ends, strict=False)
            if end > self._first and first < self._first + self._accesses
        ]

    def batches(self) -> Iterator[Batch]:
        """The piece, from its start."""
        yield from part(self._whole.batches(), self._first, self._first + self._accesses)
