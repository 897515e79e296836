"""A tier of a live cache: which blocks it holds, where their bytes are, and who goes next (rules R25, R28, R42)."""

from collections.abc import Callable, Sequence

from live.moves import Block
from live.order import Order, order_of
from live.settings import MemoryTier
from live.slab import Slab
from simulator.config import Prefetching


class Tier:
    """All calls are made under the cache's lock."""

    def __init__(
        self, settings: MemoryTier, level: int, block: int, seed: int, prefetch: Prefetching,
        freed: Callable[[], None],
    ) -> None:  # fmt: skip
        self.settings, self.level, self.name, self._block = settings, level, settings.name, block
        self.order = order_of(settings, level, block, seed, prefetch)
        self.slab = Slab(settings, block, freed)
        self.blocks: dict[int, Block] = {}
        self.n_in = self.n_out = 0

    def _take_in(self, key: int, prefetched: bool) -> Sequence[int]:
        if isinstance(self.order, Order):
            return self.order.take_in(key, self._block, prefetched=prefetched)
        gone = self.order.request(key, self._block, prefetched=prefetched)
        assert gone is not None, f"{self.name} holds {key} already"
        return gone

    def _use(self, key: int) -> Sequence[int]:
        if isinstance(self.order, Order):
            return self.order.use(key)
        self.order.request(key, self._block)
        return self.order.push_out()

    def put(self, key: int, block: Block) -> Sequence[tuple[int, Block]]:
        """Take a block in; who does not stay, in order: the block itself if it is not admitted."""
        gone = self._take_in(key, block.prefetch is not None)
        self.blocks[key] = block
        if not gone:
            self.n_in += 1
            return ()
        if gone[0] != key:
            self.n_in += 1
            self.n_out += len(gone)
        return [(old, self.blocks.pop(old)) for old in gone]

    def use(self, key: int) -> Sequence[tuple[int, Block]]:
        """A block that it holds is read or written here; whom that pushes out, in order."""
        gone = self._use(key)
        if not gone:
            return ()
        self.n_out += len(gone)
        return [(old, self.blocks.pop(old)) for old in gone]

    def remove(self, key: int) -> Block | None:
        """Let go of a copy, if there is one."""
        block = self.blocks.pop(key, None)
        if block is not None:
            self.order.remove(key)
            self.n_out += 1
        return block
