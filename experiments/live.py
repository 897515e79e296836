"""``--live``: how every arm stands while its runs go on, drawn again and again in one place of the terminal.

It is drawn as it is told of something, as the bars are: a thread that draws would take turns with calls that are timed.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import Progress
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from experiments.bars import OUTCOMES, draws_blocks, line
from experiments.progress import OneRun, RunProgress
from experiments.report import number_text

if TYPE_CHECKING:
    from simulator.accounting import SoFar

_DRAW_EVERY_S = 0.25
_BAR, _LINE, _NARROW = 10, 24, 100
_FRAME = 7
"""Lines that are no arm's: the title, the table's head and lines, and what is left out."""
_TITLES = ("arm", "runs", "", "accesses/s", "hit\nratio", "mean\nlatency", "its windows")
_HITS = 2
"""The first outcomes are those of hits."""


@dataclass
class _Sums:
    """Of accesses that are judged: their outcomes and the sum of their latencies."""

    n_outcomes: list[int] = field(default_factory=lambda: [0] * len(OUTCOMES))
    latency_ns: int = 0

    def add(self, n_outcomes: Iterable[int], latency_ns: int) -> None:
        self.n_outcomes = [a + b for a, b in zip(self.n_outcomes, n_outcomes, strict=True)]
        self.latency_ns += latency_ns


@dataclass
class _Arm:
    """What is known of an arm: sums of its finished runs, and the runs that go on."""

    n_done: int = 0
    n_failed: int = 0
    done: _Sums = field(default_factory=_Sums)
    last: list[float] = field(default_factory=list)
    last_rate: str = ""
    going: list["LiveRun"] = field(default_factory=list)
    last_at: float = 0.0

    def sums(self) -> _Sums:
        """Of all of them."""
        found = _Sums()
        found.add(self.done.n_outcomes, self.done.latency_ns)
        for run in self.going:
            if run.so_far is not None:
                found.add(run.so_far.n_outcomes, run.so_far.latency_ns)
        return found


class LiveRun(OneRun):
    """A run among those of its arm."""

    def __init__(self, of_all: "LiveProgress", label: str, n_accesses: int, arm: str) -> None:
        self._live, self._arm = of_all, arm
        self.so_far: SoFar | None = None
        self.completed, self.total, self.said_of_it = 0, n_accesses, ""
        super().__init__(of_all, label, n_accesses)

    def _enter(self) -> None:
        self._live.of(self._arm).going.append(self)
        self._live.draw()

    @property
    def _is_told(self) -> bool:
        return False

    def _show(self, **what: Any) -> None:
        self.total = what.get("total", self.total)
        self.completed = what.get("completed", self.completed)
        self.said_of_it = what.get("rate", self.said_of_it).removesuffix(" accesses/s")
        self._live.draw()

    def _leave(self) -> None:
        arm = self._live.of(self._arm)
        arm.going.remove(self)
        arm.last = self.so_far.windows if self.so_far is not None else arm.last

    def accesses(self, n_done: int, so_far: "SoFar | None" = None) -> None:
        """So many are simulated, and have come to this."""
        self.so_far = so_far or self.so_far
        super().accesses(n_done)

    def failed(self) -> None:
        """It ended with an error of code from outside."""
        self._live.of(self._arm).n_failed += 1
        super().failed()

    def finish(self, row: Mapping[str, Any] | None) -> None:
        """It is over; what its row says is the arm's."""
        super().finish(row)
        if row is not None:
            self._live.has(row)
        self._live.draw(at_once=True)


class LiveProgress(RunProgress):
    """Shows all arms at once."""

    watches = True

    def __init__(self, console: Console, name: str, n_runs: Mapping[str, int], *, n_at_once: int = 1) -> None:
        """``n_runs``: how many each arm has, in the order in which they are shown."""
        super().__init__(console, quiet=False, n_at_once=n_at_once)
        self._name, self._n_of = name, dict(n_runs)
        self._arms = {arm: _Arm() for arm in n_runs}
        self._began, self._drawn = time.monotonic(), 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def _made(self) -> Progress | None:
        return None

    def __enter__(self) -> "LiveProgress":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # It gives the cursor back, whatever has come.
        self._live.stop()

    def of(self, arm: str) -> _Arm:
        """What is known of an arm."""
        return self._arms[arm]

    def has(self, row: Mapping[str, Any]) -> None:
        """A run is over: now, or before."""
        arm = self._arms[row["arm"]]
        arm.n_done += 1
        arm.last_at = time.monotonic()
        arm.last_rate = f"{row['n_accesses'] / max(row['wall_s'], 1e-9):,.0f}"
        arm.done.add([row[name] for name in OUTCOMES], row["latency_sum_ns"])

    def _shown(self, label: str, n_accesses: int, arm: str) -> OneRun:
        return LiveRun(self, label, n_accesses, arm)

    def draw(self, *, at_once: bool = False) -> None:
        """Draw it, if that is a while ago."""
        now = time.monotonic()
        if at_once or now - self._drawn >= _DRAW_EVERY_S:
            self._drawn = now
            self._live.update(self.view(), refresh=True)

    def view(self) -> RenderableType:
        """All that is drawn."""
        room = max(self._console.height - _FRAME, 1)
        # Of more arms than there are lines: those that run, then those that were finished last.
        latest = sorted(self._arms, key=lambda arm: (not self._arms[arm].going, -self._arms[arm].last_at))[:room]
        shown = [arm for arm in self._arms if arm in latest]
        table = Table()
        titles = _TITLES if self._console.width >= _NARROW else _TITLES[:-1]
        for title in titles:
            is_left = title in (_TITLES[0], _TITLES[-1])
            table.add_column(title, justify="left" if is_left else "right", overflow="fold")
        for name in shown:
            table.add_row(*self._cells(name)[: len(titles)])
        n_done, n_runs = (
            sum(n) for n in zip(*((self._arms[a].n_done, self._n_of[a]) for a in self._arms), strict=True)
        )
        took = time.monotonic() - self._began
        title = f"{self._name}: {n_done} of {n_runs} runs done; {took // 60:.0f}:{took % 60:02.0f}"
        left_out = len(self._arms) - len(shown)
        return Group(Text(title), table, *([Text(f"and {left_out} more arms")] if left_out else []))

    def _cells(self, name: str) -> list[RenderableType]:
        arm, n_runs = self._arms[name], self._n_of[name]
        sums = arm.sums()
        n = sum(sums.n_outcomes)
        at_work = sum(run.completed / run.total for run in arm.going if run.total)
        ratio = sum(sums.n_outcomes[:_HITS]) / n if n else None
        latency = number_text(sums.latency_ns / n if n else None, "time")
        windows = next((run.so_far.windows for run in arm.going if run.so_far is not None), arm.last)
        drawn = line(windows, _LINE) if draws_blocks(self._console) else ""
        return [
            Text(name),
            f"{arm.n_done}/{n_runs}" + (f", {arm.n_failed} failed" if arm.n_failed else ""),
            ProgressBar(
                total=n_runs, completed=arm.n_done + arm.n_failed + at_work, width=_BAR, complete_style="cyan",
                finished_style="green",
            ),
            Text("\n".join(run.said_of_it for run in arm.going if run.said_of_it) or arm.last_rate),
            number_text(ratio, "ratio"), latency, drawn,
        ]  # fmt: skip


def live_or_lines(console: Console, name: str, n_runs: Mapping[str, int], *, n_at_once: int) -> RunProgress:
    """The view, or what is shown without it where nothing can be drawn in its place again."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveProgress(console, name, n_runs, n_at_once=n_at_once)
    console.print("--live: this is no terminal that can be drawn on; lines instead", highlight=False)
    return RunProgress(console, quiet=False, n_at_once=n_at_once)
