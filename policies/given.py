"""What the builder of a policy is given, and what it makes of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from policies.timing import Timing
from simulator.policy import Decision, Policy

NO_LIMIT = 2**62
"""Blocks of a tier 0 that nobody knows the room of."""
Keys = npt.NDArray[np.uint64]


class Accesses(NamedTuple):
    """A sequence to learn from: keys (n,), which of them are written, and so need no fetch, and columns asked for."""

    keys: Keys
    writes: npt.NDArray[np.bool_]
    columns: Mapping[str, npt.NDArray[Any]] = MappingProxyType({})


class Sequences(Protocol):
    """Gives the accesses of the training part."""

    def __call__(self, per_stream: bool, needs: Sequence[str] = (), /) -> list[Accesses]:
        """A sequence a stream or one of all, with these columns; ``stream`` is one, too, here.

        Raises InputError if the trace lacks one.
        """
        ...


class Demand(NamedTuple):
    """What is run, in the trace's order: keys, streams, and of which accesses a prefetch can save the fetch.

    Those are reads, and where blocks are computed not the first of a key. ``room``: how many of the blocks tier 0
    holds. ``requests`` are counted from 0 by their first accesses; where there are none each access is one.
    """

    keys: Keys
    stream: npt.NDArray[np.uint32]
    reads: npt.NDArray[np.bool_]
    room: int = NO_LIMIT
    requests: npt.NDArray[np.int64] = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Recorded:
    """What predicted when the latencies that are replayed were recorded; ``model_file`` is None if it was not kept.

    ``footprint_bytes``: what it kept in GPU memory; None: the recording does not say.
    """

    source: str
    model_file: Path | None
    model_hash: str
    backend: str
    horizon: int
    footprint_bytes: int | None = None


def _no_sequences(per_stream: bool) -> dict[int, Keys]:
    raise NotImplementedError("predictions: batched needs the accesses that are run")


def _silent(text: str) -> None:
    """Nobody listens."""


def _no_future() -> "Demand":
    raise NotImplementedError("the oracle needs the accesses that are run")


def _no_timing() -> Timing:
    return Timing(fetch_ns=0, lead_ns=lambda h: 0.0, wrong_ns=0, inference_ns=0, is_sync=False)


@dataclass(frozen=True)
class Given:
    """What a learned policy may learn from, and the run that it is built for.

    ``sequences`` gives the accesses of the training part: a sequence a stream (True) or one of all (False), with the
    columns that are named;
    ``simulated`` the keys of those that are run in the same way, by stream, to predict from and never to learn from;
    ``future`` is for the oracle alone. ``is_measured``: the clock is charged the time of each call as it is made, or
    where it ``is_replayed``, was when that was recorded.
    ``room`` is how many blocks tier 0 holds, as large as those of the training part are on the average.
    ``n_streams`` are those of the whole trace; ``batch_size``: so many questions may come at once.
    ``experts_of_layer`` is 0 where the workload does not say it. ``say`` tells the user of something.
    """

    sequences: Sequences
    seed: int
    progress: Callable[[int, int, float, float], None] | None = None
    simulated: Callable[[bool], dict[int, Keys]] = _no_sequences
    timing: Callable[[], Timing] = _no_timing
    future: Callable[[], Demand] = _no_future
    recorded: Recorded | None = None
    is_measured: bool = False
    is_replayed: bool = False
    n_streams: int = 1
    room: Callable[[], int] = lambda: NO_LIMIT
    batch_size: int = 1
    experts_of_layer: int = 0
    say: Callable[[str], None] = _silent


@dataclass(frozen=True)
class Built:
    """A policy ready to run, what the ``runs`` table says of it, and rows of the ``training`` table.

    ``warm_up`` has host and device time of calls that were made before the run, in ns; ``model_file`` is the trained
    model, to be kept with the results; ``provenance`` says where its times come from. ``probe`` asks a made-up
    question, which changes nothing for the run; None where there is no such.
    """

    policy: Policy
    details: dict[str, Any] = field(default_factory=dict)
    training: list[dict[str, Any]] = field(default_factory=list)
    warm_up: list[tuple[int, int]] = field(default_factory=list)
    model_file: Path | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    probe: Callable[[], Decision] | None = None
