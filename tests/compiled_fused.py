"""The fused kernel compiled for GPUs that need not be there: ``python -m tests.compiled_fused [80 90 100]``.

A line of JSON for each GPU and network: registers a thread, bytes of its stack, where what is spilled goes, and of its
local memory, bytes of shared memory a block, and warps. The larger network takes longer: it is compiled for 90 alone.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from policies.lstm.backends.fused_layout import constants
from policies.lstm.model import Weights

_TYPES = {"orders_ptr": "*i64", "kept_ptr": "*i64", "classes_ptr": "*i32"}
_USAGE = re.compile(r"(REG|STACK|LOCAL):(\d+)")


def shaped(layers: int, hidden: int, widths: tuple[int, ...]) -> Weights:
    """A network of a size; its weights are no part of the machine code."""
    rows = np.zeros((4 * hidden, hidden), np.float32)
    n = sum(widths)
    return Weights(
        (np.zeros((1, 1), np.float32),) * len(widths), (rows,) * layers, (rows,) * layers, (rows[:, 0],) * layers,
        np.broadcast_to(np.float32(0), (n, hidden)), np.broadcast_to(np.float32(0), n), widths,
    )  # fmt: skip


SMALL, LARGE = shaped(2, 64, (1000,)), shaped(1, 200, (2**16, 64))


def usage(weights: Weights, capability: int) -> dict[str, int]:
    """What the kernel takes of a GPU."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from policies.lstm.backends.fused_kernel import answer

    sizes, warps = constants(weights)
    pointers = [name for name in answer.arg_names if name not in sizes]
    signature = {name: _TYPES.get(name, "*fp32") for name in pointers} | dict.fromkeys(sizes, "constexpr")
    # As memory from torch's allocators is.
    aligned: Any = {(i,): [["tt.divisibility", 16]] for i in range(len(pointers))}
    source = ASTSource(fn=answer, signature=signature, constexprs=sizes, attrs=aligned)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        said = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    # What is asked for at launch is no part of the machine code.
    return {
        **{name.lower(): int(n) for name, n in _USAGE.findall(said)},
        "shared": made.metadata.shared,
        "warps": warps,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TRITON_CACHE_DIR"] = cache
        for capability in [int(text) for text in sys.argv[1:]] or [80, 90, 100]:
            networks = {"2 x 64": SMALL} | ({"1 x 200, two fields": LARGE} if capability == 90 else {})
            for name, weights in networks.items():
                row = {"capability": capability, "network": name, **usage(weights, capability)}
                sys.stdout.write(json.dumps(row) + "\n")
