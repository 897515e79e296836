"""Clocks that compiled code reads: ``clock_gettime`` of the C library, without Python.

On Linux WALL is what ``time.perf_counter_ns`` reads: monotonic, of a resolution of 1 ns, some 25 ns a reading (it needs
no system call). CPU is what this thread has had of a processor: what other processes took in between is not in it. That
takes a system call, a few hundred ns. Where a system lacks them (Windows), ``HAS_CLOCKS`` is False, and both say 0.
"""

import time
from typing import Any

from llvmlite import ir
from numba import types

from simulator.compiled import lowered

WALL, CPU = (int(getattr(time, name, -1)) for name in ("CLOCK_MONOTONIC", "CLOCK_THREAD_CPUTIME_ID"))
HAS_CLOCKS = WALL >= 0 and CPU >= 0
_S = 10**9


def _now(typing: Any, clock: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, int_ = ir.IntType(64), ir.IntType(32)
        if not HAS_CLOCKS:
            return word(0)
        # struct timespec: seconds and nanoseconds, of 64 bits each on every 64-bit system.
        timespec = builder.alloca(ir.ArrayType(word, 2))
        function = ir.FunctionType(int_, [int_, word.as_pointer()])
        read = builder.module.globals.get("clock_gettime")
        if read is None:
            read = ir.Function(builder.module, function, "clock_gettime")
        first = builder.bitcast(timespec, word.as_pointer())
        builder.call(read, [builder.trunc(arguments[0], int_), first])
        seconds, rest = builder.load(first), builder.load(builder.gep(first, [word(1)]))
        return builder.add(builder.mul(seconds, word(_S)), rest)

    return types.int64(types.int64), lower


now_ns: Any = lowered(_now, lambda clock: time.clock_gettime_ns(int(clock)) if HAS_CLOCKS else 0)
"""What a clock (WALL, CPU) says, in ns."""
