"""A run's memory from Python: made from the config, enlarged between steps, read at the end.

All of it is one array of int64: the Run at its start, and behind it what there is many of. Records never move; the
array grows at its end, between steps, and each step is checked for room beforehand.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from simulator import distribution, flight, keyset
from simulator.accounting import Books
from simulator.arrays import NONE, At, Ints
from simulator.closing import all_links
from simulator.compiled import address_of
from simulator.config import Arrivals, System, WriteBack
from simulator.distribution import MOST
from simulator.events import FOREVER
from simulator.hops import hops_of, spread_numbers
from simulator.landing import VICTIM_ROOM
from simulator.policy import Policy
from simulator.records import checked
from simulator.records.arena import Victim
from simulator.records.lists import clear_all
from simulator.records.moving import (
    Access,
    Chunk,
    Event,
    Life,
    Link,
    Pool,
    Pooled,
    Prefetch,
    Question,
    Ready,
    Stream,
    Transfer,
)
from simulator.records.record import Record
from simulator.records.rows import (
    AccessRow,
    InferenceRow,
    PrefetchRow,
    RequestRow,
    ShownRow,
    ToldRow,
    TransferRow,
    WindowRow,
)
from simulator.records.run import Buffer, Counts, KeySet, Pair, Run
from simulator.seeds import number
from simulator.settings import write_kept, write_link, write_settings
from simulator.units import LATEST_NS, PPM

_FIRST_RECORDS = 64
_FIRST_TABLE = _FIRST_COUNTS = 1024
# Rows that a buffer has room for at first: few enough to stay in a core's own cache.
_FIRST_ROWS = 2048
_POOLS: dict[str, type[Pooled]] = {
    "transfers": Transfer, "accesses": Access, "prefetches": Prefetch, "questions": Question, "chunks": Chunk,
}  # fmt: skip
# The rows of each buffer, and what says how many are needed.
_BUFFERS: dict[str, tuple[type[Record], str]] = {
    "accesses": (AccessRow, "access_rows"), "prefetches": (PrefetchRow, "prefetch_rows"),
    "inferences": (InferenceRow, "inference_rows"), "requests": (RequestRow, "request_rows"),
    "transfers": (TransferRow, "transfer_rows"),
    "shown": (ShownRow, "shown_rows"), "told": (ToldRow, "told_rows"),
}  # fmt: skip
_COUNTED = {
    "latency": "access_rows", "ttft": "request_rows", "slack": "prefetch_rows",
    "saved": "prefetch_rows", "charged": "inference_rows",
    "host": "inference_rows",
}  # fmt: skip


class Machine:
    """Owns the array, which is another one after ``make_room``; ``run`` is the record at its start."""

    def __init__(
        self, system: System, arrivals: Arrivals, policy: Policy, books: Books, n_streams: int, seed: int = 0,
        first_access: int = 0,
    ) -> None:  # fmt: skip
        self._m: Ints = np.zeros(Run.words, np.int64)
        self.address = address_of(self._m)
        """Where the array lies: what compiled code is given."""
        self.run = run = Run(self._m, 0)
        self._n_of = dict.fromkeys(_POOLS, 0)
        write_settings(run.settings, system, arrivals, policy)
        run.fired = run.found_prefetch = run.judged_since_ns = NONE
        run.most_evicted, run.latest_ns = 1, LATEST_NS
        run.serviced.size = NONE
        run.server.slow_ppm = PPM
        run.n_streams = run.n_ready = n_streams
        clear_all(run.server.queue.list, run.server.asked, run.open_fates, run.late_fates)
        self._streams(n_streams)
        if system.requests is not None:
            self._places(system.requests.running)
        self._links(system, seed, first_access)
        self._service(system, seed)
        self.run.victims = self._region(Victim, VICTIM_ROOM)
        self._new_flight(_FIRST_TABLE)
        for keys in ("polluted", "known"):
            place = self._region(None, _FIRST_TABLE)
            self._keys(keys).table, self._keys(keys).mask = place, _FIRST_TABLE - 1
        for buffer in _BUFFERS:
            self._enlarge_buffer(buffer, _FIRST_ROWS)
        self._books(books)
        for pool in _POOLS:
            self._pool(pool).free = NONE
            self._enlarge_pool(pool, _FIRST_RECORDS)

    def _streams(self, n: int) -> None:
        # One more is for questions about the accesses of all.
        self.run.streams = self._region(Stream, n + 1)
        self.streams["next"] = self.streams["last"] = self.streams["queued"] = NONE
        for end in ("first", "last"):
            self.streams["questions"][end] = NONE
        self.run.ready = self._region(Ready, n)
        # All at time 0.
        self._rows(Ready, self.run.ready, n)["stream"] = np.arange(n)

    def _places(self, n: int) -> None:
        """Where requests have a life, places are ready, not streams; none has a request."""
        self.run.lives = self._region(Life, n)
        self.lives["issuer"]["next"] = NONE
        self.run.ready, self.run.n_ready = self._region(Ready, n), 0

    def _links(self, system: System, seed: int, first_access: int) -> None:
        hops = hops_of(system)
        self.run.n_links = len(hops)
        self.run.links = self._region(Link, len(hops))
        # The computing in tier 0 is no way down.
        limits = [*(tier.write_back for tier in system.tiers), WriteBack()]
        for link, hop, limit in zip(all_links(self.run), hops, limits, strict=False):
            write_link(link, hop, limit)
        for i, hop in enumerate(hops):
            channels = self._region(None, hop.channels)
            link = all_links(self.run)[i]
            link.channels, link.first_drawn = channels, number(seed, "spread", "link", str(i))
            # Slices of one trace are not to draw the same again and again.
            link.n_calls, link.draws = first_access, len(hop.read_spread) + len(hop.write_spread) > 0
            for name in ("read_table", "write_table", "read_spread", "write_spread"):
                table = getattr(hop, name)
                if len(table):
                    place = self._numbers(table)
                    setattr(all_links(self.run)[i], name, place)

    def _service(self, system: System, seed: int) -> None:
        """Service spreads or takes the same each time (rule R47)."""
        spread = spread_numbers(system.tiers[0].spread)
        if len(spread):
            place = self._numbers(spread)
            self.run.settings.spread, self.run.settings.first_drawn = place, number(seed, "spread", "service")

    def _numbers(self, numbers: Ints) -> Any:
        """Numbers that do not change, at the end; where they lie."""
        place = self._region(None, len(numbers))
        self._m[place:] = numbers
        return place

    def _books(self, books: Books) -> None:
        self.run.books.first_closed = FOREVER
        self.run.judged_from, self.run.windows.length = books.first_access, books.window
        write_kept(self.run.kept, books)
        for counted in _COUNTED:
            table = self._region(Pair, _FIRST_COUNTS)
            counts = self._counts(counted)
            counts.table, counts.mask, counts.n_left = table, _FIRST_COUNTS - 1, _FIRST_COUNTS // 2
        self._enlarge_windows(_FIRST_RECORDS)

    def _pool(self, name: str) -> Pool:
        pool: Pool = getattr(self.run.pools, name)
        return pool

    def _buffer(self, name: str) -> Buffer:
        buffer: Buffer = getattr(self.run.rows, name)
        return buffer

    def _keys(self, name: str) -> KeySet:
        keys: KeySet = getattr(self.run, name)
        return keys

    def _counts(self, name: str) -> Counts:
        counts: Counts = getattr(self.run.books, name)
        return counts

    def _region(self, of: type[Record] | None, n: int, *, is_pool: bool = False) -> Any:
        """Room for ``n`` records, all zero, or so many words, at the end."""
        place = len(self._m)
        larger = np.zeros(place + n * (of.words if of else 1), np.int64)
        larger[:place] = self._m
        checked.carry(self._m, larger)
        if of is not None:
            checked.declare(larger, of, place, n, is_pool=is_pool)
        self._m, self.address = larger, address_of(larger)
        self.run = Run(larger, 0)
        return place

    def _rows(self, of: type[Record], place: int, n: int) -> npt.NDArray[Any]:
        return of.as_rows(self._m[place : place + n * of.words])

    @property
    def streams(self) -> npt.NDArray[Any]:
        """The streams, as a structured array that is a view; behind them the one of all together."""
        return self._rows(Stream, self.run.streams, self.run.n_streams + 1)

    @property
    def lives(self) -> npt.NDArray[Any]:
        """The places of running requests, as a structured array that is a view."""
        return self._rows(Life, self.run.lives, self.run.settings.running)

    def rows(self, buffer: str) -> npt.NDArray[Any]:
        """What a buffer holds, as a structured array that is a view."""
        held = self._buffer(buffer)
        return self._rows(_BUFFERS[buffer][0], held.rows, held.n)

    def drop(self, buffer: str, n: int) -> None:
        """Its first ``n`` rows were read."""
        if n:
            rows = self.rows(buffer)
            rows[: len(rows) - n] = rows[n:].copy()
            self._buffer(buffer).n -= n

    def make_room(self, next_access: int) -> None:
        """Enlarge whatever the next step lacks; ``next_access`` is the last one that it could issue.

        Views of the old array are no good any more.
        """
        self._forget_shown()
        needs, windows = self.run.needs, self.run.windows
        needed = {name: int(getattr(needs, name)) for name in type(needs).dtype.names or ()}
        for counted, need in _COUNTED.items():
            if self._counts(counted).n_left < needed[need]:
                self._enlarge_distribution(counted, needed[need])
        n_judged = next_access - self.run.judged_from
        if n_judged >= windows.n_rows * windows.length:
            self._enlarge_windows(n_judged // windows.length + 1)
        for pool in _POOLS:
            self.reserve(pool, needed[pool])
        for buffer, (_, need) in _BUFFERS.items():
            held = self._buffer(buffer)
            lacks = needed[need] - (held.capacity - held.n)
            if lacks > 0:
                self._enlarge_buffer(buffer, max(lacks, held.capacity))
        for keys in ("polluted", "known"):
            self._enlarge_keys(keys, needed[keys])

    def reserve(self, pool: str, n_free: int) -> None:
        """Make sure that so many records of a pool are free."""
        lacks = n_free - self._pool(pool).n_free
        if lacks > 0:
            self._enlarge_pool(pool, max(lacks, self._n_of[pool]))

    def _enlarge_pool(self, pool: str, n: int) -> None:
        of = _POOLS[pool]
        place = self._region(of, n, is_pool=True)
        rows = self._rows(of, place, n)
        rows["at"] = place + np.arange(n) * of.words
        rows["next_free"][:-1] = rows["at"][1:]
        rows["next_free"][-1] = self._pool(pool).free
        self._pool(pool).free = place
        self._pool(pool).n_free += n
        self._n_of[pool] += n
        if pool in ("transfers", "questions"):
            # As many events as there are transfers, questions and tiers can be pending at once, and an update's end.
            n_events = self._n_of["transfers"] + self._n_of["questions"] + self.run.n_links + 2
            self.run.events = self._move(Event, self.run.events, self.run.n_events, n_events)
        if pool == "transfers" and 2 * self._n_of[pool] > self.run.flight_mask:
            size = self.run.flight_mask + 1
            while size <= 2 * self._n_of[pool]:
                size *= 2
            self._new_flight(size)

    def _new_flight(self, size: int) -> None:
        old, old_mask = self.run.flight, self.run.flight_mask
        place = self._region(None, size)
        self.run.flight, self.run.flight_mask = place, size - 1
        if old:
            flight.enter_all(self.address, old, old_mask)

    def _enlarge_buffer(self, buffer: str, n_more: int) -> None:
        held = self._buffer(buffer)
        capacity = held.capacity + n_more
        place = self._move(_BUFFERS[buffer][0], held.rows, held.n, capacity)
        self._buffer(buffer).rows, self._buffer(buffer).capacity = place, capacity

    def _move(self, of: type[Record], old: int, n_used: int, n: int) -> Any:
        """Rows go on elsewhere, where there is room for ``n``; where that is."""
        place = self._region(of, n)
        self._m[place : place + n_used * of.words] = self._m[old : old + n_used * of.words]
        checked.withdraw(self._m, of, old)
        return place

    def _enlarge_keys(self, name: str, n_more: int) -> None:
        keys = self._keys(name)
        if (keys.mask + 1) // 2 - keys.n < n_more:
            size = _FIRST_TABLE
            while size < 4 * (keys.n + n_more):
                size *= 2
            table = self._region(None, size)
            keyset.move_to(self.address, self._keys(name).place, table, size - 1)

    def _enlarge_distribution(self, name: str, n_more: int) -> None:
        counts = self._counts(name)
        n = (counts.mask + 1) // 2 - counts.n_left
        is_rounded = bool(counts.is_rounded) or n > MOST
        size = counts.mask + 1
        while size // 2 < n + n_more:
            size *= 2
        table = self._region(Pair, size)
        distribution.move_to(self.address, self._counts(name).place, table, size - 1, is_rounded)

    def _enlarge_windows(self, n: int) -> None:
        windows = self.run.windows
        n = max(n, 2 * windows.n_rows)
        place = self._move(WindowRow, windows.rows, windows.n_rows, n)
        windows = self.run.windows
        windows.rows, windows.n_rows = place, n
        # No access is in the window that the last one was in, so that the next one looks where it is now.
        windows.end = NONE - windows.length

    def question(self, place: At[Question]) -> Question:
        """A question by its place."""
        return Question(self._m, place)

    def _forget_shown(self) -> None:
        """Accesses that every question put so far has shown need not be kept."""
        server = self.run.server
        n_shown = server.shown - server.first_kept
        if n_shown > 0:
            self.drop("shown", n_shown)
            server.first_kept += n_shown
