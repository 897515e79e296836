"""The device that a config names. No torch in sight: whether it is there is ``policies.models.device``'s to say."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

_CUDA = re.compile(r"cuda(:(0|[1-9][0-9]*))?|(GPU|MIG)-[0-9A-Fa-f][0-9A-Fa-f/-]*")
WHERE = "auto, cpu, cuda, cuda:1 for one of several, or the UUID of a GPU or a MIG instance as nvidia-smi -L shows it"


def is_cuda(where: str) -> bool:
    """Whether a device that is named is one of CUDA's, there or not."""
    return _CUDA.fullmatch(where) is not None


def check_where(where: str) -> str:
    """The same. Raises ValueError if it names no device."""
    if where not in ("auto", "cpu") and not is_cuda(where):
        raise ValueError(f"names no device; expected {WHERE}")
    return where


Where = Annotated[str, AfterValidator(check_where), Field(examples=["auto", "cpu", "cuda", "cuda:1"])]
