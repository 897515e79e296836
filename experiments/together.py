"""Experiments whose runs go side by side: one crew for all, and the next one begins before the last is over."""

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from experiments.crews import Crew, Group, Result, Steps, Task, Work
from experiments.exits import RunsDiedError, RunsFailedError
from experiments.interrupts import Interrupts

T = TypeVar("T")
MOST_OPEN = 32
"""So many at once at most: what is measured waits for the end of all others, and each keeps its rows meanwhile."""


@dataclass
class Ended(Generic[T]):
    """An experiment that is over, by its number: what it came to, or why it came to nothing."""

    number: int
    value: T | None = None
    error: RunsDiedError | RunsFailedError | None = None


@dataclass
class _Open(Generic[T]):
    number: int
    steps: Steps[T]
    wanted: list[Group] = field(default_factory=list)


class Together(Generic[T]):
    """Several experiments on their way.

    All of their tasks that may have others beside them are made before those that may not, ``MOST_OPEN`` experiments
    at a time. A crew is made when there is something for it.
    """

    def __init__(self, crew: Callable[[], Crew], alone: Callable[[], Crew], *, one_by_one: bool) -> None:
        """``one_by_one``: what is made alone is so here, and nothing of an experiment is written meanwhile."""
        self._make_crew, self._make_alone, self._one_by_one = crew, alone, one_by_one
        self._are_alone = False
        self._crews: dict[bool, Crew] = {}
        self._open: dict[int, _Open[T]] = {}
        self._of: dict[Work, _Open[T]] = {}
        self._parked: list[tuple[_Open[T], Group]] = []
        self._ended: list[Ended[T]] = []

    def run(self, begun: Iterator[Steps[T]]) -> Generator[Ended[T]]:
        """Each experiment as it is over.

        Raises:
            InputError: one is wrong; what the others have finished is kept.
        """
        interrupts = Interrupts()
        numbered, are_more = enumerate(begun), True
        try:
            while are_more or self._open:
                interrupts.check()
                while are_more and len(self._open) < MOST_OPEN and not self._are_alone and self._is_hungry():
                    number, steps = next(numbered, (-1, None))
                    if steps is None:
                        are_more = False
                    else:
                        self._advance(_Open(number, steps), None)
                    yield from self._take_ended()
                self._step(are_more=are_more)
                yield from self._take_ended()
        except BaseException as error:
            # First those end who write, then is said what that leaves of each.
            self.stop()
            for one in list(self._open.values()):
                with suppress(BaseException):
                    one.steps.throw(error)
            raise
        finally:
            interrupts.close()
            self.stop()

    def stop(self) -> None:
        """Nobody makes anything any more."""
        for crew in self._crews.values():
            crew.close()

    def _is_hungry(self) -> bool:
        crew = self._crews.get(False)
        return crew is None or crew.n_waiting < crew.n_at_once

    def _crew(self, is_alone: bool) -> Crew:
        if is_alone not in self._crews:
            self._crews[is_alone] = self._make_alone() if is_alone else self._make_crew()
        return self._crews[is_alone]

    def _step(self, *, are_more: bool) -> None:
        """Wait for what comes next; when nothing is left but what is made alone, that is."""
        beside, alone = self._crews.get(False), self._crews.get(True)
        if beside is not None and beside.is_busy:
            self._deliver(beside)
        elif alone is not None and alone.is_busy:
            self._deliver(alone)
        elif self._parked and (self._are_alone or len(self._open) >= MOST_OPEN or not are_more):
            if beside is not None and not self._are_alone:
                beside.rest()
            self._parked.sort(key=lambda parked: parked[0].number)
            self._are_alone = True
            n = 1 if self._one_by_one else len(self._parked)
            parked, self._parked = self._parked[:n], self._parked[n:]
            for one, group in parked:
                self._hand(one, group)
        elif self._are_alone:
            self._are_alone = False
            if alone is not None:
                alone.rest()

    def _deliver(self, crew: Crew) -> None:
        for work, task, what in crew.step():
            self._advance(self._of[work], (task, what))

    def _hand(self, one: _Open[T], group: Group) -> None:
        self._of[group.work] = one
        self._crew(group.is_alone).add(group.work, group.tasks)

    def _advance(self, one: _Open[T], event: tuple[Task, Result] | None) -> None:
        """An experiment goes on to where it waits for something."""
        self._open[one.number] = one
        try:
            wanted = next(one.steps) if event is None else one.steps.send(event)
        except StopIteration as end:
            self._end(one, Ended(one.number, end.value))
            return
        except (RunsDiedError, RunsFailedError) as error:
            self._end(one, Ended(one.number, error=error))
            return
        if wanted is None:
            return
        if wanted.is_alone:
            self._parked.append((one, wanted))
        else:
            self._hand(one, wanted)

    def _end(self, one: _Open[T], ended: Ended[T]) -> None:
        del self._open[one.number]
        self._of = {work: other for work, other in self._of.items() if other is not one}
        self._ended.append(ended)

    def _take_ended(self) -> Iterator[Ended[T]]:
        ended, self._ended = self._ended, []
        yield from ended
