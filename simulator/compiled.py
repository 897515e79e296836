"""Numba with a disk cache that cannot go stale, and compiled without doing work twice.

Numba keys its cache by the file of the outermost function alone: change a function that a kernel calls and the old
machine code is loaded. So the cache folder's name carries a hash of the files that several functions are compiled from
(``sources``). Elsewhere a compiled function may call those of its own file and of these, and no others.

With ``NUMBA_DISABLE_JIT=1`` nothing is compiled: the same rules run as plain Python, with the checks of
``records.checked``.
"""

import hashlib
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numba.core.config
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import event
from numba.extending import intrinsic
from platformdirs import user_cache_path

from simulator import code_cache
from simulator.outside import IS_LOADING, kept_under
from simulator.parts import OF_LOOPS, OF_PART, OF_RULES, OF_WHOLE

Function = TypeVar("Function", bound=Callable[..., Any])
CHECKED = bool(numba.core.config.DISABLE_JIT)  # type: ignore[attr-defined]
"""Whether rules run as plain Python."""


_HERE = Path(__file__).parent
_HAS_RULES = re.compile(
    rb"^\s*@(compiled|vectorised|released|internal|inlined)$|(?<![.\w])(view|nth|first|lowered|state_of|fields_of)\(",
    re.MULTILINE,
)
# What these declare is frozen into machine code, too.
_CONSTANTS = (
    "charging.py", "parts.py", "policy.py", "spread.py", "trace.py", "units.py", "residency/names.py",
    "records/types.py",
)  # fmt: skip


def sources() -> list[Path]:
    """The files whose code or constants may be part of machine code that is cached under another file's name."""
    shared = [path for path in _HERE.rglob("*.py") if _HAS_RULES.search(path.read_bytes())]
    constants = [_HERE / name for name in _CONSTANTS]
    # Of policies what several files share; each is its own file otherwise, which Numba looks after.
    shared_by_policies = (
        "experts.py", "keys.py", "paying.py", "rows.py", "watching.py", "lstm/backends/compiled.py", "lstm/coding.py",
        "models/codecs/base.py", "models/exps.py", "models/top.py",
    )  # fmt: skip
    of_policies = [_HERE.parent / "policies" / name for name in shared_by_policies]
    # Of readers the constants that their parsers share.
    of_readers = [_HERE.parent / "workloads" / "readers" / "kinds.py"]
    return sorted({*shared, *constants, *of_policies, *of_readers})


def _sources_hash() -> str:
    digest = hashlib.sha256()
    for source in sources():
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


# Numba makes its settings when it is imported; its types do not list them.
numba.core.config.CACHE_DIR = str(user_cache_path("tierfetch") / f"numba-{_sources_hash()}")  # type: ignore[attr-defined]
code_cache.use()
# The rules branch and chase places in arrays: there is nothing to vectorise, and looking for it takes an eighth of the
# compiling.
numba.core.config.LOOP_VECTORIZE = numba.core.config.SLP_VECTORIZE = 0  # type: ignore[attr-defined]

_WHOLE: dict[str, Any] = {"cache": True, "error_model": "numpy", "pipeline_class": OF_WHOLE}
_RULES: dict[str, Any] = {**_WHOLE, "pipeline_class": OF_RULES}
_PART: dict[str, Any] = {
    "error_model": "numpy", "pipeline_class": OF_PART, "no_cpython_wrapper": True, "no_cfunc_wrapper": True,
}  # fmt: skip


def compiled(function: Function) -> Function:
    """``numba.njit`` with the cache above; integer division and indexing as in C."""
    # What a file from outside calls may lie in others, which may change: without them, nothing is kept of it.
    settings = {**_WHOLE, "cache": False} if IS_LOADING.get() else _WHOLE
    return cast(Function, numba.njit(**settings)(function))


def vectorised(function: Function) -> Function:
    """``compiled`` for loops over arrays of numbers, which become vector instructions."""
    return cast(Function, numba.njit(**{**_WHOLE, "pipeline_class": OF_LOOPS})(function))


def released(function: Function) -> Function:
    """``compiled`` for functions that run beside others on a thread of their own: they let go of Python's lock."""
    return cast(Function, numba.njit(nogil=True, **_WHOLE)(function))


def internal(function: Function) -> Function:
    """``compiled`` for functions that compiled code alone calls: a part of whatever calls it, and nothing by itself."""
    return cast(Function, numba.njit(**_PART)(function))


def inlined(function: Function) -> Function:
    """``internal`` for what is called so often that the call itself shows: it becomes part of who calls it."""
    return cast(Function, numba.njit(forceinline=True, **_PART)(function))


@cache
def compiled_for(signature: Any, function: Any) -> Any:
    """A function compiled for one signature, now."""
    if CHECKED:
        return function
    machine_code = numba.njit(signature, **_RULES)(function)
    machine_code.disable_compile()
    return machine_code


_FUNCTIONS: list[Any] = [None]


@cache
def _c_function(signature: Any, function: Any) -> Any:
    # As Numba does for its other functions.
    with event.trigger_event("numba:compile", data={"dispatcher": function}), _kept_with(function) as rules:
        return numba.cfunc(signature, **rules)(function)


@contextmanager
def _kept_with(function: Any) -> Iterator[dict[str, Any]]:
    """The machine code of a function from outside is kept with the hash of all its sources, as ours is with ours.

    Where there is no such hash it is not kept.
    """
    sha256 = kept_under(function)
    usual = numba.core.config.CACHE_DIR  # type: ignore[attr-defined]
    if sha256:
        numba.core.config.CACHE_DIR = str(Path(usual) / f"outside-{sha256[:16]}")  # type: ignore[attr-defined]
    try:
        yield _RULES if sha256 is not None else {**_RULES, "cache": False}
    finally:
        numba.core.config.CACHE_DIR = usual  # type: ignore[attr-defined]


@cache
def c_address(signature: Any, function: Any) -> int:
    """A function compiled for one signature, now, as the address by which other compiled code calls it."""
    if CHECKED:
        _FUNCTIONS.append(function)
        return len(_FUNCTIONS) - 1
    return int(_c_function(signature, function).address)


INTS, FLOATS = (types.CPointer(type_) for type_ in (types.int64, types.float64))  # type: ignore[no-untyped-call]
"""Arrays as their addresses: indexed alike, at the cost of neither bounds nor counted references. Who has the array
keeps it."""


def address_of(array: npt.NDArray[Any]) -> int:
    """What compiled code takes in place of the array, from Python: a whole number is handed over sooner."""
    if CHECKED:
        _know(array)
    return int(array.ctypes.data)


_ARRAYS: dict[int, tuple[Any, int, int]] = {}


def owner_of(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array that has the memory of this one, which may be a part of it."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _know(array: npt.NDArray[Any]) -> None:
    owner, address = owner_of(array), int(array.ctypes.data)
    _ARRAYS[address] = weakref.ref(owner), address - int(owner.ctypes.data), array.nbytes


def _array_at(address: int, dtype: Any) -> Any:
    """The array whose address was asked for, where rules run as plain Python; None at 0."""
    if address == 0:
        return None
    owner, offset, n_bytes = _ARRAYS[address]
    array = owner()
    if array is None:
        raise ReferenceError("the array at this address is gone")
    return array.reshape(-1).view(np.uint8)[offset : offset + n_bytes].view(dtype)


def array_at(address: int) -> Any:
    """The array of int64 at an address, where rules run as plain Python; None at 0."""
    return _array_at(address, np.int64)


def lowered(function: Callable[..., Any], plain: Callable[..., Any] | None = None) -> Any:
    """What compiled code can call, from what says how it is typed and lowered. Numba's types do not know it as such.

    ``plain`` stands in for it where rules run as plain Python.
    """
    return plain if CHECKED else intrinsic(function)


def _from_address(pointer: Any, dtype: Any) -> Any:
    def at(typing: Any, address: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return pointer(address), lower

    return lowered(at, lambda address: _array_at(address, dtype))


ints_at, floats_at = _from_address(INTS, np.int64), _from_address(FLOATS, np.float64)
"""The array whose address this is, in compiled code."""


def _matrix(of: Any, dtype: Any) -> Any:
    if CHECKED:
        return lambda address, n, m: _array_at(address, dtype)[: n * m].reshape(n, m)
    numbers_at = _from_address(types.CPointer(of), dtype)  # type: ignore[no-untyped-call]

    @internal
    def at(address: int, n: int, m: int) -> Any:
        return numba.carray(numbers_at(address), (n, m))  # type: ignore[attr-defined]

    return at


ints_matrix, floats_matrix, singles_matrix = (
    _matrix(*of) for of in ((types.int64, np.int64), (types.float64, np.float64), (types.float32, np.float32))
)
"""The numbers (n, m) that lie at an address, in compiled code: an array that has bounds and can be handed on."""


def _soon(typing: Any, array: Any, index: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        words = builder.bitcast(arguments[0], context.get_value_type(INTS))
        at = builder.bitcast(builder.gep(words, [arguments[1]]), byte)
        prefetch = builder.module.declare_intrinsic(
            "llvm.prefetch", (byte,), ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        )
        builder.call(prefetch, [at, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.none(array, types.int64), lower


soon = lowered(_soon, lambda array, index: None)
"""Have the processor fetch what lies at a place of an array (by address), or of the memory of a record that is the
first there: nothing else happens."""


def _swapped(typing: Any, number: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bswap(arguments[0])

    return types.int64(types.uint64), lower


swapped = lowered(_swapped)
"""The bytes of a uint64 in the other order, in compiled code."""


def lower_call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Call the C function at the address that is the first argument, with the others; for intrinsics."""
    of_function = [context.get_value_type(type_) for type_ in signature.args[1:]]
    is_void = signature.return_type == types.none
    result = ir.VoidType() if is_void else context.get_value_type(signature.return_type)
    function = builder.inttoptr(arguments[0], ir.FunctionType(result, of_function).as_pointer())
    found = builder.call(function, arguments[1:])
    return context.get_dummy_value() if is_void else found


def call(address: int, *arguments: Any) -> Any:
    """The same where rules run as plain Python; ``address`` is from ``c_address``."""
    return _FUNCTIONS[address](*arguments)
