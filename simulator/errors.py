"""Exceptions that mean that something else is wrong than the program: the user's input, or the user's code."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent.parent
PACKAGES = ("simulator", "policies", "workloads", "live", "experiments", "tierfetch")
MOST_FRAMES = 8


class InputError(ValueError):
    """Bad input: the message names the file, line or key, the value, and what was expected.

    The command line turns it into exit code 2 without a traceback. Several problems are several arguments: a line each.
    """

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class OutsideError(RuntimeError):
    """Code from outside, a person's own policy or model, failed in a run or broke its contract.

    The run ends with exit code 4; others go on. ``lines`` say what happened, and where in that code; ``access`` is the
    number of the access that asked, where one did.
    """

    def __init__(self, *lines: str, access: int | None = None) -> None:
        super().__init__(*lines)
        self.lines = lines
        self.access = access
        self.nth_question = 0
        """Which question of the batch it was, from 0."""

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def __reduce__(self) -> Any:
        return _remade, (self.lines, self.access)

    @classmethod
    def of(cls, who: str, error: BaseException) -> "OutsideError":
        """From an exception in ``who``, with its own frames."""
        text = " ".join(text_of(error).split())
        return cls(f"{who}: {type(error).__name__}{f': {text}' if text else ''}", *frames_of(error)[-MOST_FRAMES:])


def text_of(thing: Any, form: Callable[[Any], str] = str) -> str:
    """How something from outside names itself, or that it cannot."""
    try:
        return form(thing)
    except Exception as error:
        return f"a {type(thing).__name__} whose {form.__name__} raises {type(error).__name__}"


def _remade(lines: tuple[str, ...], access: int | None) -> OutsideError:
    return OutsideError(*lines, access=access)


def frames_of(error: BaseException) -> list[str]:
    """Where an exception came from, outermost first, without the frames of tierfetch's own code."""
    if isinstance(error, SyntaxError) and error.filename:
        return [f"{error.filename}:{error.lineno}"]
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not is_ours(frame.filename)]
    return [f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in own]


def is_ours(file: str) -> bool:
    """Whether a source file is tierfetch's own, or none at all."""
    if file.startswith("<"):
        return True
    place = Path(file).resolve()
    return any(_ROOT / package in place.parents for package in PACKAGES)
