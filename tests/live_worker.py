"""A process whose threads write blocks until it is killed, and say what is in the file."""

import sys
import threading
from collections.abc import Callable, Iterable

from live import FileStore, TieredCache
from tests.live_blocks import tiers
from tests.live_content import BLOCK, content

N_THREADS, N_KEYS = 3, 12


def say(key: int, version: int) -> None:
    """One call, so that lines of several threads do not mix."""
    sys.stdout.write(f"{key} {version}\n")
    sys.stdout.flush()


def write(store: FileStore, keys: list[int]) -> None:
    """Versions of its own keys, one after the other, each of which is in the file."""
    for version in counted():
        for key in keys:
            store.write(key, content(key, version))
            say(key, version)


def put(cache: TieredCache, keys: list[int]) -> None:
    """The same by way of a cache that has no room for them: a version is in the file when it was flushed.

    Between flushes it is evicted and written down, as what is read is fetched.
    """
    for version in counted():
        for key in keys:
            cache.put(key, content(key, version))
            cache.get(keys[(key + version) % len(keys)] if version > 1 else key)
        cache.flush()
        for key in keys:
            say(key, version)


def counted() -> Iterable[int]:
    """1, 2, 3, ..."""
    version = 0
    while True:
        version += 1
        yield version


def main(path: str, by: str) -> None:
    store = FileStore(path, BLOCK)
    work: Callable[[list[int]], None]
    if by == "cache":
        cache = TieredCache(tiers(2, 3, channels=2, spare=8), store, placement="exclusive", clean_evictions="demote")
        work = lambda keys: put(cache, keys)  # noqa: E731
    else:
        work = lambda keys: write(store, keys)  # noqa: E731
    for number in range(N_THREADS):
        threading.Thread(target=work, args=(list(range(number, N_KEYS, N_THREADS)),)).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
