"""The options with which every command on traces says how to read a file, once for all of them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

TracePath = Annotated[
    Path,
    typer.Argument(
        help="A trace file, as given or in TIERFETCH_TRACES; a config (.yaml): its workload; or a workload in a line."
    ),
]
Format = Annotated[
    str,
    typer.Option("--format", metavar="FORMAT", help="auto (by the name), or one that `trace formats` lists."),
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=COLUMN,...",
        help="Tables: which column is key, and, if any, size_bytes, time_ns, stream, request, op and repeat. Several "
        "make one key: key=volume+offset.",
        show_default="key=key",
    ),
]
Features = Annotated[
    str | None, typer.Option(metavar="NAME=COLUMN,...", help="Tables: further columns, for policies that ask for them.")
]
Block = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="Split ranges of bytes into blocks; of a trace without sizes, the size of each key."
    ),
]
Size = Annotated[str | None, typer.Option(metavar="SIZE", help="Of every access, whatever the trace says.")]
TimeUnit = Annotated[
    str | None, typer.Option(metavar="UNIT", help="Of times: ns, us, ms, s, 100ns or filetime.", show_default="ns")
]
SizeUnit = Annotated[
    str | None, typer.Option(metavar="UNIT", help="Of sizes: bytes, sectors, pages, KiB.", show_default="bytes")
]
OffsetUnit = Annotated[
    str | None, typer.Option(metavar="UNIT", help="Of offsets, which --block splits.", show_default="bytes")
]
Ops = Annotated[
    str | None, typer.Option(metavar="'read=WORD,... write=WORD,... skip=WORD,...'", help="What operation words mean.")
]
Keys = Annotated[
    str | None,
    typer.Option(
        metavar="auto|number|hex|hash", help="What keys are; hash: 64 bits of their text.", show_default="auto"
    ),
]
KeyNames = Annotated[
    Path | None, typer.Option(metavar="OUT.parquet", help="Also write the text of each key that was hashed there.")
]
Separator = Annotated[
    str | None,
    typer.Option(
        metavar="CHAR",
        help="Tables of text: a character, or blank, comma, semicolon, tab, pipe.",
        show_default="by the first line, not blank",
    ),
]
NoHeader = Annotated[bool, typer.Option("--no-header", help="Tables of text: columns have numbers, from 1.")]
Comment = Annotated[str | None, typer.Option(metavar="TEXT", help="Tables of text: leave lines out that start so.")]
Ragged = Annotated[bool, typer.Option("--ragged", help="Tables of text: rows may have more or fewer fields.")]
Empty = Annotated[
    str | None, typer.Option(metavar="skip|min", help="Of size 0: leave out, or take for 1 byte.", show_default="error")
]
Sort = Annotated[
    int | None, typer.Option(metavar="ROWS", min=1, help="Put rows in order that are up to so many rows too late.")
]
Damaged = Annotated[
    str | None, typer.Option(metavar="error|stop", help="stop: read to the last good row.", show_default="error")
]


@dataclass(frozen=True)
class ReadingOptions:
    """What a command line says of how to read a file; None: nothing."""

    format_: Format = "auto"
    columns: Columns = None
    features: Features = None
    block: Block = None
    size: Size = None
    time_unit: TimeUnit = None
    size_unit: SizeUnit = None
    offset_unit: OffsetUnit = None
    ops: Ops = None
    keys: Keys = None
    separator: Separator = None
    no_header: NoHeader = False
    comment: Comment = None
    ragged: Ragged = False
    empty: Empty = None
    sort: Sort = None
    damaged: Damaged = None
    key_names: KeyNames = None


def reads_a_trace(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter ``reading`` (ReadingOptions) is all of these options, where that parameter is."""
    signature = inspect.signature(command)
    parameters = []
    for parameter in signature.parameters.values():
        if parameter.name != "reading":
            parameters.append(parameter)
            continue
        parameters += [
            inspect.Parameter(
                field.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=field.default, annotation=field.type
            )
            for field in fields(ReadingOptions)
        ]
    names = [field.name for field in fields(ReadingOptions)]

    def called(**given: Any) -> None:
        reading = ReadingOptions(**{name: given.pop(name) for name in names if name in given})
        command(reading=reading, **given)

    # Options after arguments with defaults: all are handed over by name.
    called.__signature__ = signature.replace(parameters=[p.replace(kind=p.KEYWORD_ONLY) for p in parameters])  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    called.__name__, called.__doc__ = command.__name__, command.__doc__
    return called
