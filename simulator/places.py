"""Where the files lie that settings name: beside the config that names them, or where the command runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_BESIDE: ContextVar[Path | None] = ContextVar("beside", default=None)


@contextmanager
def beside(folder: Path | None) -> Iterator[None]:
    """Settings that are made meanwhile are those of a config in that folder, where their files may lie."""
    token = _BESIDE.set(folder)
    try:
        yield
    finally:
        _BESIDE.reset(token)


def config_folder() -> Path | None:
    """The folder of the config whose settings are being made; None: they come from elsewhere."""
    return _BESIDE.get()


def place_of(path: str | Path, folder: Path | None) -> Path:
    """A file that settings of a config in ``folder`` name: there if it is there, else from where the command runs."""
    if folder is not None and (folder / path).exists():
        return folder / path
    return Path(path)
