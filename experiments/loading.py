"""A config file as experiments: overridden from the command line, every error with its key."""

import copy
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from experiments.config import Experiment, FileName
from experiments.overrides import override, parse_yaml
from experiments.shipped import config_named
from experiments.shorthand import in_full, with_names
from experiments.sweeping.points import Sweep
from experiments.sweeping.said import spread_of, sweep_of
from policies.registry import POLICIES
from simulator.config import Strict
from simulator.errors import InputError
from simulator.places import beside
from simulator.plugins import Registry
from simulator.residency.registry import ADMISSIONS, EVICTIONS
from workloads.readers.files import check_regular
from workloads.registry import SOURCES

_LONGEST = 1 << 22


class Variant(Strict):
    """The same experiment with other keys: ``set`` overrides them as ``--set`` does."""

    name: FileName
    """Ends the name of its experiment, and of its folder."""
    set: dict[str, Any]
    """Keys by their paths, such as system.tiers.hbm.capacity, and what they are here."""


_NO_VARIANT: Sequence[Variant | None] = (None,)
_VARIANTS: TypeAdapter[list[Variant]] = TypeAdapter(list[Variant])


class Override(NamedTuple):
    """A value in place of what a config says under a key; ``said`` is where it comes from, for messages."""

    said: str
    key: str
    value: Any


def load(
    path: Path,
    sets: list[str] | None = None,
    seeds: list[int] | None = None,
    wanted: list[str] | None = None,
) -> dict[str, Experiment]:
    """What ``load_all`` reads, without the rest. Raises InputError as that."""
    return load_all(path, sets, seeds, wanted).experiments


class Loaded(NamedTuple):
    """What a config has: experiments by variant, their name together, and whether a sweep or slices made them."""

    experiments: dict[str, Experiment]
    name: str
    is_swept: bool
    is_sliced: bool = False


def load_all(
    path: Path,
    sets: list[str] | None = None,
    seeds: list[int] | None = None,
    wanted: list[str] | None = None,
    sweeps: list[str] | None = None,
) -> Loaded:
    """The experiments of a YAML file by variant, with ``key.path=value`` overrides; without variants one, under "".

    The file may be a shipped one's name without its ending: ``mixed``. ``sweeps``: ``key.path=values``, beside or in
    place of what its ``sweep`` says of the key.
    ``wanted`` names the variants to load, by default all. The name of an experiment ends in that of its variant. What
    an anchor repeats stays one value: an override of one place is one of all.

    Raises:
        InputError: the file, a variant, an override or a value is wrong; every key that is has a line.
    """
    path = config_named(path)
    return all_of(read(path), path, sets, seeds, wanted, sweeps)


def experiments_of(
    raw: dict[str, Any],
    path: Path,
    sets: Sequence[str | Override] | None = None,
    seeds: list[int] | None = None,
    wanted: list[str] | None = None,
) -> dict[str, Experiment]:
    """What ``all_of`` reads, without the rest. Raises InputError as that."""
    return all_of(raw, path, sets, seeds, wanted).experiments


def all_of(
    raw: dict[str, Any],
    path: Path,
    sets: Sequence[str | Override] | None = None,
    seeds: list[int] | None = None,
    wanted: list[str] | None = None,
    sweeps: list[str] | None = None,
) -> Loaded:
    """The experiments of a config's keys and values, as ``load_all`` reads them.

    ``path`` is what names the config, in messages and where it has no name, and beside what its files may lie; it need
    not be there.

    Raises:
        InputError: as ``load_all``.
    """
    said = said_of(raw, path, sets, seeds, sweeps)
    found: dict[str, dict[str, Any]] = {}
    of_arms: dict[str, dict[str, Any]] = {}
    for variant, one in said.by_variant.items():
        if said.sweep is None:
            found[variant] = one
            continue
        for spread in spread_of(path, said.sweep, one, said.overridden):
            name = "_".join(filter(None, [variant, spread.name]))
            found[name], of_arms[name] = spread.raw, spread.of_arms
    for name in wanted or []:
        if name not in found or "" in found:
            some = [*found][:20] + ["..."] * (len(found) > 20)
            problem = f"{path} has no variant {name!r}"
            raise InputError(f"{problem}; expected {'one of ' + ', '.join(some) if '' not in found else 'none'}")
    chosen = {name: one for name, one in found.items() if wanted is None or name in wanted}
    made = {name: made_of(path, f"{path}: variant {name}" if name else str(path), one) for name, one in chosen.items()}
    for name, keys in of_arms.items():
        if name in made and keys:
            made[name].say_swept(keys)
    return Loaded(made, said.name, said.sweep is not None)


class Said(NamedTuple):
    """A config as the command line has it: the keys and values of each variant, and the sweep that is to be of it."""

    name: str
    by_variant: dict[str, dict[str, Any]]
    sweep: Sweep | None
    overridden: set[str]


def said_of(
    raw: dict[str, Any],
    path: Path,
    sets: Sequence[str | Override] | None = None,
    seeds: list[int] | None = None,
    sweeps: list[str] | None = None,
    *,
    may_be_large: bool = False,
) -> Said:
    """A config's keys and values, with what overrides them. Raises InputError as ``load_all``."""
    raw = copy.deepcopy(raw)
    with_names(raw, path)
    sweep = sweep_of(path, raw.pop("sweep", None), sweeps or [], may_be_large=may_be_large)
    try:
        variants = _VARIANTS.validate_python(raw.pop("variants", []))
    except ValidationError as error:
        raise InputError(*explain(f"{path}: variants", error)) from None
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) != 1:
            raise InputError(f"{path}: variants: {name!r} is twice; expected one of {', '.join(names)}")
    overrides = [one if isinstance(one, Override) else _parsed(one) for one in sets or []]
    found = {
        variant.name if variant else "": _overridden(path, raw, variant, overrides, seeds)
        for variant in variants or _NO_VARIANT
    }
    return Said(str(raw["name"]), found, sweep, {key for _, key, _ in overrides})


def only(experiments: dict[str, Experiment]) -> Experiment:
    """The one that there is. Raises InputError if a config has several variants and none was chosen."""
    if len(experiments) > 1:
        raise InputError(f"--variant: expected one of {', '.join(experiments)}")
    return next(iter(experiments.values()))


def read(path: Path) -> dict[str, Any]:
    """A config's keys, as the file has them. Raises InputError if it has none."""
    check_regular(path, "a config")
    try:
        with path.open() as file:
            text = file.read(_LONGEST + 1)
        if len(text) > _LONGEST:
            raise InputError(f"{path}: is longer than {_LONGEST >> 20} MiB; expected a config")
        raw = parse_yaml(text, str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not isinstance(raw, dict):
        raise InputError(f"{path}: expected keys with values, got {type(raw).__name__}")
    return raw


def _parsed(text: str) -> Override:
    """What ``--set`` says."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"--set {text}: expected key.path=value")
    return Override(f"--set {text}", key.strip(), parse_yaml(value, f"--set {text}"))


def _overridden(
    path: Path, raw: Any, variant: Variant | None, sets: Sequence[Override], seeds: list[int] | None
) -> dict[str, Any]:
    """A config's keys and values as a variant, and the command line, have them."""
    found: dict[str, Any] = copy.deepcopy(raw)
    if variant is not None:
        for key, value in variant.set.items():
            try:
                override(found, key, copy.deepcopy(value))
            except ValueError as error:
                raise InputError(f"{path}: variant {variant.name}: set: {error}") from None
        found["name"] = f"{found['name']}-{variant.name}"
    for said, key, value in sets:
        try:
            override(found, key, copy.deepcopy(value))
        except ValueError as error:
            raise InputError(f"{said}: {error}") from None
    if seeds is not None:
        found["seeds"] = seeds
    return found


def made_of(path: Path, where: str, raw: dict[str, Any]) -> Experiment:
    """The experiment of a config's keys and values, checked. Raises InputError, a line for each key that is wrong."""
    try:
        raw = in_full(raw, path)
    except InputError as error:
        raise InputError(*(f"{where}: {problem}" for problem in error.args)) from None
    try:
        with beside(path.parent):
            return Experiment.model_validate(raw)
    except ValidationError as error:
        raise InputError(*explain(where, error)) from None


_REGISTRIES: dict[str, Registry[Any]] = {
    "eviction": EVICTIONS, "admission": ADMISSIONS, "workload": SOURCES, "policy": POLICIES,
}  # fmt: skip
"""By a part of a key's place: what says which settings could be there."""


def explain(where: str, error: ValidationError) -> list[str]:
    """A line for each problem."""
    lines = []
    problems = error.errors(include_url=False)
    # A list whose items are wrong is reported as too short as well.
    problems = [p for p in problems if p["type"] != "too_short" or len(problems) == 1] or problems
    for problem in problems:
        key = ".".join(str(part) for part in problem["loc"] if not str(part).startswith("function-"))
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            name = str(problem["loc"][-1])
            near = difflib.get_close_matches(name, _known_keys() - {name}, n=1, cutoff=0.6)
            message = f"unknown key {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            registry = next((found for part, found in _REGISTRIES.items() if part in problem["loc"]), None)
            settings = registry.settings_at(problem["loc"]) if registry else []
            message += f"; expected one of {', '.join(settings)}" if settings and not near else ""
        elif problem["type"] == "union_tag_invalid":
            context = problem["ctx"]
            message = f"unknown kind {context['tag']!r}; expected one of {context['expected_tags']}"
        elif problem["type"] == "missing":
            message = "is missing"
        elif not message.startswith("expected") and not isinstance(problem["input"], dict | list):
            message += f"; got {problem['input']!r}"
        lines.append(f"{where}: {key}: {message}" if key else f"{where}: {message}")
    return lines


def _known_keys() -> set[str]:
    classes: list[type[Strict]] = [Strict]
    keys: set[str] = set()
    while classes:
        class_ = classes.pop()
        keys.update(class_.model_fields)
        classes += class_.__subclasses__()
    return keys
