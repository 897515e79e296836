"""How an object is made from a class from outside and what a config says of it.

Settings are those of the class's own ``Settings``, a pydantic model, which the constructor takes as its first argument;
without one they are the constructor's arguments by name. What a run knows (``seed``, and more by what the class is) is
not for configs: who has an argument of such a name gets it.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from simulator.errors import InputError
from simulator.outside import Found, find
from simulator.places import beside
from simulator.plugins import PluginSettings, Registry

S = TypeVar("S", bound=PluginSettings)
OF_RUN = ("seed", "capacity", "path")
"""Arguments of constructors that no config sets, beside those that a class's ``of_run`` names."""
_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def has_settings(class_: type) -> bool:
    """Whether a class says what its settings are."""
    own = getattr(class_, "Settings", None)
    return isinstance(own, type) and issubclass(own, BaseModel)


@cache
def settings_model(class_: type) -> type[BaseModel]:
    """The pydantic model of what may be said of a class."""
    if has_settings(class_):
        own: type[BaseModel] = class_.Settings  # type: ignore[attr-defined]
        return own
    parameters = parameters_of(class_)
    is_open = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    fields: dict[str, Any] = {
        name: (
            Any if p.annotation is inspect.Parameter.empty or isinstance(p.annotation, str) else p.annotation,
            ... if p.default is inspect.Parameter.empty else p.default,
        )
        for name, p in parameters.items()
        if p.kind not in _OPEN and name not in (*OF_RUN, *getattr(class_, "of_run", ()))
    }
    config = ConfigDict(extra="allow" if is_open else "forbid", arbitrary_types_allowed=True)
    return create_model(f"{class_.__name__}Settings", __config__=config, **fields)


def parameters_of(class_: type) -> Mapping[str, inspect.Parameter]:
    """What its constructor takes."""
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
        raise InputError(*_lines(class_, settings_model(class_), error)) from None


def _lines(class_: type, model: type[BaseModel], error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors(include_url=False):
        place = ".".join(map(str, ("settings", *problem["loc"])))
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            known = ", ".join(name for name in model.model_fields if name != "kind") or "none"
            message = f"{class_.__name__} has no such setting; expected one of {known}"
        elif problem["type"] == "missing":
            message = f"is missing; {class_.__name__} needs it"
        else:
            message += f"; got {problem['input']!r}"
        lines.append(f"{place}: {message}")
    return lines


def shaped(class_: type[S], said: Mapping[str, Any]) -> S:
    """Settings of our own shape. Raises InputError, a line for each problem."""
    (kind,) = get_args(class_.model_fields["kind"].annotation)
    try:
        return class_.model_validate({**said, "kind": kind})
    except ValidationError as error:
        raise InputError(*_lines(class_, class_, error)) from None


def make(class_: type, settings: BaseModel, of_run: Mapping[str, Any]) -> Any:
    """An object of it. Whatever its constructor raises comes through."""
    arguments: list[Any] = []
    names: dict[str, Any] = {}
    if has_settings(class_):
        arguments.append(settings)
    else:
        names = {name: getattr(settings, name) for name in settings.model_fields_set}
    wanted = parameters_of(class_)
    return class_(*arguments, **names, **{name: value for name, value in of_run.items() if name in wanted})


def reference_of(settings: Any) -> str:
    """The class that settings of ``kind: python`` name, or that an entry point names."""
    return str(type(settings).names or getattr(settings, "class"))


def said_of(settings: Any) -> dict[str, Any]:
    """What such settings say of the class."""
    if not type(settings).names:
        return dict(settings.settings)
    own = settings_model(found_of(settings).object).model_fields
    return {name: getattr(settings, name) for name in own if name in settings.model_fields_set}


def found_of(settings: Any) -> Found:
    """The class of such settings. Raises InputError if it is there no more."""
    return find(reference_of(settings), settings._beside)


def made_of(settings: Any, **of_run: Any) -> Any:
    """An object of it; ``of_run`` is what a run knows. Whatever its constructor raises comes through."""
    class_ = found_of(settings).object
    return make(class_, validated(class_, said_of(settings)), of_run)


def check_class(settings: Any, what: str, check: Callable[[Found], None]) -> None:
    """Raises InputError if there is no such class, it is not ``what`` is expected, or what is said of it is wrong."""
    found = class_of(reference_of(settings), settings._beside, what)
    check(found)
    if issubclass(found.object, PluginSettings):
        _ = shaped(found.object, said_of(settings))
    else:
        validated(found.object, said_of(settings))


def python_kind(base: type[S], name: str, doc: str, module: str, example: str, **fields: Any) -> type[S]:
    """The settings of ``kind: python`` of one thing: a subclass of ``base``, which is for classes from outside."""
    # A field called class cannot be written in a class.
    own: dict[str, Any] = {
        "kind": (Literal["python"], ...),
        "class": (str, Field(description=f"./my_file.py:{example}, or my_package.module:{example}.")),
        "settings": (dict[str, Any], Field({}, description="What its constructor takes, or its Settings model.")),
    }
    return create_model(name, __base__=base, __module__=module, __doc__=doc, **own, **fields)


def installed_kind(
    base: type[S], registry: Callable[[], Registry[Any]], what: str, kind: str, reference: str, **fields: Any
) -> type[S]:
    """The settings of a kind that an entry point names, whose class has none of our shape.

    Raises InputError if it is no class.
    """
    class_ = class_of(reference, None, what).object
    model = settings_model(class_)
    own: dict[str, Any] = {name: (field.annotation, field) for name, field in model.model_fields.items()}
    literal: Any = Literal[kind]

    def reduced(self: Any) -> Any:
        # No module has this class by its name: in another process it is made anew.
        return _remade, (registry, kind, self.model_dump(exclude_unset=True), self._beside)

    settings = create_model(
        f"{class_.__name__}Config",
        __base__=base,
        __module__=class_.__module__,
        __doc__=class_.__doc__ or f"{class_.__name__} of an installed package.",
        kind=(literal, ...),
        **fields,
        **own,
    )
    settings.names = reference  # type: ignore[attr-defined]
    settings.__reduce__ = reduced  # type: ignore[method-assign]
    return settings


def _remade(registry: Callable[[], Registry[Any]], kind: str, said: dict[str, Any], folder: Path | None) -> Any:
    with beside(folder):
        return registry().validate({**said, "kind": kind})
