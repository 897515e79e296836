"""The tables of results as Arrow: what is large is a dataset, of which is read what is asked for."""

from collections.abc import Sequence
from typing import Any

from experiments.folder import OF_RUNS
from experiments.plan import Key
from experiments.results import KeptResults
from experiments.variants import KeptVariants
from simulator.errors import InputError
from tierfetch.plain import plain

_SMALL = ("runs", "comparisons", "attribution", "by_phase")
Names = str | Sequence[str] | None
Numbers = int | Sequence[int] | None


class ArrowTables:
    """The tables of a folder; those that grow with the trace are ``pyarrow.dataset.Dataset``.

    Of several variants they are the tables of all, with the columns ``variant`` and whatever the variants set
    differently; where a sweep made arms, its keys of these are columns, too.
    """

    def __init__(self, of: KeptResults | KeptVariants) -> None:
        self._of = of

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

    def dataset(self, table: str) -> Any:
        """Any table by its name, as a ``pyarrow.dataset.Dataset``: of large ones no file is opened until rows are read.

        Raises:
            InputError: there is no such table, or it is damaged.
        """
        import pyarrow.dataset as ds

        if table in _SMALL:
            return ds.dataset(self.whole(table))
        if table not in OF_RUNS:
            raise InputError(f"dataset: there is no {table!r}; expected one of {', '.join((*_SMALL, *OF_RUNS))}")
        return self.of_runs(table, None, None, None)

    def whole(self, table: str) -> Any:
        """A table over all runs. Raises InputError if it is not there, or damaged."""
        return self._of.table(table)

    def of_runs(self, table: str, arm: Names, seed: Numbers, repeat: Numbers, *, coded: bool = False) -> Any:
        """The files of the runs that are named, as one dataset; ``coded``: names as dictionaries, not as text.

        Raises:
            InputError: there are no such runs, or none of a name.
        """
        from experiments.datasets import dataset_of

        wanted = None if arm is None and seed is None and repeat is None else set(self._runs(arm, seed, repeat))
        return dataset_of(self._of.folder, table, self._of.parts(table, wanted), self._of.front, coded=coded)

    def _runs(self, arm: Names, seed: Numbers, repeat: Numbers) -> list[Key]:
        all_keys = keys = self._of.run_keys
        for place, (what, wanted) in enumerate((("arm", arm), ("seed", seed), ("repeat", repeat))):
            if wanted is None:
                continue
            there = list(dict.fromkeys(key[place] for key in all_keys))
            said = plain(wanted)
            names = said if isinstance(said, list) else [said]
            for name in names:
                if name not in there:
                    expected = ", ".join(map(str, there)) or "none"
                    raise InputError(f"{self._of.folder}: has no {what} {name!r}; expected one of {expected}")
            keys = [key for key in keys if key[place] in names]
        return keys
