"""The predictor's own latency on this machine, in short: ``tierfetch latency`` tells all of it."""

from collections.abc import Callable
from typing import Any

COLUMNS = ("backend", "device", "p50_ns", "p99_ns", "mean_ns")
_CLASSES = 1000


def predictor_rows(device: str, n_calls: int, told: Callable[[str], None]) -> list[list[Any]]:
    """Single questions (batch 1, two layers of 64, one access, stateful), by backend, back to back."""
    from experiments.latency_timing import made, network_of, summarize, timed

    told("the predictor's own latency")
    network = network_of(_CLASSES)
    backends = made(device, [], network, None)
    rows = summarize(timed(backends, [], n_calls, network, None), backends, "back_to_back")
    return [[round(row[name]) if name.endswith("_ns") else row[name] for name in COLUMNS] for row in rows]
