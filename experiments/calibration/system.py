"""From fits to a system as configs have it, and how far its durations are from what was measured."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from experiments.calibration.fit import Fit, Loads, rows_of
from experiments.calibration.levels import Level
from experiments.calibration.spread import factors_of, spread_of
from experiments.calibration.ways import FILL, READ, SERVICE, WRITE, link_names
from simulator.config import System

OFF_RATIO = 0.1
"""What a preset's durations may be off before it says where, and before a table is worth its rows."""
Typicals = Mapping[str, Mapping[tuple[int, int], float]]
"""By way and (bytes, calls at once), in ns."""
_FIGURES = 4


def quantity(value: float, units: Sequence[tuple[str, float]]) -> str:
    """With four figures, in the largest unit of which there is one; whole in the smallest."""
    value = round(value)
    for unit, size in units:
        if value >= size:
            number = f"{value / size:.{_FIGURES}g}"
            return f"{number if 'e' not in number else round(value / size)} {unit}"
    return f"{value} {units[-1][0]}"


def ns_text(ns: float) -> str:
    """A duration as configs have it."""
    return quantity(ns, (("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1)))


def rate_text(bytes_per_s: float) -> str:
    """A bandwidth as configs have it."""
    return quantity(max(bytes_per_s, 1.0), (("TB/s", 1e12), ("GB/s", 1e9), ("MB/s", 1e6), ("kB/s", 1e3), ("B/s", 1)))


def raw_system(levels: Sequence[Level], capacities: Sequence[int], fits: Mapping[str, Fit]) -> dict[str, Any]:
    """The system without tables.

    A hop was measured as a whole, and the model makes it of parts: the link's call, the latency of the level that is
    read, and the slowest of three bandwidths (rule R4). So a link's call is what a write took beside the latency of the
    upper tier, which that is charged as well, at most what a read took; the lower level's latency is the rest of a
    read. And no tier is slower than its links, which have been through it.
    """
    names = link_names(levels)
    tiers: list[dict[str, Any]] = []
    links: list[dict[str, Any]] = []
    below = 0.0
    for i, (upper, _) in enumerate(pairwise(levels)):
        service, fill = fits.get(f"{upper.name} {SERVICE}"), fits.get(f"{upper.name} {FILL}")
        read = fits[f"{names[i]} {READ}"]
        write = fits.get(f"{names[i]} {WRITE}", read)
        latency = service.line.latency_ns if i == 0 and service else below
        call = min(max(write.line.latency_ns - latency, 0.0), read.line.latency_ns)
        if f"{names[i]} {WRITE}" not in fits:
            call = 0.0
        below = read.line.latency_ns - call
        through = [read.line.bytes_per_s, write.line.bytes_per_s]
        if i:
            through += [
                fits[name].line.bytes_per_s for kind in (READ, WRITE) if (name := f"{names[i - 1]} {kind}") in fits
            ]
        own = [one.line.bytes_per_s for one in (service, fill) if one is not None]
        # What an access to tier 0 takes is its read bandwidth; all others only bound hops.
        tiers.append({
            "name": upper.name, "capacity": f"{capacities[i]} B", "latency": ns_text(latency),
            "read_bandwidth": rate_text(service.line.bytes_per_s if i == 0 and service else max(*through, *own)),
            "write_bandwidth": rate_text(max(*through, *own)),
        })  # fmt: skip
        links.append({
            "call": ns_text(call), "read_bandwidth": rate_text(read.line.bytes_per_s),
            "write_bandwidth": rate_text(write.line.bytes_per_s), "channels": read.channels,
        })  # fmt: skip
    return {"tiers": tiers, "links": links, "origin": {"kind": "store", "latency": ns_text(below)}}


def with_table(
    raw: dict[str, Any], link: int, read: Mapping[tuple[int, int], float],
    write: Mapping[tuple[int, int], float] | None, channels: int,
) -> dict[str, Any]:  # fmt: skip
    """The same with a link's table: as many channels as are of use, and what calls took up to so many at once."""
    sizes, loads, rows = rows_of(read, channels)
    table: dict[str, Any] = {"sizes": [f"{n} B" for n in sizes], "at_once": loads, "read": _texts(rows)}
    if write is not None:
        table["write"] = _texts(rows_of(write, channels)[2])
    links = list(raw["links"])
    links[link] = {**links[link], "channels": channels, "table": table}
    return {**raw, "links": links}


def with_spreads(raw: dict[str, Any], levels: Sequence[Level], loads: Mapping[str, Loads]) -> dict[str, Any]:
    """The same with how far calls of each link differ, and tier 0's services (rule R47)."""
    tiers, links = [*raw["tiers"]], [*raw["links"]]
    service = loads.get(f"{levels[0].name} {SERVICE}")
    if service is not None:
        tiers[0] = {**tiers[0], "spread": spread_of(factors_of(service, 1))}
    for i, name in enumerate(link_names(levels)):
        for kind, key in ((READ, "spread"), (WRITE, "write_spread")):
            of_way = loads.get(f"{name} {kind}")
            if of_way is not None:
                # With more at once than channels calls queue, which the model does itself.
                links[i] = {**links[i], key: spread_of(factors_of(of_way, links[i]["channels"]))}
    return {**raw, "tiers": tiers, "links": links}


def _texts(rows: list[list[int]]) -> list[list[str]]:
    return [[ns_text(ns) for ns in row] for row in rows]


class Said(NamedTuple):
    """What a preset says of calls that were measured; ``error_ratio`` above 0: it says more."""

    way: str
    n_bytes: int
    at_once: int
    measured_ns: float
    preset_ns: float

    @property
    def error_ratio(self) -> float:
        """Relative to what was measured."""
        return self.preset_ns / self.measured_ns - 1


def said_of(system: System, levels: Sequence[Level], typicals: Typicals) -> list[Said]:
    """What the model would make of each call that was measured; of a link with so many at once, queueing included."""
    from simpy import Environment

    from simulator.model.links import make_links
    from simulator.units import transfer_ns

    found, links = [], make_links(Environment(), system)
    tier = system.tiers[0]
    for (n_bytes, k), ns in typicals.get(f"{levels[0].name} {SERVICE}", {}).items():
        # Service from tier 0 does not queue (R4).
        told = tier.latency + transfer_ns(n_bytes, tier.read_bandwidth)
        found.append(Said(f"{levels[0].name} {SERVICE}", n_bytes, k, ns, told))
    for i, name in enumerate(link_names(levels)):
        for kind in (READ, WRITE):
            channels = system.links[i].channels
            for (n_bytes, k), ns in typicals.get(f"{name} {kind}", {}).items():
                call = links[i].duration(n_bytes, kind == WRITE, min(k, channels))
                # Each waits for its turn: on average all that are on the link, over those that go at once.
                found.append(Said(f"{name} {kind}", n_bytes, k, ns, call * max(1.0, k / channels)))
    return found


class Off(NamedTuple):
    """Sizes that follow each other for which the preset says too much, or too little, by up to ``error_ratio``."""

    way: str
    at_once: int
    least_bytes: int
    most_bytes: int
    error_ratio: float


def off_of(said: Sequence[Said], beyond: float = OFF_RATIO) -> list[Off]:
    """Where what the preset says is off, range by range."""
    found: list[Off] = []
    for way, k in dict.fromkeys((one.way, one.at_once) for one in said):
        last: Off | None = None
        for one in sorted(one for one in said if (one.way, one.at_once) == (way, k)):
            error = one.error_ratio
            if abs(error) <= beyond:
                last = None
            elif last is not None and (last.error_ratio > 0) == (error > 0):
                found[-1] = last = last._replace(
                    most_bytes=one.n_bytes, error_ratio=max(last.error_ratio, error, key=abs)
                )
            else:
                last = Off(way, k, one.n_bytes, one.n_bytes, error)
                found.append(last)
    return found
