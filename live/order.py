"""Who goes next in a tier: the simulator's eviction policies, asked from outside any simulation."""

from collections.abc import Sequence

from live.settings import MemoryTier
from simulator.arrays import signed
from simulator.compiled import address_of, compiled, ints_at
from simulator.config import Prefetching
from simulator.evictions import registry
from simulator.evictions.base import Eviction
from simulator.evictions.compiled import Compiled
from simulator.records.arena import Arena, Victim, tier_at
from simulator.records.record import first
from simulator.residency import calls, moves
from simulator.residency.residency import TierSpec
from simulator.seeds import generator

_arena_at = first(Arena)
_MOST = 64


@compiled
def _use(arena: int, key: int, victims: int) -> int:
    """A block that the tier holds is used; how many others that has pushed out, whose rows are at ``victims``."""
    tiers = _arena_at(arena)
    moves.use(tiers, 0, key)
    if tier_at(tiers, 0).overflows == 0:
        return 0
    return moves.push_out(tiers, 0, ints_at(victims), 0, True)  # type: ignore[arg-type]


class Order(Compiled):
    """A compiled policy that is told of a use in one call: what most accesses of a live cache come to."""

    def __init__(self, spec: TierSpec, seed: int) -> None:
        """One tier, as ``Residency`` takes it."""
        super().__init__(spec, seed)
        self._remember_addresses()

    def _remember_addresses(self) -> None:
        # To ask an array for its address takes several times as long as to tell a policy of a use.
        self._arena, self._at = self._tier.arena, address_of(self._tier.arena)
        self._out = address_of(self._tier._victims)

    @property
    def _address(self) -> int:
        if self._arena is not self._tier.arena:
            self._remember_addresses()
        return self._at

    def use(self, key: int) -> Sequence[int]:
        """A block that is held is used: whom that pushes out, in order."""
        n = _use(self._address, signed(key), self._out)
        return self._victims(n) if n else ()

    def take_in(self, key: int, size: int, *, prefetched: bool) -> Sequence[int]:
        """A block that is not held comes in: who does not stay, in order, itself if it is not admitted."""
        gone: list[int] = []
        while True:
            # A prefetch's number is all that tells a prefetched block from another; any will do.
            n = calls.insert(self._address, 0, signed(key), size, 0, prefetched - 1, self._out, _MOST, True)
            if n == moves.NO_SLOT:
                self._tier.reserve(1)
            elif n == moves.FULL:
                gone += self._victims(_MOST)
            else:
                return [*gone, *self._victims(n)] if n else gone

    def remove(self, key: int) -> None:
        """Take out a block that is held."""
        calls.remove(self._address, 0, signed(key))

    def _victims(self, n: int) -> list[int]:
        return [row[0] % 2**64 for row in Victim.as_rows(self._tier._victims)[:n].tolist()]


def order_of(tier: MemoryTier, level: int, block: int, seed: int, prefetch: Prefetching) -> Eviction:
    """The policy of a tier with its admission, as a simulation of that seed makes it."""
    draws = int(generator(seed, "eviction").integers(2**62))
    n_blocks = max(tier.capacity // block, 1)
    enters = prefetch.enters if level == 0 else "front"
    if tier.eviction.is_plain:
        return registry.make(
            tier.eviction, tier.capacity, seed=draws + level, n_blocks=n_blocks, admission=tier.admission,
            enters=enters, region_ratio=prefetch.region_ratio,
        )  # fmt: skip
    spec = TierSpec(tier.capacity, tier.eviction, tier.admission, enters, prefetch.region_ratio, n_blocks)
    return Order(spec, draws + level)
