"""LRU's misses at many capacities from one reading of a trace whose sizes are known."""

from collections.abc import Callable, Iterator

from simulator.trace import Batch
from workloads.lru_misses import InBlocks, InBytes, LruStack


def lru_misses(
    batches: Iterator[Batch], capacities: list[int], smallest: int, largest: int, n_jobs: int
) -> dict[int, int]:
    """LRU's misses at each capacity, of a trace whose smallest and largest blocks are known.

    Raises:
        ResizedError: a block changes its size.
    """
    if smallest == largest:
        stack = LruStack(InBlocks(), n_jobs)
        _feed(batches, [lambda batch: stack.add(batch.key, batch.size_bytes)], [stack])
        return {size: stack.misses(size // largest) for size in capacities}
    enough = [size for size in capacities if size >= largest]
    # Blocks larger than the capacity are missed each time, and change nothing of what is there.
    stacks = {size: LruStack(InBytes([size]), n_jobs) for size in capacities if size < largest}
    n_too_large = dict.fromkeys(stacks, 0)

    def add_below(batch: Batch, size: int) -> None:
        fits = batch.size_bytes <= size
        n_too_large[size] += len(batch) - int(fits.sum())
        stacks[size].add(batch.key[fits], batch.size_bytes[fits])

    steps: list[Callable[[Batch], None]] = [lambda batch, size=size: add_below(batch, size) for size in stacks]  # type: ignore[misc]
    # Also where there is none of these: it is what sees whether sizes change.
    of_all = LruStack(InBytes(enough), n_jobs)
    steps.append(lambda batch: of_all.add(batch.key, batch.size_bytes))
    _feed(batches, steps, [of_all, *stacks.values()])
    found = {size: of_all.misses(size) for size in enough}
    return found | {size: stack.misses(size) + n_too_large[size] for size, stack in stacks.items()}


def _feed(batches: Iterator[Batch], steps: list[Callable[[Batch], None]], stacks: list[LruStack]) -> None:
    try:
        for batch in batches:
            for step in steps:
                step(batch)
        for stack in stacks:
            stack.finish()
    finally:
        for stack in stacks:
            stack.close()
