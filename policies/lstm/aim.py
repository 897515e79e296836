"""How far ahead to predict."""

import math
from collections.abc import Sequence

from policies.timing import Timing


def pick_horizon(horizons: Sequence[int], timing: Timing, inference_ns: float) -> int:
    """The nearest of the trained horizons that leaves time for inference and transfer; the furthest if none does.

    Where accesses wait for the answer (sync), the inference moves them back as much as the prefetch, and the transfer
    alone counts.
    """
    needed = timing.fetch_ns + (0 if timing.is_sync else inference_ns)
    leads = {h: timing.lead_ns(h) for h in horizons}
    # A horizon that no sequence is long enough for has no lead.
    reached = [h for h in horizons if math.isfinite(leads[h])] or [min(horizons)]
    return min((h for h in reached if leads[h] >= needed), default=max(reached))
