"""A measured charge at a pace of its own: what goes on in the real world before a question is asked (rule R15).

A simulation asks one question after another, with clocks up and weights in the nearest cache. What it simulates asks
now and then, and does other work in between. So a seeded share of the questions is asked after a pause or after other
work, and charged what it took then; the others are asked back to back, and charged what one of those took that were
like them: as many questions at once, after a gap of like length.
"""

import os
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from simulator.charge import Cost
from simulator.errors import InputError
from simulator.policy import Decision

FIRST = 32
"""So many of each kind are paced, whatever the share, before there is one to draw from."""
_LEAST_SLEEP_NS = 100_000


class Between(Protocol):
    """What comes between two questions."""

    def kind(self, gap_ns: int) -> int:
        """Which gaps are alike."""
        ...

    def is_over(self, gap_ns: int) -> bool:
        """Whether nothing is left to do before a question that comes so long after the last answer."""
        ...

    def __call__(self, gap_ns: int) -> None:
        """Do it."""
        ...

    def answered(self) -> None:
        """An answer is there: from now on time passes."""
        ...


class Pause:
    """The gap passes in the real world, up to ``longest_ns``: asleep, where it is long enough to fall asleep."""

    def __init__(self, longest_ns: int) -> None:
        self._longest_ns = longest_ns
        self._since_ns = 0

    def kind(self, gap_ns: int) -> int:
        """Gaps between the same two powers of two."""
        return min(gap_ns, self._longest_ns).bit_length()

    def is_over(self, gap_ns: int) -> bool:
        """Whether it has passed while the simulation went on."""
        return time.perf_counter_ns() - self._since_ns >= min(gap_ns, self._longest_ns)

    def __call__(self, gap_ns: int) -> None:
        """Wait for what is left of it."""
        end_ns = self._since_ns + min(gap_ns, self._longest_ns)
        left_ns = end_ns - time.perf_counter_ns()
        if left_ns >= _LEAST_SLEEP_NS:
            time.sleep(left_ns / 1e9)
        while time.perf_counter_ns() < end_ns:
            pass

    def answered(self) -> None:
        """The gap begins."""
        self._since_ns = time.perf_counter_ns()


class OtherWork:
    """So many bytes are read and written, however long the gap: caches and branch predictors hold what that needs."""

    def __init__(self, n_bytes: int) -> None:
        """Raises InputError if the machine has not so much memory."""
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else n_bytes
        if n_bytes > there:
            raise InputError(f"touched: {n_bytes:,} B is more than this machine's memory, {there:,} B; expected less")
        self._n_bytes = n_bytes
        self._touched = np.zeros(0, np.int64)

    def kind(self, gap_ns: int) -> int:
        """All are alike."""
        return 0

    def is_over(self, gap_ns: int) -> bool:
        """It is never done yet."""
        return False

    def __call__(self, gap_ns: int) -> None:
        """Touch them all."""
        if not len(self._touched):
            self._touched = np.ones(-(-self._n_bytes // 8), np.int64)
        self._touched += 1

    def answered(self) -> None:
        """It does not matter when."""


class paced:  # noqa: N801 - made like the other charges
    """What a question took after what came ``between``, by the clock that ``reading`` reads."""

    def __init__(
        self, between: Between, reading: Callable[[Decision], Cost], share: float, rng: np.random.Generator
    ) -> None:
        self._between, self._reading, self._share, self._rng = between, reading, share, rng
        self._seen: dict[tuple[int, int], list[int]] = {}
        self._of_kind: list[int] = []
        self._is_own = self._is_kept = True
        self._now_ns = self._answered_ns = 0
        self.n_paced = 0
        """How many batches were charged what they took themselves."""

    def before(self, now_ns: int, n_questions: int) -> None:
        """A batch is about to be put at this simulated time: whether it is paced is drawn, and the pace kept."""
        gap_ns = max(now_ns - self._answered_ns, 0)
        self._now_ns = now_ns
        self._of_kind = self._seen.setdefault((n_questions, self._between.kind(gap_ns)), [])
        is_drawn = self._rng.random() < self._share
        is_over = self._between.is_over(gap_ns)
        # What has passed anyway costs nothing to wait for; but it is not drawn from, as it took no such wait.
        self._is_kept = not is_over and (is_drawn or len(self._of_kind) < FIRST)
        self._is_own = is_over or self._is_kept
        if self._is_kept:
            self._between(gap_ns)

    def __call__(self, decision: Decision) -> Cost:
        """What it took itself if it was paced, else what one took that was."""
        cost = self._reading(decision)
        self.n_paced += self._is_own
        if self._is_kept:
            self._of_kind.append(cost.charged_ns)
        elif not self._is_own:
            cost = cost._replace(charged_ns=self._of_kind[int(self._rng.integers(len(self._of_kind)))])
        self._answered_ns = max(self._answered_ns, self._now_ns + cost.charged_ns)
        self._between.answered()
        return cost
