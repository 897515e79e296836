"""How bytes go: within a level, and between two neighbours, both ways. What is timed is a call of a way."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from experiments.calibration.levels import DRAM, FILE, HBM, Level
from experiments.calibration.places import HostMemory, Place

SERVICE, FILL, READ, WRITE = "service", "fill", "read", "write"
PAGEABLE = "pageable"


class Ahead(Protocol):
    """Calls that are queued and waited for: those of a GPU, in ``policies.models.copies``."""

    n_bytes: int

    def calls(self, n_bytes: int, at_once: int, places: Sequence[int]) -> Sequence[Any]:
        """What is to be begun, one after another, on lane 0, 1, ... and again from 0."""
        ...

    def begin(self, call: Any) -> None:
        """Queue it."""
        ...

    def finish(self, call: Any) -> None:
        """Wait for it."""
        ...


class Step(NamedTuple):
    """Between a buffer and a place."""

    place: Place
    is_write: bool


@dataclass(frozen=True)
class Way:
    """``steps`` are done by a thread one after another, or ``ahead`` is what to queue.

    ``name`` says what it tells of: the service of a tier, how it is filled, what goes up a link (read) or down (write).
    """

    name: str
    steps: tuple[Step, ...] = ()
    ahead: Ahead | None = None
    most_at_once: int | None = None


@dataclass
class Machine:
    """All that is measured of the levels; closes what was opened."""

    levels: list[Level]
    ways: list[Way]
    capacities: list[int]
    """Of the tiers: what the machine has."""
    notes: list[str] = field(default_factory=list)
    opened: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_: object) -> None:
        self.opened.close()


@dataclass(frozen=True)
class Wanted:
    """What the command line says of how to measure; both regions hold several of the largest blocks."""

    region_bytes: int
    """Of memory that random places are in."""
    scratch_bytes: int
    largest: int
    pageable: bool = False
    device: str = "cuda"


PLACES_AT_LEAST = 16
"""So many of the largest blocks must fit where places are to be random."""


def link_names(levels: Sequence[Level]) -> list[str]:
    """As the simulator calls them."""
    names = [*(level.name for level in levels[:-1]), "origin"]
    return [f"{above}_{below}" for above, below in pairwise(names)]


def machine_of(levels: list[Level], wanted: Wanted, told: Callable[[str], None]) -> Machine:
    """Open what is to be measured. Raises InputError where that cannot be, with nothing left open."""
    machine = Machine(levels, [], [])
    try:
        _open(machine, wanted, told)
    except BaseException:
        machine.opened.close()
        raise
    return machine


def _open(machine: Machine, wanted: Wanted, told: Callable[[str], None]) -> None:
    levels, least = machine.levels, wanted.largest * PLACES_AT_LEAST
    places: dict[int, Place] = {}
    # What may be refused comes first, what takes long last: from the lowest level up, but for a GPU.
    gpu = _gpu(wanted) if levels[0].kind == HBM else None
    for i, level in reversed(list(enumerate(levels))):
        if level.kind != HBM:
            places[i] = _place(level, wanted, least, told)
            machine.opened.callback(places[i].close)
    names = link_names(levels)
    for i, level in enumerate(levels):
        is_tier = i < len(levels) - 1
        if is_tier:
            machine.capacities.append(_capacity(level, places.get(i), gpu))
        if level.kind == HBM:
            assert gpu is not None
            machine.ways.append(Way(f"{level.name} {SERVICE}", ahead=gpu.way("d2d")))
        elif level.kind == DRAM and is_tier:
            # Alone: service does not queue (R4), and threads of Python that copy a little take turns, not channels.
            for kind, is_write in ((SERVICE, False), (FILL, True)):
                steps = (Step(places[i], is_write),)
                machine.ways.append(Way(f"{level.name} {kind}", steps, most_at_once=1))
    for i, (upper, lower) in enumerate(pairwise(levels)):
        if upper.kind == HBM:
            assert gpu is not None
            machine.ways += _of_gpu(gpu, names[i], pageable=wanted.pageable)
            continue
        up: tuple[Step, ...] = (Step(places[i + 1], False),)
        # From a file to memory is one copy, into the buffer; to a file it is that and a write.
        if upper.kind == FILE:
            up = (*up, Step(places[i], True))
        machine.ways.append(Way(f"{names[i]} {READ}", up))
        if places[i + 1].can_write:
            down = (Step(places[i + 1], True),)
            machine.ways.append(
                Way(f"{names[i]} {WRITE}", (Step(places[i], False), *down) if upper.kind == FILE else down)
            )
        else:
            machine.notes.append(f"{lower.name} is only read: writing to it is taken to be as fast as reading")


def _place(level: Level, wanted: Wanted, least: int, told: Callable[[str], None]) -> Place:
    if level.kind == DRAM:
        return HostMemory(wanted.region_bytes)
    if level.kind == FILE:
        from experiments.calibration.direct_file import DirectFile

        return DirectFile(Path(level.target), wanted.scratch_bytes, least, told)
    from experiments.calibration.remote import Remote

    return Remote(level.target, least)


def _gpu(wanted: Wanted) -> Any:
    from policies.models.copies import Copies

    return Copies(wanted.device, wanted.region_bytes, wanted.largest)


def _of_gpu(gpu: Any, link: str, *, pageable: bool) -> list[Way]:
    """Both kinds of host memory are measured, and one of them is the link's; of the other the system does not speak."""
    found = []
    for is_pageable in (False, True):
        variant = "" if is_pageable == pageable else PAGEABLE if is_pageable else "pinned"
        for kind, copy in ((READ, "h2d"), (WRITE, "d2h")):
            ahead = gpu.way(copy, is_pageable=is_pageable)
            name = f"{link} {kind}" + (f" {variant}" if variant else "")
            # From pageable memory a copy is over when the call returns: more than one thread would be needed.
            found.append(Way(name, ahead=ahead, most_at_once=1 if is_pageable else None))
    return found


def _capacity(level: Level, place: Place | None, gpu: Any) -> int:
    if level.kind == HBM:
        return int(gpu.memory_bytes)
    if level.kind == DRAM:
        from experiments.calibration.facts import memory_bytes

        return memory_bytes() or place.n_bytes if place is not None else 1
    import shutil

    path = Path(level.target)
    return shutil.disk_usage(path if path.is_dir() else path.absolute().parent).free
