"""Where a network runs, and how torch is set up for it: first to be imported by what computes."""

import os

import torch

from simulator.errors import InputError

# Before CUDA starts: cuBLAS then sums in the same order each time. cuBLASLt takes its workspace from that one, here
# 128 KiB, and torch warns where it would ask for more.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":16:8")
os.environ.setdefault("CUBLASLT_WORKSPACE_SIZE", "128")
# Products of three digits would not be those of the other backends.
torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False


def pick_device(wanted: str) -> torch.device:
    """The device for ``auto``, ``cuda`` or ``cpu``.

    Raises:
        InputError: it is none of them, or ``cuda`` was asked for and there is none.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise InputError(f"device: {wanted!r}; expected auto, cpu or cuda")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "policy.device: 'cuda', but torch finds no CUDA device here; expected one, or device: cpu or auto"
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def device_name(kind: str) -> str:
    """What the tables call a device, ``cpu`` or ``cuda``: the kind, and of a GPU the model."""
    return f"cuda: {torch.cuda.get_device_name()}" if kind == "cuda" else "cpu"
