"""Functions of eviction policies and admissions, compiled by themselves and called by their addresses.

They are most of the code that there is: only what a simulation uses is compiled, once, and not into everything that
moves a block.
"""

from typing import Any

from numba import types

from simulator.compiled import c_address, call, lower_call, lowered
from simulator.records.arena import Arena, Tier
from simulator.records.record import numba_type
from simulator.residency.settings import AdmissionHooks, EvictionHooks

_ARENA = numba_type(Arena)
_ON_SLOT = types.void(_ARENA, types.int64, types.int64)
_ON_REMOVE = types.void(_ARENA, types.int64, types.int64, types.int64)
_VICTIM = types.int64(_ARENA, types.int64)
_ADMITS = types.int64(_ARENA, types.int64, types.int64, types.int64)


def _address(signature: Any, function: Any) -> int:
    return 0 if function is None else c_address(signature, getattr(function, "py_func", function))


def hook_up(tier: Tier, eviction: EvictionHooks | None, admission: AdmissionHooks) -> None:
    """Tell a tier where its functions are."""
    if eviction is not None:
        tier.hooks.on_hit = _address(_ON_SLOT, eviction.on_hit)
        tier.hooks.recall = _address(_ON_SLOT, eviction.recall)
        tier.hooks.on_insert = _address(_ON_SLOT, eviction.on_insert)
        tier.hooks.victim = _address(_VICTIM, eviction.victim)
        tier.hooks.on_remove = _address(_ON_REMOVE, eviction.on_remove)
        tier.hooks.overflow = _address(_VICTIM, eviction.overflow)
    tier.admission.count = _address(_ON_SLOT, admission.count)
    tier.admission.admits = _address(_ADMITS, admission.admits)


def _on_slot(typing: Any, function: Any, arena: Any, level: Any, slot: Any) -> Any:
    return _ON_SLOT.return_type(types.intp, *_ON_SLOT.args), lower_call


def _on_remove(typing: Any, function: Any, arena: Any, level: Any, slot: Any, evicted: Any) -> Any:
    return _ON_REMOVE.return_type(types.intp, *_ON_REMOVE.args), lower_call


def _victim(typing: Any, function: Any, arena: Any, level: Any) -> Any:
    return _VICTIM.return_type(types.intp, *_VICTIM.args), lower_call


def _admits(typing: Any, function: Any, arena: Any, level: Any, slot: Any, victim: Any) -> Any:
    return _ADMITS.return_type(types.intp, *_ADMITS.args), lower_call


call_on_slot, call_on_remove = lowered(_on_slot, call), lowered(_on_remove, call)
call_victim, call_admits = lowered(_victim, call), lowered(_admits, call)
