"""Who follows a live cache, and what it is told: every access as it is looked up, and what became of each prefetch."""

from collections.abc import Callable
from typing import Any, Protocol

from live.moves import Access
from simulator.policy import Fate

Propose = Callable[[int, tuple[int, int, float, int]], bool]
"""Have a block sent for, for reasons as a Prefetch has them; whether it is."""


class Follower(Protocol):
    """All but ``before`` is called under the cache's lock: it is short, calls no cache, and raises nothing."""

    is_sync: bool
    """Whether accesses are to be shown by ``before``, too."""

    def before(self, access: Access) -> Any:
        """An access has come and is not looked up yet; ``outcome`` is what a look-up would find. It may wait here."""
        ...

    def issued(self, access: Access, asked: Any, propose: Propose) -> None:
        """An access was looked up, and if it missed its fetch is submitted; ``asked`` is what ``before`` returned."""
        ...

    def served(self) -> None:
        """Without the lock: an access that found its block, and was shown in ``issued``, has been served by now."""
        ...

    def settled(self, key: int, fate: Fate) -> None:
        """It is known what has become of a prefetch."""
        ...

    def polluted(self) -> None:
        """An access missed a block that went to make room for a prefetch."""
        ...
