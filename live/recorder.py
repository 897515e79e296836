"""What happens in a live cache as rows of the simulator's tables, with real clocks (docs/metrics.md)."""

from typing import TYPE_CHECKING

import numpy as np

from live.moves import WRITTEN, Access, Prefetch
from simulator.accounting import Books, Rows, Sink
from simulator.arrays import NONE
from simulator.ledger.rows import bits, signed
from simulator.policy import Cause, Fate
from simulator.records.record import Record
from simulator.records.rows import AccessRow, InferenceRow, PrefetchRow, TransferRow

if TYPE_CHECKING:
    from live.traffic import Call

_TABLES: dict[str, type[Record]] = {
    "accesses": AccessRow, "prefetches": PrefetchRow, "inferences": InferenceRow, "transfers": TransferRow,
}  # fmt: skip


def prefetch_row(prefetch: Prefetch, size: int, fate: Fate) -> tuple[int, ...]:
    """The fields of a PrefetchRow."""
    return (
        prefetch.index, prefetch.inference, prefetch.access, signed(prefetch.key), size, prefetch.source,
        prefetch.proposed_ns, prefetch.filled_ns, prefetch.used_ns, prefetch.used_access, prefetch.saved_ns,
        prefetch.evicted_ns, int(fate), bits(prefetch.confidence), prefetch.expert,
    )  # fmt: skip


class Recorder:
    """Keeps a row for each access, settled prefetch, question and call over a link; in ns since the cache was made.

    Rows are tuples until somebody asks for them. One recorder is of one cache.
    """

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[int, ...]]] = {table: [] for table in _TABLES}
        self.waits: list[tuple[int, int, int, int]] = []
        """Of accesses that have waited for a block, by link of its way: ns that they queued, and that it moved."""
        self.rejections: list[tuple[int, str]] = []
        """Of each block that was wanted and not sent for: after which access, and why."""
        self.polluted: list[int] = []
        """The accesses that missed a block because of a prefetch."""

    def access(self, access: Access, ended_ns: int) -> None:
        """An access is over: what was neither queueing nor transfer was service, which includes being woken.

        Only its own thread has it now, and to append to a list needs no lock.
        """
        latency_ns = ended_ns - access.issued_ns
        self._rows["accesses"].append((
            access.index, access.stream, signed(access.request), signed(access.key), access.op, int(access.outcome),
            access.issued_ns, latency_ns,
            latency_ns - access.queue_ns - access.transfer_ns - access.inference_ns, access.queue_ns,
            access.transfer_ns, access.inference_ns, NONE,
        ))  # fmt: skip
        since_ns = access.joined_ns
        for link, queued_ns, started_ns, hop_ended_ns in access.path:
            queued = max(started_ns - max(queued_ns, since_ns), 0)
            self.waits.append((access.index, link, queued, max(hop_ended_ns - max(started_ns, since_ns), 0)))

    def pollution(self, access: Access) -> None:
        """A block is missed that a prefetch pushed out."""
        self.polluted.append(access.index)

    def rejection(self, access: int, reason: str) -> None:
        """A block is not sent for, which was wanted after that access."""
        self.rejections.append((access, reason))

    def prefetch(self, prefetch: Prefetch, size: int) -> None:
        """It is known what has become of a prefetch."""
        self._rows["prefetches"].append(prefetch_row(prefetch, size, prefetch.fate))

    def inference(self, row: dict[str, int]) -> None:
        """All is known of a question: its fields (InferenceRow) by name."""
        self._rows["inferences"].append(tuple(int(row[name]) for name in InferenceRow.dtype.names or ()))

    def transfer(self, call: "Call", ended_ns: int, size: int) -> None:
        """A call over a link is over, and has not failed."""
        transfer, rows = call.transfer, self._rows["transfers"]
        prefetch = transfer.prefetch or transfer.late
        if transfer.is_down:
            cause = Cause.WRITE_BACK if transfer.dirty == WRITTEN else Cause.DEMOTION
        else:
            cause = Cause.MISS if prefetch is None else Cause.PREFETCH
        rows.append((
            len(rows), call.link.index, call.channel, transfer.kind, transfer.priority, int(cause), transfer.access,
            NONE if prefetch is None else prefetch.index, signed(transfer.key), transfer.is_down, size,
            transfer.queued_ns, transfer.started_ns, ended_ns,
        ))  # fmt: skip

    def accesses_since(self, n: int) -> tuple[Rows, int]:
        """The rows of accesses behind the first ``n`` that were over, and how many there are now."""
        rows = self._rows["accesses"][n:]
        return np.array(rows, AccessRow.dtype), n + len(rows)

    def rows(self, table: str) -> Rows:
        """A table so far: ``accesses`` in order of issue, ``transfers`` in order of beginning.

        To be asked for when nothing is under way, or that is missing.
        """
        rows = np.array(self._rows[table], dtype=_TABLES[table].dtype)
        if table == "transfers":
            rows = rows[np.argsort(rows["started_ns"], kind="stable")]
            rows["call"] = np.arange(len(rows))
            return rows
        return rows[np.argsort(rows[_TABLES[table].dtype.names[0]], kind="stable")]  # type: ignore[index]

    def write(self, sink: Sink, link_names: list[str]) -> None:
        """Hand all rows so far to what takes tables, as the simulator's engines do."""
        books = Books(sink, window=0)
        books.link_names = link_names
        books.add_accesses(self.rows("accesses"))
        books.add_prefetches(self.rows("prefetches"))
        books.add_questions(self.rows("inferences"))
        books.add_transfers(self.rows("transfers"))
