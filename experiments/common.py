"""What the experiments of a sweep have in common while their runs go side by side."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.aside import discard
from experiments.config import Arm, Experiment
from experiments.shared import SharedTrace, share_all
from simulator.trace import Workload

_IDLE_BYTES = 16 << 30
"""So much of traces is kept that no experiment under way needs, and others to come may."""
_Key = tuple[str, int | None, str]


class Common:
    """Traces, each written once; digests of trace files; what is compiled."""

    def __init__(
        self, shared: Path, experiments: Iterable[Experiment], n_at_once: int, n_attempts: int, stop: Callable[[], None]
    ) -> None:
        """``shared`` is a folder for traces, of this command alone; ``experiments`` are those to come.

        ``stop`` ends all that is being made: before what went wrong in one is cleared up.
        """
        self.shared, self.n_at_once, self.n_attempts, self.stop = shared, n_at_once, n_attempts, stop
        of_all = list(experiments)
        self._to_come = Counter(source_of(experiment) for experiment in of_all)
        # By the experiment, which lives as long: processes import what they need once for the whole sweep.
        self._sources = {id(experiment): _outside(experiment) for experiment in of_all}
        self._needed = Counter[_Key]()
        self._traces: dict[_Key, SharedTrace] = {}
        self._read: dict[_Key, Workload] = {}
        self._n_made = 0
        self._digests: dict[Path, tuple[tuple[int, ...], str]] = {}
        self._compiled = set[str]()

    def sha256(self, path: Path) -> str:
        """Of a trace file: read once, while it stays as it is. Raises InputError if it cannot be read."""
        from workloads.readers.files import sha256

        try:
            stat = path.stat()
        except OSError:
            return sha256(path)
        now = stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
        before, digest = self._digests.get(path, ((), ""))
        if before != now:
            digest = sha256(path)
            self._digests[path] = now, digest
        return digest

    def read(self, experiment: Experiment, seed: int, files: Mapping[str, str]) -> Workload | None:
        """A trace in files, whose length may be known from reading it once; ``files`` as in ``traces_of``."""
        if not files:
            return None
        source = experiment.workload.source
        key = source_of(experiment), seed if source.depends_on_seed else None, str(sorted(files.values()))
        if key not in self._read:
            self._read[key] = source.build(seed)
        return self._read[key]

    def sources_of(self, experiment: Experiment, arm: Arm) -> list[str]:
        """Hashes of what an arm's settings name outside of the config, as they were before the sweep began."""
        return self._sources[id(experiment)].get(arm.name, [])

    def compile(self, evictions: Sequence[Any]) -> None:
        """What the simulator runs on is compiled, so that processes find it."""
        from experiments.warm import compile_core

        new = {repr(one): one for one in evictions if repr(one) not in self._compiled}
        if new:
            compile_core(new.values())
            self._compiled.update(new)

    @contextmanager
    def traces_of(
        self, experiment: Experiment, seeds: Sequence[int], files: Mapping[str, str]
    ) -> Iterator[dict[int, SharedTrace]]:
        """The trace of each seed, for as long as it is entered. Raises InputError if it is bad.

        ``files`` has the SHA-256 of each trace file.
        """
        source, content = source_of(experiment), str(sorted(files.values()))
        by_seed = {s: (source, s if experiment.workload.source.depends_on_seed else None, content) for s in seeds}
        self._needed.update(set(by_seed.values()))
        try:
            missing = [seed for seed, key in by_seed.items() if key not in self._traces]
            if missing:
                self._n_made += 1
                made = share_all(
                    experiment.workload.source, missing, self.shared / str(self._n_made), self.n_at_once
                )  # fmt: skip
                self._traces.update({by_seed[seed]: trace for seed, trace in made.items()})
            yield {seed: self._traces[key] for seed, key in by_seed.items()}
        finally:
            self._needed.subtract(set(by_seed.values()))
            self._remove_idle()

    def begins(self, experiment: Experiment) -> None:
        """An experiment is no longer one to come."""
        self._to_come[source_of(experiment)] -= 1

    def _remove_idle(self) -> None:
        """Traces that are of no more use; and of those that may be of use again, the oldest where they are large."""
        room = _IDLE_BYTES
        for key in [key for key in reversed(self._traces) if self._needed[key] <= 0]:
            room -= self._traces[key].n_bytes
            if self._to_come[key[0]] <= 0 or room < 0:
                self._traces.pop(key).remove()

    def close(self) -> None:
        """The traces go."""
        discard(self.shared)


def _outside(experiment: Experiment) -> dict[str, list[str]]:
    """By the arm's name, of those whose settings name any."""
    from experiments.single import sources_of

    found = {arm.name: sources_of(experiment, arm) for arm in experiment.arms}
    return {name: sources for name, sources in found.items() if sources}


def source_of(experiment: Experiment) -> str:
    """Tells sources of traces apart."""
    return experiment.workload.source.model_dump_json()
