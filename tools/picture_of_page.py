"""A picture of the top of a page of results, for the docs: Chromium draws it, as a reader sees it.

::

    tierfetch report results/mixed-... --out report.html
    python tools/picture_of_page.py report.html docs/pictures/report.png
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-gpu", "--no-first-run"]
WIDTH, HEIGHT = 1020, 1480


def main(page: Path, out: Path) -> None:
    """Write the picture, with few colours, which is all that it has."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        tab.goto(page.absolute().as_uri())
        tab.wait_for_function("document.body.dataset.drawn !== undefined")
        png = tab.screenshot()
        browser.close()
    Image.open(io.BytesIO(png)).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(out, optimize=True)
    print(f"Picture: {out}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
