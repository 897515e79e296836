"""Commands that are killed at random moments and run again: the results are those of one that was not."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.campaign.case import Case, DefectError, Place
from benchmarks.campaign.commands import Ended, call, expect, finish, start
from benchmarks.campaign.folders import asides, check_books, differences
from experiments.folder import LOCK
from tests.test_experiment import config, write

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MOST_KILLS = 3


def experiment() -> dict[str, Any]:
    """Two arms with three seeds on the slow engine: runs that take long enough to be killed within."""
    arms = [{"name": "none", "policy": {"kind": "none"}}, {"name": "next_n", "policy": {"kind": "next_n"}}]
    content = config(name="killed", arms=arms, seeds=[0, 1, 2], engine="simpy")
    content["workload"]["source"]["accesses"] = 3000
    return content


def prepare(shared: Path) -> None:
    """Results of a command that nobody kills."""
    folder = shared / "kills"
    folder.mkdir()
    expect(call("experiments.run", write(folder, experiment()), "--out", folder / "out"), 0)


def run(case: Case, place: Place) -> str:
    """One experiment, killed up to three times."""
    draws = case.draws()
    path, out = place.shared / "kills" / "config.yaml", place.case / "out"
    jobs = draws.choice([1, 2])
    n_kills = draws.choice([1, 1, 2, MOST_KILLS])
    done: list[str] = []
    try:
        for _ in range(n_kills):
            number, to_group, delay_s = draws.choice(SIGNALS), draws.random() < 0.5, draws.uniform(0, 1.5)
            # By its lock a command is told to have begun; until then an interrupt is Python's.
            (out / LOCK).unlink(missing_ok=True)
            ended = _killed(
                start("experiments.run", path, "--out", out, "--jobs", jobs), out, number, delay_s, to_group=to_group
            )
            done.append(f"{number.name} to {'all' if to_group else 'one'} after {delay_s:.2f} s: {ended.code}")
            # One that was over before is no failure. Python itself ends with SIGINT, once our line is said, where an
            # interrupt of either kind came while it executed text, as imports of data classes do.
            is_told = number != signal.SIGKILL
            code = 128 + number if is_told and ended.code == -signal.SIGINT else ended.code
            if code not in (0, 128 + number if is_told else -number):
                raise DefectError(f"exit code {code}\n{ended}")
            if is_told:
                expect(replace(ended, code=code), 0, 130, 143)
        expect(call("experiments.run", path, "--out", out), 0)
        if differ := differences(out, place.shared / "kills" / "out"):
            raise DefectError(f"other results: {differ}")
        if asides(out):
            raise DefectError(f"left half-written: {asides(out)}")
        check_books(out, 6)
    except DefectError as error:
        raise DefectError(f"--jobs {jobs}; {'; '.join(done)}: {error}") from None
    return f"killed {n_kills} times, --jobs {jobs}"


def _killed(process: Any, out: Path, number: signal.Signals, delay_s: float, *, to_group: bool) -> Ended:
    """Send a signal, a while after the command has begun with its folder; how it ended."""
    deadline = time.monotonic() + 60
    while not (out / LOCK).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(delay_s)
    if process.poll() is None:
        (os.killpg if to_group else os.kill)(process.pid, number)
    return finish(process)
