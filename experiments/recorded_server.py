"""A server that runs with a shim in it, and what the shim has written down, as one trace."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.aside import written_aside
from experiments.shims import vllm_requests as shim
from simulator.errors import InputError

_NAME = "tierfetch_record"
_PLUGINS = "VLLM_PLUGINS"
_METADATA = f"Metadata-Version: 2.1\nName: {_NAME.replace('_', '-')}\nVersion: 0\n"
_ENTRY_POINTS = f"[vllm.general_plugins]\n{_NAME} = {_NAME}:install\n"


def record(out: Path, command: Sequence[str], *, force: bool) -> tuple[int, str]:
    """Run a command and write the trace of what was recorded meanwhile: its exit code, and what there is to say.

    Raises:
        InputError: there is nowhere to write to, no such command, or vLLM is another than those that are known.
    """
    if out.is_dir():
        raise InputError(f"{out}: is a folder; expected the name of a file")
    if out.exists() and not force:
        raise InputError(f"{out}: is there already; expected another name, or --force")
    if not out.parent.is_dir():
        raise InputError(f"{out}: no such folder; expected one that is there")
    # Beside the trace: what is there when all is lost can be found again, and there is room.
    folder = Path(tempfile.mkdtemp(prefix=f"{out.name}.", suffix=".recording", dir=out.parent))
    is_lost = False
    try:
        start = time.time()
        code = _run(command, _surroundings(folder, start))
        problems = sorted({path.read_text() for path in folder.glob(shim.PROBLEM.format("*"))})
        rows, n_without = _rows(sorted(folder.glob(shim.REQUESTS.format("*"))))
        if rows:
            try:
                with written_aside(out) as aside:
                    aside.write_text("".join(json.dumps(row) + "\n" for row in rows))
            except OSError as error:
                is_lost = True
                raise InputError(f"{out}: {error.strerror}; the lines of each process are left in {folder}") from None
    finally:
        if not is_lost:
            shutil.rmtree(folder)
    if problems:
        raise InputError(*problems)
    return code, _summary(out, rows, n_without, start)


def _surroundings(folder: Path, start: float) -> dict[str, str]:
    """The environment in which vLLM finds the plugin: a folder that looks like one with a package installed."""
    site = folder / "site"
    about = site / f"{_NAME}-0.dist-info"
    about.mkdir(parents=True)
    shutil.copyfile(shim.__file__, site / f"{_NAME}.py")
    (about / "METADATA").write_text(_METADATA)
    (about / "entry_points.txt").write_text(_ENTRY_POINTS)
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    found.update({shim.FOLDER: str(folder.resolve()), shim.START: repr(start)})
    if _PLUGINS in os.environ:
        # It names those that are loaded.
        found[_PLUGINS] = ",".join(filter(None, [os.environ[_PLUGINS], _NAME]))
    return found


def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    try:
        process = subprocess.Popen(command, env=environment)
    except OSError as error:
        raise InputError(f"{command[0]}: {error.strerror}; expected a command, such as vllm serve MODEL") from None
    with _handed_on(process):
        code = process.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _handed_on(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """A signal to end is the command's: what it has done until then is the trace. Ctrl-C goes to both by itself."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number)),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _rows(files: Sequence[Path]) -> tuple[list[dict[str, Any]], int]:
    """The requests of all processes in order of time, and how many had no whole block and are left out."""
    found: list[dict[str, Any]] = []
    for path in files:
        lengths: dict[str, int] = {}
        its: list[dict[str, Any]] = []
        for line in path.read_text().splitlines(keepends=True):
            # The last one may be half a line, of a process that was killed.
            if line.endswith("\n"):
                row = json.loads(line)
                if "hash_ids" in row:
                    its.append(row)
                else:
                    lengths[row["id"]] = row["output_length"]
        for row in its:
            name = row.pop("id")
            found.append({**row, "output_length": lengths.get(name, 0)})
    whole = [row for row in found if row["hash_ids"]]
    whole.sort(key=lambda row: row["timestamp"])
    names = ("timestamp", "input_length", "output_length", "hash_ids")
    return [{name: row[name] for name in names} for row in whole], len(found) - len(whole)


def _summary(out: Path, rows: list[dict[str, Any]], n_without: int, start: float) -> str:
    short = f"; {n_without:,} without a whole block are left out" if n_without else ""
    if not rows:
        return f"No request was recorded{short}. Nothing was written: was it vLLM, and was it asked for anything?"
    n_ids = sum(len(row["hash_ids"]) for row in rows)
    # A prompt of n tokens has n // size blocks.
    least = max(row["input_length"] // (len(row["hash_ids"]) + 1) + 1 for row in rows)
    most = min(row["input_length"] // len(row["hash_ids"]) for row in rows)
    size = f"{most:,}" if least >= most else f"{least:,} to {most:,}"
    return (
        f"Written: {out}, {len(rows):,} requests for {n_ids:,} blocks of {size} tokens{short}. Its time 0 is "
        f"{start:.6f} s (Unix)."
    )
