"""``python -m benchmarks [NAME ...]``: peers in the same run on the same work, kept in ``benchmarks/results``."""

from importlib import import_module
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.results import FOLDER, Measurement, before, keep, machine

NAMES = (
    "engines", "tables", "evictions", "prefetchers", "outside", "asking", "scaling", "parallel", "learning", "start_up",
)  # fmt: skip


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(NAMES)}.", show_default="all")] = None,
) -> None:
    """Measure, print as it goes, and keep: latest.parquet has the newest rows, history.parquet all of them.

    The last column compares with the time before on this machine: below 1 it has become slower.
    """
    console = Console(width=120)
    console.print(machine(), highlight=False)
    for name in names or NAMES:
        if name not in NAMES:
            raise typer.BadParameter(f"{name}: expected {', '.join(NAMES)}")
        module = import_module(f"benchmarks.{name}")
        console.print(f"\n{name}: {(module.__doc__ or '').splitlines()[0]}", highlight=False, markup=False)
        console.print(f"{'':52} {'accesses':>12} {'s':>9} {'M/s':>9} {'peak MiB':>9} {'to before':>9}", highlight=False)
        measured: list[Measurement] = []
        for m in module.measure():
            measured.append(m)
            then = before(m)
            rate = m.n_accesses / m.seconds
            peak = "" if m.peak_memory_bytes is None else f"{m.peak_memory_bytes / 2**20:.0f}"
            text = f"{m.benchmark.removeprefix(name).removeprefix(': '):20} {m.contender}"
            console.print(
                f"{text:52} {m.n_accesses:12,} {m.seconds:9.3f} {rate / 1e6:9.3f} {peak:>9} "
                f"{'' if then is None else f'{rate / then:.2f}':>9}",
                highlight=False, markup=False,
            )  # fmt: skip
        keep(measured)
    console.print(f"\nKept in {FOLDER.parent.name}/{FOLDER.name}/latest.parquet and history.parquet", highlight=False)


if __name__ == "__main__":
    typer.run(main)
