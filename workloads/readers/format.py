"""What the settings of all trace formats have in common: a file, and how its format is told from its name."""

import os
from pathlib import Path
from typing import ClassVar

from simulator.quantities import PathText
from simulator.stores.copies import local_file
from workloads.base import SourceSettings

DEFAULT_TRACES = "../shared/traces"


def trace_path(path: str, folder: Path | None = None) -> Path:
    """A trace file: beside the config that names it, from where the command runs, or in the folder of traces.

    The first of these that is there; else where TIERFETCH_TRACES says. An absolute path is as given. Of an address in
    an object store it is a copy, which is fetched where this machine has none. Raises InputError if that fails.
    """
    given = Path(path)
    if (copy := local_file(path, "a trace")) is not None:
        return copy
    if given.is_absolute():
        return given
    if folder is not None and (folder / given).exists():
        return folder / given
    if given.exists():
        return given
    place = Path(os.environ.get("TIERFETCH_TRACES", DEFAULT_TRACES)) / given
    return local_file(place, "a trace") or place


class FormatSettings(SourceSettings):
    """The settings of a trace format; ``build`` reads ``file``."""

    path: PathText
    """The trace file: beside the config, where the command runs, or where TIERFETCH_TRACES says; or s3://BUCKET/NAME."""
    name_parts: ClassVar[tuple[str, ...]] = ()
    """What a file's name contains, in small letters; packed files have a further ending."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a file, which exists, is of this format."""
        return any(part in path.name.lower() for part in cls.name_parts)

    @property
    def file(self) -> Path:
        """Where the trace is."""
        return trace_path(self.path, self._beside)

    def files(self) -> list[Path]:
        """The file."""
        return [self.file]

    @property
    def depends_on_seed(self) -> bool:
        """A recorded trace does not."""
        return False
