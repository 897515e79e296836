"""Hooks on routers: which experts a layer's tokens are sent to."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tierfetch.record.marks import checked
from tierfetch.record.modules import Hook, Put
from tierfetch.record.rows import Call
from tierfetch.record.sizes import module_bytes
from tierfetch.record.spaces import Space
from tierfetch.record.taking import take

Select = Callable[[Any], Any]


def check_choice(top_k: int | None, output: int | None, select: Select | None) -> None:
    """How experts are chosen. Raises TypeError or ValueError if that is not said, or said twice."""
    if (top_k is None) == (select is None):
        raise ValueError(f"top_k={top_k!r}, select={select!r}; expected one of the two")
    if top_k is not None and checked("top_k", top_k) == 0:
        raise ValueError("top_k=0; expected 1 or more")
    if select is not None and not callable(select):
        raise TypeError(f"select={select!r}; expected a function from what the router gives to the ids of experts")
    if output is not None and select is not None:
        raise ValueError(f"output={output!r}; expected it with top_k alone: select is given all that the router gives")
    if output is not None and (isinstance(output, bool) or not isinstance(output, int)):
        raise TypeError(f"output={output!r}; expected a whole number, which of the router's outputs the scores are")


def size_of(n_bytes: int | None, expert: nn.Module | None) -> int:
    """Of an expert, said or that of one of them. Raises TypeError or ValueError if it is neither or both."""
    if (n_bytes is None) == (expert is None):
        raise ValueError("expected bytes=, the size of an expert, or expert=, one of them, and not both")
    return module_bytes(expert) if n_bytes is None else checked("bytes", n_bytes)


def hook_of(
    space: Space, top_k: int | None, output: int | None, select: Select | None, distinct: bool, put: Put
) -> Hook:
    """What is to be called after each of a router's forward passes."""

    def routed(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], found: Any) -> None:
        if select is not None:
            ids = _selected(space, select(found))
        else:
            assert top_k is not None
            scores = scores_in(space, found, output)
            if scores.dim() == 0 or scores.shape[-1] < top_k:
                shape = list(scores.shape)
                raise ValueError(f"{space.name}: scores of shape {shape}; expected {top_k} experts or more (top_k)")
            # As the model itself, of the same numbers: ties fall alike.
            ids = scores.detach().topk(top_k, dim=-1).indices
        per_token = ids.shape[-1] if ids.dim() > 1 or select is None else 1
        put(Call(space, take(ids), ids.numel(), per_token=max(per_token, 1), distinct=distinct))

    return routed


def scores_in(space: Space, found: Any, output: int | None) -> Tensor:
    """The scores in what a router gave. Raises ValueError if that cannot be told."""
    if output is not None:
        if not isinstance(found, Sequence) or not -len(found) <= output < len(found):
            raise ValueError(f"{space.name}: the router gives {_said(found)}; expected more outputs (output={output})")
        found = found[output]
    if isinstance(found, Tensor):
        if found.dtype.is_floating_point:
            return found
    elif isinstance(found, tuple | list):
        scores = [part for part in found if isinstance(part, Tensor) and part.dtype.is_floating_point]
        if len(scores) == 1:
            return scores[0]
    raise ValueError(
        f"{space.name}: the router gives {_said(found)}; expected one tensor of scores, or output=, which of them is, "
        "or select=, a function from what it gives to the experts"
    )


def _said(found: Any) -> str:
    if isinstance(found, Tensor):
        return f"{str(found.dtype).removeprefix('torch.')}{list(found.shape)}"
    if isinstance(found, tuple | list):
        return f"{type(found).__name__} of {', '.join(map(_said, found)) or 'nothing'}"
    return type(found).__name__


def _selected(space: Space, ids: Any) -> Tensor:
    try:
        found = torch.as_tensor(ids)
    except (TypeError, ValueError, RuntimeError) as error:
        said = f"{space.name}: select gave {type(ids).__name__} ({error}); expected the ids of experts"
        raise TypeError(said) from None
    if found.dtype.is_floating_point or found.dtype.is_complex or found.dtype == torch.bool:
        raise TypeError(f"{space.name}: select gave ids of {found.dtype}; expected whole numbers")
    return found
