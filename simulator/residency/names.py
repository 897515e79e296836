"""Numbers that compiled code branches on."""

from typing import Literal, get_args

# Where a tier's order of eviction is kept: behind the hooks of its policy; or at hand, as a list by last use, or by
# arrival, which most simulations are of and which become part of the code that calls.
HOOKED, BY_USE, BY_ARRIVAL = range(3)

# Where prefetched blocks enter a tier, by name.
EntersName = Literal["front", "middle", "back", "region"]
ENTERS_NAMES: tuple[str, ...] = get_args(EntersName)
FRONT, MIDDLE, BACK, REGION = range(len(ENTERS_NAMES))
