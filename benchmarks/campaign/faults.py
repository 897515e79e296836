"""A machine at fault while commands run: one line, nothing half-written, and the same results once it is well again."""

import errno
import os
import random
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.campaign.case import Case, DefectError, Place
from benchmarks.campaign.commands import call, expect
from benchmarks.campaign.folders import asides
from benchmarks.campaign.hook import ERRNOS, at_operation, fails, raises
from benchmarks.campaign.kept import reference
from benchmarks.campaign.machine import in_a_process, of_memory, of_the_model_store
from benchmarks.campaign.well import Command, commands
from experiments.exits import BAD_INPUT


def prepare(shared: Path) -> None:
    """Results of a machine that is well."""
    place = shared / "faults"
    place.mkdir()
    commands(place, shared)
    reference(shared, "plain")
    # Processes that share a trace compile for arrays that are mapped, and what is compiled is written: it must be there
    # where no room is left.
    expect(call("experiments.run", reference(shared, "phases")[0], "--out", place / "out", "--jobs", 2), 0)


def run(case: Case, place: Place) -> str:
    """One command, one fault, and the command once more."""
    draws = case.draws()
    if draws.random() < 0.06:
        return in_a_process(draws, place)
    if draws.random() < 0.08:
        return of_the_model_store(draws, place)
    if draws.random() < 0.03:
        return of_memory(place)
    name = draws.choice(["run", "run", "run", "convert", "info", "misses"])
    command = commands(place.case, place.shared)[name]
    is_again = name == "run" and draws.random() < 0.4
    if is_again:
        _as_before(command, draws)
    fault, what, codes = _fault(draws, place.case, _n_operations(command, is_again=is_again, place=place))
    try:
        with fault as watch:
            ended = command.run()
        outcome = expect(ended, *codes, names=() if 130 in codes else (str(place.case), "memory"))
        # What could not be removed is, once this process is no more; here it goes on.
        kept_from = watch.removals if watch is not None else []
        for path in asides(place.case):
            if str(path) not in kept_from and "vanishes" not in what:
                raise DefectError(f"left half-written: {path}\n{ended}")
            path.unlink()
        if name == "convert" and command.out.exists() and ended.code:
            raise DefectError(f"left {command.out.name}\n{ended}")
        if ended.code == 0 and "vanishes" not in what and (differ := command.differs()):
            raise DefectError(f"it ended well, with other results: {differ}\n{ended}")
        if name != "convert" or ended.code:
            again = command.run()
            # Where it was the manifest that vanished, nothing says whose the results are.
            is_nobodys = "vanishes" in what and again.code == BAD_INPUT and "--force" in again.err
            expect(command.run("--force") if is_nobodys else again, 0)
        if differ := command.differs():
            raise DefectError(f"once all was well again, other results: {differ}\n{ended}")
    except DefectError as error:
        raise DefectError(f"{name}, {what}: {error}") from None
    return f"{name}: {outcome}"


def _as_before(command: Command, draws: random.Random) -> None:
    """The folder has results, of which some are missing."""
    shutil.copytree(command.whole, command.out)
    for path in draws.sample(sorted(command.out.glob("*/*.parquet")), 2):
        path.unlink()


_counted: dict[tuple[str, bool], int] = {}


def _n_operations(command: Command, *, is_again: bool, place: Place) -> int:
    """How many operations on files a command does when all is well; of one that goes on, about as many."""
    key = f"{command.module} {command.arguments[0]}", is_again
    if key not in _counted and not is_again:
        with at_operation(place.case, -1, fails(0)) as watch:
            expect(command.run(), 0)
        _counted[key] = watch.n
        for path in place.case.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return _counted.get(key, 100)


def _fault(draws: random.Random, folder: Path, n: int) -> tuple[Any, str, tuple[int, ...]]:
    """What goes wrong, in words, and how a command may end then."""
    at = draws.randrange(1, n + 2)
    match draws.randrange(8):
        case 0:
            return _full(draws.randrange(30_000)), "no room", (0, 2)
        case 1:
            return at_operation(folder, at, raises(KeyboardInterrupt)), f"interrupted at operation {at}", (0, 130)
        case 2:
            return at_operation(folder, at, raises(MemoryError)), f"no memory at operation {at}", (0, 2)
        case 3:
            return at_operation(folder, at, _vanish(folder, draws)), f"a file vanishes at operation {at}", (0, 2)
        case 4:
            number = draws.choice([errno.EROFS, errno.EIO, errno.EACCES, errno.ENOSPC])
            what = f"{os.strerror(number)} at operation {at} and from then on"
            return at_operation(folder, at, fails(number), lasts=True), what, (0, 2)
        case _:
            number = draws.choice(ERRNOS)
            return at_operation(folder, at, fails(number)), f"{os.strerror(number)} at operation {at}", (0, 2)


@contextmanager
def _full(n_bytes: int) -> Iterator[None]:
    """No file may become larger: as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _vanish(folder: Path, draws: random.Random) -> Callable[[str, str], None]:
    def act(_: str, path: str) -> None:
        files = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith(".lock")]
        if files:
            draws.choice(files).unlink()

    return act
