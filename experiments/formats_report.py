"""The formats of traces, for people."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


_EXAMPLES = {
    "compact": "tierfetch trace convert TRACE OUT.parquet",
    "table": "key,time_ns,size_bytes,op\n17,1000,4096,read",
    "binary_ids": "binary: u32 id, the most significant byte first",
    "addresses": "l 0x1fffff78 1",
    "ids": "17",
}
"""Of formats that nobody else has published."""


def print_formats(console: "Console") -> None:
    """Each format with its line, a row of it as an example, and where it is described."""
    from workloads.formats import formats
    from workloads.readers.row_format import PresetFormat

    console.print("--format NAME, or in a config source: {kind: NAME, path: FILE}; auto tells it by the file's name.\n")
    for kind, settings in formats().items():
        said = (settings.__doc__ or "").strip().splitlines()
        console.print(f"{kind:18} {said[0] if said else ''}", highlight=False, markup=False, soft_wrap=True)
        shown = [("such as", _EXAMPLES.get(kind, ""))]
        if issubclass(settings, PresetFormat):
            preset = settings.preset
            shown = [("such as", preset.example), ("see", preset.source), ("taken for", preset.reading)]
        for name, text in shown:
            for i, line in enumerate(text.splitlines()):
                head = name if i == 0 else ""
                console.print(f"{'':18}   {head:9} {line}", highlight=False, markup=False, soft_wrap=True)
