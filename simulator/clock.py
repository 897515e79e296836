"""Simulated time: SimPy's events, and the moments between them at which compiled code stops."""

from collections.abc import Callable
from typing import Any

from simpy import Environment
from simpy.core import Infinity
from simpy.events import Timeout

FOREVER = 2**63 - 1


class Clock:
    """An integer clock of nanoseconds (rule R1).

    The compiled loop runs ahead of SimPy's own clock up to the next event; ``now`` may be moved into that gap
    without the cost of an event.
    """

    def __init__(self) -> None:
        self.now = 0
        self._env = Environment(initial_time=0)

    def next_event_ns(self) -> int:
        """When the next event is due; FOREVER if there is none."""
        due = self._env.peek()
        return FOREVER if due is Infinity else due  # type: ignore[return-value]

    def step(self, due_ns: int) -> None:
        """Go to the next event, which ``next_event_ns`` has said is due then, and process it."""
        self.now = due_ns
        self._env.step()

    def after(self, delay_ns: int, callback: Callable[[Any], None], value: Any) -> None:
        """Call ``callback`` with an event that carries ``value``; equal times go first come, first served."""
        event = Timeout(self._env, self.now + delay_ns - self._env.now, value)
        event.callbacks.append(callback)
