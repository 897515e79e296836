"""What the settings of all trace formats have in common: a file, and how its format is told from its name."""

import os
from pathlib import Path
from typing import ClassVar

from simulator.quantities import PathText
from workloads.base import SourceSettings

DEFAULT_TRACES = "../shared/traces"


def trace_path(path: str) -> Path:
    """A trace file: as given if it exists or is absolute, else in the folder that TIERFETCH_TRACES names."""
    given = Path(path)
    if given.is_absolute() or given.exists():
        return given
    return Path(os.environ.get("TIERFETCH_TRACES", DEFAULT_TRACES)) / given


class FormatSettings(SourceSettings):
    """The settings of a trace format; ``build`` reads ``file``.

    Two more are known by their names, where a format has them: ``block``, the size of every block where a trace has
    none, and ``columns``, which names those of a table. Command lines offer these.
    """

    path: PathText
    name_parts: ClassVar[tuple[str, ...]] = ()
    """What a file's name contains, in small letters; packed files have a further ending."""
    block_unsaid: ClassVar[str | None] = None
    """The block on a command line that says none, of a format whose configs have to."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a file, which exists, is of this format."""
        return any(part in path.name.lower() for part in cls.name_parts)

    @property
    def file(self) -> Path:
        """Where the trace is."""
        return trace_path(self.path)

    def files(self) -> list[Path]:
        """The file."""
        return [self.file]

    @property
    def depends_on_seed(self) -> bool:
        """A recorded trace does not."""
        return False
