"""What a folder of results says, read when a chart first asks for it; large tables in batches, into bins and counts."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.charts.histogram import Histogram
from experiments.charts.style import Arms
from experiments.plan import key_of, stem_of
from experiments.results import KeptResults, NotWholeError, check_columns, read_with, table_of

Row = dict[str, Any]
_BATCH = 1 << 16
_BINS = 120
_CONFIDENCES = 10
_OUTCOMES = ("n_hit", "n_hit_prefetched", "n_late", "n_merged", "n_miss")


class Answers(NamedTuple):
    """Of an arm's questions: what was charged, the ages of answers, and confidences with how many of them came true."""

    charged: Histogram
    age: Histogram
    n: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    n_true: npt.NDArray[np.float64]


class Timing(NamedTuple):
    """Of an arm's prefetches: how long timely ones lay before their first use, and what late ones saved."""

    slack: Histogram
    saved: Histogram


class Found:
    """The results in a folder as charts want them: of the runs that were asked for last."""

    def __init__(self, kept: KeptResults) -> None:
        self.kept = kept
        self.folder, self.baseline, self.name = kept.folder, kept.baseline, kept.name
        self.rows = kept.rows
        ran = {row["arm"] for row in self.rows}
        self.arms = [arm for arm in kept.arms if arm in ran]
        self.look = Arms(self.arms, self.baseline)
        self.config: Row = kept.kept.about["config"]

    def of_arm(self, arm: str) -> list[Row]:
        """Its rows of ``runs``."""
        return [row for row in self.rows if row["arm"] == arm]

    @cached_property
    def compared(self) -> list[Row]:
        """The rows of ``comparisons``; of what was made without that table they are computed; none of half a run."""
        from experiments.compare import compare

        if self.kept.missing():
            return []
        try:
            return self.kept.compared()
        except NotWholeError:
            # Bounds are an experiment whose runs are compared with the oracle alone.
            return compare(self.rows, self.baseline) if (self.folder / "bounds.parquet").exists() else []

    def table(self, name: str) -> list[Row]:
        """The rows of a table over all runs, those that were asked for where it has runs; none if it is not there."""
        if not (self.folder / f"{name}.parquet").exists():
            return []
        rows: list[Row] = table_of(self.folder, name).to_pylist()
        asked_for = {key_of(row) for row in self.rows}
        return [row for row in rows if "seed" not in row or key_of(row) in asked_for]

    @cached_property
    def links(self) -> list[str]:
        """The links from the top down, as tables name them."""
        return [name.removesuffix("_demand_bytes") for name in self.rows[0] if name.endswith("_demand_bytes")]

    def has(self, table: str) -> bool:
        """Whether runs have such a table, with a row in it."""
        return next(self.batches(table, None, ["seed"]), None) is not None

    def batches(self, table: str, arm: str | None, columns: list[str]) -> Iterator[Any]:
        """The batches of all runs of an arm, or of all, which hold at least a row."""
        import pyarrow.parquet as pq

        for row in self.rows:
            path = self.folder / table / f"{stem_of(*key_of(row))}.parquet"
            if arm in (None, row["arm"]) and path.exists():
                yield from read_batches(path, columns, pq)

    @cached_property
    def latencies(self) -> dict[str, Histogram]:
        """By arm: what accesses took."""
        found = {}
        for arm in self.arms:
            taken = Histogram()
            for batch in self.batches("accesses", arm, ["latency_ns"]):
                taken.add(batch.column(0).to_numpy())
            found[arm] = taken
        return {arm: taken for arm, taken in found.items() if taken.n}

    @cached_property
    def timing(self) -> dict[str, Timing]:
        """By arm, of those that prefetched."""
        found = {}
        for arm in self.arms:
            timing = Timing(Histogram(), Histogram())
            for batch in self.batches("prefetches", arm, ["filled_ns", "first_used_ns", "saved_ns", "fate"]):
                filled, used, saved, fate = (batch.column(i) for i in range(4))
                timely = is_one_of(fate, "timely")
                timing.slack.add((ints(used) - ints(filled))[timely])
                timing.saved.add(ints(saved)[is_one_of(fate, "late")])
            found[arm] = timing
        return {arm: timing for arm, timing in found.items() if timing.slack.n or timing.saved.n}

    @cached_property
    def answers(self) -> dict[str, Answers]:
        """By arm, of those that asked; what was pending at the end has no answer."""
        found = {}
        columns = ["batch", "status", "asked_ns", "ended_ns", "charged_ns", "confidence", "came_true"]
        for arm in self.arms:
            of = Answers(Histogram(), Histogram(), *(np.zeros(_CONFIDENCES) for _ in range(3)))
            for batch in self.batches("inferences", arm, columns):
                add_answers(of, *(batch.column(i) for i in range(len(columns))))
            found[arm] = of
        return {arm: of for arm, of in found.items() if of.charged.n}

    @cached_property
    def windows(self) -> list[Row]:
        """By arm and bin of the trace, over seeds: mean latency and hit ratio."""
        spans = [(int(w[0]), int(w[-1])) for b in self.batches("windows", None, ["first_access"])
                 for w in [b.column(0).to_numpy()]]  # fmt: skip
        if not spans:
            return []
        first, last = min(low for low, _ in spans), max(high for _, high in spans)
        window = int(self.config["output"].get("window") or 1)
        # Whole windows in a bin, so that no bin is emptier than its neighbours.
        width = window * max(1, -(-((last - first) // window + 1) // _BINS))
        found: list[Row] = []
        for arm in self.arms:
            n, hits, latency = (np.zeros((last - first) // width + 1) for _ in range(3))
            for batch in self.batches("windows", arm, ["first_access", "mean_latency_ns", *_OUTCOMES]):
                at = (batch.column(0).to_numpy() - first) // width
                counts = np.array([batch.column(2 + i).to_numpy() for i in range(len(_OUTCOMES))], float)
                total = counts.sum(0)
                n += np.bincount(at, total, len(n))
                hits += np.bincount(at, counts[0] + counts[1], len(n))
                latency += np.bincount(at, total * batch.column(1).to_numpy(zero_copy_only=False), len(n))
            found += [
                {
                    "arm": arm, "first_access": first + int(i) * width,
                    "last_access": min(first + int(i + 1) * width, last + window),
                    "mean_latency_ns": float(latency[i] / n[i]), "hit_ratio": float(hits[i] / n[i]),
                }
                for i in np.flatnonzero(n)
            ]  # fmt: skip
        return found

    @cached_property
    def training(self) -> list[Row]:
        """The epochs of all runs that trained."""
        import pyarrow as pa

        names = ["arm", "seed", "repeat", "epoch", "loss", "validation_loss", "top1_ratio", "validation_top1_ratio",
                 "is_kept"]  # fmt: skip
        batches = list(self.batches("training", None, names))
        return pa.Table.from_batches(batches).to_pylist() if batches else []


def read_batches(path: Path, columns: list[str], pq: Any) -> Iterator[Any]:
    """The batches of a file that are not empty. Raises InputError, which names it, if it is damaged."""
    file = read_with(path, lambda: pq.ParquetFile(path, page_checksum_verification=True))
    with file:
        check_columns(path, file.schema_arrow, columns)
        batches = file.iter_batches(_BATCH, columns=columns)
        while (batch := read_with(path, lambda: next(batches, None))) is not None:
            if batch.num_rows:
                # In the order that was asked for, whatever the file's is.
                yield batch.select(columns)


def ints(column: Any) -> npt.NDArray[np.int64]:
    """Whole numbers as they are, 0 for null."""
    found: npt.NDArray[np.int64] = column.fill_null(0).to_numpy(zero_copy_only=False)
    return found


def is_one_of(column: Any, *words: str) -> npt.NDArray[np.bool_]:
    """Which rows have one of these words, of a column of few."""
    names = column.dictionary.to_pylist()
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.isin(codes, [i for i, name in enumerate(names) if name in words])


def add_answers(
    of: Answers, batch: Any, status: Any, asked: Any, ended: Any, charged: Any, confidence: Any, came_true: Any
) -> None:
    """Questions of an arm, by columns of ``inferences``."""
    over = is_one_of(status, "answered", "stale")
    # An inference that answers several questions at once was charged once.
    first = np.unique(ints(batch)[over], return_index=True)[1]
    of.charged.add(ints(charged)[over][first])
    of.age.add((ints(ended) - ints(asked))[over])
    sure = confidence.to_numpy(zero_copy_only=False).astype(float)
    known = over & ~np.isnan(sure) & came_true.is_valid().to_numpy(zero_copy_only=False)
    true = came_true.fill_null(False).to_numpy(zero_copy_only=False)
    bins = np.clip((sure[known] * _CONFIDENCES).astype(int), 0, _CONFIDENCES - 1)
    of.n[:] += np.bincount(bins, minlength=_CONFIDENCES)
    of.confidence[:] += np.bincount(bins, sure[known], _CONFIDENCES)
    of.n_true[:] += np.bincount(bins, true[known].astype(float), _CONFIDENCES)


def open_found(folder: Path) -> Found:
    """The results in a folder, with at least a finished run.

    Raises:
        InputError: there are none.
    """
    kept = KeptResults.open(folder)
    if not kept.rows:
        raise NotWholeError(f"{folder}: has no finished run of those that were asked for; run the experiment first")
    return Found(kept)


def read_json(text: bytes | None) -> Any:
    """What a table's metadata says."""
    return json.loads(text or b"null")
