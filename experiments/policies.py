"""``tierfetch policies [KIND]``: what there is to choose from, and the settings of each."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from experiments.exits import exit_codes

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    kind: Annotated[str | None, typer.Argument(help="One of those listed, to see its settings.")] = None,
) -> None:
    """List prefetch policies, evictions, admissions, workloads and trace formats, a line each; or the settings of one.

    Exit codes: 0 done, 2 there is none of that name.
    """
    with exit_codes("nothing was to be written"):
        from experiments.progress import make_console
        from simulator.errors import InputError

        console, sections = make_console(), _sections()
        if kind is None:
            _print_all(console, sections)
            return
        found = [known[kind] for known in sections.values() if kind in known]
        if not found:
            kinds = dict.fromkeys(kind for known in sections.values() for kind in known)
            close = get_close_matches(kind, kinds, 1)
            meant = f" ({close[0]!r}?)" if close else ""
            raise InputError(f"{kind}: there is none of that name{meant}; expected one of {', '.join(kinds)}")
        for one in found:
            if isinstance(one, str):
                raise InputError(one)
            _print_one(console, kind, one)


def one_line(documented: Any) -> str:
    """The first line of a docstring."""
    return (documented.__doc__ or "").strip().splitlines()[0]


def _sections() -> dict[str, Mapping[str, Any]]:
    """By title: what there is, by its kind, as a class of settings, or why a package's cannot be imported."""
    from policies.registry import POLICIES
    from simulator.residency.registry import ADMISSIONS, EVICTIONS
    from workloads.formats import formats
    from workloads.registry import SOURCES

    of_files = formats()
    return {
        "Prefetch policies (arms[].policy.kind)": _all_of(POLICIES),
        "Eviction policies (system.tiers[].eviction)": _all_of(EVICTIONS),
        "Admissions (system.tiers[].admission.kind)": _all_of(ADMISSIONS),
        "Workloads (workload.source.kind)": {k: one for k, one in _all_of(SOURCES).items() if k not in of_files},
        "Trace formats (workload.source.kind, and --format)": of_files,
    }


def _all_of(registry: Mapping[str, Any]) -> dict[str, Any]:
    from simulator.errors import InputError

    found: dict[str, Any] = {}
    for kind in registry:
        try:
            found[kind] = registry[kind]
        except InputError as error:
            found[kind] = str(error)
    return found


def _print_all(console: Any, sections: Mapping[str, Mapping[str, Any]]) -> None:
    from rich.table import Table

    for title, known in sections.items():
        table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for kind, one in known.items():
            table.add_row(kind, one if isinstance(one, str) else one_line(one))
        console.print(table)
        console.print()
    console.print("The settings of one: tierfetch policies KIND", highlight=False)


def _print_one(console: Any, kind: str, config: Any) -> None:
    import inspect
    import sys
    import textwrap

    from rich.table import Table
    from rich.text import Text

    # The class says what it does, the module what is modelled, what is left out, and where it is from.
    paragraphs = [
        *inspect.cleandoc(config.__doc__).split("\n\n"),
        *(sys.modules[config.__module__].__doc__ or "").split("\n\n"),
    ]
    for paragraph in paragraphs:
        console.print(textwrap.fill(" ".join(paragraph.split()), 110), highlight=False, markup=False)
    if names := ", ".join(getattr(config, "name_parts", ())):
        console.print(f"Files of this format have one of these in their names: {names}", highlight=False, markup=False)
    if features := ", ".join(getattr(config, "features", ())):
        console.print(f"Features of its accesses: {features}", highlight=False, markup=False)
    for name, choices in getattr(config, "choices", dict)().items():
        console.print(textwrap.fill(f"{name} is one of {', '.join(choices)}", 110), highlight=False, markup=False)
    table = Table(title=f"Settings of {kind}", title_justify="left")
    for name in ("setting", "type", "range", "default", "meaning"):
        table.add_column(name)
    for row in _rows_of(config, ""):
        table.add_row(*map(Text, row))
    console.print(table)


def _rows_of(config: Any, above: str) -> Iterator[tuple[str, str, str, str, str]]:
    """Each setting, its type, range, default and meaning; those of settings within a setting stand below it."""
    from experiments.descriptions import descriptions
    from experiments.settings_text import range_text, type_text

    meanings = descriptions(config)
    for name, field in config.model_fields.items():
        if name == "kind":
            continue
        default = "(required)" if field.is_required() else repr(field.get_default(call_default_factory=True))
        said = (field.annotation, field.metadata)
        place = above + (field.alias or name)
        yield place, type_text(*said), range_text(*said), default, meanings.get(name, "")
        for part in _within(field.annotation):
            yield from _rows_of(part, f"{place}.")


def _within(annotation: Any) -> Iterator[Any]:
    """The classes of settings that a type takes, where no registry tells them apart."""
    from typing import get_args

    from pydantic import BaseModel

    from simulator.plugins import PluginSettings

    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel) and not issubclass(part, PluginSettings):
            yield part


if __name__ == "__main__":
    app()
