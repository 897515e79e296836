"""Where Numba keeps machine code of our own files: by what they hold, so that every copy of them finds the same.

By itself Numba goes by the folder that a file lies in: a clone, a virtual environment or a wheel elsewhere would
compile all of it again.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numba.core.config
from numba.core.caching import CacheImpl, UserProvidedCacheLocator

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("simulator", "policies", "workloads", "live", "experiments", "tierfetch")


class OfOurs(UserProvidedCacheLocator):
    """A folder for each file, named by where it lies in its package and by its contents."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        super().__init__(py_func, py_file)  # type: ignore[no-untyped-call]
        path = Path(py_file)
        below = path.relative_to(_ROOT)
        self._cache_path = str(
            Path(numba.core.config.CACHE_DIR) / below.parent / f"{below.stem}-{_digest(path)}"  # type: ignore[attr-defined]
        )

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        """None: it is not one of ours."""
        path = Path(py_file)
        if not path.is_relative_to(_ROOT) or path.relative_to(_ROOT).parts[0] not in _PACKAGES:
            return None
        return super().from_function(py_func, py_file)  # type: ignore[no-untyped-call]


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def use() -> None:
    """From now on, for what is compiled in this process."""
    CacheImpl._locator_classes = [OfOurs, *(one for one in CacheImpl._locator_classes if one is not OfOurs)]
