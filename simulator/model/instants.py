"""The order of what happens at one instant (rule R2).

SimPy sorts events by time, then by priority, then by when they were scheduled. What something brings about at once are
events of SimPy's own kind (a process starts, goes on, ends): they come first. Then comes whatever has a phase here.
"""

from typing import Any, cast

from simpy import Environment, Event
from simpy.core import EventPriority

END = 2
"""The last access is served: nothing else of this instant happens (rule R30)."""
COMPLETION = 3
"""A call over a link or an inference is over; those of one instant in the order in which they began."""
SERVE = 4
"""All completions are applied: a server that is free takes up questions."""
CHOICE = 5
"""After them links choose what they start, the one of tier 0 first: CHOICE + the number of the link."""
ISSUE = 32
"""At last accesses are issued, those of the first stream first: ISSUE + the number of the stream."""


class Instant(Event):
    """A timeout that comes in a phase of its instant: ``yield Instant(env, COMPLETION, 500)``."""

    def __init__(self, env: Environment, phase: int, delay: int = 0, value: Any = None) -> None:
        super().__init__(env)
        self._ok = True
        self._value = value
        # SimPy names but two priorities, and sorts by any number.
        env.schedule(self, cast(EventPriority, phase), delay)
