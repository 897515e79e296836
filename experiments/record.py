"""``tierfetch record vllm --out FILE -- COMMAND``: the requests of a server's prefix cache, as a trace."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.exits import exit_codes

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def _main() -> None:
    """Run a server and write down, as a trace, which blocks its requests ask for."""


@app.command()
def vllm(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="As given: vllm serve MODEL ...")],
    out: Annotated[Path, typer.Option(metavar="FILE.jsonl", help="The trace to write, in the layout of Mooncake's.")],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE.jsonl if it is there.")] = False,
) -> None:
    """Run a vLLM server and write down which blocks each request looks up in its prefix cache.

    The trace is written when COMMAND ends, also by Ctrl-C. Ids are the 64 bits of a block's hash that vLLM's KV events
    have. Exit codes: COMMAND's, 128 and the signal's number if one ended it; 2 if it cannot be run or recorded.
    """
    with exit_codes("nothing was written"):
        from experiments.recorded_server import record

        code, said = record(out, command, force=force)
        # Standard output is the command's.
        typer.echo(said, err=True)
    raise typer.Exit(code)
