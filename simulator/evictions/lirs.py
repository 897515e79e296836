"""LIRS: blocks used twice within a short while stay, others pass through."""

from simulator.evictions.base import Eviction, Settings, share
from simulator.evictions.queues import Queue


class Lirs(Eviction):
    """Low inter-reference recency set (Jiang & Zhang, SIGMETRICS 2002).

    A stack has blocks, and ghosts of evicted ones, by their last use, and always ends with a LIR block, whatever is
    below being pruned. So who is used while it is in the stack has been away for less time than some LIR block was: it
    becomes LIR itself, and the last of the stack loses that. All that are not LIR (HIR) are also in a queue, for which
    a share of the capacity is kept, and whose oldest is the victim.

    The paper leaves the length of the stack open. Here blocks and ghosts in it are no more than so many times the
    capacity, and the ghost evicted first goes first.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._stack = Queue()  # its end first: by last use, longest ago
        self._lir = Queue()  # for its bytes alone: the order is the stack's
        self._hir = Queue()
        self._ghosts = Queue()  # by their eviction

    def _recall(self, key: int, size: int) -> str | None:
        if key not in self._ghosts:
            return None
        self._ghosts.remove(key)
        self._stack.remove(key)
        return "stack"

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        self._stack.append(key, size)
        if ghost or self._lir.n_bytes + size <= self._lir_limit(size):
            self._make_lir(key, size)
        else:
            self._hir.append(key, size)
        self._prune()
        self._forget(size)

    def _hit(self, key: int) -> None:
        size = self.sizes[key]
        if key not in self._stack:
            self._stack.append(key, size)
            self._hir.renew(key)
            self._prune()
            self._forget(size)
            return
        self._stack.renew(key)
        if key in self._hir:
            self._make_lir(key, self._hir.remove(key))
        self._prune()

    def _victim(self, size: int, ghost: str | None) -> int:
        return (self._hir or self._stack).oldest()

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        if key in self._lir:
            self._lir.remove(key)
            self._stack.remove(key)
            self._prune()
            return
        self._hir.remove(key)
        if key not in self._stack:
            return
        if evicted:
            self._ghosts.append(key, size)
        else:
            self._stack.remove(key)

    def _lir_limit(self, size: int) -> int:
        """All but the queue's share, and but a block at least: without any HIR block this would be LRU."""
        return self.whole(size) - max(self.share(size, self.settings.hir_ratio), size)

    def _make_lir(self, key: int, size: int) -> None:
        """A block becomes LIR; the last of the stack become HIR until the others fit."""
        self._lir.append(key, size)
        while self._lir.n_bytes > self._lir_limit(size):
            last, last_size = self._stack.pop()
            self._lir.remove(last)
            self._hir.append(last, last_size)
            self._prune()

    def _prune(self) -> None:
        """The stack ends with a LIR block: nobody below it could become one before it."""
        while self._stack and self._stack.oldest() not in self._lir:
            key, _ = self._stack.pop()
            if key in self._ghosts:
                self._ghosts.remove(key)

    def _forget(self, size: int) -> None:
        """Drop ghosts while the stack is too long."""
        most = share(self.whole(size), self.settings.stack_ratio)
        while self._ghosts and self._stack.n_bytes > most:
            key, _ = self._ghosts.pop()
            self._stack.remove(key)
