"""What a config names by its ``kind``: classes of settings, found by a registry that is also the type of the field.

A registry knows of each kind its class, or where that is: ``package.module:Class``, as entry points say it. It is
imported when it is first wanted, so that a registry may be a part of the settings that it lists (a policy wraps any
policy), and what is not used costs nothing. A field says ``Annotated[Base, REGISTRY]``: it takes ``{kind: ..., ...}``,
a kind alone where all its settings have defaults, ``stride(degree=8)``, or the settings themselves, and its errors have
the places that those of pydantic's discriminated unions have.

Installed packages add kinds by entry points: ``[project.entry-points."tierfetch.policies"]``, a name, and
``package.module:Class``.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, get_args

from pydantic import BaseModel, PrivateAttr, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, PydanticKnownError, core_schema

from simulator.errors import InputError
from simulator.one_line import call, split
from simulator.outside import find
from simulator.places import config_folder
from simulator.quantities import Strict

S = TypeVar("S", bound=BaseModel)


class PluginSettings(Strict):
    """The settings of one kind of a thing: a subclass says ``kind: Literal["its_name"]``."""

    kind: str
    _beside: Path | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any) -> None:
        """Where the config lies, which is no part of the settings: results do not depend on it."""
        self._beside = config_folder()

    def fingerprint(self) -> str:
        """A hash of what these settings name outside of the config: files, a class's sources. Empty if nothing.

        A trace is none of it: its content has a hash of its own.

        Raises:
            InputError: it is not there.
        """
        return ""


def fingerprints(settings: BaseModel) -> list[str]:
    """Those of settings and of all settings in them that have one. Raises InputError as ``fingerprint`` does."""
    own = settings.fingerprint() if isinstance(settings, PluginSettings) else ""
    found = [own] if own else []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, BaseModel):
                found += fingerprints(part)
    return found


class Registry(Mapping[str, type[S]], Generic[S]):
    """The settings of every kind of one thing, in order."""

    def __init__(
        self, what: str, base: type[S], known: Mapping[str, str | type[S]], groups: Mapping[str, str] | None = None
    ) -> None:
        """``what`` they are, in messages; ``base`` is what each class is a subclass of.

        ``groups`` are those of entry points; of each, ``module:function`` makes such a class of a kind and of what an
        entry point names where that is none.
        """
        self.what = what
        self._base = base
        self._groups = dict(groups or {})
        self._own: dict[str, str | type[S]] = {}
        self._loaded: dict[str, type[S]] = {}
        self._adapters: dict[str, TypeAdapter[S]] = {}
        self._is_described = False
        for kind, settings in known.items():
            self.register(kind, settings)

    def register(self, kind: str, settings: str | type[S]) -> None:
        """Add a kind: its class, or ``package.module:Class``. Raises ValueError if there is one of that name."""
        if kind in self._own:
            raise ValueError(f"{self.what} {kind!r} is registered twice: {self._own[kind]} and {settings}")
        self._own[kind] = settings

    @cached_property
    def _installed(self) -> dict[str, tuple[str, str]]:
        """What entry points name, by kind, and what adapts it. A name that we have ourselves is ours."""
        from importlib.metadata import entry_points

        found = [
            (point.name, point.value, adapt) for g, adapt in self._groups.items() for point in entry_points(group=g)
        ]
        return {name: (value, adapt) for name, value, adapt in sorted(found) if name not in self._own}

    def _load(self, kind: str) -> Any:
        if kind not in self._own:
            reference, adapt = self._installed[kind]
            found = find(reference).object
            if not (isinstance(found, type) and issubclass(found, self._base)):
                module, _, name = adapt.partition(":")
                found = getattr(import_module(module), name)(kind, reference)
            return found
        known = self._own[kind]
        if not isinstance(known, str):
            return known
        module, _, name = known.partition(":")
        return getattr(import_module(module), name)

    def __getitem__(self, kind: str) -> type[S]:
        """The class of a kind, imported now if it was not yet.

        Raises:
            KeyError: there is no such kind.
            InputError: it is an installed package's, and cannot be imported.
            TypeError: what is registered is no such class, or says that it is of another kind.
        """
        if kind not in self._loaded:
            found = self._load(kind)
            if not (isinstance(found, type) and issubclass(found, self._base)):
                raise TypeError(f"{self.what} {kind!r}: {found} is no subclass of {self._base.__name__}")
            said = get_args(found.model_fields["kind"].annotation)
            if said != (kind,):
                raise TypeError(f"{self.what} {kind!r}: the kind of {found} is {said}; expected Literal[{kind!r}]")
            self._loaded[kind] = found
        return self._loaded[kind]

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from self._installed

    def __len__(self) -> int:
        return len(self._own) + len(self._installed)

    def __contains__(self, kind: object) -> bool:
        return isinstance(kind, str) and (kind in self._own or kind in self._installed)

    def usable(self) -> dict[str, type[S]]:
        """The class of each kind, without those of installed packages that cannot be imported."""
        found = {}
        for kind in self:
            with suppress(InputError):
                found[kind] = self[kind]
        return found

    # A registry is one thing, however alike two of them are.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @cached_property
    def _any(self) -> TypeAdapter[S]:
        type_: Any = Annotated[self._base, self]
        return TypeAdapter(type_)

    def validate(self, value: Any) -> S:
        """The settings that a config says. Raises pydantic's ValidationError if they are none."""
        return self._any.validate_python(value)

    def parse(self, text: str) -> S:
        """The settings that a command line says: ``stride``, ``stride(degree=8, threshold=0.5)``.

        A value is a number, true, false, null, ``[a, b]``, one in this same form, or text, in quotes where it has
        commas or brackets.

        Raises:
            InputError: there is no such kind, it has no such setting, or the value is none for it.
        """
        try:
            said = call(text)
        except ValueError as error:
            raise InputError(f"{text}: {error}; expected NAME or NAME(setting=value, ...)") from None
        if said["kind"] not in self:
            raise InputError(f"{text}: no such {self.what}; expected one of {', '.join(self)}")
        try:
            return self.validate(said)
        except ValidationError as error:
            raise InputError(*(f"{text}: {line}" for line in self._explained(error))) from None

    def parse_all(self, text: str) -> list[S]:
        """Several, between commas. Raises InputError as ``parse`` does."""
        try:
            parts = split(text)
        except ValueError as error:
            raise InputError(f"{text}: {error}") from None
        return [self.parse(part) for part in parts]

    def settings_at(self, place: tuple[int | str, ...]) -> list[str]:
        """The names of the settings that could be where an error is; none if that is not known here."""
        kind = place[-2] if len(place) > 1 else None
        if not isinstance(kind, str) or kind not in self:
            return []
        return [name for name in self[kind].model_fields if name != "kind"]

    def _explained(self, error: ValidationError) -> Iterator[str]:
        for problem in error.errors(include_url=False):
            # The first part is the kind, which the text begins with.
            where = ".".join(map(str, problem["loc"][1:]))
            message = problem["msg"].removeprefix("Value error, ")
            if problem["type"] == "extra_forbidden":
                message = f"unknown setting; expected one of {', '.join(self.settings_at(problem['loc'])) or 'none'}"
            elif problem["type"] == "missing":
                message = "is missing"
            elif problem["type"] == "union_tag_invalid":
                message = f"no such kind {problem['ctx']['tag']!r}; expected one of {problem['ctx']['expected_tags']}"
            elif not message.startswith("expected") and not isinstance(problem["input"], dict | list):
                message += f"; got {problem['input']!r}"
            yield f"{where}: {message}" if where else message

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        # As pydantic's SerializeAsAny: all settings of whichever class it is, not only those of the base.
        as_it_is = core_schema.wrap_serializer_function_ser_schema(lambda v, h: h(v), schema=core_schema.any_schema())
        return core_schema.no_info_plain_validator_function(self._chosen, serialization=as_it_is)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        generator: Any = getattr(handler, "generate_json_schema", None)
        if hasattr(generator, "of_registry"):
            # It describes each registry once, and refers to that.
            found: dict[str, Any] = generator.of_registry(self)
            return found
        if self._is_described:
            # One that holds another of its like: that is described where it stands by itself.
            return {"properties": {"kind": {"enum": list(self)}}}
        self._is_described = True
        try:
            by_name = [kind for kind, class_ in self.usable().items() if needs_nothing(class_)]
            return {
                "oneOf": [
                    {"enum": by_name},
                    *(handler(class_.__pydantic_core_schema__) for class_ in self.usable().values()),
                ]
            }
        finally:
            self._is_described = False

    def _chosen(self, value: Any) -> S:
        if isinstance(value, self._base):
            return value
        if isinstance(value, str):
            value = _said(value)
        if not isinstance(value, dict):
            message = "expected a name, or {kind: NAME, setting: value, ...}; got {got}"
            raise PydanticCustomError("no_settings", message, {"got": repr(value)})
        if "kind" not in value:
            message = "expected a kind, one of {expected}; got none"
            raise PydanticCustomError("no_kind", message, {"expected": ", ".join(self)})
        kind = value["kind"]
        if kind not in self:
            expected = ", ".join(map(repr, self))
            # Half a character, as JSON may say it, is no text to pydantic.
            said = str(kind).encode(errors="backslashreplace").decode()
            tags = {"discriminator": "'kind'", "tag": said, "expected_tags": expected}
            raise PydanticKnownError("union_tag_invalid", tags)
        if kind not in self._adapters:
            type_: Any = Annotated[self[kind], _Tagged(kind)]
            self._adapters[kind] = TypeAdapter(type_)
        return self._adapters[kind].validate_python(value)


def _said(text: str) -> dict[str, Any]:
    """What a kind says, alone or with settings in brackets. A name that is none is the reader's to complain of."""
    if "(" not in text:
        return {"kind": text}
    try:
        return call(text)
    except ValueError as error:
        message = "{problem}; expected NAME, NAME(setting=value, ...) or {kind: NAME, setting: value, ...}"
        raise PydanticCustomError("no_settings", message, {"problem": str(error)}) from None


class _Tagged:
    """A union of one, told apart by its kind: the places of its errors have the kind in them, as in a union of all."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.tagged_union_schema({self._kind: handler(source)}, "kind")


def needs_nothing(class_: type[BaseModel]) -> bool:
    """Whether its kind alone says all."""
    return not any(field.is_required() for name, field in class_.model_fields.items() if name != "kind")
