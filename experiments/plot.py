"""``tierfetch plot RESULT --kind KIND``: one chart of a page of results, as a picture for a paper."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes

if TYPE_CHECKING:
    from experiments.charts.chart import Chart

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Format(StrEnum):
    """What a picture can be written as."""

    PNG = "png"
    SVG = "svg"
    PDF = "pdf"


@app.command()
def main(
    result: Annotated[Path, typer.Argument(help="A folder of results, as list names them, or of break-even.")],
    kind: Annotated[
        str | None,
        typer.Option(
            help="Which chart: of a sweep curves or heat; of one result means, effects, ecdf, ..., another word lists "
            "them.",
            show_default="as suits a sweep",
        ),
    ] = None,
    x: Annotated[str | None, typer.Option("--x", metavar="KEY", help="Of a sweep: the swept key to the right.")] = None,
    y: Annotated[str | None, typer.Option("--y", metavar="KEY", help="The one upwards, of a map (heat).")] = None,
    panel: Annotated[str | None, typer.Option(metavar="KEY", help="The one with a panel for each value.")] = None,
    metric: Annotated[str, typer.Option(metavar="NAME", help="Of a sweep: a column of runs.")] = "mean_latency_ns",
    arm: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Of a sweep: only this arm; may be repeated.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of a sweep: only runs with this; may be repeated."),
    ] = None,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Of heat: the metric itself, not its difference to the baseline.")
    ] = False,
    variant: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a folder with several variants, this one.")
    ] = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="Of the picture.", show_default="as the file's name says, or png")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The picture.", show_default="KIND.FORMAT")] = None,
    width: Annotated[int, typer.Option(min=200, max=4000, help="Of the plot, in pixels before --scale.")] = 640,
    scale: Annotated[float, typer.Option(min=0.5, max=8, help="Pixels of a png for each.")] = 2.0,
    title: Annotated[bool, typer.Option(help="With the chart's title above it.")] = True,
) -> None:
    """Write a picture of a sweep, or one chart of the page that report makes, with the same data and colours.

    Of a folder of variants: curves of a metric over a swept key, or a map over two (heat), by default whichever suits.

    Needs the extra `report` of tierfetch. Exit codes: 0 done, 2 bad input, such as a chart whose data is not there.
    """
    with exit_codes("nothing was written"):
        from experiments.aside import written_aside
        from experiments.export import check_out
        from experiments.stores.chosen import here

        form = format_ or _by_name(out)
        if out is not None:
            check_out(out, result)
        of_sweep = {
            "--x": x, "--y": y, "--panel": panel, "--arm": arm, "--where": where, "--absolute": absolute or None,
            "--metric": None if metric == "mean_latency_ns" else metric,
        }  # fmt: skip
        chart = _chart(here(result), kind, variant, of_sweep)
        place = out or Path(f"{chart.kind}.{form.value}")
        check_out(place, result)
        picture = drawn(chart, form, width=width, scale=scale, is_titled=title)
        with written_aside(place) as aside:
            aside.write_bytes(picture)
        typer.echo(f"Picture: {place}")


def _chart(result: Path, kind: str | None, variant: str | None, said: dict[str, Any]) -> "Chart":
    """Of a sweep, or of one result. Raises InputError where what is said is of the other."""
    from experiments.extras import need
    from experiments.results import places_below
    from experiments.sweep_kinds import KINDS, is_sweep
    from experiments.variants import one_of, opened
    from simulator.errors import InputError

    need("report", "altair", "vl_convert")
    from experiments.page.render import is_ladder

    if variant is None and kind in (None, *KINDS) and not is_ladder(result) and (kind or is_sweep(result)):
        from experiments.sweep_pictures import Asked, chart_of_sweep

        given = {name.removeprefix("--"): value for name, value in said.items() if value is not None}
        given |= {"arms": given.pop("arm")} if "arm" in given else {}
        return chart_of_sweep(opened(result), Asked(kind, **given))
    if kind is not None and variant is None and not is_ladder(result) and places_below(result):
        _check_kind(kind)
    for option, value in said.items():
        if value is not None:
            raise InputError(f"{option}: is of a sweep's curves and maps; expected --kind curves or heat, or none")
    if kind is None:
        raise InputError("--kind: is missing; expected which chart, such as means: another word lists them")
    return chart_of(result if is_ladder(result) else one_of(result, variant), kind)


def _check_kind(kind: str) -> None:
    """Of a folder of variants: which one would have such a chart is no question where there is none."""
    from difflib import get_close_matches

    from experiments.page.charts import KINDS as OF_ONE
    from experiments.sweep_kinds import KINDS
    from simulator.errors import InputError

    if kind in OF_ONE or kind.partition("_")[0] in ("traffic", "busy", "waits"):
        return
    close = get_close_matches(kind, [*KINDS, *OF_ONE], 1)
    meant = (
        f"did you mean {close[0]!r}?"
        if close
        else f"expected {' or '.join(KINDS)}, or with --variant one of {', '.join(OF_ONE)}"
    )
    raise InputError(f"--kind {kind}: there is no such chart; {meant}")


def _by_name(out: Path | None) -> Format:
    from simulator.errors import InputError

    if out is None:
        return Format.PNG
    try:
        return Format(out.suffix.lstrip(".").lower())
    except ValueError:
        raise InputError(f"--out {out}: expected a name that ends in .png, .svg or .pdf, or --format") from None


def chart_of(folder: Path, kind: str) -> "Chart":
    """A chart of results.

    Raises:
        InputError: there is no such kind, the results have no data for it, or the extra is not installed.
    """
    from difflib import get_close_matches

    from experiments.extras import need
    from simulator.errors import InputError

    need("report", "altair", "vl_convert")
    from experiments.page.charts import KINDS, ladder, moves, traffic
    from experiments.page.found import open_found
    from experiments.page.render import is_ladder

    known = [*KINDS, "break-even"]
    if is_ladder(folder):
        if kind != "break-even":
            raise InputError(f"--kind {kind}: {folder} is of break-even, and has that chart alone")
        return ladder(folder)
    found = open_found(folder)
    makers = {"traffic": traffic, "busy": moves, "waits": moves}
    made = makers[kind.partition("_")[0]](found) if kind.partition("_")[0] in makers else []
    of_links = {chart.kind: chart for chart in made}
    if kind in of_links:
        return of_links[kind]
    if of_links:
        raise InputError(f"--kind {kind}: {folder} has one for each link; expected {' or '.join(of_links)}")
    if kind not in KINDS:
        known += [f"traffic_{link}" for link in found.links]
        close = get_close_matches(kind, known, 1)
        meant = (
            f"did you mean {close[0]!r}?" if close and kind != "break-even" else f"expected one of {', '.join(known)}"
        )
        raise InputError(f"--kind {kind}: {folder} has no such chart; {meant}")
    chart = KINDS[kind](found)
    if chart is None:
        raise InputError(f"--kind {kind}: {folder} has no data for it; the page of tierfetch report says what keeps it")
    return chart


def drawn(chart: "Chart", form: Format, *, width: int, scale: float = 2.0, is_titled: bool = True) -> bytes:
    """The chart as a picture on white, by Vega itself, without a browser."""
    from textwrap import wrap

    import vl_convert

    from experiments.sweep_kinds import KINDS

    spec = chart.spec(width)
    spec["config"] = {**spec["config"], "background": "#ffffff", "font": "DejaVu Sans, Helvetica, Arial, sans-serif"}
    spec["config"]["legend"] = {**spec["config"]["legend"], "columns": max(1, width // 170)}
    if is_titled:
        spec["title"] = {"text": chart.title, "anchor": "start", "fontSize": 14, "offset": 10}
        if chart.kind in KINDS:
            # What is fixed and what marks mean, no axis says.
            lines = wrap(chart.says, max(30, width // 6))
            spec["title"] |= {"subtitle": lines, "subtitleFontSize": 12, "subtitleColor": "#555555"}
    if form is Format.SVG:
        return str(vl_convert.vegalite_to_svg(spec)).encode()
    if form is Format.PDF:
        return bytes(vl_convert.vegalite_to_pdf(spec))
    return bytes(vl_convert.vegalite_to_png(spec, scale=scale))


if __name__ == "__main__":
    app()
