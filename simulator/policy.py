"""What a prefetch policy sees and says (rule R12): accesses, outcomes, columns of the trace that it asked for, fates.

Never the cache, the clock or SimPy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Trigger(IntEnum):
    """When a policy wants to be asked."""

    NEVER = 0
    MISS = 1
    TAGGED = 2  # at misses and first uses of prefetched blocks
    ACCESS = 3
    ARRIVAL = 4  # when a request arrives, where requests have a life (rule R45); accesses are not shown


class Outcome(IntEnum):
    """What every access is exactly one of (rule R17)."""

    HIT = 0
    HIT_PREFETCHED = 1
    LATE = 2
    MERGED = 3
    MISS = 4


class Fate(IntEnum):
    """What becomes of an issued prefetch (rule R19)."""

    TIMELY = 0
    LATE = 1
    EVICTED_UNUSED = 2
    CANCELLED = 3
    RESIDENT_UNUSED = 4
    IN_FLIGHT = 5


class Cause(IntEnum):
    """Why a block is moved over a link: a demotion is of one that was not written to, which is worth keeping."""

    MISS = 0
    PREFETCH = 1
    RECOMPUTE = 2
    WRITE_BACK = 3
    DEMOTION = 4


class Rejection(IntEnum):
    """Why a block that was proposed is not fetched (rules R10, R14)."""

    RESIDENT = 0
    IN_FLIGHT = 1
    UNKNOWN = 2
    BUDGET = 3
    STALE = 4
    TOO_LARGE = 5


class Status(IntEnum):
    """What becomes of a question (rules R14, R16)."""

    ANSWERED = 0
    STALE = 1
    QUEUE_FULL = 2
    SUPERSEDED = 3
    PENDING_AT_END = 4


@dataclass(frozen=True, slots=True)
class Ahead:
    """Which access a policy's best guess is about: so many on, of the asking stream's own or of all."""

    accesses: int = 1
    of_stream: bool = True


@dataclass(frozen=True, slots=True)
class AccessRun:
    """The accesses since the last question, in order; the last one is the access that asks.

    A policy that ``recalls`` may also be asked about an access that it was shown before: there is none then, and
    ``about`` has the key and the stream of the one that asks. ``columns`` has what the policy ``needs`` beyond these,
    a value an access, and nothing else (``simulator.needs``).
    """

    key: npt.NDArray[np.uint64]
    stream: npt.NDArray[np.uint32]
    outcome: npt.NDArray[np.uint8]
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    about: tuple[int, int] | None = None

    @property
    def asking(self) -> tuple[int, int]:
        """Key and stream of the access that asks."""
        return (int(self.key[-1]), int(self.stream[-1])) if self.about is None else self.about

    def __len__(self) -> int:
        return len(self.key)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """A column by its name. Raises KeyError if the policy did not ask for it."""
        return getattr(self, name) if name in ("key", "stream", "outcome") else self.columns[name]


@dataclass(frozen=True, slots=True)
class Answer:
    """Blocks wanted, most wanted first, with a confidence each; and the best guess even if it was held back.

    Of a policy that has others inside, ``experts`` says which of them named each block, by their numbers; or nothing.
    """

    keys: Sequence[int] = ()
    confidences: Sequence[float] = ()
    predicted_key: int | None = None
    confidence: float = float("nan")
    experts: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """Work that a policy begins beside its questions, such as training (rule R43): its result is there when it is over.

    It takes ``charged_ns``, on a device of its own or, where it ``shares``, on the inference server, whenever a server
    has nothing else to do. ``host_ns`` and ``cpu_ns`` are what it took in truth, ``n_accesses`` what it learnt from,
    ``loss`` how wrong the policy was about these.
    """

    charged_ns: int
    shares: bool = False
    host_ns: int = 0
    cpu_ns: int = 0
    n_accesses: int = 0
    loss: float = float("nan")


@dataclass(frozen=True, slots=True)
class Decision:
    """The answers to a batch of questions, and what deciding them took together: wall, device, this thread's CPU.

    ``update`` is begun when they are decided; only one at a time.
    """

    answers: Sequence[Answer]
    host_ns: int = 0
    device_ns: int = 0
    cpu_ns: int = 0
    update: Update | None = None


@dataclass(slots=True)
class Told:
    """What came since the last question: fates, misses that prefetches caused, the end of an update.

    ``n_polluted`` are those on blocks that tier 0 would have had without prefetching, as shadow tags tell (rule R36).
    """

    keys: list[int] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    n_polluted: int = 0
    is_updated: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A policy whose rules are compiled (``simulator.answers``), so that it is asked without Python.

    ``learn`` and ``want`` are addresses of compiled functions; ``most_wanted`` bounds how many blocks one answer has
    before doubles are taken out. One that ``hears`` is told of fates; one that ``is_learned`` is shown all accesses and
    says its best guess even if it holds it back; of one that ``is_timed`` what asking it takes is measured. One that
    ``sees_writes`` is shown which accesses are writes; its policy ``needs`` the column ``op``, and no other. One with
    experts writes into ``experts`` which of them named each block that it wants.
    """

    state: npt.NDArray[np.int64]
    learn: int
    want: int
    most_wanted: int
    hears: bool = False
    is_learned: bool = False
    is_timed: bool = False
    sees_writes: bool = False
    experts: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """A policy that answers in two parts (rule R44), which may share a state.

    ``at_once``, if there is one, is asked by its table within each access that puts a question; so it takes no time,
    has the trigger of ``later``, and needs no column but ``op``. It alone hears of fates, of all blocks. The question
    is put to ``later``.
    """

    at_once: "Policy | None"
    later: "Policy"


class Policy(Protocol):
    """A prefetch policy. It keeps no counters of hits: the engine keeps the books.

    Where it has a ``table`` (a Table), it may be asked by that instead of ``decide``, which answers the same. Where it
    has ``needs``, a tuple of names, it is shown these columns, too (``AccessRun.columns``). Where its
    ``hears`` is False it is told nothing. Only where its ``recalls`` is True may it be asked about an access that it
    was shown before (rule R14). Where it has ``parts`` (Parts), a run in which questions cost something asks these,
    each by itself; who wraps the policy may ask all of it by ``decide``, and nothing is answered at once then.
    """

    trigger: Trigger
    footprint_bytes: int
    ahead: Ahead

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """Answer a batch of questions, oldest first. Each run follows on the one before it."""
        ...

    def told(self, told: Told) -> None:
        """Hear what became of earlier proposals; called before ``decide`` when there is news."""
        ...


def hears(policy: Policy) -> bool:
    """Whether it is to be told of fates: unless it says that it does not hear."""
    return bool(getattr(policy, "hears", True))


def recalls(policy: Policy) -> bool:
    """Whether it can be asked about an access that it was shown before: only if it says so."""
    return bool(getattr(policy, "recalls", False))


def parts_of(policy: Policy, *, is_free: bool) -> Parts:
    """What of it a run asks at once, and later: all of it, if it has no parts, or where questions cost nothing.

    Raises ValueError if what answers at once would be asked at other accesses, or needs more than they have.
    """
    parts: Parts | None = getattr(policy, "parts", None)
    if parts is None or is_free:
        return Parts(None, policy)
    if (at_once := parts.at_once) is not None:
        if at_once.trigger != parts.later.trigger:
            raise ValueError(f"parts.at_once is asked at {at_once.trigger.name}; expected {parts.later.trigger.name}")
        if needs := set(getattr(at_once, "needs", ())) - {"op"}:
            raise ValueError(f"parts.at_once needs {', '.join(sorted(needs))}; expected no column but op")
    return parts


def table_at_once(at_once: Policy) -> Table:
    """What compiled code asks within an access. Raises ValueError if there is no such, or it takes time."""
    table: Table | None = getattr(at_once, "table", None)
    if table is None or table.is_learned or table.is_timed:
        raise ValueError("parts.at_once has no table, or one that is learned or timed; expected one that is neither")
    return table
