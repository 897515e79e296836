"""What a person names on the command line or in a test, as rules and what to try them on."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments.contract.rules import Rule
from simulator.classes import class_of, validated
from simulator.errors import InputError
from simulator.outside import find, is_reference
from simulator.trace import Batch, concatenate, part

_HEAD = 5000
_METHODS = ("decide", "batches", "victim")
"""What a policy, a workload and an eviction have, by which they are told."""


def contract_of(
    reference: str, settings: Mapping[str, Any], trace: Path | None = None, time_limit: str | None = None
) -> tuple[Sequence[Rule[Any]], Any]:
    """The rules for what is named, and that to try them on.

    Args:
        reference: ``file.py:Class``, ``file.py`` where there is one such class in it, ``package.module:Class``, or a
            kind, perhaps of an installed package.
        settings: What a config would say of it.
        trace: Of a policy, accesses to try it on, too: any that ``experiments.trace`` reads. Of a format, the file.
        time_limit: How long one call may take.

    Raises:
        InputError: there is nothing of that name, or its settings are wrong.
    """
    if reference.endswith(".py"):
        reference = f"{reference}:{_only_class_in(reference)}"
    is_workload = is_reference(reference) and callable(getattr(find(reference).object, "batches", None))
    head = None if trace is None or is_workload else _head_of(trace)
    limits = {} if time_limit is None else {"time_limit": time_limit}
    if is_reference(reference):
        class_ = class_of(reference, None, f"with {' or '.join(_METHODS)}").object
        if callable(getattr(class_, "batches", None)):
            return _of_workload_class(reference, class_, settings, trace)
        if _is_eviction(class_):
            return _of_eviction_class(reference, class_, settings)
        return _of_policy_class(reference, class_, settings, head, limits)
    return _of_kind(reference, settings, head)


def _only_class_in(file: str) -> str:
    if not Path(file).is_file():
        raise InputError(f"{file}: there is no file of this name; expected one with a class of yours, or a kind")
    # What a file defines is only known once it has run: a name that every module has.
    module = find(f"{file}:__dict__").object
    own: list[str] = [
        name
        for name, one in module.items()
        if inspect.isclass(one)
        and one.__module__ == module["__name__"]
        and any(callable(getattr(one, method, None)) for method in _METHODS)
        and not name.startswith("_")
    ]
    if len(own) != 1:
        has = f"has {', '.join(own)}" if own else f"has no class with {' or '.join(_METHODS)}"
        raise InputError(f"{file}: {has}; expected {file}:NAME, of one of its classes")
    return own[0]


def _of_policy_class(
    reference: str, class_: type, settings: Mapping[str, Any], head: Batch | None, limits: Mapping[str, str]
) -> tuple[Sequence[Rule[Any]], Any]:
    from experiments.contract.policies import POLICY_RULES
    from experiments.contract.subject import PolicySubject
    from policies.registry import POLICIES

    if not callable(getattr(class_, "decide", None)):
        raise InputError(
            f"{reference}: has no decide; expected a policy, with decide(self, run) -> [(key, confidence), ...], a "
            "workload, with batches(self), or an eviction, with victim(self)"
        )
    validated(class_, settings)
    try:
        made = POLICIES.validate({"kind": "python", "class": reference, "settings": dict(settings), **limits})
    except ValidationError as error:
        raise InputError(*_lines(error)) from None
    return POLICY_RULES, PolicySubject(made, f"policy {reference}", class_, head)


def _of_workload_class(
    reference: str, class_: type, settings: Mapping[str, Any], path: Path | None
) -> tuple[Sequence[Rule[Any]], Any]:
    from experiments.contract.workloads import WORKLOAD_RULES, WorkloadSubject
    from workloads.registry import SOURCES

    validated(class_, settings)
    file = {} if path is None else {"path": str(path)}
    try:
        made = SOURCES.validate({"kind": "python", "class": reference, "settings": dict(settings), **file})
    except ValidationError as error:
        raise InputError(*_lines(error)) from None
    return WORKLOAD_RULES, WorkloadSubject(made, f"workload {reference}", class_)


def _is_eviction(class_: type) -> bool:
    from simulator.evictions.base import Eviction
    from simulator.residency.settings import EvictionSettings

    return callable(getattr(class_, "victim", None)) or issubclass(class_, Eviction | EvictionSettings)


def _of_eviction_class(reference: str, class_: type, settings: Mapping[str, Any]) -> tuple[Sequence[Rule[Any]], Any]:
    from experiments.contract.evictions import EVICTION_RULES, EvictionSubject
    from simulator.residency.registry import EVICTIONS

    try:
        made = EVICTIONS.validate({"kind": "python", "class": reference, "settings": dict(settings)})
    except ValidationError as error:
        raise InputError(*_lines(error)) from None
    return EVICTION_RULES, EvictionSubject(made, f"eviction {reference}", class_)


def _of_kind(name: str, settings: Mapping[str, Any], head: Batch | None) -> tuple[Sequence[Rule[Any]], Any]:
    from policies.registry import POLICIES
    from simulator.one_line import call
    from simulator.residency.registry import EVICTIONS
    from workloads.registry import SOURCES

    try:
        said = {**call(name), **settings}
    except ValueError as error:
        raise InputError(f"{name}: {error}; expected FILE.py:CLASS, PACKAGE.MODULE:CLASS or a kind") from None
    registry: Any = next((known for known in (POLICIES, SOURCES, EVICTIONS) if said["kind"] in known), None)
    if registry is None:
        raise InputError(
            f"{name}: there is no such kind; expected FILE.py:CLASS, PACKAGE.MODULE:CLASS, or one that tierfetch "
            "policies lists"
        )
    try:
        made = registry.validate(said)
    except ValidationError as error:
        raise InputError(*(f"{name}: {line}" for line in _lines(error))) from None
    # Of an installed package: its class.
    named = getattr(type(made), "names", "")
    class_ = find(named).object if named else None
    who = f"{registry.what} {said['kind']}"
    if registry is POLICIES:
        from experiments.contract.policies import POLICY_RULES
        from experiments.contract.subject import PolicySubject

        made.check()
        return POLICY_RULES, PolicySubject(made, who, class_, head)
    if registry is SOURCES:
        from experiments.contract.workloads import WORKLOAD_RULES, WorkloadSubject

        return WORKLOAD_RULES, WorkloadSubject(made, who, class_)
    from experiments.contract.evictions import EVICTION_RULES, EvictionSubject

    return EVICTION_RULES, EvictionSubject(made, who, class_)


def _lines(error: ValidationError) -> list[str]:
    found = []
    for problem in error.errors(include_url=False):
        where = ".".join(map(str, problem["loc"][1:]))
        found.append(f"{where}: {problem['msg']}" if where else problem["msg"].removeprefix("Value error, "))
    return found


def _head_of(path: Path) -> Batch:
    from experiments.trace_input import trace_input

    found = concatenate(list(part(trace_input(path).workload.batches(), 0, _HEAD)))
    if not len(found):
        raise InputError(f"--trace {path}: has no accesses; expected some")
    return found
