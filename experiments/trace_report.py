"""What ``experiments.trace info`` found, for people."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

Row = dict[str, Any]
_MOST_WINDOWS, _MOST_DELTAS = 10, 8


def print_statistics(console: "Console", tables: dict[str, list[Row]], *, has_times: bool) -> None:
    """All tables, the longer ones in part."""
    summary = tables["summary"][0]
    _print_summary(console, summary, has_times=has_times)
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


def _print_summary(console: "Console", s: Row, *, has_times: bool) -> None:
    sizes = f"{s['smallest_bytes']:,}" + (
        "" if s["smallest_bytes"] == s["largest_bytes"] else f" to {s['largest_bytes']:,}"
    )
    lines = [
        s["trace"],
        f"  accesses       {s['n_accesses']:,} in {s['n_requests']:,} requests of {counted(s['n_streams'], 'stream')}",
        f"  reads, writes  {s['n_reads']:,} ({s['n_reads'] / s['n_accesses']:.1%} of accesses), {s['n_writes']:,}",
        f"  unique keys    {s['n_keys']:,} ({s['n_keys'] / s['n_accesses']:.1%} of accesses), "
        f"{s['unique_bytes']:,} bytes",
        f"  block sizes    {sizes} bytes; {s['n_bytes']:,} bytes asked for",
        f"  delta entropy  {'' if s['delta_entropy_is_exact'] else 'at least '}{s['delta_entropy_bits']:.2f} bits "
        "(0: always the same step from one key to the next)",
    ]
    if has_times:
        lines.append(f"  duration       {s['duration_ns'] / 1e9:,.3f} s, {s['n_times']:,} different times in a row")
        if s["n_requests"] > _COARSE * s["n_times"]:
            lines.append(
                f"  coarse clock   {s['n_requests'] / s['n_times']:.1f} requests share an arrival time: arrivals: "
                "{kind: open, spread: true} spreads them"
            )
    for line in lines:
        console.print(line, highlight=False, markup=False)


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
    widest = max(row["ratio"] for row in rows)
    for row in rows:
        low, high = row["distance_from"], row["distance_to"]
        name = "first access" if low is None else f"{low:,}" if low == high else f"{low:,} to {high:,}"
        hits = "" if row["lru_hit_ratio"] is None else f"{row['lru_hit_ratio']:.1%}"
        bar = "█" * round(30 * row["ratio"] / max(widest, 1e-9))
        table.add_row(name, f"{row['n_accesses']:,}", f"{row['ratio']:.1%}", hits, bar)
    table.columns[-1].justify = "left"
    _print_titled(console, "Reuse distance: other keys since the last access to the same", table)


def _print_deltas(console: "Console", rows: list[Row]) -> None:
    table = _table("step", "accesses", "share")
    for row in rows[:_MOST_DELTAS]:
        table.add_row(f"{row['delta']:+,}", f"{row['n_accesses']:,}", f"{row['ratio']:.1%}")
    _print_titled(console, "Most frequent steps from one key of a stream to the next", table)
