"""``kind: python`` of evictions: a class of one's own, compiled as ours are, or in plain Python.

In plain Python it is an ``evictions.base.Eviction``, or has four methods: ``insert(key, size)`` (a block has come in),
``hit(key)`` (it was used), ``victim()`` (the key of the block that goes next; it may yet stay), and ``remove(key)`` (it
has left). Optional arguments of its constructor are ``capacity`` (bytes) and ``seed``. Such a one runs in the model in
SimPy alone. A subclass of ``EvictionSettings``, with hooks in compiled code, runs in both engines, as fast as ours.
"""

import inspect
from typing import Any, ClassVar

from pydantic import model_validator

from simulator.classes import check_class, found_of, installed_kind, made_of, python_kind, reference_of, said_of, shaped
from simulator.errors import InputError, OutsideError
from simulator.evictions.base import Eviction, Settings
from simulator.outside import Found
from simulator.plugins import Registry
from simulator.residency.settings import EvictionHooks, EvictionSettings, Made
from simulator.watched import Watched

_WHAT = "an eviction with insert(self, key, size), hit(self, key), victim(self) and remove(self, key)"
_METHODS = {"insert": 2, "hit": 1, "victim": 0, "remove": 1}
_LIMIT_NS = 10 * 10**9


class _OfClass(EvictionSettings):
    """An eviction of a class from outside."""

    names: ClassVar[str] = ""
    """The class, where an entry point names it."""

    @model_validator(mode="after")
    def _exists(self) -> "_OfClass":
        check_class(self, _WHAT, _check_methods)
        return self

    def fingerprint(self) -> str:
        """The hash of the class's sources."""
        return found_of(self).sha256

    @property
    def is_plain(self) -> bool:
        """Whether it is in plain Python, which compiled code cannot call."""
        return not issubclass(found_of(self).object, EvictionSettings)

    @property
    def _compiled(self) -> EvictionSettings:
        made: EvictionSettings = shaped(found_of(self).object, said_of(self))
        return made

    # What a compiled class says of itself.
    @property
    def state(self) -> Any:
        """The record of what it keeps of a tier."""
        return self._compiled.state

    @property
    def fields(self) -> Any:
        """The record of what it keeps of a block."""
        return self._compiled.fields

    @property
    def hooks(self) -> EvictionHooks | None:  # type: ignore[override]
        """Its functions."""
        return self._compiled.hooks

    @property
    def order(self) -> int:  # type: ignore[override]
        """Where the order is kept."""
        return self._compiled.order

    @property
    def foresees(self) -> bool:  # type: ignore[override]
        """Whether it is told the future."""
        return not self.is_plain and self._compiled.foresees

    @property
    def remembers(self) -> bool:  # type: ignore[override]
        """Whether it is told of keys before the run."""
        return not self.is_plain and self._compiled.remembers

    @property
    def n_counted(self) -> int:
        """How many keys it is told."""
        return 0 if self.is_plain else self._compiled.n_counted

    @property
    def pinned(self) -> tuple[int, ...]:
        """Keys that it is told whatever was counted."""
        return () if self.is_plain else self._compiled.pinned

    @property
    def knows_families(self) -> bool:  # type: ignore[override]
        """Whether it is told which block comes before each."""
        return not self.is_plain and self._compiled.knows_families

    @property
    def sketches(self) -> bool:  # type: ignore[override]
        """Whether it counts by a sketch."""
        return not self.is_plain and self._compiled.sketches

    @property
    def pushes_out(self) -> bool:
        """Whether a use may push blocks out."""
        return not self.is_plain and self._compiled.pushes_out

    def area_words(self, n_blocks: int) -> int:
        """How large an area it needs."""
        return self._compiled.area_words(n_blocks)

    def prepare(self, state: Any, made: Made) -> None:
        """Start with an empty tier."""
        self._compiled.prepare(state, made)


def _check_methods(found: Found) -> None:
    class_ = found.object
    if issubclass(class_, EvictionSettings):
        if class_.hooks is None and class_.state is None:
            raise InputError(f"{found.reference}: has neither state nor hooks; expected those of a compiled eviction")
        return
    if issubclass(class_, Eviction):
        return
    for name, n in _METHODS.items():
        method = getattr(class_, name, None)
        if not callable(method):
            raise InputError(f"{found.reference}: has no {name}; expected {_WHAT}")
        try:
            inspect.signature(method).bind(*[None] * (n + 1))
        except TypeError:
            raise InputError(f"{found.reference}: {name} takes {inspect.signature(method)}; expected {_WHAT}") from None


PythonEviction = python_kind(
    _OfClass, "PythonEviction", "A class of your own: insert, hit, victim and remove, or compiled as ours are.",
    __name__, "MyEviction",
)  # fmt: skip


def settings_of(kind: str, reference: str) -> type[EvictionSettings]:
    """The settings of a kind that an entry point names, for a class that has none of our shape."""
    return installed_kind(_OfClass, _registry, _WHAT, kind, reference)


def _registry() -> Registry[Any]:
    from simulator.residency.registry import EVICTIONS

    return EVICTIONS


class Plain(Eviction):
    """A class with four methods, as an Eviction."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._watched = Watched(f"eviction {reference_of(settings.eviction)}", _LIMIT_NS, lambda text: None)
        self._policy: Any = self._call(
            lambda: made_of(settings.eviction, capacity=settings.capacity, seed=settings.seed)
        )  # fmt: skip

    @property
    def own(self) -> Any:
        """The person's object."""
        return self._policy

    def _call(self, function: Any, *arguments: Any) -> Any:
        return self._watched.call(function, *arguments)[0]

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        self._call(self._policy.insert, key, size)

    def _hit(self, key: int) -> None:
        self._call(self._policy.hit, key)

    def _victim(self, size: int, ghost: str | None) -> int:
        key = self._call(self._policy.victim)
        if isinstance(key, bool) or key not in self.sizes:
            raise OutsideError(
                f"{self._watched.who}: victim returned {key!r}; expected the key of one of the "
                f"{len(self.sizes)} blocks that it holds"
            )
        return int(key)

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        self._call(self._policy.remove, key)


def make_plain(settings: Settings) -> Eviction:
    """An empty tier with the eviction of a class in plain Python. Raises OutsideError if its constructor fails."""
    class_ = found_of(settings.eviction).object
    if not issubclass(class_, Eviction):
        return Plain(settings)
    watched = Watched(f"eviction {reference_of(settings.eviction)}", _LIMIT_NS, lambda text: None)
    made: Eviction = watched.call(class_, settings)[0]
    return made
