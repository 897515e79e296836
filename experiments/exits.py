"""How every command ends: 0 done, 2 bad input, 3 processes that died, 130 interrupted, 1 a bug."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

BAD_INPUT, DIED, INTERRUPTED = 2, 3, 130


class RunsDiedError(RuntimeError):
    """Processes ended without a result, and so did those that tried again; all other runs are done and kept."""


@contextmanager
def exit_codes(interrupted: str) -> Iterator[None]:
    """Turn errors that are the user's or the machine's into one line and an exit code.

    ``interrupted`` is what Ctrl-C leaves behind.
    """
    from simulator.errors import InputError

    try:
        yield
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(BAD_INPUT) from None
    except OSError as error:
        # What is wrong with input files is found where they are read; this is a disk, a folder or a right.
        if error.filename is None:
            raise
        print(f"error: {error.filename2 or error.filename}: {error.strerror}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(BAD_INPUT) from None
    except RunsDiedError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(DIED) from None
    except MemoryError as error:
        print(f"error: not enough memory: {error}; expected a smaller workload or model", file=sys.stderr)  # noqa: T201
        raise typer.Exit(BAD_INPUT) from None
    except KeyboardInterrupt:
        print(f"interrupted: {interrupted}", file=sys.stderr)  # noqa: T201
        # SimPy and SciPy may hold threads: leave at once, everything is renamed or removed by now.
        sys.stdout.flush()
        raise typer.Exit(INTERRUPTED) from None
