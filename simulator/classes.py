"""How an object is made from a class from outside and what a config says of it.

Settings are those of the class's own ``Settings``, a pydantic model, which the constructor takes as its first argument;
without one they are the constructor's arguments by name. ``seed`` is not for configs: who has such an argument gets the
run's.
"""

import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from simulator.errors import InputError
from simulator.outside import Found, find

SEED = "seed"
_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@cache
def settings_model(class_: type) -> type[BaseModel]:
    """The pydantic model of what may be said of a class."""
    own = getattr(class_, "Settings", None)
    if isinstance(own, type) and issubclass(own, BaseModel):
        return own
    parameters = _parameters(class_)
    is_open = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    fields: dict[str, Any] = {
        name: (
            Any if p.annotation is inspect.Parameter.empty or isinstance(p.annotation, str) else p.annotation,
            ... if p.default is inspect.Parameter.empty else p.default,
        )
        for name, p in parameters.items()
        if p.kind not in _OPEN and name != SEED
    }
    config = ConfigDict(extra="allow" if is_open else "forbid", arbitrary_types_allowed=True)
    return create_model(f"{class_.__name__}Settings", __config__=config, **fields)


def _parameters(class_: type) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(class_).parameters
    except (TypeError, ValueError):
        return {}


def class_of(reference: str, folder: Path | None, what: str) -> Found:
    """The class that a config in ``folder`` names, ``what`` it is to be. Raises InputError if it is none."""
    found = find(reference, folder)
    if not isinstance(found.object, type):
        raise InputError(f"{reference}: is {found.object!r}; expected a class, {what}")
    return found


def validated(class_: type, said: Mapping[str, Any]) -> BaseModel:
    """What a config says of it. Raises InputError, a line for each problem."""
    try:
        return settings_model(class_).model_validate(dict(said))
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False):
            place = ".".join(map(str, ("settings", *problem["loc"])))
            message = problem["msg"].removeprefix("Value error, ")
            if problem["type"] == "extra_forbidden":
                known = ", ".join(settings_model(class_).model_fields) or "none"
                message = f"{class_.__name__} has no such setting; expected one of {known}"
            elif problem["type"] == "missing":
                message = f"is missing; {class_.__name__} needs it"
            else:
                message += f"; got {problem['input']!r}"
            lines.append(f"{place}: {message}")
        raise InputError(*lines) from None


def make(class_: type, settings: BaseModel, seed: int) -> Any:
    """An object of it. Whatever its constructor raises comes through."""
    arguments: list[Any] = []
    names: dict[str, Any] = {}
    if isinstance(getattr(class_, "Settings", None), type):
        arguments.append(settings)
    else:
        names = {name: getattr(settings, name) for name in settings.model_fields_set}
    if SEED in _parameters(class_):
        names[SEED] = seed
    return class_(*arguments, **names)
