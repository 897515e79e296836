"""The tables of results as Arrow: what is large is a dataset, of which is read what is asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.kept import Kept
from experiments.plan import Key
from experiments.results import read_with, table_of
from simulator.errors import InputError
from tierfetch.plain import plain

_WHY_NONE = {
    "training": "none of these policies was trained",
    "requests": "the config has no system.requests",
    "updates": "none of these policies went on learning, or output.inferences: false",
}
Names = str | Sequence[str] | None
Numbers = int | Sequence[int] | None


class ArrowTables:
    """The tables of an experiment's folder; those that grow with the trace are ``pyarrow.dataset.Dataset``."""

    def __init__(self, folder: Path, kept: Kept) -> None:
        self._folder, self._kept = folder, kept

    @property
    def runs(self) -> Any:
        """A row for each arm, seed and repeat, as a ``pyarrow.Table``."""
        return self.whole("runs")

    @property
    def comparisons(self) -> Any:
        """Each arm against the baseline, as a ``pyarrow.Table``."""
        return self.whole("comparisons")

    @property
    def attribution(self) -> Any:
        """Where the latency of each run went, as a ``pyarrow.Table``."""
        return self.whole("attribution")

    @property
    def by_phase(self) -> Any:
        """Each run by the phases of its workload, as a ``pyarrow.Table``."""
        return self.whole("by_phase")

    def accesses(self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None) -> Any:
        """Every access of the runs that are named, as a ``pyarrow.dataset.Dataset``."""
        return self.of_runs("accesses", arm, seed, repeat)

    def prefetches(self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None) -> Any:
        """Every prefetch that they issued, as a ``pyarrow.dataset.Dataset``."""
        return self.of_runs("prefetches", arm, seed, repeat)

    def inferences(self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None) -> Any:
        """Every question to their policies, as a ``pyarrow.dataset.Dataset``."""
        return self.of_runs("inferences", arm, seed, repeat)

    def transfers(self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None) -> Any:
        """Every block that went over a link, as a ``pyarrow.dataset.Dataset``."""
        return self.of_runs("transfers", arm, seed, repeat)

    def requests(self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None) -> Any:
        """Every request that had a life, as a ``pyarrow.dataset.Dataset``."""
        return self.of_runs("requests", arm, seed, repeat)

    def updates(self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None) -> Any:
        """Every update of a policy that went on learning, as a ``pyarrow.dataset.Dataset``."""
        return self.of_runs("updates", arm, seed, repeat)

    def windows(self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None) -> Any:
        """Their time series, as a ``pyarrow.dataset.Dataset``."""
        return self.of_runs("windows", arm, seed, repeat)

    def training(self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None) -> Any:
        """Every epoch of their training, as a ``pyarrow.dataset.Dataset``."""
        return self.of_runs("training", arm, seed, repeat)

    def whole(self, table: str) -> Any:
        """A table over all runs. Raises InputError if it is not there, or damaged."""
        return table_of(self._folder, table)

    def of_runs(self, table: str, arm: Names, seed: Numbers, repeat: Numbers) -> Any:
        """The files of the runs that are named, as one dataset. Raises InputError if there are none, or of a name."""
        import pyarrow.dataset as ds

        runs = self._runs(arm, seed, repeat)
        files = [
            self._folder / name
            for key in runs
            for name in sorted(self._kept.runs[key].files)
            if name.startswith(f"{table}/")
        ]
        if not files:
            why = _WHY_NONE.get(table, f"output.{table}: false")
            raise InputError(f"{self._folder}: keeps no {table} of these runs ({why})")
        for file in files:
            if not file.exists():
                raise InputError(f"{file}: is missing; run the experiment again to have it made")
        return read_with(files[0], lambda: ds.dataset([str(file) for file in files], format="parquet"))

    def _runs(self, arm: Names, seed: Numbers, repeat: Numbers) -> list[Key]:
        keys = list(self._kept.runs)
        for place, (what, wanted) in enumerate((("arm", arm), ("seed", seed), ("repeat", repeat))):
            if wanted is None:
                continue
            there = list(dict.fromkeys(key[place] for key in self._kept.runs))
            said = plain(wanted)
            names = said if isinstance(said, list) else [said]
            for name in names:
                if name not in there:
                    expected = ", ".join(map(str, there)) or "none"
                    raise InputError(f"{self._folder}: has no {what} {name!r}; expected one of {expected}")
            keys = [key for key in keys if key[place] in names]
        return keys
