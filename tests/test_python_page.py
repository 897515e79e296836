"""The examples of two pages in docs, and what README shows from Python, give what they say they give."""

from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from pathlib import Path

import pytest
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("page", "least"), [("docs/python.md", 14), ("README.md", 1), ("docs/recording.md", 2)])
def test_examples_run(page: str, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    parser = PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE)
    document = Document.parse(str(ROOT / page), parser)
    examples = list(document.examples())
    assert len(examples) >= least
    for example in examples:
        # In order, for later ones use what earlier ones made; one that is wrong raises, with page and line.
        example.evaluate()
