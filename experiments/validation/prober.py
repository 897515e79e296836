"""Probes of the live cache under each arm: before and after its runs, on a store of its own."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.config import Arm, Experiment
from experiments.making import make
from experiments.prepared import prepare
from experiments.validation.caches import cache_of
from experiments.validation.compared import figures_of
from experiments.validation.probing import Costs, InPlace, probed
from live import FileStore
from live.clients import sleep_to_the_microsecond
from live.contents import fill
from live.driving import asking, switching_often
from simulator.accounting import RunResult, SoFar
from simulator.seeds import generator
from simulator.trace import READ, WRITE

if TYPE_CHECKING:
    from rich.console import Console

    from live.driving import LiveEngine

MOST_BYTES = 512 << 20
_ACCESSES = 1000
ACCESSES_OF_PROBE = _ACCESSES * 3 // 2
"""Alone, and half as many beside others."""
_LEAST_SHARE = 0.1
"""So many hits, and misses, are probed at least, to know them."""
_LEAST_KEYS = 64
_POOL = 4
"""The probe's keys are so many times what tier 0 has room for."""


class Prober:
    """What accesses take in the cache while an arm's policy is asked, at the pace and in the mix of the workload."""

    def __init__(self, experiment: Experiment, block: int, folder: Path, console: "Console") -> None:
        """Writes the blocks, and has the simulator say what of each arm's accesses hits, and how much is sent for."""
        self._experiment, self._block, self._path = experiment, block, folder / "probe"
        capacity = max(tier.capacity for tier in (experiment.system_of(arm).tiers[0] for arm in experiment.arms))
        most_keys = max(MOST_BYTES // block, _LEAST_KEYS)
        # Smaller than the tier, if that is large: there must be blocks that it does not hold.
        self._capacity = max(min(capacity // block, most_keys // _POOL), 1)
        self._keys = range(max(_POOL * self._capacity, _LEAST_KEYS))
        store = FileStore(self._path, block)
        fill(store, self._keys)
        store.close()
        one = experiment.model_copy(update={"seeds": experiment.seeds[:1]})
        make(one, folder / "expected", console=console, quiet=True)
        self._expected = {arm: found for (arm, _, _), found in figures_of(folder / "expected").items()}
        self._together, self._writes = reads_of_request(experiment), _writes(experiment)

    def probe(self, arm: Arm) -> Costs:
        """Measure it now."""
        experiment, block = self._experiment, self._block
        system, arrivals, seed = experiment.system_of(arm), experiment.workload.arrivals, experiment.seeds[0]
        assert arrivals.kind == "closed"
        policy = prepare(experiment, arm, seed).built.policy
        expected = self._expected[arm.name]
        capacity = max(min(self._capacity, system.tiers[0].capacity // block), 1)
        n_sent = expected["n_issued"] / max(expected["n_questions_answered"], 1)
        others = InPlace(policy, self._keys, n_sent, generator(seed, "probe", "sent"))
        sleep_to_the_microsecond()
        with switching_often():
            return probed(
                lambda recorder: cache_of(
                    system, FileStore(self._path, block), recorder, most_bytes=capacity * block
                ),
                lambda cache: asking(others, cache, system.inference), self._keys, capacity,
                max(link.channels for link in system.links), _ACCESSES, seed,
                partial(time.sleep, arrivals.think / 1e9), self._together,
                hit_share=min(max(expected["hit_ratio"], _LEAST_SHARE), 1 - _LEAST_SHARE), is_written=self._writes,
            )  # fmt: skip


class Around:
    """A live engine, with probes before and after its run: a machine of this minute is not that of the next."""

    def __init__(self, engine: "LiveEngine", probe: Callable[[], None]) -> None:
        self._engine, self._probe = engine, probe

    def run(self) -> RunResult:
        """Between two probes."""
        self._probe()
        found = self._engine.run()
        self._probe()
        return found

    def so_far(self, n_windows: int) -> SoFar:
        """Of the run."""
        return self._engine.so_far(n_windows)


def _writes(experiment: Experiment) -> bool:
    return any((batch.op == WRITE).any() for batch in experiment.workload.source.build(experiment.seeds[0]).batches())


def reads_of_request(experiment: Experiment) -> int:
    """How many blocks a request reads, in the mean."""
    batches = list(experiment.workload.source.build(experiment.seeds[0]).batches())
    n_reads = sum(int((batch.op == READ).sum()) for batch in batches)
    # Of all streams together a request may come in pieces: its own numbers tell.
    requests = {
        pair for batch in batches for pair in zip(batch.stream.tolist(), batch.request.tolist(), strict=True)
    }  # fmt: skip
    return max(round(n_reads / max(len(requests), 1)), 1)
