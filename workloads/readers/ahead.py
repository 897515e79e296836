"""An iterator run ahead of its consumer, on a thread of its own."""

import threading
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from queue import SimpleQueue
from typing import Any, TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item], n: int = 1) -> Generator[Item, None, None]:
    """The same items in the same order, of which up to ``n`` are made before they are asked for.

    It helps where making an item lets go of Python's lock: reading, unpacking, Arrow, ``released`` functions. An
    exception comes where it would have come without the thread, after the items before it. The thread begins with the
    first item asked for and is gone when the iterator is at its end or closed; closing it waits for the item in the
    making and closes ``items``.
    """
    made: SimpleQueue[tuple[str, Any]] = SimpleQueue()
    room = threading.Semaphore(n)
    stopped = threading.Event()

    def make() -> None:
        try:
            with closing(items) if isinstance(items, Generator) else nullcontext():
                while True:
                    # Room first: an item that waits for it would be one more than n.
                    room.acquire()
                    if stopped.is_set():
                        return
                    try:
                        item = next(items)
                    except StopIteration:
                        break
                    made.put(("item", item))
                    del item
        except BaseException as error:
            made.put(("error", error))
        else:
            made.put(("end", None))

    thread = threading.Thread(target=make, name="tierfetch-reader", daemon=True)
    thread.start()
    try:
        while True:
            what, item = made.get()
            if what == "end":
                return
            if what == "error":
                raise item
            room.release()
            yield item
    finally:
        stopped.set()
        room.release()
        # The collector of garbage may close a generator anywhere, there too.
        if thread is not threading.current_thread():
            thread.join()
