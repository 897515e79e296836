"""What a live cache has counted since it was made."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulator.policy import Fate, Outcome

if TYPE_CHECKING:
    from live.links import Link


@dataclass
class Books:
    """Under the cache's lock. ``retries`` and ``failures`` are of transfers, ``corrupt`` of what a store had."""

    outcomes: list[int] = field(default_factory=lambda: [0] * len(Outcome))
    fates: Counter[Fate] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    n_issued: int = 0
    n_pollution: int = 0
    n_retries: int = 0
    n_failed_reads: int = 0
    n_failed_writes: int = 0
    n_corrupt: int = 0
    n_waits_for_room: int = 0

    @property
    def n_accesses(self) -> int:
        """Gets and puts that were looked up, and came to an end."""
        return sum(self.outcomes)


@dataclass(frozen=True)
class LinkStats:
    """Of a link: what has moved over it, by what it was started as, and what waits."""

    demand_bytes: int
    prefetch_bytes: int
    write_back_bytes: int
    n_calls: int
    busy_ns: int
    n_queued: int


@dataclass(frozen=True)
class TierStats:
    """Of a tier: blocks that came in and left, that are there, that are dirty; slots that are free or parked."""

    n_in: int
    n_out: int
    n_blocks: int
    n_dirty: int
    n_free_slots: int
    n_parked: int


@dataclass(frozen=True)
class Stats:
    """What ``TieredCache.stats`` returns: counts of one moment, under the names that ``runs`` has in docs/metrics.md.

    ``n_in_flight`` are blocks on their way, up or down, ``n_unwritten`` those of them that could not be written down.
    """

    n_accesses: int
    n_puts: int
    n_hit: int
    n_hit_prefetched: int
    n_late: int
    n_merged: int
    n_miss: int
    n_issued: int
    fates: dict[str, int]
    rejected: dict[str, int]
    n_pollution: int
    n_retries: int
    n_failed_reads: int
    n_failed_writes: int
    n_corrupt: int
    n_waits_for_room: int
    n_in_flight: int
    n_unwritten: int
    tiers: dict[str, TierStats]
    links: dict[str, LinkStats]

    @property
    def hit_ratio(self) -> float | None:
        """Hits over accesses; None of nothing."""
        return (self.n_hit + self.n_hit_prefetched) / self.n_accesses if self.n_accesses else None


def link_stats(link: "Link") -> LinkStats:
    """What a link has counted."""
    demand, prefetch, write_back = link.bytes_moved
    return LinkStats(demand, prefetch, write_back, link.n_calls, link.busy_ns, link.n_queued)


def stats_of(books: Books, **others: Any) -> Stats:
    """A copy of what is counted."""
    counted: dict[str, Any] = {f"n_{outcome.name.lower()}": books.outcomes[outcome] for outcome in Outcome}
    return Stats(
        n_accesses=books.n_accesses, n_issued=books.n_issued,
        fates={fate.name.lower(): books.fates[fate] for fate in Fate if books.fates[fate]},
        rejected=dict(books.rejected), n_pollution=books.n_pollution, n_retries=books.n_retries,
        n_failed_reads=books.n_failed_reads, n_failed_writes=books.n_failed_writes, n_corrupt=books.n_corrupt,
        n_waits_for_room=books.n_waits_for_room, **counted, **others,
    )  # fmt: skip
