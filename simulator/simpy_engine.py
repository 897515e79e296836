"""The engine whose events SimPy keeps: the readable definition of when things happen, and the place to add to it.

What completes is an event of SimPy's, so a process of one's own can run beside it: take ``env``, and start processes
before ``run``. Everything else is the compiled code of ``engine``, and the tables of both are the same to the bit.
"""

from typing import Any

from simpy import Environment
from simpy.core import Infinity
from simpy.events import Timeout

from simulator import events
from simulator import machine as m_
from simulator.engine import Engine


class SimpyEngine(Engine):
    """Takes the same arguments as ``Engine``; ``env`` is SimPy's environment, whose clock is in whole nanoseconds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.env = Environment(initial_time=0)
        self._m[m_.IS_EXTERNAL] = 1

    def _horizon(self) -> int:
        due = self.env.peek()
        return m_.FOREVER if due is Infinity else int(due)

    def _next_event(self) -> None:
        m = self._m
        while m[m_.N_EVENTS]:
            # In the order of time, then of making: SimPy keeps those of equal times in the order in which it gets them.
            due, _, kind, what = m[m[m_.EVENTS] :][: events.EVENT_FIELDS].tolist()
            events.pop(m)
            Timeout(self.env, due - self.env.now, (kind, what)).callbacks.append(self._happens)
        self.env.step()

    def _happens(self, event: Any) -> None:
        m = self._m
        m[m_.NOW] = self.env.now
        m[m_.FIRED_KIND], m[m_.FIRED] = event.value
