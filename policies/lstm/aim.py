"""How far ahead to predict, and how sure to be before prefetching."""

from collections.abc import Sequence

from policies.timing import Timing


def pick_horizon(horizons: Sequence[int], timing: Timing, inference_ns: float) -> int:
    """The nearest of the trained horizons that leaves time for inference and transfer; the furthest if none does.

    Where accesses wait for the answer (sync), the inference moves them back as much as the prefetch, and the transfer
    alone counts.
    """
    needed = timing.fetch_ns + (0 if timing.is_sync else inference_ns)
    enough = [h for h in horizons if timing.lead_ns(h) >= needed]
    return min(enough, default=max(horizons))


def break_even(timing: Timing) -> float:
    """The confidence p at which a prefetch pays: p * fetch = (1 - p) * wrong."""
    whole = timing.fetch_ns + timing.wrong_ns
    return timing.wrong_ns / whole if whole > 0 else 0.0
