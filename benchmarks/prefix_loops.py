"""Caches of prefixes as plain loops: prompts are lists of keys, and what is counted are blocks before the first miss.

They know nothing of tiers, requests or clocks; ``benchmarks.kvcache`` and the tests hold the simulator against them.
"""

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

Prompts = Sequence[Sequence[int]]
_NEVER = 1 << 62


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
    """The same in a tree of prefixes, which goes from its leaves, as kvcache-simulator has it.

    What a prompt finds is used, from its root on; then the rest is taken in, for which leaves go, the least recently
    used first, but for what the prompt has found. Where there is none it ends there, as where the leaf that goes is
    the prompt's own new end: one that is longer than the cache keeps its head, less a block.
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
            if before is not None and before not in used:
                break
            now += 1
            used[key] = now
            if before is not None:
                parents[key] = before
                n_children[before] = n_children.get(before, 0) + 1
    return found


def optimal(prompts: Prompts, n_blocks: int, *, passes_by: bool) -> list[int]:
    """The same where the block goes that is used next furthest from now (Belady).

    With ``passes_by`` one that comes may be that block itself, and is not taken in.
    """
    keys = [key for one in prompts for key in one]
    next_use, later = [0] * len(keys), dict.fromkeys(keys, _NEVER)
    for at in range(len(keys) - 1, -1, -1):
        next_use[at], later[keys[at]] = later[keys[at]], at
    cache: dict[int, int] = {}
    furthest: list[tuple[int, int]] = []  # minus a next use, and whose it is or was
    found, uses = [], iter(next_use)
    for one in prompts:
        found.append(_n_found(one, cache))
        # In this order: a prompt that has come to its end takes none of the next one's.
        for key, use in zip(one, uses, strict=False):
            if key not in cache and len(cache) >= n_blocks:
                while cache.get(furthest[0][1]) != -furthest[0][0]:
                    heappop(furthest)
                if passes_by and -furthest[0][0] <= use:
                    continue
                del cache[heappop(furthest)[1]]
            cache[key] = use
            heappush(furthest, (-use, key))
    return found
