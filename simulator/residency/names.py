"""Numbers that compiled code branches on."""

from typing import Literal, get_args

# Where a tier's order of eviction is kept: behind the hooks of its policy; or at hand, as a list by last use, or by
# arrival, which most simulations are of and which become part of the code that calls.
HOOKED, BY_USE, BY_ARRIVAL = range(3)

# What of the trace a tier is told before the run: nothing; where every block is used next; which is its parent; some
# keys. Who is told keeps rows of blocks that it does not hold.
NOTHING, FUTURE, FAMILIES, KEYS = range(4)

# Where prefetched blocks enter a tier, by name.
EntersName = Literal["front", "middle", "back", "region"]
ENTERS_NAMES: tuple[str, ...] = get_args(EntersName)
FRONT, MIDDLE, BACK, REGION = range(len(ENTERS_NAMES))

# So many blocks at most does the use of another one evict. Where all are of one size there are never more: one for each
# list less one, of whose shares of the capacity a rest is left. A step must be known to have room for its victims.
MOST_PUSHED_OUT = 8
