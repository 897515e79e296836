"""What ``tierfetch trace info`` found, for people."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from workloads.readers.reading import Reading

Row = dict[str, Any]
_MOST_WINDOWS, _MOST_REUSE, _MOST_DELTAS, _MOST_WORDS = 6, 10, 4, 12


def print_statistics(
    console: "Console", tables: dict[str, list[Row]], reading: "Reading | None", *, has_times: bool
) -> None:
    """All tables, the longer ones in part; ``reading`` is what was read of the file, of a table."""
    summary = tables["summary"][0]
    _print_summary(console, summary, reading, has_times=has_times)
    _print_windows(console, tables["working_set"])
    _print_reuse(console, tables["reuse"])
    _print_deltas(console, tables["deltas"])
    if summary["sample_rate"] < 1:
        console.print(
            f"Keys, working set and reuse are estimates from {summary['sample_rate']:.3g} of the keys.", highlight=False
        )


_COARSE = 1.5


def counted(n: int, what: str) -> str:
    """``1 stream``, ``2 streams``."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _print_summary(console: "Console", s: Row, reading: "Reading | None", *, has_times: bool) -> None:
    sizes = f"{s['smallest_bytes']:,}" + (
        "" if s["smallest_bytes"] == s["largest_bytes"] else f" to {s['largest_bytes']:,}"
    )
    changing = f"; of {counted(s['n_resized'], 'key')} they change" if s["n_resized"] else ""
    lines = [
        s["trace"],
        *(_of_reading(reading) if reading is not None and reading.n_rows else []),
        f"  accesses       {s['n_accesses']:,} in {s['n_requests']:,} requests of {counted(s['n_streams'], 'stream')}",
        f"  reads, writes  {s['n_reads']:,} ({s['n_reads'] / s['n_accesses']:.1%} of accesses), {s['n_writes']:,}",
        f"  unique keys    {s['n_keys']:,} ({s['n_keys'] / s['n_accesses']:.1%} of accesses), "
        f"{s['unique_bytes']:,} bytes",
        f"  block sizes    {sizes} bytes; {s['n_bytes']:,} bytes asked for{changing}",
        f"  delta entropy  {'' if s['delta_entropy_is_exact'] else 'at least '}{s['delta_entropy_bits']:.2f} bits "
        "(0: always the same step from one key to the next)",
    ]
    if has_times:
        lines += _of_times(s)
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _of_reading(reading: "Reading") -> list[str]:
    skipped = "; ".join(f"{n:,} {why}" for why, n in reading.skipped.items())
    lines = [f"  rows           {reading.n_rows:,}, {f'skipped: {skipped}' if skipped else 'none skipped'}"]
    if reading.words:
        words = sorted(reading.words.items(), key=lambda item: -item[1][1])
        shown = ", ".join(f"{word[:30]} {n:,} ({meaning})" for word, (meaning, n) in words[:_MOST_WORDS])
        more = f" and {len(words) - _MOST_WORDS:,} more words" if len(words) > _MOST_WORDS else ""
        lines.append(f"  operations     {shown}{more}")
    hashed = ", ".join(f"{name} from the text of {column!r}" for column, name in reading.hashed.items())
    lines.append(f"  ids            {f'hashed: {hashed}' if hashed else 'numbers as they are, none hashed'}")
    return lines


def _of_times(s: Row) -> list[str]:
    from experiments.report import time_text

    order = "in order"
    if s["n_backwards"]:
        times = counted(s["n_backwards"], "time")
        order = f"{times} backwards, by up to {time_text(s['furthest_back_ns'])} (--sort puts rows in order)"
    lines = [
        f"  span           {s['duration_ns'] / 1e9:,.3f} s, {order}",
        f"  clock          {s['n_times']:,} different times in a row, at most {counted(s['largest_burst'], 'request')} "
        "at one",
    ]
    if s["n_requests"] > _COARSE * s["n_times"]:
        lines.append(
            f"  coarse clock   {s['n_requests'] / s['n_times']:.1f} requests share an arrival time: arrivals: "
            "{kind: open, spread: true} spreads them"
        )
    return lines


def _table(*columns: str) -> Any:
    from rich.table import Table

    table = Table(box=None)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def _print_titled(console: "Console", title: str, table: Any) -> None:
    # Not the table's own title, which would be folded to the table's width.
    console.print(f"\n{title}", highlight=False, markup=False)
    console.print(table)


def _print_windows(console: "Console", rows: list[Row]) -> None:
    step = -(-len(rows) // _MOST_WINDOWS)
    every = "" if step == 1 else f", every {step}th of {len(rows)} windows"
    table = _table("first access", "accesses", "writes", "keys", "bytes", "new keys", "so far")
    for row in rows[::step]:
        table.add_row(*(f"{row[name]:,}" for name in (
            "first_access", "n_accesses", "n_writes", "n_keys", "working_set_bytes", "n_new_keys", "n_keys_so_far"
        )))  # fmt: skip
    _print_titled(console, f"Working set over time{every}", table)


def _print_reuse(console: "Console", rows: list[Row]) -> None:
    table = _table("blocks", "accesses", "share", "LRU hits up to here", "")
    # Small distances, that no cache is smaller than, as one.
    rows = _joined(rows, len(rows) - _MOST_REUSE)
    widest = max(row["ratio"] for row in rows)
    for row in rows:
        low, high = row["distance_from"], row["distance_to"]
        name = "first access" if low is None else f"{low:,}" if low == high else f"{low:,} to {high:,}"
        hits = "" if row["lru_hit_ratio"] is None else f"{row['lru_hit_ratio']:.1%}"
        bar = "█" * round(30 * row["ratio"] / max(widest, 1e-9))
        table.add_row(name, f"{row['n_accesses']:,}", f"{row['ratio']:.1%}", hits, bar)
    table.columns[-1].justify = "left"
    _print_titled(console, "Reuse distance: other keys since the last access to the same", table)


def _joined(rows: list[Row], n: int) -> list[Row]:
    """The first ``n`` + 1 rows as one."""
    if n <= 0:
        return rows
    first, last = rows[0], rows[n]
    joined = {
        **last,
        "distance_from": first["distance_from"],
        "n_accesses": sum(row["n_accesses"] for row in rows[: n + 1]),
        "ratio": sum(row["ratio"] for row in rows[: n + 1]),
    }
    return [joined, *rows[n + 1 :]]


def _print_deltas(console: "Console", rows: list[Row]) -> None:
    table = _table("step", "accesses", "share")
    for row in rows[:_MOST_DELTAS]:
        table.add_row(f"{row['delta']:+,}", f"{row['n_accesses']:,}", f"{row['ratio']:.1%}")
    _print_titled(console, "Most frequent steps from one key of a stream to the next", table)
