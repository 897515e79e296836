"""What each setting means: the line that stands below it in its class.

Read from the source when somebody asks. Pydantic can do that as it makes a class (``use_attribute_docstrings``), but
then every start of every command pays for it, some 0.3 s.
"""

import ast
import inspect
import sys
from functools import cache
from itertools import pairwise

from pydantic import BaseModel


@cache
def descriptions(settings: type[BaseModel]) -> dict[str, str]:
    """By the name of a field: what it means. Of fields that say nothing there is nothing."""
    found: dict[str, str] = {}
    for class_ in reversed(settings.__mro__):
        if issubclass(class_, BaseModel):
            found |= _below_fields(class_)
    found |= {name: field.description for name, field in settings.model_fields.items() if field.description}
    return {name: text for name, text in found.items() if name in settings.model_fields}


def first_line(documented: type) -> str:
    """The first line of a docstring: what something is."""
    return (documented.__doc__ or "").strip().partition("\n")[0]


def _below_fields(class_: type) -> dict[str, str]:
    node = _classes(class_.__module__).get(class_.__qualname__)
    found: dict[str, str] = {}
    body = node.body if node is not None else []
    for field, below in pairwise(body):
        is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if is_text and isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(below, ast.Expr)
            assert isinstance(below.value, ast.Constant)
            found[field.target.id] = inspect.cleandoc(str(below.value.value)).replace("\n", " ").replace("``", "`")
    return found


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """The classes of a module by their qualified names; none where its source is not at hand."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError, SyntaxError):
        return {}
    found: dict[str, ast.ClassDef] = {}

    def enter(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                found[prefix + node.name] = node
                enter(node.body, f"{prefix}{node.name}.")

    enter(tree.body, "")
    return found
