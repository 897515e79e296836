"""Combinations as variants and arms.

A key below ``arms.NAME`` makes more arms of that one, within an experiment; any other key makes variants. So an arm
that does not depend on a swept key runs once, and what all arms share, such as the trace, is made once for them.
"""

import copy
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.overrides import override
from experiments.shorthand import default_baseline
from experiments.sweeping.points import Point
from simulator.one_line import call

_LONGEST, _SHORTEST = 80, 24
"""Of a name; and what a combination has of it at least."""


class Spread(NamedTuple):
    """A variant of a sweep: its name, "" if there is but one, and the config's keys and values."""

    name: str
    raw: dict[str, Any]
    of_arms: dict[str, Point]
    """What each arm that the sweep made has of its keys."""


def spread(raw: Mapping[str, Any], points: Sequence[Point]) -> list[Spread]:
    """The variants of a config, whose arms have their names.

    Raises:
        ValueError: a key is not the config's, or is of the arm that the others are compared with.
    """
    keys = list(points[0])
    arms = {key: _arm_of(key, raw) for key in keys}
    of_variants = [key for key, arm in arms.items() if arm is None]
    of_arm: dict[str, list[str]] = {}
    for key, arm in arms.items():
        if arm is not None:
            of_arm.setdefault(arm, []).append(key)
    by_variant: dict[str, list[Point]] = {}
    for point in points:
        by_variant.setdefault(_identity(point, of_variants), []).append(point)
    heads = [those[0] for those in by_variant.values()]
    base = base_of(raw)
    names = names_of([{key: head[key] for key in of_variants} for head in heads], _LONGEST - 1 - len(base))
    found = []
    for name, those in zip(names, by_variant.values(), strict=True):
        made = copy.deepcopy(dict(raw))
        if name:
            made["name"] = f"{base}-{name}"
        for key in of_variants:
            _set(made, key, those[0][key])
        made_of: dict[str, Point] = {}
        if of_arm:
            made["arms"] = list(_arms(made["arms"], of_arm, those, made_of))
        found.append(Spread(name, made, made_of))
    return found


def base_of(raw: Mapping[str, Any]) -> str:
    """What names of variants begin with: the config's name, or as much of it as leaves room for theirs."""
    return str(raw["name"])[: _LONGEST - 1 - _SHORTEST]


def arm_of(key: str, raw: Mapping[str, Any]) -> str | None:
    """The arm that a key is of; None: of the whole config. Raises ValueError if there is no such arm."""
    first, _, rest = key.partition(".")
    if first != "arms":
        return None
    arms = raw.get("arms")
    # What is wrong with others, the checks of the whole config have words for.
    names = (
        [str(arm["name"]) for arm in arms if isinstance(arm, dict) and "name" in arm] if isinstance(arms, list) else []
    )
    # Names may have dots.
    of = [name for name in names if rest.startswith(f"{name}.")]
    if rest in names:
        raise ValueError(f"{key}: is a whole arm; expected a key of it, such as {key}.policy")
    if not of:
        raise ValueError(
            f"{key}: there is no such arm; expected arms.NAME.KEY, NAME one of {', '.join(names) or 'none'}"
        )
    return max(of, key=len)


def _arm_of(key: str, raw: Mapping[str, Any]) -> str | None:
    """The same, of an arm that may be several. Raises ValueError if it may not."""
    arm = arm_of(key, raw)
    if arm is None:
        return None
    if arm == raw.get("baseline", default_baseline(raw["arms"])):
        raise ValueError(f"{key}: is of the baseline, which all arms are compared with; expected another arm's key")
    if key == f"arms.{arm}.name":
        raise ValueError(f"{key}: names cannot be swept; expected another key")
    return arm


def _identity(point: Point, keys: Iterable[str]) -> str:
    return repr([point[key] for key in keys])


def _set(raw: Any, key: str, value: Any) -> None:
    try:
        override(raw, key, copy.deepcopy(value))
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _arms(
    arms: Sequence[Any], of_arm: Mapping[str, list[str]], points: Sequence[Point], made_of: dict[str, Point]
) -> Iterable[Any]:
    """The arms of a variant; ``made_of`` is told what those that are made here have of the swept keys."""
    taken = {arm["name"] for arm in arms if isinstance(arm, dict) and "name" in arm}
    for arm in arms:
        keys = of_arm.get(str(arm.get("name"))) if isinstance(arm, dict) else None
        if keys is None:
            yield arm
            continue
        settings = {_identity(point, keys): {key: point[key] for key in keys} for point in points}
        prefix, base = f"arms.{arm['name']}.", str(arm["name"])[: _LONGEST - 1 - _SHORTEST]
        names = names_of(list(settings.values()), _LONGEST - 1 - len(base))
        for name, said in zip(names, settings.values(), strict=True):
            one = copy.deepcopy(arm)
            for key, value in said.items():
                # Of an arm by itself: a policy may be said in a line.
                _set(one, key.removeprefix(prefix), value)
            one["name"] = f"{base}-{name}"
            if one["name"] in taken:
                raise ValueError(f"arms.{arm['name']}: a combination is called {one['name']!r}, as another arm is")
            made_of[one["name"]] = said
            yield one


def names_of(said: Sequence[Point], longest: int) -> list[str]:
    """What combinations are called, each by its own values."""
    ends = _ends(list(said[0])) if said else {}
    names = ["_".join(f"{ends[key]}-{_word(value)}" for key, value in point.items()) for point in said]
    times = Counter(names)
    for i, (name, point) in enumerate(zip(names, said, strict=True)):
        if len(name) > longest or times[name] > 1 or (not name and point):
            digest = hashlib.sha256(repr(sorted(point.items())).encode()).hexdigest()[:8]
            names[i] = f"{name[: longest - 9].rstrip('._-') or 'sweep'}-{digest}"
    if len(set(names)) < len(names):
        # What words leave out of values tells them apart.
        names = [f"{i:05d}-{name}"[:longest].rstrip("._-") for i, name in enumerate(names)]
    return names


def _ends(keys: Sequence[str]) -> dict[str, str]:
    """Keys by as many of their last parts as tell them apart."""
    found = {}
    for key in keys:
        parts = key.split(".")
        n = 1
        while n < len(parts) and sum(f".{other}".endswith("." + ".".join(parts[-n:])) for other in keys) > 1:
            n += 1
        found[key] = _word(".".join(parts[-n:]))
    return found


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        value = "_".join([str(value.get("kind", "")), *(f"{k}-{v}" for k, v in value.items() if k != "kind")])
    elif isinstance(value, str) and value.endswith(")"):
        return _word(call(value))
    elif isinstance(value, bool | None):
        value = str(value).lower().replace("none", "null")
    return re.sub(r"[^A-Za-z0-9._-]+", "", str(value)).strip("._-")
