"""``tierfetch break-even CONFIG``: until which inference latency does the learned policy pay?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.exits import exit_codes
from experiments.jobs import Jobs

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

COLUMNS = (
    "arm", "mode", "latency_scale", "inference_p50_ns", "mean_latency_ns", "ci_low_ns", "ci_high_ns",
    "baseline_mean_latency_ns",
)  # fmt: skip


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="An experiment with an arm that learns.")],
    arm: Annotated[str | None, typer.Option(help="The arm.", show_default="the first that learns")] = None,
    variant: Annotated[str | None, typer.Option(help="Of a config that has variants, one.")] = None,
    per_decade: Annotated[int, typer.Option(min=1, max=20, help="Latencies per factor of ten.")] = 4,
    map_: Annotated[bool, typer.Option("--map", help="Also over load, tiers and block sizes.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for tables and pictures.", show_default="results/break-even-<name>")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override a key of the config.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="0,1,2", help="Seeds in place of the config's.", show_default=False)
    ] = None,
    jobs: Jobs = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Charge the same predictions with a ladder of latencies, and find where the policy stops paying.

    From 0 over 1 us to 100 ms, asynchronous and synchronous, and with the measured latencies of each backend times 0.1,
    1 and 10; against the baseline and the best policy that does not learn. Finished runs are kept in the folder and not
    repeated. Exit codes: 0 done, 2 bad input, 3 a process of
    --jobs died and died again, 4 code of yours failed, 130 interrupted, 1 a bug.
    """
    with exit_codes("finished runs are kept; run the same command to go on"):
        from experiments.backends import print_backends
        from experiments.break_even_pictures import draw_break_even, draw_map
        from experiments.loading import load, only
        from experiments.progress import make_console
        from experiments.run import parse_seeds
        from experiments.study import explore, study
        from experiments.tables import write_rows

        experiment = only(load(config, set_ or [], parse_seeds(seeds), [variant] if variant else None))
        console = make_console()
        folder = out or Path("results") / f"break-even-{experiment.name}-{experiment.folder_hash()}"
        found = study(experiment, arm, per_decade, folder, console, quiet=quiet, jobs=jobs)
        about = {"config": experiment.model_dump(mode="json"), "arm": found.arm}
        write_rows(folder / "break_even.parquet", [{name: row[name] for name in COLUMNS} for row in found.rows], about)
        write_rows(folder / "crossings.parquet", found.crossings, about)
        pictures = draw_break_even(
            experiment.name, found.rows, found.references, found.crossings, folder, found.backends
        )
        write_rows(folder / "backends.parquet", found.backends, about)
        if not quiet:
            _print(console, found.crossings)
            print_backends(console, found.backends)
        if map_:
            cells = explore(experiment, arm, folder, console, quiet=quiet, jobs=jobs)
            write_rows(folder / "map.parquet", cells, about)
            pictures += draw_map(experiment.name, cells, folder)
        if not quiet:
            console.print(
                f"Tables and pictures: {folder} ({', '.join(p.name for p in pictures)})", highlight=False, markup=False
            )


def _print(console: Any, crossings: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from experiments.report import time_text

    table = Table()
    for column in ("mode", "against", "pays up to", "95 % interval", "closed form"):
        table.add_column(column)
    for row in crossings:
        never = row["break_even_ns"] == 0

        def text(ns: float | None) -> str:
            return "beyond 100 ms" if ns is None else time_text(ns)

        table.add_row(
            row["mode"],
            row["against"],
            "never pays" if never else text(row["break_even_ns"]),
            f"{text(row['low_ns'])} to {text(row['high_ns'])}" if row["has_interval"] else "none (one sample)",
            "-" if row["closed_form_ns"] is None else time_text(row["closed_form_ns"]),
        )
    console.print("Inference latency up to which the policy pays (mean latency)", highlight=False)
    console.print(table)


if __name__ == "__main__":
    app()
