"""Where trained models are kept, and which of them are asked for. No torch in sight."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from platformdirs import user_cache_path

_ASKED_FOR: ContextVar[list[Path] | None] = ContextVar("asked_for", default=None)


def models_folder() -> Path:
    """Where models are kept: TIERFETCH_MODELS, else the user's cache folder."""
    return Path(os.environ.get("TIERFETCH_MODELS") or user_cache_path("tierfetch") / "models")


@contextmanager
def asked_for() -> Iterator[list[Path]]:
    """The files of models that are trained, or found there, meanwhile."""
    found: list[Path] = []
    token = _ASKED_FOR.set(found)
    try:
        yield found
    finally:
        _ASKED_FOR.reset(token)


def note(path: Path) -> None:
    """This one is asked for."""
    found = _ASKED_FOR.get()
    if found is not None:
        found.append(path)
