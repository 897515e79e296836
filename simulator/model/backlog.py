"""What a tier has evicted and the one below does not have yet, and what waits outside the tier meanwhile (rule R40)."""

from collections import deque
from collections.abc import Callable
from math import inf

from simpy import Environment

from simulator.config import WriteBack
from simulator.model.links import COMPLETION, Instant


class Backlog:
    """The write-backs that a tier has started and that have not landed; ``most_bytes`` there were at one time.

    ``line`` has what is to come into the tier, in order, while it is shut: each is called when its turn has come, and
    calls ``open`` when it is in.
    """

    def __init__(self, env: Environment, limit: WriteBack) -> None:
        self._env, self._will_open = env, False
        self._limits = limit.bytes or inf, limit.blocks or inf
        self.n_bytes = self.n_blocks = self.most_bytes = 0
        self.line: deque[Callable[[], object]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether as much waits as may."""
        return self.n_bytes >= self._limits[0] or self.n_blocks >= self._limits[1]

    @property
    def is_shut(self) -> bool:
        """Whether what comes now has to wait: nobody overtakes those who do already."""
        return bool(self.line) or self.is_full

    def add(self, size: int) -> None:
        """A block is to be written down."""
        self.n_bytes += size
        self.n_blocks += 1
        self.most_bytes = max(self.most_bytes, self.n_bytes)

    def leave(self, size: int) -> None:
        """One is there."""
        self.n_bytes -= size
        self.n_blocks -= 1
        self.open()

    def open(self) -> None:
        """Let in who is next, if there is room: a completion of this instant (rule R2)."""
        if self.line and not self.is_full and not self._will_open:
            self._will_open = True
            Instant(self._env, COMPLETION).callbacks.append(self._let_in)

    def _let_in(self, _: object) -> None:
        self._will_open = False
        # A prefetch that was given up may have filled it again (rule R10).
        if self.line and not self.is_full:
            self.line.popleft()()
