"""``tierfetch list [FOLDER]``: the results that lie below a folder, the newest first."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from experiments.exits import exit_codes, printable

if TYPE_CHECKING:
    from experiments.results import KeptResults

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_MOST_NAMES = 8


class Best(NamedTuple):
    """The arm with the lowest mean latency, and what the comparison with the baseline says of it, if there is one."""

    arm: str
    mean_latency_ns: float
    relative_difference_ratio: float | None
    verdict: str | None


class Listed(NamedTuple):
    """What is said of a folder of results; ``written_ns`` is when its manifest was, in ns since 1970."""

    folder: Path
    name: str
    written_ns: int
    arms: list[str]
    seeds: list[int]
    baseline: str
    best: Best | None
    n_runs: int
    missing: list[str]
    lacks: str | None
    size_bytes: int
    variant: str | None = None
    """Which one, of an experiment that has several below one folder."""

    @property
    def is_whole(self) -> bool:
        """Whether all its runs are there, and their comparison."""
        return not self.missing and self.lacks is None


@app.command("list")
def main(
    folder: Annotated[Path, typer.Argument(help="Where results lie, at any depth.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="All of it as JSON, for programs.")] = False,
) -> None:
    """List results, the newest first: what was run, how it came out, and whether runs are missing.

    Several variants of an experiment in one folder are listed together.
    Folders that hold no results are passed by, damaged ones are named at the end. Files are held against their sizes
    alone, where run reads them. Exit codes: 0 done, 2 there is no such folder.
    """
    with exit_codes("nothing was to be written"):
        from experiments.stores.chosen import here
        from simulator.errors import InputError

        folder = here(folder, tables_only=True)
        if not folder.is_dir():
            what = "is no folder" if folder.exists() else "no such folder"
            raise InputError(f"{folder}: {what}; expected one below which results lie")
        listed: list[Listed] = []
        damaged: list[tuple[Path, str]] = []
        for path, error in places(folder):
            try:
                if error is not None:
                    raise InputError(f"{path}: {error}")
                listed.append(look_at(path))
            except (InputError, OSError) as found:
                # One folder is no reason to say nothing of the others.
                damaged.append((path, str(found)))
        listed.sort(key=lambda one: (-one.written_ns, one.folder))
        if as_json:
            _print_json(listed, damaged)
        else:
            from experiments.listed_variants import in_groups, lines_of_variants

            if not listed and not damaged:
                typer.echo(printable(f"{folder}: no results lie there"))
            for group in in_groups(listed):
                for line in lines_of_variants(group) if len(group) > 1 else lines_of(group[0]):
                    typer.echo(printable(line))
        for _, problem in damaged:
            typer.echo(printable(f"damaged: {problem}"), err=True)


def places(top: Path) -> Iterator[tuple[Path, str | None]]:
    """Each folder of results at or below one, and each that cannot be looked into, with the reason."""
    from experiments.kept import MANIFEST
    from experiments.results import SIGNS

    unread: list[OSError] = []
    for place, below, files in os.walk(top, onerror=unread.append):
        signs = {*SIGNS} & {*files, *below}
        if (signs and MANIFEST in {*files, *below}) or len(signs) > 1:
            yield Path(place), None
            below.clear()
        below.sort()
    for error in unread:
        yield Path(str(error.filename)), os.strerror(error.errno or 0)


def look_at(folder: Path) -> Listed:
    """What is to be said of a folder of results. Raises InputError if it is damaged."""
    from experiments.kept import MANIFEST
    from experiments.results import KeptResults, NotWholeError
    from experiments.variants import base_of

    kept = KeptResults.open(folder)
    compared: list[dict[str, Any]] = []
    lacks = None
    missing = kept.missing()
    try:
        compared = kept.compared()
    except NotWholeError:
        lacks = "no comparison of these runs"
    return Listed(
        folder, kept.name, (folder / MANIFEST).stat().st_mtime_ns, kept.arms, kept.seeds, kept.baseline,
        _best(kept, compared), len(kept.planned), missing, lacks, _size(folder),
        folder.name if base_of(kept.name, kept.folder) is not None else None,
    )  # fmt: skip


def _best(kept: "KeptResults", compared: list[dict[str, Any]]) -> Best | None:
    """From the tables alone. Whether it is ahead of the second best may take all requests to say: ``show`` does."""
    from experiments.ranking import difference_of, means_of

    means = means_of(kept.rows)
    if not means:
        return None
    first = next(iter(means))
    found = difference_of(compared, first, "mean_latency_ns") or {}
    return Best(first, means[first], found.get("relative_difference_ratio"), found.get("verdict"))


def _size(folder: Path) -> int:
    """Bytes of all files below, or in a store. What is removed meanwhile counts for nothing."""
    from experiments.folder import elsewhere

    size = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                size += os.lstat(f"{place}/{name}").st_size
            except OSError:
                continue
        size += sum(elsewhere(Path(place)).values())
    return size


def lines_of(one: Listed) -> list[str]:
    """What is said of a result."""
    lines = [head(str(one.folder), one.name, [one]), f"  arms {some(one.arms)}; seeds {some(one.seeds)}"]
    return lines + ([f"  lowest mean latency: {best_text(one)}"] if one.best is not None else [])


def head(where: str, name: str, of: list[Listed]) -> str:
    """Where results lie, when the last of them were written, their size, and whether all of them are there."""
    from experiments.report import bytes_text

    written = datetime.fromtimestamp(max(one.written_ns for one in of) / 1e9).astimezone()
    n, n_missing = sum(one.n_runs for one in of), sum(len(one.missing) for one in of)
    runs = f"{n} run{'s' * (n != 1)}"
    lacks = next((one.lacks for one in of if one.lacks is not None), None)
    state = f"{n_missing} of {runs} missing" if n_missing else lacks or f"whole, {runs}"
    return f"{where}: {name}, {written:%Y-%m-%d %H:%M}, {bytes_text(sum(one.size_bytes for one in of))}, {state}"


def best_text(one: Listed) -> str:
    """The arm with the lowest mean latency, beside the baseline."""
    from experiments.report import time_text

    assert one.best is not None
    arm, ns, relative, verdict = one.best
    text = f"{arm} ({time_text(ns)})"
    if verdict is not None:
        by = "" if relative is None else f", {relative:+.1%}"
        text += f"{by} against {one.baseline}: {verdict}"
    return text + (", the baseline" if arm == one.baseline and len(one.arms) > 1 else "")


def some(names: list[Any]) -> str:
    """The first of many names, and how many more there are."""
    more = len(names) - _MOST_NAMES
    # To leave out one would not be shorter.
    shown = names if more <= 1 else names[:_MOST_NAMES]
    return ", ".join(map(str, shown)) + (f" and {more} more" if more > 1 else "")


def _print_json(listed: list[Listed], damaged: list[tuple[Path, str]]) -> None:
    import json

    from simulator.stores.copies import shown

    results = []
    for one in listed:
        row = one._asdict()
        row["folder"] = shown(str(one.folder))
        row["written"] = datetime.fromtimestamp(row.pop("written_ns") / 1e9, UTC).isoformat(timespec="seconds")
        row["best"] = None if one.best is None else one.best._asdict()
        results.append(row | {"is_whole": one.is_whole})
    found = {
        "results": results,
        "damaged": [{"folder": shown(str(f)), "problem": shown(problem)} for f, problem in damaged],
    }
    typer.echo(json.dumps(found, indent=1))


if __name__ == "__main__":
    app()
