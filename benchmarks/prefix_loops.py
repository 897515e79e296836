"""Caches of prefixes as plain loops: prompts are lists of keys, and what is counted are blocks before the first miss.

They know nothing of tiers, requests or clocks; ``benchmarks.kvcache`` and the tests hold the simulator against them.
"""

from collections.abc import Sequence
from typing import Any

Prompts = Sequence[Sequence[int]]


def _n_found(keys: Sequence[int], cache: Any) -> int:
    return next((i for i, key in enumerate(keys) if key not in cache), len(keys))


def lru(prompts: Prompts, n_blocks: int | None = None, *, at_once: bool = False) -> list[int]:
    """Of each prompt the blocks that hit, in an LRU cache of so many blocks; None: of all.

    Block by block, or ``at_once``: what of a prompt is there is used before anything of it comes in.
    """
    return _in_order(prompts, n_blocks, moves=True, at_once=at_once)


def fifo(prompts: Prompts, n_blocks: int | None = None, *, at_once: bool = False) -> list[int]:
    """The same, first in, first out."""
    return _in_order(prompts, n_blocks, moves=False, at_once=at_once)


def _in_order(prompts: Prompts, n_blocks: int | None, *, moves: bool, at_once: bool) -> list[int]:
    cache: dict[int, None] = {}
    found = []
    for keys in prompts:
        found.append(_n_found(keys, cache))
        for key in sorted(keys, key=lambda key: key not in cache) if at_once else keys:
            if key in cache:
                if not moves:
                    continue
                del cache[key]
            cache[key] = None
            if n_blocks is not None and len(cache) > n_blocks:
                del cache[next(iter(cache))]
    return found


def radix_lru(prompts: Prompts, n_blocks: int) -> list[int]:
    """The same in a tree of prefixes, which goes from its leaves: as an engine does it, a prompt at a time.

    What a prompt finds is used, from its root on; then the rest is taken in, for which other prompts' leaves go, the
    least recently used first. Where there are none it ends there. (One by one, as kvcache-simulator does, a prompt
    that is longer than the cache even lets go of its own new end, and keeps a block less.)
    """
    used: dict[int, int] = {}  # when, of the blocks that are there
    parents: dict[int, int] = {}
    n_children: dict[int, int] = {}
    found, now = [], 0
    for keys in prompts:
        n = _n_found(keys, used)
        found.append(n)
        for key in keys[:n]:
            now += 1
            used[key] = now
        kept = set(keys[:n])
        for before, key in zip([None, *keys[:-1]][n:], keys[n:], strict=True):
            if len(used) >= n_blocks:
                leaves = [one for one in used if not n_children.get(one) and one not in kept]
                if not leaves:
                    break
                gone = min(leaves, key=used.__getitem__)
                del used[gone]
                if gone in parents:
                    n_children[parents[gone]] -= 1
            now += 1
            used[key] = now
            kept.add(key)
            if before is not None:
                parents[key] = before
                n_children[before] = n_children.get(before, 0) + 1
    return found
