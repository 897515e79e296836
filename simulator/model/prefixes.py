"""Which blocks of a request lie behind one that is missing (rule R41)."""

from typing import TYPE_CHECKING

from simulator.trace import WRITE

if TYPE_CHECKING:
    from simulator.model.accesses import Access
    from simulator.model.model import Model


class Prefixes:
    """Of each stream the request that it issues, and whether a block of it was missing."""

    def __init__(self, model: "Model") -> None:
        self._model = model
        self._of: dict[int, tuple[int, bool]] = {}

    def is_behind(self, access: "Access") -> bool:
        """Whether a block before it in its request was in no tier, and not in flight, when that one was issued."""
        request, is_broken = self._of.get(access.stream, (access.request, False))
        is_broken = is_broken and request == access.request
        is_read = access.op != WRITE
        missing = is_read and access.key not in self._model.flight and not self._model.memory.holders(access.key)
        self._of[access.stream] = access.request, is_broken or missing
        return is_broken and is_read
