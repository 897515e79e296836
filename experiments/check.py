"""``python -m experiments.check my_policy.py:MyPolicy``: does a class of one's own keep the contract?"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import OUTSIDE, exit_codes

if TYPE_CHECKING:
    from experiments.contract.rules import Verdict

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_MOST_LINES = 8


@app.command()
def main(
    reference: Annotated[
        str,
        typer.Argument(help="FILE.py:CLASS (or FILE.py, if it has one), PACKAGE.MODULE:CLASS, or a kind."),
    ],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One of its settings; may be repeated.")
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A policy is tried on its first 5,000 accesses, too; a format reads it."),
    ] = None,
    time_limit: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long one call may take.", show_default="10 s")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only what is broken.")] = False,
) -> None:
    """Try the rules that policies, workloads, formats and evictions keep on one, and say in words which it breaks.

    Exit codes: 0 all are kept, 2 there is no such class or its settings are wrong, 4 a rule is broken.
    """
    with exit_codes("nothing was to be written"):
        from experiments.compiling import Announced
        from experiments.contract.naming import contract_of
        from experiments.contract.rules import judge_all
        from experiments.progress import make_console

        console = make_console()
        rules, it = contract_of(reference, _said(settings or []), trace, time_limit)
        states: Counter[str] = Counter()
        with Announced(lambda text: None if quiet else console.print(text, highlight=False)):
            for verdict in judge_all(rules, it):
                states[verdict.state] += 1
                if verdict.state == "broken" or not (quiet or verdict.state == "not tried"):
                    _print(console, verdict)
        console.print(f"{it.who}: {', '.join(f'{n} {state}' for state, n in states.items())}", markup=False)
        if states["broken"]:
            raise typer.Exit(OUTSIDE)


def _said(texts: list[str]) -> dict[str, Any]:
    from experiments.overrides import override, parse_yaml
    from simulator.errors import InputError

    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--set {text}: expected NAME=VALUE")
        try:
            override(found, name, parse_yaml(value, f"--set {text}"))
        except ValueError as error:
            raise InputError(f"--set {text}: {error}") from None
    return found


def _print(console: Any, verdict: "Verdict") -> None:
    from rich.text import Text

    style = {"kept": "green", "broken": "bold red"}.get(verdict.state, "dim")
    note = f" ({verdict.lines[0]})" if verdict.lines and verdict.state != "broken" else ""
    console.print(Text(f"{verdict.state:15}", style=style) + Text(verdict.rule.sentence + note), soft_wrap=True)
    lines = verdict.lines if verdict.state == "broken" else ()
    for line in lines[:_MOST_LINES]:
        console.print(Text(f"{'':15}{line}"), soft_wrap=True)


if __name__ == "__main__":
    app()
