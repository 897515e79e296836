"""What a config and the command line say of a sweep, with errors that name the key."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.overrides import parse_yaml
from experiments.sweeping.points import Sweep
from experiments.sweeping.spread import Spread, spread
from simulator.errors import InputError
from simulator.one_line import split

_NOT = {
    "name": "each combination gets a name of its own",
    "seeds": "every combination runs with all seeds: --seeds says which",
    "arms": "expected keys of an arm, such as arms.NAME.policy.n, or arms.NAME.policy",
    "variants": "expected keys of the config itself",
    "sweep": "expected keys of the config itself",
    "baseline": "expected one arm that all others are compared with",
}


def sweep_of(path: Path, said: Any, more: Sequence[str], *, may_be_large: bool = False) -> Sweep | None:
    """The sweep of a config, with ``key.path=values`` of the command line. Raises InputError if it is none."""
    if said is None and not more:
        return None
    where = f"{path}: sweep" if said is not None else "--sweep"
    if more and said is not None and not isinstance(said, dict):
        raise InputError(f"{where}: got {said!r}; expected keys of the config, each with its values")
    parsed = list(map(_parsed, more))
    for key in [key for i, (key, _) in enumerate(parsed) if key in [other for other, _ in parsed[:i]]]:
        raise InputError(f"--sweep {key}=...: is there twice; expected each key once")
    try:
        return Sweep({**(said or {}), **dict(parsed)} if more else said, may_be_large=may_be_large)
    except ValueError as error:
        raise InputError(*(f"{where}: {problem}" for problem in error.args)) from None


def _parsed(text: str) -> tuple[str, Any]:
    key, equals, values = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--sweep {text}: expected key.path=VALUE,VALUE,... or key.path=1..8")
    found = parse_yaml(values, f"--sweep {text}")
    if found is None:
        raise InputError(f"--sweep {text}: has no values; expected some")
    if isinstance(found, str):
        try:
            parts = split(found)
        except ValueError as error:
            raise InputError(f"--sweep {text}: {error}") from None
        # One that is no range is a value by itself.
        if len(parts) > 1 or not (".." in found or found.lstrip().startswith(("log", "linear"))):
            found = [parse_yaml(part, f"--sweep {text}") for part in parts]
    elif not isinstance(found, list | dict):
        found = [found]
    return key.strip(), found


def spread_of(path: Path, sweep: Sweep, raw: dict[str, Any], overridden: set[str]) -> list[Spread]:
    """The variants that a sweep makes of a config. Raises InputError where its keys are not the config's."""
    try:
        for key in sweep.keys:
            if key in _NOT:
                raise ValueError(f"{key}: cannot be swept; {_NOT[key]}")
            if key in overridden:
                raise ValueError(f"{key}: is swept, and set by --set; expected one of them")
        return spread(raw, sweep.points())
    except ValueError as error:
        raise InputError(*(f"{path}: sweep: {problem}" for problem in error.args)) from None
