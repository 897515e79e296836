"""Look-ups by function, wherever they are made: ``F.embedding``, ``F.embedding_bag``, and modules that call them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tierfetch.record.modules import Put, Tables, bags_of, name_of, rows_of
from tierfetch.record.rows import Call
from tierfetch.record.sizes import stored_bytes
from tierfetch.record.spaces import Space

_ATEN = torch.ops.aten
_LOOKED_UP = (_ATEN.embedding.default,)
_BAGS = (_ATEN._embedding_bag.default, _ATEN._embedding_bag_forward_only.default)


class Lookups(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation of the thread that entered it, compiled models' too, which are not run compiled inside.

    A table is told by where its weights lie, in a parameter or buffer of a model that was named; a look-up in a part
    of one, such as a table of a stack of them, is one in its rows.
    """

    def __init__(self, tables: Tables, put: Put) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tables, self._put = tables, put
        self._models: list[tuple[str, nn.Module]] = []
        self._found: dict[tuple[Any, ...], tuple[Tensor, Space, int]] = {}
        self.n_unknown = 0
        """Look-ups in weights of no model that was named."""

    def add(self, name: str, model: nn.Module) -> None:
        """A model whose weights are tables where they are looked up in."""
        self._models.append((name, model))
        self._found.clear()

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in _LOOKED_UP or func in _BAGS:
            place = self._place(args[0])
            if place is None:
                self.n_unknown += 1
            elif func in _LOOKED_UP:
                self._put(_moved(rows_of(place[0], args[1]), place[1]))
            else:
                named = dict(zip([argument.name for argument in func._schema.arguments], args, strict=False))
                named.update(kwargs or {})
                padding = named.get("padding_idx", -1)
                call = bags_of(
                    place[0],
                    args[1],
                    args[2],
                    named.get("include_last_offset", False),
                    padding if padding >= 0 else None,
                )
                self._put(_moved(call, place[1]))
        return out

    def _place(self, weight: Tensor) -> tuple[Space, int] | None:
        """The table that weights are of, and the row in it that their first is."""
        at = (weight.device, weight.data_ptr(), weight.stride(0), weight.dtype)
        known = self._found.get(at)
        if known is None or not _holds(known[0], weight):
            # A model may have been moved, so that its weights, or those of others, lie there now.
            known = self._search(weight)
            if known is None:
                return None
            self._found[at] = known
        return known[1], known[2]

    def _search(self, weight: Tensor) -> tuple[Tensor, Space, int] | None:
        row = weight.stride(0) * weight.element_size()
        for prefix, model in self._models:
            for name, table in [*model.named_parameters(), *model.named_buffers()]:
                if table.dim() < 2 or not table.is_contiguous() or not _holds(table, weight):
                    continue
                n_before, rest = divmod(weight.data_ptr() - table.data_ptr(), max(row, 1))
                if rest == 0 and row == table.shape[-1] * table.element_size():
                    called = name_of(name.removesuffix(".weight"), model)
                    return table, self._tables.of(prefix + called, table, table.numel() // table.shape[-1]), n_before
        return None


def _holds(table: Tensor, weight: Tensor) -> bool:
    """Whether weights begin within a table, as it lies now."""
    first = table.data_ptr()
    return table.device == weight.device and first <= weight.data_ptr() < first + stored_bytes(table)


def _moved(call: Call, n_rows: int) -> Call:
    call.first = n_rows
    return call
