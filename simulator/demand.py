"""Which accesses a tier 0 misses that nobody prefetches into: untimed, in the trace's order."""

from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.arrays import NONE, At, Ints
from simulator.compiled import address_of, compiled, inlined, ints_at
from simulator.config import System
from simulator.families import Families, families_of
from simulator.future import Future, future_of
from simulator.records.arena import Arena, Victim, arena_at, block_at, tier_at
from simulator.records.checked import declare
from simulator.residency import belady, blocks, eviction, moves
from simulator.tiers import make_residency
from simulator.trace import WRITE, Batch, Workload, concatenate, part, with_features

_VICTIMS = 64


@inlined
def is_missed(arena: Arena, key: int, size: int, next_use: int, foresees: bool, out: Any, at: At[Victim]) -> bool:
    """Use a block, which comes at once where it is missing; there is a free slot. ``out`` takes victims, unread."""
    if foresees:
        belady.passed(arena, key, next_use)
    slot = blocks.find(arena, key)
    if slot != NONE and block_at(arena, slot).where & 1:
        eviction.on_hit(arena, 0, slot)
        if tier_at(arena, 0).overflows:
            moves.push_out(arena, 0, out, at, False)
        return False
    while moves.insert_found(arena, 0, slot, key, size, 0, NONE, out, at, _VICTIMS, False) == moves.FULL:
        slot = blocks.find(arena, key)
    eviction.out_soon(arena, 0)
    return True


@compiled
def _misses(
    address: int, keys: Ints, sizes: Ints, next_use: Ints, first: int, victims: int, missed: npt.NDArray[np.bool_]
) -> int:
    """Go on from access ``first``; where it stopped, at the end or because the arena must grow."""
    arena, out, foresees = arena_at(address), ints_at(victims), len(next_use) > 0
    for i in range(first, len(keys)):
        if arena.n_free == 0:
            return i
        following = next_use[i] if foresees else 0
        missed[i] = is_missed(arena, keys[i], sizes[i], following, foresees, out, 0)  # type: ignore[arg-type]
    return len(keys)


class DemandTier:
    """Tier 0 as it would be if nobody prefetched and a missed block came at once."""

    def __init__(
        self, system: System, workload: Workload, seed: int, future: Future | None, judged_from: int = 0,
        families: Families | None = None,
    ) -> None:  # fmt: skip
        """``future`` and ``families`` are of the accesses to come, for an eviction that must be told of them."""
        self.foresees = system.tiers[0].eviction.foresees
        alone = system.model_copy(update={"tiers": system.tiers[:1], "links": system.links[:1]})
        self.residency = make_residency(alone, [system.tiers[0].capacity], workload, seed, judged_from)
        if self.foresees and future is not None:
            self.residency.foresee(future.keys, future.first_use)
        if families is not None:
            self.residency.adopt(families)
        self._victims = np.empty(_VICTIMS * Victim.words, np.int64)
        declare(self._victims, Victim, 0, _VICTIMS)

    def misses(self, keys: Ints, sizes: Ints, next_use: Ints) -> npt.NDArray[np.bool_]:
        """Whether each of the next accesses is a miss; ``next_use`` as in Future, ignored where it is not needed."""
        missed = np.zeros(len(keys), bool)
        next_use = next_use if self.foresees else next_use[:0]
        at = 0
        while True:
            arena, out = address_of(self.residency.arena), address_of(self._victims)
            at = _misses(arena, keys, sizes, next_use, at, out, missed)
            if at == len(keys):
                return missed
            self.residency.reserve(1)


def misses_of(workload: Workload, system: System, first_access: int, seed: int) -> tuple[Batch, npt.NDArray[np.bool_]]:
    """The accesses from ``first_access`` on, in memory as a whole, and whether each is a miss."""
    accesses = accesses_from(workload, first_access)
    if system.tiers[0].eviction.is_plain:
        return accesses, _plain_misses(accesses, workload, system, seed)
    future = future_of(iter([accesses])) if system.tiers[0].eviction.foresees else None
    families = families_of(workload, first_access) if system.tiers[0].eviction.knows_families else None
    tier = DemandTier(system, workload, seed, future, first_access, families)
    next_use = future.next_use if future is not None else np.empty(0, np.int64)
    return accesses, tier.misses(accesses.key.view(np.int64), accesses.size_bytes.astype(np.int64), next_use)


def _plain_misses(accesses: Batch, workload: Workload, system: System, seed: int) -> npt.NDArray[np.bool_]:
    """The same where tier 0's eviction is in plain Python."""
    from simulator.evictions.of_system import make_all
    from simulator.evictions.registry import make

    tier = make_all(system, [tier.capacity for tier in system.tiers], workload, seed, make)[0]
    missed = np.zeros(len(accesses), bool)
    for i, (key, size) in enumerate(zip(accesses.key.tolist(), accesses.size_bytes.tolist(), strict=True)):
        missed[i] = tier.request(key, size) is not None
        if not missed[i]:
            tier.push_out()
    return missed


def accesses_from(workload: Workload, first_access: int) -> Batch:
    """The accesses from ``first_access`` on, in memory as a whole."""
    return concatenate([with_features(batch, ()) for batch in part(workload.batches(), first_access)])


def savable(accesses: Batch, system: System) -> npt.NDArray[np.bool_]:
    """Of which accesses a prefetch could save the fetch: reads, of blocks that exist by then (rule R6)."""
    found: npt.NDArray[np.bool_] = accesses.op != WRITE
    if system.origin.kind == "compute":
        found &= ~_is_first(accesses)
    return found


def _is_first(accesses: Batch) -> npt.NDArray[np.bool_]:
    first = np.zeros(len(accesses), bool)
    first[np.unique(accesses.key, return_index=True)[1]] = True
    return first
