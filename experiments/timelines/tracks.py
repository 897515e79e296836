"""The tracks of a timeline, in the order in which they are to be seen."""

from enum import IntEnum
from typing import NamedTuple


class Group(IntEnum):
    """What comes above what: who asks, who decides, what moves. Of links each is a group, from ``LINKS`` on."""

    REQUESTS = 0
    ACCESSES = 1
    QUESTIONS = 2
    LINKS = 10
    TIERS = 900
    # With a lane for each that is on its way they may fill pages.
    PREFETCHES = 1000


class Track(NamedTuple):
    """A track; ``unit`` is a counter's, else None. Those of one name are shown as one, in lanes."""

    uuid: int
    name: str
    unit: str | None
    group: int


class Tracks:
    """All tracks below one, by what they are called."""

    root = 1

    def __init__(self, name: str) -> None:
        self.name = name
        self._known: dict[tuple[str, int], Track] = {}

    def of(self, name: str, group: int, lane: int = 0, unit: str | None = None) -> int:
        """The id of a track, which is made if it is new."""
        if (name, lane) not in self._known:
            self._known[name, lane] = Track(self.root + 1 + len(self._known), name, unit, group)
        return self._known[name, lane].uuid

    def in_order(self) -> list[Track]:
        """Group by group, in each as they were made."""
        return sorted(self._known.values(), key=lambda track: track.group)
