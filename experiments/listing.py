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

    Folders that hold no results are passed by, damaged ones are named at the end. Files are held against their sizes
    alone, where run reads them. Exit codes: 0 done, 2 there is no such folder.
    """
    with exit_codes("nothing was to be written"):
        from simulator.errors import InputError

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
            _print(folder, listed, is_empty=not listed and not damaged)
        for _, problem in damaged:
            typer.echo(printable(f"damaged: {problem}"), err=True)


def places(top: Path) -> Iterator[tuple[Path, str | None]]:
    """Each folder of results at or below one, and each that cannot be looked into, with the reason."""
    from experiments.folder import LOCK
    from experiments.kept import MANIFEST, RECEIPTS

    unread: list[OSError] = []
    for place, below, files in os.walk(top, onerror=unread.append):
        # Other programs write a manifest.json, too. A table of runs without one is what is left of a result.
        signs = {LOCK, RECEIPTS, "runs.parquet"} & {*files, *below}
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
    """Bytes of all files below. What is removed meanwhile counts for nothing."""
    size = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                size += os.lstat(f"{place}/{name}").st_size
            except OSError:
                continue
    return size


def _print(top: Path, listed: list[Listed], *, is_empty: bool) -> None:
    from experiments.report import bytes_text, time_text

    if is_empty:
        typer.echo(printable(f"{top}: no results lie there"))
    for one in listed:
        written = datetime.fromtimestamp(one.written_ns / 1e9).astimezone()
        runs = f"{one.n_runs} run{'s' * (one.n_runs != 1)}"
        state = f"{len(one.missing)} of {runs} missing" if one.missing else one.lacks or f"whole, {runs}"
        lines = [
            f"{one.folder}: {one.name}, {written:%Y-%m-%d %H:%M}, {bytes_text(one.size_bytes)}, {state}",
            f"  arms {_some(one.arms)}; seeds {_some(one.seeds)}",
        ]
        if one.best is not None:
            arm, ns, relative, verdict = one.best
            text = f"  lowest mean latency: {arm} ({time_text(ns)})"
            if verdict is not None:
                by = "" if relative is None else f", {relative:+.1%}"
                text += f"{by} against {one.baseline}: {verdict}"
            lines.append(text + (", the baseline" if arm == one.baseline and len(one.arms) > 1 else ""))
        for line in lines:
            typer.echo(printable(line))


def _some(names: list[Any]) -> str:
    more = len(names) - _MOST_NAMES
    # To leave out one would not be shorter.
    shown = names if more <= 1 else names[:_MOST_NAMES]
    return ", ".join(map(str, shown)) + (f" and {more} more" if more > 1 else "")


def _print_json(listed: list[Listed], damaged: list[tuple[Path, str]]) -> None:
    import json

    results = []
    for one in listed:
        row = one._asdict()
        row["folder"] = str(one.folder)
        row["written"] = datetime.fromtimestamp(row.pop("written_ns") / 1e9, UTC).isoformat(timespec="seconds")
        row["best"] = None if one.best is None else one.best._asdict()
        results.append(row | {"is_whole": one.is_whole})
    found = {"results": results, "damaged": [{"folder": str(f), "problem": problem} for f, problem in damaged]}
    typer.echo(json.dumps(found, indent=1))


if __name__ == "__main__":
    app()
