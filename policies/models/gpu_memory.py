"""What a process occupies on a GPU, as PyTorch's allocator and as the driver see it: beside what a network keeps there.

The driver's figure has the CUDA context and its libraries in it, which PyTorch does not know of, and is at hand with
the extra ``tierfetch[cuda]`` alone.
"""

import os

import torch

from policies.models.device import uuid_of


def gpu_memory(device: torch.device) -> dict[str, int | None]:
    """Columns of the ``runs`` table; null on a CPU, and where the driver does not say."""
    if device.type == "cpu":
        return {"gpu_reserved_bytes": None, "gpu_process_bytes": None}
    reserved = int(torch.cuda.memory_reserved(device))
    return {"gpu_reserved_bytes": reserved, "gpu_process_bytes": _of_process(device)}


def _of_process(device: torch.device) -> int | None:
    """By NVML; None where that is not installed, or knows this process by no such number (as in containers)."""
    try:
        import pynvml
    except ImportError:
        return None
    kind = "MIG" if "MIG " in torch.cuda.get_device_name(device) else "GPU"
    try:
        pynvml.nvmlInit()
        try:
            handle = pynvml.nvmlDeviceGetHandleByUUID(f"{kind}-{uuid_of(device.index)}")
            running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None
    mine = [process.usedGpuMemory for process in running if process.pid == os.getpid()]
    return sum(mine) if mine and None not in mine else None
