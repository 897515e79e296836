"""Who makes runs beside others: what the processes of this machine and those of a cluster have in common."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from experiments.config import Experiment
from experiments.kept import Done
from experiments.plan import Run
from experiments.progress import OneRun
from experiments.shared import SharedTrace
from simulator.errors import OutsideError

T = TypeVar("T")


@dataclass
class Task:
    """A run; or, ahead of it, the training of its model, which leaves nothing."""

    run: Run
    n_warm_up: int = 0
    trains_only: bool = False
    watches: bool = False
    n_tries: int = 0
    death: str = ""


@dataclass(frozen=True, eq=False)
class Work:
    """What tasks of an experiment have in common; ``shared`` is where the traces lie."""

    experiment: Experiment
    folder: Path
    traces: Mapping[int, SharedTrace]
    shared: Path
    show: Callable[[Task], OneRun]


class Died(NamedTuple):
    """What comes of a task whose process ended without a result, and so did those that tried again."""

    line: str


Result = Done | OutsideError | Died | None
"""What comes of a task; of a training nothing."""


class Group(NamedTuple):
    """Tasks that are to be made; with ``is_alone`` beside no others."""

    work: Work
    tasks: Sequence[Task]
    is_alone: bool


class Crew(Protocol):
    """Makes tasks of several experiments, in the order in which it is given them."""

    @property
    def n_at_once(self) -> int:
        """How many tasks, side by side."""

    @property
    def n_waiting(self) -> int:
        """How many have not begun."""

    @property
    def is_busy(self) -> bool:
        """Whether anything is left to be made."""

    def add(self, work: Work, tasks: Sequence[Task]) -> None:
        """Make these, too. Raises InputError if the experiment cannot be handed to other processes."""

    def step(self) -> Iterator[tuple[Work, Task, Result]]:
        """Wait a little, then say what is over. Raises whatever a run raises, as it would here."""

    def rest(self) -> None:
        """Nothing is left to be made: processes end, until there is more."""

    def close(self) -> None:
        """End what is still under way, and remove what it was writing."""


Steps = Generator[Group | None, tuple[Task, Result], T]
"""An experiment on its way: it asks for groups of tasks, one after the other, and is sent what comes of each task."""


def at_once(steps: Steps[T]) -> T:
    """What an experiment comes to that makes its runs by itself, and asks for nothing."""
    try:
        next(steps)
    except StopIteration as end:
        found: T = end.value
        return found
    raise RuntimeError("an experiment that makes its runs by itself has asked for them")


def only_of(crew: Crew, work: Work, tasks: Sequence[Task], check: Callable[[], Any]) -> Iterator[tuple[Task, Result]]:
    """Each task with what came of it, of a crew that has no others. ``check`` is called now and then."""
    crew.add(work, tasks)
    while crew.is_busy:
        check()
        for _, task, what in crew.step():
            yield task, what
