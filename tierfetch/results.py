"""The results of an experiment, as pandas and as Arrow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.results import KeptResults
from experiments.stores.chosen import here
from experiments.variants import KeptVariants, opened
from simulator.errors import InputError
from tierfetch.arrow import ArrowTables, Names, Numbers
from tierfetch.plain import frame_of

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]


@dataclass(frozen=True)
class Best:
    """The arm with the lowest mean latency; ``level`` are those that are not shown to be slower."""

    arm: str
    mean_latency_ns: float
    level: tuple[str, ...]
    text: str

    @property
    def is_settled(self) -> bool:
        """Whether all others are shown to be slower."""
        return not self.level

    def __str__(self) -> str:
        return self.text


class Results:
    """What an experiment's folder keeps; ``docs/metrics.md`` defines every column.

    Tables are read when they are asked for. ``arrow`` has the same tables as Arrow.
    """

    def __init__(self, kept: KeptResults) -> None:
        """``open`` makes them."""
        self.folder = kept.folder
        self._kept = kept
        self.arrow = ArrowTables(kept)
        self.variants: Mapping[str, Results] = {}
        """Each by itself, of a folder with several variants."""

    @classmethod
    def open(cls, folder: "str | PathLike[str]") -> "Results":
        """The results in a folder, of an experiment that was run to its end or not; or of its variants, below it.

        What lies in an object store, ``s3://bucket/name``, is copied to this machine first, and checked.

        Raises:
            InputError: there are none, or what says which is damaged.
        """
        found = opened(here(Path(folder)))
        if isinstance(found, KeptVariants):
            from tierfetch.variants import VariantResults

            return VariantResults(found)
        return cls(found)

    @property
    def name(self) -> str:
        """What the experiment is called."""
        return self._kept.name

    @property
    def arms(self) -> list[str]:
        """The arms with a finished run, as the experiment has them in order."""
        return list(dict.fromkeys(key[0] for key in self._kept.kept.runs))

    @property
    def seeds(self) -> list[int]:
        """The seeds with a finished run."""
        return sorted({key[1] for key in self._kept.kept.runs})

    @property
    def baseline(self) -> str:
        """The arm that the others are compared with."""
        return self._kept.baseline

    @property
    def runs(self) -> "pd.DataFrame":
        """A row for each arm, seed and repeat: every metric."""
        return frame_of(self.arrow.runs)

    @property
    def comparisons(self) -> "pd.DataFrame":
        """Each arm against the baseline: difference, interval, verdict."""
        return frame_of(self.arrow.comparisons)

    @property
    def attribution(self) -> "pd.DataFrame":
        """Where the latency of each run went, link by link."""
        return frame_of(self.arrow.attribution)

    @property
    def by_phase(self) -> "pd.DataFrame":
        """Each run by the phases of its workload. Raises InputError if that has none."""
        return frame_of(self.arrow.by_phase)

    def dataset(self, table: str) -> Any:
        """Any table by its name as a ``pyarrow.dataset.Dataset``, which pandas, Polars and DuckDB read.

        Of the large ones no file is opened before rows are asked for, and then only those of the variants, arms and
        seeds that a filter leaves.

        Args:
            table: ``runs``, ``comparisons``, ``accesses``, ``prefetches`` or another one of ``docs/metrics.md``.

        Raises:
            InputError: there is no such table, or it is damaged.
        """
        return self.arrow.dataset(table)

    def accesses(
        self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None, *, columns: Sequence[str] | None = None
    ) -> "pd.DataFrame":
        """Every access of the runs that are named, by default of all, in order of arms, seeds and repeats.

        Args:
            arm: The name of one arm, or of several.
            seed: One seed, or several.
            repeat: One repeat, or several, where latencies were measured several times.
            columns: Only these.

        Raises:
            InputError: there is no such run, or the config keeps no such table.
        """
        return self._of_runs("accesses", arm, seed, repeat, columns)

    def prefetches(
        self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None, *, columns: Sequence[str] | None = None
    ) -> "pd.DataFrame":
        """Every prefetch that was issued, as ``accesses``."""
        return self._of_runs("prefetches", arm, seed, repeat, columns)

    def inferences(
        self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None, *, columns: Sequence[str] | None = None
    ) -> "pd.DataFrame":
        """Every question to a policy, as ``accesses``."""
        return self._of_runs("inferences", arm, seed, repeat, columns)

    def transfers(
        self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None, *, columns: Sequence[str] | None = None
    ) -> "pd.DataFrame":
        """Every block that went over a link (``output.transfers``), as ``accesses``."""
        return self._of_runs("transfers", arm, seed, repeat, columns)

    def requests(
        self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None, *, columns: Sequence[str] | None = None
    ) -> "pd.DataFrame":
        """Every request that had a life, as ``accesses``."""
        return self._of_runs("requests", arm, seed, repeat, columns)

    def updates(
        self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None, *, columns: Sequence[str] | None = None
    ) -> "pd.DataFrame":
        """Every update of a policy that went on learning, as ``accesses``."""
        return self._of_runs("updates", arm, seed, repeat, columns)

    def windows(
        self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None, *, columns: Sequence[str] | None = None
    ) -> "pd.DataFrame":
        """The time series, a row for each window of accesses, as ``accesses``."""
        return self._of_runs("windows", arm, seed, repeat, columns)

    def training(
        self, arm: Names = None, seed: Numbers = None, repeat: Numbers = None, *, columns: Sequence[str] | None = None
    ) -> "pd.DataFrame":
        """Every epoch of what was trained, as ``accesses``."""
        return self._of_runs("training", arm, seed, repeat, columns)

    def best(self) -> Best:
        """The arm with the lowest mean latency, and whether that is shown; as the closing table has it.

        Raises:
            InputError: the experiment was not run to its end.
        """
        from experiments.ranking import ranking
        from experiments.report import ranked_text

        ranked = ranking(self._kept.rows, self._kept.compared(), self.baseline, self.folder)
        return Best(ranked.first, ranked.means[ranked.first], tuple(ranked.level), ranked_text(ranked))

    def report(self, out: "str | PathLike[str] | None" = None) -> Path:
        """Write a page of the results, as ``tierfetch report``: one HTML file, which needs no network.

        Args:
            out: The file, by default beside the folder, called like it.

        Raises:
            InputError: no run is finished, the file cannot be one, or ``tierfetch[report]`` is not installed.
        """
        from experiments.make_report import page_beside, write_page

        if out is None:
            return page_beside(self.folder)
        write_page([self.folder], Path(out))
        return Path(out)

    def __repr__(self) -> str:
        seeds = ", ".join(map(str, self.seeds))
        return f"<Results {self.name}: arms {', '.join(self.arms)}; seeds {seeds}; in {self.folder}>"

    def _repr_html_(self) -> str:
        from experiments.report import brief

        asked_for = self._kept.rows
        of_arm: dict[str, list[Row]] = {}
        for row in asked_for:
            of_arm.setdefault(row["arm"], []).append(row)
        try:
            compared = self._kept.compared()
        except InputError:
            # Not run to its end: means are all that there is.
            compared = []
        titles, rows = brief(of_arm, compared, self.baseline)
        head = "".join(f"<th>{escape(title)}</th>" for title in titles)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        seeds = ", ".join(map(str, sorted({row["seed"] for row in asked_for})))
        of = f"{escape(self.name)}: mean of seeds {seeds}; {escape(str(self.folder))}"
        return f"<table><caption>{of}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _of_runs(
        self, table: str, arm: Names, seed: Numbers, repeat: Numbers, columns: Sequence[str] | None
    ) -> "pd.DataFrame":
        # Categories, of which each is there once: frames are as long as the trace.
        dataset = self.arrow.of_runs(table, arm, seed, repeat, coded=True)
        for name in columns or ():
            if name not in dataset.schema.names:
                raise InputError(f"columns: {table} has no {name!r}; expected one of {', '.join(dataset.schema.names)}")
        return frame_of(dataset.to_table(columns=None if columns is None else list(columns)))
