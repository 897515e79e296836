"""``python -m experiments.policies [KIND]``: what there is to choose from, and the settings of each policy."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from experiments.exits import exit_codes

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    kind: Annotated[str | None, typer.Argument(help="A prefetch policy, to list its settings.")] = None,
) -> None:
    """List prefetch policies, evictions and admissions, a line each; or the settings of one policy.

    Exit codes: 0 done, 2 unknown policy.
    """
    with exit_codes("nothing was to be written"):
        from experiments.progress import make_console
        from policies.registry import policies
        from simulator.errors import InputError
        from simulator.residency.registry import ADMISSIONS, EVICTIONS

        console = make_console()
        known = policies()
        if kind is None:
            _print_all(console, known)
        elif kind in known:
            _print_one(console, kind, known[kind])
        elif kind in (others := {**EVICTIONS, **ADMISSIONS}):
            _print_one(console, kind, others[kind])
        else:
            raise InputError(f"{kind}: no such policy; expected one of {', '.join((*known, *others))}")


def one_line(documented: Any) -> str:
    """The first line of a docstring."""
    return (documented.__doc__ or "").strip().splitlines()[0]


def _lines(known: Mapping[str, Any]) -> dict[str, str]:
    return {kind: one_line(config) for kind, config in known.items()}


def _print_all(console: Any, known: dict[str, Any]) -> None:
    from rich.table import Table

    from simulator.residency.registry import ADMISSIONS, EVICTIONS

    for title, rows in (
        ("Prefetch policies (arms[].policy.kind)", _lines(known)),
        ("Eviction policies (system.tiers[].eviction)", _lines(EVICTIONS)),
        ("Admissions (system.tiers[].admission.kind)", _lines(ADMISSIONS)),
    ):
        table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name, text in rows.items():
            table.add_row(name, text)
        console.print(table)
        console.print()
    console.print("Settings of a policy: python -m experiments.policies KIND", highlight=False)


def _print_one(console: Any, kind: str, config: Any) -> None:
    import sys
    import textwrap

    from rich.table import Table

    # The class says what it does, the module what is modelled, what is left out, and where it is from.
    text = f"{one_line(config)}\n\n{sys.modules[config.__module__].__doc__ or ''}"
    for paragraph in text.strip().split("\n\n"):
        console.print(textwrap.fill(" ".join(paragraph.split()), 110), highlight=False, markup=False)
    table = Table(title=f"Settings of {kind}", title_justify="left")
    for name in ("setting", "type", "default"):
        table.add_column(name)
    for name, field in config.model_fields.items():
        if name == "kind":
            continue
        default = "(required)" if field.is_required() else repr(field.get_default(call_default_factory=True))
        table.add_row(name, _type_text(field.annotation), default)
    console.print(table)


def _type_text(annotation: Any) -> str:
    """A type as a user would write its values."""
    from types import UnionType
    from typing import Literal, Union, get_args, get_origin

    from policies.base import PolicySettings

    origin = get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, PolicySettings):
        return "a policy"
    if origin is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if origin is Annotated:
        return _type_text(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(_type_text(part) for part in get_args(annotation)))
    if origin is tuple:
        return f"list of {_type_text(get_args(annotation)[0])}"
    return str(getattr(annotation, "__name__", annotation))


if __name__ == "__main__":
    app()
