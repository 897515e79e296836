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
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
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
# The rules branch and chase places in arrays: there is nothing to vectorise, and looking for it takes an eighth of the
# compiling.
numba.core.config.LOOP_VECTORIZE = numba.core.config.SLP_VECTORIZE = 0  # type: ignore[attr-defined]

IS_COLD = not Path(numba.core.config.CACHE_DIR).exists()  # type: ignore[attr-defined]
"""Whether nothing of these sources was ever compiled by this user. Asked now: declaring a function makes the folder."""


def compiled(function: Function) -> Function:
    """``numba.njit`` with the cache above; integer division and indexing as in C."""
    return cast(Function, numba.njit(cache=True, error_model="numpy")(function))


def released(function: Function) -> Function:
    """``compiled`` for functions that run beside others on a thread of their own: they let go of Python's lock."""
    return cast(Function, numba.njit(cache=True, error_model="numpy", nogil=True)(function))


INTS, FLOATS = (types.CPointer(type_) for type_ in (types.int64, types.float64))  # type: ignore[no-untyped-call]
"""Arrays as their addresses: indexed alike, at the cost of neither bounds nor counted references. Who has the array
keeps it."""


def address_of(array: npt.NDArray[Any]) -> int:
    """What compiled code takes in place of the array, from Python: a whole number is handed over sooner."""
    return int(array.ctypes.data)


def lowered(function: Callable[..., Any]) -> Any:
    """What compiled code can call, from what says how it is typed and lowered. Numba's types do not know it as such."""
    return intrinsic(function)


def _from_address(pointer: Any) -> Any:
    @lowered
    def at(typing: Any, address: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return pointer(address), lower

    return at


@lowered
def pointer_to(typing: Any, array: Any) -> Any:
    """Where an array of int64 lies, in compiled code; an address is given back as it is."""

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if isinstance(signature.args[0], types.CPointer):
            return arguments[0]
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return INTS(array), lower


ints_at, floats_at = _from_address(INTS), _from_address(FLOATS)
"""The array whose address this is, in compiled code."""


@lowered
def soon(typing: Any, array: Any, index: Any) -> Any:
    """Have the processor fetch what lies there into its cache: nothing else happens. For arrays by address."""

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if isinstance(signature.args[0], types.CPointer):
            byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
            at = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), byte)
            prefetch = builder.module.declare_intrinsic(
                "llvm.prefetch", (byte,), ir.FunctionType(ir.VoidType(), [byte, word, word, word])
            )
            builder.call(prefetch, [at, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.none(array, types.int64), lower


def lower_call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Call the C function at the address that is the first argument, with the others; for intrinsics."""
    of_function = [context.get_value_type(type_) for type_ in signature.args[1:]]
    is_void = signature.return_type == types.none
    result = ir.VoidType() if is_void else context.get_value_type(signature.return_type)
    function = builder.inttoptr(arguments[0], ir.FunctionType(result, of_function).as_pointer())
    found = builder.call(function, arguments[1:])
    return context.get_dummy_value() if is_void else found


def internal(function: Function) -> Function:
    """``compiled`` for functions that compiled code alone calls: without what makes them callable from Python.

    That is a good part of what there is to compile.
    """
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast(Function, numba.njit(cache=True, error_model="numpy", **options)(function))


def inlined(function: Function) -> Function:
    """``internal`` for what is called so often that the call itself shows: it becomes part of who calls it."""
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}
    return cast(Function, numba.njit(cache=True, error_model="numpy", **options)(function))


@cache
def compiled_for(signature: Any, function: Any) -> Any:
    """A function compiled for one signature, now."""
    machine_code = numba.njit(signature, cache=True, error_model="numpy")(function)
    machine_code.disable_compile()
    return machine_code


@cache
def _c_function(signature: Any, function: Any) -> Any:
    return numba.cfunc(signature, cache=True, error_model="numpy")(function)


def c_address(signature: Any, function: Any) -> int:
    """A function compiled for one signature, now, as the address by which other compiled code calls it."""
    return int(_c_function(signature, function).address)
