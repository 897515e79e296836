"""The shadow: tier 0 without prefetching, run alongside; which demand misses prefetching saved, and which it caused.

It sees the accesses in the order in which they are issued, and in it a missed block comes at once. So it misses what
the same system without prefetching misses, wherever each access of that system ends before the next one is issued: in
a closed loop of one stream with one access a request. Where accesses overlap, a block that is on its way counts here
as there, and timing may order evictions otherwise; then the two differ a little. It has the whole of tier 0: what
the policy's own footprint displaces counts as caused.
"""

import numpy as np

from simulator.accounting import A_ACCESS, A_SHADOW
from simulator.demand import DemandTier
from simulator.feed import W_KEY, W_NEXT_USE, W_SIZE
from simulator.kernel import L_AT
from simulator.residency.layout import Ints


class Shadow:
    """Follows the log, and keeps what it found of an access until that access is closed."""

    def __init__(self, tier: DemandTier) -> None:
        self._tier = tier
        self._n_followed = 0
        self._missed: dict[int, bool] = {}

    def follow(self, log: Ints, window: Ints, base: int) -> None:
        """Look up what the log has got since; ``base`` is the trace index of the window's first access."""
        at = log[self._n_followed :, L_AT]
        columns = np.ascontiguousarray(window[at][:, (W_KEY, W_SIZE, W_NEXT_USE)].T)
        missed = self._tier.misses(*columns)
        self._missed.update(zip((at + base).tolist(), missed.tolist(), strict=True))
        self._n_followed = len(log)

    def emptied(self) -> None:
        """The log begins anew."""
        self._n_followed = 0

    def fill(self, table: Ints) -> None:
        """Fill in the column of closed accesses (columns of ACCESS_COLUMNS, n wide)."""
        missed = self._missed
        table[A_SHADOW] = [missed.pop(access) for access in table[A_ACCESS].tolist()]
