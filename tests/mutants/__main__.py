"""``python -m tests.mutants [LIST ...] [--only TEXT]``: a row for each mutant, with the test that noticed it."""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutants import ROOT, Mutant, Mutated
from tests.mutants.lists import AT_IMPORT, PLAIN, names, read

LIMIT_S = 1800


class _First:
    """A pytest plugin: the first test that fails."""

    failed: str | None = None

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failed = self.failed or f"{report.nodeid}: cannot be collected"


def _test(of: str, name: str | None, tests: str) -> int:
    """In a process of its own: run the tests, with a mutant imported in place of what is on the disk if one is named.

    The last line that it prints is the first test that failed, as JSON.
    """
    if name is not None:
        sys.meta_path.insert(0, Mutated(read(of)[name]))
    first = _First()
    # One failure is enough: Hypothesis is not to look for a smaller one, and the same happens each time.
    options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "--hypothesis-profile", "mutants"]
    code = pytest.main([*options, *shlex.split(tests)], plugins=[first])
    if code not in (0, 1, 2):
        return int(code)
    print("\n" + json.dumps(first.failed))
    return 0


def _copied(folder: Path, mutant: Mutant) -> None:
    """The tree as it is, but for what git ignores, with the mutant in it."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for file in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]:
        if (ROOT / file).is_file():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, folder / file)
    source = mutant.path.read_text()
    (folder / mutant.file).write_text(source.replace(mutant.old, mutant.new))


def noticed_by(of: str, mutant: Mutant | None, tests: str | None = None) -> str | None:
    """The first test that fails under a mutant of a list, or with None as things are; None: they all pass.

    ``tests`` in place of the list's. Raises RuntimeError where the tests could not be run.
    """
    given = read(of)
    at_import = mutant is None or given.made == AT_IMPORT
    asked = json.dumps([of, mutant.name if mutant and at_import else None, tests or given.tests])
    with tempfile.TemporaryDirectory() as copy:
        if mutant is not None and not at_import:
            _copied(Path(copy), mutant)
        call = [sys.executable, "-m", "tests.mutants", "--child", asked]
        where = ROOT if at_import else copy
        environment = os.environ | ({"NUMBA_DISABLE_JIT": "1"} if given.run == PLAIN else {})
        try:
            done = subprocess.run(
                call, cwd=where, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT_S
            )
        except subprocess.TimeoutExpired:
            return f"no end within {LIMIT_S} s"
    if done.returncode:
        raise RuntimeError(
            f"{mutant}: the tests ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    found: str | None = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Prints a row for each mutant; 1 if one is not noticed, or if the tests fail as things are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lists", nargs="*", metavar="LIST", help=f"of {', '.join(names())} (default: all)")
    parser.add_argument("--only", metavar="TEXT", help="mutants whose name or file has this in it")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return _test(*json.loads(given.child))
    n_wrong = n = 0
    for of in given.lists or names():
        chosen: list[Mutant | None] = [m for m in read(of).mutants if not given.only or given.only in m.name + m.file]
        # First as things are: if the tests fail then, nothing is said by the rest.
        for mutant in chosen if given.only else [None, *chosen]:
            found = noticed_by(of, mutant)
            n_wrong += (found is None) == (mutant is not None)
            n += 1
            heading = f"{mutant.file}: {mutant.name}" if mutant else f"{of}: as things are"
            print(f"{heading:88}  {found or ('NOT NOTICED' if mutant else 'all pass')}", flush=True)
    print(f"{n_wrong} of {n} are not as they should be")
    return int(n_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
