"""The notebooks in ``examples/`` run from the first cell to the last, and are kept without outputs; what they show."""

import builtins
import os
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from experiments import notebook
from experiments.progress import RunProgress, make_console

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
# Of which each leaves this many pictures.
PICTURES = {"first_experiment": 5, "own_model": 2}


@pytest.fixture(autouse=True)
def _kernel_finds_this_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)


def outputs(book: Any) -> list[Any]:
    return [output for cell in book.cells for output in cell.get("outputs", ())]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        # Jupyter's own, as its packages are imported and let go.
        warnings.simplefilter("ignore")
        import nbformat
        from nbclient import NotebookClient

        book = nbformat.read(path, as_version=4)
        assert outputs(book) == [], "expected a notebook without outputs: clear all outputs before it is committed"
        assert all(cell.get("execution_count") is None for cell in book.cells)
        NotebookClient(
            book, kernel_name="python3", timeout=300, resources={"metadata": {"path": str(tmp_path)}}
        ).execute()
    made = outputs(book)
    said = "".join(output.get("text", "") for output in made if output.output_type == "stream")
    assert sum("image/png" in output.get("data", {}) for output in made) == PICTURES[path.stem]
    # Nothing is complained of: neither by Python nor by rich, which would like to have ipywidgets.
    assert [output for output in made if output.get("name") == "stderr"] == []
    assert "ipywidgets" not in said
    # Plain lines of runs, in whole, and nothing that moves a cursor.
    assert re.search(r"^\[\d/\d\] arm \w+, seed \d: done in ", said, re.MULTILINE)
    assert "\x1b" not in said
    assert "Lowest mean latency" in said
    # The results are shown as a table, and the bar is gone.
    shown = [output["data"]["text/html"] for output in made if "text/html" in output.get("data", {})]
    assert any("<caption>" in html for html in shown)
    assert not any("accesses/s" in html or "━" in html for html in shown)


class _Output:
    """What IPython hands out for an output that can be replaced."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def update(self, content: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(content)


def test_progress_is_one_output_that_is_replaced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import IPython.display

    # As rich tells a notebook.
    monkeypatch.setattr(builtins, "get_ipython", type("ZMQInteractiveShell", (), {}), raising=False)
    monkeypatch.setattr(notebook, "_EVERY_S", 0)
    made: list[_Output] = []

    def display(content: dict[str, str], *, raw: bool, display_id: bool) -> _Output:
        assert raw
        assert display_id
        made.append(_Output())
        return made[-1]

    monkeypatch.setattr(IPython.display, "display", display)
    with RunProgress(make_console(), 1, quiet=True) as quiet:
        quiet.start("arm a, seed 0", 100).accesses(50)
    assert made == []
    assert capsys.readouterr().out == ""
    with RunProgress(make_console(), 1, quiet=False) as progress:
        run = progress.start("arm <b>, seed 0", 100)
        run.accesses(25)
        run.finish(None)
    (output,) = made
    drawn = output.shown[-2]
    assert "[1/1] arm &lt;b&gt;, seed 0" in drawn["text/html"]
    assert "<b>" not in drawn["text/html"]
    assert "25%" in drawn["text/plain"]
    # Nothing is left of it but the lines.
    assert output.shown[-1] == {"text/html": "", "text/plain": ""}
    assert capsys.readouterr().out == "[1/1] arm <b>, seed 0: done in 0.0 s\n"
