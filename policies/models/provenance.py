"""What a network ran on and how torch was set up: facts that are told beside results, and shape none of them."""

import os
from typing import Any

import torch

from policies.models.device import uuid_of

_WORKSPACES = ("CUBLAS_WORKSPACE_CONFIG", "CUBLASLT_WORKSPACE_SIZE")


def of_device(place: torch.device) -> dict[str, Any]:
    """Of a device, None where torch cannot tell."""
    found: dict[str, Any] = {
        "torch": str(torch.__version__),
        "tf32_matmul": bool(torch.backends.cuda.matmul.allow_tf32),
        "tf32_cudnn": bool(torch.backends.cudnn.allow_tf32),
        **{name.lower(): os.environ.get(name) for name in _WORKSPACES},
    }
    if place.type != "cuda":
        return found
    properties = torch.cuda.get_device_properties(place)
    return found | {
        "gpu": torch.cuda.get_device_name(place),
        "gpu_uuid": uuid_of(place.index or 0),
        "gpu_capability": f"{properties.major}.{properties.minor}",
        "gpu_memory_bytes": int(properties.total_memory),
        "pci": _address(properties),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }


def _address(properties: Any) -> str | None:
    """On the PCI bus, as Linux writes it."""
    parts = [getattr(properties, name, None) for name in ("pci_domain_id", "pci_bus_id", "pci_device_id")]
    if any(part is None for part in parts):
        return None
    domain, bus, slot = (int(str(part)) for part in parts)
    return f"{domain:04x}:{bus:02x}:{slot:02x}.0"
