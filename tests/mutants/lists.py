"""The lists: ``NAME.txt`` beside this file.

The head of a list has ``tests: ...``, what pytest is given, and ``made: at import`` or ``made: in a copy``. At import,
the changed text takes the module's place in the process that runs the tests, and nothing on the disk changes. That
does for plain Python; what Numba compiles and keeps, or what tests import in processes of their own, needs a copy of
the tree, in which everything is compiled anew. With ``run: as plain Python`` in the head nothing is compiled, and
at import does for all. Then come mutants, with a blank line before each: the file and what is wrong, the lines that go
behind ``- ``, which occur once, and those that come in their place behind ``+ ``. Lines that begin with ``#`` are
comments.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutants import Mutant

FOLDER = Path(__file__).parent
AT_IMPORT, IN_A_COPY = "at import", "in a copy"
COMPILED, PLAIN = "compiled", "as plain Python"


@dataclass(frozen=True)
class MutantList:
    """Mutants that the same tests are to notice."""

    tests: str
    made: str
    run: str
    mutants: tuple[Mutant, ...]

    def __getitem__(self, name: str) -> Mutant:
        return next(mutant for mutant in self.mutants if mutant.name == name)


def read(name: str) -> MutantList:
    """A list by its name, or by the path of its file. Raises ValueError where it is not as it should be."""
    path = Path(name) if name.endswith(".txt") else FOLDER / f"{name}.txt"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    head, *blocks = re.split(r"\n\s*\n", "\n".join(lines).strip())
    settings = {"run": COMPILED} | dict(line.split(": ", 1) for line in head.splitlines())
    if (
        set(settings) != {"tests", "made", "run"}
        or settings["made"] not in (AT_IMPORT, IN_A_COPY)
        or settings["run"] not in (COMPILED, PLAIN)
    ):
        raise ValueError(
            f"{name}: the head is {settings}; expected tests and made, {AT_IMPORT} or {IN_A_COPY}, and run if it is "
            f"{PLAIN}"
        )
    mutants = tuple(_mutant(block) for block in blocks)
    return MutantList(settings["tests"], settings["made"], settings["run"], mutants)


def _mutant(block: str) -> Mutant:
    heading, *lines = block.split("\n")
    file, name = heading.split(": ", 1)
    old, new = ("\n".join(line[2:] for line in lines if line[:1] == sign) for sign in "-+")
    return Mutant(name, "", file, old, new)


def names() -> list[str]:
    """All lists there are."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))
