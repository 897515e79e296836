"""Where a network runs, and how torch is set up for it: first to be imported by what computes."""

import os

import torch

from policies.models.where import WHERE, is_cuda
from simulator.errors import InputError

# Before CUDA starts: cuBLAS then sums in the same order each time. cuBLASLt takes its workspace from that one, here
# 128 KiB, and torch warns where it would ask for more.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")
os.environ.setdefault("CUBLASLT_WORKSPACE_SIZE", "128")
# Products of three digits would not be those of the other backends.
torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False


def pick_device(wanted: str) -> torch.device:
    """The device that is named, with its index where it is CUDA's; ``auto``: CUDA's current one, else the CPU.

    Raises:
        InputError: it names no device, or one that is not there.
    """
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if wanted != "auto" and not is_cuda(wanted):
        raise InputError(f"device: {wanted!r}; expected {WHERE}")
    if not torch.cuda.is_available():
        raise InputError(
            f"device: {wanted!r}, but torch finds no CUDA device here; expected one, or device: cpu or auto"
        )
    if wanted in ("auto", "cuda"):
        return torch.device("cuda", torch.cuda.current_device())
    there = range(torch.cuda.device_count())
    if wanted.startswith("cuda:"):
        found = [index for index in there if index == int(wanted.removeprefix("cuda:"))]
    else:
        # As in CUDA_VISIBLE_DEVICES, the beginning will do if no other device has the same.
        found = [index for index in there if uuid_of(index).startswith(wanted.split("-", 1)[1].lower())]
    if len(found) != 1:
        known = ", ".join(f"cuda:{i} ({torch.cuda.get_device_name(i)}, UUID {uuid_of(i)})" for i in there)
        raise InputError(f"device: {wanted!r} is {'none' if not found else 'several'} of {known}; expected one")
    return torch.device("cuda", found[0])


def uuid_of(index: int) -> str:
    """The UUID of a CUDA device, of a MIG instance its own, without ``GPU-`` or ``MIG-`` before it."""
    return str(torch.cuda.get_device_properties(index).uuid).lower()


def on_cuda(device: torch.device | None) -> torch.device:
    """A CUDA device with its index: the one that is given, else the current one."""
    if device is not None and device.index is not None:
        return device
    return torch.device("cuda", torch.cuda.current_device())


def device_name(device: torch.device) -> str:
    """What the tables call a device: its kind, of a GPU the model (of a MIG instance its profile), of several which."""
    if device.type == "cpu":
        return "cpu"
    of_several = f":{device.index}" if torch.cuda.device_count() > 1 else ""
    return f"cuda{of_several}: {torch.cuda.get_device_name(device)}"
