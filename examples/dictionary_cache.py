"""A cache of a dictionary that loads blocks on threads, with a policy that is asked beside it."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from live import PrefetchEngine


class DictionaryCache(OrderedDict[int, bytes]):
    """Drops what was loaded first; ``prefetch_async`` is all that an engine needs of it."""

    def __init__(self, load: Callable[[int], bytes], room: int, loaders: ThreadPoolExecutor) -> None:
        super().__init__()
        self._load, self._room, self._loaders = load, room, loaders

    def prefetch_async(self, keys: Sequence[int]) -> list[Future[bytes]]:
        """Load them beside whatever goes on."""
        return [self._loaders.submit(self.read, key) for key in keys]

    def read(self, key: int) -> bytes:
        """The block, loaded if it is not there."""
        found = self.get(key)
        if found is None:
            found = self[key] = self._load(key)
            while len(self) > self._room:
                self.popitem(last=False)
        return found


def main(n: int = 200) -> tuple[int, int]:
    """How many accesses along a stride found their block in the dictionary, and how many blocks were sent for."""
    with ThreadPoolExecutor(2) as loaders:
        cache, n_hits = DictionaryCache(lambda key: bytes([key % 256]) * 64, 32, loaders), 0
        with PrefetchEngine("stride(degree=2)", cache, mode="sync") as engine:
            for key in range(0, 3 * n, 3):
                n_hits += key in cache
                engine.process_access(key)
                assert cache.read(key)[0] == key % 256
            return n_hits, engine.metrics().n_issued


if __name__ == "__main__":
    print("of 200 accesses {} found their block there; {} were sent for".format(*main()))
