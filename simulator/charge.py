"""What an inference costs on the simulated clock (rule R15)."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.policy import Decision

Charge = Callable[[Decision], int]


def measured(decision: Decision) -> int:
    """This very call's wall time."""
    return decision.host_ns


def fixed(ns: int) -> Charge:
    """The same for every inference; 0 is ``free``."""
    return lambda decision: ns


class Replay:
    """The latencies that an earlier run recorded, in order."""

    def __init__(self, recorded_ns: Sequence[int], source: str) -> None:
        self._recorded_ns = recorded_ns
        self._source = source
        self._n_used = 0

    def __call__(self, decision: Decision) -> int:
        """The next recorded latency. Raises InputError when there is none left."""
        if self._n_used == len(self._recorded_ns):
            raise InputError(
                f"{self._source}: holds {self._n_used} recorded inferences, but the run needs more: "
                "it was recorded from another run"
            )
        self._n_used += 1
        return self._recorded_ns[self._n_used - 1]

    def finish(self) -> None:
        """Raises InputError if latencies are left over: the recording was of another run."""
        if self._n_used != len(self._recorded_ns):
            raise InputError(
                f"{self._source}: holds {len(self._recorded_ns)} recorded inferences, but the run made "
                f"{self._n_used}: it was recorded from another run"
            )


def sampled(recorded_ns: npt.NDArray[np.int64], rng: np.random.Generator) -> Charge:
    """Drawn from recorded latencies with replacement."""
    return lambda decision: int(recorded_ns[rng.integers(len(recorded_ns))])
