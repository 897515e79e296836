"""Accesses that every policy should bear, question by question, and how they are told in words."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.needs import ALWAYS_THERE
from simulator.policy import AccessRun, Fate, Outcome, Trigger

_MOST_TOLD = 12
_SHRINK_S = 1.0
_BYTES, _APART_NS = 4096, 1000
_LAST = {
    Trigger.ACCESS: tuple(Outcome),
    Trigger.TAGGED: (Outcome.MISS, Outcome.HIT_PREFETCHED, Outcome.LATE, Outcome.MERGED),
    Trigger.MISS: (Outcome.MISS, Outcome.LATE, Outcome.MERGED),
}


@dataclass(frozen=True)
class Step:
    """A question: the accesses that are new to the policy, and fates that it is told of before, of what it wanted.

    ``columns`` are those of a trace; without any they are made up. ``about`` is set where no access is new: the key and
    the stream of one that was shown before.
    """

    keys: tuple[int, ...]
    streams: tuple[int, ...]
    outcomes: tuple[int, ...]
    fates: tuple[Fate, ...] = ()
    n_polluted: int = 0
    columns: Mapping[str, npt.NDArray[Any]] | None = None
    about: tuple[int, int] | None = None

    @property
    def asking_key(self) -> int:
        """Of the access that asks."""
        return self.keys[-1] if self.about is None else self.about[0]

    def run(self, n_before: int, needs: Sequence[str]) -> AccessRun:
        """As a policy is shown it, in arrays of its own; ``n_before`` accesses came before."""
        key = np.array(self.keys, np.uint64)
        columns = self.columns if self.columns is not None else {name: _made(name, key, n_before) for name in needs}
        return AccessRun(
            key, np.array(self.streams, np.uint32), np.array(self.outcomes, np.uint8),
            {name: columns[name].copy() for name in needs}, self.about,
        )  # fmt: skip


def _made(name: str, key: npt.NDArray[np.uint64], n_before: int) -> npt.NDArray[Any]:
    """A column that is plausible: as many small numbers as there are keys, where it is a feature."""
    number = np.arange(n_before, n_before + len(key))
    made = {
        "access": number, "request": number, "op": number % 5 == 4, "size_bytes": np.full(len(key), _BYTES),
        "time_ns": number * _APART_NS, "position": np.zeros(len(key)),
    }.get(name)  # fmt: skip
    found = key % np.uint64(8) if made is None else made
    return found.astype(ALWAYS_THERE.get(name, np.uint64))


def steps_of(
    keys: Sequence[int], trigger: Trigger, *, streams: Sequence[int] | None = None, lengths: Sequence[int] = (1,),
    fates: Sequence[Fate] = (), columns: Mapping[str, npt.NDArray[Any]] | None = None,
) -> list[Step]:  # fmt: skip
    """Questions over accesses in order, each about so many as ``lengths`` say in turn.

    The last access of each is one of the trigger's. One after the other it is told the ``fates``, again and again.
    """
    streams = streams if streams is not None else [0] * len(keys)
    found: list[Step] = []
    at = 0
    while at < len(keys):
        i = len(found)
        end = min(at + lengths[i % len(lengths)], len(keys))
        last = _LAST.get(trigger, tuple(Outcome))
        outcomes = [int(Outcome.HIT)] * (end - at - 1) + [int(last[i % len(last)])]
        told = (fates[i % len(fates)],) if fates else ()
        of_run = None if columns is None else {name: column[at:end] for name, column in columns.items()}
        found.append(
            Step(tuple(keys[at:end]), tuple(streams[at:end]), tuple(outcomes), told, i % 2 if fates else 0, of_run)
        )
        at = end
    return found


def in_words(steps: Sequence[Step]) -> str:
    """The accesses of questions, ``|`` between questions; a stream is named where there are several."""
    if not steps:
        return "shown nothing"
    several = len({stream for step in steps for stream in step.streams}) > 1
    texts: list[str] = []
    n_left = _MOST_TOLD
    for step in reversed(steps):
        keys = [f"{stream}:{key}" if several else str(key) for key, stream in zip(step.keys, step.streams, strict=True)]
        shown = keys[-n_left:] if step.about is None else [f"about {step.about[0]} again"]
        told = f"(told {', '.join(fate.name.lower() for fate in step.fates)}) " if step.fates else ""
        texts.insert(0, told + ("..., " if len(shown) < len(keys) else "") + ", ".join(shown))
        n_left -= len(shown)
        if n_left <= 0:
            break
    n = sum(len(step.keys) for step in steps)
    what = "keys (stream:key)" if several else "key" if n == 1 else "keys"
    asked = f", asked {len(steps)} times" if len(steps) > 1 else ""
    before = "... | " if len(texts) < len(steps) else ""
    return f"shown {what} {before}{' | '.join(texts)}{asked}"


def smallest(steps: list[Step], why: Any, fails: Callable[[list[Step]], Any]) -> tuple[list[Step], Any]:
    """Fewer of these questions that fail too, and how: found by leaving some out, for a second at most.

    ``fails`` returns what is wrong, or None; ``why`` is what it returned of all of them.
    """
    until = time.monotonic() + _SHRINK_S
    for step in steps if len(steps) > 1 else ():
        if time.monotonic() < until and (alone := fails([step])) is not None:
            return [step], alone
    n = max(len(steps) // 2, 1)
    while len(steps) > 1:
        # From the end: what is left is near the start, where less has happened.
        end, is_smaller = len(steps), False
        while end > 0 and time.monotonic() < until:
            first = max(end - n, 0)
            fewer = steps[:first] + steps[end:]
            found = fails(fewer) if fewer else None
            if found is not None:
                steps, why, is_smaller = fewer, found, True
            end = first
        if time.monotonic() >= until or (n == 1 and not is_smaller):
            break
        n = max(n // 2, 1)
    return steps, why
