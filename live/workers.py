"""Threads that move blocks: one for each channel of a link; and clients that wait for a block move it themselves."""

import threading

from live.core import Core
from live.links import Link
from live.moves import Access
from live.moving import Mover


class Workers:
    """``device`` is of the first tier, or None where that is no GPU."""

    def __init__(self, core: Core, device: int | None) -> None:
        self._core, self._device = core, device
        self._of_client = threading.local()
        self._threads = [
            # Daemons: whoever forgets to close a cache can end the program all the same.
            threading.Thread(target=self._run, args=(link,), name=f"{link.name}-{channel}", daemon=True)
            for link in core.links
            for channel in range(len(link.is_busy))
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, link: Link) -> None:
        core, mover = self._core, Mover(self._core.block, self._device)
        core.lock.acquire()
        while core.broken is None:
            try:
                call = core.guarded(core.traffic.choose, link)
                if call is not None:
                    core.unlock()
                    moved = core.traffic.move(call.transfer, mover)
                    core.lock.acquire()
                    core.guarded(core.traffic.end, call, moved)
                    continue
            except BaseException:
                # Everybody who calls the cache is told of it.
                break
            if core.after:
                core.unlock()
                core.lock.acquire()
            elif core.is_closed:
                break
            else:
                core.wake()
                link.wake.wait()
        core.unlock()

    def mover(self) -> Mover:
        """That of the thread that asks."""
        if not hasattr(self._of_client, "mover"):
            self._of_client.mover = Mover(self._core.block, self._device)
        found: Mover = self._of_client.mover
        return found

    def help(self, access: Access) -> None:
        """Have the thread that waits for a block move it, where a channel is free and it is the block's turn.

        That saves the time that it takes to wake a thread, and to be woken by it. The lock is held before and after.
        """
        core, transfer = self._core, access.transfer
        while transfer is not None and transfer.is_queued and not access.is_served:
            call = core.guarded(core.traffic.choose, core.memory.link_of(transfer), transfer)
            if call is None:
                return
            core.unlock()
            try:
                moved = core.traffic.move(call.transfer, self.mover())
            finally:
                core.lock.acquire()
            core.guarded(core.traffic.end, call, moved)
            if moved.error is not None and not isinstance(moved.error, Exception):
                # Somebody wants this thread to stop.
                raise moved.error

    def join(self) -> None:
        """Wait until all threads have ended, once the cache is closed."""
        for thread in self._threads:
            thread.join()
