"""A process whose threads write to a file of blocks until it is killed, and say what was written."""

import sys
import threading

from live.file_store import FileStore
from tests.live_content import BLOCK, content

N_THREADS, N_KEYS = 3, 12


def write(store: FileStore, keys: list[int]) -> None:
    """Versions of its own keys, one after the other."""
    version = 0
    while True:
        version += 1
        for key in keys:
            store.write(key, content(key, version))
            # One call, so that lines of several threads do not mix.
            sys.stdout.write(f"{key} {version}\n")
            sys.stdout.flush()


def main(path: str) -> None:
    store = FileStore(path, BLOCK)
    for number in range(N_THREADS):
        threading.Thread(target=write, args=(store, list(range(number, N_KEYS, N_THREADS)))).start()


if __name__ == "__main__":
    main(sys.argv[1])
