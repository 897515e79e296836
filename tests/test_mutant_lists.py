"""The lists of mutants: each can be made, and the runner tells one that is noticed from one that is not."""

from pathlib import Path

import pytest

from benchmarks.mutants import Mutant
from tests.mutants import lists
from tests.mutants.__main__ import noticed_by
from tests.mutants.lists import names, read

ALL = [(of, mutant) for of in names() for mutant in read(of).mutants]


@pytest.mark.parametrize(("of", "mutant"), ALL, ids=lambda one: one.name if isinstance(one, Mutant) else one)
def test_what_goes_is_there_once(of: str, mutant: Mutant) -> None:
    source = mutant.path.read_text()
    assert source.count(mutant.old) == 1
    compile(source.replace(mutant.old, mutant.new), mutant.path, "exec")
    assert [other.name for other in read(of).mutants].count(mutant.name) == 1


@pytest.mark.parametrize("made", [lists.AT_IMPORT, lists.IN_A_COPY])
def test_it_is_noticed_by_the_first_test_that_fails(tmp_path: Path, made: str) -> None:
    """By one test and not by another, however it is made."""
    path = tmp_path / "list.txt"
    path.write_text(
        f"# One that takes no long imports.\ntests: tests/test_install.py -k 'told'\nmade: {made}\n\n"
        'tools/install.py: links are apart by white space\n- ("UV_FIND_LINKS", ",")\n+ ("UV_FIND_LINKS", " ")\n'
    )
    of = str(path)
    (mutant,) = read(of).mutants
    assert noticed_by(of, mutant) == "tests/test_install.py::test_what_uv_is_told"
    assert noticed_by(of, mutant, "tests/test_install.py -k cannot") is None
    assert noticed_by(of, None) is None
    with pytest.raises(RuntimeError, match="the tests ended with"):
        noticed_by(of, None, "tests/test_of_nothing.py")


@pytest.mark.parametrize(
    ("run", "by"), [("", None), ("run: as plain Python\n", "tests/test_records.py::test_a_wrong_record_raises")]
)
def test_rules_run_as_plain_python_where_the_list_says_so(tmp_path: Path, run: str, by: str | None) -> None:
    """By a test that is skipped where they are compiled."""
    path = tmp_path / "list.txt"
    path.write_text(
        f"tests: tests/test_records.py -k wrong_record\nmade: at import\n{run}\n"
        "simulator/records/checked.py: another message\n- at {place}: there is none\n+ at {place}: none\n"
    )
    of = str(path)
    assert noticed_by(of, read(of).mutants[0]) == by


@pytest.mark.parametrize("wrong", ["made: somehow", "made: at import\nrun: somehow", "made: at import\nruns: compiled"])
def test_a_head_that_is_wrong_is_refused(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "bad.txt").write_text(f"tests: tests/test_compare.py\n{wrong}\n\na.py: b\n- c\n+ d\n")
    with pytest.raises(ValueError, match="expected tests and made"):
        read(str(tmp_path / "bad.txt"))
