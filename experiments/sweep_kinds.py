"""Which pictures there are of a sweep, and of which folders."""

from pathlib import Path

from experiments.kept import MANIFEST
from experiments.results import KeptResults, places_below

KINDS = ("curves", "heat")


def is_sweep(folder: Path) -> bool:
    """Whether a folder is of variants, or of arms that a sweep made."""
    return bool(KeptResults.open(folder).of_arms) if (folder / MANIFEST).is_file() else bool(places_below(folder))
