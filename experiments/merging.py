"""Results of shards put together: runs are copied with what makes them theirs, tables over all runs made anew."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from experiments.aside import keep_file
from experiments.config import Experiment
from experiments.folder import about, check_folder, locked
from experiments.kept import MANIFEST, Done, Finished, Kept
from experiments.plan import Key, Run, planned, stem_of
from experiments.results import KeptResults, in_order, places_below
from experiments.shards import shard_of
from simulator.errors import InputError


@dataclass
class Merged:
    """What came of it: ``missing`` has a line for each shard that lacks some of the ``n_missing`` runs."""

    n_experiments: int = 0
    n_runs: int = 0
    n_new: int = 0
    n_missing: int = 0
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class _Part(NamedTuple):
    """What a shard has of an experiment."""

    folder: Path
    kept: Kept


def merge(folders: Sequence[Path], out: Path) -> Merged:
    """Put together what lies in folders, or in those of shards below them.

    Raises:
        InputError: they hold no results, or of several configs or versions; or ``out`` cannot be written.
    """
    parts: dict[str, list[_Part]] = {}
    for folder in folders:
        for name, place in _places(folder, out):
            parts.setdefault(name, []).append(_Part(place, KeptResults.open(place).kept))
    if "" in parts and len(parts) > 1:
        raise InputError(
            f"{parts[''][0].folder}: is an experiment by itself, and others have variants; expected one kind"
        )
    found, lacking = Merged(n_experiments=len(parts)), _Lacking()
    _check_plan([part for of in parts.values() for part in of])
    for of in parts.values():
        _check_alike(of)
    for name in parts:
        _check_out(out / name)
    for name, of in parts.items():
        _merge_one(of, out / name, found, lacking)
    found.missing, found.n_missing = lacking.told()
    return found


def _places(folder: Path, out: Path) -> Iterator[tuple[str, Path]]:
    """Results in a folder by the names of variants, "" where there are none."""
    tops = [folder]
    if not (folder / MANIFEST).is_file() and folder.is_dir():
        tops = in_order(path for path in folder.glob("shard-*-of-*") if path.is_dir()) or tops
    n = 0
    for top in tops:
        below = [top] if (top / MANIFEST).is_file() else places_below(top)
        for place in below:
            if place.resolve() != (out / ("" if place == top else place.name)).resolve():
                n += 1
                yield "" if place == top else place.name, place
    if not n:
        raise InputError(
            f"{folder}: holds no results of shards; expected what a command with --shard was told as --out"
        )


def _check_plan(parts: Sequence[_Part]) -> None:
    """Raises InputError where shards are of several commands: what each is to make would be told wrongly."""
    said = [(folder, kept.about["shard"]) for folder, kept in parts if "shard" in kept.about]
    for folder, of in said[1:]:
        first, other = ({key: one.get(key) for key in ("plan", "of")} for one in (said[0][1], of))
        if first != other:
            raise InputError(
                f"{folder}: is of a command with other runs, or other shards, than {said[0][0]} ({_short(other)}, that "
                f"is {_short(first)}); expected shards of one command"
            )


def _check_alike(parts: Sequence[_Part]) -> None:
    first = parts[0].kept.about
    for folder, kept in parts[1:]:
        for key, what in (("config_hash", "another config"), ("code", "another version of tierfetch"),
                          ("versions", "other versions of libraries"), ("traces_sha256", "another trace")):  # fmt: skip
            if kept.about.get(key) != first.get(key):
                raise InputError(
                    f"{folder}: holds runs of {what} than {parts[0].folder} ({_short(kept.about.get(key))}, that is "
                    f"{_short(first.get(key))}); expected shards of one command"
                )


def _check_out(folder: Path) -> None:
    """Raises InputError where a shard has put its own: it would no longer say which runs it is to make."""
    if (folder / MANIFEST).is_file() and "shard" in Kept.load(folder).about:
        raise InputError(f"--out {folder}: holds the results of a shard; expected a folder for all of them")


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _merge_one(parts: Sequence[_Part], folder: Path, found: Merged, lacking: "_Lacking") -> None:
    from experiments.making import write_tables
    from experiments.runner import in_order_of_plan, metadata
    from experiments.tables import make_folder, write_rows

    experiment = _experiment(parts)
    check_folder(folder, force=False)
    make_folder(folder)
    with locked(folder):
        kept = Kept.load(folder)
        if kept.about and kept.about["config_hash"] != parts[0].kept.about["config_hash"]:
            raise InputError(f"--out {folder}: holds the results of another config; expected a new folder")
        for part in parts:
            _take(part, folder, kept, found)
        traces = dict(parts[0].kept.about["traces_sha256"])
        rows = in_order_of_plan(experiment, kept)
        said = metadata(experiment, rows)
        kept.write(about(experiment, traces, said))
        found.n_runs += len(kept.runs)
        if rows:
            write_rows(folder / "runs.parquet", rows, said)
        runs = planned(experiment)
        lacking.add(parts, runs, kept)
        if all(run.key in kept.runs for run in runs):
            write_tables(experiment, folder, [kept.runs[run.key].row for run in runs])


def _experiment(parts: Sequence[_Part]) -> Experiment:
    """What was run, with the seeds of all parts."""
    config = dict(parts[0].kept.about["config"])
    config["seeds"] = sorted({seed for part in parts for seed in part.kept.about["config"]["seeds"]})
    try:
        found = Experiment.model_validate(config)
    except (ValidationError, InputError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{parts[0].folder / MANIFEST}: its config cannot be read here: {reason}; expected what it names to "
            "be found, as from where the shards were run"
        ) from None
    if found.folder_hash() != parts[0].kept.about["config_hash"]:
        raise InputError(f"{parts[0].folder / MANIFEST}: was made by another version; expected the one that merges")
    found.say_swept({arm: said for part in parts for arm, said in part.kept.about.get("swept", {}).items()})
    return found


def _take(part: _Part, folder: Path, kept: Kept, found: Merged) -> None:
    """Copy the runs of a shard that the folder does not keep yet."""
    for key, run in part.kept.runs.items():
        there = kept.runs.get(key)
        if there is not None and there.hash == run.hash and not kept.damage(there):
            if there.files != run.files:
                found.notes.append(f"{part.folder}: {_name(key)} was made twice; what was there first is kept")
            continue
        if damage := part.kept.damage(run):
            found.notes.append(f"{part.folder / damage}: {_name(key)} is left out")
            continue
        _copy(part.folder, folder, run)
        kept.add(run.hash, Done(run.row, run.files))
        found.n_new += 1


def _copy(source: Path, folder: Path, run: Finished) -> None:
    for name in run.files:
        keep_file(source / name, folder / name)


def _name(key: Key) -> str:
    return stem_of(*key)


class _Lacking:
    """The runs that no shard has, by the shard that is to make them."""

    def __init__(self) -> None:
        self._of: dict[int, list[str]] = {}
        self._others: list[str] = []
        self._said: dict[str, Any] = {}
        self._known: set[int] = set()

    def add(self, parts: Sequence[_Part], runs: Sequence[Run], kept: Kept) -> None:
        """What an experiment has, and lacks, of its runs."""
        said = next((part.kept.about["shard"] for part in parts if "shard" in part.kept.about), None)
        lacks = [i for i, run in enumerate(runs) if run.key not in kept.runs]
        if said is None:
            self._others += [f"{parts[0].folder}: {runs[i].stem} is missing" for i in lacks]
            return
        self._said, before = said, int(said["before"])
        self._known.update(range(before, before + len(runs)))
        for i in lacks:
            self._of.setdefault(shard_of(before + i, int(said["of"])), []).append(runs[i].stem)

    def told(self) -> tuple[list[str], int]:
        """A line for each shard that lacks runs, with its command; and how many runs there are in all."""
        of = {number: list(stems) for number, stems in self._of.items()}
        if self._said:
            # Of experiments of which no shard has left anything, not even the names are known.
            for place in set(range(int(self._said["n_runs"]))) - self._known:
                of.setdefault(shard_of(place, int(self._said["of"])), []).append("of an experiment without any")
        lines = [
            f"shard {number}: {len(stems):,} run{'s are' if len(stems) != 1 else ' is'} missing ({stems[0]}"
            f"{', ...' if len(stems) > 1 else ''}): tierfetch run {self._said['config']} --shard "
            f"{number}/{self._said['of']}, with the options that the others had"
            for number, stems in sorted(of.items())
        ]
        return [*self._others, *lines], len(self._others) + sum(map(len, of.values()))
