"""``kind: python``: a class in a file or a package; and kinds that installed packages bring.

The class has ``decide(run)``, which returns ``(key, confidence)`` pairs, most wanted first (``AskedPolicy``), or is a
``TablePolicy`` or a ``CompiledPolicy`` as ours are. With ``train(sequences)`` it learns from the first part of the
trace: it gets a list of Accesses, one a stream (``per_stream = False``: one of all), with the columns that it needs.
"""

import inspect
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, create_model, model_validator

from policies.base import CompiledPolicy, PolicySettings, TablePolicy
from policies.given import Built, Given
from policies.outside.asked import AskedPolicy, needs_of_class
from policies.outside.watched import Watched
from simulator.classes import class_of, make, settings_model, validated
from simulator.errors import InputError
from simulator.outside import Found, find
from simulator.places import beside
from simulator.quantities import Nanoseconds

_WHAT = "a policy with decide(self, run)"
_TIME_LIMIT = "10 s"


class _OfClass(PolicySettings):
    """A policy of a class from outside."""

    time_limit: Nanoseconds = Field(_TIME_LIMIT, validate_default=True)
    """How long one call may take before the run ends with an error."""

    @property
    def reference(self) -> str:
        """The class, as ``simulator.outside`` has it."""
        raise NotImplementedError

    @property
    def said(self) -> dict[str, Any]:
        """Its settings, as they are said."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _exists(self) -> "_OfClass":
        found = class_of(self.reference, self._beside, _WHAT)
        _check_decide(found)
        validated(found.object, self.said)
        return self

    def _found(self) -> Found:
        return find(self.reference, self._beside)

    def fingerprint(self) -> str:
        """The hash of the class's sources."""
        return self._found().sha256

    @property
    def learns(self) -> bool:
        """Whether the class has ``train``."""
        return learns(self._found().object)

    def check(self) -> None:
        """One can be made. Raises InputError if not."""
        self._made(0, lambda text: None)

    def _made(self, seed: int, say: Any) -> tuple[Any, AskedPolicy, Watched]:
        class_ = self._found().object
        watched = Watched(f"policy {self.reference}", self.time_limit, say)
        policy, _ = watched.call(make, class_, validated(class_, self.said), seed)
        return policy, AskedPolicy(policy, watched), watched

    def build(self, given: Given) -> Built:
        """A fresh one, trained if it learns.

        Raises:
            OutsideError: its constructor or its training fails.
            InputError: the trace lacks what it needs.
        """
        policy, asked, watched = self._made(given.seed, given.say)
        return built_of(policy, asked, watched, given, {"source_sha256": self.fingerprint()})


def learns(policy: Any) -> bool:
    """Whether a policy or its class has ``train``."""
    return callable(getattr(policy, "train", None))


def built_of(policy: Any, asked: AskedPolicy, watched: Watched, given: Given, said: dict[str, Any]) -> Built:
    """A policy that was made, trained if it learns; ``said``: what else the table ``runs`` has of it.

    Raises:
        OutsideError: its training fails.
        InputError: the trace lacks what it needs.
    """
    details: dict[str, Any] = {**said, "device": "cpu", "backend": "python"}
    if learns(policy):
        needs = needs_of_class(policy, watched.who)
        sequences = given.sequences(bool(getattr(policy, "per_stream", True)), needs)
        _, taken_ns = Watched(watched.who, 2**62, given.say).call(policy.train, sequences)
        details["train_s"] = taken_ns / 1e9
    return Built(asked, details)


def _check_decide(found: Found) -> None:
    class_ = found.object
    if issubclass(class_, TablePolicy | CompiledPolicy):
        if inspect.isabstract(class_):
            missing = ", ".join(sorted(class_.__abstractmethods__))
            raise InputError(f"{found.reference}: lacks {missing}; expected a whole policy")
        return
    decide = getattr(class_, "decide", None)
    if not callable(decide):
        raise InputError(f"{found.reference}: has no decide; expected decide(self, run) -> [(key, confidence), ...]")
    try:
        inspect.signature(decide).bind(None, None)
    except TypeError:
        raise InputError(
            f"{found.reference}: decide takes {inspect.signature(decide)}; expected decide(self, run)"
        ) from None
    except ValueError:
        return


class _Python(_OfClass):
    @property
    def reference(self) -> str:
        """The class."""
        return str(getattr(self, "class"))

    @property
    def said(self) -> dict[str, Any]:
        """Its settings."""
        return dict(self.settings)  # type: ignore[attr-defined]


# Fields of these names cannot all be written in a class.
_FIELDS: dict[str, Any] = {
    "kind": (Literal["python"], ...),
    "class": (str, Field(description="./my_policy.py:MyPolicy, or my_package.module:MyPolicy.")),
    "settings": (dict[str, Any], Field({}, description="What its constructor takes, or its Settings model.")),
}
PythonConfig = create_model(
    "PythonConfig",
    __base__=_Python,
    __module__=__name__,
    __doc__="A class of your own, in a file beside the config or in a package: it has decide(run).",
    **_FIELDS,
)


def _remade(kind: str, said: dict[str, Any], folder: Path | None) -> PolicySettings:
    from policies.registry import POLICIES

    with beside(folder):
        return POLICIES.validate({**said, "kind": kind})


def settings_of(kind: str, reference: str) -> type[PolicySettings]:
    """The settings of a kind that an entry point names, for a class that has none of our shape.

    Raises InputError if the class is no policy.
    """
    found = find(reference)
    if not isinstance(found.object, type):
        raise InputError(f"policy {kind!r}: {reference} is {found.object!r}; expected a class, {_WHAT}")
    _check_decide(found)
    model: type[BaseModel] = settings_model(found.object)
    fields: dict[str, Any] = {name: (field.annotation, field) for name, field in model.model_fields.items()}
    own: Any = Literal[kind]

    class Installed(_OfClass):
        @property
        def reference(self) -> str:
            return reference

        @property
        def said(self) -> dict[str, Any]:
            return {name: getattr(self, name) for name in fields if name in self.model_fields_set}

        def __reduce__(self) -> Any:
            # No module has this class by its name: in another process it is made anew.
            return _remade, (kind, self.model_dump(exclude_unset=True), self._beside)

    return create_model(
        f"{found.object.__name__}Config",
        __base__=Installed,
        __module__=found.object.__module__,
        __doc__=found.object.__doc__ or f"{found.object.__name__} of an installed package.",
        kind=(own, ...),
        **fields,
    )
