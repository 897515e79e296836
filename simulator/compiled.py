"""Numba with a disk cache that cannot go stale.

Numba keys its cache by the file of the outermost function alone: change a function that a kernel calls and the old
machine code is loaded. So the cache folder's name carries a hash of every source of the simulator and of the prefetch
policies, where compiled functions are. Elsewhere a compiled function may call those of its own file and of the
simulator, and no others.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numba.core.config
from numba import types
from numba.extending import intrinsic
from platformdirs import user_cache_path

Function = TypeVar("Function", bound=Callable[..., Any])


def _sources_hash() -> str:
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted([*here.glob("*.py"), *here.glob("residency/*.py"), *here.parent.glob("policies/*.py")]):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


# Numba makes its settings when it is imported; its types do not list them.
numba.core.config.CACHE_DIR = str(user_cache_path("tierfetch") / f"numba-{_sources_hash()}")  # type: ignore[attr-defined]


IS_COLD = not Path(numba.core.config.CACHE_DIR).exists()  # type: ignore[attr-defined]
"""Whether nothing of these sources was ever compiled by this user. Asked now: declaring a function makes the folder."""


def compiled(function: Function) -> Function:
    """``numba.njit`` with the cache above; integer division and indexing as in C."""
    return cast(Function, numba.njit(cache=True, error_model="numpy")(function))


def released(function: Function) -> Function:
    """``compiled`` for functions that run beside others on a thread of their own: they let go of Python's lock."""
    return cast(Function, numba.njit(cache=True, error_model="numpy", nogil=True)(function))


@intrinsic
def pointer(typing: Any, array: Any) -> Any:
    """Where an array of int64 begins. Indexed like the array, it costs neither bounds nor the counting of references.

    Compiled code that runs for long takes it once and passes it on. Who has it keeps the array.
    """

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = context.make_array(signature.args[0])(context, builder, arguments[0])
        return made.data

    return types.CPointer(types.int64)(array), lower


def internal(function: Function) -> Function:
    """``compiled`` for functions that compiled code alone calls: without what makes them callable from Python.

    That is a good part of what there is to compile.
    """
    jit = numba.njit(cache=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
    return cast(Function, jit(function))


@cache
def compiled_for(signature: Any, function: Any) -> Any:
    """A function compiled for one signature, now; other compiled code can then be given it as a pointer."""
    machine_code = numba.njit(signature, cache=True, error_model="numpy")(function)
    machine_code.disable_compile()
    return machine_code
