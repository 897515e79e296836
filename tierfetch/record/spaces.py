"""Spaces of keys: each table, layer of experts and cache of KV blocks has numbers of its own, far from all others.

A key is ``space * 2**44 + id``, as in other traces of several parts, so that steps between the ids of one space are
steps between its keys. The file says which space is what (``legend``).
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from simulator.trace import MOST_BYTES
from workloads.readers.ranges import GROUP_BITS

LEGEND = b"tierfetch_recording"
"""Under which name the file's metadata has the description of its spaces."""
MOST_IDS, MOST_SPACES = 1 << GROUP_BITS, 1 << (64 - GROUP_BITS)
NONE = 2**64 - 1
"""In a feature: there is no such thing here. The recipes of other traces have -1 as this, too."""
Kind = Literal["embedding", "experts", "kv"]


@dataclass
class Space:
    """One table, layer of experts, or cache. ``number`` is the space's; ``layer`` that of experts, else ``NONE``."""

    number: int
    name: str
    kind: Kind
    id_bytes: int
    n_ids: int | None = None
    layer: int = NONE
    n_accesses: int = 0

    @property
    def first_key(self) -> int:
        """The key of its id 0."""
        return self.number << GROUP_BITS


class Spaces:
    """All that is recorded, numbered in the order in which it was named."""

    def __init__(self) -> None:
        self.all: list[Space] = []
        self._names: set[str] = set()

    def add(self, name: str, kind: Kind, id_bytes: int, n_ids: int | None = None, layer: int = NONE) -> Space:
        """A new one; of two with one name the second is called so."""
        if not 0 < id_bytes < MOST_BYTES:
            raise ValueError(f"{kind} {name!r}: {id_bytes} bytes each; expected 1 to {MOST_BYTES - 1}")
        if n_ids is not None and n_ids > MOST_IDS:
            raise ValueError(f"{kind} {name!r}: has {n_ids} rows; expected at most 2**{GROUP_BITS}")
        if len(self.all) >= MOST_SPACES:
            raise ValueError(f"{kind} {name!r}: is one too many; expected at most {MOST_SPACES} tables and layers")
        free, n = name, 1
        while free in self._names:
            n += 1
            free = f"{name} ({n})"
        self._names.add(free)
        self.all.append(Space(len(self.all), free, kind, id_bytes, n_ids, layer))
        return self.all[-1]

    def legend(self, ended: str | None) -> str:
        """What the file says of them; ``ended`` is what ended the recording before its time."""
        spaces: list[dict[str, Any]] = []
        for space in self.all:
            spaces.append({**asdict(space), "first_key": space.first_key})
            if space.layer == NONE:
                del spaces[-1]["layer"]
        return json.dumps({"version": 1, "ended_by": ended, "spaces": spaces})
