"""``when`` of a sweep: which of its combinations count, as an expression over its keys.

``system.tiers.hbm.capacity <= '4 GiB' and arms.lstm.policy.degree in [1, 8]``: keys by their paths, numbers, text and
quantities, which are compared by what they amount to. Nothing else is evaluated.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from experiments.sweeping.axes import amount_of, number_of

_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.In: lambda one, many: one in many, ast.NotIn: lambda one, many: one not in many,
}  # fmt: skip
_COMBINED: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_LONGEST, _DEEPEST = 2000, 100
_TOO_DEEP = f"is nested too deeply; expected parts in parts up to {_DEEPEST} deep"


class Condition:
    """An expression that holds for a combination of values, or does not."""

    def __init__(self, text: str, keys: set[str]) -> None:
        """Raises ValueError if it is none over these keys."""
        self._text = text
        if len(text) > _LONGEST:
            raise ValueError(f"has {len(text):,} characters; expected at most {_LONGEST:,}")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError(f"{text!r} is no condition; expected such as a.b <= 4 and c.d == '1 GiB'") from None
        try:
            self._check(self._tree, keys)
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None

    def _check(self, node: ast.expr, keys: set[str], depth: int = 0) -> None:
        # Python's own limit is another one from process to process.
        if depth > _DEEPEST:
            raise ValueError(_TOO_DEEP)
        if isinstance(node, ast.Attribute | ast.Name):
            if (key := _dotted(node)) not in keys:
                raise ValueError(f"{key!r} is not swept; expected one of {', '.join(sorted(keys))}")
            return
        parts: list[ast.expr]
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None):
                parts = []
            case ast.BoolOp(values=values):
                parts = values
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                parts = [operand]
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARED for op in ops):
                parts = [left, *others]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _COMBINED:
                parts = [left, right]
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                pass
            case _:
                raise ValueError(
                    f"{ast.unparse(node)!r} is not understood; expected keys, values, comparisons, and, or, not, "
                    "+ - * /"
                )
        for part in parts:
            self._check(part, keys, depth + 1)

    def holds(self, point: Mapping[str, Any]) -> bool:
        """Whether it does for these values by key. Raises ValueError where they cannot be compared."""
        try:
            return bool(_value(self._tree, point))
        except (TypeError, ArithmeticError, RecursionError) as error:
            said = ", ".join(f"{key} {value!r}" for key, value in point.items())
            raise ValueError(f"{self._text!r} cannot be told for {said}: {error}") from None


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ast.unparse(node)


def _check_units(nodes: list[ast.expr], point: Mapping[str, Any]) -> None:
    """Quantities that are compared are of one kind. Raises TypeError if bytes would be compared with a time."""
    found: dict[str, Any] = {}
    for node in nodes:
        for part in node.elts if isinstance(node, ast.List | ast.Tuple) else [node]:
            if isinstance(part, ast.Constant | ast.Attribute | ast.Name):
                value = part.value if isinstance(part, ast.Constant) else point[_dotted(part)]
                if unit := amount_of(value)[1]:
                    found.setdefault(unit, value)
    if len(found) > 1:
        one, other, *_ = found.values()
        raise TypeError(f"{one!r} and {other!r} are of different kinds")


def _value(node: ast.expr, point: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return number_of(value)
        case ast.BoolOp(op=op, values=values):
            of_all = (_value(value, point) for value in values)
            return all(of_all) if isinstance(op, ast.And) else any(of_all)
        case ast.UnaryOp(op=op, operand=operand):
            value = _value(operand, point)
            return not value if isinstance(op, ast.Not) else -value
        case ast.Compare(left=left, ops=ops, comparators=others):
            _check_units([left, *others], point)
            values = [_value(part, point) for part in (left, *others)]
            pairs = zip(ops, values, values[1:], strict=False)
            return all(_COMPARED[type(op)](one, other) for op, one, other in pairs)
        case ast.BinOp(left=left, op=op, right=right):
            for part in (one := _value(left, point), other := _value(right, point)):
                # Python multiplies text and lists, too, as long as there is memory.
                if isinstance(part, bool) or not isinstance(part, int | float):
                    raise TypeError(f"{part!r} is no number")
            return _COMBINED[type(op)](one, other)
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_value(part, point) for part in parts]
    return number_of(point[_dotted(node)])
