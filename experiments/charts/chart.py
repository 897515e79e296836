"""A chart with all that belongs to it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from experiments.charts.style import CONFIG, WIDTH


class Numbers(NamedTuple):
    """A table as text: titles of columns, and rows."""

    columns: list[str]
    rows: list[list[str]]


class Chart(NamedTuple):
    """A picture, its title, what it shows in a sentence or two, and the numbers that are drawn."""

    kind: str
    title: str
    says: str
    picture: Any
    numbers: Numbers
    hint: str = ""
    """What can be done with it."""

    def spec(self, width: int | str = WIDTH) -> dict[str, Any]:
        """As Vega-Lite has it; ``width`` is in pixels, or ``container``."""
        found: dict[str, Any] = self.picture.to_dict(validate=False)
        found["config"] = CONFIG
        if "facet" in found:
            # Panels side by side share the width; what fits a single view Vega cannot fit to them.
            n = int(found.get("columns", 1))
            found["spec"]["width"] = panel_width(width if isinstance(width, int) else WIDTH, n)
            found["padding"] = 6
            return found
        if "vconcat" in found:
            # Panels below each other have all of it each.
            for panel in found["vconcat"]:
                panel["width"] = width if isinstance(width, int) else WIDTH
            found["padding"] = 6
            return found
        found["width"] = width
        found["autosize"] = {"type": "fit-x", "contains": "padding"}
        found["padding"] = {"left": 2, "right": 12, "top": 4, "bottom": 4}
        return found


def panel_width(width: int, n: int) -> int:
    """Of each of ``n`` panels that share it."""
    return max(120, (width - 30 * n) // n)


PICK = "Click a name in the legend to see it alone, with Shift several."
PICK_AND_ZOOM = f"{PICK} Drag to move, Shift and wheel to zoom, double-click to go back."


def short(value: float | None, figures: int = 6) -> float | None:
    """Rounded to what a picture can show: pages are sent."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{figures}g}")


def listed(names: Sequence[str]) -> str:
    """Names in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
