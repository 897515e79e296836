"""Records as Numba's compiler sees them: types, how values of them look, how their fields are read."""

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.core.imputils import lower_builtin, lower_getattr_generic, lower_setattr_generic
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

    def __init__(self, name: str, dtype: "np.dtype[Any]", nested: Mapping[str, "RecordType"], memory: str) -> None:
        """``nested``: types of the fields that are records, or several of them. ``memory`` as in ``MEMORIES``."""
        self._short = name
        self.memory = memory
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

MEMORIES = ("own", "shared", "constant")
"""Who writes a record's words: ``own``, nobody but by a field of the same name; ``shared``, others too, by other names;
``constant``, no compiled code."""


def _tell_apart(builder: Any, access: Any, record: RecordType, field: str) -> None:
    """Tell LLVM that what is written to a field changes none of another name: what was read of it need not be again.

    By names alone: those that classes inherit, or have as parts, are the same wherever they are read.
    """
    if record.memory == "shared":
        return
    module, word = builder.module, ir.IntType(64)
    root = module.add_metadata(["fields"])
    type_ = module.add_metadata([field, root, word(0)])
    is_constant = [word(1)] if record.memory == "constant" else []
    access.set_metadata("tbaa", module.add_metadata([type_, type_, word(0), *is_constant]))


@lower_getattr_generic(RecordType)
def _get_field(context: Any, builder: Any, record: RecordType, value: Any, field: str) -> Any:
    type_ = record.typeof(field)
    place = cgutils.get_record_member(builder, value, record.offset(field), context.get_data_type(type_))
    if type_ != types.int64:
        return context.unpack_value(builder, type_, place)
    found = builder.load(place)
    _tell_apart(builder, found, record, field)
    return found


@lower_setattr_generic(RecordType)
def _set_field(context: Any, builder: Any, sig: Any, args: Any, field: str) -> None:
    record, given = sig.args
    place = cgutils.get_record_member(builder, args[0], record.offset(field), context.get_data_type(types.int64))
    written = builder.store(context.cast(builder, args[1], given, types.int64), place)
    _tell_apart(builder, written, record, field)
