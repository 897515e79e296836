"""Where the time of accesses that waited went, link by link: queueing and transfer (rule R18, told apart further)."""

from simulator.links import Transfer


class Attribution:
    """Sums over all accesses, in ns. Their totals are those of the columns ``queue_ns`` and ``transfer_ns``."""

    def __init__(self, n_links: int) -> None:
        self.queue_ns = [0] * n_links
        self.transfer_ns = [0] * n_links

    def waited(self, transfer: Transfer, since: int) -> int:
        """An access waited from ``since`` until the block landed; how much of that the block was in service, in ns.

        The hops of a transfer follow each other without a gap, so what of them lies behind ``since`` is all of the
        wait.
        """
        moved = 0
        for link, queued, started, ended in transfer.path:
            if ended <= since:
                continue
            if started > since:
                self.queue_ns[link] += started - max(queued, since)
            in_service = ended - max(started, since)
            self.transfer_ns[link] += in_service
            moved += in_service
        return moved

    def waited_below(self, transfer: Transfer, ns: int) -> None:
        """An access waited for a block on its way down: all of that is queueing."""
        self.queue_ns[transfer.link] += ns
