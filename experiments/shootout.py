"""``tierfetch shootout CONFIG``: the results of a config's variants as Markdown tables."""

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes
from experiments.means import mean

if TYPE_CHECKING:
    from experiments.config import Arm, Experiment

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
_COLUMNS = (
    "mean latency", "ratio", "p99", "hits", "issued / access", "accuracy", "coverage", "pollution", "fetched",
    "an inference",
)  # fmt: skip
Row = dict[str, Any]


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="The experiment that was run.")] = Path("shootout"),
    out: Annotated[
        Path | None, typer.Option(help="The folder that it was run into.", show_default="as tierfetch run chose it")
    ] = None,
    into: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Put the tables there, between {BEGIN} and {END}.")
    ] = None,
) -> None:
    """Make Markdown tables of a finished experiment: all variants side by side, then each with its details.

    Exit codes: 0 done, 2 bad input, such as runs that are missing.
    """
    with exit_codes("nothing was written"):
        from experiments.loading import load
        from experiments.making import folder_of

        experiments = load(config)
        results = {name: _rows(e, folder_of(e, name, out), config, name) for name, e in experiments.items()}
        text = "\n\n".join(
            [_summary(experiments, results), *(_details(experiments[n], n, results[n]) for n in results)]
        )
        if into is None:
            typer.echo(text)
        else:
            put(into, text)


def _rows(experiment: "Experiment", folder: Path, config: Path, variant: str) -> dict[str, list[Row]]:
    """Finished runs by arm."""
    from experiments.folder import kept_in
    from experiments.plan import planned
    from simulator.errors import InputError

    kept = kept_in(experiment, folder, force=False).runs.values()
    rows = [found.row for found in kept if found.row["seed"] in experiment.seeds]
    found = {arm.name: [row for row in rows if row["arm"] == arm.name] for arm in experiment.arms}
    n_planned = Counter(run.arm.name for run in planned(experiment))
    missing = [name for name, of_arm in found.items() if len(of_arm) < n_planned[name]]
    if missing:
        names = ", ".join([*missing[:3], *(["..."] if len(missing) > 3 else [])])
        more = f" --variant {variant}" if variant else ""
        raise InputError(
            f"{folder}: has no results of {len(missing)} of {len(found)} arms ({names}); "
            f"run tierfetch run {config}{more} first"
        )
    return found


def _throttled(experiment: "Experiment") -> dict[str, str]:
    """The arm that is another one under the throttle, by that other one's name."""
    from policies.fdp import FdpConfig

    def inner(arm: "Arm") -> object:
        return arm.policy.policy if isinstance(arm.policy, FdpConfig) else None

    return {
        plain.name: arm.name
        for plain in experiment.arms
        for arm in experiment.arms
        if inner(arm) == plain.policy and arm.charged == plain.charged
    }


def _summary(experiments: dict[str, "Experiment"], results: dict[str, dict[str, list[Row]]]) -> str:
    """Mean latency as a share of the baseline's, without and with the throttle."""
    from policies.oracle import OracleConfig

    first = next(iter(experiments.values()))
    throttled = _throttled(first)
    cells = {name: _ratios(experiments[name], results[name]) for name in results}
    # What nobody can have: the future, and a model that thinks in no time.
    real = {arm.name for arm in first.arms if not isinstance(arm.policy.core, OracleConfig)
            and not (arm.policy.is_measured and arm.charged.kind == "free")}  # fmt: skip
    best = {name: min(ratio for arm, ratio in ratios.items() if arm in real) for name, ratios in cells.items()}
    lines = [
        f"Mean latency / that of `{first.baseline}`; after the stroke: under the throttle. "
        "Bold: the best, the oracle and uncharged learning aside.",
        "",
        "| policy | " + " | ".join(results) + " |",
        "|---|" + "---:|" * len(results),
    ]
    for arm in first.arms:
        if arm.name in throttled.values():
            continue
        row = []
        for name in results:
            texts = []
            for one in (arm.name, *([throttled[arm.name]] if arm.name in throttled else [])):
                text = f"{cells[name][one]:.3f}"
                texts.append(f"**{text}**" if one in real and cells[name][one] == best[name] else text)
            row.append(" / ".join(texts))
        lines.append(f"| {arm.name} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def _ratios(experiment: "Experiment", results: dict[str, list[Row]]) -> dict[str, float]:
    base = mean(results[experiment.baseline], "mean_latency_ns") or 1.0
    return {arm: (mean(rows, "mean_latency_ns") or 0.0) / base for arm, rows in results.items()}


def _details(experiment: "Experiment", name: str, results: dict[str, list[Row]]) -> str:
    """A row for each arm, fastest first."""
    from experiments.report import time_text

    some = results[experiment.baseline][0]
    names = list(some)
    fetched = [key for key in names if key.endswith(("_demand_bytes", "_prefetch_bytes")) and key.startswith(
        experiment.system.tiers[0].name)]  # fmt: skip
    ratios = _ratios(experiment, results)
    measured = [row for rows in results.values() for row in rows if row["latencies"] == "measured"]
    # Tables that are charged have no device.
    devices = sorted(
        {f"{row['device']} by its {row['charge_clock']} clock" for row in measured if row["device"] != "none"}
    )
    lines = [
        f"### {name or experiment.name}",
        "",
        f"{some['n_accesses']:,} accesses judged, after {some['n_train_accesses']:,} to train on; "
        f"{len(experiment.seeds)} seed{'s' * (len(experiment.seeds) > 1)}"
        + (f"; inference times of {', '.join(devices)}." if devices else "."),
        "",
        "| arm | " + " | ".join(_COLUMNS) + " |",
        "|---|" + "---:|" * len(_COLUMNS),
    ]
    base_bytes = sum(mean(results[experiment.baseline], key) or 0.0 for key in fetched)
    for arm in sorted(results, key=lambda arm: ratios[arm]):
        rows = results[arm]
        moved = sum(mean(rows, key) or 0.0 for key in fetched)
        question = mean(rows, "p50_inference_charged_ns") if rows[0]["latencies"] == "measured" else None
        issued = (mean(rows, "n_issued") or 0.0) / some["n_accesses"]
        cells = [
            time_text(mean(rows, "mean_latency_ns") or 0.0),
            f"{ratios[arm]:.3f}",
            time_text(mean(rows, "p99_latency_ns") or 0.0),
            *(_ratio(mean(rows, metric)) for metric in ("hit_ratio",)),
            f"{issued:.3f}",
            *(_ratio(mean(rows, metric)) for metric in ("accuracy_ratio", "coverage_ratio", "pollution_ratio")),
            f"{moved / base_bytes:.2f}" if base_bytes else "-",
            time_text(question) if question is not None else "-",
        ]
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    models = _models(results)
    return "\n".join([*lines, *(["", *models] if models else [])])


def _models(results: dict[str, list[Row]]) -> list[str]:
    """What trained models named beforehand, beside the best of their controls; arms with one model share a line."""
    said: dict[str, list[str]] = {}
    for arm, rows in results.items():
        for row in rows:
            if row.get("beats_control") is not None:
                held = ", and is held back" if row["threshold"] == math.inf else ""
                told = (
                    f"named {row['named_ratio']:.3f} of the validation part, {row['control']} "
                    f"{row['control_top1_ratio']:.3f}{held} (seed {row['seed']})."
                )
                said.setdefault(told, []).append(arm)
    return [f"- {', '.join(arms)}: {told}" for told, arms in said.items()]


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def put(path: Path, text: str) -> None:
    """Tables into a page, in the place of those between its marks. Raises InputError if it has none."""
    from experiments.aside import written_aside
    from simulator.errors import InputError

    try:
        whole = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--into {path}: cannot be read: {error}") from None
    if whole.count(BEGIN) != 1 or whole.count(END) != 1 or whole.index(BEGIN) > whole.index(END):
        raise InputError(f"--into {path}: expected one line {BEGIN} and after it one line {END}")
    before, after = whole[: whole.index(BEGIN) + len(BEGIN)], whole[whole.index(END) :]
    with written_aside(path) as aside:
        aside.write_text(f"{before}\n\n{text}\n\n{after}")


if __name__ == "__main__":
    app()
