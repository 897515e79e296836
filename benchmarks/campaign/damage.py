"""What may be wrong with a folder of results."""

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

from experiments.aside import aside_of
from experiments.folder import LOCK
from experiments.kept import MANIFEST, RECEIPTS


class Damage:
    """Does things to a folder of results, and remembers them."""

    def __init__(self, out: Path, draws: random.Random) -> None:
        self.out, self.draws = out, draws
        self.done: list[str] = []
        self.bystanders: set[str] = set()
        self.of_others: list[Path] = []
        self.may_write = self.is_foreign = self.hides_runs = False

    def add(self) -> None:
        """One more thing that is wrong."""
        ways = [
            *[self._a_file] * 12, *[self._manifest] * 3, self._receipt, self._leftover, self._extra_file, self._folder,
            self._a_folder_for_a_file, self._a_link, self._a_pipe, self._rights,
        ]  # fmt: skip
        self.done.append(self.draws.choice(ways)())

    def _file(self) -> Path:
        files = [p for p in sorted(self.out.rglob("*")) if p.is_file() and not p.is_symlink() and p.name != LOCK]
        return self.draws.choice([path for path in files if path.name != MANIFEST] or files)

    def _named(self, path: Path) -> str:
        return path.relative_to(self.out).as_posix()

    def _a_file(self) -> str:
        path = self._file()
        if path.parent.name == RECEIPTS:
            self.hides_runs = True
        return f"{self._named(path)}: {spoil(path, self.draws, self._file)}"

    def _manifest(self) -> str:
        path = self.out / MANIFEST
        if not path.is_file():
            return "no manifest"
        self.hides_runs = True
        if self.draws.random() < 0.6:
            return f"{MANIFEST}: {spoil(path, self.draws, self._file)}"
        try:
            content = json.loads(path.read_text())
            at: Any = content
            while True:
                key = self.draws.choice(list(at) if isinstance(at, dict) else range(len(at)))
                if not isinstance(at[key], dict | list) or not at[key] or self.draws.random() < 0.2:
                    break
                at = at[key]
            old, new = at[key], self.draws.choice([None, 0, -1, 1e308, "", "x", [], {}, [[]], True, "../../x"])
            if old == new:
                new = "other"
            at[key] = new
        except (ValueError, TypeError, IndexError, KeyError):
            return f"{MANIFEST}: as it was"
        path.write_text(json.dumps(content))
        return f"{MANIFEST}: {key} is {new!r} for {str(old)[:80]!r}"

    def _receipt(self) -> str:
        """A small file of a run that is none."""
        (self.out / RECEIPTS).mkdir(exist_ok=True)
        path = self.out / RECEIPTS / self.draws.choice(["none-0.json", "x.json", "lstm-1.json"])
        if path.is_dir():
            return "a folder for a receipt"
        texts = [
            "{}",
            "[]",
            "null",
            "[" * 5000,
            '{"row": {}, "files": {}, "hash": ""}',
            "\0",
            '{"files": {"/etc": [1, ""]}}',
        ]
        path.write_text(self.draws.choice(texts))
        self.hides_runs = True
        return f"{self._named(path)}: says nothing"

    def _leftover(self) -> str:
        """What a process that is no more was writing, or one of another host is."""
        path = aside_of(self._file())
        is_ours = self.draws.random() < 0.7
        name = path.name.replace(f"-{os.getpid()}-", "-4194000-")
        path = path.with_name(name if is_ours else name.replace(name.rsplit(".", 3)[1].split("-")[0], "01234567"))
        path.write_bytes(b"half")
        if not is_ours:
            self.of_others.append(path)
            self.bystanders.add(self._named(path))
        self.may_write = True
        return f"{self._named(path)}: left"

    def _extra_file(self) -> str:
        path = self.out / self.draws.choice(["notes.txt", "accesses/notes.txt", "x/y.parquet", ".hidden", "models/m"])
        if path.parent.is_file() or path.parent.is_symlink():
            return "no room for notes"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine")
        self.bystanders.add(self._named(path))
        # Without a manifest it is anybody's folder, and is left alone.
        self.is_foreign = True
        return f"{self._named(path)}: is there"

    def _folder(self) -> str:
        """A whole table goes, or is a file."""
        folders = [path for path in sorted(self.out.iterdir()) if path.is_dir() and not path.is_symlink()]
        path = self.draws.choice(folders)
        self.hides_runs |= path.name == RECEIPTS
        shutil.rmtree(path)
        if self.draws.random() < 0.5:
            return f"{path.name}/: is gone"
        path.write_bytes(b"a file")
        return f"{path.name}/: is a file"

    def _a_folder_for_a_file(self) -> str:
        path = self._file()
        path.unlink()
        path.mkdir()
        self.hides_runs |= path.parent.name == RECEIPTS
        if self.draws.random() < 0.5:
            (path / "x").write_bytes(b"x")
            return f"{self._named(path)}: is a folder with a file"
        return f"{self._named(path)}: is a folder"

    def _a_link(self) -> str:
        path, to = self._file(), self.draws.choice([self._file(), Path("/nowhere"), Path("/dev/zero"), self.out])
        path.unlink()
        path.symlink_to(to)
        self.hides_runs |= path.parent.name == RECEIPTS
        return f"{self._named(path)}: is a link to {to}"

    def _a_pipe(self) -> str:
        path = self.draws.choice([self._file(), self.out / MANIFEST, self.out / "runs.parquet"])
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        self.hides_runs |= path.parent.name == RECEIPTS or path.name == MANIFEST
        return f"{self._named(path)}: is a pipe"

    def _rights(self) -> str:
        """Nobody may read it; to the super-user that is nothing."""
        path = self._file()
        path.chmod(0)
        return f"{self._named(path)}: may not be read"


def spoil(path: Path, draws: random.Random, other: Any) -> str:
    """Do something to a file; what it was."""
    content = path.read_bytes()
    at = draws.randrange(len(content) or 1)
    how = draws.choice(["cut", "flipped", "emptied", "deleted", "appended", "another's", "noise", "zeros"])
    if how == "deleted":
        path.unlink()
    elif how == "another's":
        path.write_bytes(other().read_bytes())
    else:
        n = draws.randrange(1, 40)
        changed = {
            "cut": content[:at],
            "flipped": content[:at]
            + bytes(byte ^ 1 << draws.randrange(8) for byte in content[at : at + 1])
            + content[at + 1 :],
            "emptied": b"",
            "appended": content + draws.randbytes(n),
            "noise": draws.randbytes(n),
            "zeros": content[:at] + bytes(len(content[at : at + n])) + content[at + n :],
        }
        path.write_bytes(changed[how])
    return how
