"""Commands, run in this process or in one of their own, and what holds however they end."""

import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer.main
import typer.testing
from typer.testing import CliRunner

from benchmarks.campaign.case import DefectError
from experiments.exits import BAD_INPUT, INTERRUPTED, TERMINATED

# Typer builds a command, and what checks each of its options, anew for each of hundreds of calls.
typer.testing._get_command = cache(typer.main.get_command)  # type: ignore[attr-defined]

ROOT = Path(__file__).parents[2]
LONGEST_LINE = 1100
"""Of a message, in characters."""
PROCESS_TIMEOUT_S = 100
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said; ``code`` is negative where a signal ended it."""

    command: list[str]
    code: int
    out: str
    err: str
    raised: str = ""

    def __str__(self) -> str:
        return (
            f"$ {' '.join(self.command)[:2000]}\nexit code {self.code}\n"
            f"stdout: {self.out[-2000:]}\nstderr: {self.err[-3000:]}\n{self.raised[-4000:]}"
        )


def call(module: str, *arguments: object) -> Ended:
    """Run a command in this process, as ``python -m MODULE ARGUMENTS`` would."""
    import importlib

    given = [str(argument) for argument in arguments]
    result: Any = CliRunner().invoke(importlib.import_module(module).app, given)
    is_exit = result.exception is None or isinstance(result.exception, SystemExit)
    raised = "" if is_exit else "".join(traceback.format_exception(result.exception))
    return Ended([module, *given], result.exit_code, result.stdout, result.stderr, raised)


def start(module: str, *arguments: object, before: Callable[[], None] | None = None, **more: Any) -> Any:
    """Start a command as a process at the head of a group of its own."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT, preexec_fn=before,  # noqa: PLW1509 - there are no threads here
        start_new_session=True, text=True, errors="replace", **streams,
    )  # fmt: skip


def finish(process: Any) -> Ended:
    """Wait for a process, and for all that hold its output. Raises DefectError if that takes too long."""
    try:
        out, err = process.communicate(timeout=PROCESS_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        ended = Ended(process.args[2:], process.returncode, out or "", err or "")
        raise DefectError(f"was still running after {PROCESS_TIMEOUT_S} s\n{ended}") from None
    return Ended(process.args[2:], process.returncode, out or "", err or "")


def expect(ended: Ended, *codes: int, names: tuple[str, ...] = ()) -> str:
    """Check what holds for every command, and that its code is one of some; what became of it, in a word or two.

    ``names``: of these a message must name one. Raises DefectError.
    """
    if ended.raised or "Traceback" in ended.err + ended.out:
        raise DefectError(f"a traceback\n{ended}")
    if ended.code not in codes:
        raise DefectError(f"exit code {ended.code}; expected {' or '.join(map(str, codes))}\n{ended}")
    if ended.code == BAD_INPUT:
        _check_message(ended, names)
        return "refused"
    if ended.code in (INTERRUPTED, TERMINATED):
        if not re.fullmatch(r"(interrupted|terminated): [^\n]+\n", ended.err):
            raise DefectError(f"an interrupt is not said in one line\n{ended}")
        return "interrupted"
    if ended.err:
        raise DefectError(f"it ended well, and yet said something on standard error\n{ended}")
    return "done"


def _check_message(ended: Ended, names: tuple[str, ...]) -> None:
    """One line a problem, the first of which begins with ``error:``, that say where it is."""
    if not ended.err.startswith("error: ") or not ended.err.endswith("\n"):
        raise DefectError(f"no message of ours\n{ended}")
    # Several problems of one config are a line each, and each begins with the config.
    first, *others = ended.err.removeprefix("error: ").removesuffix("\n").split("\n")
    where = first.partition(": ")[0]
    for line in [first, *others]:
        if others and not (line.startswith(f"{where}: ") or re.fullmatch(r"and \d+ more", line)):
            raise DefectError(f"a line that belongs to no problem: {line!r}\n{ended}")
        if len(line) > LONGEST_LINE:
            raise DefectError(f"a line of {len(line):,} characters\n{ended}")
        if _UNPRINTABLE.search(line):
            raise DefectError(f"a line that holds what a terminal would obey: {line!r}\n{ended}")
        if names and not line.startswith("and ") and not any(name in line for name in names):
            raise DefectError(f"names neither file nor key: {line!r}; expected one of {names}\n{ended}")
    if len(others) > 10:
        raise DefectError(f"{len(others) + 1} lines\n{ended}")
