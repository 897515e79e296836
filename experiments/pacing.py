"""What a question takes at each pace, from a short trial beside a measured run: back to back, after pauses, cold."""

from collections.abc import Callable

import numpy as np

from experiments.charges import AnyCharge, Measured, Pace
from experiments.recording import Recording
from experiments.seal import PACED_BY
from simulator.accounting import Books, RunResult
from simulator.paced import Between, OtherWork, Pause
from simulator.policy import Decision

PACES: tuple[Pace, ...] = ("back_to_back", "simulated", "cold")
_ROUNDS, _OF_ROUND = 4, 5
COLUMNS = ("inference_pause_ns", *(f"{q}_inference_{pace}_ns" for pace in PACES for q in ("p50", "p99")))


def probed(ask: Callable[[], Decision], charge: Measured, pause_ns: int) -> dict[str, int]:
    """Medians and 99 % quantiles, by the clock that is charged; paces take turns, so that all see the same machine.

    ``pause_ns`` comes before each question of ``simulated``, cut to the longest of the charge.
    """
    pause_ns = min(pause_ns, charge.longest)
    between: dict[Pace, Between | None] = {
        "back_to_back": None, "simulated": Pause(charge.longest), "cold": OtherWork(charge.touched),
    }  # fmt: skip
    times: dict[Pace, list[int]] = {pace: [] for pace in PACES}
    for _ in range(_ROUNDS):
        for pace, before in between.items():
            # After the pace before, the first is asked at none.
            ask()
            for _ in range(_OF_ROUND):
                if before is not None:
                    before.answered()
                    before(pause_ns)
                decision = ask()
                times[pace].append(decision.host_ns if charge.clock == "wall" else decision.cpu_ns)
    found = [int(np.quantile(times[pace], q, method="inverted_cdf")) for pace in PACES for q in (0.5, 0.99)]
    return dict(zip(COLUMNS, (pause_ns, *found), strict=True))


def mean_pause_ns(books: Books, result: RunResult, usual_ns: int) -> int:
    """The simulated time from an answer to the next question, on average; ``usual_ns`` where nothing was asked."""
    charged = books.questions.charged
    return max(round(result.end_ns / charged.n - charged.mean()), 0) if charged.n else usual_ns


def columns_of(
    charge: AnyCharge, ask: Callable[[], Decision] | None, books: Books, result: RunResult
) -> dict[str, int | None]:
    """Columns of ``runs``: null where nothing is measured, or there is no question that changes nothing."""
    if isinstance(charge, Measured) and ask is not None:
        return {**probed(ask, charge, mean_pause_ns(books, result, charge.longest))}
    return dict.fromkeys(COLUMNS)


def said_of(charge: AnyCharge, recording: Recording | None) -> dict[str, str]:
    """At which pace and by which clock the latencies were measured, here or where they were recorded; empty if none."""
    if isinstance(charge, Measured):
        return {"charge_pace": charge.pace, "charge_clock": charge.clock}
    recorded = {} if recording is None else recording.metadata
    return {name: recorded[name] for name in PACED_BY if name in recorded}
