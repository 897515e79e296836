"""YAML as plain values, and overrides of their keys from the command line, a variant or an arm."""

from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from simulator.errors import InputError
from simulator.one_line import call

BANDWIDTHS = ("read_bandwidth", "write_bandwidth")
"""What ``bandwidth`` stands for, of a tier or a link."""
_IN_ONE_LINE = ("policy", "eviction", "admission", "source")
"""Keys whose settings may be said as text, such as ``stride(degree=8)``."""
_DEEPEST, _MOST_VALUES = 64, 100_000


class _UniqueKeys(Composer):
    """YAML that refuses a key given twice, and values within values without end."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node; PyYAML calls itself for those within."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.composer.ComposerError(
                None,
                None,
                f"values lie more than {_DEEPEST} deep in each other",
                self.peek_event().start_mark,  # type: ignore[attr-defined]
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Read(_UniqueKeys, yaml.SafeLoader):
    """Read in Python: its messages are the better ones."""


if yaml.__with_libyaml__:
    from yaml._yaml import CParser

    class _ReadFast(_UniqueKeys, CParser, SafeConstructor, Resolver):
        """Read by libyaml, which takes a seventh of the time; what is made of it is made by the same code."""

        def __init__(self, stream: str) -> None:
            CParser.__init__(self, stream)
            _UniqueKeys.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)


def _mapping(loader: SafeConstructor, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in found:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is there twice", key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _loaded(text: str) -> Any:
    if yaml.__with_libyaml__:
        try:
            return yaml.load(text, Loader=_ReadFast)  # type: ignore[arg-type]
        except yaml.YAMLError:
            # What is wrong is said by the other one.
            pass
    return yaml.load(text, Loader=_Read)


for _loader in [_Read, *([_ReadFast] if yaml.__with_libyaml__ else [])]:
    _loader.add_constructor(Resolver.DEFAULT_MAPPING_TAG, _mapping)  # type: ignore[attr-defined]


def parse_yaml(text: str, what: str) -> Any:
    """YAML to plain values. Raises InputError with the line."""
    try:
        found = _loaded(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", error)
        raise InputError(f"{what}: {where}is not YAML: {problem}") from None
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        # A key that is a list or a mapping, a date or a `!!bool` that is none: what PyYAML leaves to Python.
        raise InputError(f"{what}: is not YAML that can be read: {error}") from None
    if _n_values(found, {}) > _MOST_VALUES:
        raise InputError(f"{what}: its aliases (*) stand for more than {_MOST_VALUES:,} values; expected fewer")
    return found


def _n_values(value: Any, known: dict[int, float]) -> float:
    """How many values something has, if what is there several times, by an alias, counts as often."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        # What is within itself has no end.
        known[id(value)] = float("inf")
        within = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_n_values(one, known) for one in within)
    return known[id(value)]


def override(raw: Any, path: str, value: Any) -> None:
    """Set ``key.0.path`` in nested dicts and lists. Raises ValueError where the path leads nowhere."""
    *parents, last = path.split(".")
    at = raw
    for done, name in enumerate(parents):
        here = ".".join(parents[: done + 1])
        if isinstance(at, list) and name.isdecimal() and int(name) < len(at):
            at = at[int(name)]
        elif isinstance(at, list) and any(isinstance(item, dict) and item.get("name") == name for item in at):
            at = next(item for item in at if isinstance(item, dict) and item.get("name") == name)
        elif isinstance(at, dict):
            if name in _IN_ONE_LINE and isinstance(at.get(name), str):
                at[name] = _settings(at[name])
            at = at.setdefault(name, {})
        else:
            raise ValueError(f"{path}: there is no {here!r} in the config")
    if isinstance(at, list) and last.isdecimal() and int(last) < len(at):
        at[int(last)] = value
    elif isinstance(at, dict):
        _make_way(at, last)
        at[last] = value
    else:
        raise ValueError(f"{path}: there is no such key in the config")


def _settings(text: str) -> Any:
    """What is said in one line, so that one of its settings can be overridden."""
    try:
        return call(text)
    except ValueError:
        return text


def _make_way(at: dict[Any, Any], name: str) -> None:
    """A bandwidth that is overridden goes, whichever way it was said: that of one direction, or of both."""
    if name == "bandwidth":
        for direction in BANDWIDTHS:
            at.pop(direction, None)
    elif name in BANDWIDTHS and "bandwidth" in at:
        at.update(dict.fromkeys(BANDWIDTHS, at.pop("bandwidth")))
