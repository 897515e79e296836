"""A machine's system with what accesses and calls take in the live cache, as the probe has found it."""

import copy
from collections.abc import Mapping
from typing import Any

from experiments.calibration.spread import spread_of
from experiments.validation.taken import Costs, by_load, nearest
from simulator.units import parse_bytes_per_s

_NS = 10**9
_OF_TIER, _OF_LINK = ("latency", "read_bandwidth", "write_bandwidth", "spread"), ("table", "spread", "write_spread")


def with_costs(system: Mapping[str, Any], costs: Costs, block: int) -> dict[str, Any]:
    """The system, as configs have it in full, with tier 0's service and every link's calls as they were measured.

    Service keeps tier 0's bandwidth as far as it fits; a link gets a table (rule R46) of what its calls took by calls
    at once, and what a miss takes beside calls and service is part of them, equally of each link that it passes.
    How far hits, and calls alone, differ is a spread (rule R47).
    """
    found = copy.deepcopy(dict(system))
    found["tiers"][0] |= {**_service(found["tiers"][0], costs, block), "spread": spread_of(costs.hits)}
    n_links = len(found["links"])
    for i, link in enumerate(found["links"]):
        read = by_load(costs.calls, i, is_down=False)
        if 1 not in read:
            continue
        more = costs.rest_ns // n_links
        write = by_load(costs.calls, i, is_down=True)
        loads = sorted(load for load in read if load <= link["channels"])
        link["table"] = {
            "sizes": [f"{block} B", f"{2 * block} B"],
            "at_once": loads,
            "read": [_row(read[load] + more) for load in loads],
        }
        if 1 in write:
            # Where so many at once were not seen, the most that was stands for them.
            link["table"]["write"] = [_row(nearest(write, load)) for load in loads]
            link["write_spread"] = spread_of(costs.calls[i, True, 1])
        link["spread"] = spread_of(costs.calls[i, False, 1] + more)
    return found


def overrides(system: Mapping[str, Any], costs: Costs, block: int) -> dict[str, Any]:
    """The same as what an arm sets, by paths."""
    found = with_costs(system, costs, block)
    tier, links = found["tiers"][0], found["links"]
    return {
        **{f"system.tiers.0.{name}": tier[name] for name in _OF_TIER},
        **{f"system.links.{i}.{name}": link[name] for i, link in enumerate(links) for name in _OF_LINK if name in link},
    }


def _row(ns: float) -> list[str]:
    return [f"{round(ns)} ns", f"{2 * round(ns)} ns"]


def _service(tier: Mapping[str, Any], costs: Costs, block: int) -> dict[str, str]:
    """Latency and bandwidths with which a block of that size takes what hits, and writes, took in the mean."""
    read_ns = float(costs.hits.mean())
    write_ns = float(costs.puts.mean()) if len(costs.puts) else read_ns
    raw_ns = block * _NS / parse_bytes_per_s(tier["read_bandwidth"])
    latency_ns = max(round(min(read_ns, write_ns) - raw_ns), 0)
    return {
        "latency": f"{latency_ns} ns",
        "read_bandwidth": _rate(block, read_ns - latency_ns),
        "write_bandwidth": _rate(block, write_ns - latency_ns),
    }


def _rate(block: int, ns: float) -> str:
    return f"{round(block * _NS / max(ns, 1))} B/s"
