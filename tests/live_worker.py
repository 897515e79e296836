"""A process that puts blocks into a live cache until it is killed, and says what it has flushed."""

import sys

from live import FileStore, TieredCache
from tests.live_blocks import BLOCK, content, tiers

N_KEYS = 24


def main(path: str) -> None:
    cache = TieredCache(tiers(8, channels=3), FileStore(path, BLOCK))
    version = 0
    while True:
        for _ in range(16):
            version += 1
            cache.put(version % N_KEYS, content(version % N_KEYS, version))
        cache.flush()
        sys.stdout.write(f"{version}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
