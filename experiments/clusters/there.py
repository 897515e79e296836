"""What runs in the processes of a cluster."""

import os
import pickle
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.clusters.orders import Answer, Code, Given, Held, Order
    from experiments.shared import SharedTrace

TOKEN = "cluster.token"
_TELL_EVERY_S = 0.2


class Board:
    """Keeps what workers say of a call's tasks until its driver asks: of how far they are the last word alone."""

    def __init__(self) -> None:
        self._said: dict[str, list[tuple[int, str, Any]]] = {}
        self._far: dict[str, dict[int, Any]] = {}

    def tell(self, call: str, number: int, kind: str, what: Any) -> None:
        """Of a task of a call."""
        if kind == "accesses":
            self._far.setdefault(call, {})[number] = what
        else:
            self._said.setdefault(call, []).append((number, kind, what))

    def take(self, call: str) -> list[tuple[int, str, Any]]:
        """What is new."""
        far = self._far.pop(call, {})
        return self._said.pop(call, []) + [(number, "accesses", what) for number, what in far.items()]


def do(given: bytes, order: bytes, held: "Held", code: "Code", board: Any) -> "Answer":
    """A task, on this machine. ``given`` and ``order`` are read only where the code is the driver's."""
    from experiments.clusters.orders import Answer, Code, Place

    place = Place.here()
    try:
        if differs := Code.here().differs(code):
            return Answer("other", f"{place.host}: {differs}", place=place)
        return _do(_given(given), pickle.loads(order), held, board, place)
    except Exception as error:
        error.add_note(traceback.format_exc())
        return Answer("failed", error, place=place)


@lru_cache(maxsize=4)
def _given(pickled: bytes) -> "Given":
    """Read once by a process, of the experiments that it is told of one after another."""
    found: Given = pickle.loads(pickled)
    return found


def _is_here(folder: Path, token: str) -> bool:
    try:
        return (folder / TOKEN).read_text() == token
    except OSError:
        return False


def _do(given: "Given", order: "Order", held: "Held", board: Any, place: Any) -> "Answer":
    from experiments.clusters.orders import Answer
    from experiments.folder import LOCK
    from experiments.single import prepare_one, run_one, sources_of
    from policies.models.places import asked_for, models_folder
    from policies.models.threads import share_cores
    from simulator.errors import OutsideError

    run = order.task.run
    if given.working_folder.is_dir():
        # What the config names by a path begins there.
        os.chdir(given.working_folder)
    if sources_of(given.experiment, run.arm) != given.sources[run.arm.name]:
        return Answer("other", f"{place.host}: has other sources of what arm {run.arm.name} names", place=place)
    # The lock lies there from before the first run on.
    is_shared = _is_here(given.shared, given.token) and (given.folder / LOCK).exists()
    if not is_shared and held.columns is None:
        return Answer("unshared", place=place)
    told = 0.0

    def tell(kind: str, *what: Any) -> None:
        nonlocal told
        if kind != "accesses" or time.monotonic() - told >= _TELL_EVERY_S:
            told = time.monotonic()
            board.tell.remote(given.token, order.number, kind, what)

    tell("began", place)
    share_cores(order.n_beside or os.cpu_count() or 1)
    trace = given.traces[run.seed] if is_shared else _held(given.traces[run.seed], held)
    with _models(given, held) as has_models, asked_for() as models, _folder(given, is_shared=is_shared) as folder:
        _compiled_once(given, lambda text: tell("said", text))
        from experiments.compiling import Announced

        done = None
        with Announced(lambda text: tell("said", text)):
            try:
                if order.task.trains_only:
                    prepare_one(given.experiment, run, lambda *epoch: tell("epoch", *epoch), trace)
                else:
                    done = run_one(
                        given.experiment, run, folder, order.task.n_warm_up, lambda *done: tell("accesses", *done),
                        lambda *epoch: tell("epoch", *epoch), trace, say=lambda text: tell("said", text),
                        watches=order.task.watches,
                    )  # fmt: skip
            except OutsideError as error:
                return Answer("done", error, place=place)
        files = {} if is_shared or done is None else {name: (folder / name).read_bytes() for name in done.files}
        new = {} if has_models else {path.name: path.read_bytes() for path in models if path.parent == models_folder()}
    return Answer("done", done, files, {name: kept for name, kept in new.items() if name not in held.models}, place)


def _held(trace: "SharedTrace", held: "Held") -> "SharedTrace":
    """The same trace, out of the store."""
    import ray

    return trace.of_columns(ray.get(held.columns))


@contextmanager
def _folder(given: "Given", *, is_shared: bool) -> Iterator[Path]:
    """Where a run writes its files: the driver's folder, or one that goes when they are sent."""
    if is_shared:
        yield given.folder
        return
    with tempfile.TemporaryDirectory(prefix="tierfetch-run-") as folder:
        yield Path(folder)


@contextmanager
def _models(given: "Given", held: "Held") -> Iterator[bool]:
    """Models are those of the driver's folder, if it is here; else those that it has sent are put into this host's."""
    from experiments.aside import written_aside
    from policies.models.places import models_folder

    name, before = "TIERFETCH_MODELS", os.environ.get("TIERFETCH_MODELS")
    has_models = _is_here(given.models, given.token)
    if has_models:
        os.environ[name] = str(given.models)
    for file, kept in held.models.items():
        path = models_folder() / file
        if not path.exists():
            import ray

            path.parent.mkdir(parents=True, exist_ok=True)
            with written_aside(path) as aside:
                aside.write_bytes(ray.get(kept))
    try:
        yield has_models
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


_MOST_READY = 1000
_READY = set[Path]()
"""The folders of experiments for which this process has all that is compiled."""


def _compiled_once(given: "Given", say: Callable[[str], None]) -> None:
    """Of the processes of a host one compiles the core before any of them runs; the others wait, and find it."""
    if given.folder in _READY:
        return
    if len(_READY) >= _MOST_READY:
        _READY.clear()
    _compile_once(given, say)
    _READY.add(given.folder)


def _compile_once(given: "Given", say: Callable[[str], None]) -> None:
    import hashlib
    import socket

    import numba.core.config
    from filelock import FileLock

    import simulator.compiled  # noqa: F401 - names the folder
    from experiments.compiling import Announced
    from experiments.warm import compile_core

    evictions = [tier.eviction for arm in given.experiment.arms for tier in given.experiment.system_of(arm).tiers]
    what = hashlib.sha256("\n".join(sorted({repr(one) for one in evictions})).encode()).hexdigest()[:12]
    # What is compiled is for a host's processor, and hosts may share the folder.
    folder = Path(str(numba.core.config.CACHE_DIR))  # type: ignore[attr-defined]
    done = folder / f"core-{socket.gethostname()}-{what}"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"core-{socket.gethostname()}.lock"):
        if not done.exists():
            with Announced(say):
                compile_core(evictions)
            done.touch()
