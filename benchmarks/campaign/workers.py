"""Cases in processes of their own, each with a watchdog and a bound of memory."""

import multiprocessing
import os
import resource
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from benchmarks.campaign.case import Case, DefectError, Place

LONGEST_S = {"configs": 20, "traces": 20, "kept": 40, "faults": 150, "kills": 400}
"""Of a case, which is a call or two."""
_LONGEST_START_S = 600
_MEMORY = 3 << 30


@dataclass
class Tally:
    """What became of cases: how many by kind and outcome, seconds by kind, and what was found."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    defects: list[tuple[Case, str]] = field(default_factory=list)
    is_interrupted: bool = False


def _serve(pipe: Connection, folder: Path) -> None:
    """Cases, until nobody asks any more."""
    shared = folder / "shared"
    shared.mkdir(parents=True)
    os.environ["TIERFETCH_MODELS"] = str(folder / "models")
    ready: set[str] = set()
    with suppress(EOFError, BrokenPipeError):
        while True:
            case: Case = pipe.recv()
            module: Any = import_module(f"benchmarks.campaign.{case.kind}")
            if case.kind not in ready:
                module.prepare(shared)
                ready.add(case.kind)
                size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (size + _MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
            pipe.send("begins")
            pipe.send(one(module, case, folder / "case", shared))


def one(module: Any, case: Case, folder: Path, shared: Path) -> tuple[str, str]:
    """Run a case in an empty folder: its outcome, and what was found, if anything."""
    folder.mkdir()
    try:
        return module.run(case, Place(folder, shared)), ""
    except DefectError as error:
        return "found", str(error)
    except Exception:
        return "found", f"the campaign itself failed\n{traceback.format_exc()}"
    finally:
        shutil.rmtree(folder)


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    case: Case
    deadline: float
    began: float = 0.0


def run_cases(cases: Iterator[Case], folder: Path, n_jobs: int, show: Callable[[Tally], None]) -> Tally:
    """All cases, some at once, or those before an interrupt. ``show`` is told after each."""
    context = multiprocessing.get_context("spawn")
    tally, busy, n_started = Tally(), dict[Any, _Worker](), 0

    def begin(worker: _Worker | None) -> None:
        nonlocal n_started
        case = next(cases, None)
        if case is None:
            if worker is not None:
                worker.process.kill()
            return
        if worker is None:
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, folder / f"worker-{n_started}"))
            process.start()
            there.close()
            worker, n_started = _Worker(process, here, case, 0), n_started + 1
        worker.began, worker.case, worker.deadline = 0.0, case, time.monotonic() + _LONGEST_START_S
        worker.pipe.send(case)
        busy[worker.pipe] = worker

    def ended(worker: _Worker, outcome: str, found: str) -> None:
        del busy[worker.pipe]
        tally.outcomes[worker.case.kind, outcome] += 1
        tally.seconds[worker.case.kind] += int(1000 * (time.monotonic() - worker.began)) if worker.began else 0
        if found:
            tally.defects.append((worker.case, found))
        show(tally)

    try:
        for _ in range(n_jobs):
            begin(None)
        while busy:
            for pipe in wait(list(busy), 0.5):
                worker = busy[pipe]
                try:
                    said = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    if not worker.began:
                        raise RuntimeError(
                            f"{worker.case.kind}: nothing can be prepared; its traceback is above"
                        ) from None
                    ended(worker, "found", f"the process died: exit code {worker.process.exitcode}")
                    begin(None)
                    continue
                if said == "begins":
                    worker.began = time.monotonic()
                    worker.deadline = worker.began + LONGEST_S[worker.case.kind]
                else:
                    ended(worker, *said)
                    begin(worker)
            for worker in [one for one in busy.values() if time.monotonic() > one.deadline]:
                worker.process.kill()
                ended(worker, "found", f"took longer than {LONGEST_S[worker.case.kind]} s")
                begin(None)
    except KeyboardInterrupt:
        tally.is_interrupted = True
    finally:
        for worker in busy.values():
            worker.process.kill()
            worker.process.join()
    return tally
