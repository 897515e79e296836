"""The page as one file: the template, with style, scripts and charts inside."""

import base64
import hashlib
import json
from dataclasses import replace
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from experiments.page.beside import spread_out, what_differs
from experiments.page.bundle import library
from experiments.page.found import open_found
from experiments.page.sections import Result, ladder_of, result_of


def page_of(folders: list[Path]) -> str:
    """The page of some results, in their order; a folder with several variants stands for these.

    Raises:
        InputError: a folder holds none, or they are damaged.
    """
    from altair.utils.schemapi import debug_mode

    # Altair holds each part of a chart against its schema; the tests do, and here it is a fifth of all time.
    with debug_mode(False):
        folders = spread_out(folders)
        results = _told_apart([_result(folder, i) for i, folder in enumerate(folders, 1)], folders)
        return written(results, what_differs(folders))


def is_ladder(folder: Path) -> bool:
    """Whether it is one of ``tierfetch break-even``, which holds several experiments and the tables of all."""
    return (folder / "break_even.parquet").is_file() and not (folder / "manifest.json").exists()


def _told_apart(results: list[Result], folders: list[Path]) -> list[Result]:
    """Results of one name with their folders behind it."""
    names = [result.name for result in results]
    return [
        replace(result, name=f"{result.name} ({folder})") if names.count(result.name) > 1 else result
        for result, folder in zip(results, folders, strict=True)
    ]


def _result(folder: Path, number: int) -> Result:
    return ladder_of(folder, number) if is_ladder(folder) else result_of(open_found(folder), number)


def written(results: list[Result], differences: str = "") -> str:
    """HTML of what is said of each, and of what differs between them."""
    from jinja2 import Environment

    files = resources.files("experiments.page")
    template, style, script = (files.joinpath(name).read_text() for name in ("page.html.j2", "page.css", "page.js"))
    # The address of the schema is for editors; a page names no place elsewhere.
    specs = {
        f"{result.id}-{chart.kind}": {k: v for k, v in chart.spec("container").items() if k != "$schema"}
        for result in results for section in result.sections for chart in section.charts
    }  # fmt: skip
    scripts = library(), script
    environment = Environment(autoescape=True, trim_blocks=True, keep_trailing_newline=True)
    names = ", ".join(dict.fromkeys(result.name for result in results))
    html: str = environment.from_string(template).render(
        title=f"{names}: results" if len(names) <= 100 else f"{len(results)} results", results=results, style=style,
        differences=differences, specs=as_json(specs), library=scripts[0], script=scripts[1], policy=_policy(scripts),
        version=metadata.version("tierfetch"),
    )  # fmt: skip
    return html


def as_json(value: Any) -> str:
    """JSON that stands in a page: without what could end a script or begin anything."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _policy(scripts: tuple[str, ...]) -> str:
    """Nothing is fetched and no script runs but these; Vega makes functions of its expressions."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
