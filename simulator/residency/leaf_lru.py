"""Least recently used from the end of prefixes: no block goes before those that were computed from it.

What KV caches do that keep prefixes in a tree (SGLang's radix cache; Zheng et al., NeurIPS 2024) or free the blocks of
a request from its end (vLLM's prefix cache). A block is a *leaf* if the tier holds none whose parent it is
(``simulator.families``). The heap has leaves first (``aux`` 0, else 1), then by last use.

Rows of all blocks that have a parent or are one are kept as ghosts from the start: they know their families.
"""

from typing import Any, ClassVar, Literal

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.records.arena import ASIDE, Arena, Block, block_at, entry_at, fields_of
from simulator.residency import ghosts, heap, lfu
from simulator.residency.heap import Stamp
from simulator.residency.lfu import state_at, victim
from simulator.residency.settings import EvictionHooks, EvictionSettings


class Kin(Stamp):
    """A block's family beside when it was used last, and how many children the tier holds."""

    parent: At[Block]
    n_children: int
    has_family: int


_kin_at = fields_of(Kin)


@internal
def _meet(arena: Arena, level: int, slot: At[Block], has_family: int) -> None:
    kin = _kin_at(arena, level, slot)
    kin.time, kin.parent, kin.n_children, kin.has_family = 0, NONE, 0, has_family


@internal
def adopt(arena: Arena, level: int, child: At[Block], parent: At[Block]) -> None:
    """Before the run: whose parent a block is."""
    if not ghosts.is_one(arena, level, child):
        _meet(arena, level, child, 1)
        ghosts.keep(arena, level, child)
    if not ghosts.is_one(arena, level, parent):
        _meet(arena, level, parent, 1)
        ghosts.keep(arena, level, parent)
    _kin_at(arena, level, child).parent = parent


@internal
def recall(arena: Arena, level: int, slot: At[Block]) -> None:
    """A block comes in; one without a family is not remembered."""
    if ghosts.is_one(arena, level, slot):
        ghosts.wake(arena, level, slot)
    else:
        _meet(arena, level, slot, 0)


@internal
def _rank(arena: Arena, level: int, slot: At[Block]) -> None:
    """Whether it is a leaf may have changed; what is not held, or set aside, has no rank."""
    where = block_at(arena, slot).where
    if (where >> level) & 1 and not (where >> (ASIDE + level)) & 1:
        is_inner = int(_kin_at(arena, level, slot).n_children > 0)
        if entry_at(arena, level, slot).aux != is_inner:
            entry_at(arena, level, slot).aux = is_inner
            heap.fix(arena, level, state_at(arena, level).blocks, slot)


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """Behind all others of its kind."""
    lfu.stamp(arena, level, slot)
    heap.fix(arena, level, state_at(arena, level).blocks, slot)


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Its parent is no leaf any more."""
    kin = _kin_at(arena, level, slot)
    entry_at(arena, level, slot).aux = int(kin.n_children > 0)
    lfu.stamp(arena, level, slot)
    heap.push(arena, level, state_at(arena, level).blocks, slot)
    if kin.parent != NONE:
        _kin_at(arena, level, kin.parent).n_children += 1
        _rank(arena, level, kin.parent)


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """Its parent may be a leaf now."""
    kin = _kin_at(arena, level, slot)
    heap.remove(arena, level, state_at(arena, level).blocks, slot)
    if kin.parent != NONE:
        _kin_at(arena, level, kin.parent).n_children -= 1
        _rank(arena, level, kin.parent)
    if kin.has_family:
        ghosts.keep(arena, level, slot)


class LeafLru(EvictionSettings):
    """LRU from the end of prefixes: of the blocks that no held one was computed from, the least recently used goes."""

    kind: Literal["leaf_lru"]

    state: ClassVar[Any] = lfu.State
    fields: ClassVar[Any] = Kin
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit, recall)
    knows_families: ClassVar[bool] = True
