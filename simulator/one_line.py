"""A kind and its settings in one line, as command lines and configs may have it: ``stride(degree=8)``."""

import re
from typing import Any

_CALL = re.compile(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", re.DOTALL)
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}
_CLOSES = {"(": ")", "[": "]"}


def call(text: str) -> dict[str, Any]:
    """``name(a=1, b=2)`` as ``{kind: name, a: 1, b: 2}``. Raises ValueError if it is nothing of the kind."""
    found = _CALL.fullmatch(text)
    if found is None:
        raise ValueError("is no name, and no name with settings in brackets")
    said: dict[str, Any] = {"kind": found[1]}
    for item in split(found[2]) if found[2] and found[2].strip() else []:
        name, equals, value = (part.strip() for part in item.partition("="))
        if not name or not equals:
            raise ValueError(f"{item!r} is no setting=value")
        if name in said:
            raise ValueError(f"{name!r} is there twice")
        said[name] = _value(value)
    return said


def in_line(value: Any) -> Any:
    """What a config says, as it is, or what it says in a line. Raises ValueError if a text is no such line."""
    if not isinstance(value, str):
        return value
    try:
        return call(value)
    except ValueError as error:
        raise ValueError(f"{error}; expected NAME, NAME(setting=value, ...) or {{kind: NAME, ...}}") from None


def _value(text: str) -> Any:
    if not text:
        raise ValueError("a value is missing")
    if text[0] in "'\"" and text[-1] == text[0] and len(text) > 1:
        return text[1:-1]
    if text[0] == "[" and text[-1] == "]":
        return [_value(part) for part in split(text[1:-1])] if text[1:-1].strip() else []
    if text[-1] == ")" and _CALL.fullmatch(text):
        return call(text)
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else _WORDS.get(text, text)


def split(text: str) -> list[str]:
    """The parts between the commas that are in no brackets and no quotes. Raises ValueError if these do not close."""
    parts, start, open_, quote = [], 0, [""], ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in _CLOSES:
            open_.append(_CLOSES[character])
        elif character in ")]" and open_.pop() != character:
            raise ValueError(f"a {character} closes nothing")
        elif character == "," and len(open_) == 1:
            parts.append(text[start:at].strip())
            start = at + 1
    if quote or len(open_) > 1:
        raise ValueError(f"a {quote or open_[-1]} is missing")
    return [*parts, text[start:].strip()]
