"""``python -m experiments.break_even CONFIG``: until which inference latency does the learned policy pay?"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes

if TYPE_CHECKING:
    from experiments.config import Arm, Experiment

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

COLUMNS = (
    "arm", "mode", "latency_scale", "inference_p50_ns", "mean_latency_ns", "ci_low_ns", "ci_high_ns",
    "baseline_mean_latency_ns",
)  # fmt: skip
Row = dict[str, Any]
Bounds = tuple[float, float | None, float | None]
"""A difference, and its interval if it has one."""


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
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Charge the same predictions with a ladder of latencies, and find where the policy stops paying.

    From 0 over 1 us to 100 ms, asynchronous and synchronous, and with the measured latencies of each backend times 0.1,
    1 and 10; against the baseline and the best policy that does not learn. Finished runs are kept in the folder and not
    repeated. Exit codes: 0 done, 2 bad input, 130 interrupted, 1 a bug.
    """
    with exit_codes("finished runs are kept; run the same command to go on"):
        from experiments.curves import draw_break_even, draw_map
        from experiments.loading import load, only
        from experiments.progress import make_console
        from experiments.run import parse_seeds
        from experiments.tables import write_rows

        experiment = only(load(config, set_ or [], parse_seeds(seeds), [variant] if variant else None))
        console = make_console()
        folder = out or Path("results") / f"break-even-{experiment.name}-{experiment.folder_hash()}"
        found = study(experiment, arm, per_decade, folder, console, quiet=quiet)
        about = {"config": experiment.model_dump(mode="json"), "arm": found.arm}
        write_rows(folder / "break_even.parquet", [{name: row[name] for name in COLUMNS} for row in found.rows], about)
        write_rows(folder / "crossings.parquet", found.crossings, about)
        pictures = draw_break_even(experiment.name, found.rows, found.references, found.crossings, folder)
        if not quiet:
            _print(console, found.crossings)
        if map_:
            cells = explore(experiment, arm, folder, console, quiet=quiet)
            write_rows(folder / "map.parquet", cells, about)
            pictures += draw_map(experiment.name, cells, folder)
        if not quiet:
            console.print(f"Tables and pictures: {folder} ({', '.join(p.name for p in pictures)})", highlight=False)


class Study:
    """What a ladder has shown: rows of ``break_even``, means of the references, rows of ``crossings``."""

    def __init__(self, arm: str) -> None:
        self.arm = arm
        self.rows: list[Row] = []
        self.references: dict[str, Row] = {}
        self.crossings: list[Row] = []


def study(
    experiment: "Experiment", name: str | None, per_decade: int, folder: Path, console: Any, *, quiet: bool
) -> Study:
    """Measure each backend, climb the ladder, and compare. Raises InputError if no arm learns, or as a run does."""
    from experiments.ladder import climbing, learned_arm, measuring, rungs
    from experiments.run import run_all
    from policies.lstm.backends.registry import available
    from policies.lstm.model import pick_device

    arm = learned_arm(experiment, name)
    device = pick_device(getattr(arm.policy.core, "device", "auto")).type
    backends = [kind.name for kind in available(device)]
    measured = run_all(measuring(experiment, arm, backends), folder / "measured", console, quiet=quiet)
    p50 = {row["arm"]: row["p50_inference_host_ns"] for row in measured if row["arm"] in backends}
    fastest = min(p50, key=lambda backend: p50[backend])
    recordings = {b: folder / "measured" / "inferences" / f"{b}-{experiment.seeds[0]}.parquet" for b in p50}
    ladder = climbing(experiment, arm, rungs(per_decade), round(p50[fastest]), recordings)
    ladder = ladder.model_copy(update={"output": _few_tables(ladder)})
    rows = run_all(ladder, folder / "ladder", console, quiet=quiet)
    return _evaluate(arm.name, experiment.baseline, rows, p50[fastest], folder / "ladder")


def _few_tables(experiment: "Experiment") -> Any:
    """From one seed, an interval needs the accesses."""
    wanted = {"accesses": len(experiment.seeds) == 1, "prefetches": False, "inferences": False}
    return experiment.output.model_copy(update=wanted)


def _evaluate(name: str, baseline: str, rows: list[Row], p50_ns: float, folder: Path | None) -> Study:
    from experiments.ladder import rung_of

    found = Study(name)
    means = {arm: _mean(rows, arm, "mean_latency_ns") for arm in dict.fromkeys(row["arm"] for row in rows)}
    rungs = {arm: rung for arm in means if (rung := rung_of(arm)) is not None}
    plain = [arm for arm in means if arm not in rungs]
    found.references = {
        arm: {"mean_latency_ns": means[arm], "p99_latency_ns": _mean(rows, arm, "p99_latency_ns")} for arm in plain
    }
    classical = sorted((arm for arm in plain if arm != baseline), key=lambda arm: means[arm])[:1]
    differences = {against: _differences(rows, against, list(rungs), folder) for against in (baseline, *classical)}
    for arm, (backend, mode, value) in rungs.items():
        charged = _mean(rows, arm, "p50_inference_charged_ns")
        low, high = differences[baseline][arm][1:]
        found.rows.append(
            {
                "arm": name if backend == "fixed" else f"{name} ({backend})",
                "mode": mode,
                "latency_scale": value / p50_ns if backend == "fixed" else value,
                "inference_p50_ns": charged,
                "mean_latency_ns": means[arm],
                "ci_low_ns": means[baseline] + low if low is not None else None,
                "ci_high_ns": means[baseline] + high if high is not None else None,
                "baseline_mean_latency_ns": means[baseline],
                "p99_latency_ns": _mean(rows, arm, "p99_latency_ns"),
            }
        )
    for mode in dict.fromkeys(mode for _, mode, _ in rungs.values()):
        for against in differences:
            found.crossings.append(_crossing(mode, against, rungs, differences[against], rows, means))
    return found


def _crossing(
    mode: str,
    against: str,
    rungs: dict[str, Any],
    differences: dict[str, Any],
    rows: list[Row],
    means: dict[str, float],
) -> Row:
    from experiments.crossings import break_even, closed_form

    ladder = sorted((value, arm) for arm, (backend, m, value) in rungs.items() if backend == "fixed" and m == mode)
    triples = [differences[arm] for _, arm in ladder]
    latencies = [value for value, _ in ladder]
    middle = [d for d, _, _ in triples]
    lows = [d if low is None else low for d, low, _ in triples]
    highs = [d if high is None else high for d, _, high in triples]
    at = break_even(latencies, middle, lows, highs)
    free = ladder[0][1]
    per_access = _mean(rows, free, "n_asked") / _mean(rows, free, "n_accesses")
    exact = closed_form(means[free], means[against], per_access) if mode == "sync" else None
    return {
        "mode": mode,
        "against": against,
        "break_even_ns": _finite(at.latency_ns),
        "low_ns": _finite(at.low_ns),
        "high_ns": _finite(at.high_ns),
        "closed_form_ns": exact,
        "has_interval": all(low is not None for _, low, _ in triples),
    }


def _differences(
    rows: list[Row], against: str, arms: list[str], folder: Path | None
) -> dict[str, tuple[Any, Any, Any]]:
    """Of the mean latency, with its interval: over seeds, or from one seed over requests."""
    from experiments.compare import compare
    from experiments.compare.table import REQUEST_LATENCY

    wanted = [row for row in rows if row["arm"] in {against, *arms}]
    brief = [{key: row[key] for key in ("arm", "seed", "mean_latency_ns")} for row in wanted]
    one_seed = len({row["seed"] for row in rows}) == 1
    found: dict[str, Bounds] = {}
    for row in compare(brief, against, folder if one_seed else None):
        if row["metric"] == "mean_latency_ns":
            found.setdefault(row["arm"], (row["difference"], row["low"], row["high"]))
        elif row["metric"] == REQUEST_LATENCY:
            mean = next(r["difference"] for r in compare(brief, against) if r["arm"] == row["arm"])
            # The interval of requests after the warm-up, around the difference of all accesses.
            found[row["arm"]] = (mean, mean + row["low"] - row["difference"], mean + row["high"] - row["difference"])
    return found


def _mean(rows: list[Row], arm: str, metric: str) -> float:
    values = [row[metric] for row in rows if row["arm"] == arm and row[metric] is not None]
    return math.fsum(values) / len(values) if values else math.nan


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def explore(experiment: "Experiment", name: str | None, folder: Path, console: Any, *, quiet: bool) -> list[Row]:
    """The break-even latency, asynchronous, by time between requests and by tier or block: first seed, few rungs."""
    from experiments.ladder import climbing, learned_arm, rungs
    from experiments.run import run_all
    from experiments.surroundings import FACTORS, MAPS, with_gap
    from simulator.errors import InputError

    arm: Arm = learned_arm(experiment, name)
    cells: list[Row] = []
    for axis, change in MAPS.items():
        for gap in FACTORS:
            for factor in FACTORS:
                try:
                    there = change(with_gap(experiment, gap), factor)
                except InputError as error:
                    if not quiet:
                        console.print(f"map over {axis}: left out: {error}", highlight=False, markup=False)
                    break
                ladder = climbing(there, arm, rungs(1), assumed_ns=0, modes=("async",))
                ladder = ladder.model_copy(update={"seeds": ladder.seeds[:1], "output": _few_tables(there)})
                rows = run_all(ladder, folder / "map" / f"{axis}-{gap:g}-{factor:g}", console, quiet=quiet)
                found = _evaluate(arm.name, experiment.baseline, rows, 1.0, None)
                cells += [
                    {"axis": axis, "gap_scale": gap, "axis_scale": factor, **crossing} for crossing in found.crossings
                ]
    return cells


def _print(console: Any, crossings: list[Row]) -> None:
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
