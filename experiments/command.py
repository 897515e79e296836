"""``tierfetch``: all commands under one name. Each is a module with an ``app`` that also runs by itself.

A module is imported when its command is first asked for, so that nothing is paid for what is not run.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

NAME = "tierfetch"
COMMANDS = {
    "run": "experiments.run",
    "merge": "experiments.merge",
    "search": "experiments.search",
    "init": "experiments.init",
    "list": "experiments.listing",
    "show": "experiments.show",
    "export": "experiments.export",
    "report": "experiments.make_report",
    "plot": "experiments.plot",
    "timeline": "experiments.timeline",
    "explain": "experiments.explain",
    "compare": "experiments.comparing",
    "trace": "experiments.trace",
    "policies": "experiments.policies",
    "misses": "experiments.misses",
    "break-even": "experiments.break_even",
    "bounds": "experiments.bounds",
    "accuracy": "experiments.accuracy",
    "latency": "experiments.latency",
    "calibrate": "experiments.calibrate",
    "validate": "experiments.validate",
    "shootout": "experiments.shootout",
    "beside": "experiments.beside",
    "check": "experiments.check",
    "record": "experiments.record",
    "schema": "experiments.schema",
}
"""By its name: the module of a command."""


class _Commands(Mapping[str, Any]):
    """The commands by their names, imported as they are asked for."""

    def __getitem__(self, name: str) -> Any:
        command = typer.main.get_command(import_module(COMMANDS[name]).app)
        command.name = name
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Group(TyperGroup):
    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Commands()  # type: ignore[assignment]

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order in which they are likely to be wanted."""
        return list(COMMANDS)


app = typer.Typer(cls=_Group, pretty_exceptions_enable=False, no_args_is_help=True)


def _version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        typer.echo(f"{NAME} {version(NAME)}")
        raise typer.Exit


@app.callback()
def _all(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Does a learned prefetcher pay for its own thinking? A simulator of a GPU cache over memory tiers.

    tierfetch run mixed runs the experiment that comes with it; tierfetch init --trace FILE writes a config for a trace
    of your own. Exit codes: 0 done, 2 bad input (the message says which file, line or key), 3 processes died, 4 a
    policy, model or format of your own failed, 130 interrupted, 1 a bug.
    """


def main() -> None:
    """What the console script calls."""
    if sys.stdout is None:
        # Closed by who calls: there is nobody to tell.
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    app(prog_name=NAME)


if __name__ == "__main__":
    main()
