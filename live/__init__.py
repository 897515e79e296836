"""A tiered cache in earnest: threads that move real bytes by the simulator's rules (docs/live.md)."""

from live.cache import TieredCache as TieredCache
from live.errors import LiveError as LiveError
from live.file_store import FileStore as FileStore
from live.moves import Landing as Landing
from live.moves import Prefetched as Prefetched
from live.recorder import Recorder as Recorder
from live.settings import MemoryTier as MemoryTier
from live.settings import Retries as Retries
from live.store import MemoryStore as MemoryStore
from live.store import Store as Store
