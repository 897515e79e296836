"""Progress of an experiment: a Rich bar on a terminal, plain lines elsewhere, nothing when quiet."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_EVERY_S = 10.0


def make_console() -> Console:
    """The terminal; without one there is no width to ask for, and tables need some."""
    return Console() if sys.stdout.isatty() else Console(width=110)


class RunProgress:
    """Shows one run after another; as a context manager it owns the bar."""

    def __init__(self, console: Console, n_runs: int, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._n_runs = n_runs
        self._n_done = 0
        self._label = ""
        self._total = 0
        self._started = self._last_line = 0.0
        self._bar: Progress | None = None
        self._task = None
        if console.is_terminal and not quiet:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )

    def __enter__(self) -> "RunProgress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._console.print(text, highlight=False)

    def start(self, arm: str, seed: int, n_accesses: int) -> None:
        """A run begins."""
        self._n_done += 1
        self._label = f"[{self._n_done}/{self._n_runs}] arm {arm}, seed {seed}"
        self._total = n_accesses
        self._started = self._last_line = time.monotonic()
        if self._bar is not None:
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._bar.add_task(self._escaped(), total=n_accesses, rate="")
        else:
            self.say(self._escaped())

    def _escaped(self) -> str:
        return self._label.replace("[", "\\[")

    def epoch(self, epoch: int, n_epochs: int, loss: float, top1_ratio: float) -> None:
        """An epoch of training is over."""
        text = f"training {epoch}/{n_epochs}: loss {loss:.3f}, top-1 {top1_ratio:.3f}"
        if self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, total=n_epochs, completed=epoch, rate=text)
            if epoch == n_epochs:
                self._bar.update(task, total=self._total, completed=0)
        elif epoch == n_epochs or epoch == 1:
            self.say(f"  {text}")
        self._started = time.monotonic()

    def accesses(self, n_done: int) -> None:
        """So many accesses of the run are simulated."""
        if n_done == 0:
            return
        now = time.monotonic()
        rate = n_done / max(now - self._started, 1e-9)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=n_done, rate=f"{rate:,.0f} accesses/s")
        elif now - self._last_line >= _LINE_EVERY_S:
            self._last_line = now
            left = (self._total - n_done) / max(rate, 1e-9)
            self.say(f"  {n_done:,} of {self._total:,} accesses, {rate:,.0f}/s, {left:.0f} s left")

    def finish(self, row: dict[str, object]) -> None:
        """A run is over."""
        if row.get("backend_trial"):
            self.say(f"  backend {row['backend']}: the fastest of {row['backend_trial']}")
        rate = float(str(row["n_accesses"])) / max(float(str(row["wall_s"])), 1e-9)
        self.say(f"{self._escaped()}: done in {float(str(row['wall_with_training_s'])):.1f} s ({rate:,.0f} accesses/s)")
