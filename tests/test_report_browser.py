"""The page of results in Chromium: offline, all charts drawn, read back, and what axe-core finds."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments.report import time_text
from tests.chromium import chromium, needs
from tests.test_experiment import write
from tests.test_report_page import cells_of, experiment, renamed, specs_in
from tests.test_results import ran

pytestmark = needs("playwright", "axe_playwright_python")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("browser")
    ran(write(place, experiment()), place / "out", "--quiet", "--report")
    return place / "out"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


class Seen:
    """A page, drawn to its end, with what it said and asked for meanwhile."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1000, "height": 900}, offline=True, **context)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_function("document.body.dataset.drawn !== undefined", timeout=60_000)

    def errors(self) -> list[str]:
        return self.said


@pytest.fixture(scope="module")
def seen(browser: Any, folder: Path) -> Iterator[Seen]:
    found = Seen(browser, folder.with_suffix(".html"))
    yield found
    found.context.close()


def test_it_is_drawn_offline_and_says_nothing(seen: Seen, folder: Path) -> None:
    n_charts = len(specs_in(folder.with_suffix(".html").read_text()))
    state = seen.page.evaluate("({...document.body.dataset})")
    assert (state["drawn"], state["failed"]) == (str(n_charts), "0")
    assert seen.asked == [folder.with_suffix(".html").as_uri()]
    assert seen.errors() == []


def test_every_chart_has_pixels_of_its_marks(seen: Seen) -> None:
    """Of the colours that its data has, more than a line of text could have by chance."""
    charts = seen.page.query_selector_all(".chart")
    assert len(charts) > 15
    for chart in charts:
        name = chart.get_attribute("data-chart")
        found = chart.screenshot()
        pixels = _coloured(found)
        assert pixels > 150, name
        box = chart.bounding_box()
        svg = chart.query_selector("svg").bounding_box()
        assert box["height"] > 60, name
        assert svg["width"] <= box["width"] + 1, name


def _coloured(png: bytes) -> int:
    import io

    import matplotlib.image
    import numpy as np

    pixels = matplotlib.image.imread(io.BytesIO(png))[..., :3]
    # Text, axes and paper have no colour; the baseline is grey, and never alone.
    return int(np.count_nonzero(np.ptp(pixels, axis=-1) > 0.25))


def test_numbers_read_back_are_those_of_the_tables(seen: Seen, folder: Path) -> None:
    runs = pd.read_parquet(folder / "runs.parquet").groupby("arm").mean_latency_ns.mean()
    rows = seen.page.eval_on_selector(
        "#r1-arms table",
        "one => [...one.tBodies[0].rows].map(row => [...row.children].map(cell => cell.innerText))",
    )
    shown = {row[0].replace(" (baseline)", ""): row[1] for row in rows}
    assert shown == {arm: time_text(ns) for arm, ns in runs.items()}
    hidden = seen.page.eval_on_selector("#r1-means-figure table", "table => table.textContent")
    assert all(time_text(ns) in hidden for ns in runs)
    assert cells_of(seen.page.content(), "Mean latency, numbers")["next_n"][0] == time_text(runs["next_n"])


def test_hovering_tells_the_value(seen: Seen, folder: Path) -> None:
    bars = seen.page.query_selector_all("#r1-means-figure .mark-rect path")
    assert len(bars) == 3
    # Where no interval is drawn over it.
    bars[1].hover(position={"x": 3, "y": 5})
    tooltip = seen.page.wait_for_selector("#vg-tooltip-element.visible")
    mean = pd.read_parquet(folder / "runs.parquet").query("arm == 'next_n'").mean_latency_ns.mean()
    assert time_text(mean) in tooltip.inner_text()
    assert "next_n" in tooltip.inner_text()


def test_a_name_in_the_legend_picks_its_arm(seen: Seen) -> None:
    def opacities() -> list[float]:
        found: list[float] = seen.page.eval_on_selector_all(
            "#r1-ecdf-figure .mark-line path", "all => all.map(path => Number(path.getAttribute('opacity') ?? 1))"
        )
        return sorted(found)

    assert opacities() == [1, 1, 1]
    seen.page.get_by_text("lstm", exact=True).locator("visible=true")
    seen.page.locator("#r1-ecdf-figure .role-legend-label text", has_text="lstm").first.click(force=True)
    seen.page.wait_for_timeout(200)
    assert opacities() == [0.1, 0.1, 1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, folder: Path, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = Seen(browser, folder.with_suffix(".html"), color_scheme=scheme)
    found.page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true })")
    violations = Axe().run(found.page).response["violations"]
    serious = [v for v in violations if v["impact"] in ("serious", "critical")]
    assert serious == [], [(v["id"], v["nodes"][0]["html"][:200]) for v in serious]
    ink = found.page.evaluate("getComputedStyle(document.querySelector('.chart svg text')).fill")
    assert sum(map(int, re.findall(r"\d+", ink))) < 300 if scheme == "light" else 500
    found.context.close()


def test_it_fits_a_telephone_and_paper(browser: Any, folder: Path) -> None:
    found = Seen(browser, folder.with_suffix(".html"))
    found.page.emulate_media(media="print")
    paper = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    assert not found.page.is_visible("nav")
    narrow = Seen(browser, folder.with_suffix(".html"), screen={"width": 360, "height": 700})
    narrow.page.set_viewport_size({"width": 360, "height": 700})
    narrow.page.reload()
    narrow.page.wait_for_function("document.body.dataset.drawn !== undefined")
    assert narrow.page.evaluate("document.documentElement.scrollWidth") <= 360
    for one in (found, narrow):
        one.context.close()


def test_hostile_names_run_nothing(browser: Any, folder: Path, tmp_path: Path) -> None:
    from experiments.make_report import write_page

    shutil.copytree(folder, tmp_path / "out")
    renamed(tmp_path / "out")
    write_page([tmp_path / "out"], tmp_path / "page.html")
    found = Seen(browser, tmp_path / "page.html")
    dialogs: list[str] = []
    found.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    assert found.page.evaluate("document.body.dataset.failed") == "0"
    assert found.page.query_selector("img") is None
    assert "</script><img src=x onerror=alert(1)>&{{7*7}}" in found.page.inner_text("h1")
    assert (found.errors(), dialogs) == ([], [])
    found.context.close()
