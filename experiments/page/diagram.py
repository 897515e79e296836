"""The memory as a drawing: tiers as boxes, links between them, with their figures; inline SVG."""

from typing import Any, NamedTuple

from experiments.report import bytes_text, time_text
from simulator.units import parse_bytes, parse_bytes_per_s, parse_ns

_WIDTH, _BOX, _GAP, _TOP = 520, 62, 66, 6


class Box(NamedTuple):
    """A level: its place from the top, its name, and two lines of figures."""

    y: int
    name: str
    first: str
    second: str
    is_origin: bool


class Arrow(NamedTuple):
    """A link: from where to where it goes, and two lines of figures."""

    y1: int
    y2: int
    first: str
    second: str


class Diagram(NamedTuple):
    """What the template draws."""

    width: int
    height: int
    box_height: int
    boxes: list[Box]
    arrows: list[Arrow]
    says: str


def rate_text(said: str) -> str:
    """A bandwidth, in powers of ten as vendors have them."""
    rate = float(parse_bytes_per_s(said))
    for unit, size in (("TB/s", 1e12), ("GB/s", 1e9), ("MB/s", 1e6), ("kB/s", 1e3)):
        if rate >= size:
            return f"{rate / size:.4g} {unit}"
    return f"{rate:.4g} B/s"


def _both_ways(said: dict[str, Any]) -> str:
    read, write = rate_text(said["read_bandwidth"]), rate_text(said["write_bandwidth"])
    return read if read == write else f"read {read}, write {write}"


def _named(setting: Any) -> str:
    return setting if isinstance(setting, str) else str(setting["kind"])


def _origin(origin: dict[str, Any]) -> tuple[str, str]:
    def time(name: str) -> str:
        return time_text(parse_ns(origin.get(name, "0 ns")))

    if origin["kind"] == "store":
        return "holds every block", f"latency {time('latency')}"
    return "computes a block at its first access", f"{time('per_mib')} a MiB, {time('call')} a block"


def diagram(system: dict[str, Any]) -> Diagram:
    """Of a system as a config has it in full."""
    boxes, arrows, said = [], [], []
    y = _TOP
    for tier, link in zip(system["tiers"], system["links"], strict=True):
        size, latency = bytes_text(parse_bytes(tier["capacity"])), time_text(parse_ns(tier["latency"]))
        first = f"{size}, latency {latency}"
        boxes.append(Box(y, tier["name"], first, f"{_both_ways(tier)}; evicts {_named(tier['eviction'])}", False))
        n, shared = link["channels"], link["blocks_per_call"]
        of_link = f"{_both_ways(link)}{' a channel' * (n > 1)}"
        more = f"{n} channel{'s' * (n > 1)}, call {time_text(parse_ns(link['call']))}"
        more += f", up to {shared} blocks a call" if shared > 1 else ""
        arrows.append(Arrow(y + _BOX, y + _BOX + _GAP, of_link, more))
        said.append(f"{tier['name']} ({first}), over a link of {of_link} ({more})")
        y += _BOX + _GAP
    boxes.append(Box(y, "origin", *_origin(system["origin"]), True))
    says = f"From the fastest down: {', '.join(said)} to the origin, which {boxes[-1].first} ({boxes[-1].second})."
    return Diagram(_WIDTH, y + _BOX + _TOP, _BOX, boxes, arrows, says)
