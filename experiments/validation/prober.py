"""Probes of the live cache under each arm: before and after its runs, on a store of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.config import Arm, Experiment
from experiments.making import make
from experiments.prepared import prepare
from experiments.results import KeptResults
from experiments.validation.caches import cache_of
from experiments.validation.pattern import Pattern, patterns_of
from experiments.validation.probing import Mix, probed, rare
from experiments.validation.standing_in import InPlace, Wanted
from experiments.validation.taken import Costs
from live import FileStore
from live.contents import fill
from live.driving import asking
from live.quietly import quietly
from simulator.accounting import RunResult, SoFar
from simulator.seeds import generator
from simulator.trace import READ

if TYPE_CHECKING:
    from rich.console import Console

    from live.driving import LiveEngine

MOST_BYTES = 512 << 20
_ACCESSES = 1000
_LEAST_KEYS = 64
_POOL = 4
"""The probe's keys are so many times what tier 0 has room for, or twice that for each client: keys are a client's own,
and while all others rest, those of one may be all that is there."""


class Prober:
    """What accesses take in the cache while an arm's policy is asked, at the pace and in the mix of the workload."""

    def __init__(self, experiment: Experiment, block: int, folder: Path, console: "Console") -> None:
        """Writes the blocks, and has the simulator say what of each arm's accesses hits, and how much is sent for."""
        self._experiment, self._block, self._path = experiment, block, folder / "probe"
        capacity = max(tier.capacity for tier in (experiment.system_of(arm).tiers[0] for arm in experiment.arms))
        most_keys = max(MOST_BYTES // block, _LEAST_KEYS)
        pool = max(_POOL, 2 * experiment.workload.source.build(experiment.seeds[0]).n_streams)
        # Smaller than the tier, if that is large: there must be blocks that it does not hold.
        self._capacity = max(min(capacity // block, most_keys // pool), 1)
        self._keys = range(max(pool * self._capacity, _LEAST_KEYS))
        store = FileStore(self._path, block)
        fill(store, self._keys)
        store.close()
        self._expected = folder / "expected"
        one = experiment.model_copy(update={"seeds": experiment.seeds[:1]})
        make(one, self._expected, console=console, quiet=True)
        # A cache that still has room writes nothing down.
        self._evicts = {
            row["arm"]: 2 * row["n_evicted"] >= row["n_miss"] + row["n_issued"]
            for row in KeptResults.open(self._expected).rows
        }
        self._n_probed = 0

    def probe(self, arm: Arm) -> Costs:
        """Measure it now."""
        experiment, block = self._experiment, self._block
        system, arrivals, seed = experiment.system_of(arm), experiment.workload.arrivals, experiment.seeds[0]
        assert arrivals.kind == "closed"
        self._n_probed += 1
        rng = generator(seed, "probe", str(self._n_probed))
        patterns, capacity = (
            patterns_of(self._expected, arm.name, seed, _ACCESSES, rng),
            system.tiers[0].capacity // block,
        )
        mix = Mix(
            patterns, arrivals.think, *self._room(arm.name, capacity, patterns),
            [link.channels for link in system.links],
        )  # fmt: skip
        wanted = Wanted({}, {})
        others = InPlace(prepare(experiment, arm, seed).built.policy, wanted)
        with quietly():
            return probed(
                lambda recorder, n: cache_of(system, FileStore(self._path, block), recorder, most_bytes=n * block),
                lambda cache: asking(others, cache, system.inference), mix, wanted, rng,
            )  # fmt: skip

    def _room(self, arm: str, capacity: int, patterns: Sequence[Pattern]) -> tuple[Sequence[int], int, int]:
        """Keys, how many of them come in before, and how much room there is: for no more, if blocks are evicted."""
        n_filled, keys = max(min(self._capacity, capacity), 1), self._keys[:capacity]
        n_absent = [pattern.n_absent for pattern in patterns]
        n_absent[0] += rare(patterns).n_absent
        if self._evicts[arm] or max(n_absent) > len(keys) // len(patterns) // 2:
            return self._keys, n_filled, n_filled
        return keys, max(len(keys) // _POOL, 1), capacity


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


def reads_of_request(experiment: Experiment) -> int:
    """How many blocks a request reads, in the mean."""
    batches = list(experiment.workload.source.build(experiment.seeds[0]).batches())
    n_reads = sum(int((batch.op == READ).sum()) for batch in batches)
    # Of all streams together a request may come in pieces: its own numbers tell.
    requests = {
        pair for batch in batches for pair in zip(batch.stream.tolist(), batch.request.tolist(), strict=True)
    }  # fmt: skip
    return max(round(n_reads / max(len(requests), 1)), 1)
