"""Hooks on embedding tables: which rows a forward pass has looked up."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tierfetch.record.rows import Call
from tierfetch.record.sizes import row_bytes
from tierfetch.record.spaces import Space, Spaces
from tierfetch.record.taking import take

Put = Callable[[Call], None]
Hook = Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Any], None]


class Tables:
    """The tables of all models that were named. Two modules that share their weights are one table."""

    def __init__(self, spaces: Spaces) -> None:
        self._spaces = spaces
        # With the weights themselves: were they let go, others could get their number.
        self._of_weight: dict[int, tuple[Tensor, Space]] = {}

    def of(self, name: str, weight: Tensor, n_rows: int) -> Space:
        """The space of a table's weights."""
        if id(weight) not in self._of_weight:
            space = self._spaces.add(name, "embedding", row_bytes(name, weight, n_rows), n_rows)
            self._of_weight[id(weight)] = weight, space
        return self._of_weight[id(weight)][1]


def named_embeddings(model: nn.Module) -> dict[str, nn.Embedding | nn.EmbeddingBag]:
    """Those in a model, by what it calls them. Raises ValueError if there are none."""
    found = {
        name_of(name, module): module
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag)
    }
    if not found:
        raise ValueError(
            f"{type(model).__name__} has no nn.Embedding and no nn.EmbeddingBag; expected one, or "
            "Recorder(..., functional=True) for look-ups by F.embedding and F.embedding_bag"
        )
    return found


def name_of(name: str, module: nn.Module) -> str:
    """What a model calls a module, without what compiling puts before it; itself by its class."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod") or type(module).__name__


def hook_of(module: nn.Embedding | nn.EmbeddingBag, space: Space, put: Put) -> Hook:
    """What is to be called after each of a module's forward passes."""

    def looked_up(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        put(rows_of(space, _ids_in(space, args, kwargs)))

    def bags(given: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        ids, offsets = _ids_in(space, args, kwargs), _given(args, kwargs, 1, "offsets")
        ends, padding = bool(given.include_last_offset), given.padding_idx
        put(bags_of(space, ids, offsets, ends, padding))  # type: ignore[arg-type]

    return bags if isinstance(module, nn.EmbeddingBag) else looked_up


def _given(args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)


def _ids_in(space: Space, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    found = _given(args, kwargs, 0, "input")
    if not isinstance(found, Tensor):
        # Of a class that is derived from PyTorch's, whose forward takes something else.
        raise TypeError(
            f"{space.kind} {space.name!r}: was called with {type(found).__name__}; expected a tensor of ids as the "
            "first argument, or as input="
        )
    return found


def rows_of(space: Space, ids: Tensor) -> Call:
    """Rows, one a token."""
    return Call(space, take(ids), ids.numel())


def bags_of(space: Space, ids: Tensor, offsets: Tensor | None, last_ends: bool, padding: int | None) -> Call:
    """Rows by bag: each row of two dimensions is one, or they begin at offsets. What is padding is not read."""
    if offsets is None or ids.dim() == 2:
        per_bag = ids.shape[-1] if ids.dim() == 2 else ids.numel()
        return Call(space, take(ids), ids.numel(), per_token=max(per_bag, 1), padding=padding)
    return Call(space, take(ids), ids.numel(), offsets=take(offsets), last_ends=last_ends, padding=padding)


def hooked(module: nn.Module, hook: Hook) -> Any:
    """Hook a module; gives what removes it. Compiled code calls it, too, as it is: it is not traced."""
    untraced = torch.compiler.disable(hook)  # type: ignore[no-untyped-call]
    return module.register_forward_hook(untraced, with_kwargs=True)


def forget_compiled() -> None:
    """Have all that is compiled be compiled again when it is next called.

    Compiled code does not look whether modules have got hooks since, or lost them.
    """
    torch.compiler.reset()
