"""Progress in a notebook: one output that is replaced. Rich's own way there needs ipywidgets and warns without it."""

import io
import time
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.progress import Progress, ProgressColumn, TaskID

_WIDTH = 110
_EVERY_S = 0.2
_FORMAT = '<pre style="white-space: pre; line-height: normal">{code}</pre>'


def in_notebook() -> bool:
    """Whether output goes to a notebook, and not to a terminal or a file."""
    return Console().is_jupyter


class NotebookProgress(Progress):
    """Rich's bars, drawn as HTML into one output of the cell; it is empty when they are over."""

    def __init__(self, *columns: str | ProgressColumn) -> None:
        super().__init__(*columns, auto_refresh=False)
        # IPython comes with the notebook.
        self._ipython: Any = import_module("IPython.display")
        self._output: Any = None
        self._drawn = 0.0

    def start(self) -> None:
        """Put the output below the cell."""
        self._output = self._ipython.display(self._shown(), raw=True, display_id=True)

    def stop(self) -> None:
        """Empty it."""
        if self._output is not None:
            self._output.update({"text/html": "", "text/plain": ""}, raw=True)
            self._output = None

    def update(self, task_id: TaskID, **fields: Any) -> None:
        """Change a bar; it is drawn if that is a while ago."""
        super().update(task_id, **fields)
        if time.monotonic() - self._drawn >= _EVERY_S:
            self.refresh()

    def refresh(self) -> None:
        """Draw the bars."""
        if self._output is not None:
            self._drawn = time.monotonic()
            self._output.update(self._shown(), raw=True)

    def _shown(self) -> dict[str, str]:
        console = Console(
            file=io.StringIO(), record=True, width=_WIDTH, force_jupyter=False, force_terminal=True,
            color_system="truecolor",
        )  # fmt: skip
        console.print(self.get_renderable())
        text = console.export_text(clear=False)
        return {"text/html": console.export_html(inline_styles=True, code_format=_FORMAT), "text/plain": text}
