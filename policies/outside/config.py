"""``kind: python``: a class in a file or a package; and kinds that installed packages bring.

The class has ``decide(run)``, which returns ``(key, confidence)`` pairs, most wanted first (``AskedPolicy``), or is a
``TablePolicy`` or a ``CompiledPolicy`` as ours are. With ``train(sequences)`` it learns from the first part of the
trace: it gets a list of Accesses, one a stream (``per_stream = False``: one of all), with the columns that it needs.
"""

import inspect
from typing import Any, ClassVar

from pydantic import Field, model_validator

from policies.base import CompiledPolicy, PolicySettings, TablePolicy
from policies.given import Built, Given
from policies.outside.asked import AskedPolicy, needs_of_class
from simulator.classes import check_class, found_of, installed_kind, made_of, python_kind, reference_of
from simulator.errors import InputError
from simulator.outside import Found
from simulator.plugins import Registry
from simulator.quantities import Nanoseconds
from simulator.watched import TIME_LIMIT, Watched

_WHAT = "a policy with decide(self, run)"


class _OfClass(PolicySettings):
    """A policy of a class from outside."""

    names: ClassVar[str] = ""
    """The class, where an entry point names it."""
    time_limit: Nanoseconds = Field(TIME_LIMIT, validate_default=True)
    """How long one call may take before the run ends with an error."""

    @model_validator(mode="after")
    def _exists(self) -> "_OfClass":
        check_class(self, _WHAT, _check_decide)
        return self

    def fingerprint(self) -> str:
        """The hash of the class's sources."""
        return found_of(self).sha256

    @property
    def learns(self) -> bool:
        """Whether the class has ``train``."""
        return learns(found_of(self).object)

    def check(self) -> None:
        """One can be made. Raises OutsideError if not."""
        self._made(0, lambda text: None)

    def _made(self, seed: int, say: Any) -> tuple[Any, AskedPolicy, Watched]:
        watched = Watched(f"policy {reference_of(self)}", self.time_limit, say)
        policy = watched.call(lambda: made_of(self, seed=seed))[0]
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
        _, taken_ns, _ = Watched(watched.who, 2**62, given.say).call(policy.train, sequences)
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


PythonConfig = python_kind(
    _OfClass, "PythonConfig", "A class of your own, in a file beside the config or in a package: it has decide(run).",
    __name__, "MyPolicy",
)  # fmt: skip


def settings_of(kind: str, reference: str) -> type[PolicySettings]:
    """The settings of a kind that an entry point names, for a class that has none of our shape."""
    return installed_kind(_OfClass, _registry, _WHAT, kind, reference)


def _registry() -> Registry[Any]:
    from policies.registry import POLICIES

    return POLICIES
