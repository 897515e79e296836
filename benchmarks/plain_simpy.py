"""The same model the obvious way: one SimPy process an access, an OrderedDict for the LRU. The peer to beat."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import simpy


def run(keys: list[int], capacity: int, *, fetch_ns: int, service_ns: int, think_ns: int, channels: int) -> int:
    """One closed-loop stream over ``keys`` in blocks of one size; the number of misses."""
    env = simpy.Environment()
    link = simpy.Resource(env, capacity=channels)
    cache: OrderedDict[int, None] = OrderedDict()
    misses = 0

    def access(key: int) -> Iterator[Any]:
        nonlocal misses
        if key in cache:
            cache.move_to_end(key)
        else:
            misses += 1
            with link.request() as channel:
                yield channel
                yield env.timeout(fetch_ns)
            if len(cache) == capacity:
                cache.popitem(last=False)
            cache[key] = None
        yield env.timeout(service_ns)

    def stream() -> Iterator[Any]:
        for key in keys:
            yield env.process(access(key))
            yield env.timeout(think_ns)

    env.process(stream())
    env.run()
    return misses
