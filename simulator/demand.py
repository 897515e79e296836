"""Which accesses a tier 0 misses that nobody prefetches into: untimed, in the trace's order."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from simulator import kernel
from simulator.compiled import compiled
from simulator.config import System
from simulator.future import Future, future_of
from simulator.residency import belady, moves
from simulator.residency.layout import H_N_FREE, NONE, Ints
from simulator.tiers import make_residency
from simulator.trace import WRITE, Batch, Workload, concatenate, part


@compiled
def _misses(
    a: Ints, c: Ints, keys: Ints, sizes: Ints, next_use: Ints, first: int, victims: Ints, missed: npt.NDArray[np.bool_]
) -> int:
    """Go on from access ``first``; where it stopped, at the end or because the arena must grow."""
    for i in range(first, len(keys)):
        if a[H_N_FREE] == 0:
            return i
        if len(next_use):
            belady.passed(a, keys[i], next_use[i])
        missed[i] = not kernel.touch(a, c, keys[i], 0)
        if missed[i]:
            while moves.insert(a, 0, keys[i], sizes[i], 0, NONE, victims, False) == moves.FULL:
                pass
    return len(keys)


class DemandTier:
    """Tier 0 as it would be if nobody prefetched and a missed block came at once."""

    def __init__(self, system: System, workload: Workload, seed: int, future: Future | None) -> None:
        """``future`` is of the accesses to come; the tier needs it if its eviction is Belady's."""
        self._foresees = system.tiers[0].eviction == "belady"
        alone = system.model_copy(update={"tiers": system.tiers[:1], "links": system.links[:1]})
        self._residency = make_residency(alone, [system.tiers[0].capacity], workload, seed)
        if self._foresees and future is not None:
            self._residency.foresee(future.keys, future.first_use)
        self._control = np.zeros(kernel.CONTROL_SIZE, np.int64)
        self._victims = np.empty((64, moves.VICTIM_COLUMNS), np.int64)

    def misses(self, keys: Ints, sizes: Ints, next_use: Ints) -> npt.NDArray[np.bool_]:
        """Whether each of the next accesses is a miss; ``next_use`` as in Future, ignored where it is not needed."""
        missed = np.zeros(len(keys), bool)
        next_use = next_use if self._foresees else next_use[:0]
        at = 0
        while True:
            at = _misses(self._residency.arena, self._control, keys, sizes, next_use, at, self._victims, missed)
            if at == len(keys):
                return missed
            self._residency.reserve(1)


def misses_of(workload: Workload, system: System, first_access: int, seed: int) -> tuple[Batch, npt.NDArray[np.bool_]]:
    """The accesses from ``first_access`` on, in memory as a whole, and whether each is a miss."""

    def judged() -> Iterator[Batch]:
        return part(workload.batches(), first_access)

    accesses = concatenate(list(judged()))
    future = future_of(judged()) if system.tiers[0].eviction == "belady" else None
    tier = DemandTier(system, workload, seed, future)
    next_use = future.next_use if future is not None else np.empty(0, np.int64)
    return accesses, tier.misses(accesses.key.view(np.int64), accesses.size_bytes.astype(np.int64), next_use)


def savable(accesses: Batch, missed: npt.NDArray[np.bool_], system: System) -> npt.NDArray[np.bool_]:
    """Of these misses the ones that a prefetch could save: of reads, and of blocks that exist by then (rule R6)."""
    found: npt.NDArray[np.bool_] = missed & (accesses.op != WRITE)
    if system.origin.kind == "compute":
        found &= ~_is_first(accesses)
    return found


def _is_first(accesses: Batch) -> npt.NDArray[np.bool_]:
    first = np.zeros(len(accesses), bool)
    first[np.unique(accesses.key, return_index=True)[1]] = True
    return first
