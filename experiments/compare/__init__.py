"""Arms against the baseline: is a difference shown, how large is it, and what would settle it (docs/metrics.md)."""

from experiments.compare.table import COMPARED, are_one_sample, compare

__all__ = ["COMPARED", "are_one_sample", "compare"]
