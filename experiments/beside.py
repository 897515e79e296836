"""Our miss counts beside libCacheSim's; ``tierfetch beside FOLDER ...`` sums up what that found."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from experiments.peer import Peer
    from experiments.replayed import Replayed
    from simulator.residency.settings import EvictionSettings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

TABLE = "beside.parquet"
COLUMNS = (
    "trace", "eviction", "capacity", "capacity_unit", "n_accesses", "n_misses", "n_misses_libcachesim", "difference",
    "difference_ratio", "is_equal", "note",
)  # fmt: skip
Row = dict[str, Any]


@app.command()
def main(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER ...", help=f"Folders that have a {TABLE} each.")],
) -> None:
    """Print a Markdown table: in how many counts each eviction policy equals libCacheSim, and how far off it is.

    Exit codes: 0 done, 2 bad input, such as a table that is missing.
    """
    with exit_codes("nothing was printed"):
        print("\n".join(markdown([row for folder in folders for row in _read(folder)])))  # noqa: T201


def _read(folder: Path) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from simulator.errors import InputError

    path = folder / TABLE
    try:
        rows: list[Row] = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowInvalid):
        rows = []
    if not rows or tuple(rows[0]) != COLUMNS:
        raise InputError(f"{path}: no such table; expected one that tierfetch misses --beside libcachesim has made")
    return rows


def rows_beside(rows: "Iterable[Row]", evictions: "list[EvictionSettings]", peer: "Peer") -> "Iterable[Row]":
    """Each row of ``misses`` beside the peer's count, as it comes."""
    by_label = {eviction.label: eviction for eviction in evictions}
    for row in rows:
        count = peer.count(by_label[row["eviction"]], row["capacity"])
        known = {name: row[name] for name in COLUMNS if name in row}
        theirs = count.n_misses
        difference = None if theirs is None else row["n_misses"] - theirs
        found = {
            **known,
            "n_misses_libcachesim": theirs,
            "difference": difference,
            "difference_ratio": None if difference is None or not theirs else difference / theirs,
            "is_equal": None if difference is None else difference == 0,
            "note": count.note,
        }
        assert tuple(found) == COLUMNS
        yield found


def check(beside: str, rates: list[int]) -> None:
    """Whether ``--beside`` can be done. Raises InputError if not."""
    from experiments.peer import require
    from simulator.errors import InputError
    from workloads.sampling import PARTS

    if beside != "libcachesim":
        raise InputError(f"--beside {beside}: unknown; expected libcachesim")
    if rates != [PARTS]:
        raise InputError("--beside, --sample: samples are not compared; expected the whole trace, --sample 1")
    require()


def set_beside(
    rows: list[Row], evictions: "list[EvictionSettings]", trace: "Replayed", folder: Path, console: "Console | None"
) -> None:
    """Ask the peer for each row of ``misses``; into a table in the folder, and onto a console."""
    from experiments.peer import peer_of, version
    from experiments.tables import write_rows

    compared: list[Row] = []
    with peer_of(trace.whole(), unit_size=rows[0]["capacity_unit"] == "blocks") as peer:
        for row in rows_beside(rows, evictions, peer):
            compared.append(row)
            if console is not None:
                said = "not compared" if row["difference"] is None else f"{row['n_misses_libcachesim']:,} misses"
                console.print(
                    f"[{len(compared)}/{len(rows)}] libCacheSim, {row['eviction']}, {row['capacity']:,}: {said}",
                    highlight=False, markup=False,
                )  # fmt: skip
    write_rows(folder / TABLE, compared, {"libcachesim": version()})
    if console is not None:
        _show(console, compared)
        console.print(f"Table: {folder / TABLE}", highlight=False)


def _show(console: "Console", rows: list[Row]) -> None:
    """The counts side by side, and below why others are not there."""
    from rich.table import Table

    console.print(
        f"{rows[0]['trace']}: misses here and in libCacheSim, by capacity in {rows[0]['capacity_unit']}",
        highlight=False, markup=False,
    )  # fmt: skip
    table = Table("eviction", "capacity", "here", "libCacheSim", "difference", "in %", "equal")
    for row in (row for row in rows if row["difference"] is not None):
        in_percent = "-" if row["difference_ratio"] is None else f"{row['difference_ratio']:+.3%}"
        numbers = f"{row['capacity']:,}", f"{row['n_misses']:,}", f"{row['n_misses_libcachesim']:,}"
        equal = "yes" if row["is_equal"] else "no"
        table.add_row(row["eviction"], *numbers, f"{row['difference']:+,}", in_percent, equal)
    console.print(table)
    for eviction, note in dict.fromkeys((row["eviction"], row["note"]) for row in rows if row["note"]):
        of_it = [f"{row['capacity']:,}" for row in rows if (row["eviction"], row["note"]) == (eviction, note)]
        console.print(f"{eviction}, {', '.join(of_it)}: {note}", highlight=False, markup=False)


def markdown(rows: list[Row]) -> list[str]:
    """A line for each eviction policy, over all traces and capacities."""
    lines = ["| eviction | counts | equal | largest difference | not compared |", "|---|---|---|---|---|"]
    for eviction in dict.fromkeys(row["eviction"] for row in rows):
        of_it = [row for row in rows if row["eviction"] == eviction]
        # What keeps nothing is no cache to be compared with: it is said, and left out of the sums.
        compared = [row for row in of_it if row["difference"] is not None and not row["note"]]
        n_equal = sum(row["is_equal"] for row in compared)
        worst = max(compared, key=lambda row: abs(row["difference_ratio"] or 0), default=None)
        off = "-" if worst is None or n_equal == len(compared) else _said(worst)
        notes = Counter(row["note"] for row in of_it if row["note"])
        left_out = "; ".join(f"{n}: {note}" for note, n in notes.items())
        equal = "all" if compared and n_equal == len(compared) else str(n_equal) if compared else "-"
        lines.append(f"| `{eviction}` | {len(compared)} | {equal} | {off} | {left_out} |")
    return lines


def _said(row: Row) -> str:
    where = f"{row['trace']}, {row['capacity']:,} {row['capacity_unit']}"
    return f"{row['difference_ratio']:+.2%} ({row['difference']:+,}; {where})"


if __name__ == "__main__":
    app()
