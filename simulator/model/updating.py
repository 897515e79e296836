"""Updates that a policy begins (R43): on a device of their own, or on the inference server when nobody asks."""

from typing import TYPE_CHECKING

from simpy import Event

from simulator.model.links import COMPLETION, SPARE, Instant
from simulator.policy import Update

if TYPE_CHECKING:
    from simulator.model.model import Model


class Updating:
    """The policy's update: at most one lives. ``left_ns`` is what it still needs, of a server or of its own device."""

    def __init__(self, model: "Model") -> None:
        self.model = model
        self._update: Update | None = None
        self._ends: Event | None = None
        self._access = self._begun_ns = self._began_ns = self._started_ns = self._ended_ns = -1
        self.left_ns = self.n_preempted = 0
        self.is_news = False
        """Whether it is over, and the policy does not know."""

    @property
    def is_on_server(self) -> bool:
        """Whether a server is at work on it."""
        return self._ends is not None and self._update is not None and self._update.shares

    def begin(self, update: Update, access: int) -> None:
        """The policy has begun it with the question of this access. Raises ValueError if it has begun one before."""
        if self._update is not None:
            raise ValueError(f"the policy begins an update at access {access}, but one is not over; expected one")
        self._update, self._access, self._begun_ns = update, access, self.model.now
        self._started_ns = self._ended_ns = -1
        self.left_ns, self.n_preempted = update.charged_ns, 0
        if update.charged_ns == 0:
            self._started_ns = self.model.now
            self._end(None)
        elif update.shares:
            self.may_go_on()
        else:
            self._start()

    def may_go_on(self) -> None:
        """A server may be free: this is known when those who ask have had their turn."""
        if self._update is not None and self._update.shares and self._ends is None and self.left_ns:
            Instant(self.model.env, SPARE).callbacks.append(self._go_on)

    def _go_on(self, _: Event) -> None:
        asking = self.model.asking
        if self._ends is None and self.left_ns and asking.n_busy < asking.config.servers:
            self._start()

    def _start(self) -> None:
        self._began_ns = self.model.now
        if self._started_ns < 0:
            self._started_ns = self.model.now
        self._ends = Instant(self.model.env, COMPLETION, self.left_ns)
        self._ends.callbacks.append(self._end)

    def give_way(self) -> None:
        """An inference begins: it gets the server, if no other is free."""
        asking = self.model.asking
        if self.is_on_server and asking.n_busy + 1 == asking.config.servers:
            self.left_ns -= self.model.now - self._began_ns
            self.n_preempted += 1
            self._ends = None

    def _end(self, ends: Event | None) -> None:
        """It is over, unless it had to give way meanwhile."""
        if ends is self._ends:
            self._ends, self.left_ns, self._ended_ns = None, 0, self.model.now
            self.is_news = True

    def keep(self) -> None:
        """What came of it, over or not, is kept in the books."""
        if self._update is not None:
            self.model.ledger.books.add_update(
                self._access, self._update, self._begun_ns, self._started_ns, self._ended_ns, self.n_preempted
            )
            self._update, self.is_news = None, False
