"""What a folder keeps of its runs: each one's row, its files and their digests. What does not fit is made again.

While runs are made each leaves a small file of its own; when all are made, or the command ends, these go into
``manifest.json``, from which the table ``runs`` is written. So the time for many runs grows with their number alone.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.aside import discard, written_aside
from experiments.plan import Key, key_of, stem_of
from simulator.errors import InputError

MANIFEST = "manifest.json"
RECEIPTS = ".runs"
_PIECE = 1 << 20
_FILE = re.compile(r"[a-z]+/([A-Za-z0-9][A-Za-z0-9._-]*)\.[a-z]+")
"""A file of a run, below the folder: ``<table>/<arm>-<seed>.parquet``."""


@dataclass(frozen=True)
class Done:
    """A run that is over: its row of the table ``runs``, and its files below the folder, with size and SHA-256."""

    row: dict[str, Any]
    files: dict[str, tuple[int, str]]


@dataclass(frozen=True)
class Finished:
    """A run that is kept; ``hash`` is of all that makes it this run."""

    hash: str
    row: dict[str, Any]
    files: dict[str, tuple[int, str]]

    def written(self) -> dict[str, Any]:
        """As JSON."""
        return {"hash": self.hash, "row": self.row, "files": self.files}


def digest_of(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file. Raises OSError if it cannot be read."""
    if path.exists() and not path.is_file():
        # A pipe would be waited for, a device read without end.
        raise OSError(errno.EINVAL, "is no file", str(path))
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def digests_of(folder: Path, files: Iterable[Path]) -> dict[str, tuple[int, str]]:
    """Of files below a folder, by their paths there."""
    return {path.relative_to(folder).as_posix(): digest_of(path) for path in files}


def _read(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    return json.loads(path.read_text())


def _finished(found: Any) -> Finished:
    files = {str(name): (int(size), str(sha256)) for name, (size, sha256) in found["files"].items()}
    row = dict(found["row"])
    stem = stem_of(*key_of(row))
    for name in files:
        # A run that is made again has its files removed, and a seal can be made by anybody: never anything else.
        match = _FILE.fullmatch(name)
        if match is None or match[1] != stem:
            raise ValueError(f"{name!r} is no file of {stem}")
    return Finished(str(found["hash"]), row, files)


def _sealed(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Kept:
    """The runs that a folder keeps, by arm, seed and repeat, and what else its manifest says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.runs: dict[Key, Finished] = {}
        self.about: dict[str, Any] = {}

    @classmethod
    def load(cls, folder: Path) -> "Kept":
        """What the manifest and the small files say, checked against their seals.

        Raises:
            InputError: the manifest is damaged.
        """
        kept, path = cls(folder), folder / MANIFEST
        if os.path.lexists(path):
            try:
                content = _read(path)
                seal = content.pop("sha256")
                runs = [_finished(found) for found in content.pop("runs").values()]
                is_whole = seal == _sealed({**content, "runs": {kept._name(r): r.written() for r in runs}})
            except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError):
                is_whole = False
            if not is_whole:
                raise InputError(f"{path}: is damaged; expected it as written: --force makes everything again")
            kept.about, kept.runs = content, {key_of(found.row): found for found in runs}
        for path in sorted((folder / RECEIPTS).glob("*.json")):
            try:
                content = _read(path)
                found = _finished(content)
                if content["sha256"] == _sealed(found.written()):
                    kept.runs[key_of(found.row)] = found
            except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError):
                # Its run is made again.
                continue
        return kept

    @staticmethod
    def one(folder: Path, stem: str) -> Finished:
        """A run that has just been added, of its small file alone."""
        return _finished(_read(folder / RECEIPTS / f"{stem}.json"))

    @staticmethod
    def _name(found: Finished) -> str:
        return stem_of(*key_of(found.row))

    def damage(self, found: Finished) -> str | None:
        """What is wrong with the files of a run, if anything is."""
        for name, expected in found.files.items():
            path = self._folder / name
            try:
                # One of another size is not read: there may be no end of it.
                is_same = (not path.is_file() or path.stat().st_size == expected[0]) and digest_of(path) == expected
            except OSError as error:
                return f"{name}: {'is missing' if isinstance(error, FileNotFoundError) else error.strerror}"
            if not is_same:
                return f"{name}: is damaged or another run's (its checksum differs)"
        return None

    def remove(self, key: Key) -> None:
        """Forget a run, and remove its files."""
        for name in self.runs.pop(key).files:
            discard(self._folder / name)

    def add(self, hash_: str, done: Done) -> None:
        """A run is over: leave its small file."""
        found = Finished(hash_, done.row, done.files)
        self.runs[key_of(done.row)] = found
        (self._folder / RECEIPTS).mkdir(exist_ok=True)
        content = found.written()
        path = self._folder / RECEIPTS / f"{self._name(found)}.json"
        if path.is_dir():
            discard(path)
        with written_aside(path) as aside:
            aside.write_text(json.dumps({**content, "sha256": _sealed(content)}))

    def write(self, about: dict[str, Any]) -> None:
        """Write the manifest, of all runs and of what is said besides; the small files are in it then."""
        runs = {self._name(found): found.written() for found in self.runs.values()}
        content = {**about, "runs": runs}
        seal = _sealed(content)
        with written_aside(self._folder / MANIFEST) as aside:
            # Not sorted: the columns of the table have this order.
            aside.write_text(json.dumps({**content, "sha256": seal}, indent=1) + "\n")
        self.about = about
        discard(self._folder / RECEIPTS)
