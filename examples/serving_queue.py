"""A stand-in of an inference server: one queue, first in, first out, for requests and prefetches alike."""

import queue
import threading
from collections.abc import Sequence

from live import PrefetchEngine


class Server:
    """Serves what it is asked in turn, and keeps what it did."""

    def __init__(self) -> None:
        self.served: list[tuple[str, int]] = []
        self.jobs: queue.Queue[tuple[str, int] | None] = queue.Queue()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while (job := self.jobs.get()) is not None:
            self.served.append(job)

    def prefetch_async(self, keys: Sequence[int]) -> None:
        """Behind all that is queued."""
        for key in keys:
            self.jobs.put(("prefetch", key))


def main(n: int = 50) -> list[tuple[str, int]]:
    """What the server did, in order, for requests each of which waits until its prefetches are queued, too."""
    server = Server()
    with PrefetchEngine("next_n(n=2, trigger=access)", server, mode="sync", threshold=0.5) as engine:
        for key in range(0, 10 * n, 10):
            server.jobs.put(("request", key))
            engine.process_access(key)
    server.jobs.put(None)
    server.thread.join()
    return server.served


if __name__ == "__main__":
    print(*(f"{what} {key}" for what, key in main(5)), sep="\n")
