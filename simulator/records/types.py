"""Records as Numba's compiler sees them: types, how values of them look, how their fields are read."""

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import models, register_model


class Items(types.Type):
    """Several words or records among the fields of a record: indexed like an array by address, without looking."""

    def __init__(self, item: Any, words: int, n: int) -> None:
        """``item`` is their type, ``words`` the size of one, ``n`` how many there are."""
        self.item, self.words, self.n = item, words, n
        super().__init__(f"Items({item!r}, {n})")


@register_model(Items)
class _ItemsModel(models.DataModel):
    """A value is the address of the first one; in memory, all of them lie there."""

    def __init__(self, dmm: Any, fe_type: Items) -> None:
        super().__init__(dmm, fe_type)
        self._in_memory = ir.ArrayType(ir.IntType(64), fe_type.words * fe_type.n)

    def get_value_type(self) -> Any:
        return self._in_memory.as_pointer()

    def get_data_type(self) -> Any:
        return self._in_memory

    def load_from_data_pointer(self, builder: Any, ptr: Any, align: int | None = None) -> Any:
        return builder.bitcast(ptr, self.get_value_type())


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], Items) and isinstance(args[1], types.Integer):
            return signature(args[0].item, args[0], types.intp)
        return None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], Items) and isinstance(args[1], types.Integer):
            return signature(types.none, args[0], types.intp, args[0].item)
        return None


def _place(context: Any, builder: Any, items: Items, first: Any, index: Any) -> Any:
    words = builder.bitcast(first, context.get_value_type(types.CPointer(types.int64)))
    return builder.gep(words, [builder.mul(index, index.type(items.words))])


@lower_builtin(operator.getitem, Items, types.Integer)
def _get_item(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    items = sig.args[0]
    place = _place(context, builder, items, *args)
    if items.item == types.int64:
        return builder.load(place)
    return builder.bitcast(place, context.get_value_type(items.item))


@lower_builtin(operator.setitem, Items, types.Integer, types.Any)
def _set_item(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    builder.store(args[2], _place(context, builder, sig.args[0], args[0], args[1]))
    return context.get_dummy_value()


class RecordType(types.Record):
    """A record. Numba spells types out at every turn: here by a short name."""

    def __init__(self, name: str, dtype: "np.dtype[Any]", nested: Mapping[str, "RecordType"]) -> None:
        """``nested`` are the types of the fields that are records, or several of them."""
        self._short = name
        plain: Any = from_dtype(dtype)
        fields: Any = []
        for field, found in plain.fields.items():
            type_ = found.type
            if isinstance(type_, types.NestedArray):
                item: Any = nested.get(field, types.int64)
                type_ = Items(item, item.size // 8 if field in nested else 1, type_.shape[0])
            elif field in nested:
                type_ = nested[field]
            fields.append((field, {"type": type_, "offset": found.offset}))
        self._dtype = dtype
        super().__init__(fields, plain.size, plain.aligned)

    @property
    def dtype(self) -> Any:
        """What NumPy calls it."""
        return self._dtype

    def __repr__(self) -> str:
        return self._short


register_model(RecordType)(models.RecordModel)
