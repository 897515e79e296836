"""A system as people write it, in full: hardware presets, one bandwidth for both directions, a tier as the origin.

``system: {preset: h100-sxm-pcie5, tiers: {hbm: {capacity: 8 GiB}}}`` is the preset's system with what is said beside
it. The simulator and the hashes of results know the full form alone.
"""

import copy
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from experiments.overrides import BANDWIDTHS, parse_yaml
from experiments.shipped import HARDWARE, preset_names
from simulator.errors import InputError
from simulator.units import parse_bytes_per_s

_PARTS = ("prefetch", "inference")
_MOST_BYTES = 1 << 20
MEASURED = "measured"
"""The key of a preset that says what its figures are from: for people and programs, no part of the system."""


def system_in_full(said: Any, folder: Path, where: str = "system") -> Any:
    """The system that a config says. What is no system at all comes back as it is, for the checks that follow.

    Args:
        said: The value of ``system``. It is not changed.
        folder: Where the config lies. A preset may lie beside it, or else where the command is given.
        where: What names it in messages.

    Raises:
        InputError: there is no such preset, tier or link, nothing of the preset is left, or a bandwidth is said twice
            or not at all.
    """
    if not isinstance(said, dict):
        return said
    rest = {key: value for key, value in said.items() if key != "preset"}
    base = _preset(said["preset"], folder, where) if "preset" in said else {}
    full = {**base, **rest}
    tiers, links, origin = rest.get("tiers"), rest.get("links"), rest.get("origin")
    if isinstance(tiers, dict):
        full["tiers"] = _tiers(base.get("tiers"), tiers, f"{where}.tiers")
    elif isinstance(tiers, list):
        full["tiers"] = [_both_ways(tier, f"{where}.tiers.{i}") for i, tier in enumerate(tiers)]
    if isinstance(links, dict):
        full["links"] = _links(base.get("links", []), links, _link_names(base.get("tiers", [])), f"{where}.links")
    elif isinstance(links, list):
        full["links"] = [_both_ways(link, f"{where}.links.{i}") for i, link in enumerate(links)]
    if isinstance(origin, dict) and origin.get("kind", "") in ("", base.get("origin", {}).get("kind")):
        full["origin"] = {**base.get("origin", {}), **origin}
    elif isinstance(origin, str):
        _backed_by(full, origin, f"{where}.origin")
    for part in _PARTS:
        if isinstance(rest.get(part), dict) and isinstance(base.get(part), dict):
            full[part] = {**base[part], **rest[part]}
    if base and all(_is_replaced(key, rest, full) for key in base):
        # Who names a machine means to have it. A config that says all, such as mixed, would run as if none was named.
        raise InputError(
            f"{where}.preset: nothing of it is left, for all that it has is said beside it ({', '.join(base)}); "
            f"expected less, such as {where}={{preset: {said['preset']}, tiers: {{NAME: {{capacity: 1 GiB}}}}}}"
        )
    for part in ("tiers", "links"):
        for i, one in enumerate(full[part] if isinstance(full.get(part), list) else []):
            if isinstance(one, dict) and not any(name in one for name in BANDWIDTHS):
                raise InputError(
                    f"{where}.{part}.{i}: has no bandwidth; expected bandwidth: 25 GB/s, or read_bandwidth and "
                    "write_bandwidth"
                )
    return full


def _is_replaced(key: str, rest: Mapping[str, Any], full: Mapping[str, Any]) -> bool:
    """Whether what is said beside a preset leaves nothing of its key."""
    return isinstance(rest.get(key), list) if key in ("tiers", "links") else full[key] == rest.get(key)


def with_both(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes of keys by their paths, a bandwidth for both directions as one for each."""
    found: dict[str, Any] = {}
    for path, value in changes.items():
        head, dot, last = path.rpartition(".")
        found |= {f"{head}{dot}{name}": value for name in BANDWIDTHS} if last == "bandwidth" else {path: value}
    return found


def _preset(name: Any, folder: Path, where: str) -> dict[str, Any]:
    """The system of a preset, in full: one that is shipped, or a file beside the config, or else here."""
    known = preset_names()
    if not isinstance(name, str) or not name:
        raise InputError(
            f"{where}.preset: expected one of {', '.join(known)}, or the path of a YAML file; got {name!r}"
        )
    path = HARDWARE / f"{name}.yaml" if name in known else folder / name
    if name not in known and path.suffix not in (".yaml", ".yml"):
        raise InputError(
            f"{where}.preset: there is no {name!r}; expected one of {', '.join(known)}, or the path of a YAML file"
        )
    if name not in known and not path.exists() and Path(name).exists():
        # As traces are: what --set names lies where the command is given, and a shipped config lies elsewhere.
        path = Path(name)
    try:
        text = path.read_text()[:_MOST_BYTES]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{where}.preset: {path}: cannot be read: {error}; expected a YAML file") from None
    said = copy.deepcopy(_parsed(text, str(path)))
    if not isinstance(said, dict) or not isinstance(said.get("tiers"), list) or "preset" in said:
        raise InputError(f"{where}.preset: {path}: expected a system as configs have it, with a list of tiers")
    # Nor is it part of the hash of results.
    said.pop(MEASURED, None)
    found = system_in_full(said, path.parent, str(path))
    assert isinstance(found, dict)
    return found


@lru_cache(maxsize=16)
def _parsed(text: str, what: str) -> Any:
    """A sweep asks for the same file with every combination, and YAML takes long."""
    return parse_yaml(text, what)


def _both_ways(said: Any, where: str) -> Any:
    """What has a bandwidth, with one for each direction."""
    if not isinstance(said, dict) or "bandwidth" not in said:
        return said
    for name in BANDWIDTHS:
        if name in said:
            raise InputError(
                f"{where}: bandwidth is that of both directions, but {name} is there too; expected one of them"
            )
    return {
        **{key: value for key, value in said.items() if key != "bandwidth"},
        **dict.fromkeys(BANDWIDTHS, said["bandwidth"]),
    }


def _tiers(base: Any, said: dict[Any, Any], where: str) -> list[Any]:
    """The tiers of a preset, with what is said of some by name or by number; without a preset, all that are named."""
    if not isinstance(base, list):
        named = {name: tier if isinstance(tier, dict) else {} for name, tier in said.items()}
        return [_both_ways({"name": name, **tier}, f"{where}.{name}") for name, tier in named.items()]
    return _changed(base, said, [str(tier.get("name")) for tier in base], where, "tier")


def _links(base: Any, said: dict[Any, Any], names: list[str], where: str) -> Any:
    return _changed(base, said, names, where, "link") if base else said


def _changed(base: list[Any], said: dict[Any, Any], names: list[str], where: str, what: str) -> list[Any]:
    found = list(base)
    for name, changes in said.items():
        at = names.index(str(name)) if str(name) in names else int(name) if str(name).isdecimal() else len(base)
        if at >= len(base):
            raise InputError(f"{where}.{name}: the preset has no such {what}; expected one of {', '.join(names)}")
        if not isinstance(changes, dict):
            raise InputError(
                f"{where}.{name}: expected what differs from the preset, such as {{bandwidth: 1 GB/s}}; got {changes!r}"
            )
        found[at] = {**found[at], **_both_ways(changes, f"{where}.{name}")}
    return found


def _link_names(tiers: list[Any]) -> list[str]:
    """As tables call the links: by the levels that they join."""
    levels = [*(str(tier.get("name")) for tier in tiers), "origin"]
    return [f"{above}_{below}" for above, below in pairwise(levels)]


def _backed_by(full: dict[str, Any], name: str, where: str) -> None:
    """Make a tier the origin, with its latency and its bandwidth: those above it are all that there are."""
    tiers, links = full.get("tiers"), full.get("links")
    names = [str(tier.get("name")) for tier in tiers if isinstance(tier, dict)] if isinstance(tiers, list) else []
    if (
        name not in names[1:]
        or not isinstance(tiers, list)
        or not isinstance(links, list)
        or len(links) < len(names) - 1
    ):
        expected = f"one of {', '.join(names[1:])}, whose tiers above are then all, or " if names[1:] else ""
        raise InputError(
            f"{where}: {name!r} is no tier below the first; expected {expected}{{kind: store, latency: 1 ms}}"
        )
    at = names.index(name)
    tier, last = tiers[at], dict(links[at - 1])
    for direction in BANDWIDTHS:
        # A hop is as fast as the slower of link and tier, and an origin has no bandwidth of its own.
        last[direction] = _slower(last.get(direction), tier.get(direction))
    full["tiers"], full["links"] = tiers[:at], [*links[: at - 1], last]
    full["origin"] = {"kind": "store", **({"latency": tier["latency"]} if "latency" in tier else {})}


def _slower(one: Any, other: Any) -> Any:
    try:
        return one if parse_bytes_per_s(one) <= parse_bytes_per_s(other) else other
    except ValueError:
        # Which is wrong is said by the checks that follow.
        return one
