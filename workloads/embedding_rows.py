"""Rows of embedding tables, as batches of a recommender's training or inference look them up.

What is modelled (docs/gpu_workloads.md): tables with rows of very uneven popularity, fitted to the published reuse of
``dlrm_datasets``; so many look-ups of each table for a sample (its pooling factor); batches of samples; and, on
request, co-occurrence: samples are of users of clusters, and of the look-ups of rows that are not among the most
popular a share is of rows of the user's own cluster. Without that a look-up says nothing of the next but how popular
rows are: who learns sequences has nothing to learn. How often a row is looked up in all does not depend on it. Not
modelled: popularity that changes over time.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from simulator.config import Count, Ratio
from simulator.trace import Batch, make_batch
from workloads.base import BlockBytes, Generated, Key, SourceSettings

_FEATURES = ("table", "sample")
# How many look-ups of a row are expected, over all of a data set: a power law in two pieces, from _LEAST over _BREAK to
# _MOST, with these exponents. Of the rows that a Poisson number of look-ups then uses, 34 % are used once and all 12.7
# times on the average, and 7.6 % of the look-ups are of rows used more than 32,768 times: the published figures.
_LEAST, _BREAK, _MOST = 0.6107954761388951, 100.0, 1e5
_BELOW, _ABOVE = 1.86558529, 2.07595254
_HEAD = 0.1
_MOST_LOOK_UPS, _MOST_ROWS = 2**24, 2**26
Numbers = npt.NDArray[np.float64]


def expected_uses(n: int) -> Numbers:
    """Look-ups of each of ``n`` rows (n,) in a data set of the published size, the most popular first."""
    # Of each piece the integral up to x, from below; the second one goes on where the first ends.
    below = _integral(_BREAK, _LEAST, _BELOW)
    scale = _BREAK ** (_ABOVE - _BELOW)
    whole = below + scale * _integral(_MOST, _BREAK, _ABOVE)
    share = (np.arange(n)[::-1] + 0.5) / n * whole
    first = (_LEAST ** (1 - _BELOW) + share * (1 - _BELOW)) ** (1 / (1 - _BELOW))
    rest = np.maximum(share - below, 0) / scale
    second = (_BREAK ** (1 - _ABOVE) + rest * (1 - _ABOVE)) ** (1 / (1 - _ABOVE))
    with np.errstate(invalid="ignore"):
        found: Numbers = np.where(share < below, first, second)
    return found


def _integral(to: float, start: float, exponent: float) -> float:
    return float((to ** (1 - exponent) - start ** (1 - exponent)) / (1 - exponent))


class EmbeddingRowsConfig(SourceSettings):
    """Rows of embedding tables that generated samples look up, table by table; the key is table and row."""

    kind: Literal["embedding_rows"]
    accesses: Count
    """How many look-ups there are."""
    tables: Annotated[int, Field(ge=1, le=65536)] = 8
    """Embedding tables."""
    rows: Annotated[int, Field(ge=1, le=2**31)] = 100_000
    """Rows of each."""
    pooling: Annotated[int, Field(ge=1, le=4096)] = 10
    """Look-ups of each table for a sample."""
    batch: Annotated[int, Field(ge=1, le=2**20)] = 64
    """Samples of a batch; a request is what it looks up in a table."""
    clusters: Annotated[int, Field(ge=1, le=65536)] = 1
    """Groups of users; each row but the most popular is of one of them."""
    cooccurrence: Ratio = 0.0
    """Share of the look-ups, of those that are not of the most popular rows, that are of the user's own cluster."""
    block: BlockBytes = Field("512 B", validate_default=True)
    """The size of a row: of 128 numbers of 32 bits."""
    first_key: Key = 0
    """Where its keys start."""

    features: ClassVar[tuple[str, ...]] = _FEATURES

    @model_validator(mode="after")
    def _fits(self) -> Self:
        # A batch's look-ups of a table are drawn at once, and each row of each table has its popularity in memory.
        for first, second, most in (("batch", "pooling", _MOST_LOOK_UPS), ("tables", "rows", _MOST_ROWS)):
            n = getattr(self, first) * getattr(self, second)
            if n > most:
                raise ValueError(f"{first}: {second} times as many are {n:,}; expected at most {most:,}")
        return self

    def build(self, seed: int, name: str = "source") -> "EmbeddingRows":
        """The workload of a seed."""
        return EmbeddingRows(self, seed, name)


class EmbeddingRows(Generated[EmbeddingRowsConfig]):
    """One stream. Keys: table * rows + row; features: ``table``, and ``sample``, counted over all batches."""

    def length(self) -> int:
        """How many accesses there are."""
        return self.config.accesses

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start."""
        config = self.config
        tables = [_Table(config, self.rng(f"table {i}")) for i in range(config.tables)]
        rng = self.rng("look-ups")
        made = request = n_samples = 0
        while True:
            clusters = rng.integers(config.clusters, size=config.batch)
            users = np.repeat(np.arange(n_samples, n_samples + config.batch), config.pooling)
            n_samples += config.batch
            for i, table in enumerate(tables):
                rows = table.drawn(np.repeat(clusters, config.pooling), rng)[: config.accesses - made]
                n = len(rows)
                columns: dict[str, Any] = {"request": np.full(n, request), "size_bytes": config.block}
                features = dict(zip(_FEATURES, (np.full(n, i), users[:n]), strict=True))
                yield make_batch(rows + i * config.rows + config.first_key, **columns, features=features)
                made, request = made + n, request + 1
                if made == config.accesses:
                    return


class _Table:
    """How popular the rows of one table are, and of which cluster each is."""

    def __init__(self, config: EmbeddingRowsConfig, rng: np.random.Generator) -> None:
        uses, n_clusters = expected_uses(config.rows), config.clusters
        # A row that is a good part of all that a cluster looks up is everybody's.
        n_head = int((uses > _HEAD * uses.sum() / n_clusters).sum())
        # All clusters are as popular as each other: of rows that follow each other by rank, each has one.
        n_rounds = -(-(config.rows - n_head) // n_clusters)
        of = rng.permuted(np.broadcast_to(np.arange(n_clusters), (n_rounds, n_clusters)), axis=1).reshape(-1)
        of = of[: config.rows - n_head]
        order = np.concatenate([np.arange(n_head), n_head + np.argsort(of, kind="stable")])
        self._n_head, self._share = n_head, config.cooccurrence
        self._rows = rng.permutation(config.rows)[order]
        self._sums = np.concatenate([[0.0], np.cumsum(uses[order])])
        ends = n_head + np.concatenate([[0], np.cumsum(np.bincount(of, minlength=n_clusters))])
        self._ends = self._sums[ends]

    def drawn(self, clusters: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """A row for each look-up of a user of some cluster."""
        at = self._at(rng.random(len(clusters)) * self._sums[-1])
        least, most = self._ends[clusters], self._ends[clusters + 1]
        own = (at >= self._n_head) & (rng.random(len(clusters)) < self._share) & (most > least)
        instead = self._at(least + rng.random(len(clusters)) * (most - least))
        found: npt.NDArray[np.int64] = self._rows[np.where(own, instead, at)]
        return found

    def _at(self, drawn: Numbers) -> npt.NDArray[np.int64]:
        found = np.searchsorted(self._sums, drawn, side="right") - 1
        clipped: npt.NDArray[np.int64] = np.minimum(found, len(self._rows) - 1)
        return clipped
