"""How every command ends.

0 done, 2 bad input, 3 processes that died, 4 code from outside failed, 130 interrupted, 143 terminated, 1 a bug.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from experiments.interrupts import TerminatedError, let_go, terminations
from simulator.stores.copies import shown, watch_with

BAD_INPUT, DIED, OUTSIDE, INTERRUPTED, TERMINATED = 2, 3, 4, 130, 143
_MOST_LINES, _LONGEST = 10, 1000
_LINE_EVERY_S = 5.0


class RunsDiedError(RuntimeError):
    """Processes ended without a result, and so did those that tried again; all other runs are done and kept.

    ``args`` are lines: which, and then of code from outside that failed beside them, as of RunsFailedError.
    """

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class RunsFailedError(RuntimeError):
    """Code from outside failed in some runs; all others are done and kept. ``args`` are lines: what, and where."""


@contextmanager
def exit_codes(interrupted: str) -> Iterator[None]:
    """Turn errors that are the user's or the machine's into one line and an exit code.

    ``interrupted`` is what Ctrl-C and SIGTERM leave behind.
    """
    from simulator.errors import InputError, OutsideError

    watch_with(_Fetching())
    try:
        with terminations():
            yield
            # What is still to be written is part of what was asked for.
            sys.stdout.flush()
    except InputError as error:
        first, *others = error.args
        _leave([f"error: {first}", *others], BAD_INPUT)
    except OSError as error:
        # What is wrong with input files is found where they are read; this is a disk, a folder, a right, or a reader of
        # the output that is gone.
        place = error.filename2 or error.filename
        where = "standard output" if isinstance(error, BrokenPipeError) else place
        text = os.strerror(error.errno) if error.errno else str(error)
        _leave([f"error: {where}: {text}" if where else f"error: {text}"], BAD_INPUT)
    except RunsDiedError as error:
        first, *others = error.args
        _leave([f"error: {first}", *others], DIED)
    except RunsFailedError as error:
        _leave(list(error.args), OUTSIDE)
    except OutsideError as error:
        first, *frames = error.lines
        _leave([f"error: {first}", *(f"  {frame}" for frame in frames)], OUTSIDE)
    except MemoryError as error:
        _leave([f"error: not enough memory: {error}; expected a smaller workload or model"], BAD_INPUT)
    except RuntimeError as error:
        # Torch's way to say so.
        if "allocate memory" not in str(error):
            raise
        _leave(["error: not enough memory for the model; expected a smaller one"], BAD_INPUT)
    except TerminatedError as interrupt:
        let_go(interrupt)
        _leave([f"terminated: {interrupted}"], TERMINATED)
    except KeyboardInterrupt as interrupt:
        let_go(interrupt)
        _leave([f"interrupted: {interrupted}"], INTERRUPTED)


class _Fetching:
    """Says how far a store has given what is wanted of it, where that takes long."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _LINE_EVERY_S

    def __call__(self, what: str, n_bytes: int, of_bytes: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _LINE_EVERY_S
            line = f"{what}: {n_bytes / 1e6:,.0f} of {of_bytes / 1e6:,.0f} MB fetched"
            print(printable(line), file=sys.stderr, flush=True)  # noqa: T201


def _leave(lines: list[str], code: int) -> None:
    for line in lines[:_MOST_LINES]:
        print(printable(line), file=sys.stderr)  # noqa: T201
    if len(lines) > _MOST_LINES:
        print(f"and {len(lines) - _MOST_LINES} more", file=sys.stderr)  # noqa: T201
    try:
        sys.stdout.flush()
    except OSError:
        # Nobody reads it, or there is no room: Python would say so once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(code) from None


def printable(line: str) -> str:
    """What input says is quoted: it may hold what ends a line or what a terminal obeys, and may have no end."""
    line = shown(line)
    line = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line)
    if len(line) <= _LONGEST:
        return line
    # What was expected stands at the end.
    return f"{line[: _LONGEST * 2 // 3]} ... {line[-_LONGEST // 3 :]}"
