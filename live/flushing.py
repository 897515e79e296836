"""What was put reaches the store, while the cache goes on."""

from live.core import Core
from live.errors import FlushError
from live.moves import CLEAN, WRITTEN, Block, Transfer
from live.workers import Workers
from simulator.links import WRITE_BACK


class Flushing:
    """Writes dirty blocks where they are, without moving them: they stay, and are clean."""

    def __init__(self, core: Core, workers: Workers) -> None:
        self._core, self._workers = core, workers

    def run(self) -> None:
        """All that was put before this call is in the store when it returns. Raises FlushError for what is not."""
        core, errors = self._core, dict[int, BaseException]()
        core.lock.acquire()
        try:
            until = core.serving.n_puts
            core.traffic.try_all_again()
            core.wake()
            # Blocks may sink meanwhile, from tier to tier: until none is left that is older.
            while True:
                found = self._dirty(until, errors)
                for level, key, block in found:
                    self._write(level, key, block, errors)
                moving = self._moving(until)
                if moving:
                    core.wake()
                    core.landed.wait()
                    core.check()
                elif not found:
                    break
            # Some may have been evicted since, and written down after all.
            dirty = {key for tier in core.tiers for key, block in tier.blocks.items() if block.dirty == WRITTEN}
            errors = {key: error for key, error in errors.items() if key in dirty}
            for key, transfer in core.memory.parked.items():
                if transfer.put <= until and transfer.error is not None:
                    errors[key] = transfer.error
        finally:
            core.unlock()
        core.store.flush()
        if errors:
            raise FlushError(errors)

    def _dirty(self, until: int, errors: dict[int, BaseException]) -> list[tuple[int, int, Block]]:
        return [
            (tier.level, key, block)
            for tier in self._core.tiers
            for key, block in tier.blocks.items()
            if block.dirty == WRITTEN and block.put <= until and key not in errors
        ]

    def _moving(self, until: int) -> list[Transfer]:
        """Written blocks on their way, but for those that are parked."""
        flight = self._core.memory.flight.values()
        return [t for t in flight if t.dirty == WRITTEN and t.put <= until and t.error is None]

    def _write(self, level: int, key: int, block: Block, errors: dict[int, BaseException]) -> None:
        """One block from where it lies, unless it has gone, or been written to, meanwhile."""
        core = self._core
        while key in core.traffic.writing:
            core.landed.wait()
            core.check()
        if core.tiers[level].blocks.get(key) is not block or block.dirty != WRITTEN:
            return
        slot, put = block.slot, block.put
        slot.refs += 1
        core.traffic.writing.add(key)
        copy = Transfer(key, WRITE_BACK, core.origin - 1, slot, is_down=True, dirty=WRITTEN, put=put)
        core.unlock()
        moved = core.traffic.move(copy, self._workers.mover())
        core.lock.acquire()
        core.traffic.writing.discard(key)
        core.will_wake()
        core.books.n_retries += moved.n_retries
        core.memory.release(slot)
        if moved.error is not None and not isinstance(moved.error, Exception):
            # Somebody wants this thread to stop.
            raise moved.error
        if moved.error is not None:
            core.books.n_failed_writes += 1
            errors[key] = moved.error
        elif core.tiers[level].blocks.get(key) is block and block.slot is slot:
            block.dirty = CLEAN
        core.landed.notify_all()
