"""A Ray that this command has joined, or started on this machine for itself.

What it starts listens on the loopback alone, wants a token that nobody else has, has no dashboard, tells nobody of its
use, and leaves nothing behind.
"""

import os
import re
import secrets
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from experiments.aside import is_running
from experiments.clusters.address import Address, parse
from experiments.extras import need
from experiments.jobs import n_cores
from simulator.errors import InputError

MEASURED = "tierfetch_measured"
"""The resource of nodes that measure; where no node has it, all do."""
_FOLDER = "tierfetch-ray-"
# Sockets lie below it, whose paths have 107 bytes.
_LONGEST_FOLDER = 12
_OBJECT_STORE_BYTES = 256 << 20
_TRIES = 3
_ANSWER_S, _LOOK_EVERY_S = 120.0, 1.0


class Cluster:
    """What the driver asks of it."""

    def __init__(self, ray: Any, address: Address, jobs: int) -> None:
        self.ray, self.address, self.jobs = ray, address, jobs
        self._nodes: list[dict[str, Any]] = []
        self._looked = -_LOOK_EVERY_S
        self.board = self._board()

    def _board(self) -> Any:
        """Where workers say how far they are."""
        from experiments.clusters.there import Board

        board = self.ray.remote(num_cpus=0, max_restarts=-1)(Board).remote()
        try:
            self.ray.get(board.take.remote(""), timeout=_ANSWER_S)
        except self.ray.exceptions.GetTimeoutError:
            raise InputError(f"--cluster {self.address.text}: no node has started a process for it") from None
        except Exception as error:
            raise InputError(
                f"--cluster {self.address.text}: tierfetch cannot be started on its nodes ({_line_of(error)}); "
                "expected it installed there as here, with the extra"
            ) from None
        return board

    def nodes(self) -> list[dict[str, Any]]:
        """Those that live and compute, as of a moment ago."""
        if time.monotonic() - self._looked >= _LOOK_EVERY_S:
            found = [node for node in self.ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
            self._nodes = sorted(found, key=lambda node: str(node["NodeID"]))
            self._looked = time.monotonic()
        return self._nodes

    @property
    def n_at_once(self) -> int:
        """How many runs, side by side."""
        n = sum(int(node["Resources"]["CPU"]) for node in self.nodes())
        return max(min(n, self.jobs or n), 1)

    @property
    def has_gpus(self) -> bool:
        """Whether any node has one."""
        return any(node["Resources"].get("GPU", 0) >= 1 for node in self.nodes())


def _line_of(error: Exception) -> str:
    """What it says at last: before that Ray may quote whole traces."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


@contextmanager
def joined(text: str | None, jobs: int | None) -> Iterator[Cluster | None]:
    """The cluster of ``--cluster`` for as long as it is needed; nothing where none is asked for.

    ``jobs``: so many runs at once; without it as many as there are cores.

    Raises:
        InputError: there is no such cluster, or the extra is missing.
    """
    if text is None:
        yield None
        return
    address = parse(text)
    need("ray", "ray", *(["grpc"] if address.is_client else []))
    address.check()
    if address.is_local:
        with _local(jobs or n_cores()) as here:
            yield Cluster(here, address, 0)
        return
    with _environment({"RAY_USAGE_STATS_ENABLED": "0"}):
        import ray

        try:
            ray.init(address=text, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InputError(f"--cluster {text}: cannot be joined: {_line_of(error)}") from None
        try:
            yield Cluster(ray, address, jobs or 0)
        finally:
            ray.shutdown()


@contextmanager
def _local(n_cpus: int) -> Iterator[Any]:
    place = Path(tempfile.gettempdir())
    if len(str(place)) > _LONGEST_FOLDER and Path("/tmp").is_dir():
        place = Path("/tmp")
    _remove_dead(place)
    folder = tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=place)
    # Ray's own names for it: what listens on the loopback is no cluster.
    said = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token(),
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }  # fmt: skip
    try:
        with _environment(said):
            import ray

            try:
                start(
                    ray, address="local", num_cpus=n_cpus, include_dashboard=False, log_to_driver=False,
                    configure_logging=False, object_store_memory=_OBJECT_STORE_BYTES, _temp_dir=folder,
                    _node_ip_address="127.0.0.1",
                )  # fmt: skip
                yield ray
            finally:
                ray.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(ray: Any, **said: Any) -> None:
    """Its processes have 15 s to say where they listen, which cannot be set: on a busy machine that takes another try.

    Raises:
        InputError: it does not start.
    """
    for n_left in reversed(range(_TRIES)):
        try:
            ray.init(**said)
            return
        # Ray raises nothing narrower.
        except Exception as error:
            _end_started(error)
            ray.shutdown()
            if not n_left:
                raise InputError(
                    f"--cluster ray: Ray does not start on this machine, tried {_TRIES} times: {_line_of(error)}; "
                    "expected it less busy, or --jobs"
                ) from None


def _end_started(error: Exception) -> None:
    """Of a Ray that has not started, what has: it forgets it, and would end it with this process only."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        end = getattr(frame.f_locals.get("self"), "kill_all_processes", None)
        if end is not None:
            with suppress(Exception):
                end(check_alive=False)


@cache
def _token() -> str:
    """Ray reads it once a process."""
    return secrets.token_hex(32)


def _remove_dead(place: Path) -> None:
    """What commands left that were killed."""
    for folder in place.glob(f"{_FOLDER}*"):
        found = re.fullmatch(rf"{_FOLDER}([0-9]+)-.*", folder.name)
        with suppress(OSError):
            if found and folder.stat().st_uid == os.getuid() and not is_running(int(found[1])):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _environment(said: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in said}
    os.environ.update(said)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
