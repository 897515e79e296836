"""YAML as plain values, and overrides of their keys from the command line, a variant or an arm."""

from typing import Any

import yaml

from simulator.errors import InputError


class _UniqueKeys(yaml.SafeLoader):
    """YAML that refuses a key given twice."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in found:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is there twice", key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse_yaml(text: str, what: str) -> Any:
    """YAML to plain values. Raises InputError with the line."""
    try:
        return yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{what}: {where}is not YAML: {getattr(error, 'problem', error)}") from None
    except (TypeError, ValueError) as error:
        # A key that is a list or a mapping, a date that is none: what PyYAML leaves to Python.
        raise InputError(f"{what}: is not YAML that can be read: {error}") from None


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
            at = at.setdefault(name, {})
        else:
            raise ValueError(f"{path}: there is no {here!r} in the config")
    if isinstance(at, list) and last.isdecimal() and int(last) < len(at):
        at[int(last)] = value
    elif isinstance(at, dict):
        at[last] = value
    else:
        raise ValueError(f"{path}: there is no such key in the config")
