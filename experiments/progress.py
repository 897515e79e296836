"""Progress of an experiment: a Rich bar on a terminal and in a notebook, plain lines elsewhere, nothing when quiet."""

import errno
import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from experiments.notebook import NotebookProgress, in_notebook
from simulator.stores.copies import shown

if TYPE_CHECKING:
    from simulator.accounting import SoFar

_LINE_EVERY_S = 10.0
_DRAW_EVERY_S = 0.1
_LATELY_S, _LEAST_S = 30.0, 1.0


class _Terminal(Console):
    """Rich's console, but that output which nobody reads is an error like any other: Rich would end the process.

    What lies in an object store is called by its address, and not by the copy of it that is worked with.
    """

    def print(self, *objects: Any, **how: Any) -> None:
        """As Rich does."""
        super().print(*(shown(one) if isinstance(one, str) else one for one in objects), **how)

    def on_broken_pipe(self) -> None:
        """Raises BrokenPipeError."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def make_console() -> Console:
    """The terminal; without one there is no width to ask for, and tables need some. A notebook gets plain text."""
    if in_notebook():
        # Its output says that it is a terminal, and it has no cursor to move.
        return _Terminal(width=110, force_jupyter=False, force_terminal=False)
    return _Terminal() if sys.stdout.isatty() else _Terminal(width=110)


class _Bars(Progress):
    """Drawn as they are told of something: Rich's thread for that would take turns with the calls that are timed."""

    _drawn = 0.0

    def update(self, task_id: TaskID, **fields: Any) -> None:
        """Change a bar; it is drawn if that is a while ago."""
        super().update(task_id, **fields)
        if time.monotonic() - self._drawn >= _DRAW_EVERY_S:
            self._drawn = time.monotonic()
            self.refresh()


class OneRun:
    """What is shown of one run; of several at once, each has its own line."""

    def __init__(self, of_all: "RunProgress", label: str, n_accesses: int) -> None:
        self._of_all = of_all
        self._label = label
        self._total = n_accesses
        self._started = self._last_line = time.monotonic()
        # When how many accesses were done, of late: how fast it goes now, without the start.
        self._lately: deque[tuple[float, int]] = deque()
        self._task: TaskID | None = None
        self._enter()

    def _enter(self) -> None:
        """It has a bar from now on, or a line."""
        if self._of_all.bar is not None:
            self._task = self._of_all.bar.add_task(escape(self._label), total=self._total, rate="")
        else:
            self._of_all.say(self._label)

    @property
    def _is_told(self) -> bool:
        """Whether it is told of in lines."""
        return self._task is None

    def _line(self, text: str) -> None:
        self._of_all.say(f"  {self._label}: {text}" if self._of_all.n_at_once > 1 else f"  {text}")

    def _show(self, **what: Any) -> None:
        if self._of_all.bar is not None and self._task is not None:
            self._of_all.bar.update(self._task, **what)

    def _leave(self) -> None:
        if self._of_all.bar is not None and self._task is not None:
            self._of_all.bar.remove_task(self._task)

    def epoch(self, epoch: int, n_epochs: int, loss: float, top1_ratio: float) -> None:
        """An epoch of training is over."""
        text = f"training {epoch}/{n_epochs}: loss {loss:.3f}, top-1 {top1_ratio:.3f}"
        self._show(total=n_epochs, completed=epoch, rate=text)
        if epoch == n_epochs:
            self._show(total=self._total, completed=0)
        if self._is_told and epoch in (1, n_epochs):
            self._line(text)
        self._lately.clear()

    def accesses(self, n_done: int, so_far: "SoFar | None" = None) -> None:
        """So many accesses of the run are simulated; where somebody watches, what they have come to."""
        if n_done == 0:
            return
        now = time.monotonic()
        self._lately.append((now, n_done))
        while now - self._lately[0][0] > _LATELY_S:
            self._lately.popleft()
        began, n_before = self._lately[0]
        rate = (n_done - n_before) / (now - began) if now - began >= _LEAST_S else None
        self._show(completed=n_done, rate="" if rate is None else f"{rate:,.0f} accesses/s")
        if self._is_told and now - self._last_line >= _LINE_EVERY_S:
            self._last_line = now
            text = f", {rate:,.0f}/s, {(self._total - n_done) / rate:.0f} s left" if rate else ""
            self._line(f"{n_done:,} of {self._total:,} accesses{text}")

    def said(self, text: str) -> None:
        """Something that takes long, on the way."""
        self._of_all.say(f"{self._label}: {text}")

    def died(self, how: str, *, again: bool) -> None:
        """Its process ended without a result."""
        self._leave()
        self._of_all.say(f"{self._label}: its process died ({how})" + ("; once more" if again else ""))

    def failed(self) -> None:
        """It ended with an error of code from outside, which is told at the end."""
        self._leave()
        self._of_all.say(f"{self._label}: failed")

    def finish(self, row: Mapping[str, Any] | None) -> None:
        """A run is over, or, without a row, the training ahead of one."""
        self._leave()
        if row is None:
            self._of_all.say(f"{self._label}: done in {time.monotonic() - self._started:.1f} s")
            return
        if row.get("backend_trial"):
            self._of_all.say(f"  backend {row['backend']}: the fastest of {row['backend_trial']}")
        took = row["wall_with_training_s"]
        if row.get("engine") == "live":
            # At the clients' own pace, and perhaps with probes around it: so many a second would say nothing.
            self._of_all.say(f"{self._label}: done in {took:.1f} s")
            return
        rate = self._total / max(row["wall_s"], 1e-9)
        before = f"; {took - row['wall_s']:.1f} s before" + (" with training" if row.get("train_s") else "")
        self._of_all.say(f"{self._label}: done in {took:.1f} s ({rate:,.0f} accesses/s simulated{before})")


class RunProgress:
    """Shows runs, one after another or side by side; as a context manager it owns the bars."""

    watches = False
    """Whether it is to be told what runs have come to while they go on."""

    def __init__(
        self, console: Console, n_runs: int = 0, *, quiet: bool, n_at_once: int = 1,
        within: "RunProgress | None" = None, name: str = "",
    ) -> None:  # fmt: skip
        """``within``: that of several experiments, of which one is called ``name``, and whose bars it takes."""
        self._console = console
        self._quiet = quiet
        self._n_runs = n_runs
        self._n_started = 0
        self._within, self._name = within, f"{name}: " if name else ""
        self.n_at_once = n_at_once
        self.bar: Progress | None = None
        if not quiet:
            self.bar = self._made() if within is None else within.bar

    def _made(self) -> Progress | None:
        """Bars where they can be drawn."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        if self._console.is_terminal:
            return _Bars(*columns, console=self._console, transient=True, auto_refresh=False)
        return NotebookProgress(*columns) if in_notebook() else None

    def __enter__(self) -> "RunProgress":
        if self.bar is not None and self._within is None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None and self._within is None:
            self.bar.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._within is not None:
            self._within.say(f"{self._name}{text}")
        elif not self._quiet:
            self._console.print(text, highlight=False, markup=False)

    def expect(self, n_runs: int) -> None:
        """So many runs are to be made."""
        self._n_runs = n_runs

    def has(self, row: Mapping[str, Any]) -> None:
        """A run was finished before, and is kept."""

    def start(self, run: str, n_accesses: int, *, arm: str = "", is_again: bool = False) -> OneRun:
        """A run begins; one that begins again keeps the count as it is."""
        self._n_started += not is_again
        return self._shown(f"[{self._n_started}/{self._n_runs}] {run}", n_accesses, arm)

    def start_training(self, run: str, *, arm: str = "") -> OneRun:
        """The training of a run's model begins, ahead of it."""
        return self._shown(f"training ahead: {run}", 0, arm)

    def _shown(self, label: str, n_accesses: int, arm: str) -> OneRun:
        return OneRun(self, label, n_accesses)
