"""Chromium for tests of pages: marks that skip them where it is missing, and the browser itself."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_ARGUMENTS = [
    "--no-sandbox", "--disable-background-networking", "--disable-gpu", "--no-first-run", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip


def needs(*packages: str) -> list[pytest.MarkDecorator]:
    """Marks of a module whose tests need Chromium and some packages."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return [
        pytest.mark.browser,
        pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)}: not installed (tierfetch[browser])"),
        pytest.mark.skipif(_CHROMIUM is None, reason="there is no Chromium"),
    ]


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
        yield found
        found.close()
