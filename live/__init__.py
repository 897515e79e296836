"""A tiered cache in earnest: threads that move real bytes by the simulator's rules (docs/live.md).

Everything is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from live.books import Stats as Stats
    from live.cache import TieredCache as TieredCache
    from live.engine import PrefetchEngine as PrefetchEngine
    from live.engine_metrics import EngineMetrics as EngineMetrics
    from live.errors import LiveError as LiveError
    from live.file_store import FileStore as FileStore
    from live.moves import Landing as Landing
    from live.moves import Prefetched as Prefetched
    from live.recorder import Recorder as Recorder
    from live.settings import MemoryTier as MemoryTier
    from live.settings import Retries as Retries
    from live.store import MemoryStore as MemoryStore
    from live.store import Store as Store

_WHERE = {
    "live.books": ("Stats",),
    "live.cache": ("TieredCache",),
    "live.engine": ("PrefetchEngine",),
    "live.engine_metrics": ("EngineMetrics",),
    "live.errors": ("LiveError",),
    "live.file_store": ("FileStore",),
    "live.moves": ("Landing", "Prefetched"),
    "live.recorder": ("Recorder",),
    "live.settings": ("MemoryTier", "Retries"),
    "live.store": ("MemoryStore", "Store"),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [*_MODULE_OF]  # noqa: PLE0604 - what they are is said above


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'live' has no attribute {name!r}")
    found = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
