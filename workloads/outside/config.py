"""``kind: python`` of sources: a generator or a reader of one's own; and kinds that installed packages bring.

The class has ``batches()``, which yields the accesses from the start each time it is called: Batch objects, arrays of
keys, or mappings of columns: ``key``, and any of ``size_bytes`` (64 KiB), ``op``, ``stream`` (from 0), ``request``,
``time_ns``; other names are features. Optional arguments of its constructor are ``seed`` and, for a format, ``path``;
optional attributes ``has_times = True`` (for ``arrivals: open``) and ``reuse = "prefix"``.
"""

import inspect
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from simulator.classes import (
    check_class,
    found_of,
    installed_kind,
    made_of,
    parameters_of,
    python_kind,
    reference_of,
)
from simulator.errors import InputError
from simulator.outside import Found
from simulator.plugins import Registry
from simulator.quantities import PathText
from simulator.trace import Workload
from simulator.watched import Watched
from workloads.base import Reuse, SourceSettings
from workloads.outside.workload import OutsideWorkload
from workloads.readers.format import FormatSettings, trace_path

_WHAT = "a workload with batches(self)"
_NO_LIMIT_NS = 2**62


class _OfClass(SourceSettings):
    """A workload of a class from outside."""

    names: ClassVar[str] = ""
    """The class, where an entry point names it."""

    @model_validator(mode="after")
    def _exists(self) -> "_OfClass":
        check_class(self, _WHAT, _check_batches)
        if "path" in parameters_of(self._class) and self._path is None:
            raise InputError(f"path: is missing; {reference_of(self)} reads a file")
        return self

    @property
    def _class(self) -> type:
        class_: type = found_of(self).object
        return class_

    @property
    def _path(self) -> Path | None:
        """The file that it reads, if it reads one."""
        path = getattr(self, "path", None)
        return None if path is None else trace_path(path, self._beside)

    def fingerprint(self) -> str:
        """The hash of the class's sources."""
        return found_of(self).sha256

    def files(self) -> list[Path]:
        """The file that it reads, if it reads one."""
        return [] if self._path is None else [self._path]

    @property
    def depends_on_seed(self) -> bool:
        """Whether its constructor takes a seed."""
        return "seed" in parameters_of(self._class)

    @property
    def has_times(self) -> bool:
        """As its class says."""
        return bool(getattr(self._class, "has_times", False))

    @property
    def reuse(self) -> Reuse:
        """As its class says. Raises InputError if that is neither ``block`` nor ``prefix``."""
        said: Any = getattr(self._class, "reuse", "block")
        if said not in ("block", "prefix"):
            raise InputError(f"{reference_of(self)}: reuse is {said!r}; expected block or prefix")
        reuse: Reuse = said
        return reuse

    def build(self, seed: int, name: str = "source") -> Workload:
        """The workload of a seed.

        Raises:
            OutsideError: its constructor fails.
        """
        watched = Watched(f"workload {reference_of(self)}", _NO_LIMIT_NS, lambda text: None)
        made = watched.call(lambda: made_of(self, seed=seed, path=self._path))[0]
        return OutsideWorkload(made, watched)


def _check_batches(found: Found) -> None:
    batches = getattr(found.object, "batches", None)
    if not callable(batches):
        raise InputError(f"{found.reference}: has no batches; expected batches(self), which yields keys or columns")
    try:
        inspect.signature(batches).bind(None)
    except TypeError:
        raise InputError(
            f"{found.reference}: batches takes {inspect.signature(batches)}; expected batches(self)"
        ) from None


_PATH = (PathText | None, Field(None, description="The file that it reads, if it reads one."))
PythonSource = python_kind(
    _OfClass, "PythonSource", "A generator or a reader of your own: a class with batches().", __name__, "MyTrace",
    path=_PATH,
)  # fmt: skip


class _FormatOfClass(_OfClass, FormatSettings):
    """A trace format of a class from outside, whose constructor takes the path."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """As the class says, by ``recognises(path)`` or by ``name_parts``."""
        from simulator.outside import find

        class_ = find(cls.names).object
        own = getattr(class_, "recognises", None)
        if callable(own):
            return bool(own(path))
        return any(part in path.name.lower() for part in getattr(class_, "name_parts", ()))


def workload_of(kind: str, reference: str) -> type[SourceSettings]:
    """The settings of a kind that an entry point names, for a class that has none of our shape."""
    return installed_kind(_OfClass, _registry, _WHAT, kind, reference)


def format_of(kind: str, reference: str) -> type[SourceSettings]:
    """The same of a trace format."""
    return installed_kind(_FormatOfClass, _registry, _WHAT, kind, reference)


def _registry() -> Registry[Any]:
    from workloads.registry import SOURCES

    return SOURCES
