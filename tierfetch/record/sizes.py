"""How many bytes weights take as they are stored: quantised ones what their packed parts take."""

from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass


def stored_bytes(tensor: Tensor) -> int:
    """Of a tensor; of one made of others, such as torchao's quantised ones, of all of these."""
    if is_traceable_wrapper_subclass(tensor):
        parts, _ = tensor.__tensor_flatten__()
        return sum(stored_bytes(getattr(tensor, name)) for name in parts)
    return tensor.numel() * tensor.element_size()


def row_bytes(name: str, weight: Tensor, n_rows: int) -> int:
    """Of a table's row. Raises ValueError if it has no rows, or they have no size."""
    if n_rows < 1 or stored_bytes(weight) < n_rows:
        raise ValueError(f"embedding {name!r}: weights of shape {list(weight.shape)}; expected rows of a byte and more")
    return -(-stored_bytes(weight) // n_rows)


def module_bytes(module: Any) -> int:
    """Of all parameters and buffers of a module, each counted once."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"expert={module!r}; expected a torch.nn.Module, one of the experts")
    tensors = {id(tensor): tensor for tensor in [*module.parameters(), *module.buffers()]}
    found = sum(map(stored_bytes, tensors.values()))
    if found == 0:
        raise ValueError(f"expert={type(module).__name__}(...): has no weights; expected bytes=, the size of an expert")
    return found
