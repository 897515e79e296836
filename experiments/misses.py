"""``python -m experiments.misses TRACE``: misses of eviction policies by capacity, demand alone."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes

if TYPE_CHECKING:
    from rich.console import Console

_FRACTIONS = ("0.001", "0.01", "0.05", "0.1", "0.25")
_MOST = 2**62
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

COLUMNS = (
    "trace", "eviction", "capacity", "capacity_unit", "n_accesses", "n_misses", "miss_ratio", "accesses_per_s",
)  # fmt: skip


@app.command()
def main(
    trace: Annotated[Path, typer.Argument(help="A trace file; looked for as given, then in TIERFETCH_TRACES.")],
    format_: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="auto (by the name), or one of those it names.")
    ] = "auto",
    eviction: Annotated[
        str, typer.Option(metavar="NAME,...|all", help="Eviction policies: see experiments.policies.")
    ] = "lru,fifo,sieve,s3fifo,arc",
    capacity: Annotated[
        str | None, typer.Option(metavar="SIZE,...", help="Bytes such as '64 MiB'; with --unit-size, blocks.")
    ] = None,
    fraction: Annotated[
        str | None, typer.Option(metavar="RATIO,...", help="Capacities as shares of all bytes (blocks) of the trace.")
    ] = None,
    unit_size: Annotated[bool, typer.Option("--unit-size", help="Count blocks, not bytes.")] = False,
    key_column: Annotated[str, typer.Option(help="CSV and Parquet: the column of keys.")] = "key",
    size_column: Annotated[str | None, typer.Option(help="CSV and Parquet: the column of sizes, if any.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of policies that draw at random.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for misses.parquet.", show_default="results/misses-TRACE")
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Also draw the curves: misses.png and misses.svg.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Replay a trace without prefetching through the engine and count misses by eviction policy and capacity.

    Without --capacity and --fraction: 0.001, 0.01, 0.05, 0.1 and 0.25 of the trace, where the largest block fits in.
    Exit codes: 0 done, 2 bad input, 130 interrupted, 1 a bug.
    """
    with exit_codes("nothing was written"):
        from experiments.progress import make_console
        from experiments.single import versions
        from experiments.tables import make_folder, write_rows
        from experiments.warm import compile_core

        console = make_console()
        evictions = _evictions(eviction)
        loaded = _load(trace, format_, unit_size=unit_size, key_column=key_column, size_column=size_column)
        capacities = _capacities(loaded, capacity, fraction, unit_size=unit_size)
        folder = out or Path("results") / f"misses-{trace.name.replace('.', '-')}"
        make_folder(folder)
        if not quiet:
            console.print(
                f"{trace.name}: {loaded.length():,} accesses, {loaded.n_keys:,} blocks, {loaded.n_bytes:,} "
                f"{'blocks' if unit_size else 'bytes'} in all",
                highlight=False,
            )
        # Beforehand: the first row's rate would have the compiling in it.
        compile_core(lambda text: None if quiet else console.print(text, highlight=False), evictions)
        rows = []
        for name in evictions:
            for size in capacities:
                with nullcontext() if quiet else console.status(f"{name}, capacity {size:,}"):
                    row = _row(trace.name, loaded, name, size, unit_size=unit_size, seed=seed)
                rows.append(row)
                if not quiet:
                    console.print(
                        f"[{len(rows)}/{len(evictions) * len(capacities)}] {name}, {size:,}: "
                        f"{row['n_misses']:,} misses, {row['accesses_per_s']:,.0f} accesses/s",
                        highlight=False, markup=False,
                    )  # fmt: skip
        write_rows(folder / "misses.parquet", rows, {"versions": versions(), "seed": seed})
        if not quiet:
            _print(console, rows)
            console.print(f"Table: {folder / 'misses.parquet'}", highlight=False)
        if plot:
            from experiments.curves import draw_misses

            pictures = draw_misses(rows, folder)
            if not quiet:
                console.print(f"Pictures: {', '.join(map(str, pictures))}", highlight=False)


def _evictions(text: str) -> list[str]:
    from simulator.errors import InputError
    from simulator.residency.names import EVICTION_NAMES

    names = [name.strip() for name in text.split(",")]
    if "all" in names:
        return list(EVICTION_NAMES)
    for name in names:
        if name not in EVICTION_NAMES:
            raise InputError(f"--eviction: unknown {name!r}; expected some of {', '.join(EVICTION_NAMES)}, or all")
    return list(dict.fromkeys(names))


class Loaded:
    """A trace in memory, once for all runs: about 33 bytes an access."""

    def __init__(self, batch: Any, n_streams: int, *, unit_size: bool) -> None:
        import dataclasses

        import numpy as np

        if unit_size:
            batch = dataclasses.replace(batch, size_bytes=np.ones(len(batch), np.uint32))
        self._batch = batch
        self.n_streams = n_streams
        keys, first = np.unique(batch.key, return_index=True)
        self.n_keys = len(keys)
        self.n_bytes = int(batch.size_bytes[first].astype(np.int64).sum())
        self.largest = int(batch.size_bytes.max())

    def length(self) -> int:
        """How many accesses there are."""
        return len(self._batch)

    def batches(self) -> Any:
        """The trace, from its start."""
        from workloads.base import BATCH

        for at in range(0, len(self._batch), BATCH):
            yield self._batch[at : at + BATCH]


def _load(path: Path, format_: str, *, unit_size: bool, key_column: str, size_column: str | None) -> Loaded:
    """Read the whole trace. Raises InputError if it is missing, bad or empty, or its format cannot be told."""
    import dataclasses

    import numpy as np

    from simulator.errors import InputError
    from simulator.trace import concatenate
    from workloads.formats import source_of
    from workloads.registry import build

    columns = {"key": key_column, **({"size_bytes": size_column} if size_column else {})}
    workload = build(source_of(path, format_, columns), 0)
    batch = concatenate(list(workload.batches()))
    if not len(batch):
        raise InputError(f"{path}: holds no access")
    # Demand alone, one access after another: streams and requests would only let some of them overlap.
    n = len(batch)
    alone = dataclasses.replace(batch, stream=np.zeros(n, np.uint32), request=np.arange(n, dtype=np.uint64))
    return Loaded(alone, 1, unit_size=unit_size)


def _capacities(loaded: Loaded, capacity: str | None, fraction: str | None, *, unit_size: bool) -> list[int]:
    from simulator.errors import InputError
    from simulator.units import parse_bytes

    found = []
    for text in capacity.split(",") if capacity is not None else ():
        try:
            found.append(int(text) if text.strip().isdecimal() else parse_bytes(text.strip()))
        except ValueError as error:
            raise InputError(f"--capacity {text}: {error}") from None
        if unit_size and not text.strip().isdecimal():
            raise InputError(f"--capacity {text}: expected a number of blocks with --unit-size")
    shares: Sequence[str] = _FRACTIONS if capacity is None and fraction is None else ()
    if fraction is not None:
        shares = fraction.split(",")
    for text in shares:
        try:
            share = float(text)
        except ValueError:
            share = -1.0
        if not 0 < share <= 1:
            raise InputError(f"--fraction {text}: expected a number above 0 and at most 1")
        found.append(int(share * loaded.n_bytes))
    largest = loaded.largest
    if capacity is None and fraction is None:
        # Of the defaults, those that can hold every block.
        found = [size for size in found if size >= largest] or [loaded.n_bytes]
    for size in found:
        if not largest <= size < _MOST:
            raise InputError(
                f"--capacity, --fraction: a capacity of {size:,} cannot be simulated with this trace; expected from "
                f"{largest:,} (its largest block) to 2**62 {'blocks' if unit_size else 'bytes'}"
            )
    return sorted(set(found))


def _row(trace: str, loaded: Loaded, eviction: str, capacity: int, *, unit_size: bool, seed: int) -> dict[str, Any]:
    """One run through the engine."""
    import time

    from policies.none import NonePolicy
    from simulator.accounting import Books
    from simulator.charge import fixed
    from simulator.config import Closed, System
    from simulator.engine import Engine
    from simulator.policy import Outcome

    fast = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    system = System.model_validate(
        {
            "tiers": [{"name": "tier", "capacity": f"{capacity} B", "eviction": eviction, **fast}],
            "links": [fast],
            "origin": {"kind": "store"},
        }
    )
    books = Books(None, max(loaded.length(), 1))
    started = time.perf_counter()
    Engine(system, Closed.model_validate({"kind": "closed"}), loaded, NonePolicy(), fixed(0), books, seed=seed).run()
    seconds = time.perf_counter() - started
    misses = books.n_outcomes[Outcome.MISS]
    row = {
        "trace": trace,
        "eviction": eviction,
        "capacity": capacity,
        "capacity_unit": "blocks" if unit_size else "bytes",
        "n_accesses": books.n_accesses,
        "n_misses": misses,
        "miss_ratio": misses / books.n_accesses,
        "accesses_per_s": books.n_accesses / seconds,
    }
    assert tuple(row) == COLUMNS
    return row


def _print(console: "Console", rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    unit = rows[0]["capacity_unit"]
    console.print(f"{rows[0]['trace']}: misses (miss ratio) by capacity in {unit}", highlight=False, markup=False)
    table = Table()
    capacities = list(dict.fromkeys(row["capacity"] for row in rows))
    table.add_column("eviction")
    for capacity in capacities:
        table.add_column(f"{capacity:,}", justify="right")
    least = {c: min(row["n_misses"] for row in rows if row["capacity"] == c) for c in capacities}
    for name in dict.fromkeys(row["eviction"] for row in rows):
        cells = []
        for row in (row for row in rows if row["eviction"] == name):
            text = f"{row['n_misses']:,} ({row['miss_ratio']:.4f})"
            cells.append(f"[bold]{text}[/bold]" if row["n_misses"] == least[row["capacity"]] else text)
        table.add_row(name, *cells)
    console.print(table)


if __name__ == "__main__":
    app()
