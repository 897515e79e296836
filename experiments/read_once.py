"""A trace of which LRU's misses are counted as it is read, at all capacities at once: nothing of it stays in memory."""

import time

from experiments.replayed import Replayed, all_replayed
from experiments.stacked import lru_misses
from experiments.trace_input import TraceInput
from simulator.trace import Batch
from workloads.lru_misses import InBlocks, InBytes, LruStack
from workloads.sampling import PARTS


class _SeveralSizesError(Exception):
    """Blocks are not all of one size, as was hoped for."""


class _Sizes:
    """Smallest and largest block of what is read."""

    def __init__(self) -> None:
        self.smallest, self.largest = 2**63, 0

    def see(self, batch: Batch) -> None:
        if len(batch):
            self.smallest = min(self.smallest, int(batch.size_bytes.min()))
            self.largest = max(self.largest, int(batch.size_bytes.max()))


class Streamed:
    """What is known of a whole trace that was read once; it is read again where that does not say enough."""

    parts, draw = PARTS, 0

    def __init__(
        self, given: TraceInput, stack: LruStack, sizes: _Sizes, counted: list[int] | None, seconds: float
    ) -> None:
        self._given, self._stack, self._sizes, self._counted = given, stack, sizes, counted
        self._seconds = seconds
        self.n_of_trace = stack.n_accesses
        self.n_keys = stack.n_keys
        self.largest = sizes.largest
        self.n_bytes = stack.n_bytes if counted is not None else stack.n_keys * sizes.largest

    def length(self) -> int:
        """How many accesses there are."""
        return self.n_of_trace

    def lru_misses(self, capacities: list[int], n_jobs: int) -> tuple[dict[int, int], float]:
        """At each capacity; and the seconds that reading and counting took."""
        if self._counted is None:
            return {size: self._stack.misses(size // self.largest) for size in capacities}, self._seconds
        known = [size for size in capacities if size in self._counted and size >= self.largest]
        found = {size: self._stack.misses(size) for size in known}
        started = time.perf_counter()
        rest = [size for size in capacities if size not in found]
        if rest:
            found |= lru_misses(self._given.workload.batches(), rest, self._sizes.smallest, self.largest, n_jobs)
        return found, self._seconds + time.perf_counter() - started


def streamed(
    given: TraceInput, kept: list[tuple[int, int]], capacities: list[int], *, unit_size: bool, n_jobs: int
) -> tuple[Streamed, list[Replayed]]:
    """Count the whole as it is read, and keep samples of it. ``capacities`` are those known beforehand.

    Raises:
        InputError: it is bad or empty.
        ResizedError: a block changes its size.
    """
    started = time.perf_counter()
    # Mostly they are of one size, and then one reading tells of all capacities; if not, the first batch mostly says so.
    for counts in (InBlocks(), InBytes(capacities)):
        stack, sizes = LruStack(counts, n_jobs), _Sizes()
        by_bytes = isinstance(counts, InBytes)

        def see(batch: Batch, stack: LruStack = stack, sizes: _Sizes = sizes, by_bytes: bool = by_bytes) -> None:
            if unit_size:
                sizes.smallest = sizes.largest = 1
            else:
                sizes.see(batch)
                if sizes.smallest < sizes.largest and not by_bytes:
                    raise _SeveralSizesError
            stack.add(batch.key, batch.size_bytes)

        try:
            samples = all_replayed(given, kept, unit_size=unit_size, see=see)
            stack.finish()
        except _SeveralSizesError:
            continue
        finally:
            stack.close()
        seconds = time.perf_counter() - started
        known = capacities if by_bytes else None
        return Streamed(given, stack, sizes, known, seconds), samples
    raise AssertionError
