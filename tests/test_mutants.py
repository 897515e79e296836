"""Mutants of the model: each can be made, and the comparison of model and engine notices those tried here."""

import pytest

from benchmarks.mutants import MUTANTS, Mutant, notice


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_what_goes_is_there_once(mutant: Mutant) -> None:
    source = mutant.path.read_text()
    assert source.count(mutant.old) == 1
    compile(source.replace(mutant.old, mutant.new), mutant.path, "exec")


@pytest.mark.parametrize("name", ["links choose at once", "think is from the request's start"])
def test_it_is_noticed(name: str) -> None:
    assert notice(MUTANTS[name], 100).by is not None


def test_the_model_as_it_is() -> None:
    found = notice(None, 20)
    assert (found.n_examples, found.by) == (20, None)
