"""Commands whose results are known from a machine that is well."""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.campaign.commands import Ended, call, expect
from benchmarks.campaign.folders import differences
from benchmarks.campaign.kept import reference

_OF_THE_MACHINE = {"accesses_per_s"}


@dataclass(frozen=True)
class Command:
    """A command of a case: its arguments, and where its results go, below the case's folder."""

    module: str
    arguments: tuple[object, ...]
    out: Path
    whole: Path

    def run(self, *more: object) -> Ended:
        """In this process."""
        return call(self.module, *self.arguments, *more)

    def differs(self) -> list[str]:
        """In what its results are not those of a machine that is well."""
        if self.module == "experiments.run":
            return differences(self.out, self.whole)
        if self.out.is_file():
            same = pq.read_table(self.out).equals(pq.read_table(self.whole))
            return [] if same else [f"{self.out.name}: differs"]
        names = sorted(path.name for path in self.whole.iterdir())
        found = sorted(path.name for path in self.out.iterdir())
        return [f"{found}; expected {names}"] if found != names else [name for name in names if not self._same(name)]

    def _same(self, name: str) -> bool:
        one, two = (pq.read_table(folder / name) for folder in (self.out, self.whole))
        columns = [column for column in two.column_names if column not in _OF_THE_MACHINE]
        return bool(one.select(columns).equals(two.select(columns)))


def commands(case: Path, shared: Path) -> dict[str, Command]:
    """What is run while the machine fails; the results of one that is well are made when they are not there yet."""
    trace = shared / "faults.txt"
    if not trace.exists():
        draws = random.Random(0)
        trace.write_text("".join(f"{draws.randrange(50)}\n" for _ in range(300)))
    path, whole = reference(shared, "phases")
    ids = ("--format", "ids", "--block", "4 KiB")
    small = ("--capacity", "64 KiB", "--eviction", "lru,fifo")
    found = {
        "run": Command("experiments.run", (path, "--out", case / "out"), case / "out", whole),
        "convert": Command(
            "experiments.trace", ("convert", trace, case / "o.parquet", *ids), case / "o.parquet", shared / "o.parquet"
        ),
        "info": Command(
            "experiments.trace", ("info", trace, *ids, "--out", case / "info"), case / "info", shared / "info"
        ),
        "misses": Command(
            "experiments.misses", (trace, *ids, *small, "--out", case / "misses"), case / "misses", shared / "misses"
        ),
    }
    for command in found.values():
        if not command.whole.exists():
            expect(command.run(), 0)
            shutil.move(command.out, command.whole)
    return found
