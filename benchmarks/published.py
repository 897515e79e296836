"""``python -m benchmarks.published [--into FILE]``: generated workloads of GPU caches beside what was published.

A table in Markdown; with ``--into`` put into a page, between its marks.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.headroom import TRACES
from benchmarks.prefix_loops import lru
from simulator.trace import Batch, concatenate
from workloads.embedding_rows import expected_uses
from workloads.registry import SOURCES

BEGIN, END = "<!-- published: begin -->", "<!-- published: end -->"
Row = tuple[str, str, str, str]
_MOONCAKE, _MIXTRAL, _DLRM = "Mooncake's conversation trace", "Mixtral of Experts (2024), table 5", "dlrm_datasets"
_N_ROWS = 400_000
_SIZES = (256, 1024, 4096, 16384, 65536)
"""Blocks of a cache."""


def _trace(source: dict[str, Any], seed: int = 0) -> Batch:
    return concatenate(list(SOURCES.validate(source).build(seed).batches()))


def _prompts(batch: Batch) -> list[list[int]]:
    reads = batch[batch.op == 0]
    starts = np.flatnonzero(np.r_[True, np.diff(reads.request) != 0])
    return [part.tolist() for part in np.split(reads.key, starts[1:])]


def prefix_hits(prompts: list[list[int]], n_blocks: int | None = None) -> float:
    """The share of blocks behind which nothing is missing, in an LRU cache of so many blocks; None: of all."""
    return sum(lru(prompts, n_blocks)) / sum(map(len, prompts))


def of_conversations() -> Iterator[Row]:
    """Prompts of the trace, and of as many requests that are generated."""
    theirs = _trace({**TRACES["mooncake"], "block": "1 MiB"})
    ours = _trace({"kind": "kv_sessions", "requests": 12_031})
    found = [_prompts(theirs), _prompts(ours)]

    def row(what: str, of: Any, form: str = "{:.3f}") -> Row:
        published, generated = (form.format(of(one)) for one in found)
        return "kv_sessions", what, published, generated

    yield row(
        "whole blocks of 512 tokens of a prompt, mean", lambda one: np.mean([len(keys) for keys in one]), "{:.1f}"
    )
    yield row("the same, median", lambda one: np.median([len(keys) for keys in one]), "{:.0f}")
    yield row("hits by prefix, room for all", prefix_hits)
    for n_blocks in _SIZES:
        yield row(f"hits by prefix, LRU of {n_blocks:,} blocks", lambda one, n=n_blocks: prefix_hits(one, n))


def of_experts() -> Iterator[Row]:
    """Repetition of the first expert."""
    source = SOURCES.validate({"kind": "moe_experts", "accesses": 1, "tokens": 10**6})
    steps = source.build(0)._steps()
    first = np.concatenate([next(steps)[0][:, :, 0, 0] for _ in range(600)])
    found = (first[1:] == first[:-1]).mean(axis=0)
    for layer, published in ((0, "0.136 to 0.149"), (15, "0.236 to 0.284"), (31, "0.197 to 0.263")):
        yield "moe_experts", f"first expert as of the token before, layer {layer}", published, f"{found[layer]:.3f}"


def of_rows() -> Iterator[Row]:
    """Reuse of rows."""
    n = int(expected_uses(_N_ROWS).sum())
    batch = _trace({"kind": "embedding_rows", "accesses": n, "tables": 1, "rows": _N_ROWS, "batch": 512})
    uses = np.bincount(batch.key.astype(np.int64))
    uses = uses[uses > 0]
    yield "embedding_rows", "look-ups of a row that is used, mean", "12.7", f"{uses.mean():.2f}"
    yield "embedding_rows", "rows used once", "0.34", f"{(uses == 1).mean():.3f}"
    share = uses[uses > 32_768].sum() / uses.sum()
    yield "embedding_rows", "look-ups of rows used more than 32,768 times", "0.076", f"{share:.3f}"


def table() -> str:
    """All of it."""
    lines = ["| workload | | published | generated |", "|---|---|---:|---:|"]
    lines += [
        f"| `{kind}` | {' | '.join(rest)} |" for of in (of_conversations, of_experts, of_rows) for kind, *rest in of()
    ]
    return "\n".join(lines)


def put_into(page: Path, begin: str, end: str, text: str) -> None:
    """Into a page, in the place of what is between two marks."""
    before, rest = page.read_text().split(begin)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}")


def print_or_put(about: str | None, begin: str, end: str, table: Callable[[], str]) -> None:
    """The command line of what makes a table: to the terminal, or between two marks of a page."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--into", type=Path, help=f"a page with {begin} and {end}")
    into = parser.parse_args().into
    if into is None:
        print(table())
    else:
        put_into(into, begin, end, table())


if __name__ == "__main__":
    print_or_put(__doc__, BEGIN, END, table)
