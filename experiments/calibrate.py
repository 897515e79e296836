"""``tierfetch calibrate``: what this machine's levels and the links between them take, as a hardware preset."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes

if TYPE_CHECKING:
    from experiments.calibration.asked import Asked
    from experiments.calibration.outcome import Outcome

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Tables(StrEnum):
    """Whether links get a table."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Durations(StrEnum):
    """What stands for many durations."""

    MEDIAN = "median"
    MEAN = "mean"


@app.command()
def main(
    tiers: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL,...",
            help="Fastest first, the last one holds everything: hbm, dram, file:PATH, an http(s) URL. A file or device "
            "that is there is only read; in a folder a scratch file is made, and removed.",
            show_default="hbm where there is CUDA, dram, file:.",
        ),
    ] = None,
    block: Annotated[
        str | None,
        typer.Option(metavar="SIZE,...", help="Sizes of blocks.", show_default="4KiB,16KiB,64KiB,256KiB,1MiB,4MiB"),
    ] = None,
    at_once: Annotated[
        str | None, typer.Option(metavar="N,...", help="Calls that go on at once.", show_default="1,2,4,8")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The preset to write.")] = Path("my_machine.yaml"),
    table: Annotated[
        Tables, typer.Option(help="Links with a table of what calls took: where a line is off by more than 10 %, ...")
    ] = Tables.AUTO,
    durations: Annotated[Durations, typer.Option(help="What stands for many durations.")] = Durations.MEDIAN,
    spread: Annotated[
        bool | None,
        typer.Option(
            help="How far calls of a link and services differ, as quantiles of a factor.",
            show_default="with --durations mean",
        ),
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Each kind of call comes once in each.", show_default="5")
    ] = (None),
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1, max=86_400, help="Time for all rounds; few calls of each are made anyway.", show_default="60"
        ),
    ] = None,
    pace: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Pause so long before each call, or each burst of calls at once: an idle machine is slower.",
            show_default="none: one after the other",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Three sizes, 1 and 4 at once, 3 rounds, 6 s.")] = False,
    region: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of memory, for random places.", show_default="8 times the largest cache"),
    ] = None,
    scratch: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of a scratch file.", show_default="1GiB; 256MiB if --quick")
    ] = None,
    pageable: Annotated[
        bool, typer.Option("--pageable", help="The link to the GPU is that of pageable memory; page-locked else.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cuda, cuda:1 or a UUID, of hbm and the predictor.")] = "auto",
    predictor: Annotated[bool, typer.Option(help="Time the predictor's backends, too.")] = True,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw points and fit (.png, .svg, .pdf; tierfetch[report]).")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="What was found as JSON, for programs, and no progress.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="In place of what is there.")] = False,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Measure nothing: by how much do two such presets differ?"),
    ] = None,
) -> None:
    """Measure this machine, and write it as a preset: `system: {preset: my_machine.yaml}`.

    Device copies, host to device and back, host copies, a file past the kernel's cache, ranges of a URL: by size and by
    calls at once, at random places, in rounds. Latency + bytes / bandwidth and channels are fitted; the preset says
    where that is off, and has a table of the link there. Exit codes: 0 done, 2 bad input, 130 interrupted, 1 a bug.
    """
    with exit_codes("nothing was written, and no scratch file is left"):
        if compare is not None:
            _compare(*compare, as_json=as_json)
            return
        from experiments.calibration.asked import asked

        found = asked(
            tiers, block, at_once, rounds, seconds, region, scratch, device=device, is_quick=quick, pageable=pageable,
            durations=durations.value, table=table.value, spread=spread, pace=pace,
        )  # fmt: skip
        _check_out(out, plot, is_forced=force)
        _calibrate(found, out, plot, with_predictor=predictor, as_json=as_json)


def _check_out(out: Path, plot: Path | None, *, is_forced: bool) -> None:
    """Raises InputError before anything is measured, if it could not be written."""
    from experiments.new_files import check_free, check_picture
    from simulator.errors import InputError

    if out.suffix not in (".yaml", ".yml"):
        raise InputError(f"--out {out}: expected a name that ends in .yaml")
    check_picture(plot)
    check_free("--out", out, is_forced=is_forced)
    check_free("--plot", plot, is_forced=is_forced)


def _calibrate(asked: "Asked", out: Path, plot: Path | None, *, with_predictor: bool, as_json: bool) -> None:
    import time

    from experiments.aside import written_aside
    from experiments.calibration.measuring import measure
    from experiments.calibration.outcome import preset_text
    from experiments.progress import make_console

    console, started = make_console(), time.monotonic()

    def told(text: str) -> None:
        if not as_json:
            console.print(text, highlight=False, markup=False)

    outcome, head, facts = measure(asked, told, with_predictor=with_predictor)
    text = preset_text(outcome, head, facts)
    picture = None if plot is None else _picture(outcome, plot)
    with written_aside(out) as aside:
        aside.write_text(text)
    if plot is not None and picture is not None:
        with written_aside(plot) as aside:
            aside.write_bytes(picture)
    if as_json:
        import json

        from experiments.overrides import parse_yaml

        typer.echo(json.dumps({"preset": str(out), **parse_yaml(text, str(out))}, indent=1))
        return
    from experiments.calibration.told import print_outcome

    print_outcome(console, outcome, facts)
    told(f"Written in {time.monotonic() - started:.0f} s: {out}. Use it: system: {{preset: {out.name}}}")
    if plot is not None:
        told(f"Picture: {plot}")


def _picture(outcome: "Outcome", plot: Path) -> bytes:
    from experiments.charts.calibration import calibration
    from experiments.plot import Format, drawn

    return drawn(calibration(outcome), Format(plot.suffix.lower().lstrip(".")), width=560)


def _compare(a: Path, b: Path, *, as_json: bool) -> None:
    from experiments.calibration.against import calibration_at, differences, machines_differ

    found = [calibration_at(path) for path in (a, b)]
    rows, others = differences(*found), machines_differ(*found)
    if as_json:
        import json

        told: dict[str, Any] = {"differences": [row._asdict() for row in rows], "machines_differ": others}
        typer.echo(json.dumps(told, indent=1))
        return
    from experiments.calibration.told import print_differences
    from experiments.progress import make_console

    print_differences(make_console(), rows, others)


if __name__ == "__main__":
    app()
