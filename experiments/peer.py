"""LibCacheSim (Yang et al.) beside our miss counts: the extra ``tierfetch[libcachesim]``.

It is asked in a process of its own, as it ends the process where a capacity does not suit it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from simulator.residency.settings import EvictionSettings
    from simulator.trace import Batch

NAMES = {
    "lru": "LRU", "fifo": "FIFO", "random": "Random", "clock": "Clock", "sieve": "Sieve", "s3fifo": "S3FIFO",
    "lfu": "LFU", "lfuda": "LFUDA", "arc": "ARC", "2q": "TwoQ", "slru": "SLRU", "lirs": "LIRS", "wtinylfu": "WTinyLFU",
    "gdsf": "GDSF", "hyperbolic": "Hyperbolic", "belady": "Belady",
}  # fmt: skip
"""What it calls our evictions."""
SETTINGS = {
    "clock": {"n_bit_counter": "n_bit_counter", "init_freq": "init_freq"},
    "s3fifo": {
        "small_ratio": "small_size_ratio", "ghost_ratio": "ghost_size_ratio",
        "move_to_main_threshold": "move_to_main_threshold",
    },
    "2q": {"ain_ratio": "a_in_size_ratio", "aout_ratio": "a_out_size_ratio"},
    "wtinylfu": {"window_ratio": "window_size"},
}  # fmt: skip
"""And those of our settings that its Python interface has."""
_OTHERS = {
    "random": "draws at random: other numbers there",
    "hyperbolic": "draws at random: other numbers there",
    "lfuda": "libCacheSim's adds the age anew at each use: another policy",
}
# Shares of the capacity are whole blocks here and bytes there.
_SHARES = ("s3fifo", "arc", "2q", "slru", "lirs", "wtinylfu")
# Far less than it does in a second: with a few capacities it never comes to an end.
_LEAST_S, _ACCESSES_PER_S = 60, 50_000
_COLOUR = re.compile(r"\x1b\[\d+m")
_HEADING = re.compile(r"\[\w+\] .*\(tid=\d+\):")
_ROOT = Path(__file__).parents[1]
_RECORD = [("time", "<u4"), ("key", "<u8"), ("size", "<u4"), ("next", "<i8")]


class Count(NamedTuple):
    """Its misses, or None and why there is no such number; or a remark on it."""

    n_misses: int | None
    note: str = ""


def require() -> None:
    """Raises InputError if it is not installed."""
    from simulator.errors import InputError

    if find_spec("libcachesim") is None:
        raise InputError(
            "--beside libcachesim: is not installed; expected the extra libcachesim: pip install --no-deps -c "
            "constraints.txt libcachesim"
        )


def version() -> str:
    """Of what is installed."""
    return metadata.version("libcachesim")


def why_not(eviction: "EvictionSettings", *, unit_size: bool) -> str | None:
    """Why no count of an eviction policy can be compared, or None."""
    kind = eviction.kind
    if kind not in NAMES:
        return "libCacheSim has no such policy"
    if kind in _OTHERS:
        return _OTHERS[kind]
    if not unit_size and kind in _SHARES:
        return "its shares of the capacity are whole blocks here, bytes there: compare with --unit-size"
    for name, field in type(eviction).model_fields.items():
        is_known = name in ("kind", "variant") or name in SETTINGS.get(kind, {})
        if not is_known and getattr(eviction, name) != field.default:
            return f"libCacheSim's Python interface cannot set {name}"
    return None


def write_oracle_general(accesses: "Batch", path: Path) -> None:
    """Accesses as its oracleGeneral, with the next use of each key, which its Belady reads.

    Raises:
        InputError: a size does not fit into it.
    """
    from simulator.errors import InputError
    from simulator.future import future_of

    if len(accesses) and int(accesses.size_bytes.max()) >= 2**32:
        raise InputError(
            f"--beside libcachesim: its format has sizes below 4 GiB, the trace has {int(accesses.size_bytes.max()):,} "
            "bytes; expected --unit-size"
        )

    records = np.zeros(len(accesses), _RECORD)
    records["key"], records["size"] = accesses.key, accesses.size_bytes
    next_use = future_of(iter([accesses])).next_use
    # It counts from 1; never again is the largest number there is.
    records["next"] = np.where(next_use < len(accesses), next_use + 1, np.iinfo(np.int64).max)
    records.tofile(path)


class Peer:
    """What it counts on one trace. As a context manager it ends the process that counts."""

    def __init__(self, path: Path, n_accesses: int, *, unit_size: bool) -> None:
        self._path, self._n_accesses, self._unit_size = path, n_accesses, unit_size
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            # At the end of its input it ends.
            self._server.communicate()

    def count(self, eviction: "EvictionSettings", capacity: int) -> Count:
        """Its misses with an eviction policy and a capacity."""
        reason = why_not(eviction, unit_size=self._unit_size)
        if reason is not None:
            return Count(None, reason)
        settings = {theirs: getattr(eviction, ours) for ours, theirs in SETTINGS.get(eviction.kind, {}).items()}
        limit_s = _LEAST_S + self._n_accesses / _ACCESSES_PER_S
        code, said, words = self._ask([limit_s, str(self._path), NAMES[eviction.kind], capacity, settings])
        if code is None:
            return Count(None, f"libCacheSim gives no answer within {limit_s:.0f} s")
        if code != 0:
            return Count(None, f"libCacheSim ends itself with this capacity: {_last_words(words)}")
        miss_ratio, n_held = json.loads(said.splitlines()[-1])
        note = "" if n_held else "libCacheSim keeps no block with this capacity"
        return Count(round(miss_ratio * self._n_accesses), note)

    def _ask(self, what: list[Any]) -> Any:
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "experiments.peer"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT,
            )  # fmt: skip
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(what) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())


@contextmanager
def peer_of(accesses: "Batch", *, unit_size: bool) -> Iterator[Peer]:
    """A peer for these accesses, which lie in a file of 24 bytes an access meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.oracleGeneral.bin"
        write_oracle_general(accesses, path)
        with Peer(path, len(accesses), unit_size=unit_size) as peer:
            yield peer


def _last_words(text: str) -> str:
    """The last line of what it printed, without colours, time and place."""
    lines = [line for line in _COLOUR.sub("", text).splitlines() if line.strip()]
    return _HEADING.sub("", lines[-1]).strip() if lines else "without a word"


def replay(path: str, name: str, capacity: int, settings: dict[str, Any]) -> Any:
    """A call that replays an oracleGeneral file: its miss ratio, and how many blocks it holds at the end."""
    import libcachesim

    reader = libcachesim.TraceReader(path, libcachesim.TraceType.ORACLE_GENERAL_TRACE)
    cache = getattr(libcachesim, name)(capacity, **settings)
    return lambda: (float(cache.process_trace(reader)[0]), int(cache.get_n_obj()))


def serve(asked: Iterator[str], answer: Callable[[str], object]) -> None:
    """Replay what each line asks for, in a process of its own: libCacheSim may end the one that it is in.

    Each is forked from this one, which has imported it. A line is answered with one: the exit code, or null where there
    was none in time, and what was said on standard output and standard error.
    """
    import libcachesim  # noqa: F401

    for line in asked:
        limit_s, *what = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                code = 1
                try:
                    print(json.dumps(replay(*what)()), flush=True)  # noqa: T201
                    code = 0
                except Exception:
                    traceback.print_exc()
                    sys.stderr.flush()
                finally:
                    # Nothing of the process that it comes from is to be finished here.
                    os._exit(code)
            code_of = _ended(child, time.monotonic() + limit_s)
            said = []
            for file in (out, err):
                file.seek(0)
                said.append(file.read().decode(errors="replace"))
        answer(json.dumps([code_of, *said]) + "\n")


def _ended(child: int, deadline: float) -> int | None:
    """The exit code of a process; None if it had to be killed for taking too long."""
    pause_s = 0.001
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause_s)
        pause_s = min(1.2 * pause_s, 0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    serve(iter(sys.stdin), _write)
