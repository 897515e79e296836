"""``tierfetch bounds CONFIG``: how much of what could be gained does each policy capture?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes
from experiments.jobs import Jobs
from experiments.means import mean_of

if TYPE_CHECKING:
    from experiments.config import Experiment

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

ORACLE, BELADY, FREE = "oracle", "demand_belady", "{}_free"


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="An experiment.")],
    variant: Annotated[str | None, typer.Option(help="Of a config that has variants, one.")] = None,
    ahead: Annotated[int, typer.Option(min=1, help="How many coming blocks the oracle knows, at most.")] = 256,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the tables.", show_default="results/<name>-bounds-<hash>")
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
    """Run the arms of a config beside their bounds, and say which share of the possible gain each captures.

    The bounds: `oracle` knows what is read next and pays for its transfers; a learned policy uncharged, as if it
    thought in no time; `demand_belady` fetches on demand alone, but evicts what is used last (tier 0). Exit codes:
    0 done, 2 bad input, 3 a process of
    --jobs died and died again, 4 code of yours failed, 130 interrupted, 1 a bug.
    """
    with exit_codes("finished runs are kept; run the same command to go on"):
        from experiments.loading import load, only
        from experiments.making import folder_of
        from experiments.progress import make_console
        from experiments.run import parse_seeds
        from experiments.runner import run_all
        from experiments.tables import write_rows

        experiment = bounded(only(load(config, set_ or [], parse_seeds(seeds), [variant] if variant else None)), ahead)
        console = make_console()
        folder = folder_of(experiment, "", out)
        rows = captured(run_all(experiment, folder, console, quiet=quiet, jobs=jobs), experiment.baseline)
        write_rows(folder / "bounds.parquet", rows, {"config": experiment.model_dump(mode="json")})
        if not quiet:
            _print(console, experiment, rows)
            console.print(f"Tables: {folder}", highlight=False, markup=False)


def bounded(experiment: "Experiment", ahead: int) -> "Experiment":
    """The experiment with the arms that bound its own."""
    from experiments.config import Arm

    arms = list(experiment.arms)
    names = {arm.name for arm in arms}
    base = next(arm for arm in arms if arm.name == experiment.baseline)
    more: list[dict[str, Any]] = [
        {"name": FREE.format(arm.name), "policy": arm.policy, "charge": {"kind": "free"}, "set": arm.set}
        for arm in experiment.arms
        if arm.policy.learns and arm.charged.kind != "free"
    ]
    more.append({"name": ORACLE, "policy": {"kind": "oracle", "k": ahead}, "set": base.set})
    more.append({"name": BELADY, "policy": {"kind": "none"}, "set": {**base.set, "system.tiers.0.eviction": "belady"}})
    arms += [Arm.model_validate(arm) for arm in more if arm["name"] not in names]
    return experiment.model_copy(update={"name": f"{experiment.name}-bounds", "arms": tuple(arms)})


def captured(rows: list[dict[str, Any]], baseline: str) -> list[dict[str, Any]]:
    """A row for each arm: means over seeds, and the share of the oracle's gain in mean latency that it has."""
    latency_ns = {arm: mean_of(rows, arm, "mean_latency_ns") for arm in dict.fromkeys(row["arm"] for row in rows)}
    possible = latency_ns[baseline] - latency_ns[ORACLE]
    found = []
    for arm, mean_latency_ns in latency_ns.items():
        gain = latency_ns[baseline] - mean_latency_ns
        found.append(
            {
                "arm": arm,
                "mean_latency_ns": mean_latency_ns,
                "p99_latency_ns": mean_of(rows, arm, "p99_latency_ns"),
                "hit_ratio": mean_of(rows, arm, "hit_ratio"),
                "gain_ns": gain,
                "captured_ratio": gain / possible if possible > 0 else None,
            }
        )
    return found


def _print(console: Any, experiment: "Experiment", rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from experiments.report import time_text

    table = Table()
    for column in ("arm", "mean latency", "p99 latency", "hit ratio", "of the possible gain"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for row in sorted(rows, key=lambda row: row["mean_latency_ns"]):
        share = "-" if row["captured_ratio"] is None else f"{row['captured_ratio']:.1%}"
        table.add_row(
            row["arm"] + (" (baseline)" if row["arm"] == experiment.baseline else ""),
            time_text(row["mean_latency_ns"]), time_text(row["p99_latency_ns"]), f"{row['hit_ratio']:.4f}", share,
        )  # fmt: skip
    console.print(
        f"{experiment.name}: the possible gain is the oracle's, which pays for its transfers", highlight=False
    )
    console.print(table)


if __name__ == "__main__":
    app()
