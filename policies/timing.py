"""What a policy may know beforehand of the time that things take; estimated from the config and the training part."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Times in ns, none of them with queueing.

    ``fetch_ns`` is what a miss waits for, ``lead_ns(h)`` the usual time from an access to the h-th after it in a
    sequence that a policy learns from, ``wrong_ns`` what a useless prefetch costs all others. ``inference_ns`` is what
    the clock will be charged for an inference where that is known (None: it is measured); ``is_sync``: the accesses
    wait for it. ``occupied_ns`` is how long a fetch keeps links from serving others.
    """

    fetch_ns: float
    lead_ns: Callable[[int], float]
    wrong_ns: float
    inference_ns: float | None
    is_sync: bool
    occupied_ns: float = 0.0

    def break_even(self) -> float:
        """The probability p of being right at which a prefetch pays: p * fetch = (1 - p) * wrong."""
        whole = self.fetch_ns + self.wrong_ns
        return self.wrong_ns / whole if whole > 0 else 0.0
