"""A tier's memory: places for blocks, each free or held by those who count themselves in."""

from collections.abc import Callable
from typing import Any

from live.buffers import Bytes8, aligned
from live.file_systems import ALIGNMENT
from live.settings import MemoryTier


class Slot:
    """A place for a block's bytes, which stay as they are until nobody counts on them any more.

    ``refs`` is how many do: the tier for its block, a transfer, each reader. What is written goes into a slot of its
    own and takes the old one's place, so that a reader's bytes never change under it. ``host`` is the bytes where the
    CPU can touch them, ``tensor`` those that torch knows.
    """

    __slots__ = ("host", "refs", "slab", "tensor")

    def __init__(self, slab: "Slab", host: Bytes8 | None, tensor: Any) -> None:
        self.slab, self.host, self.tensor = slab, host, tensor
        self.refs = 0


class Slab:
    """The memory of a tier, for as many blocks as fit and some to spare. All calls are made under the cache's lock.

    ``n_parked`` slots hold what could not be written down. ``freed`` is called when a slot is free for which somebody
    is waiting.
    """

    def __init__(self, tier: MemoryTier, block: int, freed: Callable[[], None]) -> None:
        self.tier, self.block, self._freed = tier, block, freed
        self.n_slots = tier.capacity // block + tier.spare
        self.n_parked, self.is_short = 0, False
        self._free = _slots_of(self, self.n_slots)[::-1]

    @property
    def n_free(self) -> int:
        """Slots that hold nothing."""
        return len(self._free)

    def touch(self) -> None:
        """Have the system give the process its memory now, and not page by page as it is used first."""
        for slot in self._free:
            if slot.host is not None:
                slot.host[::ALIGNMENT] = 0

    def take(self) -> Slot | None:
        """A free slot, for one; or None, and ``freed`` is called when there is one again."""
        if not self._free:
            self.is_short = True
            return None
        slot = self._free.pop()
        slot.refs = 1
        return slot

    def enlarge(self) -> None:
        """One slot more, of plain memory."""
        self.n_slots += 1
        self._free.append(Slot(self, _plain(1, self.block)[0], None))

    def release(self, slot: Slot) -> None:
        """One counts on it no more."""
        slot.refs -= 1
        if slot.refs == 0:
            self._free.append(slot)
            if self.is_short:
                self.is_short = False
                self._freed()


def _plain(n: int, block: int) -> list[Bytes8]:
    return list(aligned(n * block).reshape(n, block))


def _slots_of(slab: Slab, n: int) -> list[Slot]:
    tier, block = slab.tier, slab.block
    if tier.memory == "dram":
        return [Slot(slab, row, None) for row in _plain(n, block)]
    import torch

    if tier.memory == "pinned":
        rows = torch.empty((n, block), dtype=torch.uint8, pin_memory=True)
        return [Slot(slab, row.numpy(), row) for row in rows.unbind()]
    device = torch.device("cuda", tier.device)
    rows = torch.empty((n, block), dtype=torch.uint8, device=device)
    # The memory may be some that a tensor had before, with work still to be done on it; other streams come to it now.
    torch.cuda.synchronize(device)
    return [Slot(slab, None, row) for row in rows.unbind()]
