from typing import Any

Eviction = Any
