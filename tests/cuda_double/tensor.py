"""A tensor on a device of the double."""

from typing import Any

import torch
from torch import Tensor


class Dev(Tensor):
    """``elem`` is its memory, on the CPU. To torch's core it lies on "meta": autograd asks for nothing there.

    A build without CUDA has no guard for devices of CUDA's kind, which it would ask for.
    """

    elem: Tensor
    index: int

    @staticmethod
    def __new__(cls, elem: Tensor, index: int, requires_grad: bool = False) -> "Dev":
        with torch.inference_mode(False):
            made: Dev = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
                cls, elem.size(), strides=elem.stride(), storage_offset=elem.storage_offset(), dtype=elem.dtype,
                device=torch.device("meta", index), requires_grad=requires_grad,
            )  # fmt: skip
        made.elem, made.index = elem, index
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """As code sees it."""
        return torch.device("cuda", self.index)

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        """It is."""
        return True

    def untyped_storage(self) -> Any:
        """The memory itself: views share it."""
        return self.elem.untyped_storage()

    def numpy(self, *_: Any, **__: Any) -> Any:
        """The host has no pointer to it."""
        raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() first.")

    def __repr__(self, *_: Any, **__: Any) -> str:
        return f"Dev({tuple(self.shape)}, {self.device})"

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self.detach().clone().requires_grad_(self.requires_grad)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"the double is off, but {func} met a tensor of it")


def raw(value: Any) -> Any:
    """Its memory, in lists and the like of every one; anything else as it is."""
    if isinstance(value, Dev):
        return value.elem
    if type(value) in (list, tuple):
        return type(value)([raw(part) for part in value])
    return {name: raw(part) for name, part in value.items()} if type(value) is dict else value


def leaves(value: Any) -> list[Any]:
    """All that lies in lists and the like."""
    if type(value) in (list, tuple):
        return [leaf for part in value for leaf in leaves(part)]
    return [leaf for part in value.values() for leaf in leaves(part)] if type(value) is dict else [value]


def dev(value: Any, index: int) -> Any:
    """Tensors as those of a device, in lists and the like of every one."""
    if isinstance(value, Tensor):
        return Dev(value, index)
    return type(value)([dev(part, index) for part in value]) if type(value) in (list, tuple) else value
